"""Mistakes: what a user can put right, told in one message without a traceback; any other error keeps its own."""

from collections.abc import Iterator
from contextlib import contextmanager


class Mistake(Exception):
    """Ends a command with exit status 2; its text says what was found, what was expected and what to do."""


@contextmanager
def as_mistakes(*kinds: type[Exception]) -> Iterator[None]:
    """Turns errors of these kinds, raised where the input of a user is read, into a `Mistake` of the same text."""
    try:
        yield
    except kinds as error:
        raise Mistake(" ".join(map(str, error.args)) if isinstance(error, KeyError) else str(error)) from error

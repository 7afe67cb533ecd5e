"""Processes: several that run one program, and what becomes of the others when one dies."""

from collections.abc import Iterator
from contextlib import contextmanager

import jax

OWN = ("RESOURCE_EXHAUSTED", "INVALID_ARGUMENT", "FAILED_PRECONDITION")  # errors of this process alone


class ProcessLost(ConnectionError):
    """Another process of the program no longer answers: it died, was killed, or lost its connection."""


@contextmanager
def answering(remedy: str) -> Iterator[None]:
    """A block whose messages other processes answer.

    Raises:
        ProcessLost: one of several processes does not; says what to do.
    """
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if jax.process_count() == 1 or str(error).startswith(OWN):
            raise
        raise ProcessLost(
            f"process {jax.process_index()} of {jax.process_count()}: a message to or from another process failed "
            f"({str(error)[:200]}); that process died or lost its connection: see its output. {remedy}"
        ) from error

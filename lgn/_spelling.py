"""Spelling: the known name that comes nearest to one that is not known."""

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> str:
    """The words that suggest it, and the end of the sentence where nothing is close.

    Example:
        >>> from lgn._spelling import nearest
        >>> nearest("dnesity", ["density", "friction"]), nearest("x", ["density"])
        ("; did you mean 'density'?", '.')
    """
    close = closest(name, known)
    return f"; did you mean {close!r}?" if close else "."


def closest(name: str, known: Iterable[str], likeness: float = 0.6) -> str | None:
    """The known name itself, whatever its case, or None where nothing is close."""
    lower = {other.lower(): other for other in known}
    return next((lower[near] for near in difflib.get_close_matches(name.lower(), lower, 1, likeness)), None)

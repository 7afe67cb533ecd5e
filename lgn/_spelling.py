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
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else "."

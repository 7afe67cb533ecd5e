"""Comparison: figures of two versions, each a time over that of a reference kernel in its own run."""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np

WORSE = 1.2  # as much longer as counts, beyond what repeated runs differ by


class Regression(NamedTuple):
    """A figure that grew: its name, and its values before and after."""

    name: str
    before: float
    after: float

    def __str__(self) -> str:
        return f"{self.name}: {self.before:.3g} -> {self.after:.3g}, {self.after / self.before:.2f} times as long"


def figures(path: str | Path) -> dict[str, float]:
    """The figures of a benchmark file, {name: ratio}; None stands for what was not measured, and is left out.

    Raises:
        ValueError: no such file, or one that is no such table.
    """
    try:
        found = json.loads(Path(path).read_text())
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} is no benchmark file ({error}); give the benchmark.json of two runs") from error
    if not isinstance(found, dict):
        raise ValueError(f"{path} holds a {type(found).__name__}; expected an object of figures, {{name: ratio}}")
    measured = {name: x for name, x in found.items() if x is not None}
    wrong = [name for name, x in measured.items() if not isinstance(x, int | float) or not np.isfinite(x) or x <= 0]
    if wrong:
        raise ValueError(f"{path}: {wrong[0]!r} is {measured[wrong[0]]!r}; expected a positive number")
    return measured


def regressions(before: dict[str, float], after: dict[str, float], worse: float = WORSE) -> list[Regression]:
    """The figures of both that grew by more than this factor, the worst first.

    Raises:
        ValueError: no figure is in both.

    Example:
        >>> from lgn.harness.comparison import regressions
        >>> [str(x) for x in regressions({"ring": 1.0, "square": 2.0}, {"ring": 1.5, "square": 2.2})]
        ['ring: 1 -> 1.5, 1.50 times as long']
    """
    shared = [name for name in before if name in after]
    if not shared:
        raise ValueError(f"no figure is in both files: {sorted(before)} and {sorted(after)}")
    grown = [Regression(name, before[name], after[name]) for name in shared if after[name] > worse * before[name]]
    return sorted(grown, key=lambda x: x.before / x.after)

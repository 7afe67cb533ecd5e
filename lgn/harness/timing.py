"""Timing: seconds of calls that take turns, of compilation, memory, and figures of two versions compared.

Calls take turns so that a slow minute of the machine meets all alike.
"""

import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

WORSE = 1.2  # as much longer as counts, beyond what repeated runs differ by


def interleaved(calls: Mapping[str, Callable], quick: bool = False) -> dict[str, tuple[float, float]]:
    """Median and least seconds of each call; those that take longer than a second have two turns.

    Args:
        calls: name to a call without arguments.
        quick: three short turns instead of seven.

    Example:
        >>> from lgn.harness import timing
        >>> list(timing.interleaved({"sum": lambda: sum(range(1000))}, quick=True))
        ['sum']
    """
    turns = 3 if quick else 7
    samples = {name: [turn(call, quick)] for name, call in calls.items()}
    for i in range(1, turns):
        for name in [name for name, x in samples.items() if i < (2 if x[0][0] > 1 else turns)]:
            samples[name].append(turn(calls[name], quick))
    median = {name: float(np.median([np.median(x) for x in taken])) for name, taken in samples.items()}
    return {name: (median[name], float(np.min(np.concatenate(taken)))) for name, taken in samples.items()}


def turn(call: Callable, quick: bool = False) -> np.ndarray:
    """Seconds of consecutive calls, the first left out: LAPACK right after another method waits for its threads."""
    marks = [time.perf_counter()]
    while len(marks) < 3 or marks[-1] - marks[0] < (0.05 if quick else 0.3):
        jax.block_until_ready(call())
        marks.append(time.perf_counter())
    return np.diff(marks)[1:]


def medians(quick: bool, *calls: Callable) -> list[float]:
    """Median seconds of each call, one after the other, for as many rounds as fill three seconds, or 0.2 if quick."""
    least, total = (3, 0.2) if quick else (7, 3.0)
    rounds: list[np.ndarray] = []
    while len(rounds) <= least or np.sum(rounds[1:]) < total:  # the first round warms up
        marks = [time.perf_counter()]
        for call in calls:
            jax.block_until_ready(call())
            marks.append(time.perf_counter())
        rounds.append(np.diff(marks))
    return np.median(rounds[1:], axis=0).tolist()


def compiled(function: Callable, *arguments):
    """Compile function(*arguments): the program, seconds of compilation, bytes that it needs."""
    start = time.perf_counter()
    executable = jax.jit(function).lower(*arguments).compile()
    taken = time.perf_counter() - start
    memory: Any = executable.memory_analysis()
    needed = memory.temp_size_in_bytes + memory.output_size_in_bytes + memory.argument_size_in_bytes
    return executable, taken, needed


def peak_resident_bytes() -> float:
    """Peak memory of this process in bytes, of the kernel's table if any: `ru_maxrss` counts the parent of a child."""
    status = Path("/proc/self/status")
    if not status.exists():
        import resource

        return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024))
    (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return float(line.split()[1]) * 1024


class Regression(NamedTuple):
    """Figure that grew: its name, and its values before and after."""

    name: str
    before: float
    after: float

    def __str__(self) -> str:
        return f"{self.name}: {self.before:.3g} -> {self.after:.3g}, {self.after / self.before:.2f} times as long"


def figures(path: str | Path) -> dict[str, float]:
    """Read the figures of a benchmark file, {name: ratio}; null, for what was not measured, is left out.

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
    """Figures of both files that grew by more than a factor, the worst first.

    Raises:
        ValueError: no figure is in both.

    Example:
        >>> from lgn.harness.timing import regressions
        >>> [str(x) for x in regressions({"ring": 1.0, "square": 2.0}, {"ring": 1.5, "square": 2.2})]
        ['ring: 1 -> 1.5, 1.50 times as long']
    """
    shared = [name for name in before if name in after]
    if not shared:
        raise ValueError(f"no figure is in both files: {sorted(before)} and {sorted(after)}")
    grown = [Regression(name, before[name], after[name]) for name in shared if after[name] > worse * before[name]]
    return sorted(grown, key=lambda x: x.before / x.after)

"""Timing: seconds of calls that take turns, so that a slow minute of the machine meets all alike; and memory."""

import sys
import time
from pathlib import Path

import jax
import numpy as np


def interleaved(calls: dict, quick: bool) -> dict[str, tuple[float, float]]:
    """Median and least seconds of each call; those that take longer than a second have two turns."""
    turns = 3 if quick else 7
    samples = {name: [turn(call, quick)] for name, call in calls.items()}
    for i in range(1, turns):
        for name in [name for name, x in samples.items() if i < (2 if x[0][0] > 1 else turns)]:
            samples[name].append(turn(calls[name], quick))
    median = {name: float(np.median([np.median(x) for x in taken])) for name, taken in samples.items()}
    return {name: (median[name], float(np.min(np.concatenate(taken)))) for name, taken in samples.items()}


def turn(call, quick: bool) -> np.ndarray:
    """Seconds of consecutive calls, the first left out: LAPACK right after another method waits for its threads."""
    marks = [time.perf_counter()]
    while len(marks) < 3 or marks[-1] - marks[0] < (0.05 if quick else 0.3):
        jax.block_until_ready(call())
        marks.append(time.perf_counter())
    return np.diff(marks)[1:]


def medians(quick: bool, *calls) -> list[float]:
    """Median seconds of each call, one after the other, for as many rounds as fill three seconds."""
    least, total = (3, 0.2) if quick else (7, 3.0)
    rounds: list[np.ndarray] = []
    while len(rounds) <= least or np.sum(rounds[1:]) < total:  # the first round warms up
        marks = [time.perf_counter()]
        for call in calls:
            jax.block_until_ready(call())
            marks.append(time.perf_counter())
        rounds.append(np.diff(marks))
    return np.median(rounds[1:], axis=0).tolist()


def compiled(function, *arguments):
    """The program, its seconds of compilation, the bytes that it needs."""
    start = time.perf_counter()
    executable = jax.jit(function).lower(*arguments).compile()
    taken = time.perf_counter() - start
    memory = executable.memory_analysis()
    needed = memory.temp_size_in_bytes + memory.output_size_in_bytes + memory.argument_size_in_bytes
    return executable, taken, needed


def peak_resident_bytes() -> float:
    """Of the process; from the kernel's table where there is one, for `ru_maxrss` counts the parent of a child too."""
    status = Path("/proc/self/status")
    if not status.exists():
        import resource

        return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024))
    (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return float(line.split()[1]) * 1024

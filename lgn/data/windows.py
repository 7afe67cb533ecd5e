"""Windows: pieces of recordings, cut where the times have gaps and where trials end."""

import numpy as np

from lgn import _arguments, _arrays
from lgn.data.lazy import numbers_of
from lgn.data.trajectories import Windows


def windows(
    t,
    q,
    v=None,
    *,
    length: int,
    dt: float | None = None,
    tolerance: float = 0.01,
    seen=None,
    trial=None,
    every: int = 1,
) -> Windows:
    """Every piece of `length` successive states of a recording, of one trial or of several, one after the other.

    Args:
        t: (time,) increasing within each trial.
        q: (time, node, dim), or u of first order in time.
        v: (time, node, dim), if measured.
        length: states in a piece.
        dt: time between two states; pieces with a gap, an interval that differs from dt by more than the tolerance,
            are left out. By default the median of all intervals, and a gap is an error.
        tolerance: relative; for times that were rounded, as 0.033 and 0.034 for 1/30, give 0.02 or what they need.
        seen: (time, node) bool, False where a node was not measured; see `Windows`.
        trial: (time,) number or name of the trial of each row; no piece lies in two trials. By default all is one.
        every: of all pieces, which overlap, one in so many.

    Raises:
        ValueError: times unsorted or repeated, a gap, trials shorter than `length`, shapes that differ, values that are
            not finite where they were seen.

    Example:
        >>> import numpy as np, lgn
        >>> lgn.windows(np.arange(5) * 0.1, np.zeros((5, 1, 1)), length=3).q.shape
        (3, 3, 1, 1)
        >>> two = lgn.windows([0, 1, 2, 0, 1, 2], np.zeros((6, 1, 1)), length=2, trial=[0, 0, 0, 7, 7, 7])
        >>> two.trial.tolist()
        [0, 0, 1, 1]
    """
    return cut(t, q, v, seen, trial, length, every, dt, tolerance).check()


def cut(t, q, v, seen, trial, length, every, dt, tolerance) -> Windows:
    """The pieces of `windows`; what stands in them is not looked at. Of q and v in a file they alone are read."""
    t = _arrays.reals("windows: t", t).astype(float)
    q = numbers_of("windows: q", q)
    v = None if v is None else numbers_of("windows: v", v)
    seen = None if seen is None else _arrays.array("windows: seen", seen)
    _arguments.whole("windows: length", length, least=2)
    _arguments.whole("windows: every", every)
    _arguments.positive("windows: tolerance", tolerance)
    if dt is not None:
        _arguments.positive("windows: dt", dt)
    if v is not None and v.shape != q.shape:
        raise ValueError(f"windows: v has shape {v.shape} and q {q.shape}; expected the same, (time, node, dim)")
    if t.ndim != 1 or len(q) != len(t) or not np.isfinite(t).all():
        raise ValueError(
            f"windows: t has shape {t.shape} and q {q.shape}; expected finite (time,) and (time, node, dim)"
        )
    if seen is not None and seen.shape != q.shape[:2]:
        raise ValueError(f"windows: seen has shape {seen.shape}; expected bool (time, node) = {q.shape[:2]}")
    number = None if trial is None else numbers(trial, len(t))
    first = _starts(t, number, length, dt, tolerance)[::every]
    pieces = first[:, None] + np.arange(length)
    span = (t[first + length - 1] - t[first]) / (length - 1)
    v, seen = (None if x is None else x[pieces] for x in (v, seen))
    return Windows(q[pieces], span, v, t[first], None, seen, None if number is None else number[first])


def _starts(t, number, length, dt, tolerance) -> np.ndarray:
    """The first row of each piece of even steps within one trial."""
    same = np.ones(len(t) - 1, bool) if number is None else np.diff(number) == 0
    if length < 2 or len(t) < length:
        raise ValueError(f"windows: {len(t)} states, length={length}; a piece needs 2 or more, the trajectory as many")
    steps = np.diff(t)
    _check_order(t, steps, same)
    usual = np.quantile(steps[same], 0.5, method="lower") if dt is None and same.any() else dt
    even = np.abs(steps / usual - 1) <= tolerance if usual else same
    if dt is None and not even[same].all():
        at = int(np.argmin(even | ~same))
        raise ValueError(
            f"windows: a gap of {steps[at]:g} at t = {t[at]:g}, where others are {usual:g}; give dt={usual:g} to leave "
            f"out pieces with gaps, or tolerance={1.01 * abs(steps[at] / usual - 1):.2g} to call these steps equal"
        )
    broken = np.concatenate([[0], np.cumsum(~(even & same))])  # before each row
    first = np.flatnonzero(broken[length - 1 :] == broken[: len(t) - length + 1])
    if not first.size:
        where = f"are dt={usual:g} apart within {tolerance:g}" if usual else "belong to one trial"
        raise ValueError(f"windows: no {length} successive states {where}; give a shorter length")
    return first


def numbers(trial, count) -> np.ndarray:
    """Trials numbered 0, 1, ... from whatever names them."""
    trial = np.asarray(trial)
    if trial.shape != (count,):
        raise ValueError(f"trial has shape {trial.shape}; expected one for each of {count}")
    return np.unique(trial, return_inverse=True)[1]


def _check_order(t, steps, same) -> None:
    wrong = np.flatnonzero(same & ~(steps > 0))
    if wrong.size:
        at = int(wrong[0])
        raise ValueError(
            f"windows: t goes from {t[at]:g} to {t[at + 1]:g} at {at}; sort the times and drop repeated ones, or say "
            f"by trial= where another recording begins"
        )

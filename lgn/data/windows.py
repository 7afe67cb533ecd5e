"""Windows: pieces of recordings, cut where the times have gaps and where trials end."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from lgn import _arguments, _arrays
from lgn.data.trajectories import States, Windows


def windows(
    t, q, v=None, *, length: int, dt: float | None = None, tolerance: float = 0.01, seen=None, trial=None
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
    t, q = _arrays.reals("windows: t", t).astype(float), _arrays.reals("windows: q", q)
    v = None if v is None else _arrays.reals("windows: v", v)
    seen = None if seen is None else _arrays.array("windows: seen", seen)
    _arguments.whole("windows: length", length, least=2)
    _arguments.positive("windows: tolerance", tolerance)
    if dt is not None:
        _arguments.positive("windows: dt", dt)
    if v is not None and v.shape != q.shape:
        raise ValueError(f"windows: v has shape {v.shape} and q {q.shape}; expected the same, (time, node, dim)")
    if t.ndim != 1 or len(q) != len(t) or not np.isfinite(t).all():
        raise ValueError(
            f"windows: t has shape {t.shape} and q {q.shape}; expected finite (time,) and (time, node, dim)"
        )
    number = None if trial is None else _numbers(trial, len(t))
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
    first = np.arange(len(t) - length + 1)
    first = first[(even & same)[first[:, None] + np.arange(length - 1)].all(1)]
    if not first.size:
        where = f"are dt={usual:g} apart within {tolerance:g}" if usual else "belong to one trial"
        raise ValueError(f"windows: no {length} successive states {where}; give a shorter length")
    pieces = first[:, None] + np.arange(length)
    span = (t[first + length - 1] - t[first]) / (length - 1)
    if seen is not None and seen.shape != q.shape[:2]:
        raise ValueError(f"windows: seen has shape {seen.shape}; expected bool (time, node) = {q.shape[:2]}")
    v, seen = (None if x is None else x[pieces] for x in (v, seen))
    return Windows(q[pieces], span, v, t[first], None, seen, None if number is None else number[first]).check()


def joined(parts: Sequence[States] | Sequence[Windows]) -> States | Windows:
    """Several recordings as one: their samples one after the other, each a trial of its own.

    Args:
        parts: of one kind, with the same fields and the same length of pieces. Trials that a part has are kept apart.

    Raises:
        ValueError: nothing to join, parts of different kinds, with other fields, or of shapes that differ.

    Example:
        >>> import numpy as np, lgn
        >>> one = lgn.windows(np.arange(5) * 0.1, np.zeros((5, 1, 1)), length=3)
        >>> lgn.joined([one, one]).trial.tolist()
        [0, 0, 0, 1, 1, 1]
    """
    kinds = {type(part) for part in parts} if isinstance(parts, list | tuple) else {type(parts)}
    if len(kinds) != 1 or not kinds <= {States, Windows} or not isinstance(parts, list | tuple):
        found = sorted(kind.__name__ for kind in kinds) or "nothing"
        raise ValueError(f"joined: {found}; give a list of States alone, or of Windows alone")
    marked: list[Any] = []
    start = 0
    for part in (part.check() for part in parts):
        trial = np.zeros(len(part.q), int) if part.trial is None else _numbers(part.trial, len(part.q))
        marked.append(part._replace(trial=start + trial))
        start += int(trial.max()) + 1
    return type(marked[0])(**{name: _together(name, marked) for name in marked[0]._fields}).check()


def _together(name, parts):
    """One field of all parts."""
    fields = [getattr(part, name) for part in parts]
    if all(x is None for x in fields):
        return None
    if name == "seen":
        fields = [np.ones(np.shape(part.q)[:-1], bool) if part.seen is None else part.seen for part in parts]
    if name == "features":
        names = [sorted(x or {}) for x in fields]
        if any(x != names[0] for x in names):
            raise ValueError(f"joined: features {names}; expected the same of every part")
        return {key: np.concatenate([x[key] for x in fields]) for key in names[0]}
    if any(x is None for x in fields) or len({np.shape(x)[1:] for x in fields}) > 1:
        shapes = [None if x is None else np.shape(x) for x in fields]
        raise ValueError(
            f"joined: {name} has shapes {shapes}; expected the same after the first axis, and in every part"
        )
    return np.concatenate(fields)


def _numbers(trial, count) -> np.ndarray:
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

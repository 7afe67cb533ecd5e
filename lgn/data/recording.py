"""Recordings: measurements along time, in memory or in a file that is larger, their windows, and several as one."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from lgn import _arguments, _arrays
from lgn.data.fields import NOTHING, Lazy, chained, numbers_of
from lgn.data.samples import States, Windows


class Recording(NamedTuple):
    """Measurements along time, of one trial or of several one after the other; `lgn.read` gives it.

    q and v of HDF5, netCDF and XDMF files are not read before they are needed, by `rows` or `windows`; `np.asarray(q)`
    reads all. A value that is NaN was not seen.

    Attributes:
        t: (time,) in the unit `units["t"]`, increasing within each trial.
        q: (time, node, dim), or u of first order in time.
        v: (time, node, dim), or None where only positions were measured.
        seen: (time, node) bool, False where a node was not measured; None: it was wherever its values are not NaN.
        trial: (time,) whole number of the trial of each row, or None: all is one.
        names: of the columns of q: one for each node and dim, node after node, or one for each dim.
        units: name of a column, "t", "q" or "v" -> unit, as text.
        attributes: what else the file says.

    Example:
        >>> import numpy as np, lgn
        >>> swing = lgn.Recording(np.arange(50) / 10, np.zeros((50, 1, 1)), units={"t": "s", "q": "rad"})
        >>> swing.windows(8, every=6).q.shape
        (8, 8, 1, 1)
    """

    t: Float[np.ndarray, " time"]
    q: Float[np.ndarray, "time node dim"]
    v: Float[np.ndarray, "time node dim"] | None = None
    seen: Bool[np.ndarray, "time node"] | None = None
    trial: Int[np.ndarray, " time"] | None = None
    names: tuple[str, ...] = ()
    units: Mapping[str, str] = NOTHING
    attributes: Mapping[str, Any] = NOTHING

    def rows(self, part: slice) -> "Recording":
        """The recording of some rows, `recording.rows(slice(0, 1000))`, read into memory, with `seen` where NaN stands.

        Args:
            part: of (time,) rows.

        Raises:
            ValueError: no slice, or one that leaves nothing.
        """
        _arguments.of_kind("rows: part", part, slice, "slice(0, 1000)")
        if not range(len(self.t))[part]:
            raise ValueError(f"rows: {part} leaves nothing of {len(self.t)} rows; give slice(0, {len(self.t)})")
        v, seen, trial = (x if x is None else x[part] for x in (self.v, self.seen, self.trial))
        return marked(self._replace(t=self.t[part], q=self.q[part], v=v, seen=seen, trial=trial))

    def windows(self, length: int, *, every: int = 1, dt: float | None = None, tolerance: float = 0.01) -> Windows:
        """Pieces of `length` successive rows, see `lgn.windows`; of a file they alone are read.

        Args:
            length: rows in a piece.
            every: of all pieces one in so many.
            dt: time between two rows; pieces with gaps are left out. By default the median, and a gap is an error.
            tolerance: relative, of intervals that count as equal.

        Raises:
            ValueError: as `lgn.windows`; values that are infinite.
        """
        settings = {"length": length, "every": every, "dt": dt, "tolerance": tolerance}
        return marked(cut(self.t, self.q, self.v, seen=self.seen, trial=self.trial, **settings)).check()

    def check(self) -> "Recording":
        """The recording with lists as arrays; of q and v in a file no number is read.

        Raises:
            ValueError: shapes that differ, values that are not real, times that are not finite or do not increase
                within a trial.
        """
        t = _arrays.reals("recording: t", self.t)
        q = numbers_of("recording: q", self.q)
        v = None if self.v is None else numbers_of("recording: v", self.v)
        if t.ndim != 1 or not t.size or q.ndim != 3 or len(q) != len(t):
            raise ValueError(
                f"recording: t has shape {t.shape} and q {q.shape}; expected (time,) and (time, node, dim)"
            )
        if v is not None and v.shape != q.shape:
            raise ValueError(f"recording: v has shape {v.shape} and q {q.shape}; expected the same")
        for name, shape in (("seen", q.shape[:2]), ("trial", t.shape)):
            if getattr(self, name) is not None and np.shape(getattr(self, name)) != shape:
                raise ValueError(f"recording: {name} has shape {np.shape(getattr(self, name))}; expected {shape}")
        if self.trial is not None and (dtype := np.asarray(self.trial).dtype).kind not in "iuf":
            raise ValueError(
                f"recording: trial is of dtype {dtype}; expected whole numbers: "
                f"np.unique(trial, return_inverse=True)[1]"
            )
        if not np.isfinite(t).all():
            wrong = np.flatnonzero(~np.isfinite(t))
            raise ValueError(
                f"recording: t is {t[wrong[0]]} in row {wrong[0]}, and in {wrong.size} rows in all; every row needs "
                f"its time: leave these rows out"
            )
        at = _unsorted(t, self.trial)
        if at is not None:
            raise ValueError(
                f"recording: times are {'repeated' if t[at + 1] == t[at] else 'unsorted'}: t goes from {t[at]:g} to "
                f"{t[at + 1]:g} after row {at}; sort the rows and drop repeated ones, or name the column that tells "
                f"trials apart: trial=..."
            )
        return self._replace(t=t, q=q, v=v)


def marked(data: Any) -> Any:
    """A recording or windows with `seen` False where a value is NaN, and None where everything was seen."""
    if data.seen is not None or isinstance(data.q, Lazy):
        return data
    seen = ~np.isnan(data.q).any(-1)
    if data.v is not None:
        seen &= ~np.isnan(data.v).any(-1)
    return data if seen.all() else data._replace(seen=seen)


def _unsorted(t, trial) -> int | None:
    """The first row after which time does not increase within a trial."""
    wrong = np.flatnonzero(~(np.diff(t) > 0) & _same(t, trial))
    return int(wrong[0]) if wrong.size else None


def _same(t, trial) -> np.ndarray:
    """(time - 1,) whether the next row is of the same trial."""
    return np.ones(len(t) - 1, bool) if trial is None else np.diff(trial) == 0


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
    if len(t) < length:
        raise ValueError(f"windows: {len(t)} states, length={length}; a piece needs 2 or more, the trajectory as many")
    steps, same, at = np.diff(t), _same(t, number), _unsorted(t, number)
    if at is not None:
        raise ValueError(
            f"windows: t goes from {t[at]:g} to {t[at + 1]:g} at {at}; sort the times and drop repeated ones, or say "
            f"by trial= where another recording begins"
        )
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


def joined(parts: Sequence[States] | Sequence[Windows] | Sequence[Recording]) -> States | Windows | Recording:
    """Several recordings as one: their samples, or rows, one after the other, each a trial of its own.

    Args:
        parts: of one kind, with the same fields and the same length of pieces. Trials that a part has are kept apart.
            Of `Recording` what lies in files stays there.

    Raises:
        ValueError: nothing to join, parts of different kinds, with other fields, of shapes that differ, or whose units
            or names disagree.

    Example:
        >>> import numpy as np, lgn
        >>> one = lgn.windows(np.arange(5) * 0.1, np.zeros((5, 1, 1)), length=3)
        >>> lgn.joined([one, one]).trial.tolist()
        [0, 0, 0, 1, 1, 1]
    """
    kinds = {type(part) for part in parts} if isinstance(parts, list | tuple) else {type(parts)}
    if len(kinds) != 1 or not kinds <= {States, Windows, Recording} or not isinstance(parts, list | tuple):
        found = sorted(kind.__name__ for kind in kinds) or "nothing"
        raise ValueError(f"joined: {found}; give a list of States alone, of Windows alone, or of Recordings alone")
    kept: list[Any] = []
    start = 0
    for part in (part.check() for part in parts):
        trial = np.zeros(len(part.q), int) if part.trial is None else numbers(part.trial, len(part.q))
        kept.append(part._replace(trial=start + trial))
        start += int(trial.max()) + 1
    first, names = kept[0], kept[0]._fields
    if isinstance(first, Recording):
        names = names[:5]  # the others are those of the first
        _check_alike(kept)
    return first._replace(**{name: _together(name, kept) for name in names}).check()


def _check_alike(parts) -> None:
    """Raises ValueError: recordings with other units or names than the first."""
    first = parts[0]
    for part in parts[1:]:
        for name in sorted({*part.units, *first.units}):
            one, other = first.units.get(name), part.units.get(name)
            if one != other:
                raise ValueError(
                    f"joined: {name!r} is in {one!r} in the first recording and in {other!r} in another; bring them to "
                    f"one unit: recording._replace(q=0.01 * recording.q, units=...)"
                )
        if part.names != first.names:
            raise ValueError(f"joined: columns {first.names} and {part.names}; expected the same, in one order")


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
    return chained(fields) if any(isinstance(x, Lazy) for x in fields) else np.concatenate(fields)

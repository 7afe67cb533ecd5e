"""Recording: what was measured along time, in memory or in a file that is larger."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from lgn import _arguments, _arrays
from lgn.data.contents import NOTHING
from lgn.data.lazy import Lazy, numbers_of
from lgn.data.trajectories import Windows
from lgn.data.windows import cut


class Recording(NamedTuple):
    """What was measured along time, of one trial or of several one after the other; `lgn.read` gives it.

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
        """Itself.

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
        if self.trial is not None and np.asarray(self.trial).dtype.kind not in "iuf":
            raise ValueError(
                f"recording: trial is of dtype {np.asarray(self.trial).dtype}; expected whole numbers, such as "
                f"np.unique(trial, return_inverse=True)[1]"
            )
        check_times(t, self.trial)
        return self._replace(t=t, q=q, v=v)


def marked(data: Any) -> Any:
    """A recording or windows with `seen` False where a value is NaN, and None where everything was seen."""
    if data.seen is not None or isinstance(data.q, Lazy):
        return data
    seen = ~np.isnan(data.q).any(-1)
    if data.v is not None:
        seen &= ~np.isnan(data.v).any(-1)
    return data if seen.all() else data._replace(seen=seen)


def check_times(t, trial) -> None:
    """Raises ValueError: a time that is missing, or that does not increase within a trial."""
    if not np.isfinite(t).all():
        wrong = np.flatnonzero(~np.isfinite(t))
        raise ValueError(
            f"recording: t is {t[wrong[0]]} in row {wrong[0]}, and in {wrong.size} rows in all; every row needs its "
            f"time: leave these rows out"
        )
    same = np.ones(len(t) - 1, bool) if trial is None else np.diff(trial) == 0
    wrong = np.flatnonzero(same & ~(np.diff(t) > 0))
    if wrong.size:
        at = int(wrong[0])
        what = "repeated" if t[at + 1] == t[at] else "unsorted"
        raise ValueError(
            f"recording: times are {what}: t goes from {t[at]:g} to {t[at + 1]:g} after row {at}; sort the rows and "
            f"drop repeated ones, or name the column that tells trials apart: trial=..."
        )

"""Even: a recording on even times, where rows that are missing are times at which nothing was seen."""

from typing import NamedTuple

import numpy as np

UNEVEN = 0.1  # of a step: how far a time may be off its place
SPARSE = 100  # even times for each row that was measured: more are a mistake, and memory


class Even(NamedTuple):
    """A recording without gaps.

    Attributes:
        t: (time,) of each row.
        q: (time, node, dim), NaN where it was not seen.
        v: the same, or None.
        seen: (time, node) bool.
        trial: (time,) that of each row, as it was called.
        dt: between two rows of a trial.
    """

    t: np.ndarray
    q: np.ndarray
    v: np.ndarray | None
    seen: np.ndarray
    trial: np.ndarray
    dt: float

    def trials(self) -> list[np.ndarray]:
        """The rows of each trial."""
        return [np.flatnonzero(self.trial == number) for number in np.unique(self.trial)]


def even(t, q, v=None, seen=None, trial=None) -> Even:
    """The rows of a recording at their places among even times.

    Args:
        t: (time,) increasing within each trial, a multiple of one step apart but for a tenth of it: a camera's times,
            rounded, some of them missing.
        q: (time, node, dim).
        v: the same, if measured.
        seen: (time, node) bool; by default where values are not NaN.
        trial: (time,) of each row; by default all is one.

    Raises:
        ValueError: times that are not even, trials of a single row alone, a gap beyond all that was measured.

    Example:
        >>> import numpy as np
        >>> from lgn.recipes.even import even
        >>> rows = even(np.array([1, 1.033, 1.1]), np.ones((3, 1, 1)))
        >>> rows.t.round(3).tolist(), rows.seen[:, 0].tolist()
        ([1.0, 1.033, 1.067, 1.1], [True, True, False, True])
    """
    t, q = np.asarray(t, float), np.asarray(q, float)
    trial = np.zeros(len(t), int) if trial is None else np.asarray(trial)
    calls = np.unique(trial)
    parts = [np.flatnonzero(trial == call) for call in calls]
    steps = np.concatenate([np.diff(t[part]) for part in parts])
    if not steps.size:
        raise ValueError(f"no trial has 2 rows ({len(t)} in all); give the rows of a motion, one after the other")
    dt = _step(steps)
    times: list[np.ndarray] = []
    owners: list[np.ndarray] = []
    places = np.zeros(len(t), int)
    for call, part in zip(calls, parts, strict=True):
        _check_gaps(t[part], dt)
        place = np.rint((t[part] - t[part[0]]) / dt).astype(int)
        begin = np.mean(t[part] - place * dt)
        off = np.abs(t[part] - begin - place * dt)
        if off.max() > UNEVEN * dt or (np.diff(place) < 1).any():
            worst = part[off.argmax()]
            raise ValueError(
                f"times are not even: t = {t[worst]:g} is {off.max() / dt:.2f} steps of {dt:g} off its place; give "
                f"rows at even times, from which some may be missing"
            )
        places[part] = place + sum(len(x) for x in times)
        times.append(begin + dt * np.arange(place[-1] + 1))
        owners.append(np.full(place[-1] + 1, call))
    where = np.isfinite(q).all(-1) if v is None else np.isfinite(q).all(-1) & np.isfinite(v).all(-1)
    count = sum(len(x) for x in times)

    def placed(x, missing):
        return None if x is None else _spread(np.asarray(x), places, count, missing)

    there = placed(where if seen is None else where & np.asarray(seen), False)
    return Even(np.concatenate(times), placed(q, np.nan), placed(v, np.nan), there, np.concatenate(owners), dt)


def _check_gaps(t, dt: float) -> None:
    if t[-1] - t[0] > SPARSE * len(t) * dt:
        widest = int(np.diff(t).argmax())
        raise ValueError(
            f"there is a gap from t = {t[widest]:g} to {t[widest + 1]:g} among steps of {dt:g}; put the time right, or "
            f"give the rows after it another number in a column of trials"
        )


def _step(steps) -> float:
    """The step of which all are multiples: the mean of the short ones, then of all by their multiples, since a step
    that is off by a rounding is off by much more after a thousand."""
    dt = float(np.quantile(steps, 0.5, method="lower"))
    for part in (np.abs(steps / dt - 1) < 0.3, steps > 0):
        counts = np.maximum(1, np.rint(steps[part] / dt))
        dt = float(steps[part].sum() / counts.sum())
    return dt


def _spread(x, places, count, missing) -> np.ndarray:
    spread = np.full((count, *x.shape[1:]), missing, x.dtype)
    spread[places] = x
    return spread

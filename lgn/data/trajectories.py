"""Trajectories: states and windows to learn from, and the motions that come out."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Float


class States(NamedTuple):
    """Independent states with their rates: (q, v) with accelerations, or u with du/dt, `States(u, u_rate)`.

    Attributes:
        q: (sample, node, dim), or u of first order in time.
        v: (sample, node, dim), dq/dt or du/dt.
        a: (sample, node, dim), or None of first order.
        t: (sample,) time of each, where forces depend on it.
        features: name to (sample, ...) value that a feature of the graph, or `control`, had; see `Lagrangian.replace`.
    """

    q: Float[Array, "sample node dim"]
    v: Float[Array, "sample node dim"]
    a: Float[Array, "sample node dim"] = None  # type: ignore[assignment]
    t: Float[Array, " sample"] | None = None
    features: dict[str, Array] | None = None

    @property
    def u(self) -> Array:
        """Of first order in time: another name of q."""
        return self.q

    @property
    def state(self) -> tuple[Array, ...]:
        """(q, v), or (u,) of first order."""
        return (self.q,) if self.a is None else (self.q, self.v)

    @property
    def rate(self) -> tuple[Array, ...]:
        """d state / dt: (v, a), or (du/dt,)."""
        return (self.v,) if self.a is None else (self.v, self.a)

    def check(self) -> "States":
        """Itself.

        Raises:
            ValueError: shapes differ, no sample, values that are not finite.
        """
        for name in ("q", "v", "a"):
            x = getattr(self, name)
            if name == "a" and x is None:
                continue
            if np.ndim(x) != 3 or len(x) == 0 or np.shape(x) != np.shape(self.q):
                raise ValueError(
                    f"data: {name} has shape {np.shape(x)} and q {np.shape(self.q)}; expected (sample, node, dim)"
                )
        check_samples(self)
        return self


class Windows(NamedTuple):
    """Short pieces of trajectories, sampled evenly; see `windows`.

    Attributes:
        q: (sample, time, node, dim), or u of first order in time.
        dt: (sample,) time between two of its states.
        v: (sample, time, node, dim), or None where only positions were measured, and of first order.
        t: (sample,) time of the first state.
        features: name to (sample, ...), as in `States`.
    """

    q: Float[Array, "sample time node dim"]
    dt: Float[Array, " sample"]
    v: Float[Array, "sample time node dim"] | None = None
    t: Float[Array, " sample"] | None = None
    features: dict[str, Array] | None = None

    @property
    def u(self) -> Array:
        """Of first order in time: another name of q."""
        return self.q

    @property
    def state(self) -> tuple[Array, ...]:
        """(q, v), or (q,) where only positions were measured, or (u,) of first order."""
        return (self.q,) if self.v is None else (self.q, self.v)

    def check(self) -> "Windows":
        """Itself.

        Raises:
            ValueError: shapes differ, no sample, values that are not finite, dt that is not positive.
        """
        for name, x in (("q", self.q), ("v", self.q if self.v is None else self.v)):
            if np.ndim(x) != 4 or len(x) == 0 or np.shape(x) != np.shape(self.q):
                raise ValueError(
                    f"data: {name} has shape {np.shape(x)} and q {np.shape(self.q)}; expected (sample, time, node, dim)"
                )
        check_samples(self)
        if not (np.asarray(self.dt) > 0).all():
            raise ValueError(f"data: dt = {float(np.min(self.dt))}; expected positive times between states")
        return self


def windows(t, q, v=None, *, length: int, dt: float | None = None) -> Windows:
    """Every piece of `length` successive states of one trajectory; join several with `jax.tree.map(concatenate)`.

    Args:
        t: (time,) increasing.
        q: (time, node, dim).
        v: (time, node, dim), if measured.
        length: states in a piece.
        dt: time between two states; pieces with a gap, an interval that differs from dt by more than 1 %, are left
            out. By default the time between the first two, and a gap is an error.

    Raises:
        ValueError: times unsorted or repeated, a gap, a trajectory shorter than `length`, shapes that differ, values
            that are not finite.

    Example:
        >>> import numpy as np, lgn
        >>> lgn.windows(np.arange(5) * 0.1, np.zeros((5, 1, 1)), length=3).q.shape
        (3, 3, 1, 1)
    """
    t, q = np.asarray(t, float), np.asarray(q)
    steps = np.diff(t)
    if t.ndim != 1 or len(q) != len(t) or not np.isfinite(t).all():
        raise ValueError(
            f"windows: t has shape {t.shape} and q {q.shape}; expected finite (time,) and (time, node, dim)"
        )
    if length < 2 or len(t) < length:
        raise ValueError(f"windows: {len(t)} states, length={length}; a piece needs 2 or more, the trajectory as many")
    if not (steps > 0).all():
        at = int(np.argmin(steps > 0))
        raise ValueError(
            f"windows: t goes from {t[at]:g} to {t[at + 1]:g} at {at}; sort the times and drop repeated ones"
        )
    even = np.abs(steps / (dt or steps[0]) - 1) < 0.01
    if dt is None and not even.all():
        at = int(np.argmin(even))
        raise ValueError(
            f"windows: a gap of {steps[at]:g} at t = {t[at]:g}, where others are {steps[0]:g}; give dt to leave out "
            f"pieces with gaps"
        )
    first = np.arange(len(t) - length + 1)
    first = first[even[first[:, None] + np.arange(length - 1)].all(1)]
    if not first.size:
        raise ValueError(f"windows: no {length} successive states are dt={dt:g} apart; give a shorter length")
    pieces = first[:, None] + np.arange(length)
    span = (t[first + length - 1] - t[first]) / (length - 1)
    return Windows(q[pieces], span, None if v is None else np.asarray(v)[pieces], t[first]).check()


def check_samples(data) -> None:
    """Raises ValueError: an array of the data whose length is not that of q, or that is not finite."""
    named = {f"features[{name!r}]": x for name, x in (data.features or {}).items()}
    for name, x in {**data._asdict(), **named}.items():
        if x is None or name == "features":
            continue
        if np.ndim(x) < 1 or len(x) != len(data.q):
            raise ValueError(
                f"data: {name} has shape {np.shape(x)}; expected one entry for each of {len(data.q)} samples"
            )
        wrong = np.argwhere(~np.isfinite(np.asarray(x)))
        if wrong.size:
            raise ValueError(
                f"data: {name} is not finite at (sample, ...) = {tuple(map(int, wrong[0]))}, and in "
                f"{len(wrong)} places in all; drop these samples: x[np.isfinite(x).all({tuple(range(1, np.ndim(x)))})]"
            )


class Trajectory(NamedTuple):
    """States along time, with what shows whether they can be trusted.

    Attributes:
        t: (time,).
        state: a tuple of (time, node, dim) arrays: (q, v) of second order, (u,) of first.
        energy: (time,) energy of the system that moved.
        residual: (time,) |M a - f| / |f| of the solve at that state; 0 where the system solves nothing.
    """

    t: Float[Array, " time"]
    state: tuple[Float[Array, "time node dim"], ...]
    energy: Float[Array, " time"]
    residual: Float[Array, " time"]

    @property
    def q(self) -> Float[Array, "time node dim"]:
        """Configuration, of second order in time."""
        return self._field("q")

    @property
    def v(self) -> Float[Array, "time node dim"]:
        """Velocity, of second order in time."""
        return self._field("v")

    @property
    def u(self) -> Float[Array, "time node dim"]:
        """Field, of first order in time."""
        return self._field("u")

    def _field(self, name):
        names = field_names(len(self.state))
        if name not in names:
            raise AttributeError(f"a trajectory of states ({', '.join(names)}) has no {name}")
        return self.state[names.index(name)]


def field_names(count: int) -> tuple[str, ...]:
    """What the fields of a state of `count` fields are called."""
    return {1: ("u",), 2: ("q", "v")}.get(count) or tuple(f"state[{i}]" for i in range(count))

"""Samples: states and windows to learn from, and the motions that come out."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from lgn import _arrays
from lgn.data.fields import NOTHING, PIECE, STATE, field_names, packed
from lgn.data.netcdf import dataset

if TYPE_CHECKING:
    import xarray


def known(x, seen):
    """x, and 0 where it was not seen: what stands there is not to enter any sum, for NaN times 0 is NaN."""
    return x if seen is None else jnp.where(seen[..., None], x, 0)


def checked(data: Any, axes: tuple[str, ...], fields: tuple[str, ...]) -> Any:
    """States or Windows with lists as arrays; `fields` have these axes, and what was seen in part may be NaN elsewhere.
    Raises ValueError for all that `States.check` and `Windows.check` name."""
    data = _arrays.recorded(data)
    shape = np.shape(data.q)
    for name in fields:
        x = getattr(data, name)
        if np.ndim(x) != len(axes) or len(x) == 0 or np.shape(x) != shape:
            raise ValueError(f"data: {name} has shape {np.shape(x)} and q {shape}; expected ({', '.join(axes)})")
    if data.seen is not None:
        seen = np.asarray(data.seen)
        if seen.dtype != bool or seen.shape != shape[:-1]:
            found = f"shape {seen.shape} and dtype {seen.dtype}"
            raise ValueError(f"data: seen has {found}; expected bool, one for each node: {shape[:-1]}")
        if not seen.any():
            raise ValueError("data: seen is False everywhere, so that nothing was measured")
    if data.trial is not None:
        trial = np.asarray(data.trial)
        if trial.shape != shape[:1] or not np.issubdtype(trial.dtype, np.integer):
            raise ValueError(
                f"data: trial has shape {trial.shape} and dtype {trial.dtype}; expected whole numbers, one for each of "
                f"{shape[0]} samples"
            )
    partly = () if data.seen is None else fields if "time" in axes else fields[-1:]
    named = {f"features[{name!r}]": x for name, x in (data.features or {}).items()}
    for name, x in {**data._asdict(), **named}.items():
        if x is None or name in ("features", "seen", "trial"):
            continue
        if np.ndim(x) < 1 or len(x) != shape[0]:
            raise ValueError(f"data: {name} has shape {np.shape(x)}; expected one entry for each of {shape[0]} samples")
        wrong = np.argwhere(
            ~np.isfinite(np.asarray(x)) & (np.asarray(data.seen)[..., None] if name in partly else True)
        )
        if wrong.size:
            raise ValueError(
                f"data: {name} is not finite at (sample, ...) = {tuple(map(int, wrong[0]))}, and in "
                f"{len(wrong)} places in all; drop these samples: x[np.isfinite(x).all({tuple(range(1, np.ndim(x)))})]"
                f", or mark nodes that were not measured by `seen`"
            )
    return data


class States(NamedTuple):
    """Independent states with their rates: (q, v) with accelerations, or u with du/dt, `States(u, u_rate)`.

    Attributes:
        q: (sample, node, dim), or u of first order in time.
        v: (sample, node, dim), dq/dt or du/dt.
        a: (sample, node, dim), or None of first order.
        t: (sample,) time of each, where forces depend on it.
        features: name to (sample, ...) value that a feature of the graph, or `control`, had; see `Lagrangian.replace`.
        seen: (sample, node) bool, False where the rate of a node was not measured; what stands there may be NaN. The
            states must be whole, since every rate depends on neighbours: see `Windows` for states seen in part.
        trial: (sample,) whole number of the trial that each comes from; `fit` holds out whole trials.
    """

    q: Float[Array, "sample node dim"]
    v: Float[Array, "sample node dim"]
    a: Float[Array, "sample node dim"] = None  # type: ignore[assignment]
    t: Float[Array, " sample"] | None = None
    features: dict[str, Array] | None = None
    seen: Bool[Array, "sample node"] | None = None
    trial: Int[Array, " sample"] | None = None

    @property
    def u(self) -> Array:
        """Field u of first order in time: another name of q."""
        return self.q

    @property
    def state(self) -> tuple[Array, ...]:
        """(q, v), or (u,) of first order."""
        return (self.q,) if self.a is None else (self.q, self.v)

    @property
    def rate(self) -> tuple[Array, ...]:
        """d state / dt: (v, a), or (du/dt,); what is measured last is 0 where it was not seen."""
        return (known(self.v, self.seen),) if self.a is None else (self.v, known(self.a, self.seen))

    def check(self) -> "States":
        """The states with lists as arrays.

        Raises:
            ValueError: shapes or dtypes differ, no sample, values that are not finite or not real.
        """
        return checked(self, STATE, ("q", "v") if self.a is None else ("q", "v", "a"))


class Windows(NamedTuple):
    """Short pieces of trajectories, sampled evenly; see `windows`.

    Attributes:
        q: (sample, time, node, dim), or u of first order in time.
        dt: (sample,) time between two of its states.
        v: (sample, time, node, dim), or None where only positions were measured, and of first order.
        t: (sample,) time of the first state.
        features: name to (sample, ...), as in `States`.
        seen: (sample, time, node) bool, False where the state of a node was not measured; what stands there may be NaN.
        trial: (sample,) whole number of the trial that each comes from; `fit` holds out whole trials.
    """

    q: Float[Array, "sample time node dim"]
    dt: Float[Array, " sample"]
    v: Float[Array, "sample time node dim"] | None = None
    t: Float[Array, " sample"] | None = None
    features: dict[str, Array] | None = None
    seen: Bool[Array, "sample time node"] | None = None
    trial: Int[Array, " sample"] | None = None

    @property
    def u(self) -> Array:
        """Field u of first order in time: another name of q."""
        return self.q

    @property
    def state(self) -> tuple[Array, ...]:
        """(q, v), or (q,) where only positions were measured, or (u,) of first order; 0 where it was not seen."""
        return tuple(known(x, self.seen) for x in ((self.q,) if self.v is None else (self.q, self.v)))

    def check(self) -> "Windows":
        """The pieces with lists as arrays.

        Raises:
            ValueError: shapes or dtypes differ, no sample, values that are not finite or not real, dt that is not
                positive.
        """
        self = checked(self, PIECE, ("q",) if self.v is None else ("q", "v"))
        if not (np.asarray(self.dt) > 0).all():
            raise ValueError(f"data: dt = {float(np.min(self.dt))}; expected positive times between states")
        return self


class Trajectory(NamedTuple):
    """States along time, with what shows whether they can be trusted.

    Attributes:
        t: (time,).
        state: a tuple of (time, node, dim) arrays: (q, v) of second order, (u,) of first.
        energy: (time,) energy of the system that moved.
        residual: (time,) |M a - f| / |f| of the solve at that state; 0 where the system solves nothing.
        status: (time,) of that solve, see `Solution`; 0, 1, -1 and 0 these four where the system solves nothing, and
            None in a trajectory that no rollout made. Solves of the steps in between are not looked at.
        condition: (time,) largest over smallest pivot of M.
        node: (time,) where M is worst conditioned.
        iterations: (time,) of an iterative solver.
    """

    t: Float[Array, " time"]
    state: tuple[Float[Array, "time node dim"], ...]
    energy: Float[Array, " time"]
    residual: Float[Array, " time"]
    status: Int[Array, " time"] | None = None
    condition: Float[Array, " time"] | None = None
    node: Int[Array, " time"] | None = None
    iterations: Int[Array, " time"] | None = None

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

    def to_xarray(self, of: Any = None, units: Mapping[str, str] = NOTHING) -> "xarray.Dataset":
        """A Dataset of xarray: the fields over time, node and dim, everything else over time.

        Args:
            of: the system that moved, or its graph; the positions of the nodes become a coordinate.
            units: name of a field, such as "t" or "q" -> unit, as text.

        Raises:
            ImportError: xarray is not installed.
            ValueError: a graph of another number of nodes, units of what is not there.

        Example:
            >>> import numpy as np, lgn
            >>> motion = lgn.Trajectory(np.arange(3.0), (np.zeros((3, 5, 1)),), np.ones(3), np.zeros(3))
            >>> dict(motion.to_xarray(units={"t": "s"}).u.sizes)
            {'time': 3, 'node': 5, 'dim': 1}
        """
        return dataset(packed("to_xarray", self, of, units))

    def _field(self, name):
        names = field_names(len(self.state))
        if name not in names:
            raise AttributeError(f"a trajectory of states ({', '.join(names)}) has no {name}")
        return self.state[names.index(name)]

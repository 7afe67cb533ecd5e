"""Rollout: the motion of a system from a state."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lgn import _arguments, _arrays
from lgn.assembly.domain import State
from lgn.data.fields import field_names
from lgn.data.samples import Trajectory
from lgn.data.signals import Signal
from lgn.devices.processes import answering
from lgn.mechanics.compilation import bind, entered, left, rows_of
from lgn.mechanics.system import System, check_system, offered, require
from lgn.motion.adaptive import Adaptive
from lgn.motion.integrators import Integrator
from lgn.motion.verdict import judged, largest
from lgn.solvers.solution import Solver

DRIVEN = "give a Lagrangian with a force or an EnergyFlow with a port"
MOST = 10**7  # numbers of states that are kept for nothing


def rollout(
    system: System, state0, ts, integrator: Integrator | Callable | None = None, *, control: Any = None
) -> Trajectory:
    """The motion of a system from a state.

    Memory grows with the number of ts, not with the number of steps. Other times are no other program, up to the next
    power of two of intervals. Within a transformation of jax they are part of it, so that the motion has a reverse
    derivative, and for an integrator of your own, which gets them as numpy. Traced ts are not checked, and fixed steps
    between them have forward derivatives alone.

    Args:
        system: any `System`: a Lagrangian, a baseline, or your own. `Verlet` asks for its `acceleration`, `Variational`
            for a Lagrangian. A `check_start(*state, t)`, if there is one, checks the state too; a `solve(*state, t)`
            gives the residual, which is otherwise 0.
        state0: the fields of the state at ts[0], each (node, dim): (q, v), or one array u.
        ts: (time,) increasing.
        integrator: `Adaptive()` by default.
        control: what drives it, in place of the system's own: an array, a function of time or an `lgn.Signal`.

    Returns:
        Trajectory with the energy of the system and what its solver found at each time.

    Raises:
        ValueError: times that do not increase or are not finite, states of the wrong shape or not finite, clamped nodes
            that do not start as their clamps move; a control whose signal does not last as long.
        MotionStopped: the motion is no longer finite, an implicit step or a solver did not converge, M is singular,
            or the integrator reached its limits; holds the states until then.
        ProcessLost: another process of the same rollout died.

    Warns:
        RuntimeWarning: what `check_motion` finds: call that after a rollout within transformations.

    Example:
        >>> import jax.numpy as jnp, lgn
        >>> def oscillator(q, v, features): return 0.5 * v[0, 0] ** 2 - 0.5 * q[0, 0] ** 2
        >>> L = lgn.Lagrangian(lgn.single_node(), oscillator)
        >>> start = jnp.array([[1.0]]), jnp.array([[0.0]])
        >>> lgn.rollout(L, start, [0.0, 3.1415926535]).q[:, 0, 0].round(4).tolist()
        [1.0, -1.0]
    """
    check_system(system)
    system = system if control is None else require(system, "replace", "rollout: control", DRIVEN)(control=control)
    state = _fields(state0)
    integrator = check_integrator(integrator or Adaptive())
    for name, x in zip(field_names(len(state)), state, strict=True):
        if not isinstance(x, jax.core.Tracer):
            with jax.ensure_compile_time_eval():  # also within transformations, and of arrays over several processes
                finite = _arrays.finite(x, tuple(range(1, x.ndim)))
                if not finite.all():
                    raise ValueError(f"rollout: {name} of state0 is not finite at node {int(finite.argmin())}")
    system.check(*state)
    if isinstance(ts, jax.core.Tracer):
        return _rollout(system, state, ts.astype(state[0].dtype), integrator)[0]
    times = _times(ts, state[0].dtype)
    if _arguments.transformed():
        return _rollout_at(system, state, tuple(times.tolist()), integrator)[0]
    if isinstance(signal := getattr(offered(system, "forcing"), "control", None), Signal):
        signal.check_covers("rollout: control", times)
    offered(system, "check_start")(*state, times[0])
    with answering("Follow the motion again, or from its last state that you saved."):
        known = isinstance(integrator, Integrator)  # another may ask numpy about its ts, or sum over all rows
        if known:
            found, sizes = _rollout(bind(system, state), state, _padded(times, state), integrator)
        else:
            found, sizes = _rollout_at(bind(system, state), state, tuple(times.tolist()), integrator)
        return judged(system, _first(found, len(times)), integrator, np.asarray(sizes)[: len(times)])


def _times(ts, dtype) -> np.ndarray:
    times = _arrays.reals("rollout: ts", ts).astype(dtype)
    if times.ndim != 1 or times.size < 2 or not np.isfinite(times).all() or not (np.diff(times) > 0).all():
        raise ValueError(
            f"rollout: ts={np.asarray(ts)}; expected at least two times, finite and strictly increasing ({times.dtype})"
        )
    return times


def _padded(times: np.ndarray, state: State) -> np.ndarray:
    """The last time repeated until the intervals are a power of two: other numbers of times then share a program. Not
    where the states that are kept would fill much memory."""
    intervals = len(times) - 1
    more = 2 ** (intervals - 1).bit_length() - intervals
    return times if more * sum(x.size for x in state) > MOST else np.concatenate([times, times[-1:].repeat(more)])


def _motion(system, state, ts, integrator) -> Trajectory:
    system = bind(system, state)
    rows = rows_of(system)
    state = entered(rows, state)
    solve, energy = offered(system, "solve"), offered(system, "energy_at")

    def measure(state, t):
        if solve is None:
            return energy(state, t), jnp.zeros_like(t), 0, jnp.ones_like(t), -1, 0
        found = solve(*state, t)
        return energy(state, t), found.residual, found.status, found.condition, found.node, found.iterations

    follow = integrator.measured if isinstance(integrator, Integrator) else partial(Integrator.measured, integrator)
    states, found = follow(system, state, ts, measure)
    return left(rows, Trajectory(jnp.asarray(ts), states, *found))


@partial(jax.jit, static_argnames="integrator")
def _rollout(system, state, ts, integrator) -> tuple[Trajectory, jax.Array]:
    """At any times, also those that repeat the last one; with the size of each state, in the same program."""
    found = _motion(system, state, ts, integrator)
    return found, largest(found.state)


@partial(jax.jit, static_argnames=("times", "integrator"))
def _rollout_at(system, state, times, integrator) -> tuple[Trajectory, jax.Array]:
    """At these times: with their steps counted it has a reverse derivative."""
    found = _motion(system, state, np.asarray(times, state[0].dtype), integrator)
    return found, largest(found.state)


def _first(trajectory: Trajectory, count: int) -> Trajectory:
    return trajectory if len(trajectory.t) == count else jax.tree.map(partial(_cut, count=count), trajectory)


def _cut(x: jax.Array, count: int) -> jax.Array:
    """The first rows, device by device and by numpy: in jax this would be a program for every number of them."""
    if not x.committed:
        return jax.device_put(np.asarray(x)[:count])
    parts = [jax.device_put(np.asarray(part.data)[:count], part.device) for part in x.addressable_shards]
    return jax.make_array_from_single_device_arrays((count, *x.shape[1:]), x.sharding, parts)


def _fields(state0) -> State:
    """A state as a tuple of fields; one array (node, dim) is a state of one field."""
    if getattr(state0, "ndim", 0) == 2:
        state0 = (state0,)
    if isinstance(state0, str | dict) or not hasattr(state0, "__len__") or not len(state0):
        kind = "None" if state0 is None else f"{state0!r:.50}, a {type(state0).__name__}"
        raise ValueError(f"rollout: state0 is {kind}; expected the fields of a state: give (q, v), or one array u")
    names = field_names(len(state0))
    found = [_arrays.floats(f"rollout: {name} of state0", x) for name, x in zip(names, state0, strict=True)]
    return tuple(jax.device_put(x) if isinstance(x, np.ndarray) else jnp.asarray(x) for x in found)


def check_integrator(integrator: Integrator | Callable) -> Integrator | Callable:
    """Itself, if it can be called with (system, state, ts). Raises ValueError else."""
    examples = "lgn.Adaptive(), lgn.Verlet(dt), lgn.ImplicitMidpoint(dt), lgn.Variational(dt), lgn.DiscreteGradient(dt)"
    _arguments.called("integrator", integrator, examples)
    if isinstance(integrator, Solver):
        raise ValueError(f"integrator={integrator!r} is a solver of M a = f, which a Lagrangian takes; give {examples}")
    return integrator

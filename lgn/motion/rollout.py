"""Rollout: the motion of a system from a state."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from lgn import _arguments, _arrays
from lgn.assembly.domain import State
from lgn.data.trajectories import Trajectory, field_names
from lgn.mechanics.system import System, check_system
from lgn.motion.discrete import DiscreteGradient
from lgn.motion.integrators import Adaptive, ImplicitMidpoint, Verlet
from lgn.motion.variational import Variational
from lgn.motion.verdict import check_motion
from lgn.solvers.choice import Solver

Integrator = Adaptive | ImplicitMidpoint | Verlet | Variational | DiscreteGradient


def rollout(system: System, state0, ts, integrator: Integrator | None = None) -> Trajectory:
    """The motion of a system from a state.

    Memory grows with the number of ts, not with the number of steps.

    Args:
        system: any `System`: a Lagrangian, a baseline, or your own. `Verlet` asks for its `acceleration`, `Variational`
            for a Lagrangian. A `check_start(*state, t)`, if there is one, checks the state too; a `solve(*state, t)`
            gives the residual, which is otherwise 0.
        state0: the fields of the state at ts[0], each (node, dim): (q, v), or one array u.
        ts: (time,) increasing.
        integrator: `Adaptive()` by default.

    Returns:
        Trajectory with the energy of the system and what its solver found at each time.

    Raises:
        ValueError: times that do not increase or are not finite, states of the wrong shape or not finite, clamped nodes
            that do not start as their clamps move.
        MotionStopped: the motion is no longer finite, an implicit step or a solver did not converge, M is singular,
            or the integrator reached its limits; holds the states until then.

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
    state = _fields(state0)
    integrator = check_integrator(integrator or Adaptive())
    times = _arrays.reals("rollout: ts", ts).astype(state[0].dtype)
    if times.ndim != 1 or times.size < 2 or not np.isfinite(times).all() or not (np.diff(times) > 0).all():
        raise ValueError(
            f"rollout: ts={np.asarray(ts)}; expected at least two times, finite and strictly increasing ({times.dtype})"
        )
    for name, x in zip(field_names(len(state)), state, strict=True):
        if not isinstance(x, jax.core.Tracer) and not np.isfinite(x).all():
            raise ValueError(f"rollout: {name} of state0 is not finite at node {np.argwhere(~np.isfinite(x))[0, 0]}")
    system.check(*state)
    if hasattr(system, "check_start") and not _traced(system, state):
        system.check_start(*state, times[0])
    trajectory = _rollout(system, state, tuple(times.tolist()), integrator)
    return trajectory if _traced(trajectory.state) else check_motion(system, trajectory, integrator)


@partial(jax.jit, static_argnames=("times", "integrator"))
def _rollout(system, state, times, integrator) -> Trajectory:
    ts = np.asarray(times, state[0].dtype)
    later = integrator(system, state, ts)
    states = jax.tree.map(lambda x, start: x.at[0].set(start), later, state)  # which is known, whatever became of it

    def measured(moment):
        state, t = moment
        if not hasattr(system, "solve"):
            return system.energy(*state), jnp.zeros_like(t), 0, jnp.ones_like(t), -1, 0
        found = system.solve(*state, t)
        return system.energy(*state), found.residual, found.status, found.condition, found.node, found.iterations

    return Trajectory(jnp.asarray(ts), states, *lax.map(measured, (states, jnp.asarray(ts))))


def _fields(state0) -> State:
    """A state as a tuple of fields; one array (node, dim) is a state of one field."""
    if getattr(state0, "ndim", 0) == 2:
        state0 = (state0,)
    if isinstance(state0, str | dict) or not hasattr(state0, "__len__") or not len(state0):
        kind = "None" if state0 is None else f"{state0!r:.50}, a {type(state0).__name__}"
        raise ValueError(f"rollout: state0 is {kind}; expected the fields of a state: give (q, v), or one array u")
    names = field_names(len(state0))
    return tuple(
        jnp.asarray(_arrays.floats(f"rollout: {name} of state0", x)) for name, x in zip(names, state0, strict=True)
    )


def check_integrator(integrator: Integrator) -> Integrator:
    """Itself, if it can be called with (system, state, ts). Raises ValueError else."""
    examples = (
        "lgn.Adaptive(), lgn.Verlet(dt), lgn.ImplicitMidpoint(dt), lgn.Variational(dt) or lgn.DiscreteGradient(dt)"
    )
    _arguments.called("integrator", integrator, examples)
    if isinstance(integrator, Solver):
        raise ValueError(f"integrator={integrator!r} is a solver of M a = f, which a Lagrangian takes; give {examples}")
    return integrator


def _traced(*values) -> bool:
    return any(isinstance(x, jax.core.Tracer) for x in jax.tree.leaves(values))

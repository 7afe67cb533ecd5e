"""Rollout: the motion of a system from a state."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from lgn.assembly.domain import State
from lgn.data.trajectories import Trajectory, field_names
from lgn.mechanics.system import System
from lgn.motion.discrete import DiscreteGradient
from lgn.motion.integrators import Adaptive, ImplicitMidpoint, Verlet
from lgn.motion.variational import Variational

Integrator = Adaptive | ImplicitMidpoint | Verlet | Variational | DiscreteGradient


class MotionStopped(FloatingPointError):
    """The motion could not be followed to its end.

    Attributes:
        trajectory: the states that are good.
    """

    def __init__(self, message: str, trajectory: Trajectory):
        super().__init__(message)
        self.trajectory = trajectory


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
        Trajectory with the energy of the system and the residual of its solver at each time.

    Raises:
        ValueError: times that do not increase, states of the wrong shape or not finite, clamped nodes that do not start
            as their clamps move.
        MotionStopped: the motion is no longer finite, or an implicit step did not converge, or the integrator reached
            its limits; holds the states until then.

    Example:
        >>> import jax.numpy as jnp, lgn
        >>> def oscillator(q, v, features): return 0.5 * v[0, 0] ** 2 - 0.5 * q[0, 0] ** 2
        >>> L = lgn.Lagrangian(lgn.single_node(), oscillator)
        >>> start = jnp.array([[1.0]]), jnp.array([[0.0]])
        >>> lgn.rollout(L, start, [0.0, 3.1415926535]).q[:, 0, 0].round(4).tolist()
        [1.0, -1.0]
    """
    state = _fields(state0)
    times = np.asarray(ts, dtype=np.result_type(state[0].dtype))
    if times.ndim != 1 or times.size < 2 or not (np.diff(times) > 0).all():
        raise ValueError(f"rollout: ts={np.asarray(ts)}; expected at least two times, strictly increasing")
    for name, x in zip(field_names(len(state)), state, strict=True):
        if not isinstance(x, jax.core.Tracer) and not np.isfinite(x).all():
            raise ValueError(f"rollout: {name} of state0 is not finite at node {np.argwhere(~np.isfinite(x))[0, 0]}")
    system.check(*state)
    if hasattr(system, "check_start") and not _traced(system, state):
        system.check_start(*state, times[0])
    integrator = integrator or Adaptive()
    trajectory = _rollout(system, state, tuple(times.tolist()), integrator)
    if not _traced(trajectory.state):
        _check_finite(system, trajectory, integrator)
    return trajectory


@partial(jax.jit, static_argnames=("times", "integrator"))
def _rollout(system, state, times, integrator) -> Trajectory:
    ts = np.asarray(times, state[0].dtype)
    states = integrator(system, state, ts)

    def measured(moment):
        state, t = moment
        residual = system.solve(*state, t).residual if hasattr(system, "solve") else jnp.zeros((), t.dtype)
        return system.energy(*state), residual

    energy, residual = lax.map(measured, (states, jnp.asarray(ts)))
    return Trajectory(jnp.asarray(ts), states, energy, residual)


def _fields(state0) -> State:
    """A state as a tuple of fields; one array (node, dim) is a state of one field."""
    single = hasattr(state0, "ndim") and state0.ndim == 2
    return tuple(jnp.asarray(x) for x in ((state0,) if single else state0))


def _check_finite(system, trajectory, integrator) -> None:
    good = np.logical_and.reduce([np.isfinite(x).all((1, 2)) for x in trajectory.state])
    if good.all():
        return
    bad = int(np.argmin(good))
    last = max(bad - 1, 0)
    message = f"rollout: no finite state after t = {float(trajectory.t[last]):.6g}"
    if hasattr(system, "solve"):
        found = system.solve(*(x[last] for x in trajectory.state), trajectory.t[last])
        message += (
            f". There the solver's status is {int(found.status)} (0 good, 1 not positive definite, 2 singular), "
            f"condition {float(found.condition):.1e}, worst at node {int(found.node)}. A mass matrix that turns "
            f"singular needs a kinetic prior or data near this state"
        )
    dt = getattr(integrator, "dt", None)
    smaller = "take smaller steps (dt, max_steps)" if dt is None else f"take smaller steps: dt={dt / 2:g} for {dt:g}"
    raise MotionStopped(
        f"{message}; else {smaller}; the states until then are `trajectory` of this error",
        jax.tree.map(lambda x: x[:bad], trajectory),
    )


def _traced(*values) -> bool:
    return any(isinstance(x, jax.core.Tracer) for x in jax.tree.leaves(values))

"""Integrators: from an acceleration to a trajectory. Adaptive steps are diffrax's, implicit ones in `steps`."""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from lgn.steps import fixed_point, follow, prepend
from lgn.trajectories import Trajectory
from lgn.variational import Variational


@dataclass(frozen=True)
class Adaptive:
    """Dormand-Prince of order 8 with steps chosen by an error estimate.

    Args:
        rtol: relative tolerance of a step.
        atol: absolute tolerance of a step.
        max_steps: after which the integration is given up.
    """

    rtol: float = 1e-9
    atol: float = 1e-9
    max_steps: int = 1_000_000

    def __call__(self, system, q, v, ts):
        """q and v at ts, (time, node, dim); only these are kept."""
        import diffrax

        def field(t, state, system):
            return system.rate(*state, t)

        solution = diffrax.diffeqsolve(
            diffrax.ODETerm(field),
            diffrax.Dopri8(),
            ts[0],
            ts[-1],
            None,
            (q, v),
            args=system,
            saveat=diffrax.SaveAt(ts=ts),
            stepsize_controller=diffrax.PIDController(rtol=self.rtol, atol=self.atol),
            max_steps=self.max_steps,
            throw=False,
        )
        return solution.ys


@dataclass(frozen=True)
class ImplicitMidpoint:
    """Fixed steps y' = y + dt f((y + y') / 2): order 2, symmetric in time, exact for quadratic invariants.

    Args:
        dt: largest step; each interval of ts is cut into equal steps no longer than that.
        tolerance: of the fixed-point iteration for y', which converges for dt below 2 / (highest frequency).
        limit: most iterations of it.
    """

    dt: float
    tolerance: float = 1e-12
    limit: int = 100

    def __call__(self, system, q, v, ts):
        """q and v at ts, (time, node, dim)."""

        def step(state, t, dt):
            def image(guess):
                middle = jax.tree.map(lambda a, b: (a + b) / 2, state, guess)
                return jax.tree.map(lambda x, r: x + dt * r, state, system.rate(*middle, t + dt / 2))

            guess = jax.tree.map(lambda x, r: x + dt * r, state, system.rate(*state, t))
            return fixed_point(image, guess, self.tolerance, self.limit)

        return prepend((q, v), follow(step, (q, v), ts, self.dt, look=lambda state, t: state))


@dataclass(frozen=True)
class Verlet:
    """Fixed steps of velocity Verlet, one acceleration a step: q' = q + dt v + dt^2 a / 2, v' = v + dt (a + a') / 2.

    Order 2, explicit, stable for dt below 2 / (highest frequency); symplectic where a does not depend on v, and so
    nearly where the mass matrix is nearly constant. a' is taken at v + dt a, which keeps order 2 in any case.

    Args:
        dt: largest step; each interval of ts is cut into equal steps no longer than that.
    """

    dt: float

    def __call__(self, system, q, v, ts):
        """q and v at ts, (time, node, dim)."""

        def step(state, t, dt):
            q, v, a = state
            q, guess = q + dt * v + 0.5 * dt**2 * a, v + dt * a
            following = system.acceleration(q, guess, t + dt)
            return q, v + 0.5 * dt * (a + following), following

        start = q, v, system.acceleration(q, v, ts[0])
        return prepend((q, v), follow(step, start, ts, self.dt, look=lambda state, t: state[:2]))


Integrator = Adaptive | ImplicitMidpoint | Verlet | Variational


def rollout(system, state0, ts, integrator: Integrator | None = None) -> Trajectory:
    """The motion of a system from a state.

    Memory grows with the number of ts, not with the number of steps.

    Args:
        system: a Lagrangian, or, unless by `Variational`, anything with `rate` (and for `Verlet` `acceleration`),
            `energy` and `solve` of (q, v, t), as the baselines have; if it has a `check_start`, that is asked about the
            state.
        state0: (q, v), each (node, dim), at ts[0].
        ts: (time,) increasing.
        integrator: `Adaptive()` by default.

    Returns:
        Trajectory with the energy of the system and the residual of its solver at each time.

    Raises:
        ValueError: times that do not increase, states of the wrong shape or not finite, clamped nodes that do not start
            as their clamps move.
        FloatingPointError: the motion left finite numbers, or the integrator its limits.

    Example:
        >>> import jax.numpy as jnp, lgn
        >>> def oscillator(q, v, features): return 0.5 * v[0, 0] ** 2 - 0.5 * q[0, 0] ** 2
        >>> L = lgn.Lagrangian(lgn.single_node(), oscillator)
        >>> start = jnp.array([[1.0]]), jnp.array([[0.0]])
        >>> lgn.rollout(L, start, [0.0, 3.1415926535]).q[:, 0, 0].round(4).tolist()
        [1.0, -1.0]
    """
    q, v = (jnp.asarray(x) for x in state0)
    times = np.asarray(ts, dtype=np.result_type(q.dtype))
    if times.ndim != 1 or times.size < 2 or not (np.diff(times) > 0).all():
        raise ValueError(f"rollout: ts={np.asarray(ts)}; expected at least two times, strictly increasing")
    for name, x in (("q", q), ("v", v)):
        if not isinstance(x, jax.core.Tracer) and not np.isfinite(x).all():
            raise ValueError(f"rollout: {name} of state0 is not finite at node {np.argwhere(~np.isfinite(x))[0, 0]}")
    if hasattr(system, "check_start") and not _traced(system, q, v):
        system.check_start(q, v, times[0])
    trajectory = _rollout(system, q, v, tuple(times.tolist()), integrator or Adaptive())
    if not isinstance(trajectory.q, jax.core.Tracer):
        _check_finite(system, trajectory)
    return trajectory


@partial(jax.jit, static_argnames=("times", "integrator"))
def _rollout(system, q, v, times, integrator) -> Trajectory:
    ts = np.asarray(times, q.dtype)
    qs, vs = integrator(system, q, v, ts)

    def look(state):
        q, v, t = state
        return system.energy(q, v), system.solve(q, v, t).residual

    energy, residual = lax.map(look, (qs, vs, jnp.asarray(ts)))
    return Trajectory(jnp.asarray(ts), qs, vs, energy, residual)


def _check_finite(system, trajectory) -> None:
    good = np.isfinite(trajectory.q).all((1, 2)) & np.isfinite(trajectory.v).all((1, 2))
    if good.all():
        return
    bad = int(np.argmin(good))
    last = max(bad - 1, 0)
    found = system.solve(trajectory.q[last], trajectory.v[last], trajectory.t[last])
    raise FloatingPointError(
        f"rollout: no finite state after t = {float(trajectory.t[last]):.6g}. There the solver's status is "
        f"{int(found.status)} (0 good, 1 not positive definite, 2 singular), condition {float(found.condition):.1e}, "
        f"worst at node {int(found.node)}. A mass matrix that turns singular needs a kinetic prior or data near this "
        f"state; else take smaller steps (dt, max_steps)"
    )


def _traced(*values) -> bool:
    return any(isinstance(x, jax.core.Tracer) for x in jax.tree.leaves(values))

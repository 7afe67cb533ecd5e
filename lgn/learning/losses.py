"""Losses: functions (system, data) -> scalar > 0, each relative to the size of what it compares."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lgn.data.trajectories import States, Windows
from lgn.mechanics.system import require
from lgn.motion.rollout import Integrator

Data = States | Windows
Loss = Callable[[Any, Any], jax.Array]


def acceleration_loss(system, data: States) -> jax.Array:
    """Mean squared error of the acceleration relative to its mean square.

    Raises:
        ValueError: a system without `acceleration`, data without.
    """
    if data.a is None:
        raise ValueError("acceleration_loss: the data have no accelerations (a=None, first order); use rate_loss")
    return relative(accelerations(system, data), data.a)


def default_loss(data: Data) -> Loss:
    """`acceleration_loss` of states with accelerations, `rate_loss` of states of first order.

    Raises:
        ValueError: pieces of trajectories, which have several.
    """
    if not isinstance(data, States):
        raise ValueError(
            f"fit: {type(data).__name__} have no loss of their own; give loss=lgn.DiscreteLoss() for an EnergyFlow, "
            f"lgn.RolloutLoss(integrator, dt) for states, or lgn.variational_loss for positions of a Lagrangian"
        )
    return rate_loss if data.a is None else acceleration_loss


def rate_loss(system, data: States) -> jax.Array:
    """Mean squared errors of dq/dt and of dv/dt, or of du/dt, each relative to its mean square: for first order in
    time, and for systems whose dq/dt is learned too, such as a neural ODE."""
    found = on_samples(lambda system, state, t: system.rate(state, t), system, data)
    first, *others = (relative(a, b) for a, b in zip(found, data.rate, strict=True))
    return sum(others, first)


def residual_loss(system, data: States) -> jax.Array:
    """Mean square of M a - f relative to that of M a, with the measured a.

    Unlike the error of the acceleration it has no pole where M is singular, and takes no solve: from a start far
    from the solution a minimiser gets further with it. For L = 0 it is 0 / 0, and it is invariant to the scale
    of L. States where M is large outweigh the others: a small value need not mean a small error of the acceleration.
    See `residuals` to weigh states or nodes.

    Raises:
        ValueError: a system without `equation`, as only a Lagrangian has it.
    """
    difference, inertia = residuals(system, data)
    return jnp.mean(difference**2) / jnp.mean(inertia**2)


def residuals(system, data: States) -> tuple[jax.Array, jax.Array]:
    """M a - f and M a of every sample, (sample, node, dim)."""
    require(system, "equation", "residual_loss", "only a Lagrangian has it: use acceleration_loss or rate_loss")

    def one(system, state, t, a):
        mass, f = system.equation(*state, t)
        return mass @ a - f, mass @ a

    return on_samples(one, system, data, data.a)


def accelerations(system, data: States) -> jax.Array:
    """Of every sample, (sample, node, dim)."""
    require(system, "acceleration", "the acceleration of data", "use rate_loss")
    return on_samples(lambda system, state, t: system.acceleration(*state, t), system, data)


@dataclass(frozen=True)
class RolloutLoss:
    """Mean squared error of all states after the first of each piece, reached by an integrator from the first.

    Relative to the mean squares of q and v. One step is a piece of two states, k steps one of k + 1.

    Args:
        integrator: follows the system; fixed steps cost least.
        dt: time between two states of a piece.

    Example:
        >>> import jax.numpy as jnp, lgn, numpy as np
        >>> def oscillator(q, v, features): return 0.5 * v[0, 0] ** 2 - 0.5 * q[0, 0] ** 2
        >>> t = np.arange(9) * 0.1
        >>> data = lgn.windows(t, np.cos(t)[:, None, None], -np.sin(t)[:, None, None], length=4)
        >>> loss = lgn.RolloutLoss(lgn.ImplicitMidpoint(0.05), dt=0.1)
        >>> bool(loss(lgn.Lagrangian(lgn.single_node(), oscillator), data) < 1e-6)
        True
    """

    integrator: Integrator
    dt: float

    def __call__(self, system, data: Windows) -> jax.Array:
        if data.v is None:
            raise ValueError("RolloutLoss: the data have no velocities to start from; use variational_loss")
        ts = self.dt * np.arange(data.q.shape[1])

        def run(system, state, t):
            return self.integrator(system, tuple(x[0] for x in state), ts)

        found = on_samples(run, system, data)
        first, *others = (relative(a[:, 1:], b[:, 1:]) for a, b in zip(found, data.state, strict=True))
        return sum(others, first)


def variational_loss(system, data: Windows) -> jax.Array:
    """Residual of the discrete Euler-Lagrange equations: learns from positions alone.

    With the midpoint rule L_d(q_0, q_1) = dt L((q_0 + q_1) / 2, (q_1 - q_0) / dt), true positions make

        r = dL_d/dq_1 (q_0, q_1) + dL_d/dq_1 (q_1, q_2) + dt/2 (F_01 + F_12)

    vanish, but r also vanishes for L = 0. The loss is therefore the mean square of M^-1 r / dt, the error of an
    acceleration, which is invariant to the scale of L, relative to that of (q_2 - 2 q_1 + q_0) / dt^2.

    Args:
        system: a Lagrangian, on any graph.
        data: `Windows` of three positions or more.

    Raises:
        ValueError: pieces of fewer than three positions, a system without `momentum_balance`.

    Source: Marsden and West 2001, Discrete mechanics and variational integrators, Acta Numerica 10, section 1.
    """
    if data.q.shape[1] < 3:
        raise ValueError(f"variational_loss: pieces of {data.q.shape[1]} positions; cut windows of length=3 or more")

    remedy = "only a Lagrangian has a discrete action: use RolloutLoss"
    require(system, "momentum_balance", "variational_loss", remedy)

    def residual(system, state, t, dt):
        q = state[0]
        times = t + dt * (jnp.arange(len(q) - 1) + 0.5)
        middle, speed = (q[1:] + q[:-1]) / 2, (q[1:] - q[:-1]) / dt
        mass, momentum, push = jax.vmap(system.momentum_balance)(middle, speed, times)
        arrived, left = momentum + dt / 2 * push, momentum - dt / 2 * push
        impulse = (arrived[:-1] - left[1:]) / dt
        before = jax.tree.map(lambda x: x[:-1], mass)
        return jax.vmap(lambda *x: system.response(*x).value)(before, impulse)

    error = on_samples(residual, system, data, data.dt)
    seen = jnp.diff(data.q, 2, axis=1) / data.dt[:, None, None, None] ** 2
    return jnp.mean(error**2) / jnp.mean(seen**2)


def on_samples(evaluate: Callable, system, data: Data, *more):
    """`evaluate(system, state, t, *more)` of every sample, with the features and the control that it has."""

    def one(state, t, features, *more):
        return evaluate(system.replace(**features) if features else system, state, t, *more)

    t = jnp.zeros(len(data.q), data.q.dtype) if data.t is None else data.t
    return jax.vmap(one)(data.state, t, data.features, *more)


def relative(found, exact) -> jax.Array:
    """Mean squared error relative to the mean square."""
    return jnp.mean((found - exact) ** 2) / jnp.mean(exact**2)

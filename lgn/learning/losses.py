"""Losses: of accelerations, rates, motions, discrete laws and weights, each relative to the size of what it compares.

What was not seen does not count. Each takes an `error`, by default the mean square; see `Huber`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from lgn import _arguments
from lgn.assembly.discrete_gradient import MeanValue
from lgn.data.samples import States, Windows
from lgn.learning.loss import Data, Error, Loss, LossLike, as_loss, relative
from lgn.learning.samples import at_states, on_samples
from lgn.mechanics.system import offered, require
from lgn.motion.rollout import Integrator, check_integrator


class Start(nnx.Param):
    """Free initial state, trained together with a system but not one of its weights."""


def acceleration_loss(system, data: States, error: Error = relative) -> jax.Array:
    """Mean squared error of the acceleration relative to its mean square.

    Args:
        system: a Lagrangian, or another with `acceleration`.
        data: states with accelerations (sample, node, dim).
        error: how accelerations are compared.

    Raises:
        ValueError: a system without `acceleration`, data without.
    """
    if expect(data, States, "acceleration_loss").a is None:
        raise ValueError("acceleration_loss: the data have no accelerations (a=None, first order); use rate_loss")
    return error(accelerations(system, data), data.rate[1], counted(data))


def default_loss(data: Data) -> LossLike:
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


def rate_loss(system, data: States, error: Error = relative) -> jax.Array:
    """Mean squared errors of dq/dt and of dv/dt, or of du/dt, each relative to its mean square: for first order in
    time, and for systems whose dq/dt is learned too, such as a neural ODE.

    Args:
        system: any system.
        data: states with their rates (sample, node, dim).
        error: how rates are compared.
    """
    expect(data, States, "rate_loss")
    require(system, "rate", "rate_loss", "give a Lagrangian, an EnergyFlow or a Baseline")
    found = on_samples(lambda system, state, t: system.rate(state, t), system, data)
    return total(error, found, data.rate, counted(data))


def residual_loss(system, data: States, error: Error = relative) -> jax.Array:
    """Mean square of M a - f relative to that of M a, with the measured a.

    Unlike the error of the acceleration it has no pole where M is singular, and takes no solve: from a start far
    from the solution a minimiser gets further with it. For L = 0 it is 0 / 0, and it is invariant to the scale
    of L. States where M is large outweigh the others: a small value need not mean a small error of the acceleration.
    See `residuals` to weigh states or nodes. A node counts where the accelerations of all nodes that share an element
    with it were seen, for M a reads these; clamped nodes, on which an unknown force acts, do not count.

    Args:
        system: a Lagrangian.
        data: states with accelerations (sample, node, dim).
        error: how M a and f are compared.

    Raises:
        ValueError: a system without `equation`, as only a Lagrangian has it.
    """
    difference, inertia = residuals(system, data)
    free = system.domain.free
    if data.seen is None and free.all():
        return error(inertia - difference, inertia)
    complete = free if data.seen is None else free & _complete(system, data.seen)[..., None]
    return error(inertia - difference, inertia, complete * jnp.ones_like(inertia))


def residuals(system, data: States) -> tuple[jax.Array, jax.Array]:
    """Residual M a - f, and M a, of every sample, (sample, node, dim), with 0 for an acceleration that was not seen."""
    require(system, "equation", "residual_loss", "only a Lagrangian has it: use acceleration_loss or rate_loss")
    if expect(data, States, "residual_loss").a is None:
        raise ValueError("residual_loss: the data have no accelerations (a=None, first order); use rate_loss")

    def one(system, state, t, a):
        mass, f = system.equation(*state, t)
        return mass @ a - f, mass @ a

    return at_states(one, system, data, data.rate[1])


def accelerations(system, data: States) -> jax.Array:
    """Accelerations of a system at every sample, (sample, node, dim)."""
    expect(data, States, "accelerations")
    require(system, "acceleration", "the acceleration of data", "use rate_loss")
    return at_states(lambda system, state, t: system.acceleration(*state, t), system, data)


@dataclass(frozen=True)
class MotionLoss(Loss):
    """Base class of losses that compare the states of pieces with motions.

    Args:
        integrator: follows the system; fixed steps cost least.
        dt: time between two states of a piece.
        error: how states are compared.
    """

    integrator: Integrator
    dt: float
    error: Error = relative

    def __post_init__(self):
        check_integrator(self.integrator)
        _arguments.positive(f"{type(self).__name__}: dt", self.dt)

    def times(self, data: Windows) -> np.ndarray:
        """(time,) of the states of a piece, from its first."""
        return self.dt * np.arange(expect(data, Windows, type(self).__name__).q.shape[1])


class RolloutLoss(MotionLoss):
    """Mean squared error of all states after the first of each piece, reached by an integrator from the first.

    Relative to the mean squares of q and v. One step is a piece of two states, k steps one of k + 1. A piece whose
    first state was not seen at every node does not count: `ShootingLoss` finds the starts instead.

    Example:
        >>> import jax.numpy as jnp, lgn, numpy as np
        >>> def oscillator(q, v, features): return 0.5 * v[0, 0] ** 2 - 0.5 * q[0, 0] ** 2
        >>> t = np.arange(9) * 0.1
        >>> data = lgn.windows(t, np.cos(t)[:, None, None], -np.sin(t)[:, None, None], length=4)
        >>> loss = lgn.RolloutLoss(lgn.ImplicitMidpoint(0.05), dt=0.1)
        >>> bool(loss(lgn.Lagrangian(lgn.single_node(), oscillator), data) < 1e-6)
        True
    """

    def __call__(self, system, data: Windows) -> jax.Array:
        ts = self.times(data)
        if data.v is None and offered(system, "momentum_balance") is not None:
            raise ValueError(
                "RolloutLoss: the data have no velocities to start from; use variational_loss, or, where positions are "
                "noisy, ShootingLoss"
            )

        def run(system, state, t):
            return self.integrator(system, tuple(x[0] for x in state), ts)

        found, later = on_samples(run, system, data), counted(data)
        if later is not None:
            later = later[:, 1:] & later[:, :1].all(2, keepdims=True)
        return total(self.error, [x[:, 1:] for x in found], [x[:, 1:] for x in data.state], later)

    def judge(self, data: Windows) -> "RolloutLoss | None":
        """Loss of held-out data: itself, where motions are followed further than a step."""
        return self if data.q.shape[1] > 2 else None

    def check(self, system, data: Windows) -> None:
        """Raises ValueError where no piece has a first state that was seen at every node."""
        if data.seen is not None and not np.asarray(data.seen)[:, 0].all(1).any():
            raise ValueError(
                "RolloutLoss: no piece has a first state that was seen at every node, to start from; use lgn.Shooting "
                "with lgn.ShootingLoss, which finds the starts"
            )


def variational_loss(system, data: Windows, error: Error = relative) -> jax.Array:
    """Residual of the discrete Euler-Lagrange equations: learns from positions alone.

    With the midpoint rule L_d(q_0, q_1) = dt L((q_0 + q_1) / 2, (q_1 - q_0) / dt), true positions make

        r = dL_d/dq_1 (q_0, q_1) + dL_d/dq_1 (q_1, q_2) + dt/2 (F_01 + F_12)

    vanish, but r also vanishes for L = 0. The loss is therefore the mean square of M^-1 r / dt, the error of an
    acceleration, which is invariant to the scale of L, relative to that of (q_2 - 2 q_1 + q_0) / dt^2.

    Three positions count where all nodes were seen at all three times. Noise on positions is amplified by 2.4 / dt^2:
    where that is not small beside the accelerations, use `ShootingLoss`.

    Args:
        system: a Lagrangian, on any graph.
        data: `Windows` of three positions or more.
        error: how the two sides are compared.

    Raises:
        ValueError: pieces of fewer than three positions, a system without `momentum_balance`.

    Source: Marsden and West 2001, Discrete mechanics and variational integrators, Acta Numerica 10, section 1.
    """
    if expect(data, Windows, "variational_loss").q.shape[1] < 3:
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

    off = on_samples(residual, system, data, data.dt)
    seen = jnp.diff(data.state[0], 2, axis=1) / data.dt[:, None, None, None] ** 2
    return error(seen + off, seen, whole(data, 3))


@dataclass(frozen=True, eq=False)
class DiscreteLoss(Loss):
    """Mean square of (u' - u) / dt - G grad-bar H(u', u) over successive states, relative to that of (u' - u) / dt; the
    sum over the fields of a state.

    `MeanValue(2)` costs least in training; a motion may then use `Automatic()`, which conserves H exactly.

    Args:
        gradient: the discrete gradient that is trained.
        weight: a linear map of (node, dim) by which both sides are compared, such as G^+,
            `flow.structure.pseudo_inverse(dim)`: the potential form, which compares grad-bar H with G^+ du/dt and is
            needed where G is stiff, for its largest eigenvalues would outweigh all others.
        error: how the two sides are compared; two states count where all nodes were seen in both.

    Raises:
        ValueError: data of other fields than the system's, a system without an energy of densities.

    Source: Matsubara, Ishikawa, Yaguchi 2020, arXiv 1905.08604, section 3.3.

    Example:
        >>> import jax.numpy as jnp, lgn, numpy as np
        >>> def spring(u, features): return u[0, 0] ** 2 + u[0, 1] ** 2
        >>> flow = lgn.EnergyFlow(lgn.single_node(), spring, structure=lgn.Symplectic())
        >>> t = 0.05 * np.arange(9)
        >>> pairs = lgn.windows(t, np.stack([np.cos(2 * t), -np.sin(2 * t)], 1)[:, None], length=2)
        >>> bool(lgn.DiscreteLoss()(flow, pairs) < 1e-5)
        True
    """

    gradient: Any = field(default_factory=lambda: MeanValue(2))
    weight: Callable | None = None
    error: Error = relative

    def __post_init__(self):
        _arguments.called("gradient", self.gradient, "lgn.Automatic(), lgn.MeanValue() or lgn.Gonzalez()")
        if self.weight is not None:
            _arguments.called("weight", self.weight, "a function of (node, dim)")

    def __call__(self, system, data: Windows) -> jax.Array:
        expect(data, Windows, "DiscreteLoss")
        remedy = "give an EnergyFlow or a Lagrangian, or use RolloutLoss"
        require(system, "discrete_rate", "DiscreteLoss", remedy)
        weigh = self.weight or (lambda x: x)

        def sides(system, state, t, dt):
            """Both sides of the law, each field (interval, node, dim)."""

            def one(before, after, t):
                found = system.discrete_rate(self.gradient, after, before, t + dt / 2)[0]
                seen = jax.tree.map(lambda a, b: (a - b) / dt, after, before)
                return jax.tree.map(weigh, (found, seen))

            times = t + dt * jnp.arange(len(state[0]) - 1)
            return jax.vmap(one)(tuple(x[:-1] for x in state), tuple(x[1:] for x in state), times)

        found, seen = on_samples(sides, system, data, data.dt)
        return total(self.error, found, seen, whole(data, 2))

    def mark(self, system):
        """Trained system, which knows by which discrete gradient."""
        return offered(system, "trained_by")(self.gradient)


@dataclass(frozen=True)
class WeightPenalty(Loss):
    """loss + strength * (sum of the squares of all kernels), the parameters that are matrices;
    initial states of `Shooting` are not penalised.

    Held-out data are judged by the loss alone. Measured beside other remedies in docs/training.md.

    Args:
        strength: in the unit of the loss, which is relative; of the order of the square of the relative noise over the
            number of weights.
        loss: of the data.

    Raises:
        ValueError: a strength that is negative or not finite.

    Example:
        >>> import jax, lgn
        >>> from flax import nnx
        >>> from lgn.systems import wave
        >>> L = lgn.Lagrangian(lgn.lattice((5,)), lgn.MLPDensity(3, 1, (4,), rngs=nnx.Rngs(0)))
        >>> data = wave.sample(jax.random.key(0), 20, 5)
        >>> bool(lgn.WeightPenalty(1e-3)(L, data) > lgn.acceleration_loss(L, data))
        True
    """

    strength: float
    loss: LossLike = acceleration_loss

    def __post_init__(self):
        _arguments.positive("WeightPenalty: strength", self.strength, zero=True)
        _arguments.called("WeightPenalty: loss", self.loss, "lgn.acceleration_loss or another loss")

    def __call__(self, system, data) -> jax.Array:
        weights = nnx.state(system, nnx.All(nnx.Param, nnx.Not(Start)))
        kernels = [x for x in jax.tree.leaves(weights) if x.ndim > 1]
        return self.loss(system, data) + self.strength * sum((jnp.sum(x**2) for x in kernels), jnp.zeros(()))

    def check(self, system, data) -> None:
        """Raises ValueError as the loss does."""
        as_loss(self.loss).check(system, data)

    def judge(self, data) -> LossLike | None:
        """Loss of held-out data: that of the loss, without the penalty."""
        return as_loss(self.loss).judge(data)

    def mark(self, system) -> Any:
        """Trained system, as the loss marks it."""
        return as_loss(self.loss).mark(system)


def expect(data: Any, kind: type, caller: str) -> Any:
    """Data, of the kind that a loss takes. Raises ValueError else."""
    remedy = "lgn.windows(t, q, v, length=2)" if kind is Windows else "lgn.States(q, v, a), or States(u, rate)"
    return _arguments.of_kind(f"{caller}: data", data, kind, f"{remedy}, or use a loss of such data")


def total(error: Error, found, exact, which=None) -> jax.Array:
    """Sum of the errors of all fields."""
    first, *others = (error(a, b, which) for a, b in zip(found, exact, strict=True))
    return sum(others, first)


def _complete(system, seen):
    """Mask (sample, node): where all nodes that share an element were seen."""
    seen = complete = jnp.asarray(seen)
    for table in (term.stencil.index for term in system.terms):
        together = jnp.broadcast_to(seen[:, table].all(2)[..., None], (len(seen), *table.shape))
        complete = complete.at[:, table].min(together)
    return complete


def counted(data: Data):
    """Mask (..., node, 1) of what was seen; None where all was."""
    return None if data.seen is None else data.seen[..., None]


def whole(data: Windows, length: int):
    """Mask (sample, piece, 1, 1): which `length` successive states of the windows were seen at every node."""
    if data.seen is None:
        return None
    seen, last = data.seen.all(2), data.seen.shape[1] - length + 1
    return jnp.stack([seen[:, i : i + last] for i in range(length)]).all(0)[:, :, None, None]

"""DiscreteGradient: implicit steps that keep the law of the energy exactly, of energy flows and of Lagrangians."""

from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp

from lgn import _arguments
from lgn.assembly.discrete_gradient import Automatic
from lgn.assembly.domain import State
from lgn.mechanics.system import require
from lgn.motion.implicit import newton
from lgn.motion.integrators import ImplicitSteps


@dataclass(frozen=True)
class DiscreteGradient(ImplicitSteps):
    """Implicit steps by a discrete gradient, grad-bar H . (u' - u) = H(u') - H(u):

        u' - u = dt G grad-bar H(u', u)

    of an `EnergyFlow`, and of a `Lagrangian`, with e_q, e_v the discrete gradient of its energy E(q, v), M and
    C = d2L/dv dq at the midpoint, w = M^-1 e_v and the forces F - dR/dv at the midpoint and w,

        q' - q = dt w,    v' - v = dt M^-1 (-e_q + (C^T - C) w + F - dR/dv).

    Energy changes by dt grad-bar H . G grad-bar H, or dt w . (F - dR/dv): it is constant, or never rises, at any dt, to
    the rounding of a step. Order 2, symmetric in time.

    Each step is solved by a fixed point while that contracts fourfold, else by Newton's method with the derivative of
    grad-bar H in element blocks, dense for up to 100 unknowns, beyond by BiCGStab. The first guess goes on as the last
    step did.

    Args:
        dt: largest step; each interval of ts is cut into equal steps no longer than that.
        gradient: `Automatic()`, or `MeanValue(points)`, which keeps energy to its quadrature, or `Gonzalez()`.
        tolerance: of u', absolute and relative; no less than 10 machine epsilons are asked for.
        limit: most iterations of a step; beyond, the motion is NaN, and `rollout` raises an error.

    Raises:
        ValueError: a dt or a tolerance that is not positive, a limit that is not whole; a system without an energy of
            densities, such as a baseline; clamps that move.

    Source: Gonzalez 1996, J. Nonlinear Sci. 6, 449; Matsubara, Ishikawa, Yaguchi 2020, arXiv 1905.08604.

    Example:
        >>> import jax.numpy as jnp, lgn
        >>> def pendulum(u, features): return 0.5 * u[0, 1] ** 2 - jnp.cos(u[0, 0])
        >>> flow = lgn.EnergyFlow(lgn.single_node(), pendulum, structure=lgn.Symplectic())
        >>> motion = lgn.rollout(flow, jnp.array([[2.0, 0.0]]), jnp.linspace(0, 100, 11), lgn.DiscreteGradient(0.1))
        >>> bool(abs(motion.energy - motion.energy[0]).max() < 1e-5)
        True
    """

    dt: float
    gradient: Any = field(default_factory=Automatic)
    tolerance: float = 1e-14
    limit: int = 50

    def __post_init__(self):
        super().__post_init__()
        _arguments.called("gradient", self.gradient, "lgn.Automatic(), lgn.MeanValue() or lgn.Gonzalez()")

    def start(self, system, state: State, t):
        """The state, and no rate of it yet: that of a stiff system would lead too far."""
        return state, jax.tree.map(jnp.zeros_like, state)

    def step(self, system, carry, t, dt):
        """The next state, and the rate that led there."""
        before, pace = carry
        remedy = "give an EnergyFlow or a Lagrangian, or use Adaptive() or ImplicitMidpoint(dt)"
        discrete_rate = require(system, "discrete_rate", "DiscreteGradient", remedy)

        def equation(after):
            rate, derivative = discrete_rate(self.gradient, after, before, t + dt / 2)
            residual = jax.tree.map(lambda a, b, r: a - b - dt * r, after, before, rate)

            def linearised():
                product = derivative()
                return lambda change: jax.tree.map(lambda d, r: d - dt * r, change, product(change))

            return residual, linearised

        guess = jax.tree.map(lambda x, r: x + dt * r, before, pace)
        after = newton(equation, guess, self.tolerance, self.limit)
        return after, jax.tree.map(lambda a, b: (a - b) / dt, after, before)

    def state(self, system, carry, t) -> State:
        """The first of the two."""
        return carry[0]

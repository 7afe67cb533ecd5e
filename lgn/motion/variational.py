"""Variational: the integrator that follows from a discrete action; symplectic for any Lagrangian."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp

from lgn import _arrays
from lgn.assembly.domain import State
from lgn.mechanics.lagrangian import Lagrangian
from lgn.mechanics.system import require
from lgn.motion.implicit import fixed_point
from lgn.motion.integrators import ImplicitSteps


@dataclass(frozen=True)
class Variational(ImplicitSteps):
    """Discrete Euler-Lagrange equations of the midpoint rule L_d(q, q') = dt L((q + q') / 2, (q' - q) / dt).

    With m = q + dt w / 2 and the forces Q = dL/dq - dR/dv + F at (m, w, t + dt / 2), a step solves for w in

        p = dL/dv(m, w) - dt/2 Q,    q' = q + dt w,    p' = dL/dv(m, w) + dt/2 Q = p + dt Q.

    Without R and F it is symplectic for any L, also where M depends on q and v: the energy error stays bounded and of
    order dt^2 however long the motion, and momenta conserved by symmetry are exact to rounding. Order 2, symmetric
    in time; with R and F the discrete Lagrange-d'Alembert principle. Where L is quadratic it is `ImplicitMidpoint`.

    Solved by w += M^-1 (p - dL/dv + dt/2 Q) with M at the first guess, which the last three w extrapolate. An iteration
    reduces the error by about (dt omega)^2 / 4, with omega the highest frequency, or by dt |M^-1 (C - C^T + d2R/dvdv)|
    / 2 where that is more; C = d2L/dv dq.

    Args:
        dt: largest step; each interval of ts is cut into equal steps no longer than that.
        tolerance: of w, absolute and relative; no less than 10 machine epsilons are asked for.
        limit: most iterations of a step; beyond, the motion is NaN.

    Raises:
        ValueError: a dt or a tolerance that is not positive, a limit that is not whole; the system has no
            `momentum_balance`, as only a Lagrangian does.

    Source: Marsden and West 2001, Discrete mechanics and variational integrators, Acta Numerica 10, sections 1.5, 3.2.

    Example:
        >>> import jax.numpy as jnp, lgn
        >>> def bead(q, v, features): return 0.5 * (1 + q[0, 0] ** 2) * v[0, 0] ** 2 - 0.5 * q[0, 0] ** 2
        >>> L = lgn.Lagrangian(lgn.single_node(), bead)
        >>> start = jnp.array([[1.0]]), jnp.array([[0.0]])
        >>> energy = lgn.rollout(L, start, [0.0, 10.0, 1000.0], lgn.Variational(0.1)).energy
        >>> bool(abs(energy - 0.5).max() < 1e-3)
        True
    """

    dt: float
    tolerance: float = 1e-12
    limit: int = 50

    def start(self, system: Lagrangian, state: State, t):
        """q and p, and the last three w."""
        _balance(system, "Variational")
        q, v = state
        return q, system.momentum(q, v), (v, v, v)

    def step(self, system: Lagrangian, carry, t, dt):
        """The same of the next step."""
        q, p, (last, second, third) = carry

        def balanced(w):
            return system.momentum_balance(q + dt / 2 * w, w, t + dt / 2)

        def corrected(w, momentum, push):
            return w + system.response(mass, p - momentum + dt / 2 * push).value, push

        guess = _impose(system, 3 * last - 3 * second + third, lambda g: (g(t + dt) - q) / dt)
        mass, *rest = balanced(guess)
        start = corrected(guess, *rest)
        w, push = fixed_point(lambda x: corrected(x[0], *balanced(x[0])[1:]), start, self.tolerance, self.limit)
        return q + dt * w, p + dt * push, (w, last, second)

    def state(self, system: Lagrangian, carry, t) -> State:
        """q and v of q and p, by Newton's method."""
        q, p, (last, *_) = carry
        return q, _velocity(system, q, p, t, last, self.tolerance, self.limit)


def start_between(system: Lagrangian, q0, q1, dt: float, t: float = 0.0) -> State:
    """The state (q0, v) from which `Variational(dt)` is at q1 after one step, for motions known by two positions.

    v = H_p(q0, p) with p = -dL_d/dq_0 (q0, q1), which is the velocity at q0 to order dt^2; noise s on the positions
    makes 1.4 s / dt of it. A longer noisy piece gives its start by `Shooting`.

    Args:
        system: a Lagrangian.
        q0: (node, dim) at time t.
        q1: (node, dim) at time t + dt.
        dt: time between them.
        t: time of q0, where forces depend on it.

    Returns:
        (q, v) for `rollout`.

    Raises:
        ValueError: a system without a discrete action, positions of the wrong shape, dt that is not positive.

    Example:
        >>> import jax.numpy as jnp, lgn
        >>> def oscillator(q, v, features): return 0.5 * v[0, 0] ** 2 - 0.5 * q[0, 0] ** 2
        >>> L = lgn.Lagrangian(lgn.single_node(), oscillator)
        >>> start = lgn.start_between(L, jnp.array([[1.0]]), jnp.array([[0.9]]), dt=0.1)
        >>> lgn.rollout(L, start, [0.0, 0.1, 0.2], lgn.Variational(0.1)).q[:, 0, 0].round(4).tolist()
        [1.0, 0.9, 0.791]
    """
    integrator = Variational(dt)
    q0, q1 = (jnp.asarray(_arrays.floats(f"start_between: {name}", q)) for name, q in (("q0", q0), ("q1", q1)))
    _arrays.alike({"q0": q0.shape, "q1": q1.shape}, "has shape", "give two positions of the same nodes")
    balance = _balance(system, "start_between")
    begin, w = jnp.asarray(t, q0.dtype), (q1 - q0) / dt
    _, momentum, push = balance(q0 + dt / 2 * w, w, begin + dt / 2)
    return q0, _velocity(system, q0, momentum - dt / 2 * push, begin, w, integrator.tolerance, integrator.limit)


def _balance(system, asked_by):
    remedy = "only a Lagrangian has a discrete action: give one, or use Adaptive() or ImplicitMidpoint(dt)"
    return require(system, "momentum_balance", asked_by, remedy)


def _velocity(system, q, p, t, guess, tolerance, limit):
    """v of p = dL/dv(q, v), by Newton's method."""

    def corrected(v):
        mass, momentum, _ = system.momentum_balance(q, v, t)
        return v + system.response(mass, p - momentum).value

    guess = _impose(system, guess, lambda g: jax.jvp(g, (t,), (jnp.ones_like(t),))[1])
    return fixed_point(corrected, guess, tolerance, limit)


def _impose(system, v, rate):
    """v with `rate(motion)` in the rows of the clamped nodes; clamps at rest need nothing, for v is zero there."""
    motion, free = system.domain.motion, system.domain.free
    return v if motion is None else jnp.where(free, v, jnp.asarray(rate(motion), v.dtype))

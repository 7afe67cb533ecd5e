"""Integrators: from a rate to the states at given times. Adaptive steps are diffrax's, implicit ones in `steps`."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp

from lgn import _arguments, _arrays
from lgn.assembly.domain import State
from lgn.mechanics.system import System, require
from lgn.motion.implicit import fixed_point
from lgn.motion.steps import check_steps, fixed_steps, prepend


@dataclass(frozen=True)
class Adaptive:
    """Dormand-Prince of order 8 with steps chosen by an error estimate.

    Args:
        rtol: relative tolerance of a step.
        atol: absolute tolerance of a step.
        max_steps: number of steps after which the integration stops; the states beyond are infinite. Where steps
            shrink below the rounding of t, it stops too, and the states beyond are NaN.

    Raises:
        ValueError: tolerances that are not positive, or both below a thousandth of the rounding of the states, where
            steps would shrink without end; steps that are not whole.
    """

    rtol: float = 1e-9
    atol: float = 1e-9
    max_steps: int = 1_000_000

    def __post_init__(self):
        _arguments.positive("Adaptive: rtol", self.rtol)
        _arguments.positive("Adaptive: atol", self.atol, zero=True)
        _arguments.whole("Adaptive: max_steps", self.max_steps)

    def __call__(self, system: System, state: State, ts) -> State:
        """The states at ts, each field (time, node, dim); only these are kept."""
        import diffrax

        _arrays.above_rounding("Adaptive: rtol", max(self.rtol, self.atol), jnp.result_type(*state), 1e-3)
        ts = jnp.asarray(ts)
        solution = diffrax.diffeqsolve(
            diffrax.ODETerm(lambda t, state, system: system.rate(state, t)),
            diffrax.Dopri8(),
            ts[0],
            ts[-1],
            None,
            state,
            args=system,
            saveat=diffrax.SaveAt(ts=ts),
            stepsize_controller=diffrax.PIDController(
                rtol=self.rtol, atol=self.atol, dtmin=_rounding(ts), force_dtmin=False
            ),
            max_steps=self.max_steps,
            throw=False,
        )
        shrunk = solution.result == diffrax.RESULTS.dt_min_reached
        return jax.tree.map(lambda x: jnp.where(shrunk & jnp.isinf(x), jnp.nan, x), solution.ys)


def _rounding(ts) -> jax.Array:
    """The step at which time hardly moves: at a pole, or at what is not finite, there would be no end. Twice the
    rounding of the last time, because diffrax takes no step below one."""
    return 2 * jnp.finfo(ts.dtype).eps * jnp.abs(ts).max()


@dataclass(frozen=True)
class ImplicitMidpoint:
    """Fixed steps y' = y + dt f((y + y') / 2): order 2, symmetric in time, exact for quadratic invariants.

    Args:
        dt: largest step; each interval of ts is cut into equal steps no longer than that.
        tolerance: of the fixed-point iteration for y', which converges for dt below 2 / (highest frequency); no less
            than 10 machine epsilons are asked for.
        limit: most iterations of it.

    Raises:
        ValueError: a dt or a tolerance that is not positive, a limit that is not whole.
    """

    dt: float
    tolerance: float = 1e-12
    limit: int = 100

    def __post_init__(self):
        check_steps(self)

    def __call__(self, system: System, state: State, ts) -> State:
        """The states at ts, each field (time, node, dim)."""

        def step(state, t, dt):
            def image(guess):
                middle = jax.tree.map(lambda a, b: (a + b) / 2, state, guess)
                return jax.tree.map(lambda x, r: x + dt * r, state, system.rate(middle, t + dt / 2))

            guess = jax.tree.map(lambda x, r: x + dt * r, state, system.rate(state, t))
            return fixed_point(image, guess, self.tolerance, self.limit)

        return prepend(state, fixed_steps(step, state, ts, self.dt, output=lambda state, t: state))


@dataclass(frozen=True)
class Verlet:
    """Fixed steps of velocity Verlet, one acceleration a step: q' = q + dt v + dt^2 a / 2, v' = v + dt (a + a') / 2.

    Order 2, explicit, stable for dt below 2 / (highest frequency); symplectic where a does not depend on v,
    nearly so where the mass matrix is nearly constant. a' is taken at v + dt a, which keeps order 2 in any case.

    Args:
        dt: largest step; each interval of ts is cut into equal steps no longer than that.

    Raises:
        ValueError: a dt that is not positive.
    """

    dt: float

    def __post_init__(self):
        _arguments.positive("Verlet: dt", self.dt)

    def __call__(self, system: System, state: State, ts) -> State:
        """q and v at ts, (time, node, dim)."""
        acceleration = require(system, "acceleration", "Verlet", "use Adaptive() or ImplicitMidpoint(dt)")

        def step(state, t, dt):
            q, v, a = state
            q, guess = q + dt * v + 0.5 * dt**2 * a, v + dt * a
            following = acceleration(q, guess, t + dt)
            return q, v + 0.5 * dt * (a + following), following

        start = *state, acceleration(*state, ts[0])
        return prepend(state, fixed_steps(step, start, ts, self.dt, output=lambda state, t: state[:2]))

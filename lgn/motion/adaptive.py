"""Adaptive: diffrax's method of order 8 and its choice of steps, in a loop whose programs hold no call of the host."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from lgn import _arguments, _arrays
from lgn.assembly.domain import State
from lgn.mechanics.system import System
from lgn.motion.integrators import Integrator

FIRST = 0.01  # step that is tried first, as `diffrax.diffeqsolve` does; one that is too long is not kept
CHECKPOINTS = 64  # steps of an interval that a reverse derivative keeps; it follows the others again from those


@dataclass(frozen=True)
class Adaptive(Integrator):
    """Dormand-Prince of order 8 with steps chosen by an error estimate, both diffrax's, and its interpolation.

    The loop around them is lgn's: `diffrax.diffeqsolve` checks values on the host, and jax keeps no program on disk
    that calls the host.

    Args:
        rtol: relative tolerance of a step.
        atol: absolute tolerance of a step.
        max_steps: number of steps after which the integration stops; the states beyond are infinite. Where steps
            shrink below the rounding of t, it stops too, and the states beyond are NaN.

    Raises:
        ValueError: tolerances that are not positive, or both below a thousandth of the rounding of the states, where
            steps would shrink without end; steps that are not whole.

    Source: Prince and Dormand 1981, J. Comput. Appl. Math. 7, 67.
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
        import equinox.internal as eqxi

        dtype = jnp.result_type(*state)
        _arrays.above_rounding("Adaptive: rtol", max(self.rtol, self.atol), dtype, 1e-3)
        ts, state = jnp.asarray(ts, dtype), jax.tree.map(lambda x: jnp.asarray(x, dtype), tuple(state))
        last, least = ts[-1], _rounding(ts)
        term, solver = diffrax.ODETerm(lambda t, state, system: system.rate(state, t)), diffrax.Dopri8()
        controller = diffrax.PIDController(rtol=self.rtol, atol=self.atol, dtmin=least, force_dtmin=False)
        order = solver.error_order(term)
        end, control = controller.init(term, ts[0], last, state, jnp.asarray(FIRST, dtype), system, solver.func, order)
        end = jnp.minimum(end, last)
        memory = solver.init(term, ts[0], end, state, system)
        nothing = jax.eval_shape(lambda: solver.step(term, ts[0], end, state, system, memory, False)[2])
        dense = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), nothing)

        def step(carry):
            t, end, y, memory, control, tried, _, *_ = carry
            found, error, dense, after, _ = solver.step(term, t, end, y, system, memory, False)
            error = jax.tree.map(lambda x: jnp.where(jnp.isnan(x), jnp.inf, x), error)
            kept, start, following, _, control, result = controller.adapt_step_size(
                t, end, y, found, system, error, order, control
            )
            beyond = jnp.where(kept, last, start + 0.5 * (last - start))
            following = jnp.where(following > last - 50 * least, beyond, following)  # no last step that is hardly any
            y, memory = jax.tree.map(lambda a, b: jnp.where(kept, a, b), (found, after), (y, memory))
            shrunk = result == diffrax.RESULTS.dt_min_reached
            return jnp.minimum(start, last), following, y, memory, control, tried + 1, shrunk, t, end, dense

        def until(carry, t):
            carry = eqxi.while_loop(
                lambda carry: (carry[0] < t) & (carry[5] < self.max_steps) & ~carry[6],
                step, carry, max_steps=self.max_steps, kind="checkpointed", checkpoints=CHECKPOINTS,
            )  # fmt: skip
            reached, _, _, _, _, _, shrunk, before, end, dense = carry
            y = solver.interpolation_cls(t0=before, t1=end, **dense).evaluate(t)
            return carry, jax.tree.map(lambda x: jnp.where(reached >= t, x, jnp.where(shrunk, jnp.nan, jnp.inf)), y)

        start = ts[0], end, state, memory, control, 0, jnp.array(False), ts[0], end, dense
        # of an interval a reverse derivative keeps the start alone, not the steps with their stages
        later = lax.scan(jax.checkpoint(until), start, ts[1:])[1]
        return jax.tree.map(lambda a, b: jnp.concatenate([a[None], b]), state, later)

    def remedy(self, system: System, state: State, t) -> str:
        """Smaller tolerances; larger ones where steps shrink to nothing because theirs are below rounding."""
        eps = np.finfo(t.dtype).eps
        held = "" if self.rtol > 10 * eps else f", or larger ones, for {t.dtype} holds no error below {eps:.0e}"
        return f"give smaller tolerances than rtol={self.rtol:g}, atol={self.atol:g}{held}"

    def stopped(self, state: State) -> str:
        """At its limit of steps, where all is infinite."""
        if not jnp.isinf(state[0]).all():
            return ""
        return (
            f"Adaptive took all of its max_steps={self.max_steps}; give more, or larger tolerances than "
            f"rtol={self.rtol:g}, atol={self.atol:g}"
        )


def _rounding(ts) -> jax.Array:
    """The step at which time hardly moves: at a pole, or at what is not finite, there would be no end. Twice the
    rounding of the last time, because diffrax takes no step below one."""
    return 2 * jnp.finfo(ts.dtype).eps * jnp.abs(ts).max()

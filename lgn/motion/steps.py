"""Steps: what fixed-step integrators share: the way from one output time to the next, and implicit equations."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from lgn import _arguments


def check_steps(integrator: Any) -> None:
    """Raises ValueError: a largest step or a tolerance that is not positive, a limit that is not whole."""
    name = type(integrator).__name__
    _arguments.positive(f"{name}: dt", integrator.dt)
    _arguments.positive(f"{name}: tolerance", integrator.tolerance)
    _arguments.whole(f"{name}: limit", integrator.limit)


def fixed_steps(step: Callable, state: Any, ts, dt: float, output: Callable) -> Any:
    """`output(state, t)` at each of ts[1:], stacked, with `state = step(state, t, h)` in between.

    Every interval of ts is cut into the same number of equal steps h, the least for which none is longer than dt; one
    of no length, which pads ts, into none. Where ts is traced, so is that number: a program for any times, without a
    reverse derivative.
    """
    known = not isinstance(ts, jax.core.Tracer)
    xp = np if known else jnp
    count = xp.maximum(1, xp.ceil(xp.max(xp.diff(ts), initial=0.0) / dt - 1e-9).astype(int))

    def interval(state, ends):
        t, h = ends[0], (ends[1] - ends[0]) / count
        steps = int(count) if known else jnp.where(h > 0, count, 0)
        state = lax.fori_loop(0, steps, lambda i, state: step(state, t + i * h, h), state)
        return state, output(state, ends[1])

    return lax.scan(interval, state, (ts[:-1], ts[1:]))[1]


def prepend(first: Any, later: Any) -> Any:
    """The state at ts[0], followed by those at ts[1:]."""
    return jax.tree.map(lambda a, b: jnp.concatenate([a[None], b]), first, later)


def fixed_point(image: Callable, guess: Any, tolerance: float, limit: int) -> Any:
    """x of x = image(x) by iteration; NaN if `limit` iterations do not find it.

    Its derivative is that of the implicit function, found by a similar iteration, not that of the iterations.

    Args:
        image: of a tree of arrays.
        guess: where to begin.
        tolerance: of a change of x, absolute and relative; no less than 10 machine epsilons are asked for.
        limit: most iterations.
    """

    def solve(_, x):
        return _iterate(image, x, tolerance, limit)

    def solve_tangent(without, right):
        """x of x - J x = right, where `without` is 1 - J."""

        def repeat(without, right):
            def image(x):
                return jax.tree.map(lambda x, y, r: x - y + r, x, without(x), right)

            return _iterate(image, right, tolerance, limit)

        return lax.custom_linear_solve(without, right, repeat, repeat)

    return lax.custom_root(lambda x: jax.tree.map(jnp.subtract, x, image(x)), guess, solve, solve_tangent)


def _iterate(image, x, tolerance, limit):
    dtype = jnp.result_type(*jax.tree.leaves(x))
    tolerance = max(tolerance, 10 * float(jnp.finfo(dtype).eps))

    def far(x, y):
        excess = jax.tree.map(lambda x, y: jnp.max(jnp.abs(x - y) - tolerance * (1 + jnp.abs(y))), x, y)
        return ~(jnp.max(jnp.stack(jax.tree.leaves(excess))) <= 0)

    def again(state):
        x, _, count = state
        following = image(x)
        return following, far(x, following), count + 1

    x, unsolved, _ = lax.while_loop(lambda state: state[1] & (state[2] < limit), again, (x, jnp.array(True), 0))
    return jax.tree.map(lambda x: jnp.where(unsolved, jnp.nan, x), x)

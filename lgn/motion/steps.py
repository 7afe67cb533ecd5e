"""Steps: the loop over output times that fixed-step integrators share."""

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

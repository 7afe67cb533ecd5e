"""Kinks: random states of a chain that carries a kink, for any equation that has one."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from lgn import _draws
from lgn.data.samples import States


def shaken(kink: Callable, acceleration: Callable, key: jax.Array, count: int, n_node: int, spacing: float) -> States:
    """States of kinks of any place on the chain and any speed below 0.9, with exact accelerations.

    Independent normal numbers shake them: v by these, q by `spacing` times these, which makes slopes of order 1.

    Args:
        kink: (position (node,), speed) -> q and v, each (node, 1).
        acceleration: (q (..., node, 1), spacing) -> a.
        key: of jax.random.
        count: how many.
        n_node: nodes of the chain.
        spacing: distance between two nodes.
    """
    place, speed, shake = jax.random.split(key, 3)
    length = spacing * (n_node - 1)
    x = spacing * jnp.arange(n_node) - length * _draws.uniform(place, (count, 1))
    q, v = jax.vmap(kink)(x, _draws.uniform(speed, (count,), minval=-0.9, maxval=0.9))
    dq, dv = _draws.normal(shake, (2, count, n_node, 1))
    q, v = q + spacing * dq, v + dv
    return States(q, v, acceleration(q, spacing))

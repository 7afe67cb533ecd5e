"""Chains that carry kinks, u_tt = u_xx - V'(u) on nodes a distance h apart, with free ends: `phi4` and `sine_gordon`.

    l = h [v^2 / 2 - ((q[i+1] - q[i]) / h)^2 / 2 - V(q)],    a = (q[i+1] - 2 q[i] + q[i-1]) / h^2 - V'(q).

The wave speed is 1; the chain approaches the equation as h^2.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from lgn import _arguments, _draws
from lgn.data.samples import States

SPACING = 0.1


def density(potential: Callable, q, v, features):
    """l on the node stencil of `lgn.lattice((n,), spacing=h, periodic=False)`, slots self, left, right."""
    h = features["measure"]
    return h * (0.5 * v[0, 0] ** 2 - 0.5 * ((q[2, 0] - q[0, 0]) / h) ** 2 - potential(q[0, 0]))


def acceleration(q: jax.Array, slope: jax.Array, spacing: float) -> jax.Array:
    """a of q (..., node, 1), where V' is `slope`."""
    return jnp.diff(jnp.diff(q, axis=-2), axis=-2, prepend=0.0, append=0.0) / spacing**2 - slope


def energy(potential: Callable, q: jax.Array, v: jax.Array, spacing: float) -> jax.Array:
    """h sum of v^2 / 2 + (dq / h)^2 / 2 + V over (..., node, 1)."""
    on_nodes = jnp.sum(0.5 * v**2 + potential(q), (-2, -1))
    return spacing * on_nodes + 0.5 / spacing * jnp.sum(jnp.diff(q, axis=-2) ** 2, (-2, -1))


def sample(kink: Callable, acceleration: Callable, key: jax.Array, count: int, n_node: int, spacing: float) -> States:
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
    _arguments.drawn("sample", key, count=count, n_node=n_node)
    place, speed, shake = jax.random.split(key, 3)
    x = spacing * jnp.arange(n_node) - spacing * (n_node - 1) * _draws.uniform(place, (count, 1))
    q, v = jax.vmap(kink)(x, _draws.uniform(speed, (count,), minval=-0.9, maxval=0.9))
    dq, dv = _draws.normal(shake, (2, count, n_node, 1))
    q, v = q + spacing * dq, v + dv
    return States(q, v, acceleration(q, spacing))

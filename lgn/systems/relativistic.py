"""Relativistic particles in a uniform field g, with m = c = 1, in two variants.

    published:  L = (1 - v^2)^(-1/2) - 1 + g q,   p = v (1 - v^2)^(-3/2),   a = g (1 - v^2)^(5/2) / (1 + 2 v^2),
                E = v p - L = (2 v^2 - 1) (1 - v^2)^(-3/2) + 1 - g q,
    physical:   L = -(1 - v^2)^(1/2) + g q,       p = v (1 - v^2)^(-1/2),   a = g (1 - v^2)^(3/2),
                E = (1 - v^2)^(-1/2) - g q.

The published L is not that of special relativity; both are here. Each node is a particle of its own, with place q and
velocity v of one dimension in units of the speed of light, |v| < 1; g is a node feature, a force for unit mass.

Source: Cranmer et al. 2020, arXiv 2003.04630, and its public code (published); Landau and Lifshitz 1975, The classical
theory of fields, section 8 (physical).
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from lgn.trajectories import States

FASTEST = 0.99999


def published_density(q, v, features):
    """L as published, of q, v: (1, 1) and features["g"]: (1,).

    Example:
        >>> import jax.numpy as jnp, lgn
        >>> from lgn.systems import relativistic
        >>> particle = lgn.single_node({"g": jnp.array([3.0])})
        >>> L = lgn.Lagrangian(particle, relativistic.published_density)
        >>> float(L.acceleration(jnp.zeros((1, 1)), jnp.zeros((1, 1)))[0, 0])
        3.0
    """
    return 1 / jnp.sqrt(_rest(v[0, 0])) - 1 + features["g"][0] * q[0, 0]


def physical_density(q, v, features):
    """L of special relativity, of q, v: (1, 1) and features["g"]: (1,)."""
    return -jnp.sqrt(_rest(v[0, 0])) + features["g"][0] * q[0, 0]


def published_acceleration(q: jax.Array, v: jax.Array, g: jax.Array) -> jax.Array:
    """g (1 - v^2)^(5/2) / (1 + 2 v^2); q and v are (..., node, 1), g is (..., node)."""
    return g[..., None] * _rest(v) ** 2.5 / (1 + 2 * v**2)


def physical_acceleration(q: jax.Array, v: jax.Array, g: jax.Array) -> jax.Array:
    """g (1 - v^2)^(3/2); q and v are (..., node, 1), g is (..., node)."""
    return g[..., None] * _rest(v) ** 1.5


def published_momentum(v: jax.Array) -> jax.Array:
    """v (1 - v^2)^(-3/2)."""
    return v * _rest(v) ** -1.5


def physical_momentum(v: jax.Array) -> jax.Array:
    """v (1 - v^2)^(-1/2)."""
    return v * _rest(v) ** -0.5


def published_energy(q: jax.Array, v: jax.Array, g: jax.Array) -> jax.Array:
    """(2 v^2 - 1) (1 - v^2)^(-3/2) + 1 - g q, summed over the nodes of (..., node, 1)."""
    return jnp.sum((2 * v**2 - 1) * _rest(v) ** -1.5 + 1 - g[..., None] * q, (-2, -1))


def physical_energy(q: jax.Array, v: jax.Array, g: jax.Array) -> jax.Array:
    """(1 - v^2)^(-1/2) - g q, summed over the nodes of (..., node, 1)."""
    return jnp.sum(_rest(v) ** -0.5 - g[..., None] * q, (-2, -1))


def sample(
    key: jax.Array, count: int, acceleration: Callable[..., jax.Array] = published_acceleration
) -> tuple[States, jax.Array]:
    """One sample whose nodes are `count` particles: q U(-10, 10), v = 0.99999 tanh(2 N), g = 10 N, N normal.

    Returns:
        States of q, v, a: (1, count, 1), and the node feature g: (count,).
    """
    place, speed, field = jax.random.split(key, 3)
    q = jax.random.uniform(place, (1, count, 1), minval=-10, maxval=10)
    v = FASTEST * jnp.tanh(2 * jax.random.normal(speed, (1, count, 1)))
    g = 10 * jax.random.normal(field, (count,))
    return States(q, v, acceleration(q, v, g)), g


def weight(v: jax.Array) -> jax.Array:
    """1 + (1 - v^2)^(-1/2): how much the published metric counts a particle."""
    return 1 + _rest(v) ** -0.5


def weighted_error(found: jax.Array, exact: jax.Array, v: jax.Array) -> jax.Array:
    """The published metric, sum |found - exact| w / sum w with w = `weight(v)`; all of one shape."""
    return jnp.sum(jnp.abs(found - exact) * weight(v)) / jnp.sum(weight(v))


def _rest(v):
    """1 - v^2, as a product: near |v| = 1 the difference of squares would lose what v still has."""
    return (1 - v) * (1 + v)

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
import numpy as np

from lgn import _arguments, _draws
from lgn.data.samples import States

FASTEST = 0.99999
FIELD = 10.0  # typical size of g, by which `particles` divides what a network reads


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
    _arguments.drawn("sample", key, count=count)
    place, speed, field = jax.random.split(key, 3)
    q = _draws.uniform(place, (1, count, 1), minval=-10, maxval=10)
    v = FASTEST * jnp.tanh(2 * _draws.normal(speed, (1, count, 1)))
    g = 10 * _draws.normal(field, (count,))
    return States(q, v, acceleration(q, v, g)), g


def particles(key: jax.Array, count: int) -> States:
    """The published states, each a sample of one node with a field of its own, the feature `g` = field / `FIELD`."""
    _arguments.drawn("particles", key, count=count)
    states, g = sample(key, count)
    q, v, a = (jnp.swapaxes(x, 0, 1) for x in states[:3])
    return States(q, v, a, features={"g": g[:, None] / FIELD})


def starts(key: jax.Array, count: int) -> States:
    """Particles at rest at q = 0 in fields of either sign, |g| from 2 to 10; the feature as in `particles`."""
    _arguments.drawn("starts", key, count=count)
    g = jnp.linspace(2.0, 10.0, count) * (-1.0) ** jnp.arange(count)
    rest = jnp.zeros((count, 1, 1))
    return States(rest, rest, rest, features={"g": g[:, None] / FIELD})


def law(q, v, features):
    """Exact dq/dt and dv/dt as published, for `law` of a `Baseline`; the feature as in `particles`."""
    return v, published_acceleration(q, v, FIELD * features["g"])


def momentum(q, v, features):
    """The published p; a density of (q, p) takes it in the place of v, see `lgn.canonical`."""
    return published_momentum(v)


def velocity(q, p, features):
    """v of the published p: v = p s^(3/2), where s = 1 - v^2 is the root of p^2 s^3 + s = 1 in (0, 1]."""

    def newton(s, _):
        return s - (p**2 * s**3 + s - 1) / (3 * p**2 * s**2 + 1), None

    rest = jax.lax.scan(newton, jnp.ones_like(p), None, 60)[0]  # falls to the root from above, at least by a third
    return p * rest**1.5


def energy_error(q: jax.Array, v: jax.Array, g: jax.Array) -> jax.Array:
    """|E - E(0)| as published over the largest work |g q| on the way; q, v: (start, time, 1, 1), g: (start, 1)."""
    energy = published_energy(q, v, g[:, None])
    work = jnp.max(jnp.abs(g[:, None, :, None] * q), axis=(1, 2, 3))
    return jnp.abs(energy - energy[:, :1]) / work[:, None]


def free_fall(momentum: Callable, ts) -> np.ndarray:
    """v at times ts from rest with g = 1: dp/dt = g, so that p(v) = t; `momentum` is one of the two above."""
    v = np.linspace(0, 0.9999, 20_001)
    return np.interp(ts, np.asarray(momentum(v)), v)


def rapidity_alone(q, v):
    """(0, artanh v), coordinates of a kinetic energy: what has |v| < 1 has no other natural speed."""
    return jnp.zeros_like(q), jnp.arctanh(v)


def place_alone(q, v):
    """(q, 0), coordinates of a potential."""
    return q, jnp.zeros_like(v)


def place_and_rapidity(q, v):
    """(q, artanh v)."""
    return q, jnp.arctanh(v)


def weight(v: jax.Array) -> jax.Array:
    """1 + (1 - v^2)^(-1/2): how much the published metric counts a particle."""
    return 1 + _rest(v) ** -0.5


def weighted_error(found: jax.Array, exact: jax.Array, v: jax.Array) -> jax.Array:
    """The published metric, sum |found - exact| w / sum w with w = `weight(v)`; all of one shape."""
    return jnp.sum(jnp.abs(found - exact) * weight(v)) / jnp.sum(weight(v))


def _rest(v):
    """1 - v^2, as a product: near |v| = 1 the difference of squares would lose what v still has."""
    return (1 - v) * (1 + v)

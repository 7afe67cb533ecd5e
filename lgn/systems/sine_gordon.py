"""The sine-Gordon chain, u_tt = u_xx - sin u on nodes a distance h apart, with free ends:

    l = h [v^2 / 2 - ((q[i+1] - q[i]) / h)^2 / 2 - (1 - cos q)],    a = (q[i+1] - 2 q[i] + q[i-1]) / h^2 - sin q.

Lengths count widths of a resting kink, the wave speed is 1, a resting kink has energy 8. The chain approaches the
equation as h^2.

Source: Drazin and Johnson 1989, Solitons: an introduction, chapter 5.
"""

import jax
import jax.numpy as jnp

from lgn import _arguments
from lgn.data.samples import States
from lgn.systems.phi4 import shaken

SPACING = 0.1


def density(q, v, features):
    """l on the node stencil of `lgn.lattice((n,), spacing=h, periodic=False)`, slots self, left, right.

    Example:
        >>> import numpy as np, lgn
        >>> from lgn.systems import sine_gordon
        >>> chain = lgn.lattice((401,), spacing=0.1, periodic=False)
        >>> L = lgn.Lagrangian(chain, sine_gordon.density)
        >>> q, v = sine_gordon.kink(chain.nodes["position"][:, 0] - 20, speed=0.6)
        >>> f"{L.energy(q, v):.2f}"  # 8 / sqrt(1 - speed^2)
        '10.00'
    """
    h = features["measure"]
    return h * (0.5 * v[0, 0] ** 2 - 0.5 * ((q[2, 0] - q[0, 0]) / h) ** 2 - (1 - jnp.cos(q[0, 0])))


def acceleration(q: jax.Array, spacing: float = SPACING) -> jax.Array:
    """a on a chain with free ends; q is (..., node, 1)."""
    return jnp.diff(jnp.diff(q, axis=-2), axis=-2, prepend=0.0, append=0.0) / spacing**2 - jnp.sin(q)


def energy(q: jax.Array, v: jax.Array, spacing: float = SPACING) -> jax.Array:
    """h sum of v^2 / 2 + (dq / h)^2 / 2 + 1 - cos q over a chain with free ends, (..., node, 1)."""
    on_nodes = jnp.sum(0.5 * v**2 + 1 - jnp.cos(q), (-2, -1))
    return spacing * on_nodes + 0.5 / spacing * jnp.sum(jnp.diff(q, axis=-2) ** 2, (-2, -1))


def kink(position: jax.Array, speed: float | jax.Array, t: float = 0.0) -> tuple[jax.Array, jax.Array]:
    """q and v, each (node, 1), of the kink 4 arctan exp(gamma (x - speed t)), gamma = 1 / sqrt(1 - speed^2).

    Args:
        position: (node,) x, zero where the kink is at t = 0.
        speed: between -1 and 1; the kink is shorter by gamma.
        t: time.
    """
    gamma = 1 / jnp.sqrt(1 - speed**2)
    s = gamma * (position[:, None] - speed * t)
    return 4 * jnp.arctan(jnp.exp(s)), -2 * gamma * speed / jnp.cosh(s)


def collision(position: jax.Array, speed: float, t: float = 0.0) -> tuple[jax.Array, jax.Array]:
    """q and v, each (node, 1), of a kink and an antikink that pass through each other at x = 0 and t = 0:

    4 arctan(sinh(gamma speed t) / (speed cosh(gamma x))).
    """
    gamma = 1 / jnp.sqrt(1 - speed**2)
    shape = jnp.cosh(gamma * position[:, None])
    u = jnp.sinh(gamma * speed * t) / (speed * shape)
    return 4 * jnp.arctan(u), 4 * gamma * jnp.cosh(gamma * speed * t) / shape / (1 + u**2)


def sample(key: jax.Array, count: int, n_node: int, spacing: float = SPACING) -> States:
    """States of shaken kinks on the chain, see `phi4.shaken`, with exact accelerations."""
    _arguments.drawn("sample", key, count=count, n_node=n_node)
    return shaken(kink, acceleration, key, count, n_node, spacing)

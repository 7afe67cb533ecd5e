"""The sine-Gordon chain, u_tt = u_xx - sin u: the chain of `kinks` with V = 1 - cos q.

Lengths count widths of a resting kink, which has energy 8.

Source: Drazin and Johnson 1989, Solitons: an introduction, chapter 5.
"""

import jax
import jax.numpy as jnp

from lgn.data.samples import States
from lgn.systems import kinks
from lgn.systems.kinks import SPACING


def potential(q):
    """V = 1 - cos q, elementwise."""
    return 1 - jnp.cos(q)


def density(q, v, features):
    """l of `kinks.density`.

    Example:
        >>> import lgn
        >>> from lgn.systems import sine_gordon
        >>> chain = lgn.lattice((401,), spacing=0.1, periodic=False)
        >>> L = lgn.Lagrangian(chain, sine_gordon.density)
        >>> q, v = sine_gordon.kink(chain.nodes["position"][:, 0] - 20, speed=0.6)
        >>> f"{L.energy(q, v):.2f}"  # 8 / sqrt(1 - speed^2)
        '10.00'
    """
    return kinks.density(potential, q, v, features)


def acceleration(q: jax.Array, spacing: float = SPACING) -> jax.Array:
    """a of q (..., node, 1)."""
    return kinks.acceleration(q, jnp.sin(q), spacing)


def energy(q: jax.Array, v: jax.Array, spacing: float = SPACING) -> jax.Array:
    """Energy of (..., node, 1), see `kinks.energy`."""
    return kinks.energy(potential, q, v, spacing)


def kink(position: jax.Array, speed: float | jax.Array, t: float = 0.0) -> tuple[jax.Array, jax.Array]:
    """q and v, each (node, 1), of the kink 4 arctan exp(gamma (x - speed t)); arguments as of `phi4.kink`."""
    gamma = 1 / jnp.sqrt(1 - speed**2)
    s = gamma * (position[:, None] - speed * t)
    return 4 * jnp.arctan(jnp.exp(s)), -2 * gamma * speed / jnp.cosh(s)


def sample(key: jax.Array, count: int, n_node: int, spacing: float = SPACING) -> States:
    """States of shaken kinks, see `kinks.sample`."""
    return kinks.sample(kink, acceleration, key, count, n_node, spacing)

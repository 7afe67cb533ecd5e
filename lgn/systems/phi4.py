"""The phi^4 chain, u_tt = u_xx + u - u^3: the chain of `kinks` with V = (1 - q^2)^2 / 4.

The field rests at -1 and at 1; a kink leads from one to the other. Lengths are those of the equation, a resting kink
has energy 2 sqrt(2) / 3.

Source: Manton and Sutcliffe 2004, Topological solitons, chapter 5.
"""

import jax
import jax.numpy as jnp

from lgn.data.samples import States
from lgn.systems import kinks
from lgn.systems.kinks import SPACING


def potential(q):
    """V = (1 - q^2)^2 / 4, elementwise."""
    return 0.25 * (1 - q**2) ** 2


def density(q, v, features):
    """l of `kinks.density`.

    Example:
        >>> import lgn
        >>> from lgn.systems import phi4
        >>> chain = lgn.lattice((401,), spacing=0.1, periodic=False)
        >>> L = lgn.Lagrangian(chain, phi4.density)
        >>> q, v = phi4.kink(chain.nodes["position"][:, 0] - 20, speed=0.6)
        >>> f"{L.energy(q, v):.2f}"  # 2 sqrt(2) / 3 / sqrt(1 - speed^2)
        '1.18'
    """
    return kinks.density(potential, q, v, features)


def acceleration(q: jax.Array, spacing: float = SPACING) -> jax.Array:
    """a of q (..., node, 1)."""
    return kinks.acceleration(q, q**3 - q, spacing)


def energy(q: jax.Array, v: jax.Array, spacing: float = SPACING) -> jax.Array:
    """Energy of (..., node, 1), see `kinks.energy`."""
    return kinks.energy(potential, q, v, spacing)


def kink(position: jax.Array, speed: float | jax.Array, t: float = 0.0) -> tuple[jax.Array, jax.Array]:
    """q and v, each (node, 1), of the kink tanh(gamma (x - speed t) / sqrt(2)), gamma = 1 / sqrt(1 - speed^2).

    Args:
        position: (node,) x, zero where the kink is at t = 0.
        speed: between -1 and 1; the kink is shorter by gamma.
        t: time.
    """
    gamma = 1 / jnp.sqrt(1 - speed**2)
    s = gamma * (position[:, None] - speed * t) / jnp.sqrt(2.0)
    return jnp.tanh(s), -gamma * speed / jnp.sqrt(2.0) / jnp.cosh(s) ** 2


def sample(key: jax.Array, count: int, n_node: int, spacing: float = SPACING) -> States:
    """States of shaken kinks, see `kinks.sample`."""
    return kinks.sample(kink, acceleration, key, count, n_node, spacing)

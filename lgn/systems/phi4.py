"""The phi^4 chain, u_tt = u_xx + u - u^3 on nodes a distance h apart, with free ends:

    l = h [v^2 / 2 - ((q[i+1] - q[i]) / h)^2 / 2 - (1 - q^2)^2 / 4],
    a = (q[i+1] - 2 q[i] + q[i-1]) / h^2 + q - q^3.

The field rests at -1 and at 1; a kink leads from one to the other. Lengths are those of the equation, the wave speed is
1, a resting kink has energy 2 sqrt(2) / 3. The chain approaches the equation as h^2.

Source: Manton and Sutcliffe 2004, Topological solitons, chapter 5.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from lgn import _arguments, _draws
from lgn.data.samples import States

SPACING = 0.1


def density(q, v, features):
    """l on the node stencil of `lgn.lattice((n,), spacing=h, periodic=False)`, slots self, left, right.

    Example:
        >>> import lgn
        >>> from lgn.systems import phi4
        >>> chain = lgn.lattice((401,), spacing=0.1, periodic=False)
        >>> L = lgn.Lagrangian(chain, phi4.density)
        >>> q, v = phi4.kink(chain.nodes["position"][:, 0] - 20, speed=0.6)
        >>> f"{L.energy(q, v):.2f}"  # 2 sqrt(2) / 3 / sqrt(1 - speed^2)
        '1.18'
    """
    h = features["measure"]
    return h * (0.5 * v[0, 0] ** 2 - 0.5 * ((q[2, 0] - q[0, 0]) / h) ** 2 - 0.25 * (1 - q[0, 0] ** 2) ** 2)


def acceleration(q: jax.Array, spacing: float = SPACING) -> jax.Array:
    """a on a chain with free ends; q is (..., node, 1)."""
    return jnp.diff(jnp.diff(q, axis=-2), axis=-2, prepend=0.0, append=0.0) / spacing**2 + q - q**3


def energy(q: jax.Array, v: jax.Array, spacing: float = SPACING) -> jax.Array:
    """h sum of v^2 / 2 + (dq / h)^2 / 2 + (1 - q^2)^2 / 4 over a chain with free ends, (..., node, 1)."""
    on_nodes = jnp.sum(0.5 * v**2 + 0.25 * (1 - q**2) ** 2, (-2, -1))
    return spacing * on_nodes + 0.5 / spacing * jnp.sum(jnp.diff(q, axis=-2) ** 2, (-2, -1))


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
    """States of shaken kinks on the chain, see `shaken`, with exact accelerations."""
    _arguments.drawn("sample", key, count=count, n_node=n_node)
    return shaken(kink, acceleration, key, count, n_node, spacing)


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

"""The Korteweg-de Vries equation on a ring of nodes a distance dx apart: u_t = D(3 u^2 + D2 u).

    u_t = G grad H,    H = sum over nodes of u^3 - ((u[i+1] - u[i]) / dx)^2 / 2,    G = D,
    D u = (u[i+1] - u[i-1]) / (2 dx),    D2 u = (u[i+1] - 2 u[i] + u[i-1]) / dx^2.

Everything is without dimension. It approaches u_t = 6 u u_x + u_xxx as dx^2; H and the mass (sum of u) are constant.
`energy` is dx H, the integral over the ring, whose error the paper publishes.

Source: Matsubara et al. 2020, arXiv 1905.08604, section 5, and its public code.
"""

import jax
import jax.numpy as jnp
import numpy as np

from lgn import _arguments, _draws
from lgn.systems import implicit_steps

NODES = 50
SPACING = 0.2  # a ring of length 10
TIME_STEP = 1e-3
STEPS = 500


def density(u, features):
    """u^3 - ((u[right] - u) / dx)^2 / 2 of u: (3, 1) on the node stencil of a periodic `lgn.lattice((n,), spacing=dx)`.

    Example:
        >>> import jax.numpy as jnp
        >>> from lgn.systems import kdv
        >>> float(kdv.density(jnp.array([[2.0], [0.0], [3.0]]), {"measure": 0.5}))
        6.0
    """
    return u[0, 0] ** 3 - 0.5 * ((u[2, 0] - u[0, 0]) / features["measure"]) ** 2


def rate(u: jax.Array, dx: float = SPACING) -> jax.Array:
    """D(3 u^2 + D2 u) of u (..., node, 1)."""
    right, left = jnp.roll(u, -1, -2), jnp.roll(u, 1, -2)
    gradient = 3 * u**2 + (right - 2 * u + left) / dx**2
    return (jnp.roll(gradient, -1, -2) - jnp.roll(gradient, 1, -2)) / (2 * dx)


def energy(u: jax.Array, dx: float = SPACING) -> jax.Array:
    """dx H of u (..., node, 1): the integral of u^3 - u_x^2 / 2 over the ring."""
    return dx * jnp.sum(u**3 - 0.5 * ((jnp.roll(u, -1, -2) - u) / dx) ** 2, (-2, -1))


def soliton(x: jax.Array, t: float | jax.Array, k: float | jax.Array, x0: float | jax.Array = 0.0) -> jax.Array:
    """2 k^2 sech^2(k (x - x0 + 4 k^2 t)), a solution of u_t = 6 u u_x + u_xxx on the line, of the shape of x."""
    return 2 * k**2 / jnp.cosh(k * (x - x0 + 4 * k**2 * t)) ** 2


def starts(key: jax.Array, count: int, n_node: int = NODES, dx: float = SPACING) -> jax.Array:
    """Sums of two solitons, (trajectory, node, 1), as published.

    k is uniform in (0.5, 2); with w = n dx one soliton stands at w d, d uniform in (0.2, 0.3), the other further on by
    w times a uniform number of (0.2, 0.5); half of the sums are mirrored, at random. They are not wrapped around the
    ring, so that a wide soliton ends in a jump where the ring closes.
    """
    _arguments.drawn("starts", key, count=count, n_node=n_node)
    keys = jax.random.split(key, 4)
    k = _draws.uniform(keys[0], (2, count, 1), minval=0.5, maxval=2.0)
    first = _draws.uniform(keys[1], (count, 1), minval=0.2, maxval=0.3)
    second = first + _draws.uniform(keys[2], (count, 1), minval=0.2, maxval=0.5)
    places = n_node * dx * jnp.stack([first, second])
    u = soliton(dx * jnp.arange(n_node), 0.0, k, places).sum(0)
    return jnp.where(jax.random.bernoulli(keys[3], shape=(count, 1)), u[:, ::-1], u)[..., None]


def trajectory(u0, count: int = STEPS, dt: float = TIME_STEP, dx: float = SPACING) -> np.ndarray:
    """u (..., time, node, 1): u0 (..., node, 1) and `count` steps of the mean-value discrete gradient, to round-off.

    The fixed point contracts where 3 |u| dt < dx. Raises, Source: as of `implicit_steps.trajectory`; the paper's truth.
    """
    (angle,) = implicit_steps.angles(np.shape(u0)[-2:-1])
    first, second = 1j * np.sin(angle) / dx, -((2 * np.sin(angle / 2) / dx) ** 2)
    return implicit_steps.trajectory(u0, count, dt, first, second, lambda after, u: after**2 + after * u + u**2)


def trajectories(key: jax.Array, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The published data: t (time,) and u (trajectory, time, node, 1), 500 steps of 1e-3 on 50 nodes, from `starts`."""
    _arguments.drawn("trajectories", key, count=count)
    return TIME_STEP * np.arange(STEPS + 1), trajectory(starts(key, count))

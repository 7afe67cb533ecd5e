"""The damped spring of dissipative Hamiltonian networks: H = q^2 + p^2, with damping rho on the momentum.

    dq/dt = 2 p,            dp/dt = -2 q - rho p,
    published: dq/dt = 2 p - rho q,    dp/dt = -2 q.

The published damping acts on q, not on p. It is the same spring in the canonical coordinates (Q, P) = (p, -q): both
lose energy, dH/dt = -2 rho p^2 or -2 rho q^2. One node, u = (q, p), with rho = 2; as -r dH/dp, r = rho / 2.

States are the 25 x 25 grid over [-1.2, 1.2]^2, without noise, shuffled and split into 85 % to train on and the rest for
the test, of which the published figure used the first 128 at most, here all of them.

Source: Sosanya and Greydanus 2022, arXiv 2201.10085, and its public code.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from lgn import _arguments
from lgn.systems import mass_spring

RHO = 2.0
GRID = np.linspace(-1.2, 1.2, 25)
TRAINED = 0.85  # share of the states


def rate(u, rho: float = RHO):
    """(2 p, -2 q - rho p) of u (..., node, 2)."""
    return mass_spring.hamiltonian_rate(u) - rho * u * np.array([0.0, 1.0], u.dtype)


def published_rate(u, rho: float = RHO):
    """(2 p - rho q, -2 q) of u (..., node, 2): the damping acts on q."""
    return mass_spring.hamiltonian_rate(u) - rho * u * np.array([1.0, 0.0], u.dtype)


def grid(key: jax.Array, rate: Callable = rate) -> tuple[tuple[jax.Array, jax.Array], tuple[jax.Array, jax.Array]]:
    """States and exact rates to train on and to test with, in random order: `lgn.States(*train)`.

    Args:
        key: of the order.
        rate: `rate` or `published_rate`.

    Returns:
        (u, du/dt) of 531 states, and of the other 94; each (state, 1, 2).

    Example:
        >>> import jax
        >>> from lgn.systems import damped_spring
        >>> train, test = damped_spring.grid(jax.random.key(0), damped_spring.published_rate)
        >>> train[0].shape, test[1].shape
        ((531, 1, 2), (94, 1, 2))
    """
    _arguments.drawn("grid", key)
    u = jnp.stack(jnp.meshgrid(GRID, GRID, indexing="ij"), -1).reshape(-1, 1, 2)
    u = jax.random.permutation(key, u)
    first = int(TRAINED * len(u))
    return (u[:first], rate(u[:first])), (u[first:], rate(u[first:]))


def field_error(found, exact):
    """The published metric, the mean square of found - exact over states and components of du/dt."""
    return ((found - exact) ** 2).mean()


def motion(start, ts, rho: float = RHO) -> np.ndarray:
    """u at times ts, (time, 1, 2), from start (1, 2) at t = 0, in closed form: dq/dt = v, dv/dt = -4 q - rho v."""
    start = np.asarray(start, dtype=float)
    q, v = mass_spring.exact(start[:, :1], 2 * start[:, 1:], ts, m=1.0, k=4.0, c=rho)
    return np.concatenate([q, v / 2], -1)

"""The Cahn-Hilliard equation on periodic lattices of any dimension: u_t = D2(-u + u^3 - gamma D2 u).

    u_t = G grad H,    H = sum over nodes of (u^2 - 1)^2 / 4 + gamma / 2 sum over axes of ((u[+1] - u) / dx)^2,
    G = D2 = sum over axes of (u[+1] - 2 u + u[-1]) / dx^2.

A mixture of two phases, u = -1 and u = 1, separates; everything is without dimension. H never rises, the mass (sum of
u) is constant; walls between phases are sqrt(2 gamma) wide. `energy` is H times the volume of a cell, the integral.
The paper's lacks the constant 1/4, which leaves its error as it is.

Fields stand on their lattice, (..., *lattice, 1), with one spacing for each axis: (0.02,) on a ring, (dx, dy) in 2D. An
`EnergyFlow` numbers the nodes in C order: u.reshape(-1, 1).

Source: Matsubara et al. 2020, arXiv 1905.08604, section 5, and its public code.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from lgn import _arguments, _draws
from lgn.systems import implicit_steps

GAMMA = 5e-4
LATTICE = (50,)
SPACING = (0.02,)  # a ring of length 1
TIME_STEP = 1e-4
STEPS = 500
AMPLITUDE = 0.05
SPLIT = 0.5  # slope of u^3 - u that the linear part takes, amid those of -1 <= u <= 1: the fixed point contracts faster


def density(u, features, gamma: float = GAMMA):
    """(u^2 - 1)^2 / 4 + gamma / 2 |D+ u|^2 of u: (slot, 1) on the node stencil of `lgn.lattice` in any dimension.

    Example:
        >>> import jax.numpy as jnp
        >>> from lgn.systems import cahn_hilliard
        >>> ring = {"mask": jnp.ones(3), "offset": jnp.array([[0.0], [-0.5], [0.5]])}
        >>> float(cahn_hilliard.density(jnp.array([[1.0], [1.0], [2.0]]), ring, gamma=0.5))
        1.0
    """
    forward = slice(2, None, 2)
    squares = jnp.sum(features["offset"][forward] ** 2, -1) + 1 - features["mask"][forward]  # 1 beyond an open end
    slope = jnp.sum((u[forward, 0] - u[0, 0]) ** 2 / squares)
    return 0.25 * (u[0, 0] ** 2 - 1) ** 2 + 0.5 * gamma * slope


def rate(u: jax.Array, spacing: Sequence[float] = SPACING, gamma: float = GAMMA) -> jax.Array:
    """D2(-u + u^3 - gamma D2 u) of u (..., *lattice, 1)."""
    return _laplacian(u**3 - u - gamma * _laplacian(u, spacing), spacing)


def energy(u: jax.Array, spacing: Sequence[float] = SPACING, gamma: float = GAMMA) -> jax.Array:
    """H times the volume of a cell, of u (..., *lattice, 1): the integral of (u^2 - 1)^2 / 4 + gamma / 2 |grad u|^2."""
    slope = sum(((jnp.roll(u, -1, axis) - u) / h) ** 2 for axis, h in _axes(spacing))
    over_lattice = tuple(range(-1 - len(spacing), 0))
    return np.prod(spacing).item() * jnp.sum(0.25 * (u**2 - 1) ** 2 + 0.5 * gamma * slope, over_lattice)


def starts(key: jax.Array, count: int, lattice: Sequence[int] = LATTICE) -> jax.Array:
    """(trajectory, *lattice, 1), independent and uniform in (-0.05, 0.05): a mixture."""
    _arguments.drawn("starts", key, count=count)
    return _draws.uniform(key, (count, *lattice, 1), minval=-AMPLITUDE, maxval=AMPLITUDE)


def trajectory(
    u0, count: int = STEPS, dt: float = TIME_STEP, spacing: Sequence[float] = SPACING, gamma: float = GAMMA
) -> np.ndarray:
    """u (..., time, *lattice, 1): u0 and `count` steps of the mean-value discrete gradient, to round-off.

    Args:
        u0: (..., *lattice, 1).
        count: steps.
        dt: their length; up to 4 gamma the fixed point contracts by 0.8 wherever |u| <= 1.
        spacing: one for each axis of the lattice.
        gamma: of the equation.

    Raises, Source: as of `implicit_steps.trajectory`; the paper's truth.
    """
    lattice = np.shape(u0)[-1 - len(spacing) : -1]
    waves = zip(implicit_steps.angles(lattice), spacing, strict=True)
    laplacian = -sum((2 * np.sin(angle / 2) / h) ** 2 for angle, h in waves)
    return implicit_steps.trajectory(u0, count, dt, laplacian, SPLIT - gamma * laplacian, _mean_slope)


def trajectories(key: jax.Array, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The published data: t (time,) and u (trajectory, time, node, 1), 500 steps of 1e-4 on 50 nodes, from `starts`."""
    _arguments.drawn("trajectories", key, count=count)
    return TIME_STEP * np.arange(STEPS + 1), trajectory(starts(key, count))


def _mean_slope(after, u):
    """Mean of u^3 - u on the segment, less what the linear part takes."""
    return (after + u) * (0.25 * (after**2 + u**2) - 0.5 * (1 + SPLIT))


def _laplacian(u, spacing):
    return sum((jnp.roll(u, -1, axis) - 2 * u + jnp.roll(u, 1, axis)) / h**2 for axis, h in _axes(spacing))


def _axes(spacing):
    """Axis of (..., *lattice, 1) and spacing along it."""
    return [(axis - 1 - len(spacing), h) for axis, h in enumerate(spacing)]

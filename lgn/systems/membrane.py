"""The 2D wave equation on a square lattice: q_tt = c^2 (sum of the 4 neighbours - 4 q), c = 1.

From l = v^2 / 2 - (c^2 / 4) sum over neighbours (q_j - q)^2. Lengths count nodes; c is in nodes per unit of time.
"""

import jax
import jax.numpy as jnp
import numpy as np

from lgn import _arguments, _draws
from lgn.data.samples import States

SPEED = 1.0
AMPLITUDE = 1.0
MODES = {(1, 1): 0.5, (2, 1): 0.3, (3, 2): 0.2}  # amplitudes of the blow


def density(q, v, features):
    """l of q, v: (5, 1) on the node stencil of a square lattice; `mask` tells which neighbours there are.

    Example:
        >>> import jax.numpy as jnp, lgn
        >>> from lgn.systems import membrane
        >>> L = lgn.Lagrangian(lgn.lattice((4, 4)), membrane.density)
        >>> float(L.acceleration(jnp.zeros((16, 1)).at[5].set(1.0), jnp.zeros((16, 1)))[5, 0])
        -4.0
    """
    stretch = jnp.sum(features["mask"][1:] * (q[1:, 0] - q[0, 0]) ** 2)
    return 0.5 * v[0, 0] ** 2 - 0.25 * SPEED**2 * stretch


def acceleration(q: jax.Array) -> jax.Array:
    """Of a periodic membrane; q is (..., x, y)."""
    neighbours = sum(jnp.roll(q, step, axis) for axis in (-2, -1) for step in (-1, 1))
    return SPEED**2 * (neighbours - 4 * q)


def energy(q, v) -> np.ndarray:
    """sum of v^2 / 2 over nodes and c^2 / 2 (difference)^2 over edges of an open membrane (..., x, y)."""
    stretch = sum(np.sum(np.diff(q, axis=axis) ** 2, (-2, -1)) for axis in (-2, -1))
    return 0.5 * np.sum(np.asarray(v) ** 2, (-2, -1)) + 0.5 * SPEED**2 * stretch


def sample(key: jax.Array, count: int, side: int) -> States:
    """States of independent normal q and v on side x side nodes, periodic, with exact accelerations."""
    _arguments.drawn("sample", key, count=count, side=side)
    q, v = AMPLITUDE * _draws.normal(key, (2, count, side, side))
    q, v, a = (x.reshape(count, side**2, 1) for x in (q, v, acceleration(q)))
    return States(q, v, a)


def edge_nodes(side: int) -> np.ndarray:
    """Numbers of the nodes at the edge of side x side nodes."""
    place = np.indices((side, side)).reshape(2, -1)
    return np.flatnonzero(((place == 0) | (place == side - 1)).any(0))


def drum_frequencies(side: int, count: int) -> np.ndarray:
    """The lowest angular frequencies of the drum whose edge nodes are clamped, exact:

    omega^2 = 4 c^2 (sin^2(pi j / (2 (side - 1))) + sin^2(pi k / (2 (side - 1)))), j, k = 1, 2, ...
    """
    part = np.sin(np.pi * np.arange(1, side - 1) / (2 * (side - 1))) ** 2
    return np.sort(2 * SPEED * np.sqrt(part[:, None] + part).ravel())[:count]


def drum_mode(side: int, j: int, k: int) -> np.ndarray:
    """(x, y) shape sin(pi j x / (side - 1)) sin(pi k y / (side - 1)) of a mode of the drum."""
    along = np.pi * np.arange(side) / (side - 1)
    return np.sin(j * along)[:, None] * np.sin(k * along)


def blow(side: int) -> tuple[np.ndarray, np.ndarray]:
    """q and v, (node, 1), of a resting drum that was drawn out into the three shapes of `MODES`."""
    q = np.sum([amplitude * drum_mode(side, *mode) for mode, amplitude in MODES.items()], 0).reshape(-1, 1)
    return q, np.zeros_like(q)


def exact(side: int, ts) -> np.ndarray:
    """q at times ts, (time, node, 1), from `blow` at t = 0, exact: each mode is a harmonic oscillator."""
    along = 2 * SPEED * np.sin(np.pi * np.arange(side) / (2 * (side - 1)))
    total = np.zeros((len(ts), side, side))
    for (j, k), amplitude in MODES.items():
        omega = np.hypot(along[j], along[k])
        total += amplitude * np.cos(omega * np.asarray(ts))[:, None, None] * drum_mode(side, j, k)
    return total.reshape(len(ts), -1, 1)

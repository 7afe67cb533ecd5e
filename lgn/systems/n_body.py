"""n bodies in a plane under their own gravity, with m = G = 1.

    H = sum_i |p_i|^2 / 2 - sum_{i < j} 1 / |x_i - x_j|,
    dx_i/dt = p_i,    dp_i/dt = sum_{j != i} (x_j - x_i) / |x_j - x_i|^3.

Each body is a node with u = (x, y, p_x, p_y) in units of m, G and a length; every two bodies are an edge. Energy, total
momentum and angular momentum are constant. The two densities are the same for any number of bodies.

In the published data two bodies stand opposite each other, in the first and the third quadrant alone, and one number
disturbs both of their circular velocities, so that their centre rests. Of three bodies each component of each velocity
is disturbed by itself, so that their centre drifts and some of them meet closely. Test rows are the first fifth of the
trajectories. The published truth has a relative tolerance of 1e-9; here it is 3e-14.

Source: Greydanus, Dzamba, Yosinski 2019, arXiv 1906.01563, and its public code.
"""

import math
from collections.abc import Callable
from functools import partial
from itertools import combinations

import jax
import jax.numpy as jnp
import jraph
import numpy as np

from lgn import _arguments, _draws
from lgn.graphs.edges import from_pairs
from lgn.graphs.stencils import edge_stencil, node_stencil
from lgn.systems import phase_space

TWO_BODY_TIMES = np.linspace(0, 20, 50)  # of 1000 trajectories
THREE_BODY_TIMES = np.linspace(0, 5, 20)  # of 5000 trajectories
TWO_BODY_EVALUATION = np.linspace(0, 25, 500)  # of 15 trajectories
THREE_BODY_EVALUATION = np.linspace(0, 3, 500)


def kinetic(u, features):
    """|p|^2 / 2 of a body, u: (1, 4), on `lgn.node_stencil(graph, hops=0)`."""
    return 0.5 * jnp.sum(u[0, 2:] ** 2)


def attraction(u, features):
    """-1 / r of two bodies, u: (2, 4), on `lgn.edge_stencil`."""
    return -1 / jnp.sqrt(jnp.sum((u[1, :2] - u[0, :2]) ** 2))


def terms(kinetic: Callable = kinetic, attraction: Callable = attraction) -> list:
    """A density on each body and one on each pair of them; by default the exact two.

    Example:
        >>> import jax.numpy as jnp, lgn
        >>> from lgn.systems import n_body
        >>> flow = lgn.EnergyFlow(n_body.complete_graph(2), n_body.terms(), structure=lgn.Symplectic())
        >>> u = jnp.array([[0.0, 0.0, 1.0, 0.0], [0.0, 2.0, 0.0, 0.0]])
        >>> float(flow.energy(u))
        0.0
    """
    return [(kinetic, partial(node_stencil, hops=0)), (attraction, edge_stencil)]


def complete_graph(n: int) -> jraph.GraphsTuple:
    """n nodes, every two of them joined by an edge.

    Raises:
        ValueError: fewer than two nodes.
    """
    if n < 2:
        raise ValueError(f"complete_graph: n={n}; give 2 or more bodies")
    return from_pairs(n, np.array(list(combinations(range(n), 2))))


def rate(u):
    """du/dt of (..., node, 4); of numpy arrays in numpy, of jax arrays in jax."""
    xp = u.__array_namespace__()
    away, distance = _separations(u)
    pull = (away / distance[..., None] ** 3).sum(-2)  # a body is (0, 0) away from itself, at distance 1
    return xp.concat([u[..., 2:], pull], axis=-1)


def energy(u):
    """H of (..., node, 4)."""
    _, distance = _separations(u)
    n = u.shape[-2]
    return 0.5 * (u[..., 2:] ** 2).sum((-2, -1)) - 0.5 * ((1 / distance).sum((-2, -1)) - n)


def momentum(u):
    """sum of p, (..., 2), of (..., node, 4)."""
    return u[..., 2:].sum(-2)


def angular_momentum(u):
    """sum of x p_y - y p_x, (...), of (..., node, 4)."""
    return (u[..., 0] * u[..., 3] - u[..., 1] * u[..., 2]).sum(-1)


def motions(starts, ts) -> np.ndarray:
    """u at times ts, (trajectory, time, node, 4), from starts (trajectory, node, 4); see `phase_space.motions`."""
    return phase_space.motions(rate, starts, ts)


def trajectories(
    key: jax.Array, count: int = 1000, ts: np.ndarray = TWO_BODY_TIMES, bodies: Callable | None = None
) -> phase_space.Recording:
    """Motions and their exact rates from random starts: by default the published data of two bodies.

    Those of three are `trajectories(key, 5000, THREE_BODY_TIMES, three_bodies)`.

    Args:
        key: of the starts.
        count: trajectories.
        ts: (time,) increasing.
        bodies: key, count -> starts (count, node, 4); `two_bodies` if left out.
    """
    _arguments.drawn("trajectories", key, count=count)
    u = motions((bodies or two_bodies)(key, count), ts)
    return phase_space.Recording(np.asarray(ts), u, rate(u))


def two_bodies(key: jax.Array, count: int, disturbance: float = 0.05) -> jax.Array:
    """Starts (count, 2, 4) of nearly circular orbits: x and y U(0.5, 1.5) and the point opposite,

    p = (-y, x) / (2 r^1.5) (1 + disturbance N),    r = |(x, y)|.
    """
    _arguments.drawn("two_bodies", key, count=count)
    place, size = jax.random.split(key)
    x = _draws.uniform(place, (count, 2), minval=0.5, maxval=1.5)
    factor = 1 + disturbance * _draws.normal(size, (count, 1))
    p = factor * _quarter_turn(x) / (2 * jnp.linalg.norm(x, axis=-1, keepdims=True) ** 1.5)
    body = jnp.concatenate([x, p], -1)
    return jnp.stack([body, -body], 1)


def three_bodies(key: jax.Array, count: int, disturbance: float = 0.2) -> jax.Array:
    """Starts (count, 3, 4): the corners of an equilateral triangle at distance r = U(0.9, 1.2) from its centre, and

        p = (-y, x) / (3^(1/4) r^1.5) (1 + disturbance U(-1, 1)),

    a random number for each component; undisturbed, the triangle turns as a rigid body. Its direction is that of a
    point uniform in a square.
    """
    _arguments.drawn("three_bodies", key, count=count)
    place, size = jax.random.split(key)
    corner = phase_space.around_origin(place, count, (0.9, 1.2))
    x = jnp.concatenate([_turned(corner, angle) for angle in (0, 2 * math.pi / 3, 4 * math.pi / 3)], 1)
    factor = 1 + disturbance * _draws.uniform(size, x.shape, minval=-1, maxval=1)
    p = factor * _quarter_turn(x) / (3**0.25 * jnp.linalg.norm(x, axis=-1, keepdims=True) ** 1.5)
    return jnp.concatenate([x, p], -1)


def _separations(u):
    """x_j - x_i, (..., i, j, 2), and their lengths (..., i, j), 1 where i = j."""
    xp = u.__array_namespace__()
    away = u[..., None, :, :2] - u[..., :, None, :2]
    return away, xp.sqrt((away**2).sum(-1) + xp.eye(u.shape[-2], dtype=u.dtype))


def _quarter_turn(x):
    return jnp.stack([-x[..., 1], x[..., 0]], -1)


def _turned(x, angle):
    return math.cos(angle) * x + math.sin(angle) * _quarter_turn(x)

"""The double pendulum: two point masses m = 1 kg on two rigid rods l = 1 m, g = 9.8 m/s^2.

    T = w1^2 / 2 + (w1^2 + w2^2 + 2 w1 w2 cos d) / 2,    V = -g (2 cos q1 + cos q2),    d = q1 - q2,
    2 a1 + a2 cos d = -w2^2 sin d - 2 g sin q1 - 2 c w1,
    a1 cos d + a2   =  w1^2 sin d -   g sin q2 - 2 c w2.

One node carries both angles q from the vertical (rad); w = v (rad/s); energies in J. R = c (w1^2 + w2^2) is friction,
published with c = 0.25 J s; without it T + V is constant.

Source: Cranmer et al. 2020, arXiv 2003.04630, and its public code; friction as in the blog post and public code of
`Dissipative Lagrangian neural networks` (2023).
"""

import math

import jax
import jax.numpy as jnp
import numpy as np

from lgn import _arguments
from lgn.data.samples import States
from lgn.systems.n_pendulum import integrate, uniform

GRAVITY = 9.8
FRICTION = 0.25
DEPTH = 3 * GRAVITY  # energy from the lowest to the level position, by which the published error is divided


def density(q, v, features):
    """T - V of q, v: (1, 2).

    Example:
        >>> import jax.numpy as jnp, lgn
        >>> from lgn.systems import double_pendulum
        >>> L = lgn.Lagrangian(lgn.single_node(), double_pendulum.density)
        >>> q = jnp.array([[jnp.pi / 2, 0.0]])  # the inner rod level, the outer hanging: both masses fall freely
        >>> bool(jnp.allclose(L.acceleration(q, jnp.zeros((1, 2))), jnp.array([-9.8, 0]), atol=1e-5))
        True
    """
    return _kinetic(q, v) - _potential(q)


def friction(q, v, features, coefficient: float = FRICTION):
    """R = c (w1^2 + w2^2), for `dissipation` of a Lagrangian; another c by functools.partial."""
    return coefficient * jnp.sum(v**2)


def acceleration(q: jax.Array, v: jax.Array, friction: float = 0.0) -> jax.Array:
    """a, (..., node, 2), the two equations solved by Cramer's rule; `friction` is c."""
    return jnp.stack(_accelerations(jnp, friction, *jnp.moveaxis(q, -1, 0), *jnp.moveaxis(v, -1, 0)), -1)


def energy(q: jax.Array, v: jax.Array) -> jax.Array:
    """T + V of (..., node, 2); from -29.4 at rest."""
    return _kinetic(q, v) + _potential(q)


def sample(key: jax.Array, count: int, speed: float = 10.0, friction: float = 0.0) -> States:
    """States of independent angles U(0, 2 pi) and velocities U(-speed, speed), with exact accelerations."""
    _arguments.drawn("sample", key, count=count)
    q, v = uniform(key, (count, 1, 2), (0.0, 2 * jnp.pi), (-speed, speed))
    return States(q, v, acceleration(q, v, friction))


def starts(key: jax.Array, count: int) -> tuple[jax.Array, jax.Array]:
    """q and v, (count, 1, 2), where the published trajectories start: angles U(0, 2 pi), velocities U(0, 0.1)."""
    _arguments.drawn("starts", key, count=count)
    return uniform(key, (count, 1, 2), (0.0, 2 * jnp.pi), (0.0, 0.1))


def momentum(q, v, features):
    """p = M(q) v; a density of (q, p) takes it in the place of v, see `lgn.canonical`."""
    cos = jnp.cos(q[..., 0] - q[..., 1])
    return jnp.stack([2 * v[..., 0] + cos * v[..., 1], cos * v[..., 0] + v[..., 1]], -1)


def velocity(q, p, features):
    """v = M(q)^-1 p."""
    cos = jnp.cos(q[..., 0] - q[..., 1])
    v = jnp.stack([p[..., 0] - cos * p[..., 1], 2 * p[..., 1] - cos * p[..., 0]], -1)
    return v / (2 - cos**2)[..., None]


def law(q, v, features):
    """Exact dq/dt and dv/dt without friction, for `law` of a `Baseline`."""
    return v, acceleration(q, v)


def energy_error(q: jax.Array, v: jax.Array) -> jax.Array:
    """|E - E(0)| / 29.4 of motions (..., time, node, 2): the published measure, in depths of the potential."""
    found = energy(q, v)
    return jnp.abs(found - found[..., :1]) / DEPTH


def trajectory(q0, v0, ts, friction: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """q and v at times ts, (time, 1, 2), from q0 and v0 (1, 2) at ts[0]; see `n_pendulum.integrate`."""
    return integrate(lambda q, v: _accelerations(math, friction, *q, *v), q0, v0, ts)


def pieces(seed: int, count: int, each: int, dt: float, length: int = 3) -> list[tuple[np.ndarray, np.ndarray]]:
    """q and v, (each, length, 1, 2), of pieces dt apart at random times of the first 10 s after each of the starts."""
    first = np.sort(np.random.default_rng(seed).uniform(0, 10, (count, each)), axis=1)
    begun = zip(*starts(jax.random.key(seed), count), first[..., None] + dt * np.arange(length), strict=True)
    return [_at(np.asarray(q), np.asarray(v), times) for q, v, times in begun]


def _at(q0, v0, times) -> tuple[np.ndarray, np.ndarray]:
    """q and v at times of any shape and order, from q0 and v0 at 0."""
    asked, place = np.unique(times, return_inverse=True)
    q, v = trajectory(q0, v0, np.concatenate([[0.0], asked]))
    return q[1:][place.reshape(times.shape)], v[1:][place.reshape(times.shape)]


def _accelerations(xp, friction, q1, q2, w1, w2):
    """a1 and a2; xp is jnp for arrays, math for numbers, which numpy would take longer for."""
    sin, cos = xp.sin(q1 - q2), xp.cos(q1 - q2)
    f1 = -(w2**2) * sin - 2 * GRAVITY * xp.sin(q1) - 2 * friction * w1
    f2 = w1**2 * sin - GRAVITY * xp.sin(q2) - 2 * friction * w2
    determinant = 1 + sin**2
    return (f1 - cos * f2) / determinant, (2 * f2 - cos * f1) / determinant


def _kinetic(q, v):
    w1, w2 = v[..., 0], v[..., 1]
    return jnp.sum(w1**2 + 0.5 * w2**2 + w1 * w2 * jnp.cos(q[..., 0] - q[..., 1]), -1)


def _potential(q):
    return -GRAVITY * jnp.sum(2 * jnp.cos(q[..., 0]) + jnp.cos(q[..., 1]), -1)

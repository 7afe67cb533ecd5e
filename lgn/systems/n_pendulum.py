"""A planar chain of n pendulums: point masses m_k at the ends of rigid, massless rods of lengths l_k.

    T = 1/2 sum_k m_k (x_k'^2 + y_k'^2),    V = g sum_k m_k y_k,    R = c sum_k w_k^2,
    x_k = sum_{i <= k} l_i sin q_i,    y_k = -sum_{i <= k} l_i cos q_i,
    M_ij = s_ij l_i l_j cos(q_i - q_j),    s_ij = sum of m_k over k >= max(i, j),
    f_i = -sum_j s_ij l_i l_j sin(q_i - q_j) w_j^2 - g s_ii l_i sin q_i - 2 c w_i,    M a = f.

One node carries the n angles q from the vertical (rad); w = v (rad/s). Masses in kg, lengths in m, g = 9.8 m/s^2,
energies in J, the coefficient c of friction in J s. Masses and lengths are positive. The chain hangs down at q = 0.

Source: the Lagrange equations of T, V and R; Landau and Lifshitz 1976, Mechanics, section 5, problem 1, for n = 2.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from scipy.integrate import solve_ivp

from lgn import _arguments, _draws
from lgn.data.samples import States

GRAVITY = 9.8
TOLERANCE = 1e-12


def density(q, v, features, lengths=1.0, masses=1.0, g: float = GRAVITY):
    """T - V of q, v: (1, n).

    Args:
        q: angles from the vertical.
        v: their velocities.
        features: not used.
        lengths: of the rods, one number or (n,), from the pivot on.
        masses: one number or (n,), from the pivot on.
        g: acceleration of gravity.

    Example:
        >>> import functools, jax.numpy as jnp, lgn
        >>> from lgn.systems import n_pendulum
        >>> L = lgn.Lagrangian(lgn.single_node(), functools.partial(n_pendulum.density, lengths=2.0))
        >>> q = jnp.full((1, 3), jnp.pi / 2)  # released level, the inner rod falls and turns none of the others
        >>> bool(jnp.allclose(L.acceleration(q, jnp.zeros((1, 3))), jnp.array([-4.9, 0, 0]), atol=1e-5))
        True
    """
    return _kinetic(q, v, lengths, masses) - _potential(q, lengths, masses, g)


def friction(q, v, features, coefficient: float = 0.25):
    """R = c |w|^2: friction of every angle's own velocity."""
    return coefficient * jnp.sum(v**2)


def mass_matrix(q, lengths=1.0, masses=1.0):
    """M, (..., n, n), of angles (..., n); of numpy arrays in numpy, of jax arrays in jax."""
    return _couplings(q, lengths, masses) * q.__array_namespace__().cos(q[..., :, None] - q[..., None, :])


def force(q, v, friction: float = 0.0, lengths=1.0, masses=1.0, g: float = GRAVITY):
    """f, (..., n), of angles (..., n) and their velocities; of numpy arrays in numpy, of jax arrays in jax."""
    xp = q.__array_namespace__()
    whirl = _couplings(q, lengths, masses) * xp.sin(q[..., :, None] - q[..., None, :])
    weight = g * _levers(q, lengths, masses) * xp.sin(q)
    return -(whirl @ (v**2)[..., None])[..., 0] - weight - 2 * friction * v


def acceleration(q, v, friction: float = 0.0, lengths=1.0, masses=1.0, g: float = GRAVITY):
    """a of M a = f; q and v are (..., n): a node axis is a batch. numpy gives numpy, jax gives jax."""
    xp = q.__array_namespace__()
    f = force(q, v, friction, lengths, masses, g)
    return xp.linalg.solve(mass_matrix(q, lengths, masses), f[..., None])[..., 0]


def energy(q, v, lengths=1.0, masses=1.0, g: float = GRAVITY) -> jax.Array:
    """T + V of (..., node, n)."""
    return _kinetic(q, v, lengths, masses) + _potential(q, lengths, masses, g)


def sample(
    key: jax.Array, count: int, n: int, speed: float = 10.0, friction=0.0, lengths=1.0, masses=1.0, g: float = GRAVITY
) -> States:
    """States of independent angles U(0, 2 pi) and velocities U(-speed, speed), with exact accelerations."""
    _arguments.drawn("sample", key, count=count, n=n)
    q, v = uniform(key, (count, 1, n), (0.0, 2 * jnp.pi), (-speed, speed))
    return States(q, v, acceleration(q, v, friction, lengths, masses, g))


def uniform(key: jax.Array, shape: tuple[int, ...], angles: tuple, velocities: tuple) -> tuple[jax.Array, jax.Array]:
    """q and v of that shape, independent and uniform, each between two numbers."""
    first, second = jax.random.split(key)
    q = _draws.uniform(first, shape, minval=angles[0], maxval=angles[1])
    return q, _draws.uniform(second, shape, minval=velocities[0], maxval=velocities[1])


def trajectory(q0, v0, ts, friction=0.0, lengths=1.0, masses=1.0, g: float = GRAVITY) -> tuple[np.ndarray, np.ndarray]:
    """q and v at times ts, (time, 1, n), from q0 and v0 (1, n) at ts[0]; see `integrate`."""
    return integrate(lambda q, v: acceleration(q, v, friction, lengths, masses, g), q0, v0, ts)


def integrate(acceleration: Callable, q0, v0, ts) -> tuple[np.ndarray, np.ndarray]:
    """Reference trajectory of a_i = acceleration(q, v)_i, in double precision whatever the dtype of jax.

    Args:
        acceleration: from q and v, numpy arrays (n,), to n numbers.
        q0: (1, n) angles, not wrapped on the way.
        v0: (1, n).
        ts: (time,) increasing; the start is at ts[0].

    Returns:
        q and v, (time, 1, n); by DOP853 with relative and absolute tolerance 1e-12.

    Raises:
        ValueError: a start that is not finite.
    """
    start = np.array([q0, v0], dtype=float)
    if not np.isfinite(start).all():
        raise ValueError(f"integrate: q0={start[0].tolist()}, v0={start[1].tolist()}; give finite numbers")
    n, ts = start.shape[-1], np.asarray(ts, dtype=float)

    def rate(t, state):
        q, v = state[:n], state[n:]
        return (*v, *acceleration(q, v))

    limits = {"rtol": TOLERANCE, "atol": TOLERANCE}
    found = solve_ivp(rate, (ts[0], ts[-1]), start.ravel(), method="DOP853", t_eval=ts, **limits).y.T[:, None]
    return found[..., :n], found[..., n:]


def _carried(n, masses):
    """(n,) s_ii, the mass that hangs on each rod; s_ij is the smaller of s_ii and s_jj."""
    return np.cumsum(np.broadcast_to(masses, n)[::-1])[::-1]


def _levers(q, lengths, masses):
    """(n,) s_ii l_i in the dtype of q."""
    return (_carried(q.shape[-1], masses) * lengths).astype(q.dtype)


def _couplings(q, lengths, masses):
    """(n, n) s_ij l_i l_j in the dtype of q."""
    carried, lengths = _carried(q.shape[-1], masses), np.broadcast_to(lengths, q.shape[-1])
    return (np.minimum.outer(carried, carried) * np.multiply.outer(lengths, lengths)).astype(q.dtype)


def _kinetic(q, v, lengths, masses):
    across = jnp.cumsum(lengths * jnp.cos(q) * v, -1)
    upward = jnp.cumsum(lengths * jnp.sin(q) * v, -1)
    return jnp.sum(0.5 * masses * (across**2 + upward**2), (-2, -1))


def _potential(q, lengths, masses, g):
    return -g * jnp.sum(masses * jnp.cumsum(lengths * jnp.cos(q), -1), (-2, -1))

"""A mass on a spring with friction, the damped oscillator: m a = -k q - c v.

    T = m v^2 / 2,    V = k q^2 / 2,    R = c v^2 / 2.

One node carries the elongation q (m); v in m/s; m in kg, k in N/m, c in N s/m (R with the half that makes c the usual
coefficient); energies in J. It oscillates where c^2 < 4 m k. With m = 1/2 and k = 2, T + V = q^2 + p^2, p = m v.

Source: Landau and Lifshitz 1976, Mechanics, section 25.
"""

import jax
import jax.numpy as jnp
import numpy as np

from lgn import _arguments, _draws
from lgn.data.samples import States
from lgn.systems import phase_space

MASS = 1.0
STIFFNESS = 1.0
FRICTION = 0.25
HNN = phase_space.Protocol(np.linspace(0, 3, 30), radii=(0.1, 1.0))
DGNET = phase_space.Protocol(np.linspace(0, 20, 100), radii=(0.1, 1.0))


def density(q, v, features, m: float = MASS, k: float = STIFFNESS):
    """T - V of q, v: (1, 1).

    Example:
        >>> import jax.numpy as jnp, lgn
        >>> from lgn.systems import mass_spring
        >>> L = lgn.Lagrangian(lgn.single_node(), mass_spring.density, dissipation=mass_spring.friction)
        >>> float(L.acceleration(jnp.ones((1, 1)), jnp.ones((1, 1)))[0, 0])
        -1.25
    """
    return 0.5 * m * jnp.sum(v**2) - 0.5 * k * jnp.sum(q**2)


def friction(q, v, features, coefficient: float = FRICTION):
    """R = c v^2 / 2, for `dissipation` of a Lagrangian; another c by functools.partial."""
    return 0.5 * coefficient * jnp.sum(v**2)


def acceleration(q: jax.Array, v: jax.Array, m: float = MASS, k: float = STIFFNESS, c: float = 0.0) -> jax.Array:
    """-(k q + c v) / m."""
    return -(k * q + c * v) / m


def energy(q: jax.Array, v: jax.Array, m: float = MASS, k: float = STIFFNESS) -> jax.Array:
    """T + V of (..., node, 1)."""
    return 0.5 * jnp.sum(m * v**2 + k * q**2, (-2, -1))


def sample(key: jax.Array, count: int, m: float = MASS, k: float = STIFFNESS, c: float = 0.0) -> States:
    """States of independent normal q and v, with exact accelerations."""
    _arguments.drawn("sample", key, count=count)
    q, v = _draws.normal(key, (2, count, 1, 1))
    return States(q, v, acceleration(q, v, m, k, c))


def exact(q0, v0, ts, m: float = MASS, k: float = STIFFNESS, c: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """q and v at times ts, (time, 1, 1), from q0 and v0 (1, 1) at t = 0, in closed form, however strong the friction:

        q = e^(-gamma t) (q0 cosh(r t) + (v0 + gamma q0) sinh(r t) / r),    gamma = c / 2m,    r^2 = gamma^2 - k / m,

    where r is imaginary below critical friction, and sinh(r t) / r is t where r is 0.
    """
    q0, v0, t = np.asarray(q0), np.asarray(v0), np.asarray(ts, dtype=float)[:, None, None]
    gamma = c / (2 * m)
    r = np.sqrt(complex(gamma**2 - k / m))
    slow, x = np.exp((r - gamma) * t), -2 * r * t  # no exponent grows: strong friction does not overflow
    even = (slow * (1 + np.exp(x)) / 2).real
    odd = (slow * t * np.where(x == 0, 1, np.expm1(x) / np.where(x == 0, 1, x))).real
    return q0 * even + (v0 + gamma * q0) * odd, v0 * even - (gamma * v0 + k / m * q0) * odd


def hamiltonian(u, features):
    """q^2 + p^2 of u: (1, 2)."""
    return jnp.sum(u**2)


def hamiltonian_energy(u):
    """H of (..., node, 2)."""
    return (u**2).sum((-2, -1))


def hamiltonian_rate(u):
    """(2 p, -2 q) of u (..., node, 2); of numpy arrays in numpy, of jax arrays in jax."""
    return u[..., ::-1] * np.array([2.0, -2.0], u.dtype)


def hamiltonian_motions(starts, ts) -> np.ndarray:
    """u at times ts, (trajectory, time, 1, 2), from starts (trajectory, 1, 2) at t = 0: a circle, of period pi."""
    starts, angle = np.asarray(starts, dtype=float)[:, None], 2 * np.asarray(ts, dtype=float)[:, None, None]
    return np.cos(angle) * starts + np.sin(angle) * starts[..., ::-1] * np.array([1.0, -1.0])


def recordings(key: jax.Array, protocol: phase_space.Protocol = HNN) -> phase_space.Recording:
    """The published data, noise on u and exact rates: the first half of the trajectories to train on.

    Example:
        >>> import jax
        >>> from lgn.systems import mass_spring
        >>> data = mass_spring.recordings(jax.random.key(0))
        >>> data.part(slice(25)).u.shape
        (25, 30, 1, 2)
    """
    _arguments.drawn("recordings", key)
    return phase_space.recordings(key, hamiltonian_rate, hamiltonian_motions, protocol)

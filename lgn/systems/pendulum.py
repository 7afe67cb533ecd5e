"""The pendulum: a point mass m = 1 kg on a rigid rod l = 1 m, with friction.

    T = w^2 / 2,    V = -g cos q,    R = c w^2,    a = -g sin q - 2 c w.

One node carries the angle q from the vertical (rad); w = v (rad/s); g = 9.8 m/s^2; energies in J. The published
friction is c = 0.25 J s; without friction T + V is constant.

With m = 1/2 kg and g = 6 m/s^2 it is the pendulum of Hamiltonian networks, u = (q, p) with p = w / 2:

    H = 3 (1 - cos q) + p^2,    dq/dt = 2 p,    dp/dt = -3 sin q.

Its published data are 50 trajectories, half of them for the test, in `HNN` or `DGNET`; see `phase_space`. They have
energies from 1.7 to 5.8 of at most 6 for swinging; 91 % of the published starts of the test, energies from 0.1 to 2.4,
lie below all of them.

Source: the blog post and public code Dissipative Lagrangian neural networks (2023); Greydanus, Dzamba, Yosinski 2019,
arXiv 1906.01563 (`HNN`); Matsubara, Ishikawa, Yaguchi 2020, arXiv 1905.08604 (`DGNET`).
"""

import math

import jax
import jax.numpy as jnp
import numpy as np

from lgn import _arguments
from lgn.data.samples import States
from lgn.systems import phase_space
from lgn.systems.n_pendulum import integrate, uniform

GRAVITY = 9.8
FRICTION = 0.25
SPEED = 10.0
TIMES = np.arange(241) / 30  # 8 units of time, 30 samples each
HNN = phase_space.Protocol(np.linspace(0, 3, 45), radii=(1.3, 2.3))
DGNET = phase_space.Protocol(np.linspace(0, 20, 100), radii=(1.3, 2.3))


def density(q, v, features, g: float = GRAVITY):
    """T - V of q, v: (1, 1).

    Example:
        >>> import jax.numpy as jnp, lgn
        >>> from lgn.systems import pendulum
        >>> L = lgn.Lagrangian(lgn.single_node(), pendulum.density, dissipation=pendulum.friction)
        >>> round(float(L.acceleration(jnp.zeros((1, 1)), jnp.ones((1, 1)))[0, 0]), 6)
        -0.5
    """
    return 0.5 * jnp.sum(v**2) + g * jnp.sum(jnp.cos(q))


def friction(q, v, features, coefficient: float = FRICTION):
    """R = c w^2, for `dissipation` of a Lagrangian; another c by functools.partial."""
    return coefficient * jnp.sum(v**2)


def acceleration(q: jax.Array, v: jax.Array, friction: float = 0.0, g: float = GRAVITY) -> jax.Array:
    """-g sin q - 2 c w; `friction` is c, q and v are (..., node, 1)."""
    return -g * jnp.sin(q) - 2 * friction * v


def energy(q: jax.Array, v: jax.Array, g: float = GRAVITY) -> jax.Array:
    """T + V of (..., node, 1); from -g at rest."""
    return jnp.sum(0.5 * v**2 - g * jnp.cos(q), (-2, -1))


def sample(key: jax.Array, count: int, speed: float = SPEED, friction: float = 0.0, g: float = GRAVITY) -> States:
    """States of independent angles U(-pi, pi) and velocities U(-speed, speed), with exact accelerations."""
    _arguments.drawn("sample", key, count=count)
    q, v = uniform(key, (count, 1, 1), (-jnp.pi, jnp.pi), (-speed, speed))
    return States(q, v, acceleration(q, v, friction, g))


def grid(friction: float = FRICTION, g: float = GRAVITY) -> States:
    """The 11 x 11 states [-pi, pi] x [-10, 10] of the published test of the vector field; the angle varies slowest."""
    axes = jnp.linspace(-jnp.pi, jnp.pi, 11), jnp.linspace(-SPEED, SPEED, 11)
    q, v = (x.reshape(-1, 1, 1) for x in jnp.meshgrid(*axes, indexing="ij"))
    return States(q, v, acceleration(q, v, friction, g))


def trajectory(q0, v0, ts, friction: float = 0.0, g: float = GRAVITY) -> tuple[np.ndarray, np.ndarray]:
    """q and v at times ts, (time, 1, 1), from q0 and v0 (1, 1) at ts[0]; see `n_pendulum.integrate`."""
    return integrate(lambda q, v: [-g * math.sin(q[0]) - 2 * friction * v[0]], q0, v0, ts)


def trajectories(key: jax.Array, count: int, friction: float = FRICTION, g: float = GRAVITY) -> States:
    """States along `count` trajectories from uniform starts, at `TIMES`, one trajectory after the other.

    The published training data: t in [0, 8], 30 samples a unit. Angles are not wrapped.

    Returns:
        States of count * 241 samples, with exact accelerations; `q.reshape(count, 241, 1, 1)` has them by trajectory.
    """
    _arguments.drawn("trajectories", key, count=count)
    starts = uniform(key, (count, 1, 1), (-jnp.pi, jnp.pi), (-SPEED, SPEED))
    runs = [trajectory(q0, v0, TIMES, friction, g) for q0, v0 in zip(*starts, strict=True)]
    q, v = (jnp.concatenate(x) for x in zip(*runs, strict=True))
    return States(q, v, acceleration(q, v, friction, g))


def hamiltonian(u, features):
    """3 (1 - cos q) + p^2 of u: (1, 2)."""
    return 3 * (1 - jnp.cos(u[0, 0])) + u[0, 1] ** 2


def hamiltonian_energy(u):
    """H of (..., node, 2); of numpy arrays in numpy, of jax arrays in jax."""
    cos = u.__array_namespace__().cos
    return (3 * (1 - cos(u[..., 0])) + u[..., 1] ** 2).sum(-1)


def hamiltonian_rate(u):
    """(2 p, -3 sin q) of u (..., node, 2); of numpy arrays in numpy, of jax arrays in jax."""
    xp = u.__array_namespace__()
    return xp.stack([2 * u[..., 1], -3 * xp.sin(u[..., 0])], -1)


def hamiltonian_motions(starts, ts) -> np.ndarray:
    """u at times ts, (trajectory, time, 1, 2), from starts (trajectory, 1, 2) at ts[0]; see `phase_space.motions`."""
    return phase_space.motions(hamiltonian_rate, starts, ts)


def recordings(key: jax.Array, protocol: phase_space.Protocol = HNN) -> phase_space.Recording:
    """The published data, noise on u and exact rates: the first half of the trajectories to train on."""
    _arguments.drawn("recordings", key)
    return phase_space.recordings(key, hamiltonian_rate, hamiltonian_motions, protocol)

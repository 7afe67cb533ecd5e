"""The 1D wave equation on a ring, as published: q_tt[i] = 5 (q[i+1] - 2 q[i] + q[i-1]).

From l = v^2 / 2 - 5/2 (q[i+1] - q[i])^2; the published code divides by 2 dx with dx = 0.1, not by dx^2.
Lengths count nodes; the wave speed is sqrt(5) nodes per unit of time, the highest angular frequency 2 sqrt(5).

Source: Cranmer et al. 2020, arXiv 2003.04630, section 5, and its public code.
"""

import jax
import jax.numpy as jnp
import numpy as np

from lgn import _arguments, _draws
from lgn.data.samples import States

STIFFNESS = 5.0
AMPLITUDE = 0.98282


def density(q, v, features):
    """l of q, v: (3, 1) on the node stencil of `lgn.lattice((n,))`, slots self, left, right.

    Example:
        >>> import jax.numpy as jnp, lgn
        >>> from lgn.systems import wave
        >>> L = lgn.Lagrangian(lgn.lattice((4,)), wave.density)
        >>> L.acceleration(jnp.array([[1.0], [0.0], [0.0], [0.0]]), jnp.zeros((4, 1)))[:, 0].tolist()
        [-10.0, 5.0, 0.0, 5.0]
    """
    return 0.5 * v[0, 0] ** 2 - 0.5 * STIFFNESS * (q[2, 0] - q[0, 0]) ** 2


def acceleration(q):
    """5 (q[i+1] - 2 q[i] + q[i-1]) on the axis before the last; q is (..., node, 1), of numpy or of jax."""
    roll = np.roll if isinstance(q, np.ndarray) else jnp.roll
    return STIFFNESS * (roll(q, -1, -2) - 2 * q + roll(q, 1, -2))


def energy(q: jax.Array, v: jax.Array) -> jax.Array:
    """sum of v^2 / 2 + 5/2 (q[i+1] - q[i])^2 over the nodes of (..., node, 1)."""
    return jnp.sum(0.5 * v**2 + 0.5 * STIFFNESS * (jnp.roll(q, -1, -2) - q) ** 2, (-2, -1))


def sample(key: jax.Array, count: int, n_node: int) -> States:
    """States of independent normal q and v, with exact accelerations."""
    _arguments.drawn("sample", key, count=count, n_node=n_node)
    q, v = AMPLITUDE * np.asarray(_draws.normal(key, (2, count, n_node, 1)))
    return States(jnp.asarray(q), jnp.asarray(v), jnp.asarray(acceleration(q)))


def pulse(n_node: int, width: float = 0.05 * 99) -> tuple[jax.Array, jax.Array]:
    """A resting Gaussian pulse in the middle of the ring; on 100 nodes that of the published figure.

    Args:
        n_node: nodes of the ring.
        width: standard deviation, in nodes.
    """
    place = np.arange(n_node, dtype=jnp.result_type(float))[:, None] - 0.5 * (n_node - 1)
    return jnp.exp(-0.5 * (place / width) ** 2), jnp.asarray(np.zeros_like(place))


def exact(q0, v0, ts) -> tuple[np.ndarray, np.ndarray]:
    """q and v at times ts, (time, node, 1), exact: every Fourier mode of the ring is a harmonic oscillator."""
    n = len(q0)
    q_hat, v_hat = np.fft.rfft(np.asarray(q0)[:, 0]), np.fft.rfft(np.asarray(v0)[:, 0])
    omega = 2 * np.sqrt(STIFFNESS) * np.sin(np.pi * np.arange(q_hat.size) / n)
    phase = np.asarray(ts)[:, None] * omega
    drift = np.asarray(ts)[:, None] * np.sinc(phase / np.pi)  # sin(omega t) / omega, and t where omega is 0
    q = np.fft.irfft(q_hat * np.cos(phase) + v_hat * drift, n)
    v = np.fft.irfft(v_hat * np.cos(phase) - q_hat * omega * np.sin(phase), n)
    return q[..., None], v[..., None]

"""The pixel pendulum: frames of 28 x 28 pixels of a pendulum that swings, without its angle.

    T = m l^2 w^2 / 6,    V = m g l (1 - cos q) / 2,    a = -(3 g / 2 l) sin q

for a uniform rod of mass m = 1 kg and length l = 1 m, hung at one end, g = 10 m/s^2; q (rad) is 0 where it hangs, w = v
(rad/s), energies in J, 0 at rest. A trial starts as the environment of the source does: q in U(-pi/6, pi/6), w in
U(-1, 1), frames 0.05 s apart. The published frames came from a renderer that no longer exists: here a rod and a bob are
drawn with smooth edges, so that the brightness of every pixel is an analytic function of q.

Source: Greydanus, Dzamba, Yosinski 2019, arXiv 1906.01563, section 5; the pendulum of OpenAI Gym, version 0.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import ellipj, ellipk, ellipkinc

from lgn import _arguments, _draws
from lgn.data.preprocessing import differences

GRAVITY = 10.0
STIFFNESS = 1.5 * GRAVITY  # of the angle, 3 g / 2 l (1/s^2)
STEP = 0.05  # between two frames (s)
ANGLE, SPEED = np.pi / 6, 1.0  # of the starts
SIDE = 28
ROD, WIDTH = 10.0, 1.0  # length and half width of the rod, from the middle of the frame (pixels)
BOB, EDGE = 2.5, 1.0  # radius of the bob, width over which its edge fades (pixels)


class Trials(NamedTuple):
    """Recorded motions.

    Attributes:
        frames: (trial, time, pixel), brightness from 0 to 1, row by row.
        q: (trial, time) true angle.
        v: (trial, time) true angular velocity.
    """

    frames: np.ndarray
    q: np.ndarray
    v: np.ndarray


def density(q, v, features):
    """T - V of q, v: (1, 1).

    Example:
        >>> import jax.numpy as jnp, lgn
        >>> from lgn.systems import pixel_pendulum
        >>> L = lgn.Lagrangian(lgn.single_node(), pixel_pendulum.density)
        >>> round(float(L.acceleration(jnp.full((1, 1), jnp.pi / 2), jnp.zeros((1, 1)))[0, 0]), 6)
        -15.0
    """
    return jnp.sum(v**2) / 6 - 0.5 * GRAVITY * jnp.sum(1 - jnp.cos(q))


def acceleration(q, v):
    """-(3 g / 2 l) sin q of (..., node, 1)."""
    return -STIFFNESS * jnp.sin(q)


def energy(q, v):
    """T + V of each angle and angular velocity, elementwise."""
    return v**2 / 6 + 0.5 * GRAVITY * (1 - np.cos(q))


def amplitude(energy) -> np.ndarray:
    """Largest angle of a motion of this energy: pi if it turns over."""
    return np.arccos(np.clip(1 - 2 * np.asarray(energy) / GRAVITY, -1, 1))


def motion(q0, v0, t) -> tuple[np.ndarray, np.ndarray]:
    """Angle and angular velocity of swings below the top, in Jacobi's elliptic functions.

        sin(q / 2) = k sn(u, k),    u = u_0 + sqrt(3 g / 2 l) t,    k^2 = sin^2(q_0 / 2) + w_0^2 l / (6 g)

    Args:
        q0: (...) angle at t = 0, in (-pi, pi).
        v0: (...) angular velocity.
        t: (time,).

    Returns:
        q and v, (..., time).

    Raises:
        ValueError: a start with the energy to turn over, k >= 1.

    Example:
        >>> import numpy as np
        >>> from lgn.systems import pixel_pendulum
        >>> q, v = pixel_pendulum.motion(0.5, 0.0, np.array([0.0, 1.6484]))
        >>> q.round(3).tolist()
        [0.5, 0.5]
    """
    frequency = np.sqrt(STIFFNESS)
    q0, v0 = np.asarray(q0, float)[..., None], np.asarray(v0, float)[..., None]
    modulus = np.sin(q0 / 2) ** 2 + (v0 / (2 * frequency)) ** 2
    if not (modulus < 1).all():
        raise ValueError(f"motion: k^2 = {float(np.max(modulus)):.3g}: the pendulum turns over; start lower or slower")
    sine = np.sin(q0 / 2) / np.sqrt(np.where(modulus > 0, modulus, 1))
    rising = ellipkinc(np.arcsin(np.clip(sine, -1, 1)), modulus)
    start = np.where(v0 < 0, 2 * ellipk(modulus) - rising, rising)
    sn, cn, *_ = ellipj(start + frequency * np.asarray(t), modulus)
    return 2 * np.arcsin(np.sqrt(modulus) * sn), 2 * frequency * np.sqrt(modulus) * cn


def frames(q) -> np.ndarray:
    """(..., pixel) brightness of the frames at angles q (...): a rod of Gaussian cross section from the middle, and a
    bob at its end.

    Example:
        >>> import numpy as np
        >>> from lgn.systems import pixel_pendulum
        >>> frame = pixel_pendulum.frames(0.0).reshape(28, 28)
        >>> int(frame.sum(1).argmax()), bool(np.allclose(frame, frame[:, ::-1]))
        (23, True)
    """
    q = np.asarray(q, float)[..., None]
    down, right = (axis.ravel() - (SIDE - 1) / 2 for axis in np.mgrid[:SIDE, :SIDE])
    along = right * np.sin(q) + down * np.cos(q)
    across = right * np.cos(q) - down * np.sin(q)
    rod = np.exp(-((across / WIDTH) ** 2)) * _inside(along + WIDTH) * _inside(ROD - along)
    bob = _inside((BOB**2 - across**2 - (along - ROD) ** 2) / (2 * BOB))
    return 1 - (1 - 0.6 * rod) * (1 - bob)


def angles(seen) -> np.ndarray:
    """(...) angles of the frames that are closest to (..., pixel), by least squares: what a viewer would read off.

    The best of a grid of 1 degree over the circle, then Gauss-Newton.
    """
    seen = np.asarray(seen, float)
    flat = seen.reshape(-1, seen.shape[-1])
    grid = np.linspace(-np.pi, np.pi, 361)
    known = frames(grid)
    q = grid[np.argmax(flat @ known.T - 0.5 * np.sum(known**2, 1), 1)]
    for _ in range(4):
        slope = (frames(q + 1e-4) - frames(q - 1e-4)) / 2e-4
        q = q + np.sum(slope * (flat - frames(q)), 1) / np.sum(slope**2, 1)
    return q.reshape(seen.shape[:-1])


def observed(seen) -> tuple[np.ndarray, np.ndarray]:
    """Angle and angular velocity (..., time - 6) of films (..., time, pixel): `angles`, and their central differences;
    the first three and the last three frames have none."""
    q, v, _ = differences(jnp.asarray(angles(seen))[..., None], STEP)
    return np.asarray(q[..., 0]), np.asarray(v[..., 0])


def sample(key: jax.Array, trials: int = 200, times: int = 100, angle: float = ANGLE, speed: float = SPEED) -> Trials:
    """Trials of `times` frames from uniform starts."""
    _arguments.drawn("sample", key, trials=trials, times=times)
    at, moving = jax.random.split(key)
    q0 = np.asarray(_draws.uniform(at, (trials,), minval=-angle, maxval=angle), float)
    v0 = np.asarray(_draws.uniform(moving, (trials,), minval=-speed, maxval=speed), float)
    q, v = motion(q0, v0, STEP * np.arange(times))
    return Trials(frames(q), q, v)


def _inside(depth):
    """0 outside, 1 inside, over the width of an edge."""
    return 1 / (1 + np.exp(-4 * np.clip(depth / EDGE, -100, 100)))

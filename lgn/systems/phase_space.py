"""Phase space: motions of du/dt = rate(u), recordings of them with noise, and the error of their energy.

What the published Hamiltonian tasks have in common. A state u of shape (node, dim) holds in the halves of dim the
coordinates q and the momenta p of each node. In the tasks of one node, u = (q, p), motions start in a random direction
at a random distance from the origin; noise falls on q and p alone, the rates are those of the undisturbed motion.

Published figures compare sums of q^2 + p^2 for every system of one node, which is the energy of the spring and not that
of the pendulum: `published_energy` is that, and `energy_error` takes any.

Source: Greydanus, Dzamba, Yosinski 2019, arXiv 1906.01563, and its public code; Matsubara, Ishikawa, Yaguchi 2020,
arXiv 1905.08604.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.integrate import solve_ivp

from lgn import _draws

TOLERANCE = 3e-14  # relative and absolute; scipy takes no smaller one
BATCH = 50  # motions that share their steps, by the mean of their errors
EVALUATION_TIMES = np.linspace(0, 20, 100)


class Protocol(NamedTuple):
    """How motions of one node were recorded.

    Attributes:
        ts: (time,) of the samples, from 0 on.
        radii: smallest and largest distance of a start from the origin.
        noise: standard deviation of what is added to q and p.
        trajectories: how many, half of them for the test.
    """

    ts: np.ndarray
    radii: tuple[float, float]
    noise: float = 0.1
    trajectories: int = 50


class Recording(NamedTuple):
    """Trajectories sampled at the same times.

    Attributes:
        t: (time,).
        u: (trajectory, time, node, dim), with noise where there is any.
        rate: (trajectory, time, node, dim), du/dt of the motion without noise.
    """

    t: np.ndarray
    u: np.ndarray
    rate: np.ndarray

    def part(self, which: slice) -> "Recording":
        """Some of the trajectories, as those to train on."""
        return Recording(self.t, self.u[which], self.rate[which])

    @property
    def samples(self) -> tuple[np.ndarray, np.ndarray]:
        """u and rate as independent samples, (trajectory * time, node, dim): `lgn.States(*recording.samples)`."""
        shape = (-1, *self.u.shape[2:])
        return self.u.reshape(shape), self.rate.reshape(shape)


def motions(rate: Callable, starts, ts) -> np.ndarray:
    """Exact motions of du/dt = rate(u), in double precision whatever the dtype of jax.

    Args:
        rate: from numpy arrays (trajectory, node, dim) to their du/dt.
        starts: (trajectory, node, dim) u at ts[0].
        ts: (time,) increasing.

    Returns:
        u, (trajectory, time, node, dim); by DOP853 with relative and absolute tolerance 3e-14.

    Raises:
        ValueError: starts of another shape, or not finite.

    Example:
        >>> import numpy as np
        >>> from lgn.systems import phase_space
        >>> float(phase_space.motions(lambda u: -u, np.ones((1, 1, 1)), [0, 1])[0, -1, 0, 0].round(9))
        0.367879441
    """
    starts, ts = np.asarray(starts, dtype=float), np.asarray(ts, dtype=float)
    if starts.ndim != 3 or not np.isfinite(starts).all():
        raise ValueError(f"motions: starts have shape {starts.shape}; give finite (trajectory, node, dim)")
    batches = np.split(starts, range(BATCH, len(starts), BATCH))
    return np.concatenate([_integrated(rate, batch, ts) for batch in batches])


def record(key: jax.Array, rate: Callable, u: np.ndarray, ts, noise: float = 0.0) -> Recording:
    """Motions u (trajectory, time, node, dim) as they are measured: with normal noise, and the rates without it."""
    u = np.asarray(u)
    return Recording(np.asarray(ts), u + noise * np.asarray(_draws.normal(key, u.shape)), rate(u))


def recordings(key: jax.Array, rate: Callable, motion: Callable, protocol: Protocol) -> Recording:
    """Motions of one node from random starts, by motion(starts, ts), recorded as the protocol says."""
    place, disturbance = jax.random.split(key)
    starts = around_origin(place, protocol.trajectories, protocol.radii)
    return record(disturbance, rate, motion(starts, protocol.ts), protocol.ts, protocol.noise)


def around_origin(key: jax.Array, count: int, radii: tuple[float, float]) -> jax.Array:
    """Starts (count, 1, 2) at distances U(*radii), in the directions of points uniform in a square, as published: the
    diagonals are more likely than the axes."""
    direction, distance = jax.random.split(key)
    point = _draws.uniform(direction, (count, 1, 2), minval=-1, maxval=1)
    radius = _draws.uniform(distance, (count, 1, 1), minval=radii[0], maxval=radii[1])
    return radius * point / jnp.linalg.norm(point, axis=-1, keepdims=True)


def evaluation_starts(key: jax.Array, count: int = 15) -> jax.Array:
    """Starts (count, 1, 2) of the published energies: q and p independent, uniform in +-[0.2, 1]."""
    sign, size = jax.random.split(key)
    return jax.random.rademacher(sign, (count, 1, 2)) * _draws.uniform(size, (count, 1, 2), minval=0.2)


def squared_positions(u):
    """(q^2,) of u (slot, dim): coordinates of `lgn.Transformed` for a potential that is its own mirror image."""
    return (u[:, : u.shape[1] // 2] ** 2,)


def published_energy(u):
    """q^2 + p^2 of (..., node, dim), by which the published figures of every system of one node are made."""
    return (u**2).sum((-2, -1))


def energy_error(energy: Callable, found, exact):
    """Mean square of energy(found) - energy(exact), both (..., node, dim)."""
    return ((energy(found) - energy(exact)) ** 2).mean()


def _integrated(rate, starts, ts) -> np.ndarray:
    shape = starts.shape

    def flat(t, u):
        return rate(u.reshape(shape)).ravel()

    limits = {"rtol": TOLERANCE, "atol": TOLERANCE}
    found = solve_ivp(flat, (ts[0], ts[-1]), starts.ravel(), method="DOP853", t_eval=ts, **limits)
    return np.moveaxis(found.y.reshape(*shape, len(ts)), -1, 1)

"""Shooting: learns from noisy pieces of motion whose true starts are unknown and are found too."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax

from lgn.assembly import clamps
from lgn.assembly.domain import State
from lgn.data.samples import Windows
from lgn.learning.losses import MotionLoss, Start, counted, expect, total
from lgn.learning.samples import on_samples
from lgn.mechanics.system import check_system, offered


class Shooting(nnx.Pytree):
    """System beside the starts of pieces of its motion, all trained together: `fit` of it returns the trained system
    as `result.system.system`.

    Noise on the states that a network reads biases every loss that compares at these states (errors in variables),
    however long the training; a motion from a free start has no such noise. Data may be positions alone, and nodes may
    be seen at some times only.

    Args:
        system: any system with `nnx.Param`.
        data: pieces of trajectories; the starts begin at what was seen first.

    Raises:
        ValueError: data of wrong shapes, or not finite where they were seen.

    Example:
        >>> import jax, jax.numpy as jnp, lgn, numpy as np
        >>> from flax import nnx
        >>> t = 0.1 * np.arange(11)
        >>> noise = 0.1 * np.random.default_rng(0).normal(size=(11, 1, 2))
        >>> noisy = np.stack([np.cos(t), -np.sin(t)], 1)[:, None] + noise
        >>> data = lgn.windows(t, noisy, length=11)
        >>> energy = lgn.MLPDensity(1, 2, (8,), fields=1, rngs=nnx.Rngs(0))
        >>> flow = lgn.EnergyFlow(lgn.single_node(), energy, structure=lgn.Symplectic())
        >>> loss = lgn.ShootingLoss(lgn.ImplicitMidpoint(0.1), dt=0.1)
        >>> phases, key = [lgn.QuasiNewton(20)], jax.random.key(0)
        >>> result = lgn.fit(lgn.Shooting(flow, data), data, loss=loss, phases=phases, key=key)
        >>> result.history[-1].loss < 0.1
        True
    """

    def __init__(self, system, data: Windows):
        expect(data, Windows, "Shooting")
        starts = first_states(check_system(system), data.check())
        system.check(*(jnp.asarray(x[0]) for x in starts))
        self.system = system
        self.starts = nnx.List(Start(jnp.asarray(x)) for x in starts)

    def free_starts(self) -> State:
        """Starts, in which the nodes that a clamp holds are no parameters."""
        free = offered(self.system, "free")
        return tuple(jnp.where(free, x[...], lax.stop_gradient(x[...])) for x in self.starts)

    def config(self) -> dict:
        """Raises ValueError, for the starts are data: keep the system, `lgn.save(path, result.system.system)`."""
        raise ValueError("Shooting holds the starts of data: save its system, lgn.save(path, shooting.system)")


class ShootingLoss(MotionLoss):
    """Mean squared difference of the states of each piece from the motion that begins at its free start, relative to
    the mean square of each field, where they were seen; of positions alone, where only these were measured. Below the
    relative variance of the noise of the data there is nothing to learn.

    `fit` holds out the last fifth of each piece rather than some of the pieces, which would have no starts.

    Raises:
        ValueError: a system that is not `Shooting`, other data than its starts are of.
    """

    def __call__(self, system: Shooting, data: Windows) -> jax.Array:
        if not isinstance(system, Shooting):
            raise ValueError(
                f"ShootingLoss: {type(system).__name__} has no free starts; fit lgn.Shooting(system, data)"
            )
        ts, starts = self.times(data), system.free_starts()
        if starts[0].shape != data.q[:, 0].shape:
            raise ValueError(
                f"ShootingLoss: starts of shape {starts[0].shape} for data of {data.q[:, 0].shape}: train on the data "
                f"that Shooting was made of, all in one batch"
            )

        def run(system, state, t, *start):
            return self.integrator(system, start, ts)

        found = on_samples(run, system.system, data, *starts)
        return total(self.error, found[: len(data.state)], data.state, counted(data))

    def judge(self, data: Windows) -> "ShootingLoss":
        """Loss of held-out data: itself, for the motion from a free start has no noise."""
        return self

    def hold_out(self, data: Windows, share: float, key) -> tuple[Windows, Windows] | None:
        """Data without the last share of the times of each piece, and these times alone; nothing is drawn."""
        times = data.q.shape[1]
        seen: Any = np.ones(np.shape(data.q)[:3], bool) if data.seen is None else data.seen
        last = round(share * times)
        if last < 1 or times - last < 4:
            return None
        late = (np.arange(times) >= times - last)[:, None]
        return data._replace(seen=seen & ~late), data._replace(seen=seen & late)


def first_states(system, data: Windows) -> tuple:
    """First guess of the start of each piece, (sample, node, dim): where a node was seen first; of positions alone,
    velocities are slopes of its first third; a clamped node is where its clamp holds it, at rest the mean of all."""
    fields = tuple(_interpolated(np.asarray(x), data.seen) for x in ((data.q,) if data.v is None else (data.q, data.v)))
    alone = data.v is None and offered(system, "momentum_balance") is not None
    found = _slopes(fields[0], np.asarray(data.dt)) if alone else tuple(x[:, 0] for x in fields)
    free = np.broadcast_to(offered(system, "free"), (found[0].shape[1], 1))
    if free.all() or len(found) != 2:
        return found
    t = np.zeros(len(data.q)) if data.t is None else data.t
    domain = offered(system, "domain")
    held = [clamps.imposed(domain, jnp.asarray(q), time)[:2] for q, time in zip(fields[0].mean(1), t, strict=True)]
    return tuple(np.where(free, x, np.stack(rows)) for x, rows in zip(found, zip(*held, strict=True), strict=True))


def _slopes(q, dt) -> tuple[np.ndarray, np.ndarray]:
    """Positions and velocities at the begin of the straight lines through the first third of each piece."""
    part = q[:, : max(2, -(-q.shape[1] // 3))]
    time = np.arange(part.shape[1]) - (part.shape[1] - 1) / 2
    slope = np.tensordot(time, part, (0, 1)) / np.sum(time**2) / dt[:, None, None]
    return part.mean(1) + slope * (time[0] * dt)[:, None, None], slope


def _interpolated(x, seen) -> np.ndarray:
    """Values along time, linear between the times when a node was seen; where it never was, the mean of the others."""
    if seen is None:
        return x
    seen, time = np.asarray(seen), np.arange(x.shape[1])
    filled = np.where(seen[..., None], x, 0.0)
    mean = filled.sum((1, 2)) / np.maximum(1, seen.sum((1, 2)))[:, None]
    for sample, node in zip(*np.nonzero(~seen.all(1)), strict=True):
        there = np.flatnonzero(seen[sample, :, node])
        for i in range(x.shape[3]):
            path = filled[sample, there, node, i]
            filled[sample, :, node, i] = np.interp(time, there, path) if there.size else mean[sample, i]
    return filled

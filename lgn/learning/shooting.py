"""Shooting: learns from noisy pieces of motion whose true starts are unknown and are found too."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from lgn.data.trajectories import Windows
from lgn.learning.losses import on_samples, relative
from lgn.motion.rollout import Integrator


class Shooting(nnx.Pytree):
    """A system beside the starts of pieces of its motion, all trained together: `fit` of it returns the trained system
    as `result.system.system`.

    Noise on the states that a network reads biases every loss that compares at these states (errors in variables),
    however long the training; a motion from a free start has no such noise.

    Args:
        system: any system with `nnx.Param`.
        data: pieces of trajectories; the starts begin at their first states.

    Raises:
        ValueError: pieces without all fields of the state.

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
        self.system = system
        self.starts = nnx.List(nnx.Param(jnp.asarray(x[:, 0])) for x in data.state)

    def config(self) -> dict:
        """Arguments that make it again cannot be told: keep the system, `lgn.save(path, result.system.system)`."""
        raise ValueError("Shooting holds the starts of data: save its system, lgn.save(path, shooting.system)")


@dataclass(frozen=True)
class ShootingLoss:
    """Mean squared difference of the states of each piece from the motion that begins at its free start, relative to
    the mean square of each field. Below the relative variance of the noise of the data there is nothing to learn.

    Args:
        integrator: follows the system; fixed steps cost least.
        dt: time between two states of a piece.

    Raises:
        ValueError: a system that is not `Shooting`, other data than its starts are of.
    """

    integrator: Integrator
    dt: float

    def __call__(self, system: Shooting, data: Windows) -> jax.Array:
        if not isinstance(system, Shooting):
            raise ValueError(
                f"ShootingLoss: {type(system).__name__} has no free starts; fit lgn.Shooting(system, data)"
            )
        starts = tuple(x[...] for x in system.starts)
        if starts[0].shape != data.q[:, 0].shape:
            raise ValueError(
                f"ShootingLoss: starts of shape {starts[0].shape} for data of {data.q[:, 0].shape}: train on the data "
                f"that Shooting was made of, all in one batch"
            )
        ts = self.dt * np.arange(data.q.shape[1])

        def run(system, state, t, *start):
            return self.integrator(system, start, ts)

        found = on_samples(run, system.system, data, *starts)
        first, *others = (relative(a, b) for a, b in zip(found, data.state, strict=True))
        return sum(others, first)

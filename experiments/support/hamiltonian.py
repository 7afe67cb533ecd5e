"""Hamiltonian systems: what experiments on energy flows share: rivals of one node, motions of many starts, errors."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

import lgn
from lgn.systems import phase_space

EXACTLY = lgn.Adaptive(1e-12, 1e-12, max_steps=100_000)


def network(dim: int, hidden: Sequence[int], seed: int, **settings) -> lgn.Baseline:
    """The baseline of Hamiltonian networks: du/dt of one node by a network, without an energy."""
    law = lgn.NeuralODE(dim, hidden, fields=1, rngs=nnx.Rngs(seed), **settings)
    return lgn.Baseline(lgn.single_node(), law)


def flow(dim: int, hidden: Sequence[int], seed: int, structure=None, **settings) -> lgn.EnergyFlow:
    """A Hamiltonian network: H of one node by a network; `Symplectic` if no structure is given."""
    named = {"fields": 1, "initializer": lgn.lecun_normal, "rngs": nnx.Rngs(seed), **settings}
    energy = lgn.MLPDensity(1, dim, hidden, **named)
    return lgn.EnergyFlow(lgn.single_node(), energy, structure=structure or lgn.Symplectic())


def motions(system, starts, ts, integrator=EXACTLY) -> np.ndarray:
    """Motions (start, time, node, dim) of a system of one field from starts (start, node, dim) at ts[0]."""

    def motion(start):
        return integrator(system, (start,), np.asarray(ts))[0]

    return np.asarray(jax.jit(jax.vmap(motion))(jnp.asarray(starts)))


def energy_errors(energy, found, exact) -> np.ndarray:
    """(start,) the published error of the energy of each motion."""
    return np.array([phase_space.energy_error(energy, *pair) for pair in zip(found, exact, strict=True)], float)

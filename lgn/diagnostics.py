"""Diagnostics: numbers that say whether a motion can be trusted."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from lgn.trajectories import States, Trajectory


def relative_l2(found: Float[Array, "time node dim"], exact: Float[Array, "time node dim"]) -> np.ndarray:
    """(time,) |found - exact| / |exact|, norms over nodes and degrees of freedom."""
    if found.shape != exact.shape:
        raise ValueError(f"relative_l2: found has shape {found.shape} and exact {exact.shape}; expected the same")
    difference = np.asarray(found) - np.asarray(exact)
    return np.linalg.norm(difference, axis=(1, 2)) / np.linalg.norm(np.asarray(exact), axis=(1, 2))


def drift(energy: Float[Array, " time"]) -> float:
    """Largest |E / E_0 - 1| over time."""
    return float(np.max(np.abs(np.asarray(energy) / float(energy[0]) - 1)))


def momentum(system, trajectory: Trajectory) -> np.ndarray:
    """(time, dim) total canonical momentum; constant where L does not change when all nodes shift together."""
    return np.asarray(jax.lax.map(lambda state: jnp.sum(system.momentum(*state), 0), (trajectory.q, trajectory.v)))


def acceleration_errors(system, states: States) -> dict[str, float]:
    """Errors of the acceleration on fresh states.

    Returns:
        `acceleration_l1_sum`: mean over states of the sum over nodes of |error|, the metric of Cranmer et al.;
        `acceleration_rel_rms`: root mean square error over root mean square acceleration.
    """
    found = jax.jit(lambda system, states: jax.vmap(system.acceleration)(states.q, states.v))(system, states)
    error = np.asarray(found - states.a)
    return {
        "acceleration_l1_sum": float(np.abs(error).sum((1, 2)).mean()),
        "acceleration_rel_rms": float(np.sqrt(np.mean(error**2) / np.mean(np.asarray(states.a) ** 2))),
    }

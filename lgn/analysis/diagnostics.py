"""Diagnostics: numbers that say whether a motion can be trusted."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from lgn import _arguments, _arrays
from lgn.data.samples import States, Trajectory
from lgn.graphs.features import clamped_nodes
from lgn.learning.losses import accelerations
from lgn.mechanics.system import require
from lgn.motion.verdict import energy_sizes


def relative_l2(found: Float[Array, "time node dim"], exact: Float[Array, "time node dim"]) -> np.ndarray:
    """Relative error (time,), |found - exact| / |exact|, with norms over nodes and degrees of freedom.

    Args:
        found: fields of a motion.
        exact: what they are compared with.
    """
    x, y = (_arrays.reals(f"relative_l2: {name}", z) for name, z in (("found", found), ("exact", exact)))
    if x.shape != y.shape or x.ndim != 3:
        shapes = f"found has shape {x.shape} and exact {y.shape}"
        raise ValueError(f"relative_l2: {shapes}; expected the same, (time, node, dim): give x[None] for one state")
    return np.linalg.norm(x - y, axis=(1, 2)) / np.linalg.norm(y, axis=(1, 2))


def parameters(system) -> int:
    """Number of trained parameters of a system.

    Example:
        >>> import lgn
        >>> from flax import nnx
        >>> lgn.diagnostics.parameters(lgn.MLPDensity(1, 2, (8,), rngs=nnx.Rngs(0)))
        49
    """
    return sum(x.size for x in jax.tree.leaves(nnx.state(system, nnx.Param)))


def cost(fit) -> dict[str, float]:
    """Cost of a training: `train_seconds` and `parameters`."""
    return {"train_seconds": fit.seconds, "parameters": parameters(fit.system)}


def drift(energy: Float[Array | np.ndarray, " time"]) -> float:
    """Largest |E / E_0 - 1| over time."""
    return float(np.max(np.abs(np.asarray(energy) / float(energy[0]) - 1)))


def relative_energy(system, motion: Trajectory) -> np.ndarray:
    """Energy of a motion relative to what it exchanges, (time,): 1 + (E - E_0) / `energy_size`.

    Args:
        system: the system that moved.
        motion: what `lgn.rollout` returned.

    Raises:
        ValueError: what is no motion.

    Example:
        >>> import jax.numpy as jnp, lgn, numpy as np
        >>> def spring(q, v, features): return 0.5 * v[0, 0] ** 2 - 0.5 * q[0, 0] ** 2 - 1e6
        >>> L = lgn.Lagrangian(lgn.single_node(), spring)
        >>> motion = lgn.rollout(L, (jnp.ones((1, 1)), jnp.zeros((1, 1))), np.linspace(0, 9, 91), lgn.Verlet(0.1))
        >>> from lgn.analysis.diagnostics import drift, relative_energy
        >>> f"{drift(motion.energy):.0e}", f"{drift(relative_energy(L, motion)):.0e}"
        ('1e-09', '1e-03')
    """
    _arguments.of_kind("relative_energy: motion", motion, Trajectory, "what lgn.rollout returns")
    change = np.asarray(motion.energy) - float(motion.energy[0])
    return 1 + change / (energy_size(system, motion) or 1.0)


def energy_size(system, motion: Trajectory) -> float:
    """Size of an energy along a motion, the largest sum of |x dE/dx|, x = (q, v) or u: without the constant of E."""
    return float(energy_sizes(system, motion.state).max())


def conservation(system, motion: Trajectory, true_energy: Float[Array, " time"]) -> dict[str, float]:
    """Drifts of the true and of the learned energy along a motion, and the largest residual of its solves."""
    return {
        "energy_drift_true": drift(true_energy),
        "energy_drift_learned": drift(relative_energy(system, motion)),
        "residual_max": float(motion.residual.max()),
    }


def momentum(system, trajectory: Trajectory) -> np.ndarray:
    """Total canonical momentum (time, dim); constant where L is invariant to a shift of all nodes together."""
    of_nodes = require(system, "momentum", "diagnostics.momentum", "only a Lagrangian has one")
    return np.asarray(jax.lax.map(lambda state: jnp.sum(of_nodes(*state), 0), trajectory.state))


def eigenfrequencies(system, q: Float[Array, "node dim"], count: int) -> tuple[np.ndarray, np.ndarray]:
    """Eigenfrequencies of small oscillations about an equilibrium q: K x = omega^2 M x, for the slowest modes.

    Args:
        system: a Lagrangian; clamped nodes do not take part.
        q: configuration (node, dim) at rest.
        count: number of modes.

    Returns:
        omega (count,), ascending, negative where q is unstable and the mode grows at the rate |omega|; and the
        modes (count, node, dim).

    Raises:
        ValueError: a force acts on a node at q: it is no equilibrium.

    Example:
        >>> import jax.numpy as jnp, lgn
        >>> def string(q, v, features): return 0.5 * v[0, 0] ** 2 - 0.5 * (q[2, 0] - q[0, 0]) ** 2
        >>> L = lgn.Lagrangian(lgn.clamp(lgn.lattice((9,), periodic=False), [0, 8]), string)
        >>> lgn.diagnostics.eigenfrequencies(L, jnp.zeros((9, 1)), 2)[0].round(3).tolist()
        [0.39, 0.765]
    """
    from scipy.sparse.linalg import eigsh

    require(system, "stiffness_matrix", "diagnostics.eigenfrequencies", "only a Lagrangian has it")
    system.check(q, q)
    free = np.repeat(~clamped_nodes(system.graph), q.shape[1])
    if _arguments.whole("eigenfrequencies: count", count) >= free.sum():
        raise ValueError(f"eigenfrequencies: count={count} of {free.sum()} degrees of freedom; give fewer")
    rest = jnp.zeros_like(q)
    stiffness = system.stiffness_matrix(q)[free][:, free]
    mass = system.mass_matrix(q, rest)[free][:, free]
    push = np.where(free, np.abs(np.ravel(system.force(q, rest))), 0)
    stiff = np.abs(stiffness.diagonal())
    if push.max() > 1e-3 * stiff.max():
        node = push.argmax() // q.shape[1]
        raise ValueError(f"eigenfrequencies: node {node} is pushed with {push.max():.1e}, so that q is no rest")
    scale = stiff.mean() / mass.diagonal().mean()
    start = np.random.default_rng(0).normal(size=free.sum())
    square, found = eigsh(stiffness.tocsc(), count, mass.tocsc(), sigma=-1e-6 * scale, v0=start)  # K may be singular
    modes = np.zeros((count, free.size))
    modes[:, free] = found.T
    return np.sign(square) * np.sqrt(np.abs(square)), modes.reshape(count, *q.shape)


def split_friction(system, q: Float[Array, "sample node dim"], v: Float[Array, "sample node dim"]) -> tuple:
    """Split accelerations into the conservative part and friction, (sample, node, dim) each.

    Args:
        system: a Lagrangian.
        q: configurations.
        v: velocities.

    Returns:
        M^-1 (f + dR/dv), which holds the external force too, and -M^-1 dR/dv.

    Example:
        >>> import jax.numpy as jnp, lgn
        >>> friction = lgn.PositiveForm(slots=1, dim=1, size=0.5)
        >>> L = lgn.Lagrangian(lgn.single_node(), lgn.kinetic_energy, dissipation=friction)
        >>> [x.round(6).item() for x in lgn.diagnostics.split_friction(L, jnp.zeros((1, 1, 1)), jnp.ones((1, 1, 1)))]
        [0.0, -0.5]
    """
    require(system, "friction", "diagnostics.split_friction", "only a Lagrangian has it")

    def split(state):
        mass, f = system.equation(*state)
        friction = system.friction(*state)
        return system.response(mass, f - friction).value, system.response(mass, friction).value

    found = jax.jit(jax.vmap(split))((q, v))
    return tuple(np.asarray(x) for x in found)


def acceleration_errors(system, states: States) -> dict[str, float]:
    """Errors of the accelerations of a system on fresh states.

    Args:
        system: with an acceleration.
        states: exact accelerations `a` at `q` and `v`.

    Returns:
        `acceleration_l1_sum`: mean over states of the sum over nodes of |error|, the metric of Cranmer et al.;
        `acceleration_rel_rms`: root mean square error over root mean square acceleration.
    """
    found = jax.jit(accelerations)(system, states)
    return {"acceleration_l1_sum": l1_sum(found, states.a), "acceleration_rel_rms": relative_rms(found, states.a)}


def l1_sum(found: Float[Array, "sample node dim"], exact: Float[Array, "sample node dim"]) -> float:
    """Mean over samples of the sum over nodes of |found - exact|, the metric of Cranmer et al."""
    return float(np.abs(np.asarray(found) - np.asarray(exact)).sum((1, 2)).mean())


def relative_rms(found, exact) -> float:
    """Root mean square of found - exact over that of exact."""
    found, exact = np.asarray(found), np.asarray(exact)
    return float(np.sqrt(np.mean((found - exact) ** 2) / np.mean(exact**2)))

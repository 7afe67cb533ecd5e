"""Gauge: L and alpha L + b + dF(q)/dt have the same motion; how far two Lagrangians differ beyond that."""

from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float

from lgn import _arrays
from lgn.graphs.features import clamped_nodes
from lgn.mechanics.lagrangian import Lagrangian
from lgn.mechanics.system import require


class GaugeDistance(NamedTuple):
    """Distance of a Lagrangian from a reference once gauge is removed.

    Attributes:
        scale: alpha of M ~ alpha M_reference by least squares.
        mass: |M - alpha M_r| / |alpha M_r|.
        force: |f - alpha f_r| / |alpha f_r|, of f = dL/dq - (d2L/dv dq) v.
        energy: |E - alpha E_r - c| / |alpha E_r - mean alpha E_r| with the best constant c.
    """

    scale: float
    mass: float
    force: float
    energy: float


def gauge_distance(
    system: Lagrangian,
    reference: Lagrangian,
    q: Float[Array, "sample node dim"],
    v: Float[Array, "sample node dim"],
) -> GaugeDistance:
    """Distance of L from alpha L_reference + b + dF(q)/dt, shown by M, f and E - c, which b and F leave unchanged.

    Norms run over all samples and free nodes: the numbers are relative root mean squares. All three are zero at
    all q and v if and only if the two are gauge-related. Of two that are not, accelerations may still agree:
    0.5 (v^2 - q^2) and v^4 / 12 + 0.5 q^2 v^2 - 0.25 q^4 both oscillate as a = -q, and are far apart.

    Args:
        system: the Lagrangian in question. Dissipation and external force, no part of L, do not enter.
        reference: the Lagrangian to compare with, on the same graph. Its clamped nodes do not enter in M and f.
        q: configurations, (sample, node, dim).
        v: velocities, (sample, node, dim).

    Returns:
        A `GaugeDistance`; a number is infinite or NaN where that of the reference is zero at all samples.

    Raises:
        ValueError: q and v are not (sample, node, dim), or do not fit the graph.

    Source: Landau and Lifshitz, Mechanics, section 2.

    Example:
        >>> import jax.numpy as jnp, lgn
        >>> def free(q, v, features): return 0.5 * v[0, 0] ** 2 - 0.5 * q[0, 0] ** 2
        >>> def moved(q, v, features): return 3 * free(q, v, features) + 7 + q[0, 0] ** 2 * v[0, 0]  # F = q^3 / 3
        >>> L, other = (lgn.Lagrangian(lgn.single_node(), density) for density in (moved, free))
        >>> q, v = jnp.array([[[1.0]], [[2.0]]]), jnp.array([[[0.5]], [[1.0]]])
        >>> lgn.gauge_distance(L, other, q, v)
        GaugeDistance(scale=3.0, mass=0.0, force=0.0, energy=0.0)
    """
    q, v = (_arrays.floats(name, x) for name, x in (("q", q), ("v", v)))
    if np.ndim(q) != 3 or np.shape(q) != np.shape(v):
        raise ValueError(f"q has shape {np.shape(q)} and v {np.shape(v)}; expected (sample, node, dim) of both")
    for one in (system, reference):
        require(one, "momentum", "gauge_distance", "only a Lagrangian has a gauge")
    n, m = system.domain.size, reference.domain.size
    if n != m:
        raise ValueError(f"gauge_distance: system has {n} nodes and reference {m}; give two on the same graph")
    free = np.repeat(~clamped_nodes(reference.graph), q.shape[2])
    mass, force, energy = _samples(system, free, q, v)
    mass_r, force_r, energy_r = _samples(reference, free, q, v)
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = mass.multiply(mass_r).sum() / mass_r.power(2).sum()
        return GaugeDistance(
            float(scale),
            _relative((mass - scale * mass_r).data, scale * mass_r.data),
            _relative(force - scale * force_r, scale * force_r),
            _relative(*(x - x.mean() for x in (energy - scale * energy_r, scale * energy_r))),
        )


@jax.jit
def _equation_and_energy(system, q, v):
    return *system.equation(q, v), system.energy(q, v)


def _samples(system, free, q, v):
    """M (sample row, column) sparse and f (sample row) of free nodes, and E (sample,)."""
    from scipy.sparse import vstack

    conservative = Lagrangian(system.graph, system.functional.pairs)
    found = [_equation_and_energy(conservative, *state) for state in zip(q, v, strict=True)]
    mass = vstack([mass.sparse()[free][:, free] for mass, _, _ in found])
    force = np.concatenate([np.ravel(f)[free] for _, f, _ in found])
    return mass, force, np.array([energy for _, _, energy in found])


def _relative(difference, reference) -> float:
    return float(np.linalg.norm(difference) / np.linalg.norm(reference))

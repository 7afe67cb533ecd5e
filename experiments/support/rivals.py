"""Ways to compute the acceleration on a ring, for `scaling.py`: make(n) -> acceleration(density, q, v), all (n,)."""

from functools import partial

import asdex
import jax
import jax.numpy as jnp
import numpy as np

import lgn
from lgn.mass_matrix import pattern
from lgn.solvers import solve_band
from lgn.static import Static


def total(density, q, v):
    """The global L as one would write it without a library; slots: self, left, right."""
    q, v = (jnp.stack([x, jnp.roll(x, 1), jnp.roll(x, -1)], 1)[..., None] for x in (q, v))
    return jnp.sum(jax.vmap(lambda q, v: density(q, v, {}))(q, v))


def published(n):
    def acceleration(density, q, v):
        L = partial(total, density)
        mixed = jax.jacobian(jax.jacobian(L, 1), 0)(q, v)
        return jnp.linalg.pinv(jax.hessian(L, 1)(q, v)) @ (jax.grad(L)(q, v) - mixed @ v)

    return acceleration


def dense_solve(n):
    def acceleration(density, q, v):
        return jnp.linalg.solve(jax.hessian(partial(total, density), 1)(q, v), force_by_jvp(density, q, v))

    return acceleration


def coloured(n):
    rows = np.repeat(np.arange(n), 5)
    columns = (rows.reshape(n, 5) + np.arange(-2, 3)).ravel() % n
    sparsity = asdex.SparsityPattern.from_coo(rows, columns, (n, n))
    colouring = asdex.hessian_coloring_from_sparsity(sparsity, symmetric=False)  # 5 colours; symmetric takes 6
    ring = pattern(n, Static((np.arange(n)[:, None] + np.arange(-1, 2)) % n))
    place = np.argsort(ring.order)
    lower = np.flatnonzero(place[rows] >= place[columns])
    target = (place[rows] - place[columns])[lower], place[columns][lower]

    def acceleration(density, q, v):
        entries = asdex.hessian_from_coloring(lambda v: total(density, q, v), colouring)(v).data
        band = jnp.zeros((ring.half_bandwidth + 1, n)).at[target].set(entries[lower])
        return solve_band(band, force_by_jvp(density, q, v)[ring.order])[0][place]

    return acceleration


def elementwise(n):
    graph = lgn.lattice((n,))

    def acceleration(density, q, v):
        return lgn.Lagrangian(graph, density).acceleration(q[:, None], v[:, None])[:, 0]

    return acceleration


METHODS = {"published": published, "dense solve": dense_solve, "asdex": coloured, "lgn": elementwise}
GROWTH = {"published": 2, "dense solve": 2, "asdex": 1, "lgn": 1}  # seconds as a power of n, at least


def force_by_jvp(density, q, v):
    """dL/dq - (d2L/dv dq) v from one JVP of both gradients."""
    gradients = jax.grad(partial(total, density), (0, 1))
    (force, _), (_, convection) = jax.jvp(lambda q: gradients(q, v), (q,), (v,))
    return force - convection

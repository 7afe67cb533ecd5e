"""Clamps: nodes that do not follow the equation of motion, but rest or follow a prescribed motion (Dirichlet)."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from lgn import _traced
from lgn.assembly.block_matrix import BlockMatrix
from lgn.assembly.domain import Domain

Motion = Callable[[jax.Array], jax.Array] | None


def imposed(motion: Motion, q, t):
    """Place, velocity and acceleration that a motion g(t) imposes on clamped nodes, each (node, dim);
    at rest q, zero, and None for the acceleration."""
    if motion is None:
        return q, jnp.zeros_like(q), None
    t = jnp.asarray(t, q.dtype)

    def place(t):
        g = jnp.asarray(_traced.said("motion", motion, t), q.dtype)
        if g.shape != q.shape:
            raise ValueError(f"motion(t) has shape {g.shape}; expected that of the state, (node, dim) = {q.shape}")
        return g

    def velocity(t):
        return jax.jvp(place, (t,), (jnp.ones_like(t),))[1]

    return place(t), *jax.jvp(velocity, (t,), (jnp.ones_like(t),))


def constrain(domain: Domain, mass: BlockMatrix, f, acceleration=None):
    """M and f where rows and columns of clamped nodes are those of the identity times the size of M, and f there is as
    many times their acceleration, by default zero; its coupling to free nodes, M_fc g'', moves to the right side."""
    if not domain.clamped:
        return mass, f
    free = domain.free
    size = _size(mass, free)
    if acceleration is None:
        f = jnp.where(free, f, 0.0)
    else:
        size = _power_of_two(size)  # so that to multiply and divide by it is exact
        f = jnp.where(free, f - mass @ jnp.where(free, 0.0, acceleration), size * acceleration)
    return mass.held(free, domain.held, size), f


def _size(mass: BlockMatrix, free):
    """The mean of |M_ii| over the free rows, between the least and the largest of these: whatever the units of M, its
    condition is then that of its own rows."""
    mean = jax.lax.stop_gradient(mass.mean(free))
    return jnp.where(mean > 0, mean, 1.0)


def _power_of_two(size):
    return jnp.exp2(jnp.round(jnp.log2(size)))


def check_moving(free, motion: Motion, q, v, t) -> None:
    """Raises ValueError: a clamped node that is not at rest, or with a motion g not at g(t) with velocity g'(t)."""
    if free.all():
        return
    place, velocity, _ = imposed(motion, q, t)
    for name, source, x, expected in (("q", "g", q, place), ("v", "g'", v, velocity)):
        found, needed = np.asarray(x), np.asarray(expected)
        near = np.finfo(found.dtype).eps ** 0.25  # loose enough to continue from the end of an integration
        wrong = np.abs(found - needed) > near * (near + max(np.abs(found).max(), np.abs(needed).max()))
        nodes = np.flatnonzero((wrong & ~free).any(1))
        if nodes.size:
            clamp = "a clamp at rest" if motion is None else f"the motion of its clamp, {source}({float(t):g}),"
            raise ValueError(
                f"{name} of clamped node {nodes[0]} is {found[nodes[0]]}, but {clamp} needs {needed[nodes[0]]} "
                f"({nodes.size} such nodes); set {name} of the clamped nodes to that"
            )

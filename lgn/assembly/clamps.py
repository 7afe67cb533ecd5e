"""Clamps: nodes that do not follow the equation of motion, but rest or follow a prescribed motion (Dirichlet)."""

import jax
import jax.numpy as jnp
import numpy as np

from lgn import _arguments
from lgn.assembly.domain import Domain
from lgn.assembly.matrix import BlockMatrix


def imposed(domain: Domain, q, t):
    """Place, velocity and acceleration that the motion g(t) of a domain imposes on its clamped nodes, each (node, dim);
    at rest q, zero, and None for the acceleration."""
    if domain.motion is None:
        return q, jnp.zeros_like(q), None
    t, expected = jnp.asarray(t, q.dtype), (domain.rows.n_node, *q.shape[1:])

    def place(t):
        g = jnp.asarray(_arguments.explained("motion", domain.motion, t), q.dtype)
        if g.shape != expected:
            raise ValueError(f"motion(t) has shape {g.shape}; expected that of the state, (node, dim) = {expected}")
        return domain.rows.enter(g) if domain.bound else g

    def velocity(t):
        return jax.jvp(place, (t,), (jnp.ones_like(t),))[1]

    return place(t), *jax.jvp(velocity, (t,), (jnp.ones_like(t),))


def constrain(domain: Domain, mass: BlockMatrix, f, acceleration=None):
    """M and f where rows and columns of clamped nodes are those of the identity times the size of M, and f there is as
    many times their acceleration, by default zero; its coupling to free nodes, M_fc g'', moves to the right side."""
    if not domain.clamped:
        return mass, f
    free = domain.free
    mean = jax.lax.stop_gradient(mass.mean(free))  # between the least and largest |M_ii|: condition in any units
    size = jnp.where(mean > 0, mean, 1.0)
    if acceleration is None:
        f = jnp.where(free, f, 0.0)
    else:
        size = jnp.exp2(jnp.round(jnp.log2(size)))  # so that to multiply and divide by it is exact
        f = jnp.where(free, f - mass @ jnp.where(free, 0.0, acceleration), size * acceleration)
    return mass.held(free, domain.held, size), f


def check_moving(domain: Domain, q, v, t) -> None:
    """Raises ValueError: a clamped node that is not at rest, or with a motion g not at g(t) with velocity g'(t)."""
    free = domain.free
    if free.all():
        return
    place, velocity, _ = imposed(domain, q, t)
    for name, source, x, expected in (("q", "g", q, place), ("v", "g'", v, velocity)):
        found, needed = np.asarray(x), np.asarray(expected)
        near = np.finfo(found.dtype).eps ** 0.25  # loose enough to continue from the end of an integration
        wrong = np.abs(found - needed) > near * (near + max(np.abs(found).max(), np.abs(needed).max()))
        nodes = np.flatnonzero((wrong & ~free).any(1))
        if nodes.size:
            clamp = "a clamp at rest" if domain.motion is None else f"the motion of its clamp, {source}({float(t):g}),"
            raise ValueError(
                f"{name} of clamped node {nodes[0]} is {found[nodes[0]]}, but {clamp} needs {needed[nodes[0]]} "
                f"({nodes.size} such nodes); set {name} of the clamped nodes to that"
            )

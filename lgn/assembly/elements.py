"""Elements: a density and its derivatives on every element of a stencil, in one pass, in pieces that fit the cache."""

import jax
import jax.numpy as jnp

from lgn.densities.density import Density, Expansion

CHUNK = 6000  # (element, slot, dof) at once: at more, the intermediate values leave the cache (measured)


def values(density: Density, *local) -> jax.Array:
    """(element,) value of the density on each element; all that it reads has a leading element axis."""
    return _in_chunks(jax.vmap(density), *local)


def gradients(density: Density, *local, field: int) -> jax.Array:
    """(element, slot, dim) dl / d field on each element."""
    return _in_chunks(jax.vmap(jax.grad(density, argnums=field)), *local)


def hessians(density: Density, *local, field: int) -> jax.Array:
    """(element, slot, dim, slot, dim) d2l / d field d field on each element."""
    return _in_chunks(jax.vmap(jax.hessian(density, argnums=field)), *local)


def discrete_gradients(method, density: Density, after, before, features):
    """(element, slot, dim) of each field: grad-bar l (after, before) on each element, by one such as `Automatic`."""
    return _in_chunks(
        jax.vmap(lambda after, before, features: method(density, after, before, features)), after, before, features
    )


def discrete_curvatures(method, density: Density, after, before, features) -> jax.Array:
    """(element, slot, dim, slot, dim) d grad-bar l / d after on each element, of a density of one field."""

    def one(after, before, features):
        return jax.jacfwd(lambda u: method(density, (u,), before, features)[0])(*after)

    return _in_chunks(jax.vmap(one), after, before, features)


def expand(density: Density, q, v, features) -> Expansion:
    """The `Expansion` of any density; a density with its own `expand`, in closed form, provides it."""
    return _in_chunks(getattr(density, "expand", None) or jax.vmap(_expand_one(density)), q, v, features)


def _expand_one(density):
    """Gradient, velocity Hessian and mixed term together: one linearisation, one tangent for each (slot, dof) of v
    and one for (dq, dv) = (v, 0). The mixed second derivative is never formed as a matrix."""

    def one(q, v, features):
        (force, momentum), tangent = jax.linearize(lambda q, v: jax.grad(density, argnums=(0, 1))(q, v, features), q, v)
        basis = jnp.eye(v.size, dtype=v.dtype).reshape(v.size, *v.shape)
        mass = jax.vmap(lambda dv: tangent(jnp.zeros_like(q), dv)[1])(basis)
        return Expansion(force, momentum, mass.reshape(*v.shape, *v.shape), tangent(v, jnp.zeros_like(v))[1])

    return one


def _in_chunks(batched, *local):
    """`CHUNK` at once, in a loop; a gradient recomputes each piece rather than keep intermediate values (measured)."""
    first = jax.tree.leaves(local)[0]
    n = len(first)
    chunks = -(-first.size // CHUNK)
    if chunks <= 2:
        return batched(*local)
    size = -(-n // chunks)
    pad = chunks * size - n

    def split(x):
        return jnp.concatenate([x, x[-1:].repeat(pad, 0)] if pad else [x]).reshape(chunks, size, *x.shape[1:])

    out = jax.lax.map(jax.checkpoint(lambda piece: batched(*piece)), jax.tree.map(split, local))
    return jax.tree.map(lambda x: x.reshape(chunks * size, *x.shape[2:])[:n], out)

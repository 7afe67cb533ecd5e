"""Elements: a density and its derivatives on every element of a stencil, in one pass, in pieces that fit the cache."""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from lgn._backends import backend
from lgn.assembly.jaxprs import dependence, gradient
from lgn.densities.density import DensityLike, Expansion, as_density

UNROLLED = 128  # (slot, dof) up to which a closed form, with a line of its program for each, is compiled in good time


def values(density: DensityLike, *local) -> jax.Array:
    """(element,) value of the density on each element; all that it reads has a leading element axis."""
    return _in_chunks(jax.vmap(density), *local)


def gradients(density: DensityLike, *local, field: int) -> jax.Array:
    """(element, slot, dim) dl / d field on each element."""
    return _in_chunks(jax.vmap(lambda *local: gradient(density, (field,))(*local)[0]), *local)


def hessians(density: DensityLike, *local, field: int, slots: tuple[int, ...]) -> jax.Array:
    """(element, slot, dim, slot, dim) d2l / d field d field on each element, between those slots that the density
    reads."""

    def one(*local):
        x = local[field]

        def of_slots(part):
            return density(*local[:field], _placed(x, slots, part), *local[field + 1 :])

        return jax.hessian(of_slots)(x[np.array(slots)])

    return _in_chunks(jax.vmap(one), *local, tangents=len(slots) * local[field].shape[2])


def discrete_gradients(method, density: DensityLike, after, before, features):
    """(element, slot, dim) of each field: grad-bar l (after, before) on each element, by one such as `Automatic`."""
    return _in_chunks(
        jax.vmap(lambda after, before, features: method(density, after, before, features)), after, before, features
    )


def discrete_curvatures(method, density: DensityLike, after, before, features, slots: tuple[int, ...]) -> jax.Array:
    """(element, slot, dim, slot, dim) d grad-bar l / d after on each element, of a density of one field, between those
    slots that it reads."""
    chosen = np.array(slots)

    def one(after, before, features):
        def of_slots(part):
            return method(density, (_placed(after, slots, part),), (before,), features)[0][chosen]

        return jax.jacfwd(of_slots)(after[chosen])

    return _in_chunks(jax.vmap(one), after, before, features, tangents=len(slots) * after.shape[2])


def expand(density: DensityLike, q, v, features, slots: tuple[int, ...] | None = None) -> Expansion:
    """The `Expansion` of any density, with the mass between those slots whose v it reads, by default all; a density
    with its own `expand`, in closed form, provides it."""
    slots = tuple(range(v.shape[1])) if slots is None else slots

    def batched(*local):
        closed = as_density(density).expand(*local) if v[0].size <= UNROLLED else None
        return jax.vmap(partial(_expand_one, density, slots))(*local) if closed is None else _between(slots, closed)

    return _in_chunks(batched, q, v, features, tangents=len(slots) * v.shape[2])


def _between(slots, found: Expansion) -> Expansion:
    """An expansion with the mass between these slots alone."""
    if len(slots) == found.mass.shape[1]:
        return found
    chosen = np.array(slots)
    return found._replace(mass=found.mass[:, chosen][:, :, :, chosen])


def _expand_one(density, slots, q, v, features):
    """Gradient, velocity Hessian and mixed term together: one linearisation, one tangent for each (slot, dof) of v
    that is read and, where dl/dv depends on q, one for (dq, dv) = (v, 0). The mixed second derivative is never formed
    as a matrix."""
    chosen, dim = np.array(slots), v.shape[1]
    slopes = gradient(density, (0, 1))
    (force, momentum), tangent = jax.linearize(lambda q, v: slopes(q, v, features), q, v)
    mixed = dependence(jax.grad(density, argnums=1), q, v, features)[0].any()

    def column(number):
        dv = jax.nn.one_hot(number, v.size, dtype=v.dtype).reshape(v.shape)
        return tangent(jnp.zeros_like(q), dv)[1][chosen]

    numbers = (chosen[:, None] * dim + np.arange(dim)).ravel()
    at_once = max(1, backend().work // v.size)
    mass = jax.lax.map(column, numbers, batch_size=at_once) if len(numbers) > at_once else jax.vmap(column)(numbers)
    mass = mass.reshape(len(slots), dim, len(slots), dim)
    return Expansion(force, momentum, mass, tangent(v, jnp.zeros_like(v))[1] if mixed else jnp.zeros_like(v))


def _placed(x, slots, part):
    """x with other values in these slots."""
    return part if len(slots) == len(x) else x.at[np.array(slots)].set(part)


def _in_chunks(batched, *local, tangents: int = 1):
    """A `piece` of the backend at once, in a loop; a gradient recomputes each rather than keep intermediate values
    (measured). Of elements with very many slots, no more than its `work` with their tangents."""
    first, on = jax.tree.leaves(local)[0], backend()
    n = len(first)
    chunks = min(n, max(-(-first.size // on.piece), -(-first.size * tangents // on.work)))
    if chunks <= 1:
        return batched(*local)
    size = _even(n, -(-n // chunks))
    chunks = -(-n // size)
    pad = chunks * size - n

    def split(x):
        return jnp.concatenate([x, x[-1:].repeat(pad, 0)] if pad else [x]).reshape(chunks, size, *x.shape[1:])

    out = jax.lax.map(jax.checkpoint(lambda piece: batched(*piece)), jax.tree.map(split, local))
    return jax.tree.map(lambda x: x.reshape(chunks * size, *x.shape[2:])[:n], out)


def _even(n: int, most: int) -> int:
    """About so many elements for a piece, such that n has no rest, if there is such a number within a factor of two: a
    rest takes copies of all that goes in and comes out, most of the memory of an acceleration (measured)."""
    small = [size for size in range(1, math.isqrt(n) + 1) if n % size == 0]
    near = [size for size in (*small, *(n // size for size in small)) if most < 2 * size < 4 * most]
    return min(near, key=lambda size: max(size / most, most / size), default=most)

"""Star: what stands at both ends of pairs, of slot 0 with each other slot, summed into one vector over all slots."""

import jax.numpy as jnp
from jaxtyping import Array, Float


def spread(at_ends: Float[Array, "element pair both ..."]) -> Float[Array, "element all ..."]:
    """(element, slot dim, ...) of (element, pair, 2 dim, ...), the near end first.

    Example:
        >>> import jax.numpy as jnp
        >>> from lgn.densities import star
        >>> star.spread(jnp.array([[[1.0, 2.0], [3.0, 4.0]]])).tolist()
        [[4.0, 2.0, 4.0]]
    """
    near, far = jnp.split(at_ends, 2, 2)
    return jnp.concatenate([near.sum(1), far.reshape(len(far), -1, *far.shape[3:])], 1)


def spread_twice(at_ends: Float[Array, "element pair both both"]) -> Float[Array, "element all all"]:
    """(element, slot dim, slot dim): two far ends meet only where they are one."""
    count, pairs, dim = *at_ends.shape[:2], at_ends.shape[2] // 2
    near, far = spread(at_ends[..., :dim]), at_ends[..., dim:]
    across = far[:, :, :dim].swapaxes(1, 2).reshape(count, dim, pairs * dim)
    apart = jnp.eye(pairs, dtype=far.dtype)[:, None, :, None] * far[:, :, dim:, None]
    rest = jnp.concatenate([across, apart.reshape(count, pairs * dim, pairs * dim)], 1)
    return jnp.concatenate([near, rest], 2)


def centre(at_ends: Float[Array, "element 1 both ..."], slots: int) -> Float[Array, "element all ..."]:
    """The same of the pair of slot 0 with itself: both ends are there."""
    near, far = jnp.split(at_ends[:, 0], 2, 1)
    return jnp.pad(near + far, [(0, 0), (0, (slots - 1) * near.shape[1])] + [(0, 0)] * (near.ndim - 2))


def centre_twice(at_ends: Float[Array, "element 1 both both"], slots: int) -> Float[Array, "element all all"]:
    """The same of a matrix."""
    near, far = jnp.split(centre(at_ends, slots), 2, 2)
    return jnp.pad(near + far, [(0, 0), (0, 0), (0, (slots - 1) * near.shape[2])])

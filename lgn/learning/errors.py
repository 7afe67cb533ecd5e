"""Errors: how losses compare what a model finds with what was measured, relative to the size of the measurement."""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp

from lgn import _arguments

Error = Callable[..., jax.Array]  # (found, exact, counted) -> scalar; `counted` says which entries, None for all


def relative(found, exact, counted=None) -> jax.Array:
    """Mean squared error relative to the mean square."""
    if counted is None:
        return jnp.mean((found - exact) ** 2) / jnp.mean(exact**2)
    return jnp.sum(counted * (found - exact) ** 2) / jnp.sum(counted * exact**2)


@dataclass(frozen=True)
class Huber:
    """Robust error: the square of a difference r that is small, in proportion to |r| beyond `width`, so that values
    that are far off, such as a tracker's slips, do not outweigh all others:

        sum of 2 w^2 (sqrt(1 + (r / w)^2) - 1) / sum of exact^2,    w = width * root mean square of the exact values.

    Smooth, as a quasi-Newton method needs it. Every loss takes it as its `error`.

    Args:
        width: where a difference begins to count as an outlier, relative to the size of what is compared; about the
            relative noise of the good values (docs/training.md).

    Raises:
        ValueError: a width that is not positive.

    Source: Charbonnier et al. 1997, IEEE Trans. Image Process. 6, 298 (the smooth form of Huber 1964).

    Example:
        >>> import functools, jax.numpy as jnp, lgn
        >>> robust = functools.partial(lgn.acceleration_loss, error=lgn.Huber(0.1))  # a loss for `fit`
        >>> found, exact = jnp.ones((1, 2, 1)), jnp.array([[[1.0], [101.0]]])
        >>> bool(lgn.Huber(0.1)(found, exact) < 0.2)  # 1 / 5 and less of the mean square, which is 0.98
        True
    """

    width: float

    def __post_init__(self):
        _arguments.positive("Huber: width", self.width)

    def __call__(self, found, exact, counted=None) -> jax.Array:
        counted = jnp.ones_like(exact) if counted is None else counted * jnp.ones_like(exact)
        square = jnp.sum(counted * exact**2)
        width = self.width * jnp.sqrt(square / jnp.sum(counted))
        reached = jnp.sqrt(1 + ((found - exact) / width) ** 2) - 1
        return jnp.sum(counted * 2 * width**2 * reached) / square

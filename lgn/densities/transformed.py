"""Transformed: a density that reads other coordinates than those that move."""

from collections.abc import Callable

from flax import nnx
from jaxtyping import Array, Float

from lgn._pytrees import attribute
from lgn.densities.density import Density, config_of


class Transformed(nnx.Module):
    """A density of other coordinates of its stencil:

        l(q, v, features) = density(*coordinates(q, v), features).

    What the coordinates leave out, l cannot depend on; what they map to, it learns in the natural scale of it.

    Args:
        density: learned or given, of as many slots and degrees of freedom as the coordinates have.
        coordinates: (q, v) -> two arrays in the place of q and v, (slot, dim) each; smooth, and at the top of a module,
            so that a checkpoint can name it.

    Raises:
        TypeError: density or coordinates that cannot be called.

    Example:
        >>> import jax.numpy as jnp, lgn
        >>> from lgn.systems import relativistic
        >>> def kinetic(q, w, features): return jnp.cosh(w[0, 0])  # (1 - v^2)^(-1/2) by the rapidity w
        >>> L = lgn.Lagrangian(lgn.single_node(), lgn.Transformed(kinetic, relativistic.rapidity_alone))
        >>> round(float(L.momentum(jnp.zeros((1, 1)), jnp.full((1, 1), 0.6))[0, 0]), 4)  # v (1 - v^2)^(-3/2)
        1.1719
    """

    config = config_of

    def __init__(self, density: Density, coordinates: Callable):
        for name, given in (("density", density), ("coordinates", coordinates)):
            if not callable(given):
                raise TypeError(f"Transformed: {name}={given!r} cannot be called; give a function or a module")
        self.density, self.coordinates = attribute(density), coordinates

    def __call__(self, q, v, features) -> Float[Array, ""]:
        return self.density(*self.coordinates(q, v), features)

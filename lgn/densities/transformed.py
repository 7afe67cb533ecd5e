"""Transformed: a density that reads other coordinates than those that move."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Array, Float

from lgn import _arguments
from lgn._pytrees import attribute
from lgn.densities.density import Density, DensityLike, as_density


class Transformed(Density):
    """A density of other coordinates of its stencil:

        l(q, v, features) = density(*coordinates(q, v), features),    and of u alike.

    What the coordinates leave out, l cannot depend on; what they map to, it learns in the natural scale of it.

    Args:
        density: learned or given, of as many slots and degrees of freedom as the coordinates have.
        coordinates: (q, v) or u -> the fields that the density reads, a tuple of (slot, dim) arrays;
            smooth, and at the top of a module, so that a checkpoint can name it.

    Raises:
        ValueError: density or coordinates that cannot be called, coordinates that give no tuple of fields.

    Example:
        >>> import jax.numpy as jnp, lgn
        >>> from lgn.systems import relativistic
        >>> def kinetic(q, w, features): return jnp.cosh(w[0, 0])  # (1 - v^2)^(-1/2) by the rapidity w
        >>> L = lgn.Lagrangian(lgn.single_node(), lgn.Transformed(kinetic, relativistic.rapidity_alone))
        >>> round(float(L.momentum(jnp.zeros((1, 1)), jnp.full((1, 1), 0.6))[0, 0]), 4)  # v (1 - v^2)^(-3/2)
        1.1719
    """

    def __init__(self, density: DensityLike, coordinates: Callable):
        for name, given in (("density", density), ("coordinates", coordinates)):
            _arguments.called(f"Transformed: {name}", given, "a function or a module")
        self.density, self.coordinates = attribute(density), coordinates

    def __call__(self, *local) -> Float[Array, ""]:
        *state, features = local
        fields = self.coordinates(*state)
        if not isinstance(fields, tuple | list):
            raise ValueError(f"Transformed: coordinates give a {type(fields).__name__}; expected a tuple of fields")
        return self.density(*fields, features)

    def seen(self, *local, read=None) -> Float[Array, "row value"]:
        *state, features = local
        return as_density(self.density).seen(*self.coordinates(*state), features)

    def rows(self, mask: np.ndarray) -> np.ndarray:
        return as_density(self.density).rows(mask)


def halves(u: Float[Array, "slot two_dim"]) -> tuple[Float[Array, "slot dim"], Float[Array, "slot dim"]]:
    """q and p of u = (q, p).

    Raises:
        ValueError: an odd number of degrees of freedom.

    Example:
        >>> import jax.numpy as jnp, lgn
        >>> [x.tolist() for x in lgn.halves(jnp.array([[1.0, 2.0, 3.0, 4.0]]))]
        [[[1.0, 2.0]], [[3.0, 4.0]]]
    """
    if not hasattr(u, "shape"):
        raise ValueError(f"u is {u!r}; expected an array (slot, dim): give jnp.asarray(u)")
    if u.shape[1] % 2:
        raise ValueError(f"u carries {u.shape[1]} values a node; u = (q, p) has an even number: as many p as q")
    return u[:, : u.shape[1] // 2], u[:, u.shape[1] // 2 :]


def canonical(density: DensityLike) -> Transformed:
    """The density of (q, v) read as a Hamiltonian h(u) of u = (q, p): p stands in the place of v.

    Example:
        >>> import jax.numpy as jnp, lgn
        >>> def spring(q, p, features): return 0.5 * p[0, 0] ** 2 + 2.0 * q[0, 0] ** 2
        >>> flow = lgn.EnergyFlow(lgn.single_node(), lgn.canonical(spring), structure=lgn.Symplectic())
        >>> flow.rate((jnp.array([[1.0, 3.0]]),))[0].tolist()
        [[3.0, -4.0]]
    """
    return Transformed(density, halves)

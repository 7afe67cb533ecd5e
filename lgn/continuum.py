"""Continuum: a density l(phi, grad phi, phi_t) written once, on cells of any mesh or lattice."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from lgn.densities import Initializer, check_smooth, dense_layers, perceptron, prior_mass, scale_of, small_output

Local = Callable[[Array, Array, Array, dict[str, Array]], Array]


class Continuum(nnx.Module):
    """A density of a field and its derivatives, as a density on `cell_stencil`.

        l(q, v) = measure * local(phi, grad phi, phi_t, features)
        phi = sum_s N_s q_s,  grad phi = sum_s grad N_s q_s,  phi_t = sum_s N_s v_s

    with the shape functions N_s of the cell at the quadrature point: linear finite elements, consistent mass.

    Args:
        local: function (phi (dim,), gradient (space, dim), rate (dim,), features) -> scalar: energy per volume.

    Example:
        >>> import jax.numpy as jnp, lgn
        >>> def wave(phi, gradient, rate, features): return 0.5 * jnp.sum(rate**2) - 0.5 * jnp.sum(gradient**2)
        >>> graph = lgn.lattice((8,), spacing=0.1)
        >>> L = lgn.Lagrangian(graph, [(lgn.Continuum(wave), lgn.cell_stencil)])
        >>> L.acceleration(jnp.zeros((8, 1)), jnp.ones((8, 1))).shape
        (8, 1)
    """

    def __init__(self, local: Local):
        self.local = local

    def __call__(self, q, v, features) -> Float[Array, ""]:
        shape, gradient = (jnp.asarray(features[name], q.dtype) for name in ("shape", "shape_gradient"))
        return features["measure"] * self.local(shape @ q, gradient.T @ q, shape @ v, features)

    def config(self) -> dict:
        """Arguments that make a density of this shape again."""
        return {"local": self.local}


class FieldMLP(nnx.Module):
    """Learned local density of a field, for `Continuum`.

        local = 0.5 m |phi_t|^2 + e MLP(phi, seen(grad phi), phi_t, features)

    Args:
        dim: values of the field.
        space: dimensions of space.
        hidden: widths of the hidden layers.
        isotropic: whether the gradient enters by the products (grad phi_i . grad phi_j) alone, which no rotation of
            space changes.
        shifts: whether phi enters; without it a uniform shift of the field moves nothing.
        mass: kinetic prior m per volume, see `MLPDensity`.
        activation: with a continuous second derivative.
        q_scale: typical size of phi, one number or one for each value.
        v_scale: the same for phi_t.
        gradient_scale: typical size of grad phi, one number or one for each value.
        energy_scale: e, typical size of the energy per volume.
        features: names of features that are inputs, constant within an element.
        feature_size: how many numbers these features are together.
        initializer: see `MLPDensity`.
        rngs: random streams.

    Raises:
        ValueError: sizes that are not positive, scales of the wrong length.

    Example:
        >>> import lgn
        >>> from flax import nnx
        >>> density = lgn.Continuum(lgn.FieldMLP(dim=1, space=2, rngs=nnx.Rngs(0)))
    """

    def __init__(
        self,
        dim: int,
        space: int,
        hidden: Sequence[int] = (16, 16),
        *,
        isotropic: bool = True,
        shifts: bool = True,
        mass: float | nnx.Param | None = 1.0,
        activation: Callable[[Array], Array] = jax.nn.softplus,
        q_scale: float | Sequence[float] = 1.0,
        v_scale: float | Sequence[float] = 1.0,
        gradient_scale: float | Sequence[float] = 1.0,
        energy_scale: float = 1.0,
        features: Sequence[str] = (),
        feature_size: int = 0,
        initializer: Initializer = small_output,
        rngs: nnx.Rngs,
    ):
        if min(dim, space, len(hidden), *hidden) < 1:
            raise ValueError(f"FieldMLP: dim={dim}, space={space}, hidden={tuple(hidden)}; each must be at least 1")
        check_smooth(activation)
        self.dim, self.space, self.hidden, self.activation = dim, space, tuple(hidden), activation
        self.isotropic, self.shifts, self.mass, self.energy_scale = isotropic, shifts, mass, energy_scale
        self.features, self.feature_size = tuple(features), feature_size
        self.q_scale, self.v_scale = scale_of("q_scale", q_scale, dim), scale_of("v_scale", v_scale, dim)
        self.gradient_scale = scale_of("gradient_scale", gradient_scale, dim)
        seen = dim * (dim + 1) // 2 if isotropic else dim * space
        self.layers = dense_layers((dim * shifts + seen + dim + feature_size, *hidden, 1), initializer, rngs)

    def __call__(self, phi, gradient, rate, features) -> Float[Array, ""]:
        scales = (jnp.asarray(s, phi.dtype) for s in (self.q_scale, self.gradient_scale, self.v_scale))
        field, slope, speed = (x / s for x, s in zip((phi, gradient, rate), scales, strict=True))
        seen = (slope.T @ slope)[jnp.triu_indices(self.dim)] if self.isotropic else slope.ravel()
        named = [jnp.ravel(features[name]).astype(phi.dtype) for name in self.features]
        inputs = jnp.concatenate([*([field] if self.shifts else []), seen, speed, *named])
        value = self.energy_scale * perceptron(self.layers, self.activation, inputs)[0]
        return value + 0.5 * prior_mass(self.mass, phi.dtype) * jnp.sum(rate**2)

    def config(self) -> dict:
        """Arguments that make a density of this shape again."""
        shape = ("dim", "space", "hidden", "isotropic", "shifts", "mass", "activation", "features", "feature_size")
        scales = ("q_scale", "v_scale", "gradient_scale", "energy_scale")
        return {name: getattr(self, name) for name in (*shape, *scales)}

"""Continuum: a density l(phi, grad phi, phi_t) written once, on cells of any mesh or lattice."""

from collections.abc import Callable, Sequence
from typing import Unpack

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from lgn import _arguments
from lgn.densities.density import Density
from lgn.densities.inputs import Inputs, InputSettings, Scale, scale_of
from lgn.densities.network import Activation, Initializer, Network, at_rest, dense_layers, small_output

Local = Callable[..., Array]


class Continuum(Density):
    """A density of a field and its derivatives, as a density on `cell_stencil`.

        l(q, v) = measure * local(phi, grad phi, phi_t, features)
        phi = sum_s N_s q_s,  grad phi = sum_s grad N_s q_s,  phi_t = sum_s N_s v_s

    or l(u) = measure * local(phi, grad phi, features) of one field, phi = sum_s N_s u_s,

    with the shape functions N_s of the cell at the quadrature point: linear finite elements, consistent mass.

    Args:
        local: function (phi (dim,), gradient (space, dim), rate (dim,), features) -> scalar, energy per volume; that of
            one field takes no rate.

    Example:
        >>> import jax.numpy as jnp, lgn
        >>> def wave(phi, gradient, rate, features): return 0.5 * jnp.sum(rate**2) - 0.5 * jnp.sum(gradient**2)
        >>> graph = lgn.lattice((8,), spacing=0.1)
        >>> L = lgn.Lagrangian(graph, [(lgn.Continuum(wave), lgn.cell_stencil)])
        >>> L.acceleration(jnp.zeros((8, 1)), jnp.ones((8, 1))).shape
        (8, 1)
    """

    def __init__(self, local: Local):
        self.local = _arguments.called(
            "Continuum: local", local, "a function (phi, gradient, rate, features), or a FieldMLP"
        )

    def __call__(self, *local) -> Float[Array, ""]:
        q, *rest, features = local
        if "shape" not in features:
            raise ValueError(
                "Continuum reads shape functions, which only cells have: give [(density, lgn.cell_stencil)]"
            )
        shape, gradient = (features[name].astype(q.dtype) for name in ("shape", "shape_gradient"))
        return features["measure"] * self.local(shape @ q, gradient.T @ q, *(shape @ v for v in rest), features)

    def seen(self, *local, read=None) -> Float[Array, "row value"]:
        """The field unless its network sees no shift of it, the gradient, the rate, and the features by name."""
        *state, features = local
        phi, *rate = (features["shape"] @ x for x in state)
        gradient = (features["shape_gradient"].T @ state[0]).ravel()
        inputs = self.local.inputs if isinstance(self.local, FieldMLP) else None
        if inputs is None:
            return jnp.concatenate([phi, gradient, *rate])[None]
        own = [] if inputs.relative else [inputs.coordinate(phi[None])[0]]
        return jnp.concatenate([*own, gradient, *rate, inputs.named(features, phi.dtype)])[None]


class FieldMLP(Network):
    """Learned local density of a field, for `Continuum`.

        local = 0.5 m |phi_t|^2 + e MLP(phi, seen(grad phi), phi_t, features) - e MLP(0, 0, 0, features),

    without phi_t where fields=1.

    Args:
        dim: values of the field.
        space: dimensions of space.
        hidden: widths of the hidden layers.
        isotropic: whether the gradient enters by the products (grad phi_i . grad phi_j) alone, which are invariant to
            rotations of space.
        mass: kinetic prior m per volume, see `MLPDensity`.
        gradient_scale: typical size of grad phi, one number or one for each value.
        energy_scale: e, typical size of the energy per volume.
        activation, initializer, rngs: see `MLPDensity`.
        inputs: fields, q_scale, v_scale, angles, relative, features, feature_size, feature_scale: see `Inputs`,
            with phi for q and phi_t for v. With relative=True phi enters by its gradient alone: a uniform shift of the
            field moves nothing. Features are constant within an element.

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
        mass: float | nnx.Param | None = 1.0,
        activation: Activation = jax.nn.softplus,
        gradient_scale: Scale = 1.0,
        energy_scale: float = 1.0,
        initializer: Initializer = small_output,
        rngs: nnx.Rngs,
        **inputs: Unpack[InputSettings],
    ):
        _arguments.whole("FieldMLP: dim", dim)
        slots = 2 if inputs.get("relative") else 1  # the gradient is what phi is compared by
        super().__init__(hidden, activation, Inputs(slots, dim, **inputs), mass)
        self.space = _arguments.whole("FieldMLP: space", space)
        self.isotropic = _arguments.flag("FieldMLP: isotropic", isotropic)
        self.energy_scale = _arguments.positive("FieldMLP: energy_scale", energy_scale)
        self.gradient_scale = scale_of("gradient_scale", gradient_scale, dim)
        seen = dim * (dim + 1) // 2 if isotropic else dim * space
        own = 0 if self.inputs.relative else self.inputs.coordinates
        sizes = (own + seen + self.inputs.moving + self.inputs.feature_size, *hidden, 1)
        self.layers = dense_layers(sizes, initializer, rngs)

    def __call__(self, phi, gradient, *rest) -> Float[Array, ""]:
        local = (phi, gradient, *rest)
        _, speed, _ = self.inputs.split(*(x[None] for x in (phi, *rest[:-1])), rest[-1])
        value = self.above_rest(self.layers, self._seen(*local), self._seen(*at_rest(*local)))
        return self.energy_scale * value + self.kinetic_prior(speed[0])

    def _seen(self, phi, gradient, *rest):
        *rate, features = rest
        own = [] if self.inputs.relative else [self.inputs.coordinate(phi[None])[0]]
        slope = gradient / jnp.asarray(self.gradient_scale, phi.dtype)
        seen = (slope.T @ slope)[jnp.triu_indices(self.dim)] if self.isotropic else slope.ravel()
        speeds = [self.inputs.speed(x[None])[0] for x in rate]
        return jnp.concatenate([*own, seen, *speeds, self.inputs.named(features, phi.dtype)])

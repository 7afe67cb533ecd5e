"""Continuum: a density l(phi, grad phi, phi_t) written once, on cells of any mesh or lattice."""

from collections.abc import Callable, Sequence
from typing import Unpack

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from lgn import _arguments
from lgn.densities.density import Density, config_of
from lgn.densities.inputs import Inputs, InputSettings, Scale, scale_of, widths_of
from lgn.densities.layers import (
    Activation,
    Initializer,
    check_mass,
    check_smooth,
    dense_layers,
    perceptron,
    prior_mass,
    small_output,
)

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


class FieldMLP(nnx.Module):
    """Learned local density of a field, for `Continuum`.

        local = 0.5 m |phi_t|^2 + e MLP(phi, seen(grad phi), phi_t, features),

    without phi_t where fields=1.

    Args:
        dim: values of the field.
        space: dimensions of space.
        hidden: widths of the hidden layers.
        isotropic: whether the gradient enters by the products (grad phi_i . grad phi_j) alone, which are invariant to
            rotations of space.
        mass: kinetic prior m per volume, see `MLPDensity`.
        activation: with a continuous second derivative.
        gradient_scale: typical size of grad phi, one number or one for each value.
        energy_scale: e, typical size of the energy per volume.
        initializer: see `MLPDensity`.
        rngs: random streams.
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

    config = config_of

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
        hidden = widths_of("FieldMLP", hidden)
        _arguments.whole("FieldMLP: dim", dim)
        _arguments.whole("FieldMLP: space", space)
        _arguments.flag("FieldMLP: isotropic", isotropic)
        _arguments.positive("FieldMLP: energy_scale", energy_scale)
        check_smooth(activation)
        check_mass("FieldMLP", mass)
        self.dim, self.space, self.hidden, self.activation = dim, space, hidden, activation
        self.isotropic, self.mass, self.energy_scale = isotropic, mass, energy_scale
        self.gradient_scale = scale_of("gradient_scale", gradient_scale, dim)
        self.inputs = Inputs(
            2 if inputs.get("relative") else 1, dim, **inputs
        )  # the gradient is what phi is compared by
        seen = dim * (dim + 1) // 2 if isotropic else dim * space
        own = 0 if self.inputs.relative else self.inputs.coordinates
        sizes = (own + seen + self.inputs.moving + self.inputs.feature_size, *hidden, 1)
        self.layers = dense_layers(sizes, initializer, rngs)

    def __call__(self, phi, gradient, *rest) -> Float[Array, ""]:
        *rate, features = rest
        _, (speed,), _ = self.inputs.split(*(x[None] for x in (phi, *rate)), features)
        own = [] if self.inputs.relative else [self.inputs.coordinate(phi[None])[0]]
        slope = gradient / jnp.asarray(self.gradient_scale, phi.dtype)
        seen = (slope.T @ slope)[jnp.triu_indices(self.dim)] if self.isotropic else slope.ravel()
        inputs = jnp.concatenate(
            [*own, seen, self.inputs.speed(speed[None])[0], self.inputs.named(features, phi.dtype)]
        )
        value = self.energy_scale * perceptron(self.layers, self.activation, inputs)[0]
        return value + 0.5 * prior_mass(self.mass, phi.dtype) * jnp.sum(speed**2)

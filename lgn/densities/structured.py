"""StructuredDensity: kinetic minus potential energy, each a network."""

from collections.abc import Sequence
from typing import Unpack

import jax
from flax import nnx
from jaxtyping import Array, Float

from lgn.densities.density import Density
from lgn.densities.inputs import Inputs, InputSettings, Scale, scale_of, widths_of
from lgn.densities.layers import Activation, Initializer, dense_layers, perceptron, small_output
from lgn.densities.positive import PositiveForm, seen_at, settle


class StructuredDensity(Density):
    """Kinetic minus potential energy, each a network: a Lagrangian whose mass matrix is positive definite.

        l(q, v) = T(q, v) - V(q),    T = 0.5 v^T M(q) v a `PositiveForm`,    V = MLP(q, features)

    M of each element is positive definite in its filled slots, hence so is M of a whole graph, for all parameters.
    Initially M of an element is `mass` times the identity.

    Args:
        slots: nodes that an element reads.
        dim: values a node carries.
        hidden: widths of the hidden layers of V.
        kinetic_hidden: those of T, by default the same; empty: M of an element is constant.
        mass: M of an element at the start, one number or one for each degree of freedom.
        activation: function with a continuous second derivative.
        initializer: see `MLPDensity`.
        rngs: random streams.
        inputs: q_scale, v_scale, angles, relative, features, feature_size, feature_scale: see `Inputs`.
            Only ratios of v_scale matter, where degrees of freedom have different units.

    Raises:
        ValueError: sizes that are not positive, scales of the wrong length, angles that are no degrees of freedom.

    Source: deep Lagrangian networks of Lutter, Ritter, Peters 2019, arXiv 1907.04490, equations 6 and 7.

    Example:
        >>> import jax.numpy as jnp, lgn
        >>> from flax import nnx
        >>> pendulum = lgn.StructuredDensity(slots=1, dim=1, angles=(0,), rngs=nnx.Rngs(0))
        >>> L = lgn.Lagrangian(lgn.single_node(), pendulum, dissipation=lgn.PositiveForm(slots=1, dim=1))
        >>> bool(L.power(jnp.ones((1, 1)), jnp.ones((1, 1))) < 0)
        True
    """

    def __init__(
        self,
        slots: int,
        dim: int,
        hidden: Sequence[int] = (24, 24),
        *,
        kinetic_hidden: Sequence[int] | None = None,
        mass: Scale = 1.0,
        activation: Activation = jax.nn.softplus,
        initializer: Initializer = small_output,
        rngs: nnx.Rngs,
        **inputs: Unpack[InputSettings],
    ):
        hidden = widths_of("StructuredDensity", hidden)
        self.slots, self.dim, self.hidden, self.activation = slots, dim, hidden, activation
        self.kinetic_hidden = (
            hidden if kinetic_hidden is None else widths_of("StructuredDensity: kinetic", kinetic_hidden, least=0)
        )
        self.inputs = Inputs(slots, dim, **inputs)
        self.mass = scale_of("mass", mass, dim)
        # T reads the velocities of all slots, and where it is constant no features
        of_kinetic = InputSettings(**inputs) | {"relative": False}
        of_kinetic |= {} if self.kinetic_hidden else {"features": (), "feature_size": 0, "feature_scale": 1.0}
        self.kinetic = PositiveForm(
            slots,
            dim,
            self.kinetic_hidden,
            size=mass,
            activation=activation,
            initializer=initializer,
            rngs=rngs,
            **of_kinetic,
        )
        sizes = (self.inputs.places + self.inputs.feature_size, *hidden, 1)
        self.potential = dense_layers(sizes, initializer, rngs)

    def __call__(self, q, v, features) -> Float[Array, ""]:
        q = settle(q, features)
        q = q - q[0] if self.inputs.relative else q
        potential = perceptron(self.potential, self.activation, seen_at(self.inputs, q, features))[0]
        return self.kinetic(q, v, features) - potential

"""MLPDensity: a multilayer perceptron of the values on a stencil, with second derivatives in closed form."""

from collections.abc import Sequence
from typing import Unpack

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from lgn.densities.density import Density, Expansion
from lgn.densities.inputs import Inputs, InputSettings
from lgn.densities.network import (
    Activation,
    Initializer,
    Network,
    at_rest,
    dense_layers,
    forward,
    small_output,
    weights,
)  # fmt: skip


class MLPDensity(Network, Density):
    """Multilayer perceptron on the values of a stencil, beside a kinetic prior on slot 0.

        l(q, v) = 0.5 m |v_0|^2 + MLP(q / q_scale, v / v_scale, features) - MLP(0, 0, features),
        h(u) = MLP(u / q_scale, features) - MLP(0, features)

    of two fields or, with fields=1, of one; zero at rest. With the prior and a small network the mass matrix starts
    near m times the identity: positive definite.

    Args:
        slots: nodes that an element reads.
        dim: values a node carries.
        hidden: widths of the hidden layers.
        activation: function with a continuous second derivative.
        mass: kinetic prior m: a number, an `nnx.Param` to learn it, or None for the network alone.
        initializer: (layer, layers) -> nnx initialiser of its kernel; default `small_output`, see `lnn_initializer`.
        rngs: random streams.
        inputs: fields, q_scale, v_scale, angles, relative, features, feature_size, feature_scale: see `Inputs`.

    Raises:
        ValueError: sizes that are not positive, scales of the wrong length, an activation without second derivative, a
            mass that is not positive.

    Example:
        >>> import jax.numpy as jnp, lgn
        >>> from flax import nnx
        >>> density = lgn.MLPDensity(slots=3, dim=1, hidden=(24, 24), rngs=nnx.Rngs(0))
        >>> density(jnp.zeros((3, 1)), jnp.ones((3, 1)), {}).shape
        ()
    """

    def __init__(
        self,
        slots: int,
        dim: int,
        hidden: Sequence[int] = (24, 24),
        *,
        activation: Activation = jax.nn.softplus,
        mass: float | nnx.Param | None = 1.0,
        initializer: Initializer = small_output,
        rngs: nnx.Rngs,
        **inputs: Unpack[InputSettings],
    ):
        super().__init__(hidden, activation, Inputs(slots, dim, **inputs), mass)
        self.slots = slots
        self.layers = dense_layers((self.inputs.size, *hidden, 1), initializer, rngs)

    def __call__(self, *local) -> Float[Array, ""]:
        _, v, _ = self.inputs.split(*local)
        value = self.above_rest(self.layers, self.inputs(*local), self.inputs(*at_rest(*local)))
        return value + self.kinetic_prior(v[0])

    def expand(self, q, v, features) -> Expansion:
        """The `Expansion` of a batch of elements, in closed form: the `Curvature` of the network along each v, and
        along dq = v."""
        (kernel, bias), *later, (output, _) = weights(self.layers, q.dtype)
        batch, width = len(q), self.slots * self.dim
        from_place, from_v = self._split(kernel)
        _, shift = jax.jvp(jax.vmap(self.inputs.place), (q,), (v,))
        _, pull_back = jax.vjp(jax.vmap(self.inputs.place), q)
        start = jax.vmap(self.inputs)(q, v, features) @ kernel + bias
        passed = forward(self.activation, start, from_v, shift @ from_place, later)
        found = passed.back(output[:, 0])

        prior = self.prior(q.dtype) * np.repeat(np.arange(self.slots) == 0, self.dim)
        nodal = (batch, self.slots, self.dim)
        return Expansion(
            force=pull_back(found.first @ from_place.T)[0],
            momentum=(found.first @ from_v.T + prior * v.reshape(batch, width)).reshape(nodal),
            mass=(found.second + jnp.diag(prior)).reshape(*nodal, self.slots, self.dim),
            convection=found.mixed.reshape(nodal),
        )

    def _split(self, kernel):
        """Rows of the first kernel for q, and those for v, with its scale absorbed."""
        places, speeds = self.inputs.places, self.inputs.speeds
        rows = kernel[places : places + speeds].reshape(self.slots, self.dim, -1)
        v_rows = rows / jnp.asarray(self.inputs.v_scale, kernel.dtype)[:, None]
        return kernel[:places], v_rows.reshape(speeds, -1)

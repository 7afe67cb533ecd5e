"""Laws: the model families that Lagrangians are compared with, each a rate of change of one node.

Three families need no law: a Lagrangian neural network is a `Lagrangian` of an `MLPDensity`, a deep Lagrangian network
(DeLaN) one of a `StructuredDensity`, a Hamiltonian network an `EnergyFlow` with `Symplectic()`.
"""

from collections.abc import Callable, Sequence
from typing import Unpack

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from lgn.densities.density import config_of
from lgn.densities.inputs import Inputs, InputSettings, Scale, scale_of, widths_of
from lgn.densities.network import Activation, Initializer, check_activation, dense_layers, lecun_normal, perceptron

NodeState = Float[Array, "1 dim"]  # of one node, with the slot axis of a density
Law = Callable[..., tuple[NodeState, ...]]


class VectorMLP(nnx.Module):
    """Multilayer perceptron whose outputs are vectors of one node: size_i * MLP_i(q / q_scale, v / v_scale, features).

    Args:
        inputs: what it sees.
        hidden: widths of the hidden layers.
        sizes: for each vector that it returns its typical size, one number or one for each degree of freedom.
        activation: any elementwise function; nothing here takes its second derivative.
        initializer: see `MLPDensity`.
        rngs: random streams.

    Raises:
        ValueError: widths or sizes that are not positive.

    Example:
        >>> import jax, jax.numpy as jnp, lgn
        >>> from flax import nnx
        >>> from lgn.densities.inputs import Inputs
        >>> from lgn.mechanics.laws import VectorMLP
        >>> network = VectorMLP(Inputs(1, 2), (8,), (1.0, 10.0, 5.0), jax.nn.softplus, lgn.lecun_normal, nnx.Rngs(0))
        >>> network(*jnp.zeros((2, 1, 2)), {}).shape
        (3, 1, 2)
    """

    def __init__(
        self,
        inputs: Inputs,
        hidden: Sequence[int],
        sizes: Sequence[Scale],
        activation: Activation,
        initializer: Initializer,
        rngs: nnx.Rngs,
    ):
        hidden = widths_of("network", hidden)
        check_activation(activation)
        self.inputs, self.activation = inputs, activation
        self.sizes = tuple(scale_of(f"sizes[{i}]", size, inputs.dim) for i, size in enumerate(sizes))
        self.layers = dense_layers((inputs.size, *hidden, len(sizes) * inputs.dim), initializer, rngs)

    def __call__(self, *local) -> Float[Array, "vector 1 dim"]:
        found = perceptron(self.layers, self.activation, self.inputs(*local))
        return jnp.asarray(self.sizes, found.dtype)[:, None] * found.reshape(-1, 1, self.inputs.dim)


class PlainNetwork(nnx.Module):
    """dq/dt = v, dv/dt = a network of q, v and the features: no structure, and no energy.

    Args:
        dim: values a node carries.
        hidden: widths of the hidden layers.
        a_scale: typical size of the acceleration, one number or one for each degree of freedom.
        activation: any elementwise function.
        initializer: see `MLPDensity`.
        rngs: random streams.
        inputs: q_scale, v_scale, angles, features, feature_size, feature_scale: see `Inputs`.

    Source: the baseline of Cranmer et al. 2020, arXiv 2003.04630, section 4.

    Example:
        >>> import jax.numpy as jnp, lgn
        >>> from flax import nnx
        >>> law = lgn.PlainNetwork(dim=1, features=("g",), feature_size=1, rngs=nnx.Rngs(0))
        >>> two = lgn.Baseline(lgn.single_node({"g": [1.6, 9.8]}, count=2), law)
        >>> two.acceleration(*jnp.ones((2, 2, 1))).shape
        (2, 1)
    """

    config = config_of

    def __init__(
        self,
        dim: int,
        hidden: Sequence[int] = (24, 24),
        *,
        a_scale: Scale = 1.0,
        activation: Activation = jax.nn.softplus,
        initializer: Initializer = lecun_normal,
        rngs: nnx.Rngs,
        **inputs: Unpack[InputSettings],
    ):
        self.dim, self.hidden, self.activation = dim, widths_of("PlainNetwork", hidden), activation
        self.inputs = Inputs(1, dim, **inputs)
        self.a_scale = scale_of("a_scale", a_scale, dim)
        self.network = VectorMLP(self.inputs, hidden, (self.a_scale,), activation, initializer, rngs)

    def __call__(self, q, v, features) -> tuple[NodeState, NodeState]:
        return v, self.network(q, v, features)[0]


class NeuralODE(nnx.Module):
    """Rates of all fields = a network of the state and the features: dq/dt = v has to be learned too. It has no energy.

    Of (q, v), or with fields=1 of u, du/dt = network(u), on a node or on a node and its neighbours.
    Trained through an integrator by `RolloutLoss`, which differentiates its steps, or by `rate_loss`.

    Args:
        dim: values a node carries in each field.
        hidden: widths of the hidden layers.
        slots: nodes that it reads, 1 or as many as the node stencil has.
        a_scale: typical size of dv/dt or du/dt, one number or one for each degree of freedom; that of dq/dt is
            `v_scale`.
        activation: any elementwise function.
        initializer: see `MLPDensity`.
        rngs: random streams.
        inputs: fields, q_scale, v_scale, angles, relative, features, feature_size, feature_scale: see `Inputs`.

    Source: Chen, Rubanova, Bettencourt, Duvenaud 2018, arXiv 1806.07366.

    Example:
        >>> import jax.numpy as jnp, lgn
        >>> from flax import nnx
        >>> model = lgn.Baseline(lgn.single_node(), lgn.NeuralODE(dim=2, rngs=nnx.Rngs(0)))
        >>> [x.shape for x in model.rate(tuple(jnp.ones((2, 1, 2))))]
        [(1, 2), (1, 2)]
        >>> ring = lgn.Baseline(lgn.lattice((6,)), lgn.NeuralODE(dim=1, slots=3, fields=1, rngs=nnx.Rngs(0)))
        >>> ring.rate((jnp.ones((6, 1)),))[0].shape
        (6, 1)
    """

    config = config_of

    def __init__(
        self,
        dim: int,
        hidden: Sequence[int] = (24, 24),
        *,
        slots: int = 1,
        a_scale: Scale = 1.0,
        activation: Activation = jax.nn.softplus,
        initializer: Initializer = lecun_normal,
        rngs: nnx.Rngs,
        **inputs: Unpack[InputSettings],
    ):
        self.dim, self.hidden, self.slots, self.activation = dim, widths_of("NeuralODE", hidden), slots, activation
        self.inputs = Inputs(slots, dim, **inputs)
        self.a_scale = scale_of("a_scale", a_scale, dim)
        sizes = (self.inputs.v_scale, self.a_scale)[-self.inputs.fields :]
        self.network = VectorMLP(self.inputs, hidden, sizes, activation, initializer, rngs)

    def __call__(self, *local) -> tuple[NodeState, ...]:
        return tuple(self.network(*local))

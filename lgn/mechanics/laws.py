"""Laws: the model families that Lagrangians are compared with, each a rate of change of one node.

Two families need no law: a Lagrangian neural network is a `Lagrangian` of an `MLPDensity`, a deep Lagrangian network
(DeLaN) one of a `StructuredDensity`.
"""

from collections.abc import Callable, Sequence
from typing import Unpack

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from lgn._pytrees import attribute
from lgn.densities.density import Density, config_of
from lgn.densities.inputs import Inputs, InputSettings, Scale, check_widths, scale_of
from lgn.densities.layers import Activation, Initializer, dense_layers, lecun_normal, perceptron

NodeState = Float[Array, "1 dim"]  # of one node, with the slot axis of a density
Law = Callable[[NodeState, NodeState, dict[str, Array]], tuple[NodeState, NodeState]]
Momentum = Callable[[NodeState, NodeState, dict[str, Array]], NodeState]


class VectorMLP(nnx.Module):
    """Multilayer perceptron of one node, whose outputs are vectors: size_i * MLP_i(q / q_scale, v / v_scale, features).

    Args:
        inputs: of one slot.
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
        check_widths("network", *hidden)
        self.inputs, self.activation = inputs, activation
        self.sizes = tuple(scale_of(f"sizes[{i}]", size, inputs.dim) for i, size in enumerate(sizes))
        self.layers = dense_layers((inputs.size, *hidden, len(sizes) * inputs.dim), initializer, rngs)

    def __call__(self, q, v, features) -> Float[Array, "vector 1 dim"]:
        found = perceptron(self.layers, self.activation, self.inputs(q, v, features))
        return jnp.asarray(self.sizes, q.dtype)[:, None] * found.reshape(-1, 1, self.inputs.dim)


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
        self.dim, self.hidden, self.activation = dim, tuple(hidden), activation
        self.a_scale, self.inputs = scale_of("a_scale", a_scale, dim), Inputs(1, dim, **inputs)
        self.network = VectorMLP(self.inputs, hidden, (self.a_scale,), activation, initializer, rngs)

    def __call__(self, q, v, features) -> tuple[NodeState, NodeState]:
        return v, self.network(q, v, features)[0]


class NeuralODE(nnx.Module):
    """dq/dt and dv/dt = a network of q, v and the features: dq/dt = v has to be learned too. It has no energy.

    Trained through an integrator by `RolloutLoss`, which differentiates its steps, or by `rate_loss`.

    Args:
        dim: values a node carries.
        hidden: widths of the hidden layers.
        a_scale: typical size of dv/dt, one number or one for each degree of freedom; that of dq/dt is `v_scale`.
        activation: any elementwise function.
        initializer: see `MLPDensity`.
        rngs: random streams.
        inputs: q_scale, v_scale, angles, features, feature_size, feature_scale: see `Inputs`.

    Source: Chen, Rubanova, Bettencourt, Duvenaud 2018, arXiv 1806.07366.

    Example:
        >>> import jax.numpy as jnp, lgn
        >>> from flax import nnx
        >>> model = lgn.Baseline(lgn.single_node(), lgn.NeuralODE(dim=2, rngs=nnx.Rngs(0)))
        >>> [x.shape for x in model.rate(tuple(jnp.ones((2, 1, 2))))]
        [(1, 2), (1, 2)]
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
        self.dim, self.hidden, self.activation = dim, tuple(hidden), activation
        self.a_scale, self.inputs = scale_of("a_scale", a_scale, dim), Inputs(1, dim, **inputs)
        sizes = self.inputs.v_scale, self.a_scale
        self.network = VectorMLP(self.inputs, hidden, sizes, activation, initializer, rngs)

    def __call__(self, q, v, features) -> tuple[NodeState, NodeState]:
        q_rate, v_rate = self.network(q, v, features)
        return q_rate, v_rate


def velocity(q, v, features):
    """p = v: the velocity taken for the momentum."""
    return v


class HamiltonianNetwork(nnx.Module):
    """The flow of a Hamiltonian H(q, p) of each node alone, in the coordinates (q, v), where p(q, v) is given:

        dq/dt = dH/dp,    (dp/dv) dv/dt = -dH/dq - (dp/dq) dH/dp,

    which is dp/dt = -dH/dq. So H(q, p(q, v)) is constant, and is the energy; dq/dt is v only as far as it was learned:
    train with `rate_loss`, which compares both.

    Args:
        hamiltonian: H(q, p, features) -> scalar, q, p: (1, dim): a density of one slot that reads p in the place of v,
            such as `MLPDensity(1, dim, mass=None, ...)`, whose `v_scale` is then the typical size of p.
        momentum: p(q, v, features), (1, dim), with an invertible dp/dv; one with parameters of its own learns them.

    Raises:
        ValueError: a Hamiltonian of more than one slot.

    Source: Greydanus, Dzamba, Yosinski 2019, arXiv 1906.01563, equation 3.

    Example:
        >>> import jax.numpy as jnp, lgn
        >>> def spring(q, p, features): return 0.5 * jnp.sum(p**2) + 2.0 * jnp.sum(q**2)
        >>> model = lgn.Baseline(lgn.single_node(), lgn.HamiltonianNetwork(spring))
        >>> model.acceleration(jnp.ones((1, 1)), jnp.zeros((1, 1))).tolist()
        [[-4.0]]
    """

    config = config_of

    def __init__(self, hamiltonian: Density, momentum: Momentum = velocity):
        if getattr(hamiltonian, "slots", 1) != 1:
            raise ValueError(f"HamiltonianNetwork: hamiltonian reads {hamiltonian.slots} slots; make it with slots=1")  # type: ignore[attr-defined]
        self.hamiltonian, self.momentum = attribute(hamiltonian), attribute(momentum)
        if hasattr(hamiltonian, "dim"):
            self.dim = hamiltonian.dim

    def __call__(self, q, v, features) -> tuple[NodeState, NodeState]:
        p = self.momentum(q, v, features)
        q_slope, p_slope = jax.grad(self.hamiltonian, argnums=(0, 1))(q, p, features)
        _, turned = jax.jvp(lambda q: self.momentum(q, v, features), (q,), (p_slope,))
        by_v = jax.jacobian(lambda v: self.momentum(q, v, features))(v).reshape(v.size, v.size)
        return p_slope, jnp.linalg.solve(by_v, (-q_slope - turned)[0])[None]

    def energy(self, q, v, features) -> Float[Array, ""]:
        """H(q, p(q, v))."""
        return self.hamiltonian(q, self.momentum(q, v, features), features)

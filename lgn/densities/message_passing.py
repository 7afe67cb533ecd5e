"""Message passing: learned densities that are invariant to the order of neighbours, and take any number of them.

A pairing turns the states of two nodes into what a network sees of them; it is what makes a density symmetric:
`both_states` sees all, `difference` and `distance` see what a spring sees, `inverse_distance` and `log_distance` what a
force between points sees (infinite at no distance: for `PairDensity`, since a `MessageDensity` pairs a node with itself
too), `invariants` all that no rotation changes.
"""

from collections.abc import Callable, Sequence
from typing import Unpack

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from lgn import _arguments
from lgn.densities.density import config_of
from lgn.densities.inputs import Inputs, InputSettings, widths_of
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

Pairing = Callable[[Array, Array, Array, Array], Array]


def both_states(q0, v0, q1, v1) -> Array:
    """q0, v0, q1, v1: everything."""
    return jnp.concatenate([q0, v0, q1, v1])


def difference(q0, v0, q1, v1) -> Array:
    """q1 - q0: total momentum is conserved, and no velocity is read."""
    return q1 - q0


def distance(q0, v0, q1, v1) -> Array:
    """|q1 - q0|^2, for q in space: a central force, total and angular momentum are conserved."""
    return jnp.sum((q1 - q0) ** 2, keepdims=True)


def log_distance(q0, v0, q1, v1) -> Array:
    """log |q1 - q0|, for q in space: a central force over many scales, undefined where the nodes meet.

    Example:
        >>> import jax.numpy as jnp, lgn
        >>> q0, q1, v = jnp.zeros(2), jnp.array([3.0, 4.0]), jnp.zeros(2)
        >>> lgn.log_distance(q0, v, q1, v).round(3).tolist(), lgn.inverse_distance(q0, v, q1, v).round(3).tolist()
        ([1.609], [0.2])
    """
    return 0.5 * jnp.log(distance(q0, v0, q1, v1))


def inverse_distance(q0, v0, q1, v1) -> Array:
    """1 / |q1 - q0|, for q in space: a central force that falls off, and grows without limit where the nodes meet."""
    return 1 / jnp.sqrt(distance(q0, v0, q1, v1))


def invariants(q0, v0, q1, v1) -> Array:
    """Scalar products of r = q1 - q0, v0 and v1, for q in space: all that neither shift nor rotation changes."""
    vectors = jnp.stack([q1 - q0, v0, v1])
    return (vectors @ vectors.T)[jnp.triu_indices(3)]


class PairDensity(nnx.Module):
    """Learned density of an edge, the same from both ends; for `edge_stencil`.

        l = MLP(pairing(0, 1), features_0, features_1) + MLP(pairing(1, 0), features_1, features_0)

    Args:
        dim: values a node carries.
        hidden: widths of the hidden layers.
        pairing: what is seen of two states; `difference` is a spring.
        activation: with a continuous second derivative.
        initializer: see `MLPDensity`.
        rngs: random streams.
        inputs: fields, q_scale, v_scale, angles, relative, features, feature_size, feature_scale: see `Inputs`.
            Features are those of nodes, one at either end, and of the edge, the same from both ends; their size is that
            for one node or edge. The pairing sees scaled values, and an angle as its cosine and sine.

    Raises:
        ValueError: sizes that are not positive, scales of the wrong length, features without their size.

    Example:
        >>> import jax.numpy as jnp, lgn
        >>> from flax import nnx
        >>> spring = lgn.PairDensity(dim=1, features=("stiffness",), feature_size=1, rngs=nnx.Rngs(0))
        >>> q = jnp.array([[0.0], [1.0]])
        >>> spring(q, q, {"stiffness": jnp.array([2.0, 2.0])}).shape
        ()

        Of an edge, as `edge_stencil` gives it, and of nodes:

        >>> ends = {"nodes": {"charge": [1.0, 5.0]}, "edges": {"length": [1.0, 1.0]}}
        >>> graph = lgn.from_edges(2, [0, 1], [1, 0], edge_features=ends["edges"], node_features=ends["nodes"])
        >>> force = lgn.PairDensity(dim=1, features=("charge", "length"), feature_size=2, rngs=nnx.Rngs(0))
        >>> L = lgn.Lagrangian(graph, [(force, lgn.edge_stencil)])
        >>> bool(L(q, q) == L.replace(charge=jnp.array([2.0, 5.0]))(q, q))
        False
    """

    slots = 2
    config = config_of

    def __init__(
        self,
        dim: int,
        hidden: Sequence[int] = (16, 16),
        *,
        pairing: Pairing = difference,
        activation: Activation = jax.nn.softplus,
        initializer: Initializer = small_output,
        rngs: nnx.Rngs,
        **inputs: Unpack[InputSettings],
    ):
        hidden = widths_of("PairDensity", hidden)
        check_smooth(activation)
        self.dim, self.hidden, self.pairing, self.activation = dim, hidden, pairing, activation
        self.inputs = Inputs(2, dim, **inputs)
        seen = _size(pairing, self.inputs) + 2 * self.inputs.feature_size
        self.layers = dense_layers((seen, *hidden, 1), initializer, rngs)

    def __call__(self, *local) -> Float[Array, ""]:
        q, v, features = self.inputs.split(*local)
        speeds, known = self.inputs.speed(v), self.inputs.columns(_from_both_ends(features), q.dtype)

        def seen(near, far):
            places = self.inputs.coordinate(q - q[near] if self.inputs.relative else q)
            pair = self.pairing(places[near], speeds[near], places[far], speeds[far])
            return perceptron(self.layers, self.activation, jnp.concatenate([pair, known[near], known[far]]))[0]

        return seen(0, 1) + seen(1, 0)


class MessageDensity(nnx.Module):
    """Learned density of a node and any number of neighbours in any order.

        l = 0.5 m |v_0|^2 + readout(self_0, sum over filled slots j of message(pairing(0, j), features_0, features_j))

    where self_0 is pairing(0, 0) and the features of slot 0. Permuting slots changes nothing, padded slots add nothing.

    Args:
        dim: values a node carries.
        messages: numbers in a message.
        hidden: widths of the hidden layers of both networks.
        pairing: what is seen of two states: `both_states`, or `difference`, `distance`, `invariants` for symmetry.
        mass: kinetic prior m, see `MLPDensity`.
        activation: with a continuous second derivative.
        initializer: see `MLPDensity`.
        rngs: random streams.
        inputs: fields, q_scale, v_scale, angles, relative, features, feature_size, feature_scale: see `Inputs`.
            Features are those of nodes and edges, an edge's in slot j; their size is that for one slot. The pairing
            sees scaled values, and an angle as its cosine and sine.

    Raises:
        ValueError: sizes that are not positive, scales of the wrong length, features without their size.

    Source: message passing of Gilmer et al. 2017, arXiv 1704.01212, with a scalar readout.

    Example:
        >>> import jax.numpy as jnp, lgn
        >>> from flax import nnx
        >>> density = lgn.MessageDensity(dim=2, rngs=nnx.Rngs(0))
        >>> star = lgn.from_edges(4, [0, 1, 0, 2, 0, 3], [1, 0, 2, 0, 3, 0])
        >>> lgn.Lagrangian(star, density).acceleration(jnp.ones((4, 2)), jnp.zeros((4, 2))).shape
        (4, 2)
    """

    slots = None  # any number, in any order
    config = config_of

    def __init__(
        self,
        dim: int,
        messages: int = 16,
        hidden: Sequence[int] = (16,),
        *,
        pairing: Pairing = both_states,
        mass: float | nnx.Param | None = 1.0,
        activation: Activation = jax.nn.softplus,
        initializer: Initializer = small_output,
        rngs: nnx.Rngs,
        **inputs: Unpack[InputSettings],
    ):
        hidden = widths_of("MessageDensity", hidden)
        _arguments.whole("MessageDensity: messages", messages)
        check_smooth(activation)
        check_mass("MessageDensity", mass)
        self.dim, self.messages, self.hidden, self.pairing = dim, messages, hidden, pairing
        self.mass, self.activation = mass, activation
        self.inputs = Inputs(2, dim, **inputs)
        seen, known = _size(pairing, self.inputs), self.inputs.feature_size
        inner = nnx.initializers.lecun_normal()
        self.message = dense_layers((seen + 2 * known, *hidden, messages), lambda i, n: inner, rngs)
        self.readout = dense_layers((seen + known + messages, *hidden, 1), initializer, rngs)

    def __call__(self, *local) -> Float[Array, ""]:
        q, v, features = self.inputs.split(*local)
        places = self.inputs.coordinate(q - q[0] if self.inputs.relative else q)
        speeds, known = self.inputs.speed(v), self._known(features, q)
        pair = jax.vmap(self.pairing, (None, None, 0, 0))(places[0], speeds[0], places, speeds)

        def send(pair, own):
            return perceptron(self.message, self.activation, jnp.concatenate([pair, known[0], own]))

        sent = jax.vmap(send)(pair[1:], known[1:])
        received = jnp.asarray(features["mask"], q.dtype)[1:] @ sent
        value = perceptron(self.readout, self.activation, jnp.concatenate([pair[0], known[0], received]))[0]
        return value + 0.5 * prior_mass(self.mass, v.dtype) * jnp.sum(v[0] ** 2)

    def _known(self, features, q):
        """(slot, feature_size)."""
        if not self.inputs.features:
            return jnp.zeros((len(q), 0), q.dtype)
        return self.inputs.columns(features, q.dtype)


def _from_both_ends(features):
    """The features of an edge, which stand in slot 1, in both slots; those of nodes as they are."""
    edges = getattr(features, "of_edges", ())
    return {name: jnp.broadcast_to(x[1:], x.shape) if name in edges else x for name, x in features.items()}


def _size(pairing, inputs) -> int:
    """Length of what a pairing makes of two states."""
    _arguments.called("pairing", pairing, "lgn.difference, lgn.distance or a function (q0, v0, q1, v1) -> vector")
    q, v = (jax.ShapeDtypeStruct((n,), jnp.result_type(float)) for n in (inputs.coordinates, inputs.moving))
    try:
        shape = jax.eval_shape(pairing, q, v, q, v).shape
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"pairing {getattr(pairing, '__name__', pairing)} takes no (q0, v0, q1, v1) with q of "
            f"{inputs.coordinates} numbers and v of {inputs.moving} ({error}); angles make two numbers of one"
        ) from error
    if len(shape) != 1:
        raise ValueError(f"pairing {getattr(pairing, '__name__', pairing)} returns shape {shape}; expected a vector")
    return shape[0]

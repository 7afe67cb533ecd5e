"""Message passing: learned densities that do not care about the order or the number of neighbours.

A pairing turns the states of two nodes into what a network sees of them; it is what makes a density symmetric:
`both_states` sees all, `difference` and `distance` see what a spring sees, `invariants` all that no rotation changes.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from lgn.densities import Initializer, check_smooth, dense_layers, perceptron, prior_mass, scale_of, small_output

Pairing = Callable[[Array, Array, Array, Array], Array]
Activation = Callable[[Array], Array]


def both_states(q0, v0, q1, v1) -> Array:
    """q0, v0, q1, v1: everything."""
    return jnp.concatenate([q0, v0, q1, v1])


def difference(q0, v0, q1, v1) -> Array:
    """q1 - q0: total momentum is conserved, and no velocity is read."""
    return q1 - q0


def distance(q0, v0, q1, v1) -> Array:
    """|q1 - q0|^2, for q in space: a central force, total and angular momentum are conserved."""
    return jnp.sum((q1 - q0) ** 2, keepdims=True)


def invariants(q0, v0, q1, v1) -> Array:
    """Scalar products of r = q1 - q0, v0 and v1, for q in space: all that neither shift nor rotation changes."""
    vectors = jnp.stack([q1 - q0, v0, v1])
    return (vectors @ vectors.T)[jnp.triu_indices(3)]


class PairDensity(nnx.Module):
    """Learned density of an edge, the same from both ends; for `edge_stencil`.

        l = MLP(pairing(0, 1), features) + MLP(pairing(1, 0), features)

    Args:
        dim: values a node carries.
        hidden: widths of the hidden layers.
        pairing: what is seen of two states; `difference` is a spring.
        activation: with a continuous second derivative.
        q_scale: typical size of q, one number or one for each degree of freedom.
        v_scale: the same for v.
        features: names of edge features that are inputs, the same from both ends.
        feature_size: how many numbers these features are together for one edge.
        initializer: see `MLPDensity`.
        rngs: random streams.

    Raises:
        ValueError: sizes that are not positive, scales of the wrong length, features without their size.

    Example:
        >>> import jax.numpy as jnp, lgn
        >>> from flax import nnx
        >>> spring = lgn.PairDensity(dim=1, features=("stiffness",), feature_size=1, rngs=nnx.Rngs(0))
        >>> q = jnp.array([[0.0], [1.0]])
        >>> spring(q, q, {"stiffness": jnp.array([0.0, 2.0])}).shape
        ()
    """

    slots = 2

    def __init__(
        self,
        dim: int,
        hidden: Sequence[int] = (16, 16),
        *,
        pairing: Pairing = difference,
        activation: Activation = jax.nn.softplus,
        q_scale: float | Sequence[float] = 1.0,
        v_scale: float | Sequence[float] = 1.0,
        features: Sequence[str] = (),
        feature_size: int = 0,
        initializer: Initializer = small_output,
        rngs: nnx.Rngs,
    ):
        _check("PairDensity", dim, hidden, features, feature_size)
        check_smooth(activation)
        self.dim, self.hidden, self.pairing, self.activation = dim, tuple(hidden), pairing, activation
        self.q_scale, self.v_scale = scale_of("q_scale", q_scale, dim), scale_of("v_scale", v_scale, dim)
        self.features, self.feature_size = tuple(features), feature_size
        self.layers = dense_layers((_size(pairing, dim) + feature_size, *hidden, 1), initializer, rngs)

    def __call__(self, q, v, features) -> Float[Array, ""]:
        q, v = q / jnp.asarray(self.q_scale, q.dtype), v / jnp.asarray(self.v_scale, v.dtype)
        known = [jnp.ravel(features[name][1]).astype(q.dtype) for name in self.features]

        def seen(near, far):
            pair = self.pairing(q[near], v[near], q[far], v[far])
            return perceptron(self.layers, self.activation, jnp.concatenate([pair, *known]))[0]

        return seen(0, 1) + seen(1, 0)

    def config(self) -> dict:
        """Arguments that make a density of this shape again."""
        names = ("dim", "hidden", "pairing", "activation", "q_scale", "v_scale", "features", "feature_size")
        return {name: getattr(self, name) for name in names}


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
        q_scale: typical size of q, one number or one for each degree of freedom.
        v_scale: the same for v.
        features: names of node and edge features that are inputs; the features of an edge are those of slot j.
        feature_size: how many numbers these features are together for one slot.
        initializer: see `MLPDensity`.
        rngs: random streams.

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

    def __init__(
        self,
        dim: int,
        messages: int = 16,
        hidden: Sequence[int] = (16,),
        *,
        pairing: Pairing = both_states,
        mass: float | nnx.Param | None = 1.0,
        activation: Activation = jax.nn.softplus,
        q_scale: float | Sequence[float] = 1.0,
        v_scale: float | Sequence[float] = 1.0,
        features: Sequence[str] = (),
        feature_size: int = 0,
        initializer: Initializer = small_output,
        rngs: nnx.Rngs,
    ):
        _check("MessageDensity", dim, (messages, *hidden), features, feature_size)
        check_smooth(activation)
        self.dim, self.messages, self.hidden, self.pairing = dim, messages, tuple(hidden), pairing
        self.mass, self.activation = mass, activation
        self.q_scale, self.v_scale = scale_of("q_scale", q_scale, dim), scale_of("v_scale", v_scale, dim)
        self.features, self.feature_size = tuple(features), feature_size
        seen = _size(pairing, dim)
        inner = nnx.initializers.lecun_normal()
        self.message = dense_layers((seen + 2 * feature_size, *hidden, messages), lambda i, n: inner, rngs)
        self.readout = dense_layers((seen + feature_size + messages, *hidden, 1), initializer, rngs)

    def __call__(self, q, v, features) -> Float[Array, ""]:
        scaled_q, scaled_v = q / jnp.asarray(self.q_scale, q.dtype), v / jnp.asarray(self.v_scale, v.dtype)
        columns = [features[name].reshape(len(q), -1).astype(q.dtype) for name in self.features]
        known = jnp.concatenate([jnp.zeros((len(q), 0), q.dtype), *columns], 1)
        pair = jax.vmap(self.pairing, (None, None, 0, 0))(scaled_q[0], scaled_v[0], scaled_q, scaled_v)

        def send(pair, own):
            return perceptron(self.message, self.activation, jnp.concatenate([pair, known[0], own]))

        sent = jax.vmap(send)(pair[1:], known[1:])
        received = jnp.asarray(features["mask"], q.dtype)[1:] @ sent
        value = perceptron(self.readout, self.activation, jnp.concatenate([pair[0], known[0], received]))[0]
        return value + 0.5 * prior_mass(self.mass, v.dtype) * jnp.sum(v[0] ** 2)

    def config(self) -> dict:
        """Arguments that make a density of this shape again."""
        names = ("dim", "messages", "hidden", "pairing", "mass", "activation", "q_scale", "v_scale", "features")
        return {name: getattr(self, name) for name in (*names, "feature_size")}


def _size(pairing, dim) -> int:
    state = jax.ShapeDtypeStruct((dim,), jnp.result_type(float))
    shape = jax.eval_shape(pairing, state, state, state, state).shape
    if len(shape) != 1:
        raise ValueError(f"pairing {getattr(pairing, '__name__', pairing)} returns shape {shape}; expected a vector")
    return shape[0]


def _check(name, dim, sizes, features, feature_size) -> None:
    if min(dim, len(sizes), *sizes) < 1:
        raise ValueError(f"{name}: dim={dim}, layer widths {tuple(sizes)}; each must be at least 1")
    if bool(features) != bool(feature_size):
        raise ValueError(f"{name}: features={tuple(features)} with feature_size={feature_size}; give both")

"""Message passing: learned densities that are invariant to the order of neighbours, and take any number of them."""

from collections.abc import Sequence
from functools import partial
from typing import Unpack

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from lgn import _arguments
from lgn.densities.density import Density, Expansion
from lgn.densities.inputs import Inputs, InputSettings
from lgn.densities.network import (
    Activation,
    Initializer,
    Network,
    at_rest,
    dense_layers,
    forward,
    perceptron,
    small_output,
    weights,
)  # fmt: skip
from lgn.densities.pairs import (
    Pairing,
    Pairs,
    both_states,
    centre,
    centre_twice,
    difference,
    size_of,
    spread,
    spread_twice,
    without_velocities,
)  # fmt: skip


class PairDensity(Network, Density):
    """Learned density of an edge, the same from both ends; for `edge_stencil`.

        l = MLP(pairing(0, 1), features_0, features_1) + MLP(pairing(1, 0), features_1, features_0)

    less its value at q = v = 0; where the pairing is not finite there, less its value where the pairing is 0.

    Args:
        dim: values a node carries.
        hidden: widths of the hidden layers.
        pairing: what is seen of two states; `difference` is a spring.
        activation, initializer, rngs: see `MLPDensity`.
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
        super().__init__(hidden, activation, Inputs(2, dim, **inputs))
        self.pairing = pairing
        seen = size_of(pairing, self.inputs) + 2 * self.inputs.feature_size
        self.layers = dense_layers((seen, *hidden, 1), initializer, rngs)

    def __call__(self, *local) -> Float[Array, ""]:
        resting = self.seen(*at_rest(*local))
        resting = jnp.where(jnp.isfinite(resting), resting, 0.0)
        return jnp.sum(jax.vmap(partial(self.above_rest, self.layers))(self.seen(*local), resting))

    def expand(self, q, v, features) -> Expansion:
        """The `Expansion` of a batch of elements, in closed form: each end's network has tangents of its own."""
        seen = self._pairs.seen(q, v)
        if seen is None:
            return without_velocities(self, q, v, features)
        known = jax.vmap(self._known)(features, q)
        *hidden, (output, _) = weights(self.layers, q.dtype)
        passed, rows = seen.through(self.activation, hidden, known)
        first, second, mixed = passed.back(output[:, 0])
        found = self._pairs.back(q, v, first @ rows.T)
        second = (second + found.second).reshape(len(q), 2, *v.shape[1:], *v.shape[1:])  # by ends, of pair 1 reversed
        mixed = (mixed + found.mixed).reshape(len(q), 2, *v.shape[1:])
        mass, convection = second[:, 0] + second[:, 1, ::-1, :, ::-1], mixed[:, 0] + mixed[:, 1, ::-1]
        return Expansion(found.force, found.momentum, mass, convection)

    def seen(self, *local, read=None) -> Float[Array, "row value"]:
        """A row for each end."""
        q, v, features = self.inputs.split(*local)
        return jnp.concatenate([self._pairs(q, v), self._known(features, q)], 1)

    def rows(self, mask: np.ndarray) -> np.ndarray:
        return np.ones((len(mask), 2), bool)

    @property
    def _pairs(self) -> Pairs:
        return Pairs(self.pairing, self.inputs, near=(0, 1), far=(1, 0))

    def _known(self, features, q):
        """(pair, 2 feature_size): of the near, then of the far end; an edge's, which stand in slot 1, of both."""
        edges = getattr(features, "of_edges", ())
        both = {name: jnp.broadcast_to(x[1:], x.shape) if name in edges else x for name, x in features.items()}
        known = self.inputs.columns(both, q)
        return jnp.concatenate([known, known[::-1]], 1)


class MessageDensity(Network, Density):
    """Learned density of a node and any number of neighbours in any order.

        l = 0.5 m |v_0|^2 + readout(self_0, sum over filled slots j of message(pairing(0, j), features_0, features_j))

    less its value at q = v = 0, where self_0 is pairing(0, 0) and the features of slot 0. Permuting slots changes
    nothing, padded slots add nothing.

    Args:
        dim: values a node carries.
        messages: numbers in a message.
        hidden: widths of the hidden layers of both networks.
        pairing: what is seen of two states: `both_states`, or `difference`, `distance`, `invariants` for symmetry.
        mass: kinetic prior m, see `MLPDensity`.
        activation, initializer, rngs: see `MLPDensity`.
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
        super().__init__(hidden, activation, Inputs(2, dim, **inputs), mass)
        self.messages, self.pairing = _arguments.whole("MessageDensity: messages", messages), pairing
        seen, known = size_of(pairing, self.inputs), self.inputs.feature_size
        inner = nnx.initializers.lecun_normal()
        self.message = dense_layers((seen + 2 * known, *hidden, messages), lambda i, n: inner, rngs)
        self.readout = dense_layers((seen + known + messages, *hidden, 1), initializer, rngs)

    def __call__(self, *local) -> Float[Array, ""]:
        _, v, _ = self.inputs.split(*local)
        value = self.above_rest(self.readout, self._received(*local), self._received(*at_rest(*local)))
        return value + self.kinetic_prior(v[0])

    def _received(self, *local):
        """What the readout sees: the node itself, its features and the sum of all messages."""
        q, v, features = self.inputs.split(*local)
        (own,), seen = (pairs(q, v) for pairs in self._pairs(len(q)))
        known = self.inputs.columns(features, q)

        def send(seen, known_there):
            return perceptron(self.message, self.activation, jnp.concatenate([seen, known[0], known_there]))

        sent = jax.vmap(send)(seen, known[1:])
        received = jnp.asarray(features["mask"], q.dtype)[1:] @ sent
        return jnp.concatenate([own, known[0], received])

    def expand(self, q, v, features) -> Expansion:
        """The `Expansion` of a batch of elements, in closed form: a message has tangents along the velocities of its
        two ends alone; the readout has those of all slots, and weighs the second derivatives of the messages."""
        (_, slots, dim), prior = v.shape, self.prior(q.dtype)
        itself, others = self._pairs(slots)
        own, seen = itself.seen(q, v), others.seen(q, v)
        if own is None or seen is None:
            found = without_velocities(self, q, v, features)
            return found._replace(mass=found.mass.at[:, 0, :, 0].add(prior * jnp.eye(dim, dtype=q.dtype)))

        known, mask = jax.vmap(self.inputs.columns)(features, q), jnp.asarray(features["mask"], q.dtype)[:, 1:, None]
        here, there = known[:, :1], known[:, 1:]
        *hidden, (kernel, bias) = weights(self.message, q.dtype)
        both = jnp.concatenate([jnp.broadcast_to(here, there.shape), there], -1)
        sent, to_message = seen.through(self.activation, hidden, both)

        # the last layer of the messages and the first of the readout make one product, with the sum of all messages
        (first, first_bias), *later, (output, _) = weights(self.readout, q.dtype)
        from_here, from_sum = first[: -self.messages], first[-self.messages :]
        to_own, to_sum = first[: own.value.shape[-1]], kernel @ from_sum
        start = jnp.concatenate([own.value[:, 0], here[:, 0]], -1) @ from_here + first_bias
        start += jnp.sum(mask * sent.value, 1) @ to_sum + jnp.sum(mask, 1) * (bias @ from_sum)
        along = jnp.sum(mask * sent.along, 1) @ to_sum + own.along[:, 0] @ to_own
        slopes = own.slopes.reshape(-1, 1, *own.slopes.shape[-2:])
        tangents = spread(mask[..., None] * sent.tangents) @ to_sum + centre(slopes, slots) @ to_own
        read = forward(self.activation, start, tangents, along, later).back(output[:, 0])
        each = sent.back(mask * (read.first @ to_sum.T)[:, None])

        near = itself.back(q, v, (read.first @ to_own.T)[:, None])
        far = others.back(q, v, each.first @ to_message.T)
        mass = read.second + spread_twice(each.second + far.second) + centre_twice(near.second, slots)
        convection = read.mixed + spread(each.mixed + far.mixed) + centre(near.mixed, slots)
        kinetic = prior * (np.arange(slots) == 0)[:, None]
        return Expansion(
            force=near.force + far.force,
            momentum=near.momentum + far.momentum + kinetic * v,
            mass=(mass + jnp.diag(jnp.broadcast_to(kinetic, (slots, dim)).ravel())).reshape(*v.shape, slots, dim),
            convection=convection.reshape(v.shape),
        )

    def seen(self, *local, read=None) -> Float[Array, "row value"]:
        """A row for each neighbour."""
        q, v, features = self.inputs.split(*local)
        known = self.inputs.columns(features, q)
        here = jnp.broadcast_to(known[:1], known[1:].shape)
        return jnp.concatenate([self._pairs(len(q))[1](q, v), here, known[1:]], 1)

    def rows(self, mask: np.ndarray) -> np.ndarray:
        return np.asarray(mask)[:, 1:] > 0

    def _pairs(self, slots: int) -> tuple[Pairs, Pairs]:
        """Slot 0 with itself, and with each other."""
        others = np.arange(1, slots)
        return Pairs(self.pairing, self.inputs, [0], [0]), Pairs(self.pairing, self.inputs, 0 * others, others)

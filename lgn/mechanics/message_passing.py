"""MessagePassing: the black box over a graph that a learned field is compared with."""

from collections.abc import Sequence
from typing import Unpack

import jax
import jax.numpy as jnp
import jraph
from flax import nnx
from jaxtyping import Array, Float

from lgn import _arguments
from lgn.assembly.binding import Features
from lgn.assembly.domain import State
from lgn.densities.density import config_of
from lgn.densities.inputs import Inputs, InputSettings, Scale, scale_of, widths_of
from lgn.densities.network import Activation, Initializer, dense_layers, lecun_normal, perceptron


class MessagePassing(nnx.Module):
    """A law of the whole graph, without structure or energy: encode nodes and edges, pass messages, decode rates.

        h_i = MLP(q_i, v_i, features_i),    e_ij = MLP(q_j - q_i, features_ij)
        k times    e_ij += MLP(e_ij, h_i, h_j),    h_i += MLP(h_i, sum over j of e_ij)
        dv_i/dt = MLP(h_i),  dq_i/dt = v_i,  or with fields=1 du_i/dt = MLP(h_i)

    What a field has for comparison, as `PlainNetwork` and `NeuralODE` are for a node: on any graph, invariant to the
    numbering of nodes, and with k rounds a node feels those k edges away.

    Args:
        dim: values a node carries in each field.
        hidden: widths of the hidden layers of every network.
        rounds: of messages, each with its own weights.
        latent: numbers in h and in e.
        edge_features: names of the edge features that are inputs.
        edge_feature_size: how many numbers these are together.
        a_scale: typical size of dv/dt or du/dt, one number or one for each degree of freedom.
        activation: any elementwise function.
        initializer: see `MLPDensity`.
        rngs: random streams.
        inputs: fields, q_scale, v_scale, angles, relative, features, feature_size, feature_scale: see `Inputs`. With
            relative=True a node does not see its own q, so that a shift of all nodes changes nothing. Features are
            those of nodes.

    Raises:
        ValueError: sizes that are not positive, features without their size.

    Source: Sanchez-Gonzalez et al. 2020, arXiv 2002.09405 (encode, process, decode); blocks are those of jraph.

    Example:
        >>> import jax.numpy as jnp, lgn
        >>> from flax import nnx
        >>> law = lgn.MessagePassing(dim=1, rounds=2, rngs=nnx.Rngs(0))
        >>> model = lgn.Baseline(lgn.lattice((8,)), law)
        >>> model.acceleration(jnp.ones((8, 1)), jnp.zeros((8, 1))).shape
        (8, 1)
    """

    config = config_of

    def __init__(
        self,
        dim: int,
        hidden: Sequence[int] = (32,),
        *,
        rounds: int = 2,
        latent: int = 16,
        edge_features: Sequence[str] = (),
        edge_feature_size: int = 0,
        a_scale: Scale = 1.0,
        activation: Activation = jax.nn.softplus,
        initializer: Initializer = lecun_normal,
        rngs: nnx.Rngs,
        **inputs: Unpack[InputSettings],
    ):
        hidden = widths_of("MessagePassing", hidden)
        rounds, latent = (
            _arguments.whole(f"MessagePassing: {name}", n) for name, n in (("rounds", rounds), ("latent", latent))
        )
        _arguments.streams("MessagePassing", rngs)
        edge_features = _arguments.names("edge_features", edge_features)
        edge_feature_size = _arguments.whole("edge_feature_size", edge_feature_size, least=0)
        if bool(edge_features) != bool(edge_feature_size):
            raise ValueError(f"edge_features={edge_features} with edge_feature_size={edge_feature_size}; give both")
        self.dim, self.hidden, self.rounds, self.latent = dim, hidden, rounds, latent
        self.edge_features, self.edge_feature_size = edge_features, edge_feature_size
        self.a_scale, self.activation = scale_of("a_scale", a_scale, dim), activation
        self.inputs = Inputs(2, dim, **inputs)

        def network(seen, made):
            return dense_layers((seen, *hidden, made), initializer, rngs)

        known = self.inputs.moving + self.inputs.feature_size
        self.node = network(known + (0 if self.inputs.relative else self.inputs.coordinates), latent)
        self.edge = network(self.inputs.coordinates + edge_feature_size, latent)
        self.messages = nnx.List(network(3 * latent, latent) for _ in range(rounds))
        self.updates = nnx.List(network(2 * latent, latent) for _ in range(rounds))
        self.decode = network(latent, dim)

    def over_graph(self, graph: jraph.GraphsTuple, *state: Float[Array, "node dim"]) -> State:
        """The rates of all nodes."""
        q, v, nodes = self.inputs.split(*state, graph.nodes)
        places, known = self.inputs.coordinate(q), _columns(nodes, self.inputs.features, len(q), q.dtype)
        known = known / jnp.asarray(self.inputs.feature_scale, q.dtype)[: self.inputs.feature_size]
        own = [self.inputs.speed(v), known] if self.inputs.relative else [places, self.inputs.speed(v), known]
        apart = (q[graph.senders] - q[graph.receivers]) / jnp.asarray(self.inputs.q_scale, q.dtype)
        if self.inputs.angles:
            apart = places[graph.senders] - places[graph.receivers]
        edges = jnp.concatenate([apart, _columns(graph.edges, self.edge_features, len(apart), q.dtype)], 1)
        latent = graph._replace(
            nodes=self._apply(self.node, jnp.concatenate(own, 1)), edges=self._apply(self.edge, edges), globals=None
        )
        for message, update in zip(self.messages, self.updates, strict=True):
            latent = self._round(message, update)(latent)
        rate = self._apply(self.decode, latent.nodes) * jnp.asarray(self.a_scale, q.dtype)
        return (rate,) if self.inputs.fields == 1 else (v, rate)

    def _round(self, message, update):
        """One block of jraph; nodes and edges add what they learn to what they know."""

        def update_edge(edges, senders, receivers, _):
            return edges + self._apply(message, jnp.concatenate([edges, senders, receivers], 1))

        def update_node(nodes, sent, received, _):
            return nodes + self._apply(update, jnp.concatenate([nodes, received], 1))

        return jraph.GraphNetwork(update_edge, update_node)

    def _apply(self, layers, x):
        return jax.vmap(lambda row: perceptron(layers, self.activation, row))(x)


def _columns(named, names, count, dtype):
    """(row, number) the named features of nodes or edges beside each other."""
    known = Features(named)
    columns = [jnp.asarray(known[name], dtype).reshape(count, -1) for name in names]
    return jnp.concatenate([jnp.zeros((count, 0), dtype), *columns], 1)

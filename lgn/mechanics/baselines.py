"""Baselines: rates of change given or learned without an energy, the families that a `Lagrangian` is compared with.

Three families need no baseline: a Lagrangian neural network is a `Lagrangian` of an `MLPDensity`, a deep Lagrangian
network (DeLaN) one of a `StructuredDensity`, a Hamiltonian network an `EnergyFlow` with `Symplectic()`.
"""

from collections.abc import Callable, Sequence
from typing import Any, Unpack

import jax
import jax.numpy as jnp
import jraph
from flax import nnx
from jaxtyping import Array, Float

from lgn import _arguments, _arrays
from lgn._pytrees import Static, attribute
from lgn.assembly import clamps
from lgn.assembly.binding import Features, local
from lgn.assembly.domain import Domain, Field, State
from lgn.data.fields import field_names
from lgn.densities.density import config_of
from lgn.densities.inputs import Inputs, InputSettings, Scale, scale_of, widths_of
from lgn.densities.network import Activation, Initializer, check_activation, dense_layers, lecun_normal, perceptron
from lgn.graphs.stencils import node_stencil
from lgn.mechanics.compilation import compiled
from lgn.mechanics.system import System, offered

NodeState = Float[Array, "1 dim"]  # of one node, with the slot axis of a density


class Law(nnx.Module):
    """Base class of laws, the rates of change of one node: (q, v, features) -> (dq/dt, dv/dt), or (u, features) ->
    (du/dt,), of (slot, dim) arrays as a density reads them, and for slot 0 alone, (1, dim).

    A plain function, or any callable with some of these members, is a law too and gets the defaults of the rest.

    Attributes:
        slots: nodes that it reads, 1 or as many as the node stencil has.
        dim: values a node carries, if it takes one number of them only.
        energy: of the same arguments, a number, summed over the nodes; a law may lack it.
        over_graph: (graph, *state) -> rates (node, dim) of all nodes at once, of a law of the whole graph.
    """

    slots: int = 1
    dim: int
    energy: Callable[..., Any]
    over_graph: Callable[..., State]
    config = config_of


class Baseline(System):
    """(dq/dt, dv/dt) = law(q, v, features), or du/dt = law(u, features), on each node of a graph: of a law of one slot
    by itself, else of the node and its neighbours.

    `fit`, `rollout`, losses, diagnostics and plots accept it like a `Lagrangian`; it has no density to `pretrain`.

    Args:
        graph: with the features that the law may read; nodes that `clamp` holds stay at rest.
        law: one of the families, or any function (q, v, features) -> (dq/dt, dv/dt) or (u, features) -> (du/dt,). It
            reads (slot, dim) as a density does, one slot unless it has another number of `slots`, and gives rates
            (1, dim) of slot 0. Its `energy` of the same arguments, if it has one, is summed over the nodes. A law with
            `over_graph(graph, q, v)`, such as `MessagePassing`, gives the rates (node, dim) of all nodes at once.

    Raises:
        ValueError: states of the wrong shape or dtype, features that the law reads and the graph lacks.

    Example:
        >>> import jax.numpy as jnp, lgn
        >>> from flax import nnx
        >>> law = lgn.PlainNetwork(dim=2, angles=(0, 1), rngs=nnx.Rngs(0))
        >>> model = lgn.Baseline(lgn.single_node(), law)
        >>> model.acceleration(jnp.zeros((1, 2)), jnp.ones((1, 2))).shape
        (1, 2)
    """

    def __init__(self, graph: jraph.GraphsTuple, law: Law | Callable):
        self.domain = Domain(graph)
        self.law = attribute(_arguments.made("law", law, "lgn.PlainNetwork(...)"))
        if self._of_law("over_graph") is None:
            _arguments.called("law", law, "a function (q, v, features) -> (dq/dt, dv/dt), or a law")
        slots = self._of_law("slots")
        self._stencil = Static(node_stencil(graph, hops=0 if slots == 1 else 1))
        if slots != self._stencil.value.slots:
            raise ValueError(f"the law was made for slots={slots}, but the stencil has {self._stencil.value.slots}")

    @compiled
    def rate(self, state: State, t: float = 0.0) -> State:
        """Rate d state / dt. Args: state: fields (node, dim); t: time, which is not read."""
        self.check(*_arrays.fields(state, *field_names(len(state))))
        over_graph = self._of_law("over_graph")
        rates = [x[:, None] for x in over_graph(self.graph, *state)] if over_graph else self._on_nodes(self.law, *state)
        found, expected = [jnp.shape(x) for x in jax.tree.leaves(rates)], (len(state[0]), 1, state[0].shape[1])
        if not isinstance(rates, tuple | list) or found != [expected] * len(state):
            raise ValueError(
                f"{self._name} returns shapes {[x[1:] for x in found]}; expected a tuple of {len(state)} of "
                f"{expected[1:]}, the rate of each field at slot 0"
            )
        return tuple(jnp.where(self.domain.free, x[:, 0], 0.0) for x in rates)

    def acceleration(self, q: Field, v: Field, t: float = 0.0) -> Field:
        """Acceleration dv/dt, (node, dim)."""
        return self.rate((q, v), t)[1]

    @compiled
    def energy(self, *state: Field) -> Float[Array, ""]:
        """Energy of the law, summed over the nodes; NaN where it has none."""
        self.check(*state)
        energy = self._of_law("energy")
        return jnp.asarray(jnp.nan, state[0].dtype) if energy is None else jnp.sum(self._on_nodes(energy, *state))

    def check(self, *state: Field) -> None:
        """Check a state. Raises ValueError if it is not one of the graph, or not of the law's degrees of freedom."""
        names, dim = field_names(len(state)), self._of_law("dim")
        self.domain.check(**dict(zip(names, state, strict=True)))
        if dim not in (None, found := state[0].shape[1]):
            raise ValueError(f"the law was made for dim={dim}, but {names[0]} has {found} degrees of freedom a node")

    def check_start(self, *state) -> None:
        """Check that a motion may start at a state and time. Raises ValueError where a clamped node moves."""
        self.check(*state[:-1])
        if len(state) == 3:
            clamps.check_moving(self.domain, *state)

    @property
    def _name(self) -> str:
        return f"law {getattr(self.law, '__name__', type(self.law).__name__)}"

    @property
    def summary(self) -> str:
        return f"{self.domain.size} nodes, {self._name.replace(' ', '=')}"

    def _on_nodes(self, function, *state):
        """A function mapped over the nodes, each with the slots of its stencil."""
        sized = self._of_law("dim") is not None  # such a law knows its size, and `check` compares it
        known = local(function, self._name, self._stencil.value, self.domain.features, *state, sized=sized)
        return jax.vmap(function)(*known)

    def _of_law(self, name):
        return offered(self.law, name, Law)


class NeuralODE(Law):
    """Rates of all fields = a network of the state and the features: dq/dt = v has to be learned too. It has no energy.

    Of (q, v), or with fields=1 of u, du/dt = network(u), on a node or on a node and its neighbours. Trained through an
    integrator by `RolloutLoss`, which differentiates its steps, or by `rate_loss`.

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

    rates: int | None = None  # how many fields' rates the network returns, the last; None for all

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
        check_activation(activation)
        self.dim, self.slots, self.activation = dim, slots, activation
        self.hidden = widths_of(type(self).__name__, hidden)
        self.inputs = Inputs(slots, dim, **inputs)
        self.a_scale = scale_of("a_scale", a_scale, dim)
        scales = (self.inputs.v_scale, self.a_scale)[-(self.rates or self.inputs.fields) :]
        self.sizes = tuple(scale_of("v_scale", size, dim) for size in scales)
        self.layers = dense_layers((self.inputs.size, *self.hidden, len(scales) * dim), initializer, rngs)

    def __call__(self, *local) -> tuple[NodeState, ...]:
        found = perceptron(self.layers, self.activation, self.inputs(*local))
        return tuple(jnp.asarray(self.sizes, found.dtype)[:, None] * found.reshape(-1, 1, self.dim))


class PlainNetwork(NeuralODE):
    """dq/dt = v, dv/dt = a network of q, v and the features: no structure, and no energy. Args: see `NeuralODE`.

    Source: the baseline of Cranmer et al. 2020, arXiv 2003.04630, section 4.

    Example:
        >>> import jax.numpy as jnp, lgn
        >>> from flax import nnx
        >>> law = lgn.PlainNetwork(dim=1, features=("g",), feature_size=1, rngs=nnx.Rngs(0))
        >>> two = lgn.Baseline(lgn.single_node({"g": [1.6, 9.8]}, count=2), law)
        >>> two.acceleration(*jnp.ones((2, 2, 1))).shape
        (2, 1)
    """

    rates = 1

    def __call__(self, q, v, features) -> tuple[NodeState, NodeState]:
        return v[:1], super().__call__(q, v, features)[0]


class MessagePassing(Law):
    """A law of the whole graph, without structure or energy: encode nodes and edges, pass messages, decode rates.

        h_i = MLP(q_i, v_i, features_i),    e_ij = MLP(q_j - q_i, features_ij)
        k times    e_ij += MLP(e_ij, h_i, h_j),    h_i += MLP(h_i, sum over j of e_ij)
        dv_i/dt = MLP(h_i),  dq_i/dt = v_i,  or with fields=1 du_i/dt = MLP(h_i)

    What a field has for comparison, as `PlainNetwork` and `NeuralODE` are for a node: on any graph, invariant to the
    numbering of nodes, and with k rounds a node feels those k edges away.

    Args:
        dim, a_scale, activation, initializer, rngs, inputs: see `NeuralODE`. With relative=True a node does not see its
            own q, so that a shift of all nodes changes nothing. Features are those of nodes.
        hidden: widths of the hidden layers of every network.
        rounds: of messages, each with its own weights.
        latent: numbers in h and in e.
        edge_features: names of the edge features that are inputs.
        edge_feature_size: how many numbers these are together.

    Raises:
        ValueError: sizes that are not positive, features without their size.

    Source: Sanchez-Gonzalez et al. 2020, arXiv 2002.09405 (encode, process, decode).

    Example:
        >>> import jax.numpy as jnp, lgn
        >>> from flax import nnx
        >>> law = lgn.MessagePassing(dim=1, rounds=2, rngs=nnx.Rngs(0))
        >>> model = lgn.Baseline(lgn.lattice((8,)), law)
        >>> model.acceleration(jnp.ones((8, 1)), jnp.zeros((8, 1))).shape
        (8, 1)
    """

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
        self.dim, self.activation, self.a_scale = dim, activation, scale_of("a_scale", a_scale, dim)
        self.hidden = widths_of("MessagePassing", hidden)
        self.rounds = _arguments.whole("MessagePassing: rounds", rounds)
        self.latent = _arguments.whole("MessagePassing: latent", latent)
        self.edge_features = _arguments.names("edge_features", edge_features)
        self.edge_feature_size = _arguments.whole("edge_feature_size", edge_feature_size, least=0)
        if bool(edge_features) != bool(edge_feature_size):
            raise ValueError(f"edge_features={edge_features} with edge_feature_size={edge_feature_size}; give both")
        self.inputs = Inputs(2, dim, **inputs)

        def network(seen, made):
            return dense_layers((seen, *self.hidden, made), initializer, rngs)

        known = self.inputs.moving + self.inputs.feature_size
        self.node = network(known + (0 if self.inputs.relative else self.inputs.coordinates), latent)
        self.edge = network(self.inputs.coordinates + edge_feature_size, latent)
        self.messages = nnx.List(network(3 * latent, latent) for _ in range(rounds))
        self.updates = nnx.List(network(2 * latent, latent) for _ in range(rounds))
        self.decode = network(latent, dim)

    def over_graph(self, graph: jraph.GraphsTuple, *state: Float[Array, "node dim"]) -> State:
        """Rates of all nodes. Args: graph: with features; state: fields (node, dim)."""
        q, v, nodes = self.inputs.split(*state, graph.nodes)
        places, known = self.inputs.coordinate(q), _columns(nodes, self.inputs.features, len(q), q.dtype)
        known = known / jnp.asarray(self.inputs.feature_scale, q.dtype)[: self.inputs.feature_size]
        own = [*([] if self.inputs.relative else [places]), self.inputs.speed(v), known]
        apart = (q[graph.senders] - q[graph.receivers]) / jnp.asarray(self.inputs.q_scale, q.dtype)
        if self.inputs.angles:
            apart = places[graph.senders] - places[graph.receivers]

        def apply(layers, *seen):
            return jax.vmap(lambda row: perceptron(layers, self.activation, row))(jnp.concatenate(seen, 1))

        h = apply(self.node, *own)
        e = apply(self.edge, apart, _columns(graph.edges, self.edge_features, len(apart), q.dtype))
        for message, update in zip(self.messages, self.updates, strict=True):
            e = e + apply(message, e, h[graph.senders], h[graph.receivers])
            h = h + apply(update, h, jax.ops.segment_sum(e, graph.receivers, len(h)))
        rate = apply(self.decode, h) * jnp.asarray(self.a_scale, q.dtype)
        return (rate,) if self.inputs.fields == 1 else (v, rate)


def _columns(named, names, count, dtype):
    """(row, number) the named features of nodes or edges beside each other."""
    known = Features(named)
    columns = [jnp.asarray(known[name], dtype).reshape(count, -1) for name in names]
    return jnp.concatenate([jnp.zeros((count, 0), dtype), *columns], 1)

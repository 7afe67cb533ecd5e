"""Baselines: rates of change that are given or learned without an energy, behind the calls of a system."""

import jax
import jax.numpy as jnp
import jraph
from jaxtyping import Array, Float

from lgn import _arguments, _arrays
from lgn._pytrees import Static, attribute
from lgn.assembly import clamps
from lgn.assembly.binding import local
from lgn.assembly.domain import Domain, Field, State
from lgn.data.fields import field_names
from lgn.graphs.stencils import node_stencil
from lgn.mechanics.compilation import compiled
from lgn.mechanics.laws import Law
from lgn.mechanics.system import System


class Baseline(System):
    """(dq/dt, dv/dt) = law(q, v, features), or du/dt = law(u, features), on each node of a graph: of a law of one slot
    by itself, else of the node and its neighbours.

    `fit`, `rollout`, losses, diagnostics and plots accept it like a `Lagrangian`. It has no density, so `pretrain`
    does not apply.

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
        >>> law = lgn.PlainNetwork(dim=2, angles=(0, 1), rngs=nnx.Rngs(0))
        >>> model = lgn.Baseline(lgn.single_node(), law)
        >>> model.acceleration(jnp.zeros((1, 2)), jnp.ones((1, 2))).shape
        (1, 2)
    """

    def __init__(self, graph: jraph.GraphsTuple, law: Law):
        self.domain = Domain(graph)
        if not hasattr(_arguments.made("law", law, "lgn.PlainNetwork(...)"), "over_graph"):
            _arguments.called("law", law, "a function (q, v, features) -> (dq/dt, dv/dt), or a law")
        self.law = attribute(law)
        self._stencil = Static(node_stencil(graph, hops=0 if getattr(law, "slots", 1) == 1 else 1))
        if getattr(law, "slots", 1) != self._stencil.value.slots:
            raise ValueError(
                f"the law was made for slots={law.slots}, but the graph's stencil has {self._stencil.value.slots}"  # type: ignore[attr-defined]
            )

    @compiled
    def rate(self, state: State, t: float = 0.0) -> State:
        """d state / dt; t is not read."""
        self.check(*_arrays.fields(state, *field_names(len(state))))
        over_graph = getattr(self.law, "over_graph", None)
        if over_graph is not None:
            rates = [x[:, None] for x in over_graph(self.graph, *state)]
        else:
            rates = self._on_nodes(self.law, *state)
        found, expected = [jnp.shape(x) for x in jax.tree.leaves(rates)], (len(state[0]), 1, state[0].shape[1])
        if not isinstance(rates, tuple | list) or found != [expected] * len(state):
            raise ValueError(
                f"{self._name} returns shapes {[x[1:] for x in found]}; expected a tuple of {len(state)} of "
                f"{expected[1:]}, the rate of each field at slot 0"
            )
        return tuple(jnp.where(self.domain.free, x[:, 0], 0.0) for x in rates)

    def acceleration(self, q: Field, v: Field, t: float = 0.0) -> Field:
        """dv/dt."""
        return self.rate((q, v), t)[1]

    @compiled
    def energy(self, *state: Field) -> Float[Array, ""]:
        """Sum over the nodes of the energy of the law; NaN where it has none."""
        self.check(*state)
        energy = getattr(self.law, "energy", None)
        return jnp.asarray(jnp.nan, state[0].dtype) if energy is None else jnp.sum(self._on_nodes(energy, *state))

    def check(self, *state: Field) -> None:
        """Raises ValueError if this is not a state of the graph, or not of the law's degrees of freedom."""
        names = field_names(len(state))
        self.domain.check(**dict(zip(names, state, strict=True)))
        dim = getattr(self.law, "dim", state[0].shape[1])
        if dim != state[0].shape[1]:
            raise ValueError(
                f"the law was made for dim={dim}, but {names[0]} has {state[0].shape[1]} degrees of freedom a node"
            )

    def check_start(self, *state) -> None:
        """Raises ValueError, outside of transformations, where a clamped node moves. Takes the state, then t."""
        *fields, t = state
        self.check(*fields)
        if len(fields) == 2:
            q, v = fields
            clamps.check_moving(self.domain, q, v, t)

    @property
    def _name(self) -> str:
        return f"law {getattr(self.law, '__name__', type(self.law).__name__)}"

    @property
    def summary(self) -> str:
        """Number of nodes and the law in one line."""
        return f"{self.domain.size} nodes, {self._name.replace(' ', '=')}"

    def _on_nodes(self, function, *state):
        """The function of what each node reads: the slots of its stencil."""
        sized = hasattr(self.law, "dim")  # such a law knows its size, and `check` compares it
        known = local(function, self._name, self._stencil.value, self.domain.features, *state, sized=sized)
        return jax.vmap(function)(*known)

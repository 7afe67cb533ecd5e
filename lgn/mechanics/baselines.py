"""Baselines: laws of single nodes on a graph, behind the calls of a Lagrangian."""

import jax
import jax.numpy as jnp
import jraph
from flax import nnx
from jaxtyping import Array, Float

from lgn._pytrees import attribute
from lgn.assembly import clamps
from lgn.assembly.domain import Domain, Field, State
from lgn.assembly.terms import Features
from lgn.mechanics.laws import Law


class Baseline(nnx.Pytree):
    """(dq/dt, dv/dt) = law(q, v, features) on each node of a graph by itself; edges are not read.

    `fit`, `rollout`, losses, diagnostics and plots accept it like a `Lagrangian`. It has no density, so `pretrain`
    does not apply.

    Args:
        graph: nodes, with node and graph features that the law may read; nodes that `clamp` holds stay at rest.
        law: one of the families, or any function (q, v, features) -> (dq/dt, dv/dt), all (1, dim), which reads one node
            as a density of one slot does. Its `energy(q, v, features)`, if it has one, is summed over the nodes.

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

    def __init__(self, graph: jraph.GraphsTuple, law: Law):
        self.domain = Domain(graph)
        self.law = attribute(law)

    def config(self) -> dict:
        """Arguments that make a model of this shape again."""
        return {"graph": self.graph, "law": self.law}

    @property
    def graph(self) -> jraph.GraphsTuple:
        """The graph, with its features as they are now."""
        return self.domain.graph

    def replace(self, **values: Array) -> "Baseline":
        """The same with other values of its features, see `Lagrangian.replace`."""
        other = jax.tree.map(lambda x: x, self)
        other.domain = self.domain.replace(**values)
        return other

    def rate(self, state: State, t: float = 0.0) -> State:
        """dq/dt and dv/dt of a state (q, v); t is not read."""
        free = self.domain.free
        return tuple(jnp.where(free, x[:, 0], 0.0) for x in self._on_nodes(self.law, *state))

    def acceleration(self, q: Field, v: Field, t: float = 0.0) -> Field:
        """dv/dt."""
        return self.rate((q, v), t)[1]

    def energy(self, q: Field, v: Field) -> Float[Array, ""]:
        """Sum over the nodes of the energy of the law; NaN where it has none."""
        energy = getattr(self.law, "energy", None)
        return jnp.asarray(jnp.nan, q.dtype) if energy is None else jnp.sum(self._on_nodes(energy, q, v))

    def check(self, q: Field, v: Field) -> None:
        """Raises ValueError if q and v are not a state of this graph, or not of the law's degrees of freedom."""
        self.domain.check(q=q, v=v)
        dim = getattr(self.law, "dim", q.shape[1])
        if dim != q.shape[1]:
            raise ValueError(f"the law was made for dim={dim}, but q has {q.shape[1]} degrees of freedom a node")

    def check_start(self, q: Field, v: Field, t: float = 0.0) -> None:
        """Raises ValueError, outside of transformations, where a clamped node moves."""
        self.check(q, v)
        clamps.check_moving(self.domain.free, None, q, v, t)

    def __repr__(self) -> str:
        name = getattr(self.law, "__name__", type(self.law).__name__)
        return f"Baseline({self.domain.size} nodes, law={name})"

    __str__ = __repr__

    def _on_nodes(self, function, q, v):
        """The function of each node's q, v and features, which have the slot axis of a density of one slot."""
        self.check(q, v)
        nodes, _, whole = self.domain.features
        constant = {"mask": jnp.ones(1, q.dtype), **{name: jnp.asarray(x, q.dtype) for name, x in whole.items()}}

        def one(q, v, own):
            return function(q, v, Features({**own, **constant}))

        slots = q[:, None], v[:, None], {name: jnp.asarray(x, q.dtype)[:, None] for name, x in nodes.items()}
        return jax.vmap(one)(*slots)

"""Domain: a graph with its features and its clamps, where a functional lives."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import jraph
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from lgn import _arguments, _arrays, _guard
from lgn._pytrees import Static, attribute
from lgn.assembly.rows import Rows, nodes
from lgn.graphs.features import GEOMETRY, check_graph, check_kinds, clamped_nodes, constant, node_count

Field = Float[Array, "node dim"]
State = tuple[Field, ...]


class Domain(nnx.Pytree):
    """A graph whose topology and geometry are part of the program, and whose other features are leaves.

    Args:
        graph: nodes, edges and their features; nodes that `clamp` holds are clamped.
        motion: g(t), (node, dim), the place of the clamped nodes at time t; by default they rest.

    Raises:
        ValueError: no graph, features of the wrong length or of two kinds with one name, a motion that is no function
            or without clamped nodes.
        RuntimeError: a release of jax that returns wrong numbers.
    """

    def __init__(self, graph: jraph.GraphsTuple, motion: Callable[[Array], Field] | None = None):
        _guard.check_jax()
        _check_features(check_graph(graph))
        if motion is not None:
            _arguments.called("motion", motion, "a function g(t) -> (node, dim)")
            if not clamped_nodes(graph).any():
                raise ValueError(
                    "motion is given, but no node is clamped; hold those that it moves: lgn.clamp(graph, nodes)"
                )
        kinds = (graph.nodes, graph.edges, graph.globals)
        nodes, edges, whole = (_geometry(named) for named in kinds)
        self._frame = Static(graph._replace(nodes=nodes, edges=edges, globals=whole))
        self.division: Any = None  # over devices: see `lgn.shard`
        self._rows: Rows | None = None
        self._held: Any = None
        self.features = nnx.data(tuple({k: x for k, x in named.items() if k not in GEOMETRY} for named in kinds))
        self.motion = attribute(motion)

    @property
    def graph(self) -> jraph.GraphsTuple:
        """The graph, with its features as they are now."""
        nodes, edges, whole = self.features
        frame = self._frame.value
        return frame._replace(
            nodes={**frame.nodes, **nodes}, edges={**frame.edges, **edges}, globals={**frame.globals, **whole}
        )

    @property
    def size(self) -> int:
        return node_count(self._frame.value)

    @property
    def rows(self) -> Rows:
        """Where states live in programs: a row for each node, or as `lgn.shard` divides them."""
        return self._rows or (self.division.rows if self.division else nodes(self.size))

    @property
    def bound(self) -> bool:
        """Whether its states are rows already, as within a program."""
        return self._rows is not None

    @property
    def summary(self) -> str:
        counts = f"{self.size} nodes, {self.graph.senders.size} edges, {int((~self.free).sum())} clamped"
        return f"{counts}, over {self.division.parts} devices" if self.division else counts

    @property
    def clamped(self) -> bool:
        """Whether there are clamps, or rows without a node."""
        return self._held is not None if self.bound else bool(clamped_nodes(self._frame.value).any())

    @property
    def held(self) -> np.ndarray | Array:
        """(clamp,) the clamped nodes; of rows, filled up with rows beyond the last."""
        return self._held if self.bound else np.flatnonzero(clamped_nodes(self._frame.value)).astype(np.int32)

    @property
    def free(self) -> np.ndarray | Array:
        """(node, 1) bool: which nodes follow the equation of motion; (1, 1) for rows that all do."""
        if not self.bound:
            return ~clamped_nodes(self._frame.value)[:, None]
        if self._held is None:
            return np.ones((1, 1), bool)
        return self.rows.over(lambda rows, held, _: jnp.ones((rows.size, 1), bool).at[held].set(False), self._held, ())

    def on_rows(self) -> "Domain":
        """The same as data of a program: counts, features and clamps on rows, without topology and geometry."""
        other, rows, none = jax.tree.map(lambda x: x, self), self.rows, np.zeros(0, np.int32)
        other._frame = Static(jraph.GraphsTuple({}, {}, none, none, {}, np.array([rows.count]), np.zeros(1, int)))
        other._rows, other.division = nnx.data(rows), None
        if (held := _held(rows, self.held.tobytes())) is not None:
            other._held = nnx.data(held)
        of_nodes, edges, whole = self.features
        of_nodes, edges = {k: rows.enter(x) for k, x in of_nodes.items()}, {k: rows.edges(x) for k, x in edges.items()}
        other.features = nnx.data((of_nodes, edges, whole))
        return other

    def replace(self, **values: Array) -> "Domain":
        """The same with other values of its node, edge or graph features.

        Raises:
            ValueError: a name that the graph does not have, values of another shape than it has, or not real.

        Example:
            >>> import lgn
            >>> from lgn.assembly.domain import Domain
            >>> domain = Domain(lgn.with_features(lgn.single_node(), graph_features={"g": 9.8}))
            >>> round(float(domain.replace(g=1.6).graph.globals["g"]), 6)
            1.6
        """
        known = sorted(name for named in self.features for name in named)
        if unknown := sorted(set(values) - set(known)):
            raise ValueError(
                f"replace: {unknown[0]!r} is not a feature of the graph, which has {known or 'none'}; give it to the "
                f"graph first: lgn.with_features(graph, ...)"
            )
        other = jax.tree.map(lambda x: x, self)
        other.features = nnx.data(
            tuple({k: replaced(k, values.get(k, x), x) for k, x in named.items()} for named in self.features)
        )
        return other

    def check(self, **fields: Field) -> None:
        """Raises ValueError if the fields are not a state of this graph."""
        check_fields(self.size, **fields)


@lru_cache(maxsize=16)
def _held(rows: Rows, clamped: bytes) -> Array | None:
    return rows.held(np.frombuffer(clamped, np.int32))


def check_fields(size: int, **fields: Field) -> None:
    """Raises ValueError if the fields are not a state of so many nodes."""
    for name, x in fields.items():
        _arrays.field(name, x)
        if x.ndim != 2 or len(x) != size:
            raise ValueError(f"{name} has shape {x.shape}; expected (node, dim) = ({size}, ...)")
    _arrays.alike({name: x.shape for name, x in fields.items()}, "has shape", "give arrays of one shape")
    dtypes = {name: jnp.result_type(x) for name, x in fields.items()}
    _arrays.alike(dtypes, "is", "give x.astype(float) of each")


def replaced(name, value, before) -> Array:
    """The new value of a feature."""
    found = _arrays.numbers(f"replace: {name!r}", constant(f"replace: {name!r}", value))
    if found.shape != jnp.shape(before):
        raise ValueError(
            f"replace: {name!r} has shape {found.shape}; expected that of the graph's, {jnp.shape(before)}"
        )
    return jnp.asarray(found)


def _check_features(graph) -> None:
    """Raises ValueError for features of a tuple that was not made by lgn, which checks them itself."""
    check_kinds(graph.nodes, graph.edges, graph.globals)
    for kind, count in (("nodes", node_count(graph)), ("edges", len(graph.senders))):
        for name, x in getattr(graph, kind).items():
            if np.ndim(x) < 1 or np.shape(x)[0] != count:
                raise ValueError(f"graph.{kind}[{name!r}] has shape {np.shape(x)}; expected ({count}, ...)")


def _geometry(named) -> dict:
    return {name: x if isinstance(x, int) else np.asarray(x) for name, x in named.items() if name in GEOMETRY}

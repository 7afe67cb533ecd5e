"""Domain: a graph with its features and its clamps, where a functional lives."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import jraph
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from lgn import _arguments, _arrays, _guard
from lgn._pytrees import Static, attribute
from lgn.assembly.pattern import on_device
from lgn.graphs.features import GEOMETRY, check_graph, check_kinds, clamped_nodes, constant, node_count
from lgn.graphs.tables import bucket, filled, step

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
        self._held: Any = None  # the clamped nodes as an array, where it is laid out
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
        """Number of nodes."""
        return node_count(self._frame.value)

    @property
    def lattice(self) -> bool:
        """Whether every node has its neighbours in the same places."""
        return "slots" in self._frame.value.globals

    @property
    def summary(self) -> str:
        """Counts, for representations."""
        return f"{self.size} nodes, {self.graph.senders.size} edges, {int((~self.free).sum())} clamped"

    @property
    def clamped(self) -> bool:
        """Whether there are clamps."""
        return self._held is not None or bool(clamped_nodes(self._frame.value).any())

    @property
    def held(self) -> np.ndarray | Array:
        """(clamp,) the clamped nodes; of a domain that is laid out, filled up with nodes beyond the last."""
        if self._held is None:
            return np.flatnonzero(clamped_nodes(self._frame.value)).astype(np.int32)
        return self._held

    @property
    def free(self) -> np.ndarray | Array:
        """(node, 1) bool: which nodes follow the equation of motion."""
        if self._held is None:
            return ~clamped_nodes(self._frame.value)[:, None]
        return jnp.ones((self.size, 1), bool).at[self._held].set(False)

    def laid_out(self, rows: int | None = None) -> "Domain":
        """The same as data of a program: counts and features, without topology and geometry. Of so many rows, if given:
        those beyond the nodes are clamped, in one program for all numbers of nodes that a `bucket` holds."""
        other = jax.tree.map(lambda x: x, self)
        frame, held = self._frame.value, self.held
        none, size = np.zeros(0, np.int32), rows or self.size
        other._frame = Static(jraph.GraphsTuple({}, {}, none, none, {}, np.array([size]), np.zeros(1, int)))
        if rows or self.clamped:
            count = bucket(len(held)) + (max(size - self.size, step(size - 1)) if rows else 0)
            held = np.concatenate([held, np.arange(self.size, size, dtype=held.dtype)])
            other._held = nnx.data(on_device(filled(held, count, size)))
        nodes, edges, whole = self.features
        nodes = _filled(nodes, size) if rows else nodes
        other.features = nnx.data((nodes, _filled(edges, bucket(frame.senders.size)), whole))
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


def _filled(named, count: int) -> dict:
    """Features with rows of zeros more."""
    return {name: _arrays.filled(x, count) for name, x in named.items()}


def _check_features(graph) -> None:
    """Raises ValueError for features of a tuple that was not made by lgn, which checks them itself."""
    check_kinds(graph.nodes, graph.edges, graph.globals)
    for kind, count in (("nodes", node_count(graph)), ("edges", len(graph.senders))):
        for name, x in getattr(graph, kind).items():
            if np.ndim(x) < 1 or np.shape(x)[0] != count:
                raise ValueError(f"graph.{kind}[{name!r}] has shape {np.shape(x)}; expected ({count}, ...)")


def _geometry(named) -> dict:
    return {name: x if isinstance(x, int) else np.asarray(x) for name, x in named.items() if name in GEOMETRY}

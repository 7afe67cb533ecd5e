"""Features: what a graph carries besides its topology, by name; geometry is numpy, features of the user are traced.

Names that lgn reads:
  nodes: `position` (node, space), `measure` (node,), `clamped` (node,) bool
  edges: `offset` (edge, space) = sender - receiver, `slot` (edge,) = place of the sender in the receiver's stencil
  globals: `slots` = number of neighbours of an inner node of a lattice,
    `cells` (cell, corner) = nodes at the corners of each cell of a mesh
Every other feature of nodes, edges or the whole graph is the user's and reaches the density by its own name.
"""

from collections.abc import Mapping

import jax.numpy as jnp
import jraph
import numpy as np
from flax import nnx
from numpy.typing import ArrayLike

from lgn import _arguments, _arrays

GEOMETRY = {"position", "measure", "clamped", "offset", "slot", "slots", "cells"}
RESERVED = GEOMETRY | {"mask", "shape", "shape_gradient", "time", "control"}  # names that lgn itself gives a density


def with_features(
    graph: jraph.GraphsTuple,
    node_features: Mapping[str, ArrayLike] | None = None,
    edge_features: Mapping[str, ArrayLike] | None = None,
    graph_features: Mapping[str, ArrayLike] | None = None,
) -> jraph.GraphsTuple:
    """The same graph with more features, or other values of those that it has.

    Args:
        graph: any graph.
        node_features: name to (node, ...) array, gathered to the slots of a stencil.
        edge_features: name to (edge, ...) array, gathered to the slots that an edge joins to slot 0.
        graph_features: name to array of any shape, the same for every element: gravity, a temperature.

    Raises:
        ValueError: a name reserved by lgn, a name already used for another kind, features of the wrong length or not
            finite, an `nnx.Param`, which would not be trained here.

    Example:
        >>> import lgn
        >>> graph = lgn.with_features(lgn.lattice((5,)), graph_features={"gravity": 9.8})
        >>> float(graph.globals["gravity"])
        9.8
    """
    check_graph(graph)
    whole = {
        name: _arrays.reals(f"graph_features[{name!r}]", constant(f"graph_features[{name!r}]", x))[None]
        for name, x in _arguments.named("graph_features", graph_features).items()
    }
    kinds = {
        "nodes": features_of("node_features", node_features, node_count(graph)),
        "edges": features_of("edge_features", edge_features, graph.senders.size),
        "globals": {name: x[0] for name, x in features_of("graph_features", whole, 1).items()},
    }
    grown = graph._replace(**{kind: {**getattr(graph, kind), **found} for kind, found in kinds.items()})
    check_kinds(grown.nodes, grown.edges, grown.globals)
    return grown


def clamp(graph: jraph.GraphsTuple, node_indices: ArrayLike) -> jraph.GraphsTuple:
    """The same graph with nodes that do not move (Dirichlet): their acceleration is zero.

    Args:
        graph: any graph.
        node_indices: nodes to hold, in addition to those already held.

    Raises:
        ValueError: no graph, indices out of range or not whole.

    Example:
        >>> import lgn
        >>> string = lgn.clamp(lgn.lattice((50,), periodic=False), [0, 49])
        >>> int(string.nodes["clamped"].sum())
        2
    """
    clamped = clamped_nodes(check_graph(graph)).copy()
    clamped[indices_of("node_indices", node_indices, node_count(graph))] = True
    return graph._replace(nodes={**graph.nodes, "clamped": clamped})


def node_count(graph: jraph.GraphsTuple) -> int:
    """Number of nodes of all the graphs in the tuple."""
    return int(np.sum(graph.n_node))


def clamped_nodes(graph: jraph.GraphsTuple) -> np.ndarray:
    """(node,) bool: which nodes do not move."""
    return np.asarray(graph.nodes.get("clamped", np.zeros(node_count(graph), bool)))


def places(name, values, count=None) -> np.ndarray:
    """(node, space) finite coordinates, checked."""
    place = _arrays.reals(name, values).astype(float)
    if place.ndim != 2 or len(place) != (len(place) if count is None else count) or not place.size:
        raise ValueError(f"{name} has shape {place.shape}; expected (node, space) = ({count or 'node'}, ...)")
    if not np.isfinite(place).all():
        raise ValueError(f"{name} of node {np.argwhere(~np.isfinite(place))[0, 0]} are not finite")
    return place


def indices_of(name, values, n_node) -> np.ndarray:
    """(n,) node numbers, checked."""
    indices = _arrays.array(name, values)
    indices = indices.astype(int) if indices.size == 0 else indices
    if indices.ndim != 1 or not np.issubdtype(indices.dtype, np.integer):
        mask = "; give np.flatnonzero(mask)" if indices.dtype == bool else ""
        raise ValueError(f"{name} has shape {indices.shape} and dtype {indices.dtype}; expected integers (n,){mask}")
    if indices.size and (indices.min() < 0 or indices.max() >= n_node):
        wrong = indices[(indices < 0) | (indices >= n_node)][0]
        raise ValueError(f"{name} holds {wrong}, but the graph has nodes 0 to {n_node - 1}")
    return indices


def features_of(name, features, count) -> dict:
    """Features of `count` nodes or edges as arrays, checked."""
    found = {}
    for key, value in _arguments.named(name, features).items():
        if key in RESERVED:
            raise ValueError(f"{name} holds {key!r}, a name that lgn gives itself; rename the feature")
        array = _arrays.reals(f"{name}[{key!r}]", constant(f"{name}[{key!r}]", value))
        if array.ndim < 1 or len(array) != count:
            raise ValueError(f"{name}[{key!r}] has shape {array.shape}; expected ({count}, ...)")
        if not np.isfinite(array).all():
            raise ValueError(f"{name}[{key!r}] is not finite at row {np.argwhere(~np.isfinite(array))[0, 0]}")
        found[key] = jnp.asarray(array, dtype=float)
    return found


def constant(name: str, value):
    """A feature, which is no `nnx.Variable`: a graph would hold its value as it is now, and training would leave it.

    Raises:
        ValueError: an `nnx.Variable`.
    """
    if isinstance(value, nnx.Variable):
        raise ValueError(
            f"{name} is an nnx.{type(value).__name__}, but features are constants: lgn.fit would train all else and "
            f"leave it as it is; give its value, param[...], or hold it in a density that reads it: "
            f"self.param = nnx.Param(...)"
        )
    return value


def check_kinds(*kinds: Mapping[str, ArrayLike]) -> None:
    """Raises ValueError where one name is a feature of two kinds: elements would know but one of them."""
    names = [name for named in kinds for name in named if name not in GEOMETRY]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(
            f"{twice[0]!r} would be a feature of two kinds, of nodes, edges or the graph; rename one of them"
        )


def check_graph(graph: jraph.GraphsTuple) -> jraph.GraphsTuple:
    """Itself, if it is a graph whose features have names."""
    made = "lgn.lattice, lgn.from_edges, lgn.from_networkx, lgn.from_mesh or another"
    _arguments.of_kind("graph", graph, jraph.GraphsTuple, f"one of {made}")
    for kind in ("nodes", "edges", "globals"):
        features = _arguments.of_kind(
            f"graph.{kind}", getattr(graph, kind), Mapping, "a dict of features by their names"
        )
        for name, x in _arguments.named(f"graph.{kind}", features).items():
            constant(f"graph.{kind}[{name!r}]", x)
    return graph

"""Graphs: builders of `jraph.GraphsTuple`; numpy is topology and geometry, the user's features are traced.

Names that lgn reads:
  nodes: `position` (node, space), `measure` (node,), `clamped` (node,) bool
  edges: `offset` (edge, space) = sender - receiver, `slot` (edge,) = place of the sender in the receiver's stencil
  globals: `slots` = neighbours that a node of the lattice has where no end is near,
    `cells` (cell, corner) = nodes at the corners of each cell of a mesh
Every other feature of nodes, edges or the whole graph is the user's and reaches the density by its own name.
"""

from collections.abc import Mapping, Sequence
from itertools import product

import jax.numpy as jnp
import jraph
import numpy as np
from numpy.typing import ArrayLike

GEOMETRY = {"position", "measure", "clamped", "offset", "slot", "slots", "cells"}
RESERVED = GEOMETRY | {"mask", "shape", "shape_gradient", "time", "control"}  # what lgn itself tells a density


def lattice(
    shape: Sequence[int],
    spacing: float | Sequence[float] = 1.0,
    periodic: bool | Sequence[bool] = True,
    diagonals: bool = False,
) -> jraph.GraphsTuple:
    """Regular grid in any number of dimensions, each node joined to its 2 neighbours along each axis.

    Neighbours stand in the fixed order -x, +x, -y, +y, ...; nodes are numbered in C order.
    The node measure is the product of the spacings. With diagonals a node has 3^d - 1 neighbours (9-point stencils in
    2D, 27-point in 3D): after those along the axes come pairs -o, +o, where the first non-zero step of o is positive,
    ordered by the number of axes that o moves along, then lexicographically; in 2D o = (1, -1), (1, 1).

    Args:
        shape: nodes along each axis.
        spacing: distance between neighbours, one number or one for each axis.
        periodic: whether the ends of an axis are joined, one bool or one for each axis.
        diagonals: whether neighbours across corners are joined too.

    Returns:
        A graph with nodes `position`, `measure` and edges `offset`, `slot`.

    Raises:
        ValueError: an axis without nodes, a periodic axis of fewer than 3, a spacing that is not positive.

    Example:
        >>> import lgn
        >>> ring = lgn.lattice((100,), spacing=0.1, periodic=True)
        >>> int(ring.n_node[0]), int(ring.n_edge[0])
        (100, 200)
        >>> lgn.node_stencil(lgn.lattice((4, 5), diagonals=True)).slots
        9
    """
    shape = tuple(int(n) for n in np.atleast_1d(np.asarray(shape)))
    space = len(shape)
    steps = _per_axis("spacing", spacing, space, float)
    wraps = _per_axis("periodic", periodic, space, bool)
    for axis, (n, step, wrap) in enumerate(zip(shape, steps, wraps, strict=True)):
        if n < 1:
            raise ValueError(f"lattice: shape={shape} has {n} nodes along axis {axis}; give at least 1")
        if wrap and n < 3:
            raise ValueError(
                f"lattice: shape={shape} has {n} nodes along periodic axis {axis}, so that both neighbours of a node "
                f"would be the same one; give at least 3 nodes, or periodic=False for this axis"
            )
        if not (np.isfinite(step) and step > 0):
            raise ValueError(f"lattice: spacing={spacing} along axis {axis}; give a positive number")

    nodes = np.arange(np.prod(shape, dtype=int)).reshape(shape)
    coordinates = np.indices(shape).reshape(space, -1).T
    directions = _directions(space, diagonals)
    senders, receivers, offsets, slots = [], [], [], []
    for slot, direction in enumerate(directions, start=1):
        neighbours = np.roll(nodes, -direction, axis=tuple(range(space))).ravel()
        place = coordinates + direction
        present = (np.array(wraps) | ((place >= 0) & (place < shape))).all(1)
        senders.append(neighbours[present])
        receivers.append(nodes.ravel()[present])
        offsets.append(np.broadcast_to(direction * np.asarray(steps), (present.sum(), space)))
        slots.append(np.full(present.sum(), slot))
    return _graph(
        nodes.size,
        np.concatenate(senders),
        np.concatenate(receivers),
        nodes={
            "position": coordinates * np.asarray(steps),
            "measure": np.full(nodes.size, np.prod(steps)),
        },
        edges={"offset": np.concatenate(offsets), "slot": np.concatenate(slots)},
        constants={"slots": len(directions)},
    )


def from_edges(
    n_node: int,
    senders: ArrayLike,
    receivers: ArrayLike,
    positions: ArrayLike | None = None,
    edge_features: Mapping[str, ArrayLike] | None = None,
    node_features: Mapping[str, ArrayLike] | None = None,
) -> jraph.GraphsTuple:
    """Any undirected graph, given as directed edges, each in both directions.

    A graph may have several components: no element reaches from one to another, so that each moves as if it were
    alone, while energy and momentum are summed over all of them.

    Args:
        n_node: number of nodes.
        senders: (edge,) node that is read.
        receivers: (edge,) node whose stencil reads it.
        positions: (node, space); gives each edge its `offset`, sender minus receiver.
        edge_features: name to (edge, ...) array, passed on to the density.
        node_features: name to (node, ...) array, passed on to the density.

    Raises:
        ValueError: no node, indices out of range, self-loops, repeated edges, an edge without its reverse, an isolated
            node, features or positions of the wrong length or not finite.

    Example:
        >>> import lgn
        >>> triangle = lgn.from_edges(3, [0, 1, 1, 2, 2, 0], [1, 0, 2, 1, 0, 2])
        >>> int(triangle.n_edge[0])
        6
    """
    if n_node < 1:
        raise ValueError(f"from_edges: n_node={n_node}; give at least one node")
    senders = _indices("senders", senders, n_node)
    receivers = _indices("receivers", receivers, n_node)
    if senders.shape != receivers.shape:
        raise ValueError(
            f"from_edges: senders has {senders.size} entries and receivers {receivers.size}; give one pair an edge"
        )
    _check_undirected(n_node, senders, receivers)
    nodes = _features("node_features", node_features, n_node)
    edges = _features("edge_features", edge_features, senders.size)
    if positions is not None:
        place = places("positions", positions, n_node)
        nodes["position"] = place
        edges["offset"] = place[senders] - place[receivers]
    return _graph(n_node, senders, receivers, nodes, edges)


def single_node(node_features: Mapping[str, ArrayLike] | None = None, count: int = 1) -> jraph.GraphsTuple:
    """The graph of one node and no edge: a plain mechanical system of `dim` degrees of freedom.

    Args:
        node_features: name to (count, ...) array, passed on to the density.
        count: how many such systems stand side by side, each a node that no edge joins to another; with
            `node_features` each may have masses and lengths of its own.

    Raises:
        ValueError: a count below 1, features of the wrong length or not finite.

    Example:
        >>> import lgn
        >>> int(lgn.single_node().n_node[0])
        1
        >>> lgn.single_node({"g": [1.6, 9.8]}, count=2).nodes["g"].tolist()
        [1.6, 9.8]
    """
    if count < 1:
        raise ValueError(f"single_node: count={count}; give at least one node")
    nothing = np.zeros(0, int)
    return _graph(count, nothing, nothing, _features("node_features", node_features, count), {})


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
        ValueError: a name that lgn gives itself, a name that is another kind's already, features of the wrong length
            or not finite.

    Example:
        >>> import lgn
        >>> graph = lgn.with_features(lgn.lattice((5,)), graph_features={"gravity": 9.8})
        >>> float(graph.globals["gravity"])
        9.8
    """
    whole = {name: np.asarray(x)[None] for name, x in (graph_features or {}).items()}
    kinds = {
        "nodes": _features("node_features", node_features, node_count(graph)),
        "edges": _features("edge_features", edge_features, graph.senders.size),
        "globals": {name: x[0] for name, x in _features("graph_features", whole, 1).items()},
    }
    grown = graph._replace(**{kind: {**getattr(graph, kind), **found} for kind, found in kinds.items()})
    names = [name for kind in kinds for name in getattr(grown, kind) if name not in GEOMETRY]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"with_features: {twice[0]!r} would be a feature of two kinds; rename one of them")
    return grown


def clamp(graph: jraph.GraphsTuple, node_indices: ArrayLike) -> jraph.GraphsTuple:
    """The same graph with nodes that do not move (Dirichlet): their acceleration is zero.

    Args:
        graph: any graph.
        node_indices: nodes to hold, in addition to those that are held already.

    Raises:
        ValueError: indices out of range.

    Example:
        >>> import lgn
        >>> string = lgn.clamp(lgn.lattice((50,), periodic=False), [0, 49])
        >>> int(string.nodes["clamped"].sum())
        2
    """
    clamped = clamped_nodes(graph).copy()
    clamped[_indices("node_indices", node_indices, node_count(graph))] = True
    return graph._replace(nodes={**graph.nodes, "clamped": clamped})


def from_pairs(n_node, pairs, positions=None, edge_features=None, node_features=None) -> jraph.GraphsTuple:
    """`from_edges` of undirected edges, (pair, 2), each given once; both directions carry its features."""
    i, j = pairs.T
    twice = {name: np.concatenate([x, x]) for name, x in (edge_features or {}).items()}
    return from_edges(n_node, np.concatenate([i, j]), np.concatenate([j, i]), positions, twice, node_features)


def distinct(pairs, n_node) -> np.ndarray:
    """Undirected edges (pair, 2), each once, smaller number first; sorted."""
    low, high = np.sort(pairs, 1).astype(np.int64).T
    return np.stack(np.divmod(np.unique(low * n_node + high), n_node), 1)


def places(name, values, count=None) -> np.ndarray:
    """(node, space) finite coordinates, checked."""
    place = np.asarray(values, dtype=float)
    if place.ndim != 2 or len(place) != (len(place) if count is None else count) or not place.size:
        raise ValueError(f"{name} has shape {place.shape}; expected (node, space) = ({count or 'node'}, ...)")
    if not np.isfinite(place).all():
        raise ValueError(f"{name} of node {np.argwhere(~np.isfinite(place))[0, 0]} are not finite")
    return place


def node_count(graph: jraph.GraphsTuple) -> int:
    """Number of nodes of all the graphs in the tuple."""
    return int(np.sum(graph.n_node))


def clamped_nodes(graph: jraph.GraphsTuple) -> np.ndarray:
    """(node,) bool: which nodes do not move."""
    return np.asarray(graph.nodes.get("clamped", np.zeros(node_count(graph), bool)))


def _graph(n_node, senders, receivers, nodes, edges, constants=None) -> jraph.GraphsTuple:
    return jraph.GraphsTuple(
        nodes=nodes,
        edges=edges,
        senders=senders.astype(np.int32),
        receivers=receivers.astype(np.int32),
        globals=constants or {},
        n_node=np.array([n_node]),
        n_edge=np.array([senders.size]),
    )


def _directions(space, diagonals) -> np.ndarray:
    """(slot, space) steps to the neighbours on a lattice: pairs of -o and +o, those along the axes first."""
    steps = [o for o in product((-1, 0, 1), repeat=space) if next((s for s in o if s), -1) > 0]
    along_axes = list(np.eye(space, dtype=int))
    across = sorted((o for o in steps if np.count_nonzero(o) > 1), key=lambda o: (np.count_nonzero(o), o))
    positive = np.array(along_axes + (across if diagonals else []))
    return np.stack([-positive, positive], 1).reshape(-1, space)


def _per_axis(name, value, space, kind) -> tuple:
    values = np.broadcast_to(value, (space,)) if np.ndim(value) == 0 else np.asarray(value)
    if values.shape != (space,):
        raise ValueError(f"lattice: {name}={value} for {space} axes; give one value, or one for each axis")
    return tuple(kind(v) for v in values)


def _indices(name, values, n_node) -> np.ndarray:
    indices = np.asarray(values)
    if indices.size == 0:
        indices = indices.astype(int)
    if indices.ndim != 1 or not np.issubdtype(indices.dtype, np.integer):
        raise ValueError(f"{name} has shape {indices.shape} and dtype {indices.dtype}; expected integers (n,)")
    if indices.size and (indices.min() < 0 or indices.max() >= n_node):
        wrong = indices[(indices < 0) | (indices >= n_node)][0]
        raise ValueError(f"{name} holds {wrong}, but the graph has nodes 0 to {n_node - 1}")
    return indices


def _features(name, features, count) -> dict:
    for key, value in (features or {}).items():
        if key in RESERVED:
            raise ValueError(f"{name} holds {key!r}, a name that lgn gives itself; rename the feature")
        if np.ndim(value) < 1 or np.shape(value)[0] != count:
            raise ValueError(f"{name}[{key!r}] has shape {np.shape(value)}; expected ({count}, ...)")
        if not np.isfinite(np.asarray(value)).all():
            raise ValueError(f"{name}[{key!r}] is not finite at row {np.argwhere(~np.isfinite(value))[0, 0]}")
    return {key: jnp.asarray(value, dtype=float) for key, value in (features or {}).items()}


def _check_undirected(n_node, senders, receivers) -> None:
    if (senders == receivers).any():
        node = senders[senders == receivers][0]
        raise ValueError(f"edge {node} -> {node} is a self-loop; a node is slot 0 of its stencil already: remove it")
    codes = receivers.astype(np.int64) * n_node + senders
    ordered = np.sort(codes)
    if (ordered[1:] == ordered[:-1]).any():
        receiver, sender = divmod(ordered[1:][ordered[1:] == ordered[:-1]][0], n_node)
        raise ValueError(f"edge {sender} -> {receiver} is given more than once; merge its copies into one")
    reverse = senders.astype(np.int64) * n_node + receivers
    lonely = ~np.isin(reverse, ordered, assume_unique=True)
    if lonely.any():
        sender, receiver = senders[lonely][0], receivers[lonely][0]
        raise ValueError(
            f"edge {sender} -> {receiver} has no reverse: the adjacency is not symmetric; give each edge in both "
            f"directions, as np.concatenate([i, j]) and np.concatenate([j, i])"
        )
    isolated = np.setdiff1d(np.arange(n_node), receivers)
    if n_node > 1 and isolated.size:
        raise ValueError(
            f"node {isolated[0]} is isolated ({isolated.size} such nodes): no edge reaches it; join it, remove it, "
            f"or give it a graph of its own with single_node()"
        )

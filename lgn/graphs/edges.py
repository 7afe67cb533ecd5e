"""Edges: graphs from lists of edges, and graphs without edges."""

from collections.abc import Mapping

import jraph
import numpy as np
from numpy.typing import ArrayLike

from lgn import _arguments
from lgn.graphs.features import check_kinds, features_of, indices_of, places


def from_edges(
    n_node: int,
    senders: ArrayLike,
    receivers: ArrayLike,
    positions: ArrayLike | None = None,
    edge_features: Mapping[str, ArrayLike] | None = None,
    node_features: Mapping[str, ArrayLike] | None = None,
) -> jraph.GraphsTuple:
    """Any undirected graph, given as directed edges, each in both directions.

    A graph may have several components: no element connects them, so each moves as if it were alone, while energy
    and momentum are sums over all of them.

    Args:
        n_node: number of nodes.
        senders: (edge,) node that is read.
        receivers: (edge,) node whose stencil reads it.
        positions: (node, space); gives each edge its `offset`, sender minus receiver.
        edge_features: name to (edge, ...) array, passed on to the density.
        node_features: name to (node, ...) array, passed on to the density.

    Raises:
        ValueError: no node, indices out of range, self-loops, repeated edges, an edge without its reverse, an isolated
            node, features or positions of the wrong length or not finite, one name for a feature of nodes and one of
            edges.

    Example:
        >>> import lgn
        >>> triangle = lgn.from_edges(3, [0, 1, 1, 2, 2, 0], [1, 0, 2, 1, 0, 2])
        >>> int(triangle.n_edge[0])
        6
    """
    n_node = _arguments.whole("from_edges: n_node", n_node)
    senders = indices_of("senders", senders, n_node)
    receivers = indices_of("receivers", receivers, n_node)
    if senders.shape != receivers.shape:
        raise ValueError(
            f"from_edges: senders has {senders.size} entries and receivers {receivers.size}; give one pair an edge"
        )
    _check_undirected(n_node, senders, receivers)
    nodes = features_of("node_features", node_features, n_node)
    edges = features_of("edge_features", edge_features, senders.size)
    if positions is not None:
        place = places("positions", positions, n_node)
        nodes["position"] = place
        edges["offset"] = place[senders] - place[receivers]
    return graph_of(n_node, senders, receivers, nodes, edges)


def single_node(node_features: Mapping[str, ArrayLike] | None = None, count: int = 1) -> jraph.GraphsTuple:
    """The graph of one node and no edge: a plain mechanical system of `dim` degrees of freedom.

    Args:
        node_features: name to (count, ...) array, passed on to the density.
        count: number of such systems side by side, nodes that no edge joins; with `node_features` each may have its
            own masses and lengths.

    Raises:
        ValueError: a count below 1, features of the wrong length or not finite.

    Example:
        >>> import lgn
        >>> int(lgn.single_node().n_node[0])
        1
        >>> lgn.single_node({"g": [1.6, 9.8]}, count=2).nodes["g"].tolist()
        [1.6, 9.8]
    """
    count = _arguments.whole("single_node: count", count)
    nothing = np.zeros(0, int)
    return graph_of(count, nothing, nothing, features_of("node_features", node_features, count), {})


def from_pairs(n_node, pairs, positions=None, edge_features=None, node_features=None) -> jraph.GraphsTuple:
    """`from_edges` of undirected edges, (pair, 2), each given once; both directions carry its features."""
    i, j = pairs.T
    twice = {name: np.concatenate([x, x]) for name, x in (edge_features or {}).items()}
    return from_edges(n_node, np.concatenate([i, j]), np.concatenate([j, i]), positions, twice, node_features)


def distinct(pairs, n_node) -> np.ndarray:
    """Undirected edges (pair, 2), each once, smaller number first; sorted."""
    low, high = np.sort(pairs, 1).astype(np.int64).T
    return np.stack(np.divmod(np.unique(low * n_node + high), n_node), 1)


def graph_of(n_node, senders, receivers, nodes, edges, constants=None) -> jraph.GraphsTuple:
    """The tuple of one graph, from parts that were checked."""
    check_kinds(nodes, edges, constants or {})
    return jraph.GraphsTuple(
        nodes=nodes,
        edges=edges,
        senders=senders.astype(np.int32),
        receivers=receivers.astype(np.int32),
        globals=constants or {},
        n_node=np.array([n_node]),
        n_edge=np.array([senders.size]),
    )


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

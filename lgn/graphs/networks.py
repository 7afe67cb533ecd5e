"""Networks: to and from graphs of networkx."""

from typing import TYPE_CHECKING

import jraph
import numpy as np

from lgn.graphs.edges import from_pairs
from lgn.graphs.features import GEOMETRY, check_graph, node_count

if TYPE_CHECKING:
    import networkx


def from_networkx(G: "networkx.Graph") -> jraph.GraphsTuple:
    """The graph of an undirected networkx graph, its nodes numbered in the order of `G.nodes`.

    Numeric attributes (numbers or arrays of one shape) that all nodes carry become node features, those of the edges
    edge features; the node attribute `pos` becomes the positions.

    Args:
        G: undirected, at most one edge between two nodes.

    Raises:
        ValueError: a directed graph or a multigraph, an attribute that some nodes or edges lack or that is not
            numeric, and whatever `from_edges` rejects.

    Example:
        >>> import networkx as nx, lgn
        >>> graph = lgn.from_networkx(nx.path_graph(["a", "b", "c"]))
        >>> graph.senders.tolist(), graph.receivers.tolist()
        ([0, 1, 1, 2], [1, 2, 0, 1])
    """
    import networkx

    if not isinstance(G, networkx.Graph):
        raise ValueError(f"from_networkx: G is a {type(G).__name__}; expected a networkx.Graph")
    if G.is_directed():
        raise ValueError("from_networkx: G is directed; elements see both ends of an edge: give G.to_undirected()")
    if G.is_multigraph():
        named = next((repr(name) for *_, data in G.edges(data=True) for name in data), "'weight'")
        raise ValueError(
            f"from_networkx: G is a multigraph; merge its parallel edges: stiffnesses and conductances add up, "
            f"lgn.from_adjacency(networkx.to_scipy_sparse_array(G, weight={named})), with that as the edge feature "
            f"`weight`; networkx.Graph(G) keeps one of each and drops the others"
        )
    number = {name: i for i, name in enumerate(G.nodes)}
    pairs = np.array([(number[a], number[b]) for a, b in G.edges], int).reshape(-1, 2)
    node_features = _attributes("node", list(G.nodes(data=True)))
    edge_features = _attributes("edge", [((a, b), data) for a, b, data in G.edges(data=True)])
    positions = node_features.pop("pos", None)
    return from_pairs(len(G), pairs, positions, edge_features, node_features)


def to_networkx(graph: jraph.GraphsTuple) -> "networkx.Graph":
    """The inverse: positions as the node attribute `pos`, the user's features as attributes, nodes numbered from 0.

    What lgn computes itself (`measure`, `offset`, `slot`, `clamped`) is left out, so a periodic lattice becomes a plain
    graph: `from_networkx` then takes offsets from the positions, also across its ends.

    Args:
        graph: any graph.

    Raises:
        ValueError: an edge feature that differs between the two directions of an edge.

    Example:
        >>> import lgn
        >>> lgn.to_networkx(lgn.lattice((3,), spacing=0.5, periodic=False)).nodes(data=True)
        NodeDataView({0: {'pos': [0.0]}, 1: {'pos': [0.5]}, 2: {'pos': [1.0]}})
    """
    import networkx

    check_graph(graph)
    low, high = np.minimum(graph.senders, graph.receivers), np.maximum(graph.senders, graph.receivers)
    kept, back = np.lexsort((graph.senders > graph.receivers, high, low)).reshape(-1, 2).T
    nodes = {k: np.asarray(x) for k, x in graph.nodes.items() if k not in GEOMETRY}
    if "position" in graph.nodes:
        nodes["pos"] = graph.nodes["position"]
    edges = {}
    for name, value in graph.edges.items():
        if name in GEOMETRY:
            continue
        there, here = np.asarray(value)[kept], np.asarray(value)[back]
        if not np.array_equal(there, here):
            e = kept[np.argwhere(there != here)[0, 0]]
            i, j = graph.senders[e], graph.receivers[e]
            raise ValueError(
                f"to_networkx: edge feature {name!r} differs between {i} -> {j} and {j} -> {i}, and an undirected edge "
                f"carries one value; remove the feature or give both directions the same"
            )
        edges[name] = there
    G = networkx.Graph()
    G.add_nodes_from((i, {k: x[i].tolist() for k, x in nodes.items()}) for i in range(node_count(graph)))
    ends = zip(graph.senders[kept].tolist(), graph.receivers[kept].tolist(), strict=True)
    G.add_edges_from((i, j, {k: x[e].tolist() for k, x in edges.items()}) for e, (i, j) in enumerate(ends))
    return G


def _attributes(kind, items) -> dict[str, np.ndarray]:
    """Numeric attributes of all nodes or edges of a networkx graph, given as (name, attributes)."""
    features = {}
    for key in dict.fromkeys(key for _, data in items for key in data):
        without = [name for name, data in items if key not in data]
        if without:
            raise ValueError(
                f"from_networkx: {kind} {without[0]!r} lacks the attribute {key!r} that others have "
                f"({len(without)} such {kind}s); give it to all, or delete it from the others"
            )
        values = [(name, np.asarray(data[key])) for name, data in items]
        odd = [(name, x) for name, x in values if x.dtype.kind not in "biuf" or x.shape != values[0][1].shape]
        if odd:
            raise ValueError(
                f"from_networkx: {kind} {odd[0][0]!r} has the attribute {key!r} = {odd[0][1].tolist()!r}; expected "
                f"numbers, or arrays of one shape: convert it, or delete it from all"
            )
        features[key] = np.array([x for _, x in values])
    return features

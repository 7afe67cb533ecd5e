"""Edges: graphs from lists of edges, from a matrix, and from the distances within a point cloud."""

from collections.abc import Mapping

import jraph
import numpy as np
import scipy.sparse
from numpy.typing import ArrayLike

from lgn import _arguments, _arrays
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


def from_adjacency(
    A: np.ndarray | scipy.sparse.sparray | scipy.sparse.spmatrix,
    positions: ArrayLike | None = None,
    node_features: Mapping[str, ArrayLike] | None = None,
) -> jraph.GraphsTuple:
    """The graph of a symmetric matrix: its non-zero entries are the edges, their values the edge feature `weight`.

    Args:
        A: (node, node) dense or sparse; a sparse matrix stays sparse. A[i, j] is the weight by which i reads j.
        positions: (node, space), as for `from_edges`.
        node_features: name to (node, ...) array, passed on to the density.

    Raises:
        ValueError: A is not square, not real, not symmetric, not finite, has entries on its diagonal, or a row of
            zeros; positions or features of the wrong length or not finite; a feature with the name `weight`.

    Example:
        >>> import numpy as np, lgn
        >>> path = lgn.from_adjacency(np.array([[0, 2, 0], [2, 0, 3], [0, 3, 0]]))
        >>> path.edges["weight"].tolist()
        [2.0, 2.0, 3.0, 3.0]
    """
    A = A if scipy.sparse.issparse(A) else _arrays.reals("from_adjacency: A", A)
    if A.ndim != 2 or A.shape[0] != A.shape[1]:
        raise ValueError(f"from_adjacency: A has shape {A.shape}; expected (node, node)")
    if A.dtype.kind not in "biuf":
        raise ValueError(f"from_adjacency: A has dtype {A.dtype}; expected real numbers: A.astype(float)")
    matrix = scipy.sparse.csr_array(A, dtype=float, copy=True)  # the next two lines work in place
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    entries = matrix.tocoo()
    if not np.isfinite(entries.data).all():
        wrong = np.flatnonzero(~np.isfinite(entries.data))[0]
        i, j = entries.row[wrong], entries.col[wrong]
        raise ValueError(f"from_adjacency: A[{i}, {j}] = {entries.data[wrong]}; give finite weights, 0 for no edge")
    entries = _symmetric(matrix).tocoo()
    return from_edges(matrix.shape[0], entries.col, entries.row, positions, {"weight": entries.data}, node_features)


def nearest_neighbours(points: ArrayLike, k: int) -> jraph.GraphsTuple:
    """The graph of a point cloud: two points are joined where one is among the k nearest of the other.

    Args:
        points: (node, space) coordinates; they become the positions.
        k: number of nearest points that each point is joined to; a node may have more neighbours, never fewer.

    Raises:
        ValueError: coordinates of the wrong shape or not finite, coincident points, k below 1 or not below the number
            of points.

    Example:
        >>> import numpy as np, lgn
        >>> lgn.nearest_neighbours(np.array([[0.0], [1.0], [3.0]]), k=1).senders.tolist()
        [0, 1, 1, 2]
    """
    place = places("points", points)
    if not 1 <= _arguments.whole("nearest_neighbours: k", k, least=0) < len(place):
        raise ValueError(f"nearest_neighbours: k={k} for {len(place)} points; give 1 to {len(place) - 1}")
    tree, _ = _cloud(place)
    near = tree.query(place, k + 1)[1][:, 1:]
    pairs = np.stack([np.repeat(np.arange(len(place)), k), near.ravel()], 1)
    return from_pairs(len(place), distinct(pairs, len(place)), place)


def within_radius(points: ArrayLike, radius: float) -> jraph.GraphsTuple:
    """The graph of a point cloud: two points are joined where their distance is at most `radius`.

    Args:
        points: (node, space) coordinates; they become the positions.
        radius: in the units of the points.

    Raises:
        ValueError: coordinates of the wrong shape or not finite, coincident points, a radius that is not positive, a
            point without another within the radius.

    Example:
        >>> import numpy as np, lgn
        >>> lgn.within_radius(np.array([[0.0], [1.0], [3.0]]), 2.0).senders.tolist()
        [0, 1, 1, 2]
    """
    place = places("points", points)
    _arguments.positive("within_radius: radius", radius)
    tree, nearest = _cloud(place)
    if nearest.max() > radius:
        raise ValueError(
            f"within_radius: point {nearest.argmax()} is isolated: its nearest is {nearest.max():.6g} away and "
            f"radius={radius}; give a larger radius, or remove the {int((nearest > radius).sum())} such points"
        )
    pairs = tree.query_pairs(radius, output_type="ndarray")
    return from_pairs(len(place), distinct(pairs, len(place)), place)


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


def _symmetric(matrix):
    """The mean of the matrix and its mirror image, where these are equal up to rounding in single precision.

    Raises:
        ValueError: they are not.
    """
    mirror = matrix.T.tocsr()
    unequal = abs(matrix - mirror) > 1e-5 * abs(matrix).maximum(abs(mirror))
    if unequal.nnz:
        i, j = (int(x[0]) for x in unequal.nonzero())
        raise ValueError(
            f"from_adjacency: A[{i}, {j}] = {matrix[i, j]} and A[{j}, {i}] = {matrix[j, i]}: A is not symmetric; give "
            f"the mean of both directions, (A + A.T) / 2; where every edge stands in A once, A + A.T, or np.maximum(A, "
            f"A.T) (A.maximum(A.T) where it is sparse), which leaves others as they are"
        )
    return (matrix + mirror) / 2


def _cloud(place):
    """Search tree of the points, and the distance (node,) from each to its nearest."""
    from scipy.spatial import cKDTree

    tree = cKDTree(place)
    nearest, index = tree.query(place, 2)
    if nearest[:, 1].min() == 0:
        i = nearest[:, 1].argmin()
        same = sorted({int(i), *index[i].tolist()})[:2]
        raise ValueError(
            f"points {same[0]} and {same[1]} coincide; merge them: points = np.unique(points, axis=0), or move one"
        )
    return tree, nearest[:, 1]

"""Adjacency: graphs from a matrix, or from the distances within a point cloud."""

from collections.abc import Mapping

import jraph
import numpy as np
import scipy.sparse
from numpy.typing import ArrayLike

from lgn import _arguments, _arrays
from lgn.graphs.edges import distinct, from_edges, from_pairs
from lgn.graphs.features import places


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
    _check_symmetric(matrix)
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


def _check_symmetric(matrix) -> None:
    """Each entry equals its mirror image up to round-off."""
    mirror = matrix.T.tocsr()
    unequal = abs(matrix - mirror) > 1e-8 * abs(matrix).maximum(abs(mirror))
    if unequal.nnz:
        i, j = (int(x[0]) for x in unequal.nonzero())
        raise ValueError(
            f"from_adjacency: A[{i}, {j}] = {matrix[i, j]} and A[{j}, {i}] = {matrix[j, i]}: A is not symmetric; "
            f"give A + A.T, or np.maximum(A, A.T) (A.maximum(A.T) where it is sparse)"
        )


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

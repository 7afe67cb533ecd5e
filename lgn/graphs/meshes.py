"""Meshes: graphs of the vertices of cells; shape functions and quadrature of cells.

Cells are segments, triangles, quadrilaterals, tetrahedra and hexahedra. Their corners stand in the usual order of mesh
files: triangles and quadrilaterals counterclockwise, the first three corners of a tetrahedron counterclockwise seen
from the fourth, a hexahedron as two quadrilaterals, the lower one first.
"""

import warnings
from collections.abc import Mapping, Sequence
from itertools import combinations, product
from pathlib import Path
from typing import NamedTuple

import jraph
import numpy as np
from numpy.typing import ArrayLike

from lgn import _arguments, _arrays
from lgn.graphs.edges import distinct, from_pairs
from lgn.graphs.features import places

MESHIO = {"line": 1, "triangle": 2, "quad": 2, "tetra": 3, "hexahedron": 3}  # meshio's name of a cell -> its dimension

# Order of the corners that flips an inverted cell.
MIRROR = {
    "segment": [1, 0],
    "triangle": [0, 2, 1],
    "quadrilateral": [0, 3, 2, 1],
    "tetrahedron": [0, 1, 3, 2],
    "hexahedron": [4, 5, 6, 7, 0, 1, 2, 3],
}

# (space, corners) of a cell
KINDS = {(1, 2): "segment", (2, 3): "triangle", (2, 4): "quadrilateral", (3, 4): "tetrahedron", (3, 8): "hexahedron"}

_CUBE = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1]])


def from_mesh(
    points: ArrayLike, cells: ArrayLike, node_features: Mapping[str, ArrayLike] | None = None
) -> jraph.GraphsTuple:
    """The graph of a mesh: its vertices, joined where they share a cell; what `cell_stencil` integrates over.

    A node's measure is the integral of its shape function, so the measures sum to the length, area or volume.

    Args:
        points: (node, space) coordinates of the vertices; they become the positions.
        cells: (cell, corner) vertex numbers, all of one kind: triangles (cell, 3) or quadrilaterals (cell, 4) in 2D,
            counterclockwise; tetrahedra (cell, 4) or hexahedra (cell, 8) in 3D, segments (cell, 2) in 1D, positive in
            the order of mesh files (see `lgn.graphs.meshes`).
        node_features: name to (node, ...) array, passed on to the density.

    Returns:
        A graph with nodes `position`, `measure`, edges `offset`, and the cells in `globals["cells"]`.

    Raises:
        ValueError: cells whose shape does not fit the dimension of the points, indices out of range, a degenerate or
            inverted cell, two cells with the same corners, a point in no cell, points or features of the wrong shape or
            not finite.

    Example:
        >>> import lgn
        >>> square = lgn.from_mesh([[0, 0], [1, 0], [1, 1], [0, 1]], [[0, 1, 2], [0, 2, 3]])
        >>> int(square.n_edge[0]) // 2, square.nodes["measure"].round(3).tolist()
        (5, [0.333, 0.167, 0.333, 0.167])
    """
    place, corners = places("points", points), _arrays.reals("from_mesh: cells", cells)
    _check_topology(place, corners)
    _check_geometry(place[corners])
    rule = quadrature(place[corners])
    share = np.einsum("cp,ps->cs", rule.measure, rule.shape)
    pairs = np.concatenate([corners[:, pair] for pair in combinations(range(corners.shape[1]), 2)])
    graph = from_pairs(len(place), distinct(pairs, len(place)), positions=place, node_features=node_features)
    measure = np.bincount(corners.ravel(), share.ravel(), len(place))
    return graph._replace(
        nodes={**graph.nodes, "measure": measure}, globals={**graph.globals, "cells": corners.astype(np.int32)}
    )


def from_meshio(path: str | Path) -> jraph.GraphsTuple:
    """The graph of a mesh file, in any format that meshio reads (Gmsh, VTK, XDMF, Abaqus, ...).

    Of several kinds of cells only those of the highest dimension are used: the domain, not its boundary. Planar meshes
    lose their constant z, and cells that are inverted are turned, which is said once. Points that no cell uses are left
    out; the others keep their order.

    Args:
        path: the file.

    Raises:
        ImportError: meshio is not installed.
        FileNotFoundError: no such file.
        ValueError: a file that meshio cannot read or that holds no supported cells, two kinds of cells of the same
            dimension, a surface that is not planar, and whatever `from_mesh` rejects.

    Example:
        >>> import lgn
        >>> graph = lgn.from_meshio("part.msh")  # doctest: +SKIP
    """
    try:
        import meshio
    except ImportError as error:
        raise ImportError("from_meshio needs meshio: pip install 'lgn[mesh]'") from error

    if not _arguments.path("from_meshio: path", path).exists():
        raise FileNotFoundError(f"from_meshio: {path} does not exist")
    try:
        mesh = meshio.read(path)
    except (meshio.ReadError, SystemExit) as error:  # meshio exits where no reader of the suffix succeeds
        raise ValueError(f"from_meshio: meshio cannot read {path}; is it whole, and is its suffix right?") from error
    return from_blocks(f"from_meshio: {path}", mesh.points, mesh.cells)


def from_blocks(caller: str, points: np.ndarray, blocks: Sequence) -> jraph.GraphsTuple:
    """The graph of points and blocks of cells of meshio, see `from_meshio`."""
    kind, corners = domain(caller, blocks)
    used, space = np.unique(corners), MESHIO[kind]
    place = points[used]
    if np.ptp(place[:, space:], axis=0).max(initial=0) > 1e-12 * np.ptp(place):
        raise ValueError(
            f"{caller} holds {kind} cells that do not lie in the first {space} coordinates; curved or tilted meshes "
            f"are not supported: rotate the points, or mesh a domain of that dimension"
        )
    return from_mesh(place[:, :space], _turned(caller, place[:, :space], np.searchsorted(used, corners)))


def _turned(caller: str, place: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Cells whose corners stand in the order that lgn takes; files hold both, and the domain is the same."""
    inverted = np.all(corner_jacobians(place[corners]) < 0, axis=1)
    if inverted.any():
        warnings.warn(f"{caller}: {inverted.sum()} of {len(corners)} cells were turned round", stacklevel=3)
        corners = np.where(
            np.expand_dims(inverted, 1), corners[:, MIRROR[KINDS[place.shape[1], corners.shape[1]]]], corners
        )
    return corners


def domain(caller: str, blocks: Sequence) -> tuple[str, np.ndarray]:
    """Of blocks of cells of meshio the kind of the highest dimension, and its cells (cell, corner).

    Raises:
        ValueError: no supported cells, or two kinds of the same dimension.
    """
    space = max((MESHIO.get(block.type, 0) for block in blocks), default=0)
    found = [block for block in blocks if MESHIO.get(block.type) == space]
    if len({block.type for block in found}) != 1:
        kinds = ", ".join(sorted({block.type for block in blocks})) or "none"
        raise ValueError(f"{caller} holds cells {kinds}; expected one kind of {', '.join(MESHIO)}")
    return found[0].type, np.concatenate([block.data for block in found])


def _check_topology(place, corners) -> None:
    space = place.shape[1]
    kinds = {slots: kind for (d, slots), kind in KINDS.items() if d == space}
    if corners.ndim != 2 or not len(corners) or corners.shape[1] not in kinds:
        known = " or ".join(f"(cell, {slots}) {kind}" for slots, kind in kinds.items()) or "points in 1D to 3D"
        hint = "; a planar mesh in 3D: give points[:, :2]" if space == 3 else ""
        raise ValueError(f"from_mesh: cells has shape {corners.shape} for points in {space}D; expected {known}{hint}")
    if not np.issubdtype(corners.dtype, np.integer):
        raise ValueError(f"from_mesh: cells has dtype {corners.dtype}; expected integers: cells.astype(int)")
    wrong = ((corners < 0) | (corners >= len(place))).any(1)
    if wrong.any():
        cell = wrong.argmax()
        raise ValueError(
            f"from_mesh: cell {cell} is {corners[cell].tolist()}, but the points are 0 to {len(place) - 1}"
        )
    _, first, copies = np.unique(np.sort(corners, 1), axis=0, return_index=True, return_counts=True)
    if len(first) < len(corners):
        again = first[copies > 1][0]
        raise ValueError(
            f"from_mesh: the corners of cell {again}, {corners[again].tolist()}, are those of another cell too "
            f"({len(corners) - len(first)} copies); give each cell once"
        )
    unused = np.setdiff1d(np.arange(len(place)), corners)
    if unused.size:
        raise ValueError(
            f"from_mesh: point {unused[0]} is in no cell ({unused.size} such points), so it is isolated; leave it out: "
            f"used = np.unique(cells); points, cells = points[used], np.searchsorted(used, cells)"
        )


def _check_geometry(corners) -> None:
    slots, space = corners.shape[1:]
    kind = KINDS[space, slots]
    size = np.ptp(corners, axis=1).max(1, keepdims=True) ** space
    relative = corner_jacobians(corners) / np.where(size > 0, size, 1)
    inverted = (relative < -1e-12).all(1)
    if inverted.any():
        raise ValueError(
            f"from_mesh: cell {inverted.argmax()} is inverted ({inverted.sum()} such cells): its measure is negative; "
            f"turn the order of its corners round: cells[cell] = cells[cell][{MIRROR[kind]}]"
        )
    bad = (relative < 1e-12).any(1)
    if bad.any():
        shape = "degenerate" if slots == space + 1 else "degenerate or not convex"
        raise ValueError(
            f"from_mesh: cell {bad.argmax()} is {shape} ({bad.sum()} such cells): the Jacobian is not positive at all "
            f"of its corners; remove it, move its corners apart, or list them in order around the {kind}"
        )


class Quadrature(NamedTuple):
    """What an integral over cells needs: sum over (cell, point) of measure * integrand."""

    shape: np.ndarray  # (point, slot) value of each corner's shape function
    shape_gradient: np.ndarray  # (cell, point, slot, space) its gradient
    measure: np.ndarray  # (cell, point) weight times Jacobian


def cube_corners(space: int) -> np.ndarray:
    """(slot, space) corners of the unit segment, square or cube, in the order of mesh files."""
    return _CUBE[: 2**space, :space]


def quadrature(corners: np.ndarray) -> Quadrature:
    """Degree-2 interior rule of simplices, 2 Gauss points along each axis of the others.

    N_s is linear on simplices and multilinear on the others, 1 at corner s and 0 at the other corners.

    Args:
        corners: (cell, slot, space) places of the corners.

    Raises:
        ValueError: no kind of cell has so many corners in this space.

    Example:
        >>> import numpy as np
        >>> from lgn.graphs.meshes import quadrature
        >>> rule = quadrature(np.array([[[0.0, 0.0], [2.0, 0.0], [0.0, 1.0]]]))
        >>> round(float(rule.measure.sum()), 12), rule.shape_gradient[0, 0].tolist()
        (1.0, [[-0.5, -1.0], [0.5, 0.0], [0.0, 1.0]])
    """
    slots, space = corners.shape[1:]
    points, weights = _rule(slots, space)
    shape, slope = _shape_functions(slots, points)
    jacobian = np.einsum("csi,psa->cpia", corners, slope)
    return Quadrature(
        shape=shape,
        shape_gradient=np.einsum("psa,cpai->cpsi", slope, np.linalg.inv(jacobian)),
        measure=np.linalg.det(jacobian) * weights,
    )


def corner_jacobians(corners: np.ndarray) -> np.ndarray:
    """(cell, slot) Jacobian at each corner; positive where the cell is convex there and not inverted."""
    slots, space = corners.shape[1:]
    reference = cube_corners(space) if slots == 2**space else np.eye(space + 1, space, k=-1)
    _, slope = _shape_functions(slots, reference)
    return np.linalg.det(np.einsum("csi,psa->cpia", corners, slope))


def _rule(slots, space) -> tuple[np.ndarray, np.ndarray]:
    """Points (point, space) and weights (point,) on the unit cell."""
    if (space, slots) not in KINDS:
        known = ", ".join(f"{kind} ({n} corners in {d}D)" for (d, n), kind in KINDS.items())
        raise ValueError(f"no cell has {slots} corners in {space} dimensions; expected {known}")
    if slots == 2**space:
        gauss = (0.5 - 0.5 / np.sqrt(3), 0.5 + 0.5 / np.sqrt(3))
        return np.array(list(product(gauss, repeat=space))), np.full(2**space, 0.5**space)
    near = (1 - 1 / np.sqrt(space + 2)) / (space + 1)  # barycentric: one coordinate is 1 - space * near
    points = near + (1 - (space + 1) * near) * np.eye(space + 1, space, k=-1)
    volume = 1 / np.prod(np.arange(1, space + 1))
    return points, np.full(space + 1, volume / (space + 1))


def _shape_functions(slots, points) -> tuple[np.ndarray, np.ndarray]:
    """Values (point, slot) and slopes (point, slot, space) on the unit cell."""
    space = points.shape[1]
    if slots == space + 1:
        slope = np.concatenate([-np.ones((1, space)), np.eye(space)])
        values = np.concatenate([1 - points.sum(1, keepdims=True), points], 1)
        return values, np.broadcast_to(slope, (len(points), *slope.shape))
    corners = cube_corners(space)
    sign = 2 * corners - 1
    factors = np.where(corners, points[:, None], 1 - points[:, None])
    others = [np.delete(factors, axis, axis=2).prod(2) for axis in range(space)]
    return factors.prod(2), sign * np.stack(others, 2)

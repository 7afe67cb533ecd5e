"""Cells: shape functions and quadrature of segments, triangles, quadrilaterals, tetrahedra and hexahedra.

The corners of a cell stand in the usual order of mesh files: triangles and quadrilaterals counterclockwise, the first
three corners of a tetrahedron counterclockwise seen from the fourth, a hexahedron as two quadrilaterals, the lower one
first.
"""

from itertools import product
from typing import NamedTuple

import numpy as np

# (space, corners) of a cell
KINDS = {(1, 2): "segment", (2, 3): "triangle", (2, 4): "quadrilateral", (3, 4): "tetrahedron", (3, 8): "hexahedron"}

_CUBE = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1]])


class Quadrature(NamedTuple):
    """What an integral over cells needs: sum over (cell, point) of measure * integrand."""

    shape: np.ndarray  # (point, slot) value of each corner's shape function
    shape_gradient: np.ndarray  # (cell, point, slot, space) its gradient
    measure: np.ndarray  # (cell, point) weight times Jacobian


def cube_corners(space: int) -> np.ndarray:
    """(slot, space) corners of the unit segment, square or cube, in the order of the module."""
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
        >>> from lgn.graphs.cells import quadrature
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

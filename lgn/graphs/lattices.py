"""Lattices: regular grids in any number of dimensions."""

from collections.abc import Sequence
from itertools import product

import jraph
import numpy as np

from lgn import _arguments
from lgn.graphs.edges import graph_of


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
        ValueError: no axis or one without nodes, sizes that are not whole, a periodic axis of fewer than 3, a spacing
            that is not positive, `periodic` or `diagonals` that are not bool.

    Example:
        >>> import lgn
        >>> ring = lgn.lattice((100,), spacing=0.1, periodic=True)
        >>> int(ring.n_node[0]), int(ring.n_edge[0])
        (100, 200)
        >>> lgn.node_stencil(lgn.lattice((4, 5), diagonals=True)).slots
        9
    """
    if np.ndim(shape) == 0:
        shape = (_arguments.whole("lattice: shape", shape),)
    shape = _arguments.sizes("lattice: shape", shape)
    if not shape:
        raise ValueError("lattice: shape=() has no axis; give the number of nodes along each, such as (100,)")
    space = len(shape)
    steps = tuple(map(float, _per_axis("spacing", spacing, space, _arguments.positive)))
    wraps = _per_axis("periodic", periodic, space, _arguments.flag)
    _arguments.flag("lattice: diagonals", diagonals)
    for axis, (n, wrap) in enumerate(zip(shape, wraps, strict=True)):
        if wrap and n < 3:
            raise ValueError(
                f"lattice: shape={shape} has {n} nodes along periodic axis {axis}, so that both neighbours of a node "
                f"would be the same one; give at least 3 nodes, or periodic=False for this axis"
            )

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
        slots.append(np.full(present.sum(), slot, np.int32))
    return graph_of(
        nodes.size,
        np.concatenate(senders),
        np.concatenate(receivers),
        nodes={"position": coordinates * np.asarray(steps), "measure": np.full(nodes.size, np.prod(steps))},
        edges={"offset": np.concatenate(offsets), "slot": np.concatenate(slots)},
        constants={"slots": len(directions)},
    )


def _directions(space, diagonals) -> np.ndarray:
    """(slot, space) steps to the neighbours on a lattice: pairs of -o and +o, those along the axes first."""
    steps = [o for o in product((-1, 0, 1), repeat=space) if next((s for s in o if s), -1) > 0]
    along_axes = list(np.eye(space, dtype=int))
    across = sorted((o for o in steps if np.count_nonzero(o) > 1), key=lambda o: (np.count_nonzero(o), o))
    positive = np.array(along_axes + (across if diagonals else []))
    return np.stack([-positive, positive], 1).reshape(-1, space)


def _per_axis(name, value, space, check) -> tuple:
    if np.ndim(value) == 0:
        return (check(f"lattice: {name}", value),) * space
    values = list(value)
    if len(values) != space:
        raise ValueError(f"lattice: {name}={value} for {space} axes; give one value, or one for each axis")
    return tuple(check(f"lattice: {name}={value} along axis {i}: {name}", x) for i, x in enumerate(values))

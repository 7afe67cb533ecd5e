"""Grids: the axes of a regular lattice, found from the places of its nodes."""

from typing import NamedTuple

import jraph
import numpy as np

from lgn.graphs.features import clamped_nodes, node_count

NAMES = "xyz"


class Grid(NamedTuple):
    """Axes of places in C order.

    Attributes:
        names: of the axes.
        places: along each axis, (n,).
        ends: of each axis "PERIODIC", "WALL" where nodes at its ends are clamped, or "OPEN".
    """

    names: tuple[str, ...]
    places: tuple[np.ndarray, ...]
    ends: tuple[str, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Nodes along each axis."""
        return tuple(len(x) for x in self.places)


def grid_of(graph: jraph.GraphsTuple | None, count: int) -> Grid:
    """The axes of a lattice; one axis `node`, of numbers, where the nodes are no lattice."""
    place = None if graph is None or "slots" not in graph.globals else graph.nodes.get("position")
    if graph is None or place is None or place.shape[1] > len(NAMES):
        return Grid(("node",), (np.arange(count, dtype=float),), ("OPEN",))
    places = tuple(np.unique(x) for x in place.T)
    grid = Grid(tuple(NAMES[: place.shape[1]]), places, ())
    whole = np.stack(np.meshgrid(*places, indexing="ij"), -1).reshape(-1, place.shape[1])
    if whole.shape != place.shape or not np.array_equal(whole, place):
        return grid_of(None, node_count(graph))
    # The ends of a periodic axis are neighbours: their distance is not the difference of their places.
    jumps = np.abs(place[graph.senders] - place[graph.receivers] - graph.edges["offset"]).max(0, initial=0)
    span = np.ptp(place, axis=0)
    held = clamped_nodes(graph).reshape(grid.shape)
    ends = []
    for axis in range(place.shape[1]):
        walls = np.take(held, [0, -1], axis).all()
        ends.append("PERIODIC" if jumps[axis] > 0.5 * span[axis] else "WALL" if walls else "OPEN")
    return grid._replace(ends=tuple(ends))

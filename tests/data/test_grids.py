"""Grids: the axes of a lattice, found again from the places of its nodes."""

import numpy as np
import pytest

import lgn
from lgn.data.well import grid_of


@pytest.mark.parametrize("diagonals", [False, True])
def test_a_lattice_has_its_axes(diagonals):
    graph = lgn.lattice((3, 4, 5), (1.0, 0.5, 0.1), periodic=[True, False, False], diagonals=diagonals)
    ends = np.arange(60).reshape(3, 4, 5)[:, [0, -1]].ravel()
    grid = grid_of(lgn.clamp(graph, ends), 60)
    assert grid.names == ("x", "y", "z") and grid.ends == ("PERIODIC", "WALL", "OPEN")
    assert [len(x) for x in grid.places] == [3, 4, 5]
    np.testing.assert_allclose(grid.places[2], 0.1 * np.arange(5))


@pytest.mark.parametrize(
    "graph",
    [
        lgn.from_mesh([[0, 0], [1, 0], [1, 1], [0, 1]], [[0, 1, 2], [0, 2, 3]]),
        lgn.from_edges(4, [0, 1, 2, 3], [1, 0, 3, 2]),
        None,
    ],
)
def test_what_is_no_lattice_has_one_axis_of_nodes(graph):
    grid = grid_of(graph, 4)
    assert grid.names == ("node",) and grid.places[0].tolist() == [0, 1, 2, 3] and grid.ends == ("OPEN",)

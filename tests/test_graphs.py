import numpy as np
import pytest

import lgn


def neighbours(graph, node):
    """Node numbers read by `node`, in the order of its slots."""
    mine = np.flatnonzero(graph.receivers == node)
    return graph.senders[mine[np.argsort(graph.edges["slot"][mine])]].tolist()


def test_lattice_neighbours_stand_in_the_order_minus_x_plus_x_minus_y_plus_y():
    grid = lgn.lattice((4, 5))  # C order: node = 5 x + y
    assert neighbours(grid, 5 * 1 + 2) == [5 * 0 + 2, 5 * 2 + 2, 5 * 1 + 1, 5 * 1 + 3]


def test_periodic_ends_are_joined():
    grid = lgn.lattice((4, 5))
    assert neighbours(grid, 0) == [15, 5, 4, 1]
    assert neighbours(grid, 19) == [14, 4, 18, 15]


def test_open_ends_have_fewer_neighbours_and_keep_their_slots():
    chain = lgn.lattice((4,), periodic=False)
    slots = {
        (int(r), int(s)): int(k) for r, s, k in zip(chain.receivers, chain.senders, chain.edges["slot"], strict=True)
    }
    assert slots == {(0, 1): 2, (1, 0): 1, (1, 2): 2, (2, 1): 1, (2, 3): 2, (3, 2): 1}


def test_periodic_is_set_for_each_axis():
    strip = lgn.lattice((3, 4), periodic=(False, True))
    assert neighbours(strip, 0) == [4, 3, 1]  # no -x; +x, then -y around the end, +y
    assert int(strip.n_edge[0]) == 2 * (2 * 4 + 3 * 4)  # open axis: 2 of 3 links; closed: 4 of 4


@pytest.mark.parametrize("shape", [(7,), (3, 4), (3, 4, 5)])
def test_periodic_lattice_has_two_edges_a_node_and_axis(shape):
    grid = lgn.lattice(shape)
    n = int(np.prod(shape))
    assert (int(grid.n_node[0]), int(grid.n_edge[0])) == (n, 2 * n * len(shape))
    assert (np.bincount(grid.receivers) == 2 * len(shape)).all()


def test_lattice_measure_and_position():
    grid = lgn.lattice((3, 4), spacing=(0.5, 0.2))
    np.testing.assert_allclose(grid.nodes["measure"], 0.5 * 0.2)
    np.testing.assert_allclose(grid.nodes["position"][4 * 2 + 3], [2 * 0.5, 3 * 0.2])


def test_lattice_offset_is_one_spacing_even_across_a_periodic_end():
    ring = lgn.lattice((6,), spacing=0.5)
    np.testing.assert_array_equal(ring.edges["offset"][:, 0], np.where(ring.edges["slot"] == 1, -0.5, 0.5))


def test_lattice_offset_is_position_difference_at_open_ends():
    grid = lgn.lattice((3, 4), spacing=(0.5, 0.2), periodic=False)
    place = grid.nodes["position"]
    np.testing.assert_allclose(grid.edges["offset"], place[grid.senders] - place[grid.receivers], atol=1e-15)


TRIANGLE = (3, [0, 1, 1, 2, 2, 0], [1, 0, 2, 1, 0, 2])


def test_from_edges_keeps_edges_and_features_and_makes_offsets():
    place = np.array([[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]])
    graph = lgn.from_edges(
        *TRIANGLE, positions=place, edge_features={"k": np.arange(6)}, node_features={"m": np.ones((3, 2))}
    )
    assert graph.senders.tolist() == TRIANGLE[1] and graph.receivers.tolist() == TRIANGLE[2]
    np.testing.assert_array_equal(graph.edges["offset"][2], place[1] - place[2])
    assert graph.edges["k"].tolist() == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    assert graph.nodes["m"].shape == (3, 2)


def test_from_edges_without_positions_has_no_geometry():
    graph = lgn.from_edges(*TRIANGLE)
    assert graph.nodes == {} and graph.edges == {}


def test_single_node_has_no_edge():
    graph = lgn.single_node({"m": np.array([2.0])})
    assert (int(graph.n_node[0]), graph.senders.size) == (1, 0)
    assert graph.nodes["m"].tolist() == [2.0]


def test_clamp_adds_to_nodes_already_held_and_leaves_the_argument_alone():
    once = lgn.clamp(lgn.lattice((5,)), [1])
    twice = lgn.clamp(once, np.array([4]))
    assert np.flatnonzero(twice.nodes["clamped"]).tolist() == [1, 4]
    assert np.flatnonzero(once.nodes["clamped"]).tolist() == [1]


def ring(n, **named):
    i = np.arange(n)
    return lgn.from_edges(n, np.r_[i, (i + 1) % n], np.r_[(i + 1) % n, i], **named)


ERRORS = {
    "axis without nodes": (lambda: lgn.lattice((4, 0)), "0 nodes along axis 1"),
    "negative axis": (lambda: lgn.lattice((-3,)), "-3 nodes along axis 0"),
    "periodic axis of two": (lambda: lgn.lattice((4, 2)), "2 nodes along periodic axis 1.*periodic=False"),
    "zero spacing": (lambda: lgn.lattice((4,), spacing=0.0), "spacing=0.0.*positive"),
    "negative spacing": (lambda: lgn.lattice((4, 4), spacing=(1, -1)), "along axis 1.*positive"),
    "spacing not finite": (lambda: lgn.lattice((4,), spacing=np.nan), "spacing=nan.*positive"),
    "spacings for other axes": (lambda: lgn.lattice((4, 4), spacing=(1, 2, 3)), "spacing=.*2 axes"),
    "periodic for other axes": (lambda: lgn.lattice((4,), periodic=(True, False)), "periodic=.*1 axes"),
    "index beyond the end": (lambda: lgn.from_edges(3, [0, 3], [3, 0]), "senders holds 3.*0 to 2"),
    "negative index": (lambda: lgn.from_edges(3, [0, 1], [1, -1]), "receivers holds -1.*0 to 2"),
    "index not an integer": (lambda: lgn.from_edges(2, [0.0, 1.0], [1, 0]), "senders.*float64.*integers"),
    "index of two axes": (lambda: lgn.from_edges(2, [[0, 1]], [1, 0]), r"senders has shape \(1, 2\)"),
    "unequal lists": (lambda: lgn.from_edges(2, [0, 1], [1]), "2 entries and receivers 1"),
    "self-loop": (lambda: lgn.from_edges(3, [0, 1, 2], [1, 0, 2]), "2 -> 2 is a self-loop"),
    "repeated edge": (lambda: lgn.from_edges(2, [0, 1, 0], [1, 0, 1]), "0 -> 1 is given more than once"),
    "one direction only": (lambda: lgn.from_edges(3, [0, 1, 2], [1, 0, 1]), "2 -> 1 has no reverse.*not symmetric"),
    "isolated node": (lambda: lgn.from_edges(4, [0, 1], [1, 0]), r"node 2 is isolated \(2 such nodes\)"),
    "positions of other nodes": (lambda: ring(4, positions=np.zeros((3, 2))), r"positions has shape \(3, 2\).*4"),
    "positions without space axis": (lambda: ring(4, positions=np.zeros(4)), r"positions has shape \(4,\)"),
    "positions not finite": (lambda: ring(3, positions=np.array([[0], [np.inf], [1]])), "positions of node 1"),
    "edge feature length": (lambda: ring(4, edge_features={"k": np.ones(4)}), r"edge_features\['k'\].*\(8, \.\.\.\)"),
    "node feature length": (lambda: ring(4, node_features={"m": np.ones(8)}), r"node_features\['m'\].*\(4, \.\.\.\)"),
    "node feature without axis": (lambda: lgn.single_node({"m": 1.0}), r"node_features\['m'\] has shape \(\)"),
    "node feature not finite": (lambda: ring(3, node_features={"m": np.array([1, np.nan, 1])}), "finite at row 1"),
    "edge feature not finite": (lambda: ring(3, edge_features={"k": np.full((6, 2), np.inf)}), "finite at row 0"),
    "reserved node name": (lambda: ring(3, node_features={"measure": np.ones(3)}), "'measure'.*rename"),
    "reserved edge name": (lambda: ring(3, edge_features={"offset": np.ones(6)}), "'offset'.*rename"),
    "reserved mask": (lambda: ring(3, node_features={"mask": np.ones(3)}), "'mask'.*rename"),
    "clamp beyond the end": (lambda: lgn.clamp(ring(3), [3]), "node_indices holds 3.*0 to 2"),
    "clamp negative": (lambda: lgn.clamp(ring(3), [-1]), "node_indices holds -1"),
    "clamp by a mask": (lambda: lgn.clamp(ring(3), np.array([True, False, True])), "node_indices.*bool"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_error_names_the_argument_and_the_fix(name):
    build, message = ERRORS[name]
    with pytest.raises(ValueError, match=message):
        build()

import networkx as nx
import numpy as np
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st

import lgn

rng = np.random.default_rng(0)


def neighbours(graph, node):
    """Node numbers read by `node`, in the order of its slots."""
    mine = np.flatnonzero(graph.receivers == node)
    return graph.senders[mine[np.argsort(graph.edges["slot"][mine])]].tolist()


def test_lattice_neighbours_stand_in_the_order_minus_x_plus_x_minus_y_plus_y():
    grid = lgn.lattice((4, 5))  # C order: node = 5 x + y
    assert neighbours(grid, 5 * 1 + 2) == [5 * 0 + 2, 5 * 2 + 2, 5 * 1 + 1, 5 * 1 + 3]
    assert neighbours(grid, 0) == [15, 5, 4, 1]  # periodic ends are joined
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


@pytest.mark.parametrize("diagonals, count", [(False, 2 * 4 + 3 * 3), (True, 2 * 4 + 3 * 3 + 2 * 2 * 3)])
def test_lattice_offset_is_position_difference_at_open_ends(diagonals, count):
    grid = lgn.lattice((3, 4), spacing=(0.5, 0.2), periodic=False, diagonals=diagonals)
    assert grid.senders.size == 2 * count
    place = grid.nodes["position"]
    np.testing.assert_allclose(grid.edges["offset"], place[grid.senders] - place[grid.receivers], atol=1e-15)


@pytest.mark.parametrize("shape", [(7,), (3, 4), (3, 4, 5)])
def test_diagonals_join_all_nodes_of_the_surrounding_box(shape):
    grid, d = lgn.lattice(shape, diagonals=True), len(shape)
    assert (np.bincount(grid.receivers) == 3**d - 1).all()
    place = np.stack(np.unravel_index(np.arange(grid.n_node[0]), shape), 1)
    apart = abs(place[grid.senders] - place[grid.receivers])
    assert (np.minimum(apart, np.array(shape) - apart).max(1) == 1).all()


def test_diagonals_keep_the_slots_of_the_axes_and_stand_in_pairs():
    plain, full = (lgn.lattice((4, 5, 6), (1, 2, 4), (False, True, True), diagonals=flag) for flag in (False, True))
    n = plain.senders.size
    np.testing.assert_array_equal(full.senders[:n], plain.senders)
    np.testing.assert_array_equal(full.edges["slot"][:n], plain.edges["slot"])
    step = {int(slot): full.edges["offset"][full.edges["slot"] == slot] for slot in full.edges["slot"]}
    for slot in range(1, 27, 2):
        assert (step[slot] == step[slot][0]).all() and (step[slot + 1] == -step[slot][0]).all()
        positive = step[slot + 1][0]
        assert positive[np.flatnonzero(positive)[0]] > 0


def test_neighbours_of_the_nine_point_stencil_stand_in_the_documented_order():
    grid = lgn.lattice((4, 5), diagonals=True)  # C order: node = 5 x + y
    steps = [(-1, 0), (1, 0), (0, -1), (0, 1), (-1, 1), (1, -1), (-1, -1), (1, 1)]
    assert neighbours(grid, 5 * 1 + 2) == [5 * (1 + x) + 2 + y for x, y in steps]


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

    bare = lgn.from_edges(*TRIANGLE)
    assert bare.nodes == {} and bare.edges == {}


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


def weights(graph):
    ends = zip(graph.receivers.tolist(), graph.senders.tolist(), strict=True)
    return dict(zip(ends, np.asarray(graph.edges["weight"]).tolist(), strict=True))


@st.composite
def symmetric(draw):
    """A path with random edges beside it, so that no node is isolated; its nodes shuffled."""
    n = draw(st.integers(2, 9))
    seeded = np.random.default_rng(draw(st.integers(0, 10**6)))
    A = np.triu(seeded.normal(size=(n, n)) * (seeded.random((n, n)) < 0.3), 1)
    A[np.arange(n - 1), np.arange(1, n)] = seeded.normal(size=n - 1)
    order = seeded.permutation(n)
    return (A + A.T)[order][:, order]


@given(symmetric(), st.sampled_from(["csr", "csc", "coo", "lil"]))
def test_from_adjacency_equals_from_edges_dense_and_sparse(A, form):
    pairs = [(i, j) for i in range(len(A)) for j in range(len(A)) if A[i, j] != 0]
    expected = lgn.from_edges(
        len(A), [j for _, j in pairs], [i for i, _ in pairs], edge_features={"weight": [A[p] for p in pairs]}
    )
    for matrix in (A, A.tolist(), scipy.sparse.coo_array(A).asformat(form), scipy.sparse.coo_matrix(A).asformat(form)):
        graph = lgn.from_adjacency(matrix)
        assert weights(graph) == weights(expected)
        np.testing.assert_array_equal(lgn.node_stencil(graph).index, lgn.node_stencil(expected).index)


def test_from_adjacency_passes_positions_and_features_on_and_takes_truth_values():
    A = np.array([[False, True], [True, False]])
    graph = lgn.from_adjacency(A, positions=[[0.0], [2.0]], node_features={"m": [1.0, 3.0]})
    assert graph.nodes["m"].tolist() == [1.0, 3.0]
    assert weights(graph) == {(0, 1): 1.0, (1, 0): 1.0}
    assert graph.edges["offset"].tolist() == [[2.0], [-2.0]]


def test_from_adjacency_sums_duplicates_and_skips_stored_zeros():
    i, j = [0, 0, 1, 0, 2, 1, 2], [1, 1, 0, 2, 0, 2, 1]
    A = scipy.sparse.coo_array(([1.0, 2.0, 3.0, 0.0, 0.0, 5.0, 5.0], (i, j)), shape=(3, 3))
    assert weights(lgn.from_adjacency(A)) == {(0, 1): 3.0, (1, 0): 3.0, (1, 2): 5.0, (2, 1): 5.0}


def test_from_adjacency_leaves_its_argument_alone():
    A = scipy.sparse.csr_array(([0.0, 1.0, 1.0], ([0, 0, 1], [0, 1, 0])), shape=(2, 2))
    lgn.from_adjacency(A)
    assert A.nnz == 3  # one of them a stored zero


def test_from_adjacency_forgives_round_off():
    A = np.array([[0.0, 0.3], [0.1 + 0.2, 0.0]])
    assert A[0, 1] != A[1, 0]
    assert lgn.from_adjacency(A).senders.size == 2


def test_advice_keeps_the_physics():
    """Weights that differ by rounding are not doubled, springs side by side are not lost."""
    A = np.array([[0, 1.0], [1.0 + 1e-7, 0]])
    np.testing.assert_allclose(lgn.from_adjacency(A).edges["weight"], 1, rtol=1e-6)
    A[1, 0] = 2.0
    with pytest.raises(ValueError) as error:
        lgn.from_adjacency(A)
    assert "(A + A.T) / 2" in str(error.value)
    assert lgn.from_adjacency((A + A.T) / 2).edges["weight"].tolist() == [1.5, 1.5]
    with pytest.raises(ValueError) as error:
        lgn.from_adjacency(np.triu(A))
    assert "where every edge stands in A once, A + A.T" in str(error.value)
    M = nx.MultiGraph()
    M.add_edge(0, 1, b=1.0)
    M.add_edge(0, 1, b=2.0)
    with pytest.raises(ValueError) as error:
        lgn.from_networkx(M)
    (line,) = [part for part in str(error.value).split(", ") if part.startswith("lgn.from_adjacency")]
    line = str(error.value)[str(error.value).index(line) :].split("), with")[0] + ")"
    assert eval(line, {"lgn": lgn, "networkx": nx, "G": M}).edges["weight"].tolist() == [3, 3]


def test_from_adjacency_never_makes_a_sparse_matrix_dense():
    n = 200_000  # dense: 320 GB
    i = np.arange(n)
    half = scipy.sparse.coo_array((np.ones(n), (i, (i + 1) % n)), shape=(n, n))
    assert lgn.from_adjacency(half + half.T).senders.size == 2 * n


def test_from_networkx_numbers_nodes_in_their_order_and_keeps_attributes():
    G = nx.Graph()
    G.add_nodes_from(
        [("c", {"pos": (0.0, 1.0), "m": 3}), ("a", {"pos": (2.0, 0.0), "m": 1}), ("b", {"pos": (5, 5), "m": 2})]
    )
    G.add_edge("a", "c", k=[1.0, 2.0])
    G.add_edge("b", "a", k=[3.0, 4.0])
    graph = lgn.from_networkx(G)
    assert graph.nodes["m"].tolist() == [3.0, 1.0, 2.0]
    assert graph.nodes["position"].tolist() == [[0.0, 1.0], [2.0, 0.0], [5.0, 5.0]]
    stiffness = {
        (int(i), int(j)): k.tolist() for i, j, k in zip(graph.receivers, graph.senders, graph.edges["k"], strict=True)
    }
    assert stiffness == {(0, 1): [1, 2], (1, 0): [1, 2], (1, 2): [3, 4], (2, 1): [3, 4]}


@given(st.integers(1, 9), st.integers(0, 10**6), st.booleans())
def test_networkx_round_trip(n, seed, placed):
    G = nx.compose(nx.path_graph(n), nx.gnp_random_graph(n, 0.3, seed=seed))
    seeded = np.random.default_rng(seed)
    for node in G:
        G.nodes[node].update({"m": seeded.normal(), **({"pos": seeded.normal(size=2).tolist()} if placed else {})})
    for edge in G.edges:
        G.edges[edge].update(k=seeded.normal(size=(2, 2)).tolist(), weight=seeded.normal())
    back = lgn.to_networkx(lgn.from_networkx(G))
    assert dict(back.nodes(data=True)) == dict(G.nodes(data=True))
    assert nx.utils.edges_equal(back.edges(data=True), G.edges(data=True))


def test_to_networkx_leaves_out_what_lgn_computes():
    G = lgn.to_networkx(lgn.clamp(lgn.lattice((3, 4)), [0]))
    assert nx.is_isomorphic(G, nx.grid_2d_graph(3, 4, periodic=True))
    assert set(G.nodes[0]) == {"pos"} and G.edges[0, 1] == {}


def joined(graph):
    return set(zip(graph.receivers.tolist(), graph.senders.tolist(), strict=True))


@pytest.mark.parametrize("k", [1, 3, 7])
def test_nearest_neighbours_against_all_distances(k):
    points = rng.normal(size=(30, 3))
    apart = np.linalg.norm(points[:, None] - points, axis=2)
    near = np.argsort(apart, axis=1)[:, 1 : k + 1]
    chosen = np.zeros((30, 30), bool)
    chosen[np.repeat(np.arange(30), k), near.ravel()] = True
    graph = lgn.nearest_neighbours(points, k)
    assert joined(graph) == set(zip(*np.nonzero(chosen | chosen.T), strict=True))
    np.testing.assert_array_equal(graph.edges["offset"], points[graph.senders] - points[graph.receivers])


def test_within_radius_against_all_distances():
    points = rng.random((40, 2))
    apart = np.linalg.norm(points[:, None] - points, axis=2)
    graph = lgn.within_radius(points, 0.5)
    expected = (apart <= 0.5) & ~np.eye(40, dtype=bool)
    assert joined(graph) == set(zip(*np.nonzero(expected), strict=True))
    assert np.linalg.norm(graph.edges["offset"], axis=1).max() <= 0.5


def path(*attributes, edges=({}, {})):
    """The path 0 - 1 - 2 with attributes on its nodes and edges."""
    G = nx.Graph()
    G.add_nodes_from(enumerate(attributes or ({}, {}, {})))
    G.add_edges_from([(0, 1, edges[0]), (1, 2, edges[1])])
    return lgn.from_networkx(G)


CLOUD = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [9.0, 9.0]])
TWICE = np.array([[0.0], [1.0], [3.0], [1.0]])


ERRORS = {
    "periodic axis of two": (lambda: lgn.lattice((4, 2)), "2 nodes along periodic axis 1.*periodic=False"),
    "negative spacing": (lambda: lgn.lattice((4, 4), spacing=(1, -1)), "along axis 1.*positive"),
    "spacing not finite": (lambda: lgn.lattice((4,), spacing=np.nan), "spacing=nan.*positive"),
    "negative index": (lambda: lgn.from_edges(3, [0, 1], [1, -1]), "receivers holds -1.*0 to 2"),
    "index of two axes": (lambda: lgn.from_edges(2, [[0, 1]], [1, 0]), r"senders has shape \(1, 2\)"),
    "positions without space axis": (lambda: ring(4, positions=np.zeros(4)), r"positions has shape \(4,\)"),
    "node feature length": (lambda: ring(4, node_features={"m": np.ones(8)}), r"node_features\['m'\].*\(4, \.\.\.\)"),
    "edge feature not finite": (lambda: ring(3, edge_features={"k": np.full((6, 2), np.inf)}), "finite at row 0"),
    "reserved node name": (lambda: ring(3, node_features={"measure": np.ones(3)}), "'measure'.*rename"),
    "reserved edge name": (lambda: ring(3, edge_features={"offset": np.ones(6)}), "'offset'.*rename"),
    "reserved shape": (lambda: ring(3, node_features={"shape": np.ones(3)}), "'shape'.*rename"),
    "reserved shape gradient": (lambda: ring(3, edge_features={"shape_gradient": np.ones(6)}), "'shape_gradient'.*ren"),
    "diagonals on a short axis": (lambda: lgn.lattice((4, 2), diagonals=True), "2 nodes along periodic axis 1"),
    "adjacency of one axis": (lambda: lgn.from_adjacency([1.0, 2.0]), r"A has shape \(2,\)"),
    "adjacency of no node": (lambda: lgn.from_adjacency(np.zeros((0, 0))), "n_node=0; give a whole number, at least 1"),
    "adjacency of objects": (lambda: lgn.from_adjacency(np.array([[None, 1], [1, None]])), "object.*real numbers"),
    "asymmetric pattern": (
        lambda: lgn.from_adjacency(np.array([[0, 1, 1], [1, 0, 0], [0, 0, 0]])),
        r"A\[0, 2\] = 1.0 and A\[2, 0\] = 0.0.*not symmetric.*A \+ A.T, or np.maximum",
    ),
    "asymmetric values": (
        lambda: lgn.from_adjacency(scipy.sparse.csr_array([[0, 2], [3, 0]])),
        r"A\[0, 1\] = 2.0 and A\[1, 0\] = 3.0.*not symmetric.*A.maximum\(A.T\)",
    ),
    "adjacency infinite": (lambda: lgn.from_adjacency([[0, 1], [np.inf, 0]]), r"A\[1, 0\] = inf.*finite"),
    "networkx self-loop": (lambda: lgn.from_networkx(nx.Graph([(0, 1), (1, 1)])), "1 -> 1 is a self-loop"),
    "attribute on some nodes": (lambda: path({"m": 1}, {}, {"m": 2}), "node 1 lacks the attribute 'm'.*give it to all"),
    "attribute of words": (lambda: path(*[{"m": x} for x in (1, "two", 3)]), "node 1 has the attribute 'm' = 'two'"),
    "attribute of several shapes": (lambda: path(edges=({"k": 1}, {"k": [1, 2]})), r"edge \(1, 2\).*one shape"),
    "attribute not finite": (lambda: path(*[{"m": x} for x in (1, np.nan, 3)]), r"\['m'\] is not finite at row 1"),
    "attribute of a reserved name": (lambda: path(*[{"measure": 1.0}] * 3), "'measure'.*rename"),
    "scalar pos": (lambda: path(*[{"pos": 1.0}] * 3), r"positions has shape \(3,\)"),
    "directed feature to networkx": (
        lambda: lgn.to_networkx(ring(3, edge_features={"k": np.arange(6)})),
        "edge feature 'k' differs between 0 -> 1 and 1 -> 0",
    ),
    "no points": (lambda: lgn.within_radius(np.zeros((0, 2)), 1.0), r"points has shape \(0, 2\)"),
    "radius of coincident points": (lambda: lgn.within_radius(TWICE, 2.0), "points 1 and 3 coincide"),
    "radius too small": (lambda: lgn.within_radius(CLOUD, 2.0), "point 3 is isolated.*12.04.*larger radius"),
    "radius not a number": (lambda: lgn.within_radius(CLOUD, np.nan), "radius=nan.*positive"),
    "clamp negative": (lambda: lgn.clamp(ring(3), [-1]), "node_indices holds -1"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_error_names_the_argument_and_the_fix(name):
    build, message = ERRORS[name]
    with pytest.raises(ValueError, match=message):
        build()

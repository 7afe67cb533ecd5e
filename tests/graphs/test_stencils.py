import functools

import jax.numpy as jnp
import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lgn
from lgn.graphs.tables import Stencil

rng = np.random.default_rng(0)


def from_networkx(G, **named):
    senders, receivers = np.array([(i, j) for a, b in G.edges for i, j in ((a, b), (b, a))], int).reshape(-1, 2).T
    return lgn.from_edges(len(G), senders, receivers, **named)


def test_hops_0_is_the_node_alone_and_1_its_neighbours_too():
    stencil = lgn.node_stencil(lgn.lattice((4, 4)), hops=0)
    assert stencil.index.tolist() == [[i] for i in range(16)]
    assert stencil.mask.tolist() == [[1.0]] * 16

    assert lgn.node_stencil(lgn.lattice((4, 5))).index[7].tolist() == [7, 2, 12, 6, 8]


def test_hops_2_on_a_ring_is_nearest_first():
    stencil = lgn.node_stencil(lgn.lattice((8,)), hops=2)
    assert stencil.index[0].tolist() == [0, 7, 1, 6, 2]
    assert stencil.index[5].tolist() == [5, 4, 6, 3, 7]
    short = lgn.node_stencil(lgn.lattice((4,)), hops=2)  # each node once
    assert short.slots == 4 and sorted(short.index[1].tolist()) == [0, 1, 2, 3]


def test_unfilled_slots_of_an_open_end_read_slot_0():
    stencil = lgn.node_stencil(lgn.lattice((4,), periodic=False))
    assert stencil.index.tolist() == [[0, 0, 1], [1, 0, 2], [2, 1, 3], [3, 2, 3]]
    assert stencil.mask.tolist() == [[1, 0, 1], [1, 1, 1], [1, 1, 1], [1, 1, 0]]
    assert (stencil.edge < 0).tolist() == [[True, True, False], *[[True, False, False]] * 2, [True, False, True]]


@pytest.mark.parametrize("hops", [1, 2])
@pytest.mark.parametrize("shape, periodic", [((7,), False), ((7,), True), ((5, 6), False), ((5, 6), True)])
def test_a_slot_of_a_lattice_means_the_same_offset_at_every_node(shape, periodic, hops):
    stencil = lgn.node_stencil(lgn.lattice(shape, periodic=periodic), hops=hops)
    for slot in range(stencil.slots):
        offsets = stencil.geometry["offset"][stencil.mask[:, slot] > 0, slot]
        assert len(np.unique(offsets, axis=0)) == 1, f"slot {slot} holds {np.unique(offsets, axis=0).tolist()}"


def test_what_all_nodes_of_a_periodic_lattice_share_takes_no_memory():
    stencil = lgn.node_stencil(lgn.lattice((30, 40)))
    shared = stencil.mask, stencil.geometry["offset"]
    assert [x.strides[0] for x in shared] == [0, 0]
    assert {x.dtype for x in (stencil.index, stencil.edge)} == {np.dtype(np.int32)}


def test_irregular_graph_neighbours_stand_by_number_padded_with_a_mask():
    graph = from_networkx(nx.Graph([(3, 0), (3, 2), (3, 1), (2, 1), (4, 2)]))
    stencil = lgn.node_stencil(graph)
    assert stencil.index.tolist() == [[0, 3, 0, 0], [1, 2, 3, 1], [2, 1, 3, 4], [3, 0, 1, 2], [4, 2, 4, 4]]
    assert stencil.mask.sum(1).tolist() == [2, 3, 4, 4, 2]


@given(st.integers(1, 9), st.integers(0, 10**6), st.integers(0, 3))
def test_node_stencil_reads_every_node_within_hops_once_nearest_first(n, seed, hops):
    G = nx.compose(nx.path_graph(n), nx.gnp_random_graph(n, 0.2, seed=seed))
    shuffle = np.random.default_rng(seed).permutation(n).tolist()
    G = nx.relabel_nodes(G, dict(enumerate(shuffle)))
    stencil = lgn.node_stencil(from_networkx(G), hops)
    for node, row, mask in zip(range(n), stencil.index, stencil.mask, strict=True):
        away = nx.single_source_shortest_path_length(G, node, cutoff=hops)
        read = row[mask > 0].tolist()
        assert sorted(read) == sorted(away)
        assert read == sorted(away, key=lambda other: (away[other], other))
        assert (row[mask == 0] == node).all()


@given(st.integers(2, 9), st.integers(0, 10**6), st.integers(0, 3))
def test_node_stencils_of_a_relabelled_graph_are_the_relabelled_stencils(n, seed, hops):
    seeded = np.random.default_rng(seed)
    A = np.triu(seeded.random((n, n)) * (seeded.random((n, n)) < 0.3), 1) + np.eye(n, k=1)
    A, order = A + A.T, seeded.permutation(n)

    def read(A):
        graph = lgn.from_adjacency(A)
        stencil = lgn.node_stencil(graph, hops)
        weight = np.append(np.asarray(graph.edges["weight"]), 0.0)[stencil.edge]
        rows = zip(stencil.index.tolist(), weight.tolist(), stencil.mask > 0, strict=True)
        return [{i: w for i, w, filled in zip(*row, strict=True) if filled} for row in rows]

    before, after = read(A), read(A[order][:, order])
    assert [{int(order[i]): w for i, w in row.items()} for row in after] == [before[i] for i in order]


def test_edge_names_the_edge_from_slot_to_slot_0():
    graph = from_networkx(nx.petersen_graph())
    stencil = lgn.node_stencil(graph, hops=2)
    element, slot = np.nonzero(stencil.edge >= 0)
    edge = stencil.edge[element, slot]
    np.testing.assert_array_equal(graph.receivers[edge], element)
    np.testing.assert_array_equal(graph.senders[edge], stencil.index[element, slot])
    assert sorted(edge.tolist()) == list(range(30))  # each of 15 edges in both directions, none twice


def test_edge_stencil_of_a_lattice_points_in_the_positive_direction():
    stencil = lgn.edge_stencil(lgn.lattice((3, 4), spacing=(0.5, 0.2), periodic=(False, True)))
    assert len(stencil.index) == 2 * 4 + 3 * 4
    assert [0, 4] in stencil.index.tolist() and [3, 0] in stencil.index.tolist()
    along_y = stencil.geometry["offset"][:, 1, 0] == 0
    np.testing.assert_allclose(stencil.geometry["offset"][along_y, 1, 1], 0.2)
    np.testing.assert_allclose(stencil.geometry["measure"], np.where(along_y, 0.2, 0.5))


def test_edge_stencil_of_an_irregular_graph_has_each_edge_once_smaller_number_first():
    G = nx.petersen_graph()
    stencil = lgn.edge_stencil(from_networkx(G))
    assert stencil.index.tolist() == sorted(sorted(edge) for edge in G.edges)


def test_edge_stencil_with_diagonals_has_each_edge_once():
    grid = lgn.lattice((4, 5), periodic=(False, True), diagonals=True)
    stencil = lgn.edge_stencil(grid)
    pairs = {frozenset(pair) for pair in zip(grid.senders.tolist(), grid.receivers.tolist(), strict=True)}
    assert sorted(map(sorted, stencil.index.tolist())) == sorted(map(sorted, pairs))
    first = stencil.geometry["offset"][:, 1]
    assert (np.where(first[:, 0] == 0, first[:, 1], first[:, 0]) > 0).all()


def test_hops_2_with_diagonals_reads_the_box_of_5_by_5():
    stencil = lgn.node_stencil(lgn.lattice((7, 7), diagonals=True), hops=2)
    assert stencil.slots == 25 and all(len(set(row)) == 25 for row in stencil.index.tolist())
    assert abs(stencil.geometry["offset"]).max() == 2


# Cells: their matrices against textbook ones. (On meshes against scikit-fem: test_meshes.py.)


def cell_matrices(graph):
    """Mass and stiffness matrix, dense, assembled from the geometry of the cells."""
    stencil = lgn.cell_stencil(graph)
    g = stencil.geometry
    mass, stiffness = np.zeros((2, int(graph.n_node[0]), int(graph.n_node[0])))
    at = stencil.index[:, :, None], stencil.index[:, None]
    np.add.at(mass, at, np.einsum("es,et,e->est", g["shape"], g["shape"], g["measure"]))
    np.add.at(stiffness, at, np.einsum("esi,eti,e->est", g["shape_gradient"], g["shape_gradient"], g["measure"]))
    return mass, stiffness


def segments(n, h, periodic):
    """Mass and stiffness of linear elements on n nodes: h/6 [1 4 1] and 1/h [-1 2 -1], ends halved where open."""
    ends = np.eye(n, k=n - 1) + np.eye(n, k=1 - n) if periodic else np.zeros((n, n))
    neighbours = np.eye(n, k=1) + np.eye(n, k=-1) + ends
    count = np.diag(neighbours.sum(1))
    return h / 6 * (2 * count + neighbours), (count - neighbours) / h


@pytest.mark.parametrize("periodic", [True, False])
@pytest.mark.parametrize("shape", [(6,), (4, 5), (3, 4, 5)])
def test_cells_of_a_lattice_are_products_of_segments(shape, periodic):
    h = (0.5, 0.2, 0.7)[: len(shape)]
    mass, stiffness = cell_matrices(lgn.lattice(shape, spacing=h, periodic=periodic))
    axes = [segments(n, step, periodic) for n, step in zip(shape, h, strict=True)]
    kron = lambda factors: functools.reduce(np.kron, factors)  # noqa: E731
    along = [kron([K if a == b else M for b, (M, K) in enumerate(axes)]) for a in range(len(shape))]
    np.testing.assert_allclose(mass, kron([M for M, _ in axes]), atol=1e-14)
    np.testing.assert_allclose(stiffness, sum(along), atol=1e-13)


def test_cells_of_a_lattice_do_not_see_its_diagonals_and_clamps():
    plain = lgn.cell_stencil(lgn.lattice((4, 5), periodic=(True, False)))
    other = lgn.cell_stencil(lgn.clamp(lgn.lattice((4, 5), periodic=(True, False), diagonals=True), [0]))
    np.testing.assert_array_equal(other.index, plain.index)
    assert plain.index.shape == (4 * 4 * 4, 4)


def test_a_cell_across_the_seam_has_the_shape_of_the_others():
    stencil = lgn.cell_stencil(lgn.lattice((4, 3), spacing=(0.5, 0.2)))
    for name in ("offset", "measure", "shape_gradient"):
        by_cell = stencil.geometry[name].reshape(12, 4, -1)
        np.testing.assert_array_equal(by_cell, np.broadcast_to(by_cell[:1], by_cell.shape))
    corners = np.array([[0, 0], [0.5, 0], [0.5, 0.2], [0, 0.2]])
    np.testing.assert_allclose(stencil.geometry["offset"][-1], corners, atol=1e-15)
    assert stencil.index[-1].tolist() == [11, 2, 0, 9]  # C order: node = 3 x + y


def test_cells_have_no_padding_and_no_edges():
    stencil = lgn.cell_stencil(lgn.lattice((4,), periodic=False))
    assert stencil.index.tolist() == [[0, 1], [0, 1], [1, 2], [1, 2], [2, 3], [2, 3]]
    assert stencil.mask.all() and (stencil.edge == -1).all()


NO_CELLS = {
    "graph without cells": (lambda: from_networkx(nx.petersen_graph()), "no cells.*lgn.from_mesh.*lgn.lattice"),
    "lattice of one node across": (lambda: lgn.lattice((5, 1), periodic=(True, False)), "axis of one node"),
    "lattice of four dimensions": (lambda: lgn.lattice((3, 3, 3, 3)), "4 dimensions.*1 to 3"),
}


@pytest.mark.parametrize("name", NO_CELLS)
def test_a_graph_without_cells_is_refused(name):
    build, message = NO_CELLS[name]
    with pytest.raises(ValueError, match=message):
        lgn.cell_stencil(build())


# What reaches a density: compared with a sum over the edges of the graph, in plain numpy.

SQUARE = dict(n_node=4, senders=[0, 1, 1, 2, 2, 3, 1, 3], receivers=[1, 0, 2, 1, 3, 2, 3, 1])


@pytest.fixture(scope="module")
def square():
    return lgn.from_edges(
        **SQUARE,
        positions=rng.normal(size=(4, 2)),
        edge_features={"spring": rng.normal(size=8)},
        node_features={"weight": rng.normal(size=(4, 3))},
    )


def value(graph, density, stencil=lgn.node_stencil):
    q = jnp.asarray(np.arange(1.0, 1 + int(graph.n_node[0])))[:, None]
    return float(lgn.Lagrangian(graph, [(density, stencil)])(q, 0 * q))


def edge_sum(graph, term, weight=1.0):
    q = np.arange(1.0, 1 + int(graph.n_node[0]))
    r, s = graph.receivers, graph.senders
    return sum(float(weight * term(q[i], q[j], e)) for e, (i, j) in enumerate(zip(r, s, strict=True)))


def test_edge_features_stand_in_the_slot_of_their_sender(square):
    spring = np.asarray(square.edges["spring"])
    got = value(square, lambda q, v, features: jnp.sum(features["spring"] * (q[:, 0] - 2 * q[0, 0])))
    np.testing.assert_allclose(got, edge_sum(square, lambda qi, qj, e: spring[e] * (qj - 2 * qi)), rtol=1e-13)


def test_node_features_are_gathered_for_every_slot(square):
    weight = np.asarray(square.nodes["weight"])
    r, s = square.receivers, square.senders

    def density(q, v, features):
        return jnp.sum(features["mask"][1:, None] * features["weight"][1:] * features["weight"][0] * q[1:])

    expected = edge_sum(square, lambda qi, qj, e: weight[s[e]] @ weight[r[e]] * qj)
    np.testing.assert_allclose(value(square, density), expected, rtol=1e-13)


def test_offset_is_sender_minus_receiver(square):
    place = square.nodes["position"]
    step = place[square.senders] - place[square.receivers]
    got = value(square, lambda q, v, features: jnp.sum(features["offset"] @ jnp.array([1.0, 7.0]) * q[:, 0]))
    np.testing.assert_allclose(got, edge_sum(square, lambda qi, qj, e: step[e] @ [1, 7] * qj), rtol=1e-13)


def test_mask_counts_neighbours(square):
    assert value(square, lambda q, v, features: jnp.sum(features["mask"][1:])) == 8


def test_measure_of_a_node_and_of_an_edge():
    grid = lgn.lattice((4, 5), spacing=(0.5, 0.2), periodic=False)
    volume = lambda q, v, features: features["measure"]  # noqa: E731
    np.testing.assert_allclose(value(grid, volume), 20 * 0.5 * 0.2)
    np.testing.assert_allclose(value(grid, volume, lgn.edge_stencil), 3 * 5 * 0.5 + 4 * 4 * 0.2)


def test_an_edge_term_reads_the_feature_that_slot_0_receives(square):
    spring = np.asarray(square.edges["spring"])
    r, s = square.receivers, square.senders
    got = value(square, lambda q, v, features: features["spring"][1] * (q[1, 0] + 3 * q[0, 0]), lgn.edge_stencil)
    np.testing.assert_allclose(got, edge_sum(square, lambda qi, qj, e: (r[e] < s[e]) * spring[e] * (qj + 3 * qi)))


def test_padding_does_not_change_L_of_a_masked_density(square):
    """The same stencil with two more unfilled slots an element: same sum."""

    def density(q, v, features):
        return jnp.sum(features["mask"] * (jnp.cos(q[:, 0]) + features["offset"][:, 0] + features["spring"]))

    def wider(graph):
        tight = lgn.node_stencil(graph)
        pad = ((0, 0), (0, 2))
        return Stencil(
            index=np.concatenate([tight.index, tight.index[:, :1], tight.index[:, :1]], 1),
            mask=np.pad(tight.mask, pad),
            edge=np.pad(tight.edge, pad, constant_values=-1),
            geometry={**tight.geometry, "offset": np.pad(tight.geometry["offset"], (*pad, (0, 0)))},
        )

    np.testing.assert_allclose(value(square, density, wider), value(square, density), rtol=1e-14)

"""Which solver a graph meets, and what conjugate gradients promise on those that have no narrow band."""

import time

import jax
import jax.numpy as jnp
import networkx as nx
import numpy as np
import pytest
import scipy.sparse.linalg
from flax import nnx

import lgn
from lgn._backends import backend
from lgn._pytrees import Static
from lgn.assembly.matrix import pattern
from lgn.solvers import choice
from lgn.solvers.choice import default_solver, estimated_costs
from lgn.solvers.solution import INDEFINITE, NOT_CONVERGED, SOLVED

pytestmark = pytest.mark.skipif(jax.default_backend() != "cpu", reason="what is chosen on a CPU")


def shuffled(G, seed=0):
    """A graph of networkx under numbers that mean nothing."""
    place = np.random.default_rng(seed).permutation(len(G))
    ends = place[np.array(nx.convert_node_labels_to_integers(G).edges)]
    return lgn.from_edges(len(G), np.r_[ends[:, 0], ends[:, 1]], np.r_[ends[:, 1], ends[:, 0]])


def pattern_of(graph, hops=1):
    return pattern(int(graph.n_node[0]), Static(lgn.node_stencil(graph, hops).index))


CATERPILLAR = nx.Graph([(i, i + 1) for i in range(300)] + [(i, 1000 + i) for i in range(300)])
CHOICE = {
    "single node": (lgn.single_node(), lgn.BlockDiagonal),
    "chain": (lgn.lattice((1000,), periodic=False), lgn.Banded),
    "ring": (lgn.lattice((1000,)), lgn.Banded),
    "shuffled ring": (shuffled(nx.cycle_graph(1001)), lgn.Banded),
    "strip": (lgn.lattice((4, 1000), periodic=False), lgn.Banded),
    "tube": (lgn.lattice((4, 1000), periodic=(True, False)), lgn.Banded),
    "shuffled ladder": (shuffled(nx.ladder_graph(500)), lgn.Banded),
    "caterpillar": (shuffled(CATERPILLAR), lgn.Banded),
    "small random tree": (shuffled(nx.random_labeled_tree(100, seed=0)), lgn.Banded),
    "lattice 2D": (lgn.lattice((64, 64)), lgn.ConjugateGradient),
    "lattice 3D": (lgn.lattice((12, 12, 12), periodic=False), lgn.ConjugateGradient),
    "binary tree": (shuffled(nx.balanced_tree(2, 9)), lgn.ConjugateGradient),
    "random graph": (shuffled(nx.random_regular_graph(3, 1000, seed=0)), lgn.ConjugateGradient),
}


def network(graph, dim=1, **named):
    slots = lgn.node_stencil(graph).slots
    return lgn.MLPDensity(slots, dim, (6, 5), rngs=nnx.Rngs(0), **named)


@pytest.mark.parametrize("name", CHOICE)
def test_solver_follows_from_the_graph(name):
    graph, kind = CHOICE[name]
    for dim in (1, 2):
        L = lgn.Lagrangian(graph, network(graph, dim))
        assert isinstance(L.solver_for(dim), kind) and kind.__name__ in repr(L)


def test_a_clamp_does_not_change_the_choice_and_a_solver_that_is_given_is_kept():
    for graph, kind in (CHOICE["chain"], CHOICE["lattice 2D"]):
        assert isinstance(lgn.Lagrangian(lgn.clamp(graph, [3]), network(graph)).solver_for(1), kind)
        given = lgn.ConjugateGradient(tolerance=1e-6)
        assert lgn.Lagrangian(graph, network(graph), solver=given).solver_for(1) is given


@pytest.mark.parametrize("graph", [CHOICE["lattice 2D"][0], CHOICE["random graph"][0]])
def test_without_coupled_velocities_every_graph_has_a_diagonal_mass_matrix(graph):
    """A kinetic term on the nodes and a potential on the edges."""
    kinetic = lambda q, v, features: 0.5 * jnp.sum(v[0] ** 2)  # noqa: E731
    spring = lambda q, v, features: -0.5 * jnp.sum((q[1] - q[0]) ** 2)  # noqa: E731
    L = lgn.Lagrangian(graph, [(kinetic, lambda g: lgn.node_stencil(g, 0)), (spring, lgn.edge_stencil)])
    assert L.solver_for(1) == L.solver_for(3) == lgn.BlockDiagonal()


@pytest.mark.parametrize(
    ("name", "width"), [("shuffled ring", 4), ("strip", 8), ("shuffled ladder", 4), ("caterpillar", 8)]
)
def test_the_order_finds_the_band(name, width):
    """Neighbours of neighbours lie two steps away, and a step passes the nodes of one cross-section: 2 of a ladder, 4
    of the strip, a node and a leg of the caterpillar, whose best is 4; a folded ring has two nodes a step."""
    assert pattern_of(CHOICE[name][0]).half_bandwidth <= width


def test_costs_grow_linearly_where_the_band_is_taken():
    for small, large in (((1000,), (4000,)), ((4, 1000), (4, 4000))):
        one, four = (estimated_costs(pattern_of(lgn.lattice(s, periodic=False)), 1) for s in (small, large))
        assert four[lgn.Banded()] == 4 * one[lgn.Banded()] < four[lgn.ConjugateGradient()]


@pytest.mark.benchmark
@pytest.mark.parametrize("shape, hops", [((1000, 1000), 1), ((1000, 1000), 2), ((100, 100, 100), 1)])
def test_the_choice_takes_seconds_on_a_million_nodes(shape, hops):
    joined = pattern_of(lgn.lattice(shape), hops)
    start = time.perf_counter()
    assert isinstance(default_solver(joined, 1), lgn.ConjugateGradient)
    assert time.perf_counter() - start < 10


def test_info_shows_the_choice():
    lines = choice.solver_table()
    row = {name: next(line for line in lines if line.startswith(name)).split() for name in ("chain", "lattice of 64")}
    assert row["chain"][-4:] == ["2", "24", "720", "Banded"]
    assert row["lattice of 64"][-1] == "ConjugateGradient"


# -- Conjugate gradients -----------------------------------------------------------------------------------------------


def rough(layer, layers):
    """A network far from its start."""
    return nnx.initializers.variance_scaling(1.5, "fan_in", "normal")


def state(graph, dim=1, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=(2, int(graph.n_node[0]), dim)))


def test_iterations_do_not_grow_with_the_lattice():
    counts = []
    for n in (32, 128):
        graph = lgn.lattice((n, n))
        solution = lgn.Lagrangian(graph, network(graph, mass=4.0, initializer=rough)).solve(*state(graph))
        assert solution.status == SOLVED and solution.residual < 1e-11
        counts.append(int(solution.iterations))
    assert abs(counts[1] - counts[0]) <= 2, counts
    assert counts[0] > 4, "the test is about a matrix that is not the identity"


def test_blocks_of_two_degrees_of_freedom_are_the_preconditioner():
    """Degrees of freedom of masses 1 and 1e4 that are coupled within a node: the iterations are those of the coupling
    between nodes, where scipy's conjugate gradients without a preconditioner take many times as many."""
    block = jnp.array([[1e4, 70.0], [70.0, 1.0]])

    def density(q, v, features):
        pairs = v[1:] - v[0]
        kinetic = 0.5 * v[0] @ block @ v[0] + 0.02 * jnp.einsum("si,ij,sj", pairs, block, pairs)
        return kinetic - 0.5 * jnp.sum((q[1:] - q[0]) ** 2)

    graph = lgn.lattice((16, 16))
    L = lgn.Lagrangian(graph, density, solver=lgn.ConjugateGradient(1e-10))
    q, v = state(graph, 2)
    solution = L.solve(q, v)
    assert solution.status == SOLVED
    steps = []
    mass, f = L.equation(q, v)
    by_scipy, failed = scipy.sparse.linalg.cg(mass.sparse(), np.asarray(f).ravel(), rtol=1e-10, callback=steps.append)
    assert not failed and len(steps) > 3 * solution.iterations, (len(steps), int(solution.iterations))
    np.testing.assert_allclose(solution.value.ravel(), by_scipy, atol=1e-6 * np.abs(by_scipy).max())


def test_a_matrix_that_is_not_definite_is_told_with_what_was_reached():
    """l = v^2 / 2 - 0.3 sum of (dv)^2: the waves of short length have negative mass. Never a silent wrong answer."""

    def density(q, v, features):
        return 0.5 * v[0, 0] ** 2 - 0.3 * jnp.sum((v[1:] - v[0]) ** 2) - 0.5 * jnp.sum((q[1:] - q[0]) ** 2)

    graph = lgn.lattice((16, 16))
    L = lgn.Lagrangian(graph, density)
    assert L.solver_for(1) == lgn.ConjugateGradient()
    for seed in range(5):
        q, v = state(graph, seed=seed)
        (mass, f), solution = L.equation(q, v), L.solve(q, v)
        assert solution.status == NOT_CONVERGED
        assert np.isfinite(solution.value).all()
        residual = np.linalg.norm(mass.sparse() @ solution.value - f) / np.linalg.norm(f)
        assert float(solution.residual) == pytest.approx(residual, rel=1e-9) and residual > 1e-3
    with pytest.raises(lgn.SingularMassMatrix, match=r"did not converge.*lgn.Banded\(\) or lgn.Dense"):
        L.acceleration(q, v)
    direct = lgn.Lagrangian(graph, density, solver=lgn.Dense()).solve(q, v)
    assert direct.status == INDEFINITE and direct.residual < 1e-10


@pytest.mark.parametrize(
    ("nodes", "on_cpu", "on_gpu"), [(10, lgn.Banded, lgn.Banded), (10_000, lgn.Banded, lgn.ConjugateGradient)]
)
def test_a_long_scan_is_not_for_an_accelerator(nodes, on_cpu, on_gpu):
    """By the row of its backend in the one table, which stands for the device here."""
    string = pattern(nodes, Static(lgn.node_stencil(lgn.lattice((nodes,))).index))
    assert isinstance(default_solver(string, 1, backend("cpu")), on_cpu)
    assert isinstance(default_solver(string, 1, backend("gpu")), on_gpu)
    assert backend("tpu") == backend("gpu") != backend() == backend("cpu")

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

import lgn
from lgn._pytrees import Static
from lgn.assembly.matrix import BlockMatrix, pattern
from lgn.solvers.solution import INDEFINITE, NOT_CONVERGED, SINGULAR, SOLVED

GRAPHS = {
    "chain": lgn.lattice((9,), periodic=False),
    "ring": lgn.lattice((10,)),
    "ladder": lgn.lattice((2, 7), periodic=False),
}
SOLVERS = {"dense": lgn.Dense(), "banded": lgn.Banded(), "cg": lgn.ConjugateGradient()}


def tables(graph):
    return tuple(Static(stencil(graph).index) for stencil in (lgn.node_stencil, lgn.edge_stencil))


def build(graph, blocks, dim) -> BlockMatrix:
    return BlockMatrix(pattern(int(graph.n_node[0]), *tables(graph)), tuple(blocks), dim)


def random_blocks(graph, dim, seed, prior=1.0):
    """Positive definite: squares on each element, and `prior` times the identity on slot 0 of each node element."""
    rng = np.random.default_rng(seed)
    out = []
    for table in tables(graph):
        elements, slots = table.value.shape
        root = rng.normal(size=(elements, slots * dim, slots * dim)) / np.sqrt(slots * dim)
        out.append((root @ root.swapaxes(1, 2)).reshape(elements, slots, dim, slots, dim))
    for i in range(dim):
        out[0][:, 0, i, 0, i] += prior
    return [jnp.asarray(block) for block in out]


def assemble(graph, blocks, dim):
    """Sum of the element blocks, entry by entry, in numpy."""
    n = int(graph.n_node[0])
    out = np.zeros((n, dim, n, dim))
    for table, block in zip(tables(graph), blocks, strict=True):
        s, t = np.broadcast_arrays(table.value[:, :, None], table.value[:, None, :])
        np.add.at(out.transpose(0, 2, 1, 3), (s, t), np.asarray(block).transpose(0, 1, 3, 2, 4))
    return out.reshape(n * dim, n * dim)


def random_force(graph, dim, seed=1):
    return jnp.asarray(np.random.default_rng(seed).normal(size=(int(graph.n_node[0]), dim)))


def solve(solver, graph, dim, blocks, force):
    return solver(build(graph, blocks, dim), force)


@pytest.mark.parametrize("graph, dim", [("chain", 1), ("ring", 2), ("ladder", 3)])
def test_forms_of_the_mass_matrix_are_the_sum_of_its_blocks(graph, dim):
    graph = GRAPHS[graph]
    blocks = random_blocks(graph, dim, seed=0)
    mass, expected = build(graph, blocks, dim), assemble(graph, blocks, dim)
    a = random_force(graph, dim)
    dense, product, diagonal = jax.jit(lambda mass, a: (mass.dense(), mass @ a, mass.diagonal()))(mass, a)
    np.testing.assert_allclose(dense, expected, atol=1e-13)
    np.testing.assert_allclose(mass.sparse().toarray(), expected, atol=1e-13)
    np.testing.assert_allclose(product.ravel(), expected @ a.ravel(), atol=1e-12)
    nodal = expected.reshape(len(a), dim, len(a), dim)
    np.testing.assert_allclose(diagonal, [nodal[i, :, i] for i in range(len(a))], atol=1e-13)


@pytest.mark.parametrize(
    "solver, graph, dim", [("dense", "ring", 2), ("banded", "ring", 2), ("banded", "ladder", 1), ("cg", "ladder", 1)]
)
def test_solvers_agree_with_numpy_in_value_and_both_derivatives(solver, graph, dim):
    """With M a = f: da = M^-1 (df - dM a), and <w, da> = <M^-1 w, df - dM a>. Two systems at a time."""
    graph, solver = GRAPHS[graph], SOLVERS[solver]
    several = [random_blocks(graph, dim, seed) for seed in (0, 1)]
    changes = [[jnp.asarray(b - 0.8) for b in random_blocks(graph, dim, seed)] for seed in (2, 3)]
    stack = lambda many: jax.tree.map(lambda *x: jnp.stack(x), *many)  # noqa: E731
    f, df, w = (jnp.stack([random_force(graph, dim, seed + i) for i in (0, 1)]) for seed in (10, 20, 30))

    @jax.jit
    @jax.vmap
    def all_three(blocks, force, d_blocks, d_force, w):
        def run(blocks, force):
            solution = solve(solver, graph, dim, blocks, force)
            return solution.value, solution

        _, tangent, solution = jax.jvp(run, (blocks, force), (d_blocks, d_force), has_aux=True)
        _, pull, _ = jax.vjp(run, blocks, force, has_aux=True)
        return solution, tangent, pull(w)

    solution, tangent, (to_blocks, to_force) = all_three(stack(several), f, stack(changes), df, w)
    assert (solution.status == SOLVED).all() and (solution.residual < 1e-11).all()
    for i, (blocks, change) in enumerate(zip(several, changes, strict=True)):
        inverse = np.linalg.inv(assemble(graph, blocks, dim))
        a = inverse @ f[i].ravel()
        da = inverse @ (df[i].ravel() - assemble(graph, change, dim) @ a)
        scale = np.abs(a).max()
        np.testing.assert_allclose(solution.value[i].ravel(), a, atol=1e-10 * scale)
        np.testing.assert_allclose(tangent[i].ravel(), da, atol=1e-9 * np.abs(da).max())
        pulled = sum(jnp.sum(g[i] * b) for g, b in zip(to_blocks, change, strict=True)) + jnp.sum(to_force[i] * df[i])
        np.testing.assert_allclose(pulled, w[i].ravel() @ da, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_block_diagonal_is_numpy_on_each_node(dim):
    root = np.random.default_rng(0).normal(size=(6, dim, dim))
    blocks = root @ root.swapaxes(1, 2) + np.eye(dim)
    table = Static(np.arange(6)[:, None].astype(np.int32))
    mass = BlockMatrix(pattern(6, table), (jnp.asarray(blocks)[:, None, :, None, :],), dim)
    force = jnp.asarray(np.random.default_rng(1).normal(size=(6, dim)))
    solution = jax.jit(lgn.BlockDiagonal())(mass, force)
    np.testing.assert_allclose(solution.value, np.linalg.solve(blocks, force[..., None])[..., 0], rtol=1e-12)
    assert solution.status == SOLVED
    np.testing.assert_allclose(jax.jit(lgn.Banded())(mass, force).value, solution.value, rtol=1e-10)


@pytest.mark.parametrize("graph, dim", [("chain", 1), ("ring", 2), ("ladder", 2)])
def test_banded_is_scipy_solveh_banded(graph, dim):
    graph = GRAPHS[graph]
    blocks, force = random_blocks(graph, dim, 5), random_force(graph, dim)
    order = build(graph, blocks, dim).pattern.order
    n = len(force)
    ordered = assemble(graph, blocks, dim).reshape(n, dim, n, dim)[order][:, :, order].reshape(n * dim, n * dim)
    width = max(i - j for i, j in zip(*np.nonzero(ordered), strict=True))
    lower = np.array([np.append(np.diagonal(ordered, -k), np.zeros(k)) for k in range(width + 1)])
    expected = scipy.linalg.solveh_banded(lower, np.asarray(force[order]).ravel(), lower=True).reshape(n, dim)
    band = build(graph, blocks, dim).band()
    np.testing.assert_allclose(band, lower, atol=1e-13)
    found = jax.jit(lambda b, f: solve(lgn.Banded(), graph, dim, b, f).value)(blocks, force)
    np.testing.assert_allclose(found[order], expected, atol=1e-12 * np.abs(expected).max())


def half_bandwidth(graph, hops=1):
    return pattern(int(graph.n_node[0]), Static(lgn.node_stencil(graph, hops).index)).half_bandwidth


@pytest.mark.parametrize("hops", [1, 2])
def test_a_folded_ring_is_exactly_twice_as_wide_as_a_chain(hops):
    for n in (11, 12, 101):
        assert half_bandwidth(lgn.lattice((n,), periodic=False), hops) == 2 * hops
        assert half_bandwidth(lgn.lattice((n,)), hops) == 4 * hops


def indefinite(graph, dim, seed):
    """A matrix with eigenvalues of both signs, none near zero: shifted to the widest gap of its lower spectrum."""
    values = np.linalg.eigvalsh(assemble(graph, random_blocks(graph, dim, seed, prior=0.0), dim))
    gaps = np.diff(values)[: len(values) // 2]
    return random_blocks(graph, dim, seed, prior=-values[gaps.argmax()] - gaps.max() / 2)


@pytest.mark.parametrize("graph, dim", [("chain", 1), ("ring", 2), ("ladder", 2)])
def test_indefinite_matrix_is_solved_by_banded_and_told(graph, dim):
    graph = GRAPHS[graph]
    banded = jax.jit(lambda b, f: solve(lgn.Banded(), graph, dim, b, f))
    for seed in range(4):
        blocks, force = indefinite(graph, dim, seed), random_force(graph, dim, seed)
        expected = np.linalg.solve(assemble(graph, blocks, dim), force.ravel())
        solution = banded(blocks, force)
        np.testing.assert_allclose(solution.value.ravel(), expected, atol=1e-9 * np.abs(expected).max())
        assert solution.status == INDEFINITE and solution.residual < 1e-9
        assert solution.check() is solution


def test_conjugate_gradients_report_that_the_limit_was_met():
    ring = GRAPHS["ring"]
    mass, force = build(ring, random_blocks(ring, 2, 0), 2), random_force(ring, 2)
    short = jax.jit(lgn.ConjugateGradient(limit=3))(mass, force)
    assert (int(short.status), int(short.iterations)) == (NOT_CONVERGED, 3) and short.residual > 1e-6
    enough = jax.jit(lgn.ConjugateGradient(tolerance=1e-8))(mass, force)
    assert enough.status == SOLVED and 3 < enough.iterations <= 40 and enough.residual < 1e-7


@pytest.mark.parametrize(
    "solver, graph, dim", [("dense", "ladder", 2), ("banded", "ring", 1), ("banded", "ladder", 2), ("cg", "ladder", 2)]
)
def test_a_node_without_mass_is_reported_as_singular_and_named(solver, dim, graph):
    graph = GRAPHS[graph]
    lost = 4
    blocks = []
    for table, block in zip(tables(graph), random_blocks(graph, dim, 0), strict=True):
        kept = (table.value != lost).astype(float)
        blocks.append(block * kept[:, :, None, None, None] * kept[:, None, None, :, None])
    solution = jax.jit(SOLVERS[solver])(build(graph, blocks, dim), random_force(graph, dim))
    assert (int(solution.status), int(solution.node)) == (SINGULAR, lost)
    with pytest.raises(lgn.SingularMassMatrix, match=f"is singular, worst at node {lost},.*kinetic prior"):
        solution.check()


@pytest.mark.parametrize("solver", ["dense", "banded"])
def test_a_matrix_singular_only_as_a_whole_is_reported(solver):
    """The squares of differences along a chain: positive blocks, but the constant vector has no mass."""
    chain = GRAPHS["chain"]
    node, edge = random_blocks(chain, 1, 0)
    difference = jnp.broadcast_to(jnp.array([[1.0, -1.0], [-1.0, 1.0]])[:, None, :, None], edge.shape)
    mass, force = build(chain, [0 * node, difference], 1), random_force(chain, 1)
    assert jax.jit(SOLVERS[solver])(mass, force).status == SINGULAR


def test_patterns_of_equal_graphs_are_one_object_and_one_program():
    one, two = (pattern(10, *tables(lgn.lattice((10,)))) for _ in range(2))
    assert one is two and hash(one) == hash(two)
    assert one != pattern(10, *tables(lgn.lattice((10,), periodic=False)))

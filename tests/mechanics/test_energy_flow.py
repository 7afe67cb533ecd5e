"""Energy flows and structures, against dense matrices, equations in closed form, and finite elements."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import lgn
from lgn.systems import cahn_hilliard, kdv

RANDOM = np.random.default_rng(0)


def quartic(u, features):
    """Couples all slots, not even."""
    weight = features["mask"][1:]
    return 0.25 * jnp.sum(u[0] ** 4) + 0.3 * jnp.sum(u[0] ** 3) + jnp.sum(weight[:, None] * (u[1:] - u[0]) ** 2)


def energy(u, features):
    """Of a node alone."""
    return jnp.sum(jnp.cosh(u[0]))


SQUARE = lgn.lattice((4, 5), spacing=(0.5, 0.25))
CHAIN = lgn.lattice((6,), spacing=0.5, periodic=False)
STAR = lgn.from_edges(5, [0, 1, 0, 2, 0, 3, 0, 4], [1, 0, 2, 0, 3, 0, 4, 0], None, {"w": np.repeat([1.0, 2, 3, 4], 2)})
STRUCTURES = {
    "symplectic": (lgn.single_node(), lgn.Symplectic(), 4),
    "damped": (lgn.single_node(), lgn.Damped([0.5, 0.0]), 4),
    "learned friction": (lgn.single_node(), lgn.Damped(nnx.Param(0.3)), 2),
    "first difference": (SQUARE, lgn.FirstDifference(), 2),
    "first difference of a chain": (CHAIN, lgn.FirstDifference(), 1),
    "laplacian": (SQUARE, lgn.Laplacian(), 2),
    "laplacian with corners": (lgn.lattice((4, 5), diagonals=True), lgn.Laplacian(), 1),
    "laplacian of a chain": (CHAIN, lgn.Laplacian(), 1),
    "weighted laplacian": (STAR, lgn.Laplacian(weight="w"), 1),
    "free kernel": (SQUARE, lgn.LearnedStructure(lgn.FreeKernel((3, 3), rngs=nnx.Rngs(0))), 1),
    "conserving kernel": (SQUARE, lgn.LearnedStructure(lgn.ConservingKernel((3, 3), rngs=nnx.Rngs(0))), 2),
    "conserving kernel of a chain": (CHAIN, lgn.LearnedStructure(lgn.ConservingKernel((5,), rngs=nnx.Rngs(0))), 1),
    "dissipative kernel": (SQUARE, lgn.LearnedStructure(lgn.DissipativeKernel((3, 3), scale=9.0, rngs=nnx.Rngs(0))), 1),
    "relaxation": (SQUARE, lgn.Relaxation([0.5, 2.0]), 2),
    "scaled": (SQUARE, 0.5 * lgn.Laplacian() + -2.0 * lgn.FirstDifference(), 1),
    "sum": (SQUARE, lgn.FirstDifference() + lgn.Laplacian() + lgn.FirstDifference(1), 1),
}
each = pytest.mark.parametrize("name", STRUCTURES)


def flow_of(name):
    graph, structure, dim = STRUCTURES[name]
    return lgn.EnergyFlow(graph, energy, structure=structure), dim


@each
def test_a_structure_keeps_its_promise_and_the_energy_law(name):
    """With its matrix, its transpose and its pseudo-inverse, which leaves nothing in the null space."""
    flow, dim = flow_of(name)
    G, structure, report = np.asarray(flow.structure.matrix(dim)), flow.structure.given, flow.structure.check(dim)
    u, inverse = RANDOM.normal(size=(flow.domain.size, dim)), flow.structure.pseudo_inverse(dim)

    @jax.jit
    def products(flow, u):
        image = flow.structure(u)
        back = inverse(image)
        return flow.power(u), flow.gradient(u), flow.rate((u,))[0], image, flow.structure.adjoint(u), back

    power, slope, rate, image, adjoint, back = map(np.asarray, products(flow, u))
    np.testing.assert_allclose(power, np.sum(slope * rate), rtol=1e-12, atol=1e-12)
    largest = np.abs(report.spectrum).max()
    size = np.linalg.norm(slope) ** 2 * largest
    if structure.conserves:
        assert report.antisymmetry_error < 1e-14 and abs(power) < 1e-13 * size
        np.testing.assert_allclose(report.spectrum.real, 0, atol=1e-6 * largest)
    if structure.dissipates:
        assert report.largest < 1e-12 * largest and power < 1e-13 * size
    np.testing.assert_allclose(image.ravel(), G @ u.ravel(), atol=1e-12)
    np.testing.assert_allclose(adjoint.ravel(), G.T @ u.ravel(), atol=1e-12)
    np.testing.assert_allclose(G @ back.ravel(), image.ravel(), atol=1e-9 * np.abs(image).max())
    null = np.linalg.svd(G)[2][np.linalg.matrix_rank(G, tol=1e-9) :]
    np.testing.assert_allclose(null @ back.ravel(), 0, atol=1e-9 * (1 + np.abs(back).max()))


@each
def test_saved_and_loaded(name, tmp_path):
    graph, structure, dim = STRUCTURES[name]
    density = lgn.MLPDensity(lgn.node_stencil(graph).slots, dim, (5,), fields=1, rngs=nnx.Rngs(1))
    flow = lgn.EnergyFlow(graph, density, structure=structure, discrete=lgn.MeanValue(3))
    lgn.save(tmp_path / "flow", flow)
    again, u = lgn.load(tmp_path / "flow"), RANDOM.normal(size=(flow.domain.size, dim))
    assert again.discrete == lgn.MeanValue(3) and type(again.structure.given) is type(structure)
    np.testing.assert_array_equal(again.structure(u), flow.structure(u))
    for one, other in zip(jax.tree.leaves(again), jax.tree.leaves(flow), strict=True):
        np.testing.assert_array_equal(one, other)


def test_gradient_and_energy_are_those_of_the_sum_over_nodes():
    u = RANDOM.normal(size=(20, 2))
    flow = lgn.EnergyFlow(SQUARE, quartic, structure=lgn.Laplacian())
    table = lgn.node_stencil(SQUARE).index

    @jax.jit
    def total(u):
        return sum(quartic(u[row], {"mask": np.ones(5)}) for row in table)

    np.testing.assert_allclose(flow.energy(u), total(u), rtol=1e-13)
    np.testing.assert_allclose(flow.gradient(u), jax.grad(total)(jnp.asarray(u)), rtol=1e-12, atol=1e-12)
    expected = (np.asarray(flow.structure.matrix(2)) @ np.ravel(jax.grad(total)(jnp.asarray(u)))).reshape(u.shape)
    np.testing.assert_allclose(flow.rate((u,), 3.0)[0], expected, rtol=1e-10, atol=1e-10)
    assert flow(u) == flow.energy(u)


def test_fields_move_as_their_equations_in_closed_form():
    u, dx = RANDOM.normal(size=(50, 1)), 0.2
    flow = lgn.EnergyFlow(lgn.lattice((50,), spacing=dx), kdv.density, structure=lgn.FirstDifference())
    np.testing.assert_allclose(flow.rate((u,))[0], kdv.rate(u, dx), rtol=1e-11, atol=1e-9)
    graph = lgn.lattice((8, 9), spacing=(0.02, 0.03))
    u = RANDOM.normal(size=(8, 9, 1))
    flow = lgn.EnergyFlow(graph, cahn_hilliard.density, structure=lgn.Laplacian())
    found = np.reshape(flow.rate((u.reshape(-1, 1),))[0], u.shape)
    expected = np.asarray(cahn_hilliard.rate(u, (0.02, 0.03)))
    np.testing.assert_allclose(found, expected, atol=1e-10 * np.abs(expected).max())


def test_a_density_of_q_and_v_is_a_hamiltonian_of_q_and_p():
    def spring(q, p, features):
        return 0.5 * jnp.sum(p[0] ** 2) / 2.0 + 1.5 * jnp.sum(q[0] ** 2)

    flow = lgn.EnergyFlow(lgn.single_node(), lgn.canonical(spring), structure=lgn.Symplectic())
    u = np.array([[1.0, 2.0, 3.0, 4.0]])
    np.testing.assert_allclose(flow.rate((u,))[0], [[1.5, 2.0, -3.0, -6.0]])
    network = lgn.canonical(lgn.MLPDensity(1, 2, (4,), rngs=nnx.Rngs(0)))
    assert lgn.EnergyFlow(lgn.single_node(), network, structure=lgn.Symplectic()).rate((u,))[0].shape == (1, 4)


def turns_left(corners):
    return np.linalg.det(corners[:, 1:3] - corners[:, :1]) > 0


def test_laplacian_of_finite_elements_is_the_assembly_of_another_library():
    skfem = pytest.importorskip("skfem")
    from skfem.helpers import dot, grad

    for mesh, element in (
        (skfem.MeshTri().refined(2), skfem.ElementTriP1()),
        (skfem.MeshQuad().refined(2), skfem.ElementQuad1()),
    ):
        basis = skfem.Basis(mesh, element)
        K = skfem.BilinearForm(lambda u, v, _: dot(grad(u), grad(v))).assemble(basis).toarray()
        m = skfem.BilinearForm(lambda u, v, _: u * v).assemble(basis).toarray().sum(1)
        cells = np.array([cell if turns_left(mesh.p[:, cell]) else cell[[0, 2, 1]] for cell in mesh.t.T])
        flow = lgn.EnergyFlow(lgn.from_mesh(mesh.p.T, cells), energy, structure=lgn.Laplacian())
        np.testing.assert_allclose(flow.structure.matrix(1), -K / np.outer(m, m), atol=1e-9 / m.min() ** 2)


def test_weighted_laplacian_of_a_graph_is_the_matrix_of_networkx():
    import networkx

    star = networkx.Graph([(0, i, {"weight": float(i)}) for i in range(1, 5)])
    expected = -networkx.laplacian_matrix(star, nodelist=range(5)).toarray()
    found = lgn.EnergyFlow(STAR, energy, structure=lgn.Laplacian(weight="w")).structure.matrix(1)
    np.testing.assert_allclose(found, expected)


def test_laplacian_is_minus_the_square_of_the_wave_number_on_waves():
    n, dx = 12, 0.3
    flow = lgn.EnergyFlow(lgn.lattice((n,), spacing=dx), energy, structure=lgn.Laplacian())
    for mode in range(4):
        wave = np.cos(2 * np.pi * mode * np.arange(n) / n)[:, None]
        np.testing.assert_allclose(
            flow.structure(wave), -((2 / dx * np.sin(np.pi * mode / n)) ** 2) * wave, atol=1e-12 / dx**2
        )


@pytest.mark.parametrize("seed, shape", [*enumerate([(5,), (1, 3), (5, 3)])])
def test_kernels_by_construction_keep_their_laws(seed, shape):
    graph = lgn.lattice((6, 7)[: len(shape)])
    for kind in (lgn.ConservingKernel, lgn.DissipativeKernel):
        flow = lgn.EnergyFlow(graph, energy, structure=lgn.LearnedStructure(kind(shape, rngs=nnx.Rngs(seed))))
        report = flow.structure.check(1)
        assert report.row_sum < 1e-13 or kind is lgn.ConservingKernel
        assert report.antisymmetry_error < 1e-13 or kind is lgn.DissipativeKernel
    kernel = lgn.FreeKernel(shape, rngs=nnx.Rngs(seed))
    u = np.random.default_rng(seed).normal(size=(flow.domain.size, 1))
    found = lgn.EnergyFlow(graph, energy, structure=lgn.LearnedStructure(kernel)).structure(u)
    field, axes = u.reshape((6, 7)[: len(shape)]), tuple(range(len(shape)))
    steps = {o: [n // 2 - i for i, n in zip(o, shape, strict=True)] for o in np.ndindex(shape)}
    expected = sum(x * np.roll(field, steps[o], axes) for o, x in np.ndenumerate(np.asarray(kernel.weights())))
    np.testing.assert_allclose(found[:, 0], expected.ravel(), atol=1e-12)


def test_a_three_by_three_dissipative_kernel_can_be_the_laplacian():
    kernel = lgn.DissipativeKernel((3, 3), rngs=nnx.Rngs(0))
    a, b = np.zeros((2, 2)), np.zeros((2, 2))
    a[0], b[:, 0] = (1, -1), (1, -1)
    kernel.free[...] = jnp.asarray(np.stack([a, b, np.zeros((2, 2))]))
    np.testing.assert_allclose(kernel.weights(), [[0, 1, 0], [1, -4, 1], [0, 1, 0]], atol=1e-14)


def test_clamped_nodes_stay_and_energy_is_still_conserved():
    graph = lgn.clamp(lgn.lattice((9,), periodic=False), [0, 8])
    flow = lgn.EnergyFlow(graph, quartic, structure=lgn.FirstDifference())
    u = RANDOM.normal(size=(9, 1))
    rate = np.asarray(flow.rate((u,))[0])
    assert rate[0] == rate[8] == 0 and abs(float(flow.power(u))) < 1e-12 * np.abs(rate).max()


def test_friction_is_learned_and_stays_positive():
    graph, target = lgn.single_node(), 0.3
    u = jnp.asarray(RANDOM.normal(size=(40, 1, 2)))

    def spring(u, features):
        return 0.5 * jnp.sum(u[0] ** 2)

    exact = lgn.EnergyFlow(graph, spring, structure=lgn.Damped(target))
    data = lgn.States(u, jax.jit(jax.vmap(lambda u: exact.rate((u,))[0]))(u))
    flow = lgn.EnergyFlow(graph, spring, structure=lgn.Damped(nnx.Param(1.0)))
    fit = lgn.fit(flow, data, key=jax.random.key(0), loss=lgn.rate_loss, phases=[lgn.QuasiNewton(50)])
    np.testing.assert_allclose(fit.system.structure.given.r, target, rtol=1e-6)


class Wrong(nnx.Pytree):
    """Promises more than it keeps."""

    config = lgn.config_of

    def __init__(self, conserves, dissipates):
        self.conserves, self.dissipates = conserves, dissipates

    def tables(self, graph):
        return ()

    def apply(self, tables, x):
        return x + 0.1 * jnp.roll(x, 1, 0)


def flow_with(structure, graph=SQUARE, density=energy):
    return lgn.EnergyFlow(graph, density, structure=structure)


def q_and_v(q, v, features):
    return jnp.sum(v**2)


WRONG = {
    "does not conserve": (lambda: flow_with(Wrong(True, False)).structure.check(1), "to conserve.*antisymmetric"),
    "does not dissipate": (lambda: flow_with(Wrong(False, True)).structure.check(1), "never rises.*negative semi"),
    "does not keep it in a motion": (
        lambda: lgn.rollout(flow_with(Wrong(True, False)), RANDOM.normal(size=(20, 1)), [0, 1]), "x . G x .* for an x"),
    "dissipative kernel with open ends": (
        lambda: flow_with(lgn.LearnedStructure(lgn.DissipativeKernel((3,), rngs=nnx.Rngs(0))), CHAIN),
        "open ends.*make it periodic",
    ),
    "density of two fields": (
        lambda: flow_with(lgn.Laplacian(), density=q_and_v).energy(np.ones((20, 1))),
        r"q_and_v takes 2 fields.*has 1.*density\(u, features\), or read it by lgn.canonical",
    ),
    "learned density of two fields": (
        lambda: flow_with(lgn.Laplacian(), density=lgn.MLPDensity(5, 1, (3,), rngs=nnx.Rngs(0)))(np.ones((20, 1))),
        "takes 2 fields",
    ),
    "density of one field in a Lagrangian": (
        lambda: lgn.Lagrangian(SQUARE, energy)(np.ones((20, 1)), np.ones((20, 1))),
        r"takes 1 fields.*has 2.*density\(q, v, features\)",
    ),
    "fields": (lambda: lgn.MLPDensity(1, 1, fields=3, rngs=nnx.Rngs(0)), "fields=3; give 2"),
    "friction of one field": (lambda: lgn.PositiveForm(1, 1, fields=1), r"functions of \(q, v\)"),
    "called with another number": (
        lambda: lgn.MLPDensity(1, 1, fields=1, rngs=nnx.Rngs(0))(np.ones((1, 1)), np.ones((1, 1)), {}),
        r"of u \(fields=1\) is given \(q, v\); make it with fields=2",
    ),
    "odd halves": (lambda: flow_with(lgn.Symplectic(), density=lgn.canonical(q_and_v))(np.ones((20, 3))), "even"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_wrong_input_is_named(name):
    call, message = WRONG[name]
    with pytest.raises(ValueError, match=message):
        call()

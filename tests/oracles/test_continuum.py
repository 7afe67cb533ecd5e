"""Densities of the continuum, against scikit-fem and closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import lgn
from lgn import diagnostics


def wave(phi, gradient, rate, features):
    return 0.5 * jnp.sum(rate**2) - 0.5 * jnp.sum(gradient**2)


def strong(layer, layers):
    return nnx.initializers.variance_scaling(0.5, "fan_in", "normal")


def l_shape():
    skfem = pytest.importorskip("skfem")
    return skfem, skfem.MeshTri.init_lshaped().refined(2)


def graph_of(mesh):
    points, cells = mesh.p.T, mesh.t.T.copy()
    a, b = (points[cells[:, i]] - points[cells[:, 0]] for i in (1, 2))
    inverted = a[:, 0] * b[:, 1] < a[:, 1] * b[:, 0]
    cells[inverted] = cells[inverted][:, ::-1]
    return lgn.from_mesh(points, cells)


def test_wave_on_a_mesh_is_that_of_scikit_fem():
    skfem, mesh = l_shape()
    from skfem.models.poisson import laplace, mass

    basis = skfem.Basis(mesh, skfem.ElementTriP1())
    M, K = mass.assemble(basis).toarray(), laplace.assemble(basis).toarray()
    L = lgn.Lagrangian(graph_of(mesh), [(lgn.Continuum(wave), lgn.cell_stencil)])
    q, v = np.random.default_rng(0).normal(size=(2, mesh.nvertices, 1))
    np.testing.assert_allclose(L.mass_matrix(q, v).toarray(), M, atol=1e-14)
    np.testing.assert_allclose(L.stiffness_matrix(q).toarray(), K, atol=1e-12)
    expected = -np.linalg.solve(M, K @ q)
    np.testing.assert_allclose(jax.jit(L.acceleration)(q, v), expected, rtol=1e-8, atol=1e-9 * np.abs(expected).max())


def test_eigenfrequencies_of_a_mesh_are_those_of_dense_linear_algebra():
    scipy_linalg = pytest.importorskip("scipy.linalg")
    skfem, mesh = l_shape()
    from skfem.models.poisson import laplace, mass

    basis, inner = skfem.Basis(mesh, skfem.ElementTriP1()), mesh.interior_nodes()
    M, K = (form.assemble(basis).toarray()[np.ix_(inner, inner)] for form in (mass, laplace))
    drum = lgn.clamp(graph_of(mesh), mesh.boundary_nodes())
    L = lgn.Lagrangian(drum, [(lgn.Continuum(wave), lgn.cell_stencil)])
    omega, modes = diagnostics.eigenfrequencies(L, np.zeros((mesh.nvertices, 1)), 5)
    np.testing.assert_allclose(omega**2, scipy_linalg.eigh(K, M)[0][:5], rtol=1e-9)
    assert (modes[:, mesh.boundary_nodes()] == 0).all()


def test_eigenfrequencies_of_a_free_chain_begin_with_its_drift():
    def string(q, v, features):
        return 0.5 * v[0, 0] ** 2 - 0.5 * (q[2, 0] - q[0, 0]) ** 2

    L = lgn.Lagrangian(lgn.lattice((9,), periodic=False), string)
    omega, _ = diagnostics.eigenfrequencies(L, np.zeros((9, 1)), 4)
    np.testing.assert_allclose(omega, 2 * np.sin(np.pi * np.arange(4) / 18), atol=1e-6)


def test_eigenfrequencies_of_an_unstable_rest_are_negative():
    def inverted(q, v, features):
        return 0.5 * v[0, 0] ** 2 + 0.5 * 9.0 * q[0, 0] ** 2 - 0.5 * (q[2, 0] - q[0, 0]) ** 2

    L = lgn.Lagrangian(lgn.lattice((9,)), inverted)
    slowest = -np.sqrt(9 - 4 * np.sin(4 * np.pi / 9) ** 2)
    np.testing.assert_allclose(diagnostics.eigenfrequencies(L, np.zeros((9, 1)), 2)[0], [slowest] * 2, rtol=1e-9)


def test_eigenfrequencies_need_a_rest():
    def falling(q, v, features):
        return 0.5 * v[0, 0] ** 2 - 9.8 * q[0, 0] - 0.5 * (q[2, 0] - q[0, 0]) ** 2

    L = lgn.Lagrangian(lgn.lattice((5,)), falling)
    with pytest.raises(ValueError, match="no rest"):
        diagnostics.eigenfrequencies(L, np.zeros((5, 1)), 2)


@pytest.mark.parametrize("spacing", [0.05, 0.4])
def test_the_same_density_at_any_spacing_moves_long_waves_alike(spacing):
    n = round(8 / spacing)
    L = lgn.Lagrangian(lgn.lattice((n,), spacing), [(lgn.Continuum(wave), lgn.cell_stencil)])
    k = 2 * np.pi / 8
    q = np.sin(k * spacing * np.arange(n))[:, None]
    omega_squared = 6 / spacing**2 * (1 - np.cos(k * spacing)) / (2 + np.cos(k * spacing))  # linear elements, exact
    np.testing.assert_allclose(jax.jit(L.acceleration)(q, 0 * q), -omega_squared * q, atol=1e-11)


def test_isotropic_field_density_does_not_see_a_rotation():
    random = np.random.default_rng(0)
    phi, gradient, rate = (jnp.asarray(random.normal(size=n)) for n in (2, (3, 2), 2))
    rotation = np.linalg.qr(random.normal(size=(3, 3)))[0]
    run = jax.jit(lambda density, gradient: density(phi, gradient, rate, {}))
    isotropic, seen = (lgn.FieldMLP(2, 3, isotropic=x, initializer=strong, rngs=nnx.Rngs(0)) for x in (True, False))
    np.testing.assert_allclose(run(isotropic, rotation @ gradient), run(isotropic, gradient), rtol=1e-12)
    assert abs(run(seen, rotation @ gradient) - run(seen, gradient)) > 1e-3


def test_field_density_without_shifts_conserves_momentum():
    local = lgn.FieldMLP(1, 2, relative=True, initializer=strong, rngs=nnx.Rngs(0))
    L = lgn.Lagrangian(lgn.lattice((4, 5), 0.5), [(lgn.Continuum(local), lgn.cell_stencil)])
    q, v = np.random.default_rng(0).normal(size=(2, 20, 1))
    push = jax.jit(lambda q: jax.grad(lambda q: L(q, v))(q))(jnp.asarray(q))
    assert np.abs(push).max() > 1e-2
    assert abs(push.sum()) < 1e-13

"""Meshes and their cells, against scikit-fem."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lgn

rng = np.random.default_rng(0)

SQUARE = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
TRIANGLES = np.array([[0, 1, 2], [0, 2, 3]])


def positive(points, cells):
    """Simplices turned so that their determinants are positive."""
    edges = points[cells[:, 1:]] - points[cells[:, :1]]
    turned = cells[:, [1, 0, *range(2, cells.shape[1])]]
    return np.where(np.linalg.det(edges)[:, None] > 0, cells, turned)


def fem(kind):
    """(points, cells, mass, stiffness) of an irregular mesh, by scikit-fem."""
    skfem = pytest.importorskip("skfem")
    from skfem.models.poisson import laplace, mass

    mesh, element, levels, order = {
        "segment": (skfem.MeshLine, skfem.ElementLineP1, 3, 2),
        "triangle": (skfem.MeshTri, skfem.ElementTriP1, 3, 2),
        "quadrilateral": (skfem.MeshQuad, skfem.ElementQuad1, 3, 3),
        "tetrahedron": (skfem.MeshTet, skfem.ElementTetP1, 2, 2),
        "hexahedron": (skfem.MeshHex, skfem.ElementHex1, 2, 3),
    }[kind]
    mesh = mesh().refined(levels)
    mesh = type(mesh)(mesh.p + 0.02 * np.random.default_rng(1).normal(size=mesh.p.shape), mesh.t)
    basis = skfem.Basis(mesh, element(), intorder=order)
    points, cells = mesh.p.T, mesh.t.T
    if kind == "hexahedron":
        unit = skfem.MeshHex()  # tells scikit-fem's own order of the corners
        corners = [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1]]
        cells = mesh.t.T[:, [np.flatnonzero((unit.p.T[unit.t[:, 0]] == c).all(1))[0] for c in corners]]
    elif kind != "quadrilateral":
        cells = positive(points, cells)
    return points, cells, mass.assemble(basis).toarray(), laplace.assemble(basis).toarray()


KINDS = ["segment", "triangle", "quadrilateral", "tetrahedron", "hexahedron"]


@pytest.mark.parametrize("kind", KINDS)
def test_mass_and_stiffness_equal_those_of_scikit_fem(kind):
    points, cells, mass, stiffness = fem(kind)

    def density(q, v, features):
        field, gradient = features["shape"] @ v, features["shape_gradient"].T @ q
        return features["measure"] * (0.5 * jnp.sum(field**2) - 0.5 * jnp.sum(gradient**2))

    L = lgn.Lagrangian(lgn.from_mesh(points, cells), [(density, lgn.cell_stencil)])
    q = rng.normal(size=(len(points), 1))
    np.testing.assert_allclose(L.mass_matrix(q, q).toarray(), mass, atol=1e-12 * mass.max())
    np.testing.assert_allclose(L.force(q, q), -stiffness @ q, atol=1e-12 * stiffness.max())


@pytest.mark.parametrize("kind", KINDS)
def test_measures_sum_to_the_measure_of_the_domain(kind):
    points, cells, mass, _ = fem(kind)
    graph = lgn.from_mesh(points, cells)
    np.testing.assert_allclose(graph.nodes["measure"], mass.sum(1), rtol=1e-12)
    np.testing.assert_allclose(lgn.cell_stencil(graph).geometry["measure"].sum(), mass.sum(), rtol=1e-13)


@pytest.mark.parametrize("kind", KINDS)
def test_linear_functions_are_reproduced(kind):
    points, cells, _, _ = fem(kind)
    stencil = lgn.cell_stencil(lgn.from_mesh(points, cells))
    g, slope = stencil.geometry, np.arange(1.0, 1 + points.shape[1])
    u = (0.3 + points @ slope)[stencil.index]
    place = np.einsum("es,esi->ei", g["shape"], points[stencil.index])
    np.testing.assert_allclose(np.einsum("es,es->e", g["shape"], u), 0.3 + place @ slope, rtol=1e-13)
    np.testing.assert_allclose(np.einsum("esi,es->ei", g["shape_gradient"], u) - slope, 0, atol=1e-11)
    np.testing.assert_allclose(g["offset"], points[stencil.index] - points[stencil.index[:, :1]])
    assert stencil.mask.all() and (stencil.edge == -1).all()


def test_edges_join_vertices_that_share_a_cell():
    graph = lgn.from_mesh(SQUARE, TRIANGLES)
    pairs = set(zip(graph.senders.tolist(), graph.receivers.tolist(), strict=True))
    assert pairs == {(i, j) for i in range(4) for j in range(4) if i != j} - {(1, 3), (3, 1)}
    np.testing.assert_array_equal(graph.edges["offset"], SQUARE[graph.senders] - SQUARE[graph.receivers])
    np.testing.assert_allclose(graph.nodes["measure"], [1 / 3, 1 / 6, 1 / 3, 1 / 6])
    assert graph.globals["cells"].dtype == np.int32 and graph.globals["cells"].tolist() == TRIANGLES.tolist()
    assert lgn.from_mesh(SQUARE, [[0, 1, 2, 3]]).senders.size == 12  # of a quadrilateral the diagonals too


def test_node_features_reach_the_density():
    graph = lgn.from_mesh(SQUARE, TRIANGLES, node_features={"k": np.arange(4.0)})
    density = lambda q, v, features: features["measure"] * (features["shape"] @ features["k"])  # noqa: E731
    L = lgn.Lagrangian(graph, [(density, lgn.cell_stencil)])
    q = np.zeros((4, 1))
    np.testing.assert_allclose(L(q, q), (1 / 6) * 1 + (1 / 3) * 2 + (1 / 6) * 3)


def test_clamped_mesh_keeps_its_cells():
    assert "cells" in lgn.clamp(lgn.from_mesh(SQUARE, TRIANGLES), [0]).globals


def test_the_numbering_of_a_mesh_moves_nothing():
    points, cells, _, _ = fem("triangle")

    def membrane(q, v, features):
        field, gradient = features["shape"] @ v, features["shape_gradient"].T @ q
        return features["measure"] * (0.5 * jnp.sum(field**2) - jnp.sqrt(1 + jnp.sum(gradient**2)))

    @jax.jit
    def force_and_momentum(L, q):
        return jnp.concatenate([L.force(q, q), L.momentum(q, q)], 1)

    def found(points, cells, q):
        return force_and_momentum(lgn.Lagrangian(lgn.from_mesh(points, cells), [(membrane, lgn.cell_stencil)]), q)

    order = rng.permutation(len(points))
    turned = np.roll(np.argsort(order)[cells], 1, axis=1)[rng.permutation(len(cells))]
    q = rng.normal(size=(len(points), 1))
    expected = np.asarray(found(points, cells, q))[order]
    np.testing.assert_allclose(found(points[order], turned, q[order]), expected, rtol=1e-10, atol=1e-12)


TETRAHEDRON = np.concatenate([np.zeros((1, 3)), np.eye(3)])
ERRORS = {
    "points of one axis": (lambda: lgn.from_mesh([0.0, 1.0], [[0, 1]]), r"points has shape \(2,\).*\(node, space\)"),
    "points not finite": (lambda: lgn.from_mesh([[0, 0], [1, 0], [0, np.nan]], [[0, 1, 2]]), "node 2 are not finite"),
    "points in 4D": (lambda: lgn.from_mesh(np.eye(4), [[0, 1, 2, 3]]), "points in 4D.*1D to 3D"),
    "cells of one axis": (lambda: lgn.from_mesh(SQUARE, [0, 1, 2]), r"cells has shape \(3,\).*\(cell, 3\) triangle"),
    "no cells": (lambda: lgn.from_mesh(SQUARE, np.zeros((0, 3), int)), r"cells has shape \(0, 3\)"),
    "triangles in 3D": (lambda: lgn.from_mesh(TETRAHEDRON, [[0, 1, 2]]), r"\(1, 3\) for points in 3D.*points\[:, :2\]"),
    "negative vertex": (lambda: lgn.from_mesh(SQUARE, [[0, 1, -1]]), r"cell 0 is \[0, 1, -1\]"),
    "inverted quadrilateral": (
        lambda: lgn.from_mesh(SQUARE, [[0, 3, 2, 1]]),
        r"cell 0 is inverted.*\[\[0, 3, 2, 1\]\]",
    ),
    "inverted tetrahedron": (lambda: lgn.from_mesh(TETRAHEDRON, [[0, 2, 1, 3]]), r"inverted.*\[\[0, 1, 3, 2\]\]"),
    "inverted segment": (lambda: lgn.from_mesh([[0.0], [1.0]], [[1, 0]]), r"cell 0 is inverted.*\[\[1, 0\]\]"),
    "vertex twice in a cell": (lambda: lgn.from_mesh(SQUARE, [[0, 1, 2], [0, 3, 3]]), "cell 1 is degenerate"),
    "crossed quadrilateral": (
        lambda: lgn.from_mesh(SQUARE, [[0, 2, 1, 3]]),
        "cell 0 is degenerate or not convex.*order",
    ),
    "arrow": (lambda: lgn.from_mesh([[0, 0], [1, 0], [0.2, 0.2], [0, 1]], [[0, 1, 2, 3]]), "not convex"),
    "all points in one": (lambda: lgn.from_mesh(np.zeros((3, 2)), [[0, 1, 2]]), "cell 0 is degenerate"),
    "features of other nodes": (lambda: lgn.from_mesh(SQUARE, TRIANGLES, {"k": np.ones(3)}), r"\['k'\].*\(4, \.\.\.\)"),
    "reserved feature": (lambda: lgn.from_mesh(SQUARE, TRIANGLES, {"measure": np.ones(4)}), "'measure'.*rename"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_error_names_the_cell_and_the_fix(name):
    build, message = ERRORS[name]
    with pytest.raises(ValueError, match=message):
        build()


def test_what_the_errors_advise_mends():
    for points, cells in [
        ([[0.0], [1.0]], [[1, 0]]),
        (SQUARE, [[0, 3, 2, 1]]),
        (TETRAHEDRON, [[0, 2, 1, 3]]),
        (SQUARE[:3], [[0, 2, 1]]),
        (np.array(list(np.ndindex(2, 2, 2))), [[0, 1, 3, 2, 4, 5, 7, 6]]),
    ]:
        cells = np.array(cells)
        with pytest.raises(ValueError, match="inverted") as caught:
            lgn.from_mesh(points, cells)
        order = eval(str(caught.value).split("cells[cell][")[1].removesuffix("]"))
        assert lgn.from_mesh(points, cells[:, order]).nodes["measure"].min() > 0


# Files


def written(tmp_path, points, cells, name="mesh.vtk"):
    meshio = pytest.importorskip("meshio")
    meshio.Mesh(np.asarray(points, float), [(kind, np.asarray(block)) for kind, block in cells]).write(tmp_path / name)
    return tmp_path / name


FLAT = np.c_[SQUARE, np.zeros(4)]


def test_a_file_gives_its_cells_of_highest_dimension_without_the_flat_coordinate(tmp_path):
    cells = [("line", [[0, 1], [1, 2]]), ("triangle", TRIANGLES[:1]), ("triangle", TRIANGLES[1:])]
    graph, expected = lgn.from_meshio(written(tmp_path, FLAT, cells)), lgn.from_mesh(SQUARE, TRIANGLES)
    np.testing.assert_array_equal(graph.globals["cells"], TRIANGLES)
    np.testing.assert_array_equal(graph.nodes["position"], SQUARE)
    np.testing.assert_array_equal(graph.senders, expected.senders)


@pytest.mark.parametrize("kind", KINDS)
def test_a_mesh_survives_its_file(tmp_path, kind):
    points, cells, _, _ = fem(kind)
    names = dict(zip(KINDS, ["line", "triangle", "quad", "tetra", "hexahedron"], strict=True))
    space = np.pad(points, ((0, 0), (0, 3 - points.shape[1])))
    graph = lgn.from_meshio(written(tmp_path, space, [(names[kind], cells)]))
    np.testing.assert_array_equal(graph.nodes["position"], points)
    np.testing.assert_array_equal(graph.globals["cells"], cells)


def test_points_of_a_file_that_no_cell_uses_are_left_out(tmp_path):
    points = np.insert(FLAT, 1, [[7.0, 7.0, 3.0]], axis=0)
    graph = lgn.from_meshio(written(tmp_path, points, [("triangle", [[0, 2, 3], [0, 3, 4]])]))
    np.testing.assert_array_equal(graph.nodes["position"], SQUARE)
    np.testing.assert_array_equal(graph.globals["cells"], TRIANGLES)


FILE_ERRORS = {
    "two kinds": (
        [("triangle", [[0, 1, 2]]), ("quad", [[0, 1, 2, 3]])],
        FLAT,
        "cells quad, triangle; expected one kind",
    ),
    "no supported kind": ([("vertex", [[0], [1]])], FLAT, "cells vertex; expected one kind"),
    "surface that is not planar": (
        [("triangle", TRIANGLES)],
        FLAT + np.eye(4)[:, 1:] * [0, 0, 1],
        "not lie in the first 2",
    ),
}


@pytest.mark.parametrize("name", FILE_ERRORS)
def test_a_file_without_a_mesh_of_one_kind_is_refused(tmp_path, name):
    cells, points, message = FILE_ERRORS[name]
    with pytest.raises(ValueError, match=message):
        lgn.from_meshio(written(tmp_path, points, cells))


def test_a_file_that_is_not_there_or_not_whole_is_refused(tmp_path, capsys):
    pytest.importorskip("meshio")
    with pytest.raises(FileNotFoundError, match=r"mesh\.vtk does not exist"):
        lgn.from_meshio(tmp_path / "mesh.vtk")
    for name in ("mesh.msh", "mesh.vtk", "mesh.unknown"):
        (tmp_path / name).write_text("no mesh")
        with pytest.raises(ValueError, match="meshio cannot read"):
            lgn.from_meshio(tmp_path / name)


def test_without_meshio_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "meshio", None)
    with pytest.raises(ImportError, match=r"pip install 'lgn\[mesh\]'"):
        lgn.from_meshio("mesh.msh")


def test_cells_of_a_file_are_turned_round_and_it_is_said(tmp_path):
    points = [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]]
    path = written(tmp_path, points, [("triangle", [[0, 2, 1], [0, 2, 3]])])
    with pytest.warns(UserWarning, match="1 of 2 cells were turned round"):
        assert lgn.from_meshio(path).nodes["measure"].sum() == pytest.approx(1)

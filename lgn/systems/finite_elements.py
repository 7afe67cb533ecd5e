"""The wave equation q_tt = laplacian q by linear finite elements, assembled by scikit-fem (extra `mesh`):

    L = v . M v / 2 - q . K q / 2,    M a = -K q,

with the consistent mass matrix M and the stiffness matrix K of a mesh of lines or triangles. One node a vertex; lengths
are those of the mesh, the wave speed is 1. Ends are free; `eigenfrequencies` holds the boundary.

Meshes are scikit-fem's `MeshLine` and `MeshTri`.
"""

import jax.numpy as jnp
import jraph
import numpy as np

from lgn.data.samples import States
from lgn.densities.continuum import Continuum
from lgn.graphs.meshes import from_mesh


def density(q, v, features):
    """l on `cell_stencil`: the measure of the cell times v^2 / 2 - |grad q|^2 / 2.

    Example:
        >>> import lgn, skfem
        >>> from lgn.systems import finite_elements
        >>> mesh = finite_elements.strings(0.1)
        >>> L = lgn.Lagrangian(finite_elements.graph(mesh), [(finite_elements.density, lgn.cell_stencil)])
        >>> states = finite_elements.sample(0, 1, mesh)
        >>> bool(abs(L.acceleration(states.q[0], states.v[0]) - states.a[0]).max() < 1e-3 * abs(states.a).max())
        True
    """
    return Continuum(_wave)(q, v, features)


def _wave(phi, gradient, rate, features):
    return 0.5 * jnp.sum(rate**2) - 0.5 * jnp.sum(gradient**2)


def acceleration(mesh, q) -> np.ndarray:
    """-M^-1 K q of q (..., node, 1), the ends free."""
    from scipy.sparse.linalg import splu

    M, K = matrices(mesh)
    fields = np.asarray(q)[..., 0]
    solved = splu(M).solve(K @ fields.reshape(-1, mesh.nvertices).T)
    return -solved.T.reshape(fields.shape)[..., None]


def energy(mesh, q, v) -> np.ndarray:
    """v . M v / 2 + q . K q / 2 of (..., node, 1)."""
    M, K = matrices(mesh)
    return 0.5 * (_square(M, v) + _square(K, q))


def sample(seed: int, count: int, mesh, size: float = 1.0) -> States:
    """States of independent normal q and v of that size, with the accelerations of `acceleration`."""
    q, v = np.random.default_rng(seed).normal(size=(2, count, mesh.nvertices, 1)) * size
    return States(jnp.asarray(q), jnp.asarray(v), jnp.asarray(acceleration(mesh, q)))


def bump(mesh, centre) -> tuple[np.ndarray, np.ndarray]:
    """q and v, (node, 1), of a resting Gaussian bump of variance 0.01 on a mesh whose boundary is held."""
    q = np.exp(-np.sum((mesh.p - np.reshape(centre, (-1, 1))) ** 2, 0) / 0.02)
    q[mesh.boundary_nodes()] = 0
    return q[:, None], np.zeros((q.size, 1))


def steepness(mesh, q) -> float:
    """Root mean square of the gradient of fields (..., node, 1)."""
    M, K = matrices(mesh)
    return float(np.sqrt(np.mean(_square(K, q)) / M.sum()))


def eigenfrequencies(mesh, count: int) -> np.ndarray:
    """The lowest angular frequencies of the mesh with its boundary held, by ARPACK."""
    from scipy.sparse.linalg import eigsh

    inner = mesh.interior_nodes()
    M, K = (matrix[inner][:, inner] for matrix in matrices(mesh))
    return np.sqrt(np.sort(eigsh(K, count, M, sigma=0, return_eigenvectors=False)))


def matrices(mesh):
    """M and K, sparse."""
    import skfem
    from skfem.models.poisson import laplace, mass

    element = {1: skfem.ElementLineP1, 2: skfem.ElementTriP1}[len(mesh.p)]()
    basis = skfem.Basis(mesh, element)
    return mass.assemble(basis).tocsc(), laplace.assemble(basis).tocsc()


def graph(mesh) -> jraph.GraphsTuple:
    """The mesh as a graph, cells turned counterclockwise."""
    points, cells = mesh.p.T, mesh.t.T.copy()
    if points.shape[1] == 2:
        (ax, ay), (bx, by) = np.moveaxis(points[cells[:, 1:]] - points[cells[:, :1]], 0, -1)
        inverted = ax * by < ay * bx
        cells[inverted] = cells[inverted][:, [0, 2, 1]]
    return from_mesh(points, cells)


def square(side: int, seed: int):
    """The unit square with side x side vertices, those inside moved at random, triangulated by Delaunay."""
    import skfem
    from scipy.spatial import Delaunay

    points = np.stack(np.meshgrid(*[np.linspace(0, 1, side)] * 2, indexing="ij"), -1)
    points[1:-1, 1:-1] += np.random.default_rng(seed).uniform(-0.3, 0.3, (side - 2, side - 2, 2)) / (side - 1)
    points = points.reshape(-1, 2)
    return skfem.MeshTri(*(np.ascontiguousarray(x.T) for x in (points, Delaunay(points).simplices)))


def strings(*spacings: float):
    """One string of 13 vertices for each spacing, apart from one another."""
    import skfem

    ends = np.cumsum([0, *(12 * spacing + 1 for spacing in spacings)])
    points = np.concatenate([start + h * np.arange(13) for start, h in zip(ends, spacings, strict=False)])
    cells = np.arange(len(points)).reshape(-1, 13)
    return skfem.MeshLine(points[None], np.stack([cells[:, :-1].ravel(), cells[:, 1:].ravel()]))


def _square(matrix, x):
    """x . matrix x over nodes, (...), of (..., node, 1)."""
    x = np.asarray(x)[..., 0]
    return np.sum(x * (matrix @ x.reshape(-1, x.shape[-1]).T).T.reshape(x.shape), -1)

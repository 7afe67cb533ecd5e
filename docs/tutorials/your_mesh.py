# %% [markdown]
# # Your own mesh: a density of the continuum, on any domain
#
# You will write the density of a membrane as it stands in a textbook and put it on an unstructured mesh of an L-shaped
# drum; then learn the density of an anisotropic fabric from a square patch and predict how a drum of it sounds. Both
# are compared with scikit-fem. It takes about half a minute.

# %%
import jax
import matplotlib.pyplot as plt
import numpy as np
import skfem
from flax import nnx
from scipy.sparse.linalg import eigsh, splu
from scipy.spatial import Delaunay
from skfem.helpers import grad

import lgn
from lgn import diagnostics, plots

jax.config.update("jax_enable_x64", True)
plt.rcParams.update(plots.FONT)

# %% [markdown]
# ## A mesh
#
# A mesh is an array of points and an array of cells, the numbers of the corners of each. Here it is made by scipy:
# points in the L-shape, jittered where they lie inside, and the triangles between them. From a file of Gmsh, VTK or
# Abaqus, `lgn.from_meshio(path)` reads both.

# %%
rng = np.random.default_rng(0)


def triangulated(side, inside):
    """Points (node, 2) and triangles (cell, 3) of a part of the square [-1, 1]^2, and the nodes of its rim."""
    x = np.linspace(-1, 1, side)
    points = np.stack(np.meshgrid(x, x, indexing="ij"), -1).reshape(-1, 2)
    points = points[inside(points, 1e-9)]
    h = x[1] - x[0]
    rim = ~inside(points, -h / 2)
    points[~rim] += rng.uniform(-0.25, 0.25, (np.sum(~rim), 2)) * h
    cells = Delaunay(points).simplices  # of the convex hull: leave out what lies outside
    return points, cells[inside(points[cells].mean(1), 1e-9)], np.flatnonzero(rim)


def square(p, margin):
    return np.abs(p).max(-1) < 1 + margin


def l_shape(p, margin):
    return square(p, margin) & ((p < margin).any(-1))


points, cells, rim = triangulated(25, l_shape)
mesh = lgn.from_mesh(points, cells)
print(f"{len(points)} vertices, {len(cells)} triangles, area {mesh.nodes['measure'].sum():.6f}")
assert np.isclose(mesh.nodes["measure"].sum(), 3)

# %% [markdown]
# ## A density of the continuum
#
# With the tension and the mass per area as units, a membrane has the Lagrangian density
#
# $$\ell(\phi, \nabla\phi, \dot\phi) = \tfrac12 \dot\phi^2 - \tfrac12 |\nabla\phi|^2 .$$
#
# `Continuum` interpolates the field within each cell and integrates: linear finite elements with their consistent mass
# matrix. `cell_stencil` is where it stands, one element a cell. The rim is clamped.


# %%
def membrane(phi, gradient, rate, features):
    """phi, rate: (dim,); gradient: (space, dim)."""
    return 0.5 * rate[0] ** 2 - 0.5 * gradient[:, 0] @ gradient[:, 0]


drum = lgn.Lagrangian(lgn.clamp(mesh, rim), [(lgn.Continuum(membrane), lgn.cell_stencil)])
omega, modes = diagnostics.eigenfrequencies(drum, np.zeros((len(points), 1)), 3)

fig, axes = plt.subplots(1, 3, figsize=(12, 3.8), layout="constrained")
for ax, frequency, mode in zip(axes, omega, modes, strict=True):
    values = mode[:, 0] / mode[np.abs(mode).argmax(), 0]
    plots.mesh(ax, points, cells, values, f"omega = {frequency:.4f}", limit=1.0, bar=ax is axes[-1])
plt.show()

# %% [markdown]
# The eigenvalues of the L-shape are known: $\omega_1^2 = 9.63972$, $\omega_2^2 = 15.19725$ and $\omega_3^2 = 2 \pi^2$
# (Betcke and Trefethen 2005, doi 10.1137/S0036144503437336). Linear elements approach them from above as the mesh is
# refined, the first slowest, for its gradient is infinite at the corner. scikit-fem, which assembles the same matrices
# on its own, agrees to rounding.


# %%
def matrices(points, cells, tension=(1.0, 1.0)):
    """Stiffness and mass by scikit-fem, of a fabric with a tension of its own along each axis."""
    basis = skfem.Basis(skfem.MeshTri(points.T.copy(), cells.T.copy()), skfem.ElementTriP1())
    stiffness = skfem.BilinearForm(lambda u, w, _: sum(T * grad(u)[i] * grad(w)[i] for i, T in enumerate(tension)))
    mass = skfem.BilinearForm(lambda u, w, _: u * w)
    return stiffness.assemble(basis).tocsc(), mass.assemble(basis).tocsc()


def eigenfrequencies(points, cells, rim, count, **fabric):
    """The lowest, with the rim held."""
    inner = np.setdiff1d(np.arange(len(points)), rim)
    K, M = (matrix[inner][:, inner] for matrix in matrices(points, cells, **fabric))
    return np.sqrt(np.sort(eigsh(K, count, M, sigma=0, return_eigenvectors=False)))


published = np.sqrt([9.6397238, 15.1972519, 2 * np.pi**2])
print("above the published values by", omega / published - 1)
print("apart from scikit-fem by", omega / eigenfrequencies(points, cells, rim, 3) - 1)
assert (np.abs(omega / published - 1) < 0.02).all()
assert np.allclose(omega, eigenfrequencies(points, cells, rim, 3), rtol=1e-9)

# %% [markdown]
# ## A density that you do not know
#
# Now a fabric, four times as tense along x as along y, which nobody has told us. What there is: 20 states of a square
# patch with free ends, its displacements, velocities and accelerations; here by scikit-fem.

# %%
tension = (4.0, 1.0)
patch, patch_cells, _ = triangulated(6, square)
K, M = matrices(patch, patch_cells, tension)
rng = np.random.default_rng(1)
q = rng.normal(size=(20, len(patch), 1))
slope = np.sqrt(np.mean([x @ K @ x for x in q[..., 0]]) / M.sum())  # typical gradient, and velocity
v = slope * rng.normal(size=q.shape)
a = -splu(M).solve(K @ q[..., 0].T).T[..., None]
data = lgn.States(q, v, a)

# %% [markdown]
# `FieldMLP` is a network in the place of `membrane`. `relative=True`: a shift of the whole field moves nothing, so that
# it enters by its gradient alone. `isotropic=False`: directions may differ. The scales are typical sizes of what
# enters; without them training is slow.

# %%
scales = {"gradient_scale": slope, "v_scale": slope, "energy_scale": slope**2}
field = lgn.FieldMLP(dim=1, space=2, relative=True, isotropic=False, hidden=(8, 8), **scales, rngs=nnx.Rngs(0))
system = lgn.Lagrangian(lgn.from_mesh(patch, patch_cells), [(lgn.Continuum(field), lgn.cell_stencil)])
fit = lgn.fit(system, data, key=jax.random.key(0), phases=[lgn.QuasiNewton(steps=200)])
print(f"{fit.seconds:.0f} s of training; held-out error of the acceleration {fit.held_out:.1e}")

# %% [markdown]
# ## The drum of that fabric
#
# The density knows neither the patch nor its mesh. On the L-shape, with its rim clamped:

# %%
fabric = fit.system.on(lgn.clamp(mesh, rim))
omega, _ = diagnostics.eigenfrequencies(fabric, np.zeros((len(points), 1)), 10)
error = np.abs(omega / eigenfrequencies(points, cells, rim, 10, tension=tension) - 1)
print(f"ten lowest eigenfrequencies: apart from scikit-fem by {error.max():.1e} at most")
assert error.max() < 1e-2

# %% [markdown]
# Struck in one arm, the fabric carries the wave twice as fast along x.

# %%
bump = np.exp(-np.sum((points - [-0.5, 0.5]) ** 2, 1) / 0.02)
bump[rim] = 0
start = (bump[:, None], np.zeros((len(points), 1)))
motion = lgn.rollout(fabric, start, np.linspace(0, 0.75, 16), lgn.Verlet(0.005))

fig, axes = plt.subplots(1, 4, figsize=(13, 3.4), layout="constrained")
for ax, i in zip(axes, (0, 3, 6, 15), strict=True):
    plots.mesh(ax, points, cells, motion.q[i, :, 0], f"t = {motion.t[i]:.2g}", limit=0.4, bar=i == 15)
plt.show()
energy = motion.energy - fabric.energy(*np.zeros((2, len(points), 1)))  # above that of the fabric at rest
print(f"energy changes by {diagnostics.drift(energy):.1e}")
assert diagnostics.drift(energy) < 0.02

# %% [markdown]
# ## What to change for your data
#
# - **Mesh**: `lgn.from_mesh(points, cells)` of segments, triangles, quadrilaterals, tetrahedra or hexahedra, or
#   `lgn.from_meshio(path)`. What is refused, and a lumped mass that needs no linear solver: [bring your own
#   mesh](../mesh.md). A periodic box is a lattice: `lgn.lattice((64, 64), spacing=0.1)` has cells too.
# - **Density**: any function of `phi`, `gradient`, `rate` and `features`; nonlinear, of several fields, or with
#   features such as a thickness, given to `from_mesh` as `node_features`.
# - **Learned**: `isotropic=True` where the material has no direction; leave `relative` out where the field is held to a
#   place, as on an elastic foundation. Give the scales, or training is slow.
# - **Boundary**: `lgn.clamp(mesh, nodes)`; what is not clamped is free. `motion=` moves clamped nodes.
# - **Data**: train on the mesh of your measurements or your solver, with the states as they are.

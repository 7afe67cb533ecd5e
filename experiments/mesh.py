"""Learns the density of a wave in the plane on one triangle mesh, runs it on a finer one and on an L-shaped domain.

The data are accelerations by scikit-fem on the training mesh; eigenfrequencies on the other meshes are compared with
scikit-fem's there. A table shows one density trained at two spacings and used at others.
"""

from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import skfem
import tyro
from flax import nnx
from report import show
from scipy.sparse.linalg import eigsh, splu
from scipy.spatial import Delaunay
from skfem.models.poisson import laplace, mass

import lgn
from lgn import diagnostics, plots, runs

ASKED = {"eigenfrequency_rel_max": 1e-2}


@dataclass(frozen=True)
class Config:
    """Settings of the experiment."""

    out: Path = Path("runs/mesh")
    """Folder for tables, pictures and checkpoints."""
    quick: bool = False
    """Coarse meshes and a short training, to see that everything runs."""
    seed: int = 0
    side: int = 9
    """The training mesh has side x side vertices."""
    states: int = 30
    steps: int = 800
    """Iterations of BFGS."""
    end: float = 3.0


def main(config: Config) -> dict:
    """Trains, runs other meshes, writes the folder, prints the table."""
    jax.config.update("jax_enable_x64", True)
    matplotlib.use("agg")
    folder = runs.begin(config.out, config)
    steps = 60 if config.quick else config.steps
    training = square(config.side, config.seed)
    fit = train(training, 2, config.states, steps, config.seed, folder / "training")
    meshes = {
        "training mesh": training,
        "finer square": square(12 if config.quick else 40, config.seed + 1),
        "L-shaped": skfem.MeshTri.init_lshaped().refined(2 if config.quick else 5),
    }
    density, rows = fit.system.density, []
    for name, mesh in meshes.items():
        drum = lgn.Lagrangian(lgn.clamp(graph_of(mesh), mesh.boundary_nodes()), [(density, lgn.cell_stencil)])
        frequencies, _ = diagnostics.eigenfrequencies(drum, jnp.zeros((mesh.nvertices, 1)), 10)
        worst = float(np.abs(frequencies / eigenfrequencies(mesh, 10) - 1).max())
        rows.append({"mesh": name, "nodes": int(mesh.nvertices), "eigenfrequency_rel_max": worst})
    motion = pluck(drum, mesh, 0.3 if config.quick else config.end)
    energy = exact_energy(mesh, motion)
    resolution = across_spacings(config, steps, folder)
    metrics = {
        "eigenfrequency_rel_max": max(row["eigenfrequency_rel_max"] for row in rows[1:]),
        "energy_drift_true": diagnostics.drift(energy),
        "energy_drift_learned": diagnostics.drift(motion.energy),
        "residual_max": float(motion.residual.max()),
        **{f"acceleration_rel_rms_spacing_{row['spacing']}": row["acceleration_rel_rms"] for row in resolution},
        "nodes_train": int(training.nvertices),
        "nodes_test": int(mesh.nvertices),
        "train_seconds": fit.seconds,
        "parameters": sum(x.size for x in jax.tree.leaves(nnx.state(fit.system, nnx.Param))),
    }
    runs.write_metrics(folder, metrics, [*rows, *resolution])
    runs.keep_motion(folder, drum, motion)
    draw(folder, meshes, rows, motion, energy)
    shown = {**metrics, **{f"eigenfrequencies, {row['mesh']}": row["eigenfrequency_rel_max"] for row in rows}}
    show("a density of the continuum on other meshes", shown, ASKED, folder)
    return metrics


def square(side: int, seed: int) -> skfem.MeshTri:
    """The unit square with side x side vertices, those inside moved at random, triangulated by Delaunay."""
    points = np.stack(np.meshgrid(*[np.linspace(0, 1, side)] * 2, indexing="ij"), -1)
    points[1:-1, 1:-1] += np.random.default_rng(seed).uniform(-0.3, 0.3, (side - 2, side - 2, 2)) / (side - 1)
    points = points.reshape(-1, 2)
    return skfem.MeshTri(*(np.ascontiguousarray(x.T) for x in (points, Delaunay(points).simplices)))


def graph_of(mesh):
    """The mesh as a graph, cells turned counterclockwise."""
    points, cells = mesh.p.T, mesh.t.T.copy()
    if points.shape[1] == 2:
        (ax, ay), (bx, by) = np.moveaxis(points[cells[:, 1:]] - points[cells[:, :1]], 0, -1)
        inverted = ax * by < ay * bx
        cells[inverted] = cells[inverted][:, [0, 2, 1]]
    return lgn.from_mesh(points, cells)


def matrices(mesh):
    """Mass and stiffness of linear elements by scikit-fem."""
    element = {1: skfem.ElementLineP1, 2: skfem.ElementTriP1}[len(mesh.p)]()
    basis = skfem.Basis(mesh, element)
    return mass.assemble(basis).tocsc(), laplace.assemble(basis).tocsc()


def eigenfrequencies(mesh, count: int) -> np.ndarray:
    """The lowest angular frequencies of the mesh with its boundary held, by scikit-fem and ARPACK."""
    inner = mesh.interior_nodes()
    M, K = (matrix[inner][:, inner] for matrix in matrices(mesh))
    return np.sqrt(np.sort(eigsh(K, count, M, sigma=0, return_eigenvectors=False)))


def train(mesh, space: int, states: int, steps: int, seed: int, folder: Path):
    """A density trained on random states of a mesh with free ends."""
    M, K = matrices(mesh)
    q, v = np.random.default_rng(seed).normal(size=(2, states, mesh.nvertices))
    slope = steepness(mesh, q)
    v *= slope  # as much kinetic as potential energy
    a = -splu(M).solve(K @ q.T).T
    scales = {"gradient_scale": slope, "v_scale": slope, "energy_scale": slope**2}
    local = lgn.FieldMLP(dim=1, space=space, isotropic=False, shifts=False, rngs=nnx.Rngs(seed), **scales)
    system = lgn.Lagrangian(graph_of(mesh), [(lgn.Continuum(local), lgn.cell_stencil)])
    data = lgn.States(q[..., None], v[..., None], a[..., None])
    return lgn.fit(system, data, key=jax.random.key(seed), phases=[lgn.QuasiNewton(steps)], folder=folder)


def steepness(mesh, q) -> float:
    """Root mean square of the gradient of states (state, node)."""
    M, K = matrices(mesh)
    return float(np.sqrt(np.mean(np.sum(q * (K @ q.T).T, 1)) / M.sum()))


def across_spacings(config: Config, steps: int, folder: Path) -> list[dict]:
    """A string trained with nodes 0.1 and 0.2 apart, its acceleration with nodes 0.05, 0.15 and 0.3 apart."""

    def strings(*spacings):
        ends = np.cumsum([0, *(12 * spacing + 1 for spacing in spacings)])
        points = np.concatenate([start + h * np.arange(13) for start, h in zip(ends, spacings, strict=False)])
        cells = np.arange(len(points)).reshape(-1, 13)
        return skfem.MeshLine(points[None], np.stack([cells[:, :-1].ravel(), cells[:, 1:].ravel()]))

    fit = train(strings(0.1, 0.2), 1, config.states, steps, config.seed, folder / "spacings")
    rows = []
    for spacing in (0.05, 0.15, 0.3):
        mesh = strings(spacing)
        system = lgn.Lagrangian(graph_of(mesh), [(fit.system.density, lgn.cell_stencil)])
        M, K = matrices(mesh)
        q, v = np.random.default_rng(1).normal(size=(2, 200, mesh.nvertices)) * spacing / 0.15  # slopes of training
        states = lgn.States(*(x[..., None] for x in (q, v, -splu(M).solve(K @ q.T).T)))
        rows.append({"spacing": spacing, **diagnostics.acceleration_errors(system, states)})
    return rows


def pluck(drum, mesh, end: float) -> lgn.Trajectory:
    """The motion of the L-shaped drum from a bump in one arm."""
    x, y = mesh.p
    q = np.exp(-((x + 0.5) ** 2 + (y - 0.5) ** 2) / 0.02)
    q[mesh.boundary_nodes()] = 0
    return lgn.rollout(drum, (q[:, None], np.zeros((q.size, 1))), np.linspace(0, end, 121), lgn.Adaptive(1e-7, 1e-7))


def exact_energy(mesh, motion) -> np.ndarray:
    """(time,) v . M v / 2 + q . K q / 2 with scikit-fem's matrices."""
    M, K = matrices(mesh)
    q, v = np.asarray(motion.q[..., 0]), np.asarray(motion.v[..., 0])
    return 0.5 * np.sum(v * (M @ v.T).T, 1) + 0.5 * np.sum(q * (K @ q.T).T, 1)


def draw(folder: Path, meshes, rows, motion, energy) -> None:
    """The wave in the L at four times, errors on each mesh, energy; a gif."""
    import matplotlib.pyplot as plt

    mesh = meshes["L-shaped"]
    points, cells, field = mesh.p.T, mesh.t.T, np.asarray(motion.q[..., 0])
    with plt.rc_context(plots.FONT):
        figure, axes = plt.subplots(1, 4, figsize=(13, 3.4), dpi=110, layout="constrained")
        for ax, i in zip(axes, (0, 10, 30, 60), strict=True):
            plots.mesh(ax, points, cells, field[i], f"t = {float(motion.t[i]):.2f}", limit=0.4, bar=i == 60)
        figure.savefig(folder / "l_shape.png")
        figure, axes = plt.subplots(1, 2, figsize=(11, 3.8), dpi=110, layout="constrained")
        axes[0].bar([row["mesh"] for row in rows], [row["eigenfrequency_rel_max"] for row in rows], color="#0072B2")
        axes[0].set(
            yscale="log", ylim=(1e-7, 1e-1), ylabel="worst of ten |omega / scikit-fem - 1|", title="eigenfrequencies"
        )
        energies = {"true energy": energy, "learned energy": motion.energy}
        plots.energy(axes[1], motion.t, energies, "energy of the learned motion")
        figure.savefig(folder / "energy.png")
        figure, ax = plt.subplots(figsize=(4, 4), dpi=90, layout="constrained")
        plots.mesh(ax, points, cells, field[0], " ", limit=0.4, bar=False)
        plots.animate_colours(folder / "l_shape.gif", ax.collections[0], motion.t, field)


if __name__ == "__main__":
    main(tyro.cli(Config))

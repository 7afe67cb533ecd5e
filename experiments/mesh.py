"""Learns the density of a wave in the plane on one triangle mesh, runs it on a finer one and on an L-shaped domain.

The data are accelerations by scikit-fem on the training mesh; eigenfrequencies on the other meshes are compared with
scikit-fem's there. A table shows one density trained at two spacings and used at others.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from flax import nnx

import lgn
from lgn import diagnostics, plots, protocol
from lgn.harness.protocol import Figure, Headline
from lgn.systems import finite_elements

FIGURES = {"eigenfrequency_rel_max": Figure(asked=1e-2)}
HEADLINE = Headline("eigenfrequency_rel_max", reached=1.5e-6, seconds=240, picture="l_shape.png")


@dataclass(frozen=True)
class Config:
    """Settings of the experiment."""

    out: Path = Path("runs/mesh")  # folder for tables, pictures and checkpoints
    quick: bool = False  # coarse meshes and a short training, to see that everything runs
    seed: int = 0
    side: int = 9  # the training mesh has side x side vertices
    states: int = 30
    steps: int = 800  # iterations of BFGS
    end: float = 3.0


def train(config: Config, mesh, folder: Path) -> lgn.FitResult:
    """A density trained on random states of a mesh with free ends, as much kinetic as potential energy in them."""
    states = finite_elements.sample(config.seed, config.states, mesh)
    slope = finite_elements.steepness(mesh, states.q)
    scales = {"gradient_scale": slope, "v_scale": slope, "energy_scale": slope**2}
    shape = {"dim": 1, "space": len(mesh.p), "isotropic": False, "relative": True}
    density = lgn.Continuum(lgn.FieldMLP(**shape, **scales, rngs=nnx.Rngs(config.seed)))
    data, phases = states._replace(v=slope * states.v), [lgn.QuasiNewton(60 if config.quick else config.steps)]
    system = lgn.Lagrangian(finite_elements.graph(mesh), [(density, lgn.cell_stencil)])
    key = jax.random.key(config.seed)
    return lgn.fit(system, data, key=key, phases=phases, folder=folder, validation=None)


def drum_of(mesh, system: lgn.Lagrangian) -> lgn.Lagrangian:
    """What was learned on a mesh whose boundary is held."""
    return system.on(lgn.clamp(finite_elements.graph(mesh), mesh.boundary_nodes()))


def examine(meshes: dict, system: lgn.Lagrangian) -> list[dict]:
    """The worst of ten eigenfrequencies on each mesh."""
    rows = []
    for name, mesh in meshes.items():
        drum = drum_of(mesh, system)
        found, _ = diagnostics.eigenfrequencies(drum, jnp.zeros((mesh.nvertices, 1)), 10)
        worst = float(np.abs(found / finite_elements.eigenfrequencies(mesh, 10) - 1).max())
        rows.append({"mesh": name, "nodes": int(mesh.nvertices), "eigenfrequency_rel_max": worst})
    return rows


def across_spacings(config: Config, folder: Path) -> list[dict]:
    """A string trained with nodes 0.1 and 0.2 apart, its acceleration with nodes 0.05, 0.15 and 0.3 apart."""
    fit = train(config, finite_elements.strings(0.1, 0.2), folder / "spacings")
    rows = []
    for spacing in (0.05, 0.15, 0.3):
        mesh = finite_elements.strings(spacing)
        states = finite_elements.sample(1, 200, mesh, size=spacing / 0.15)  # slopes of training
        system = fit.system.on(finite_elements.graph(mesh))
        rows.append({"spacing": spacing, **diagnostics.acceleration_errors(system, states)})
    return rows


def draw(folder: Path, mesh, rows: list[dict], drum: lgn.Lagrangian, motion: lgn.Trajectory, energy) -> None:
    """The wave in the L at four times, errors on each mesh, energy; a gif."""
    field, paint = motion.q[..., 0], partial(plots.mesh, points=mesh.p.T, cells=mesh.t.T)
    plots.snapshots(folder / "l_shape.png", paint, motion.t, field, (0, 10, 30, 60), limit=0.4, size=(13, 3.4))
    with plots.picture(folder / "energy.png", 1, 2, size=(11, 3.8)) as axes:
        axes[0].bar([row["mesh"] for row in rows], [row["eigenfrequency_rel_max"] for row in rows], color="#0072B2")
        axes[0].set(yscale="log", ylim=(1e-7, 1e-1), title="eigenfrequencies")
        axes[0].set_ylabel("worst of ten |omega / scikit-fem - 1|")
        plots.energies(axes[1], motion.t, energy, diagnostics.relative_energy(drum, motion))
    plots.animate_colours(folder / "l_shape.gif", paint, motion.t, field, limit=0.4, size=(4, 4))


def main(config: Config) -> dict:
    """Trains, runs other meshes, writes the folder, shows the table."""
    import skfem

    folder = protocol.begin(config)
    training = finite_elements.square(config.side, config.seed)
    finer = finite_elements.square(12 if config.quick else 40, config.seed + 1)
    L_shaped = skfem.MeshTri.init_lshaped().refined(2 if config.quick else 5)
    fit = train(config, training, folder / "training")
    rows = examine({"training mesh": training, "finer square": finer, "L-shaped": L_shaped}, fit.system)
    drum = drum_of(L_shaped, fit.system)
    start, ts = finite_elements.bump(L_shaped, (-0.5, 0.5)), np.linspace(0, 0.3 if config.quick else config.end, 121)
    motion = lgn.rollout(drum, start, ts, lgn.Adaptive(1e-7, 1e-7))
    energy = finite_elements.energy(L_shaped, motion.q, motion.v)
    resolution = across_spacings(config, folder)
    metrics = {
        "eigenfrequency_rel_max": max(row["eigenfrequency_rel_max"] for row in rows[1:]),
        **diagnostics.conservation(drum, motion, energy),
        **{f"acceleration_rel_rms_spacing_{row['spacing']}": row["acceleration_rel_rms"] for row in resolution},
        "nodes_train": int(training.nvertices),
        "nodes_test": int(L_shaped.nvertices),
        **diagnostics.cost(fit),
    }
    shown = metrics | {f"eigenfrequencies, {row['mesh']}": row["eigenfrequency_rel_max"] for row in rows}
    title, sketch = (
        "a density of the continuum on other meshes",
        partial(draw, folder, L_shaped, rows, drum, motion, energy),
    )
    return protocol.finish(folder, title, FIGURES, metrics, rows + resolution, sketch, (drum, motion), shown)


if __name__ == "__main__":
    main(tyro.cli(Config))

"""Learns the energy of the Cahn-Hilliard equation in 2D, and G with it, on 32 x 32 nodes; runs it on 128 x 128.

G is the Laplacian that is known, or a 3 x 3 kernel that is learned: any weights ("free"), or weights that conserve mass
and never raise energy whatever is learned ("dissipative"). Only G grad H is determined: kernels are shown over their
centre. Protocol: slides to Matsubara et al. 2020, arXiv 1905.08604, which show one learned kernel and no figures.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import jax
import numpy as np
import tyro
from flax import nnx

import lgn
from experiments.support import fields, kernels
from lgn import diagnostics, plots, protocol
from lgn.harness.protocol import Figure, Headline
from lgn.systems import cahn_hilliard

WAYS = ("known", "free", "dissipative")
SPACING = 0.02
DT = cahn_hilliard.TIME_STEP

FIGURES = {
    "mass_drift": Figure(asked=1e-10),
    "energy_rises": Figure(asked=0),
    "learned_energy_rises": Figure(asked=0),
    "dissipative_mass_drift": Figure(asked=1e-10),
    "dissipative_energy_rises": Figure(asked=0),
    "row_sum": Figure(kernels.report(kernels.PUBLISHED)["row_sum"], asked=1e-6),
    "symmetry_error": Figure(kernels.report(kernels.PUBLISHED)["symmetry_error"], asked=1e-3),
}
HEADLINE = Headline("rollout_rel_l2", reached=7.9e-5, seconds=178, picture="separation.png")


@dataclass(frozen=True)
class Config:
    """Settings of the experiment."""

    out: Path = Path("runs/cahn_hilliard_2d")  # folder for tables, pictures and checkpoints
    quick: bool = False  # a short training and motion, to see that everything runs
    seeds: int = 1
    nodes_train: int = 32  # along each axis
    nodes_test: int = 128
    pairs: int = 5
    steps: int = 1000  # iterations of BFGS
    end: float = 0.05


def square(nodes: int):
    """Periodic, of so many nodes along each axis."""
    return lgn.lattice((nodes, nodes), SPACING)


def structure(way: str, seed: int):
    """G, known or to be learned."""
    if way == "known":
        return lgn.Laplacian()
    kernel = lgn.FreeKernel if way == "free" else lgn.DissipativeKernel
    return lgn.LearnedStructure(kernel((3, 3), scale=SPACING**-2, rngs=nnx.Rngs(seed + 1)))


def train(config: Config, way: str, folder: Path, seed: int) -> lgn.FitResult:
    """The trained system."""
    nodes, pairs, steps = (16, 2, 60) if config.quick else (config.nodes_train, config.pairs, config.steps)
    density = lgn.MLPDensity(5, 1, (24, 24), fields=1, initializer=lgn.lecun_normal, rngs=nnx.Rngs(seed))
    flow = lgn.EnergyFlow(square(nodes), density, structure=structure(way, seed))

    def sample(key):
        starts, picks = jax.random.split(key)
        times = np.arange(cahn_hilliard.STEPS + 1)
        u = exact(cahn_hilliard.starts(starts, 2, (nodes, nodes)), times)
        return lgn.sample_pairs(picks, DT * times, u.reshape(*u.shape[:2], -1, 1), pairs)

    loss = lgn.DiscreteLoss(lgn.MeanValue(2), smoothing(nodes))
    return protocol.learn(flow, sample, seed, folder / f"{way}-{seed}", phases=[lgn.QuasiNewton(steps)], loss=loss)


def exact(u0, steps):
    """(..., time, x, y, 1) after so many steps of the truth."""
    return cahn_hilliard.trajectory(u0, int(steps[-1]), spacing=(SPACING, SPACING))[..., steps, :, :, :]


def smoothing(nodes: int) -> Callable:
    """The inverse of the Laplacian, with the mean weighed as the slowest wave: a free kernel need not conserve it."""
    laplacian = lgn.EnergyFlow(square(nodes), cahn_hilliard.density, structure=lgn.Laplacian()).structure
    inverse, slowest = laplacian.pseudo_inverse(1), (2 * np.sin(np.pi / nodes) / SPACING) ** 2
    return lambda x: inverse(x) + x.mean() / slowest


def examine(config: Config, fit: lgn.FitResult):
    """The metrics of one trained system on the large square; that system there, its motion and its kernel."""
    nodes = 32 if config.quick else config.nodes_test
    steps = np.arange((40 if config.quick else round(config.end / DT)) + 1)
    known = fit.system.structure.given
    flow = fit.system.on(square(nodes))
    start = cahn_hilliard.starts(jax.random.key(10_000), 1, (nodes, nodes))[0]
    motion = lgn.rollout(flow, start.reshape(-1, 1), DT * steps, lgn.DiscreteGradient(DT, fit.system.discrete))
    u, truth = np.asarray(motion.u).reshape(-1, nodes, nodes, 1), exact(start, steps)
    metrics = {
        **diagnostics.cost(fit),
        "training_error": float(np.sqrt(fit.history[-1].loss)),
        "rollout_rel_l2": float(np.linalg.norm(u[-1] - truth[-1]) / np.linalg.norm(truth[-1])),
        "mass_drift": float(np.abs(u.mean((1, 2, 3)) - u[0].mean()).max()),
        "energy_rises": fields.rises(cahn_hilliard.energy(u, (SPACING, SPACING))),
    }
    kernel = np.asarray(known.kernel.weights()) if hasattr(known, "kernel") else None
    sign = 1.0 if kernel is None else -np.sign(kernel[1, 1])  # (-G) grad (-H) is the same motion
    metrics["learned_energy_rises"] = fields.rises(sign * motion.energy)
    return metrics | ({} if kernel is None else kernels.report(kernel)), (flow, motion, truth, kernel)


def draw(folder: Path, shown: dict) -> None:
    """Snapshots beside the exact ones, energies, kernels over their centre, and a gif of the separation."""
    _, motion, truth, _ = shown["known"]
    u, t = np.asarray(motion.u).reshape(truth.shape)[..., 0], np.asarray(motion.t)
    colours, limit = partial(plots.field, label="u"), 1.0
    with plots.picture(folder / "separation.png", 2, 4, size=(13, 6.4)) as axes:
        for column, i in zip(axes.T, (np.array([0.1, 0.2, 0.4, 1.0]) * (len(t) - 1)).astype(int), strict=True):
            for ax, values, name in zip(column, (truth[..., 0], u), ("exact", "learned"), strict=True):
                colours(ax, values[i], f"{name}, t = {t[i]:.3g}", limit, bar=i == len(t) - 1)
                ax.set(xlabel="", ylabel="")
    learned = {way: found[3] for way, found in shown.items() if found[3] is not None}
    with plots.picture(folder / "kernels.png", 1, 4, size=(16, 3.8)) as axes:
        both = (cahn_hilliard.energy(x[..., None], (SPACING, SPACING)) for x in (truth[..., 0], u))
        plots.comparison(axes[0], t, *both).set(title="true energy", xlabel="time", yscale="log")
        for ax, (name, kernel) in zip(axes[1:], {"published": kernels.PUBLISHED, **learned}.items(), strict=True):
            kernels.draw(ax, kernel, f"kernel over its centre, {name}")
    frames = slice(None, None, max(1, len(t) // 100))
    plots.animate_colours(folder / "separation.gif", colours, t[frames], u[frames], limit, (4.2, 4.4))


def main(config: Config) -> dict:
    """Trains with each G, runs it on the large square, writes the folder, shows the table."""
    folder, metrics, rows, shown = protocol.begin(config), {}, [], {}
    for way in WAYS:
        learn, test = partial(train, config, way, folder), partial(examine, config)
        found, drawn = protocol.over_seeds(range(config.seeds), learn, test)
        metrics |= protocol.summary(found, "" if way == "known" else f"{way}_")
        rows += [{"way": way, **row} for row in found]
        shown[way] = drawn[0][1]
    metrics |= {name: metrics[f"free_{name}"] for name in ("row_sum", "symmetry_error")}  # of what is not built in
    sketch = partial(draw, folder, shown)
    return protocol.finish(folder, "Cahn-Hilliard in 2D", FIGURES, metrics, rows, sketch, shown["known"][:2])


if __name__ == "__main__":
    main(tyro.cli(Config))

"""Learns the Lagrangian of the double pendulum from accelerations, and moves it for 100 units of time.

Protocol: Cranmer et al. 2020, arXiv 2003.04630, section 4 and public code; metrics are explained in docs/results.md.
Five seeds: python experiments/double_pendulum.py --seeds 5 --out runs/double_pendulum-table
"""

from dataclasses import dataclass
from pathlib import Path

import jax
import matplotlib
import numpy as np
import tyro
from flax import nnx
from report import show, summary

import lgn
from lgn import diagnostics, plots, runs
from lgn.systems import double_pendulum

PUBLISHED = {"acceleration_l1_sum": 0.0689, "energy_error_final_mean": 4.3e-3}
ASKED = {"acceleration_l1_sum": 3e-3, "energy_error_final_mean": 3e-5}
DEPTH = 29.4  # energy from the lowest to the level position, by which the published error is divided
MASS = 0.02  # the prior; the unit of L is free, and this one makes values of the network of the order of one


@dataclass(frozen=True)
class Config:
    """Settings of the experiment."""

    out: Path = Path("runs/double_pendulum")
    """Folder for tables, pictures and checkpoints."""
    quick: bool = False
    """A short training and motion, to see that everything runs."""
    seeds: int = 1
    first: int = 0
    """The first seed."""
    states: int = 5000
    hidden: tuple[int, ...] = (40, 40)
    steps: int = 6000
    """Iterations of BFGS."""
    starts: int = 40
    end: float = 100.0


def main(config: Config) -> dict:
    """Trains, rolls out, writes the folder, prints the table."""
    jax.config.update("jax_enable_x64", True)
    matplotlib.use("agg")
    folder = runs.begin(config.out, config)
    rows, shown = [], None
    for seed in range(config.first, config.first + config.seeds):
        fit = train(config, seed, folder / f"training-{seed}")
        system, motion, row = examine(config, fit.system)
        rows.append({"seed": seed, "train_seconds": fit.seconds, **row})
        shown = shown or (fit, system, motion)
    metrics = summary(rows)
    runs.write_metrics(folder, metrics, rows)
    fit, system, motion = shown
    runs.keep_motion(folder, system, motion)
    draw(folder, fit, motion)
    show("double pendulum", metrics, ASKED, folder, PUBLISHED)
    return metrics


def train(config: Config, seed: int, folder: Path):
    """The trained system."""
    density = lgn.MLPDensity(1, 2, config.hidden, mass=MASS, v_scale=5.0, angles=(0, 1), rngs=nnx.Rngs(seed))
    system = lgn.Lagrangian(lgn.single_node(), density)
    data_key, fit_key = jax.random.split(jax.random.key(seed))
    data = double_pendulum.sample(data_key, config.states)
    phases = [lgn.match(), lgn.QuasiNewton(100 if config.quick else config.steps)]
    return lgn.fit(system, data, key=fit_key, phases=phases, folder=folder)


def examine(config: Config, trained: lgn.Lagrangian):
    """The motion from all starts, side by side as nodes of one graph, and the metrics of one trained system."""
    fresh = double_pendulum.sample(jax.random.key(10_000), 100_000)
    starts = double_pendulum.starts(jax.random.key(20_000), config.starts)
    system = lgn.Lagrangian(lgn.single_node(count=config.starts), trained.density)
    end = 5.0 if config.quick else config.end
    motion = lgn.rollout(system, [x[:, 0] for x in starts], np.linspace(0, end, 1001), lgn.Adaptive(1e-10, 1e-10))
    error = energy_errors(motion)
    return (
        system,
        motion,
        {
            **diagnostics.acceleration_errors(trained, fresh),
            "energy_error_final_mean": float(error[-1].mean()),
            "energy_error_max": float(error.max()),
            "energy_drift_learned": diagnostics.drift(motion.energy),
            "end": end,
            "parameters": sum(x.size for x in jax.tree.leaves(trained)),
        },
    )


def energy_errors(motion) -> np.ndarray:
    """(time, start) |E - E_0| / 29.4 of the true energy."""
    energy = np.asarray(double_pendulum.energy(motion.q[..., None, :], motion.v[..., None, :]))
    return np.abs(energy - energy[0]) / DEPTH


def draw(folder: Path, fit, motion) -> None:
    """Energy and training, phase portrait and path against the exact ones, a gif of one pendulum."""
    import matplotlib.pyplot as plt

    lively = int(np.argmax(double_pendulum.energy(motion.q[0, :, None], motion.v[0, :, None])))
    start = motion.q[0, lively : lively + 1], motion.v[0, lively : lively + 1]
    beginning = np.linspace(0, min(10.0, float(motion.t[-1])), 501)
    learned = lgn.rollout(fit.system, start, beginning)
    exact_q, exact_v = double_pendulum.trajectory(*start, beginning)
    with plt.rc_context(plots.FONT):
        figure, axes = plt.subplots(1, 3, figsize=(13, 3.8), dpi=110, layout="constrained")
        error = energy_errors(motion)
        axes[0].semilogy(motion.t[1:], error[1:], color="#999999", lw=0.4, alpha=0.4)
        axes[0].semilogy(motion.t[1:], error[1:].mean(1), color="#0072B2", lw=2, label="mean of the starts")
        axes[0].set(xlabel="time", ylabel="|E - E(0)| / 29.4", title="true energy of the learned motion")
        axes[0].legend(frameon=False)
        for label, (q, v), style in (("exact", (exact_q, exact_v), "k-"), ("learned", learned[1:3], "--")):
            plots.phase(axes[1], q[:, 0, 0], v[:, 0, 0], f"inner rod, t up to {beginning[-1]:.0f}", label, style)
        plots.history(axes[2], fit.history)
        figure.savefig(folder / "energy.png")
        plt.close("all")
    angles = {"exact": exact_q[:, 0], "learned": np.asarray(learned.q[:, 0])}
    plots.animate_pendulums(folder / "pendulum.gif", beginning, angles)


if __name__ == "__main__":
    main(tyro.cli(Config))

"""Learns the density of the 1D wave equation on a ring of 10 nodes, runs it on 100 and on 10,000.

Protocol: Cranmer et al. 2020, arXiv 2003.04630, section 5 and public code; metrics are explained in docs/results.md.
The full table: python experiments/wave.py --ways prior pure --seeds 5 --out runs/wave-table
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import jax
import matplotlib
import numpy as np
import tyro
from flax import nnx
from report import number, summary
from rich.console import Console
from rich.table import Table

import lgn
from lgn import diagnostics, plots, runs
from lgn.systems import wave

TITLES = {"prior": "kinetic prior", "pure": "pure MLP"}
PUBLISHED = {"acceleration_l1_sum": 0.434}
LIMITS = {
    "prior": {
        "acceleration_l1_sum": 2e-5, "rollout_rel_l2": 1e-3, "energy_drift_true": 1e-6, "large_rollout_rel_l2": 1e-3,
    },
    "pure": {"acceleration_l1_sum": 1e-3, "rollout_rel_l2": 2e-2},
}  # fmt: skip


@dataclass(frozen=True)
class Config:
    """Settings of the experiment."""

    out: Path = Path("runs/wave")
    """Folder for tables, pictures and checkpoints."""
    quick: bool = False
    """A short training, to see that everything runs."""
    ways: tuple[Literal["prior", "pure"], ...] = ("prior",)
    """prior: MLP of differences beside a kinetic prior; pure: MLP alone, as published."""
    seeds: int = 1
    """How many seeds of each."""
    nodes_train: int = 10
    nodes_test: int = 100
    nodes_large: int = 10_000
    states: int = 300
    end: float = 149.5
    steps: int = 5000
    """Iterations of BFGS with the kinetic prior."""
    pure_steps: int = 4000
    """Iterations of BFGS for the MLP alone."""


def main(config: Config) -> dict:
    """Trains, rolls out, writes the folder, prints the table."""
    jax.config.update("jax_enable_x64", True)
    matplotlib.use("agg")
    folder = runs.begin(config.out, config)
    rows, shown = [], None
    for way in config.ways:
        for seed in range(config.seeds):
            fit = train(config, way, seed, folder / f"{way}-{seed}")
            motion, row = examine(config, fit.system)
            rows.append({"way": way, "seed": seed, "train_seconds": fit.seconds, **row})
            shown = shown or (fit, *motion)
    metrics = by_way(rows)
    runs.write_metrics(folder, metrics, rows)
    fit, system, motion = shown
    runs.keep_motion(folder, system, motion)
    draw(folder, fit, motion)
    show(metrics, config.ways, folder)
    return metrics


def train(config: Config, way: str, seed: int, folder: Path):
    """The trained system."""
    small = {"prior": (24, 24), "pure": (32, 32)}[way]
    density = lgn.MLPDensity(
        3,
        1,
        small,
        mass=1.0 if way == "prior" else None,
        relative=way == "prior",
        initializer=lgn.small_output if way == "prior" else lgn.lecun_normal,
        rngs=nnx.Rngs(seed),
    )
    system = lgn.Lagrangian(lgn.lattice((config.nodes_train,)), density)
    data_key, fit_key = jax.random.split(jax.random.key(seed))
    steps = 100 if config.quick else {"prior": config.steps, "pure": config.pure_steps}[way]
    phases = [lgn.match(), lgn.QuasiNewton(steps)]
    data = wave.sample(data_key, config.states, config.nodes_train)
    return lgn.fit(system, data, key=fit_key, phases=phases, folder=folder)


def examine(config: Config, trained: lgn.Lagrangian):
    """(system, motion) on the test ring, and the metrics of one trained system."""
    fresh = wave.sample(jax.random.key(10_000), 10_000, config.nodes_train)
    ts = np.linspace(0.0, config.end, 300)
    system, motion, middle = roll(trained.density, config.nodes_test, ts)
    *_, large = roll(trained.density, config.nodes_large, np.linspace(0.0, config.end, 14))
    parameters = sum(x.size for x in jax.tree.leaves(trained))
    return (system, motion), {
        **diagnostics.acceleration_errors(trained, fresh),
        **middle,
        **{f"large_{name}": value for name, value in large.items()},
        "nodes_train": config.nodes_train,
        "nodes_test": config.nodes_test,
        "parameters": parameters,
    }


def roll(density, n_node: int, ts):
    """A pulse on a ring of n_node nodes: system, motion, and its errors against the exact solution."""
    system = lgn.Lagrangian(lgn.lattice((n_node,)), density)
    state = wave.pulse(n_node)
    motion = lgn.rollout(system, state, ts)
    error = diagnostics.relative_l2(motion.q, wave.exact(*state, ts)[0])
    momentum = diagnostics.momentum(system, motion)
    return (
        system,
        motion,
        {
            "rollout_rel_l2": float(error[-1]),
            "rollout_rel_l2_max": float(error.max()),
            "energy_drift_true": diagnostics.drift(wave.energy(motion.q, motion.v)),
            "energy_drift_learned": diagnostics.drift(motion.energy),
            "momentum_drift": float(np.abs(momentum - momentum[0]).max()),
            "residual_max": float(motion.residual.max()),
        },
    )


def by_way(rows: list[dict]) -> dict:
    """Median over seeds of each way, and `_worst` where there is more than one; the pure MLP's carry `pure_`."""
    metrics = {}
    for way in dict.fromkeys(row["way"] for row in rows):
        members = [{name: value for name, value in row.items() if name != "way"} for row in rows if row["way"] == way]
        metrics |= summary(members, "" if way == "prior" else f"{way}_")
    return metrics


def draw(folder: Path, fit, motion) -> None:
    """Space-time diagrams, energy, error, training curve and a gif of the string."""
    import matplotlib.pyplot as plt

    n_node = motion.q.shape[1]
    exact_q, _ = wave.exact(*wave.pulse(n_node), motion.t)
    learned, exact = np.asarray(motion.q[..., 0]), exact_q[..., 0]
    with plt.rc_context(plots.FONT):
        figure, axes = plt.subplots(1, 3, figsize=(13, 4.2), dpi=110, layout="constrained", sharey=True)
        plots.space_time(axes[0], motion.t, exact, "exact", 1.0)
        plots.space_time(axes[1], motion.t, learned, "learned on 10 nodes", 1.0)
        plots.space_time(axes[2], motion.t, learned - exact, "difference")
        for ax in axes[1:]:
            ax.set_ylabel("")
        figure.savefig(folder / "space_time.png")
        figure, axes = plt.subplots(1, 3, figsize=(13, 3.8), dpi=110, layout="constrained")
        energies = {"true energy": wave.energy(motion.q, motion.v), "learned energy": motion.energy}
        plots.energy(axes[0], motion.t, energies, "energy of the learned motion")
        plots.errors(axes[1], motion.t, {"learned": diagnostics.relative_l2(motion.q, exact_q)}, "distance from exact")
        plots.history(axes[2], fit.history)
        figure.savefig(folder / "energy.png")
        plt.close("all")
        first = motion.t <= 50
        plots.animate_string(folder / "string.gif", motion.t[first], {"exact": exact[first], "learned": learned[first]})


def show(metrics: dict, ways: tuple[str, ...], folder: Path) -> None:
    """The table: published, asked, reached."""
    console = Console(width=110)
    prefixes = {way: "" if way == "prior" else f"{way}_" for way in ways}
    first = prefixes[ways[0]]
    names = [name for name in metrics if name.startswith(first) and not name.endswith("_worst")]
    names = [name.removeprefix(first) for name in names if first or not name.startswith("pure_")]
    table = Table("metric", "published", *(column for way in ways for column in ("asked", TITLES[way])))
    for name in names:
        cells = [name, number(PUBLISHED.get(name))]
        for way, prefix in prefixes.items():
            worst = metrics.get(f"{prefix}{name}_worst")
            value = number(metrics[prefix + name])
            cells += [number(LIMITS[way].get(name)), value if worst is None else f"{value} (worst {number(worst)})"]
        table.add_row(*cells)
    console.print(table)
    console.print(f"pictures: {folder}/space_time.png {folder}/energy.png {folder}/string.gif")


if __name__ == "__main__":
    main(tyro.cli(Config))

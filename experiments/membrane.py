"""Learns the density of a 2D wave on 12 x 12 nodes, runs it as a drum of 256 x 256 with clamped edges.

Compared with the exact discrete drum: its ten lowest eigenfrequencies, and its energy over 20 periods of the lowest.
"""

import time
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
from lgn.systems import membrane

FIGURES = {"eigenfrequency_rel_max": Figure(asked=1e-3), "energy_drift_true": Figure(asked=1e-4)}
HEADLINE = Headline("eigenfrequency_rel_max", reached=2.6e-5, seconds=1500, picture="drum.png")


@dataclass(frozen=True)
class Config:
    """Settings of the experiment."""

    out: Path = Path("runs/membrane")  # folder for tables, pictures and checkpoints
    quick: bool = False  # a small drum, a short training and motion, to see that everything runs
    seed: int = 0
    side_train: int = 12
    side: int = 256  # nodes along each side of the drum
    states: int = 20
    steps: int = 3000  # iterations of BFGS
    periods: float = 20.0  # of the lowest mode
    dt: float = 0.4


def train(config: Config, steps: int, folder: Path) -> lgn.FitResult:
    """The trained system."""
    density = lgn.MLPDensity(5, 1, (16, 16), relative=True, rngs=nnx.Rngs(config.seed))
    system = lgn.Lagrangian(lgn.lattice((config.side_train,) * 2), density)
    sample = partial(membrane.sample, count=config.states, side=config.side_train)
    phases = [lgn.pretrain(), lgn.QuasiNewton(steps)]
    return protocol.learn(system, sample, config.seed, folder / "training", phases=phases)


def examine(
    config: Config, side: int, fit: lgn.FitResult, drum: lgn.Lagrangian, motion: lgn.Trajectory, modes: list[dict]
) -> dict:
    """Errors of frequencies, energy, motion and acceleration."""
    fresh = membrane.sample(jax.random.key(10_000), 200, config.side_train)
    return {
        "eigenfrequency_rel_max": max(abs(row["relative_error"]) for row in modes),
        **diagnostics.conservation(drum, motion, membrane.energy(*fields(motion, side))),
        "rollout_rel_l2": float(diagnostics.relative_l2(motion.q, membrane.exact(side, motion.t))[-1]),
        **diagnostics.acceleration_errors(fit.system, fresh),
        "nodes_train": config.side_train**2,
        "nodes_test": side**2,
        **diagnostics.cost(fit),
    }


def compare_modes(drum, side: int) -> list[dict]:
    """The ten lowest frequencies beside the exact ones."""
    found, _ = diagnostics.eigenfrequencies(drum, jnp.zeros((side**2, 1)), 10)
    return [
        {"mode": i + 1, "omega": float(a), "omega_exact": float(b), "relative_error": float(a / b - 1)}
        for i, (a, b) in enumerate(zip(found, membrane.drum_frequencies(side, 10), strict=True))
    ]


def fields(motion: lgn.Trajectory, side: int) -> list[np.ndarray]:
    """q and v as (time, x, y)."""
    return [np.asarray(x).reshape(-1, side, side) for x in (motion.q, motion.v)]


def draw(folder: Path, side: int, drum: lgn.Lagrangian, motion: lgn.Trajectory, modes: list[dict]) -> None:
    """The drum at four times, its frequencies and its energy; a gif."""
    q, v = fields(motion, side)
    picture = folder / "drum.png"
    plots.snapshots(picture, plots.field, motion.t, q, (0, 2, 4, 6), limit=1.0, size=(13, 3.4), layout="compressed")
    with plots.picture(folder / "energy.png", 1, 2, size=(11, 3.8)) as axes:
        axes[0].semilogy(range(1, 11), [abs(row["relative_error"]) for row in modes], "o")
        axes[0].set(title="eigenfrequencies", xlabel="mode", ylabel="|omega / exact - 1|", xticks=range(1, 11))
        plots.energies(axes[1], motion.t, membrane.energy(q, v), diagnostics.relative_energy(drum, motion))
    step = -(-side // 128)
    coarse = q[:81, ::step, ::step]
    plots.animate_colours(folder / "drum.gif", plots.field, motion.t[:81], coarse, limit=1.0, size=(3.6, 3.6))


def main(config: Config) -> dict:
    """Trains, beats the drum, writes the folder, shows the table."""
    folder = protocol.begin(config)
    side, periods, steps = (32, 1.0, 60) if config.quick else (config.side, config.periods, config.steps)
    fit = train(config, steps, folder)
    graph = lgn.clamp(lgn.lattice((side, side), periodic=False), membrane.edge_nodes(side))
    drum = fit.system.on(graph)
    modes = compare_modes(drum, side)
    ts, begun = np.linspace(0, periods * 2 * np.pi / modes[0]["omega_exact"], 161), time.perf_counter()
    motion = lgn.rollout(drum, membrane.blow(side), ts, lgn.Verlet(config.dt))
    metrics = {"periods": periods, "rollout_seconds": time.perf_counter() - begun}
    metrics = examine(config, side, fit, drum, motion, modes) | metrics
    sketch, title = partial(draw, folder, side, drum, motion, modes), "drum learned on a periodic lattice"
    return protocol.finish(folder, title, FIGURES, metrics, modes, sketch, (drum, motion))


if __name__ == "__main__":
    main(tyro.cli(Config))

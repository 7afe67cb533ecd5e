"""Learns the density of a 2D wave on 12 x 12 nodes, runs it as a drum of 256 x 256 with clamped edges.

Compared with the exact discrete drum: its ten lowest eigenfrequencies, and its energy over 20 periods of the lowest.
"""

import time
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import tyro
from flax import nnx
from report import show

import lgn
from lgn import diagnostics, plots, runs
from lgn.systems import membrane

ASKED = {"eigenfrequency_rel_max": 1e-3, "energy_drift_true": 1e-4}


@dataclass(frozen=True)
class Config:
    """Settings of the experiment."""

    out: Path = Path("runs/membrane")
    """Folder for tables, pictures and checkpoints."""
    quick: bool = False
    """A small drum, a short training and motion, to see that everything runs."""
    seed: int = 0
    side_train: int = 12
    side: int = 256
    """Nodes along each side of the drum."""
    states: int = 20
    steps: int = 3000
    """Iterations of BFGS."""
    periods: float = 20.0
    """Of the lowest mode."""
    dt: float = 0.4


def main(config: Config) -> dict:
    """Trains, beats the drum, writes the folder, prints the table."""
    jax.config.update("jax_enable_x64", True)
    matplotlib.use("agg")
    folder = runs.begin(config.out, config)
    side, periods, steps = (32, 1.0, 60) if config.quick else (config.side, config.periods, config.steps)
    fit = train(config, steps, folder)
    fresh = membrane.sample(jax.random.key(10_000), 200, config.side_train)
    drum = lgn.Lagrangian(
        lgn.clamp(lgn.lattice((side, side), periodic=False), membrane.edge_nodes(side)), fit.system.density
    )
    frequencies, _ = diagnostics.eigenfrequencies(drum, jnp.zeros((side**2, 1)), 10)
    exact = membrane.drum_frequencies(side, 10)
    start = time.perf_counter()
    motion = beat(drum, side, exact[0], periods, config.dt)
    beaten = time.perf_counter() - start
    q, v = (np.asarray(x).reshape(-1, side, side) for x in (motion.q, motion.v))
    metrics = {
        "eigenfrequency_rel_max": float(np.abs(frequencies / exact - 1).max()),
        "energy_drift_true": diagnostics.drift(membrane.energy(q, v)),
        "energy_drift_learned": diagnostics.drift(motion.energy),
        "rollout_rel_l2": float(diagnostics.relative_l2(motion.q, exact_motion(side, motion.t))[-1]),
        **diagnostics.acceleration_errors(fit.system, fresh),
        "residual_max": float(motion.residual.max()),
        "nodes_train": config.side_train**2,
        "nodes_test": side**2,
        "periods": periods,
        "train_seconds": fit.seconds,
        "rollout_seconds": beaten,
        "parameters": sum(x.size for x in jax.tree.leaves(fit.system)),
    }
    rows = [
        {"mode": i + 1, "omega": float(a), "omega_exact": float(b), "relative_error": float(a / b - 1)}
        for i, (a, b) in enumerate(zip(frequencies, exact, strict=True))
    ]
    runs.write_metrics(folder, metrics, rows)
    runs.keep_motion(folder, drum, motion)
    draw(folder, motion, q, v, frequencies, exact)
    show("drum learned on a periodic lattice", metrics, ASKED, folder)
    return metrics


def train(config: Config, steps: int, folder: Path):
    """The trained system."""
    density = lgn.MLPDensity(5, 1, (16, 16), relative=True, rngs=nnx.Rngs(config.seed))
    system = lgn.Lagrangian(lgn.lattice((config.side_train,) * 2), density)
    data_key, fit_key = jax.random.split(jax.random.key(config.seed))
    data = membrane.sample(data_key, config.states, config.side_train)
    return lgn.fit(system, data, key=fit_key, phases=[lgn.match(), lgn.QuasiNewton(steps)], folder=folder / "training")


MODES = {(1, 1): 0.5, (2, 1): 0.3, (3, 2): 0.2}  # amplitudes of the blow


def beat(drum, side: int, omega: float, periods: float, dt: float) -> lgn.Trajectory:
    """The motion after a blow that stirs three modes."""
    q = sum(amplitude * membrane.drum_mode(side, *mode) for mode, amplitude in MODES.items()).reshape(-1, 1)
    ts = np.linspace(0, periods * 2 * np.pi / omega, 161)
    return lgn.rollout(drum, (q, np.zeros_like(q)), ts, lgn.Verlet(dt))


def exact_motion(side: int, t) -> np.ndarray:
    """(time, node, 1) the same blow on the exact drum."""
    along = 2 * membrane.SPEED * np.sin(np.pi * np.arange(side) / (2 * (side - 1)))
    total = np.zeros((len(t), side, side))
    for (j, k), amplitude in MODES.items():
        omega = np.hypot(along[j], along[k])
        total += amplitude * np.cos(omega * np.asarray(t))[:, None, None] * membrane.drum_mode(side, j, k)
    return total.reshape(len(t), -1, 1)


def draw(folder: Path, motion, q, v, frequencies, exact) -> None:
    """The drum at four times, its frequencies and its energy; a gif."""
    import matplotlib.pyplot as plt

    with plt.rc_context(plots.FONT):
        figure, axes = plt.subplots(1, 4, figsize=(13, 3.4), dpi=110, layout="compressed")
        for ax, i in zip(axes, (0, 2, 4, 6), strict=True):
            plots.field(ax, q[i], f"t = {float(motion.t[i]):.0f}", limit=1.0, bar=i == 6)
        figure.savefig(folder / "drum.png")
        figure, axes = plt.subplots(1, 2, figsize=(11, 3.8), dpi=110, layout="constrained")
        axes[0].semilogy(range(1, 11), np.abs(frequencies / exact - 1), "o")
        axes[0].set(title="eigenfrequencies", xlabel="mode", ylabel="|omega / exact - 1|", xticks=range(1, 11))
        energies = {"true energy": membrane.energy(q, v), "learned energy": motion.energy}
        plots.energy(axes[1], motion.t, energies, "energy of the learned motion")
        figure.savefig(folder / "energy.png")
        plt.close("all")
        figure, ax = plt.subplots(figsize=(3.6, 3.6), dpi=90, layout="constrained")
        coarse = q[:81, :: -(-len(q[0]) // 128), :: -(-len(q[0]) // 128)]
        plots.field(ax, coarse[0], " ", limit=1.0, bar=False).set(xticks=[], yticks=[], xlabel="", ylabel="")
        plots.animate_colours(folder / "drum.gif", ax.images[0], motion.t[:81], coarse.swapaxes(1, 2))


if __name__ == "__main__":
    main(tyro.cli(Config))

"""Learns the Lagrangian of the double pendulum from accelerations, and moves it for 100 units of time.

Protocol: Cranmer et al. 2020, arXiv 2003.04630, section 4 and public code; metrics are explained in docs/results.md.
Five seeds: python experiments/double_pendulum.py --seeds 5 --out runs/double_pendulum-table
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import jax
import numpy as np
import tyro
from flax import nnx

import lgn
from lgn import diagnostics, plots, protocol
from lgn.harness.protocol import Figure, Headline
from lgn.systems import double_pendulum

FIGURES = {
    "acceleration_l1_sum": Figure(published=0.0689, asked=3e-3),
    "energy_error_final_mean": Figure(published=4.3e-3, asked=3e-5),
}
HEADLINE = Headline("acceleration_l1_sum", reached=8.6e-4, seconds=110, picture="double_pendulum.png")
MASS = 0.02  # the prior; the unit of L is free, and this one makes values of the network of the order of one


@dataclass(frozen=True)
class Config:
    """Settings of the experiment."""

    out: Path = Path("runs/double_pendulum")  # folder for tables, pictures and checkpoints
    quick: bool = False  # a short training and motion, to see that everything runs
    seeds: int = 1
    first: int = 0  # the first seed
    states: int = 4000
    hidden: tuple[int, ...] = (32, 32)
    tolerance: float = 1.5e-5  # relative error of the accelerations at which training ends
    steps: int = 8000  # most iterations of BFGS
    starts: int = 40
    end: float = 100.0


def train(config: Config, folder: Path, seed: int) -> lgn.FitResult:
    """The trained system."""
    density = lgn.MLPDensity(1, 2, config.hidden, mass=MASS, v_scale=5.0, angles=(0, 1), rngs=nnx.Rngs(seed))
    system = lgn.Lagrangian(lgn.single_node(), density)
    sample = partial(double_pendulum.sample, count=config.states)
    phases = [lgn.pretrain(), lgn.QuasiNewton(100 if config.quick else config.steps, config.tolerance)]
    return protocol.learn(system, sample, seed, folder / f"training-{seed}", phases=phases)


def examine(config: Config, fit: lgn.FitResult):
    """The metrics of one trained system; the motion from all starts, side by side as nodes of one graph."""
    fresh = double_pendulum.sample(jax.random.key(10_000), 100_000)
    starts = double_pendulum.starts(jax.random.key(20_000), config.starts)
    system = fit.system.on(lgn.single_node(count=config.starts))
    end = 5.0 if config.quick else config.end
    motion = lgn.rollout(system, [x[:, 0] for x in starts], np.linspace(0, end, 1001), lgn.Adaptive(1e-10, 1e-10))
    error = energy_errors(motion)
    metrics = {
        **diagnostics.cost(fit),
        **diagnostics.acceleration_errors(fit.system, fresh),
        "energy_error_final_mean": float(error[-1].mean()),
        "energy_error_max": float(error.max()),
        "energy_drift_learned": diagnostics.drift(diagnostics.relative_energy(system, motion)),
        "end": end,
    }
    return metrics, (system, motion)


def energy_errors(motion: lgn.Trajectory) -> np.ndarray:
    """(time, start), see `double_pendulum.energy_error`."""
    each = (x.swapaxes(0, 1)[:, :, None] for x in (motion.q, motion.v))
    return np.asarray(double_pendulum.energy_error(*each)).T


def draw(folder: Path, fit: lgn.FitResult, motion: lgn.Trajectory) -> None:
    """Energy and training, phase portrait and path against the exact ones, a gif of one pendulum."""
    lively = int(np.argmax(double_pendulum.energy(motion.q[0, :, None], motion.v[0, :, None])))
    start = motion.q[0, lively : lively + 1], motion.v[0, lively : lively + 1]
    beginning = np.linspace(0, min(10.0, float(motion.t[-1])), 501)
    learned = lgn.rollout(fit.system, start, beginning)
    exact = double_pendulum.trajectory(*start, beginning)
    error = energy_errors(motion)
    with plots.picture(folder / "energy.png", 1, 3, size=(13, 3.8)) as axes:
        axes[0].semilogy(motion.t[1:], error[1:], color="#999999", lw=0.4, alpha=0.4)
        axes[0].semilogy(motion.t[1:], error[1:].mean(1), color="#0072B2", lw=2, label="mean of the starts")
        axes[0].set(xlabel="time", ylabel="|E - E(0)| / 29.4", title="true energy of the learned motion")
        axes[0].legend(frameon=False)
        plots.phases(axes[1], exact, learned, f"inner rod, t up to {beginning[-1]:.0f}")
        plots.history(axes[2], fit.history)
    plots.animate_pendulums(folder / "pendulum.gif", beginning, {"exact": exact[0], "learned": learned.q})


def main(config: Config) -> dict:
    """Trains, rolls out, writes the folder, shows the table."""
    folder, seeds = protocol.begin(config), range(config.first, config.first + config.seeds)
    rows, shown = protocol.over_seeds(seeds, partial(train, config, folder), partial(examine, config))
    fit, motion = shown[0]
    sketch, metrics = partial(draw, folder, fit, motion[1]), protocol.summary(rows)
    return protocol.finish(folder, "double pendulum", FIGURES, metrics, rows, sketch, motion)


if __name__ == "__main__":
    main(tyro.cli(Config))

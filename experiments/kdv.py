"""Learns the energy of the Korteweg-de Vries equation from pairs of snapshots, and conserves it exactly.

Protocol: Matsubara et al. 2020, arXiv 1905.08604, section 5 and public code; metrics are explained in docs/results.md.
Its truth is the mean-value discrete gradient at the same steps: the motion takes the same, as trained, and that of
`Automatic` is in the table too; a motion of exact derivatives (HNN) has the error of these steps.
Five seeds: python experiments/kdv.py --seeds 5 --out runs/kdv-table
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import tyro

import lgn
from experiments.support import fields
from lgn import diagnostics, plots
from lgn.harness.protocol import Figure, Headline
from lgn.systems import kdv

FIGURES = {
    "derivative_mse": Figure(published=1.75e-2, asked=1e-9),
    "energy_mse": Figure(published=1.6e-3, asked=1e-11),
    "state_mse": Figure(published=2.55e-4, asked=1e-11),
    "node_derivative_mse": Figure(published=11.5),
    "node_energy_mse": Figure(published=4.57e4),
    "node_state_mse": Figure(published=2.86),
    "hnn_derivative_mse": Figure(published=2.33e-2),
    "hnn_energy_mse": Figure(published=3.01e-3),
    "hnn_state_mse": Figure(published=3.35e-4),
    "long_energy_drift": Figure(asked=1e-12),
    "train_seconds": Figure(asked=180.0),
}
HEADLINE = Headline("derivative_mse", reached=6.9e-11, seconds=153, picture="kdv.png")
CASE = fields.Case(
    truth=kdv,
    graph=lgn.lattice((kdv.NODES,), kdv.SPACING),
    structure=lgn.FirstDifference(),
    potential=False,
    gradients={"": lgn.MeanValue(2), "automatic_": lgn.Automatic()},
)
DT = kdv.TIME_STEP
INTEGRATORS = {
    "Adaptive, 1e-9": lgn.Adaptive(),
    "ImplicitMidpoint": lgn.ImplicitMidpoint(DT),
    "DiscreteGradient, MeanValue(2)": lgn.DiscreteGradient(DT, lgn.MeanValue(2)),
    "DiscreteGradient, Gonzalez": lgn.DiscreteGradient(DT, lgn.Gonzalez()),
    "DiscreteGradient, Automatic": lgn.DiscreteGradient(DT),
}


@dataclass(frozen=True)
class Config(fields.Config):
    """Settings of the experiment."""

    out: Path = Path("runs/kdv")  # folder for tables, pictures and checkpoints
    long: int = 10_000  # time steps over which energy is watched


def watch(config: Config, integrator: lgn.DiscreteGradient, system: lgn.EnergyFlow, motions=None):
    """A long motion of a test start: the drift of its learned energy, and the motion."""
    start = fields.trajectories(kdv, config.quick)[2][0, 0]
    motion = lgn.rollout(system, start, DT * np.arange(1 + (100 if config.quick else config.long)), integrator)
    return {"long_energy_drift": diagnostics.drift(diagnostics.relative_energy(system, motion))}, motion


def draw(config: Config, folder: Path, fit: lgn.FitResult, motions: fields.Motions) -> None:
    """What fields share; the energy over a long time by every integrator."""
    fields.draw(folder, CASE, fit, motions)
    long = {name: watch(config, integrator, fit.system)[1] for name, integrator in INTEGRATORS.items()}
    with plots.picture(folder / "integrators.png", size=(9, 4.2)) as ax:
        for name, motion in long.items():
            change = np.abs(diagnostics.relative_energy(fit.system, motion) - 1)
            ax.semilogy(motion.t[1:], np.maximum(np.maximum.accumulate(change)[1:], 1e-17), label=name)
        ax.set(title="learned energy of the learned motion", xlabel="time", ylabel="largest relative change so far")
        ax.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))


def main(config: Config) -> dict:
    """Trains, tests, compares with the rivals, writes the folder, shows the table."""
    more = partial(watch, config, lgn.DiscreteGradient(DT))
    return fields.run(CASE, config, "Korteweg-de Vries", FIGURES, partial(draw, config), more)


if __name__ == "__main__":
    main(tyro.cli(Config))

"""Learns the energy of a pendulum from noisy states: with exact rates, and from the states alone.

Protocols: Greydanus et al. 2019, task B2 (energies with noise on the states alone), and Matsubara et al. 2020, C1
(`dgnet`, `shooting`); models and trainings are described in experiments/support/phase_plane.py, metrics in
docs/results.md. Each seed has a recording of its own.
Five seeds: python experiments/pendulum.py --seeds 5 --out runs/pendulum-table
"""

from dataclasses import dataclass
from pathlib import Path

import tyro

from experiments.support import phase_plane
from lgn.harness.protocol import Figure, Headline
from lgn.systems import pendulum, phase_space

FIGURES = {
    "energy_mse": Figure(published=2.49e-2, asked=2e-3),
    "energy_mse_denoised": Figure(asked=5e-4),
    "shooting_energy_mse": Figure(published=1.08e-2),
    "baseline_energy_mse": Figure(published=4.15e-2),
    "hnn_energy_mse": Figure(published=2.49e-2),
    "dgnet_energy_mse": Figure(published=1.08e-2),
}
HEADLINE = Headline("energy_mse", reached=4.4e-4, seconds=132, picture="pendulum.png")
ENERGIES = {"energy_mse": phase_space.published_energy, "true_energy_mse": pendulum.hamiltonian_energy}
TASK = phase_plane.Task(pendulum, ENERGIES, FIGURES)


@dataclass(frozen=True)
class Config(phase_plane.Config):
    """Settings of the experiment."""

    out: Path = Path("runs/pendulum")  # folder for tables, pictures and checkpoints


def main(config: Config) -> dict:
    """Trains, tests, writes the folder, shows the table."""
    return phase_plane.run(config, "pendulum", TASK)


if __name__ == "__main__":
    main(tyro.cli(Config))

"""Learns the energy of a mass on a spring from noisy states: with exact rates, and from the states alone.

Protocols: Greydanus et al. 2019, task B1 (energies with noise on the states alone), and Matsubara et al. 2020, C1
(`dgnet`, `shooting`); models and trainings are described in experiments/support/phase_plane.py, metrics in
docs/results.md.
Each seed has a recording of its own; of ten, the spring's `energy_mse` was 5.2e-4 at worst, 5e-5 in the median.
Five seeds: python experiments/mass_spring.py --seeds 5 --out runs/mass_spring-table
"""

from dataclasses import dataclass
from pathlib import Path

import tyro

from experiments.support import phase_plane
from lgn.harness.protocol import Figure, Headline
from lgn.systems import mass_spring, phase_space

FIGURES = {
    "energy_mse": Figure(published=3.84e-4, asked=3e-4),
    "energy_mse_denoised": Figure(asked=1.5e-4),
    "shooting_energy_mse": Figure(published=6.17e-4),
    "baseline_energy_mse": Figure(published=1.7e-1),
    "hnn_energy_mse": Figure(published=3.84e-4),
    "dgnet_energy_mse": Figure(published=6.17e-4),
}
HEADLINE = Headline("energy_mse", reached=1.1e-5, seconds=57, picture="mass_spring.png")
TASK = phase_plane.Task(mass_spring, {"energy_mse": phase_space.published_energy}, FIGURES)


@dataclass(frozen=True)
class Config(phase_plane.Config):
    """Settings of the experiment."""

    out: Path = Path("runs/mass_spring")  # folder for tables, pictures and checkpoints


def main(config: Config) -> dict:
    """Trains, tests, writes the folder, shows the table."""
    return phase_plane.run(config, "mass on a spring", TASK)


if __name__ == "__main__":
    main(tyro.cli(Config))

"""Learns the energy of the Cahn-Hilliard equation from pairs of snapshots; it never rises.

Protocol: Matsubara et al. 2020, arXiv 1905.08604, section 5 and public code; metrics are explained in docs/results.md.
G is stiff: what is compared is grad-bar H with G^+ du/dt. The truth is the mean-value discrete gradient at the same
steps, which are long beside the fastest decay: the motion takes the same gradient, as trained; that of `Automatic` is
in the table too. Five seeds: python experiments/cahn_hilliard.py --seeds 5 --out runs/cahn_hilliard-table
"""

from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np
import tyro

import lgn
from experiments.support import fields
from lgn import plots
from lgn.harness.protocol import Figure, Headline
from lgn.systems import cahn_hilliard

FIGURES = {
    "derivative_mse": Figure(published=7.14, asked=1e-5),
    "energy_mse": Figure(published=3.4e-7, asked=1e-13),
    "state_mse": Figure(published=6.96e-5, asked=1e-11),
    "node_derivative_mse": Figure(published=791.0),
    "node_energy_mse": Figure(published=1.43e-2),
    "node_state_mse": Figure(published=9.15e-1),
    "hnn_derivative_mse": Figure(published=33.0),
    "hnn_energy_mse": Figure(published=4.89e-6),
    "hnn_state_mse": Figure(published=7.95e-4),
    "energy_rises": Figure(asked=0),
    "learned_energy_rises": Figure(asked=0),
    "train_seconds": Figure(asked=180.0),
}
HEADLINE = Headline("derivative_mse", reached=4.5e-8, seconds=87, picture="cahn_hilliard.png")
CASE = fields.Case(
    truth=cahn_hilliard,
    graph=lgn.lattice(cahn_hilliard.LATTICE, cahn_hilliard.SPACING),
    structure=lgn.Laplacian(),
    potential=True,
    gradients={"": lgn.MeanValue(2), "automatic_": lgn.Automatic()},
)


@dataclass(frozen=True)
class Config(fields.Config):
    """Settings of the experiment."""

    out: Path = Path("runs/cahn_hilliard")  # folder for tables, pictures and checkpoints


def first(system: lgn.EnergyFlow, motions: fields.Motions):
    """No further metrics, and the first motion of all."""
    return {}, jax.tree.map(lambda x: x[0], motions.found[""])._replace(t=motions.t)


def draw(folder: Path, fit: lgn.FitResult, motions: fields.Motions) -> None:
    """What fields share; snapshots; the energies as they fall."""
    fields.draw(folder, CASE, fit, motions)
    t, learned = motions.t, motions.found[""]
    with plots.picture(folder / "separation.png", 1, 3, size=(13, 3.8)) as axes:
        x = cahn_hilliard.SPACING[0] * np.arange(motions.exact.shape[2])
        for ax, i in zip(axes, (len(t) // 5, len(t) - 1), strict=False):
            plots.comparison(ax, x, motions.exact[0, i, :, 0], learned.u[0, i, :, 0]).get_legend().remove()
            ax.set(title=f"t = {t[i]:.3g}", xlabel="x", ylabel="u")
        plots.comparison(axes[2], t, cahn_hilliard.energy(motions.exact[0]), cahn_hilliard.energy(learned.u[0]))
        axes[2].set(title="true energy", xlabel="time")


def main(config: Config) -> dict:
    """Trains, tests, compares with the rivals, writes the folder, shows the table."""
    return fields.run(CASE, config, "Cahn-Hilliard", FIGURES, draw, first)


if __name__ == "__main__":
    main(tyro.cli(Config))

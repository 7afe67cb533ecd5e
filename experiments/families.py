"""Six families of models on two systems, with the same data, iterations and about as many parameters each.

A plain network, a neural ODE, Hamiltonian networks given the velocity or the true momentum, a deep Lagrangian network
(DeLaN) and a Lagrangian neural network (LNN), on the double pendulum and on the relativistic particle as published in
Cranmer et al. 2020, whose table 1 makes the claims that are checked here. A family that cannot hold a system fits its
data by chance: on fresh states it may err more than one that predicts zero (46.8 and 0.407 in the published metrics).
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import jax
import numpy as np
import tyro

import lgn
from experiments.support import claims, models
from experiments.support.models import CASES, FAMILIES
from lgn import diagnostics, plots, protocol
from lgn.harness.protocol import Figure, Headline

FIGURES = {
    "double_pendulum_plain_acceleration_l1_sum": Figure(published=0.0739),
    "double_pendulum_lnn_acceleration_l1_sum": Figure(published=0.0689, asked=0.0689),
    "double_pendulum_plain_energy_error": Figure(published=0.078),
    "double_pendulum_lnn_energy_error": Figure(published=0.0043, asked=0.0043),
    "relativistic_hnn_velocity_weighted_error": Figure(published=0.41),
    "relativistic_hnn_momentum_weighted_error": Figure(published=2.4e-4),
    "relativistic_lnn_weighted_error": Figure(published=7.9e-4, asked=7.9e-4),
}
HEADLINE = Headline("double_pendulum_lnn_acceleration_l1_sum", reached=1.05e-2, seconds=None, picture="families.png")
COLOURS = dict(zip(FAMILIES, ["#888888", "#D55E00", "#56B4E9", "#0072B2", "#CC79A7", "#009E73"], strict=True))


@dataclass(frozen=True)
class Config:
    """Settings of the experiment."""

    out: Path = Path("runs/families")  # folder for tables, pictures and checkpoints
    quick: bool = False  # a short training and motion, to see that everything runs
    seed: int = 0
    states: int = 2000
    steps: int = 1500  # iterations of BFGS for every family
    fresh: int = 10_000  # states that accuracy is measured on
    starts: int = 10  # motions that energy is measured on


def train(config: Config, family: str, case: models.Case, states: lgn.States) -> lgn.FitResult:
    """The trained model."""
    data, loss = models.task(family, case, states)
    phases = [lgn.QuasiNewton(20 if config.quick else config.steps)]
    phases = [lgn.pretrain(), *phases] if family == "lnn" else phases
    model = models.build(family, case, config.seed)
    return lgn.fit(model, data, key=jax.random.key(config.seed), phases=phases, loss=loss, validation=None)


def examine(config: Config, family: str, case: models.Case, fit: lgn.FitResult):
    """The metrics of a trained model, and its energy errors (start, time)."""
    model, frame = fit.system, models.coordinates(family, case)
    keys = jax.random.split(jax.random.key(10_000 + config.seed))
    fresh, starts = case.data(keys[0], config.fresh), case.starts(keys[1], config.starts)
    found = models.accelerations(model, frame, fresh)
    integrator = models.THROUGH if config.quick else lgn.Adaptive(1e-9, 1e-9, max_steps=20_000)
    q, v = models.follow(model, starts, case.times[: 11 if config.quick else None], integrator, frame)
    errors = np.asarray(case.energy_error(q, v, starts.features))
    metrics = {
        case.metric: case.accuracy(found, fresh),
        "acceleration_rel_rms": diagnostics.relative_rms(found, fresh.a),
        "energy_error": finite(errors[:, -1].mean()),
        "energy_error_max": finite(errors.max(1).mean()),
        "own_energy_drift": finite(models.own_drift(model, frame, q, v, starts.features)),
        "reaches_end": bool(np.isfinite(q).all() and np.isfinite(v).all()),
        **diagnostics.cost(fit),
    }
    return metrics, errors


def finite(value) -> float | None:
    """A number, or None where there is no energy: the family has none, or a motion left |v| < 1."""
    return float(value) if np.isfinite(value) else None


def draw(folder: Path, rows: list[dict], errors: dict) -> None:
    """Accuracy of each family beside the published one; energy over time."""
    with plots.picture(folder / "accuracy.png", 1, 2, size=(12, 4.2)) as axes:
        for ax, (name, case) in zip(axes, CASES.items(), strict=True):
            for row in (row for row in rows if row["system"] == name):
                family, figure = row["family"], FIGURES.get(f"{name}_{row['family']}_{case.metric}")
                ax.bar(FAMILIES[family], row[case.metric], color=COLOURS[family])
                if figure:
                    ax.plot(FAMILIES[family], figure.published, "k_", ms=34, mew=2)
            ax.set(yscale="log", title=f"{name.replace('_', ' ')} (line: published)", ylabel=case.metric)
            ax.tick_params("x", rotation=30)
    with plots.picture(folder / "energy.png", 1, 2, size=(12, 4.2)) as axes:
        for ax, (name, case) in zip(axes, CASES.items(), strict=True):
            for family, label in FAMILIES.items():
                mean = errors[name, family].mean(0)
                ax.semilogy(case.times[1 : len(mean)], np.maximum(mean[1:], 1e-17), color=COLOURS[family], label=label)
            ax.set(title=name.replace("_", " "), xlabel="time", ylabel="error of the true energy")
        axes[0].figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center", frameon=False)


def main(config: Config) -> dict:
    """Trains all families on both systems, tests them, writes the folder, shows the tables."""
    folder, rows, errors = protocol.begin(config), [], {}
    for name, case in CASES.items():
        states = case.data(jax.random.key(config.seed), 200 if config.quick else config.states)
        for family in FAMILIES:
            fit = train(config, family, case, states)
            metrics, errors[name, family] = examine(config, family, case, fit)
            rows.append({"system": name, "family": family, **metrics})
            if (name, family) == ("double_pendulum", "lnn"):
                start = case.starts(jax.random.key(config.seed), 1)
                motion = fit.system, lgn.rollout(fit.system, (start.q[0], start.v[0]), case.times[:51])
    metrics = {f"{row['system']}_{row['family']}_{key}": row[key] for row in rows for key in list(row)[2:]}
    metrics["claims"] = claims.claims(rows)
    shown = {name: x for name, x in metrics.items() if name.endswith(("_sum", "_error"))}
    sketch = partial(draw, folder, rows, errors)
    protocol.finish(folder, "families of models", FIGURES, metrics, rows, sketch, motion, shown)
    claims.show(metrics["claims"])
    return metrics


if __name__ == "__main__":
    main(tyro.cli(Config))

"""Fields: what `kdv` and `cahn_hilliard` share: data, the three models, the metrics as published, pictures.

DGNet and HNN are one and the same `EnergyFlow`: the first learns from pairs of snapshots by a discrete gradient, the
second from exact derivatives. NODE is a network of the same three nodes without an energy.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import jax
import jraph
import numpy as np
from flax import nnx

import lgn
from lgn import diagnostics, plots, protocol

HIDDEN = (24, 24)
TEST = 10  # of the published trajectories, the last
RIVALS = {"node": "NODE", "hnn": "HNN"}  # prefix of the metrics
LABELS = {**RIVALS, "exact": "exact H, Dormand-Prince"}  # the last shows the error of the steps that made the truth
ERRORS = ("derivative_mse", "energy_mse", "state_mse")
THROUGH = lgn.Adaptive(1e-9, 1e-9, max_steps=5000)  # the published motions of the rivals are Dormand-Prince's too
LEFT = 1e6  # square errors beyond are not drawn: the motion has left the data


@dataclass(frozen=True)
class Config:
    """Settings of both experiments."""

    out: Path
    quick: bool = False  # a short training and motion, to see that everything runs
    seeds: int = 1
    pairs: int = 100
    steps: int = 2000  # iterations of BFGS
    rival_steps: int = 600  # those of NODE and HNN, of one seed

    @property
    def learning(self) -> tuple[bool, int, int]:
        """quick, pairs and iterations."""
        return (True, 20, 60) if self.quick else (False, self.pairs, self.steps)


class Case(NamedTuple):
    """An equation to learn."""

    truth: ModuleType  # exact rates, energy and trajectories
    graph: jraph.GraphsTuple  # the ring
    structure: Any  # G
    potential: bool  # whether grad-bar H is compared with G^+ du/dt, for a stiff G
    gradients: dict[str, Any]  # prefix of the metrics -> discrete gradient of the motion


class Motions(NamedTuple):
    """The test trajectories, exact and followed from their starts; u is (trajectory, time, node, 1)."""

    t: np.ndarray
    exact: np.ndarray
    found: dict[str, lgn.Trajectory]  # prefix of the metrics -> motions of a model


@cache
def trajectories(truth: ModuleType, quick: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """t, and u for training and for tests: one data set for all seeds, as published; a tenth of it if quick."""
    key = jax.random.key(2020)
    if not quick:
        t, u = truth.trajectories(key, 100)
        return t, u[:-TEST], u[-TEST:]
    u = truth.trajectory(truth.starts(key, 10), 50)
    return truth.TIME_STEP * np.arange(51), u[:-1], u[-1:]


def energy_flow(case: Case, seed: int) -> lgn.EnergyFlow:
    """The ring with an energy density of a node and its two neighbours, untrained."""
    density = lgn.MLPDensity(3, 1, HIDDEN, fields=1, initializer=lgn.lecun_normal, rngs=nnx.Rngs(seed))
    return lgn.EnergyFlow(case.graph, density, structure=case.structure)


def train(case: Case, quick: bool, pairs: int, steps: int, folder: Path, seed: int) -> lgn.FitResult:
    """DGNet, from pairs of snapshots."""
    t, u, _ = trajectories(case.truth, quick)
    flow = energy_flow(case, seed)
    weight = flow.structure.pseudo_inverse(1) if case.potential else None
    return protocol.learn(
        flow,
        lambda key: lgn.sample_pairs(key, t, u, pairs),
        seed,
        folder / f"training-{seed}",
        phases=[lgn.QuasiNewton(steps)],
        loss=lgn.DiscreteLoss(lgn.MeanValue(2), weight),
    )


def train_rival(case: Case, quick: bool, pairs: int, steps: int, name: str, seed: int = 0) -> lgn.FitResult:
    """NODE or HNN, from the first states of as many pairs and their exact derivatives."""
    t, u, _ = trajectories(case.truth, quick)

    def sample(key):
        first = lgn.sample_pairs(key, t, u, pairs).state[0][:, 0]
        return lgn.States(first, np.asarray(case.truth.rate(first)))

    system = energy_flow(case, seed) if name == "hnn" else network(case, sample(jax.random.key(seed)), seed)
    return protocol.learn(system, sample, seed, phases=[lgn.QuasiNewton(steps)], loss=lgn.rate_loss)


def network(case: Case, data: lgn.States, seed: int) -> lgn.Baseline:
    """du/dt of a node from it and its two neighbours, untrained."""
    scales = {"q_scale": float(np.std(data.q)), "a_scale": float(np.std(data.v))}
    law = lgn.NeuralODE(1, HIDDEN, slots=3, fields=1, rngs=nnx.Rngs(seed), **scales)
    return lgn.Baseline(case.graph, law)


def follow(system, starts, t, integrator) -> lgn.Trajectory:
    """Motions from many starts; what stops is NaN from there."""
    return jax.vmap(lambda u: lgn.rollout(system, u, t, integrator))(jax.numpy.asarray(starts))


def run(case: Case, config: Config, title: str, figures: protocol.Figures, draw: Callable, more: Callable) -> dict:
    """Trains, tests, compares with the rivals, writes the folder, shows the table.

    Args:
        case: what is learned.
        config: settings.
        title: of the table, as its `figures`.
        draw: (folder, fit, motions) -> None.
        more: (system, motions) -> (further metrics, the motion to go on from).
    """
    folder, (quick, pairs, steps) = protocol.begin(config), config.learning
    learn, test = partial(train, case, quick, pairs, steps, folder), partial(examine, case, quick, more)
    rows, shown = protocol.over_seeds(range(config.seeds), learn, test)
    fit, (motions, last) = shown[0]
    rivals = examine_rivals(case, quick, pairs, min(steps, config.rival_steps), motions)
    metrics, sketch = protocol.summary(rows) | rivals, partial(draw, folder, fit, motions)
    return protocol.finish(folder, title, figures, metrics, rows, sketch, (fit.system, last))


def examine(case: Case, quick: bool, more: Callable, fit: lgn.FitResult):
    """Metrics of DGNet by each discrete gradient, with those of `more`; motions, and the last that `more` returns."""
    t, _, exact = trajectories(case.truth, quick)
    metrics: dict[str, Any] = {**diagnostics.cost(fit), "derivative_mse": derivative_mse(case, fit.system, exact)}
    found = {}
    for prefix, gradient in case.gradients.items():
        found[prefix] = follow(fit.system, exact[:, 0], t, lgn.DiscreteGradient(case.truth.TIME_STEP, gradient))
        metrics |= {f"{prefix}{name}": x for name, x in errors(case, found[prefix], exact).items()}
    motions = Motions(t, exact, found)
    further, last = more(fit.system, motions)
    return metrics | further, (motions, last)


def examine_rivals(case: Case, quick: bool, pairs: int, steps: int, motions: Motions) -> dict[str, Any]:
    """Metrics of NODE, HNN and the exact energy, all by Dormand-Prince, whose motions join the others; None where a
    motion does not reach its end."""
    systems = {name: train_rival(case, quick, pairs, steps, name).system for name in RIVALS}
    systems["exact"] = lgn.EnergyFlow(case.graph, case.truth.density, structure=case.structure)
    metrics = {}
    for name, system in systems.items():
        motions.found[name] = follow(system, motions.exact[:, 0], motions.t, THROUGH)
        found = errors(case, motions.found[name], motions.exact)
        found["derivative_mse"] = derivative_mse(case, system, motions.exact)
        metrics |= {f"{name}_{key}": found[key] if np.isfinite(found[key]) else None for key in (*ERRORS, "mass_drift")}
    return metrics


def derivative_mse(case: Case, system, exact) -> float:
    """Mean square error of du/dt along the exact trajectories, absolute."""
    rates = jax.jit(jax.vmap(jax.vmap(lambda u: system.rate((u,))[0])))(exact)
    return float(np.mean((rates - case.truth.rate(exact)) ** 2))


def errors(case: Case, motion: lgn.Trajectory, exact) -> dict[str, Any]:
    """The published errors along motions, of the true energy and of u, and what the motions conserve."""
    true, learned = np.asarray(case.truth.energy(motion.u)), np.asarray(motion.energy)
    mass = np.asarray(motion.u).sum((2, 3))
    metrics = {
        "energy_mse": float(np.mean((true - case.truth.energy(exact))[:, 1:] ** 2)),
        "state_mse": float(np.mean((motion.u - exact)[:, 1:] ** 2)),
        "mass_drift": float(np.abs(mass - mass[:, :1]).max()),
    }
    if case.structure.dissipates:
        return metrics | {"energy_rises": rises(true), "learned_energy_rises": rises(learned)}
    drifts = {"energy_drift_true": true, "energy_drift_learned": learned}
    return metrics | {name: float(np.abs(energy / energy[:, :1] - 1).max()) for name, energy in drifts.items()}


def rises(energy) -> float:
    """How many steps an energy (..., time) rises in."""
    return float((np.diff(energy, axis=-1) > 0).sum())


def draw(folder: Path, case: Case, fit: lgn.FitResult, motions: Motions) -> None:
    """Space-time diagrams, errors of energy and state of each model, training curve, and a gif."""
    t, exact = motions.t, motions.exact[0, ..., 0]
    learned = np.asarray(motions.found[""].u[0, ..., 0])
    limit = float(np.abs(exact).max())
    with plots.picture(folder / "space_time.png", 1, 3, size=(13, 4.2), sharey=True) as axes:
        plots.space_time(axes[0], t, exact, "exact", limit, "u")
        plots.space_time(axes[1], t, learned, "learned", limit, "u").set_ylabel("")
        plots.space_time(axes[2], t, learned - exact, "difference", label="u").set_ylabel("")
    energy = partial(np.asarray, dtype=float)
    with plots.picture(folder / "errors.png", 1, 3, size=(13, 4.2)) as axes:
        for name, motion in motions.found.items():
            label = LABELS.get(name) or f"DGNet, {type(case.gradients[name]).__name__}"
            missing = energy(case.truth.energy(motion.u)) - energy(case.truth.energy(motions.exact))
            for ax, squares in zip(axes, (missing**2, np.mean((motion.u - motions.exact) ** 2, (2, 3))), strict=False):
                ax.semilogy(t[1:], np.maximum(squares.mean(0)[1:], 1e-32), label=label)
        for ax, what in zip(axes, ("the energy", "u"), strict=False):
            ax.set(xlabel="time", title=f"square error of {what}", ylim=(None, min(ax.get_ylim()[1], LEFT)))
        handles = axes[0].get_legend_handles_labels()
        axes[0].figure.legend(*handles, loc="outside lower center", ncols=len(motions.found), frameon=False)
        plots.history(axes[2], fit.history)
    plots.animate_string(folder / "field.gif", t, {"exact": exact, "learned": learned}, label="u")

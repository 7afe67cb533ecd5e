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
import jax.numpy as jnp
import matplotlib
import numpy as np
import tyro
from cases import CASES, Case
from flax import nnx
from report import show
from rich.console import Console
from rich.table import Table

import lgn
from lgn import plots, runs
from lgn.losses import on_samples

FAMILIES = {
    "plain": "plain network",
    "neural_ode": "neural ODE",
    "hnn_velocity": "HNN given v",
    "hnn_momentum": "HNN given p",
    "delan": "DeLaN",
    "lnn": "LNN",
}
# Table 1 of the paper: for each claim the families that it grants it.
CLAIMS = {
    "models dynamical systems": set(FAMILIES),
    "learns differential equations": set(FAMILIES) - {"plain"},
    "learns exact conservation laws": {"hnn_velocity", "hnn_momentum", "delan", "lnn"},
    "learns from arbitrary coordinates": {"plain", "neural_ode", "delan", "lnn"},
    "learns arbitrary Lagrangians": {"lnn"},
}
LEARNED = 0.1  # a relative error of the acceleration, or a weighted error, below which a system counts as learned
CONSERVED = 1e-4  # the same for the drift of a model's own energy; steps of 1e-9 leave 2e-5 where H is rough
PUBLISHED = {
    "double_pendulum_plain_acceleration_l1_sum": 0.0739,
    "double_pendulum_lnn_acceleration_l1_sum": 0.0689,
    "double_pendulum_plain_energy_error": 0.078,
    "double_pendulum_lnn_energy_error": 0.0043,
    "relativistic_hnn_velocity_weighted_error": 0.41,
    "relativistic_hnn_momentum_weighted_error": 2.4e-4,
    "relativistic_lnn_weighted_error": 7.9e-4,
}
ASKED = {
    "double_pendulum_lnn_acceleration_l1_sum": 0.0689,
    "double_pendulum_lnn_energy_error": 0.0043,
    "relativistic_lnn_weighted_error": 7.9e-4,
}
STEP = 0.01  # between two states of the pieces that the neural ODE learns from
THROUGH = lgn.ImplicitMidpoint(STEP / 2)  # a gradient through Adaptive steps costs five to ten times as much (measured)


@dataclass(frozen=True)
class Config:
    """Settings of the experiment."""

    out: Path = Path("runs/families")
    """Folder for tables, pictures and checkpoints."""
    quick: bool = False
    """A short training and motion, to see that everything runs."""
    seed: int = 0
    states: int = 2000
    steps: int = 1500
    """Iterations of BFGS for every family."""
    fresh: int = 10_000
    """States that accuracy is measured on."""
    starts: int = 10
    """Motions that energy is measured on."""


def build(family: str, case: Case, seed: int):
    """An untrained model; the widths give each about 1,300 parameters."""
    settings, rngs, wide = dict(case.settings), nnx.Rngs(seed), (32, 32)
    dim = settings.pop("dim")
    if family == "plain":
        return lgn.Baseline(case.graph, lgn.PlainNetwork(dim, wide, a_scale=case.a_scale, rngs=rngs, **settings))
    if family == "neural_ode":
        return lgn.Baseline(case.graph, lgn.NeuralODE(dim, wide, a_scale=case.a_scale, rngs=rngs, **settings))
    if family == "delan":
        return lgn.Lagrangian(case.graph, lgn.StructuredDensity(1, dim, (22, 22), rngs=rngs, **settings))
    if family == "lnn":
        return lgn.Lagrangian(case.graph, lgn.MLPDensity(1, dim, wide, rngs=rngs, **settings, **case.lnn))
    momentum = lgn.baselines.velocity
    if family == "hnn_momentum":
        momentum, settings["v_scale"] = case.momentum, case.p_scale
    network = lgn.MLPDensity(1, dim, wide, mass=None, initializer=lgn.lecun_normal, rngs=rngs, **settings)
    return lgn.Baseline(case.graph, lgn.HamiltonianNetwork(network, momentum))


def train(family: str, case: Case, states, config: Config):
    """The trained model."""
    model, data, loss = build(family, case, config.seed), states, partial(acceleration_loss, case)
    if family.startswith("hnn"):
        loss = partial(rate_loss, case)
    elif family == "neural_ode":
        data, loss = pieces(case, states), lgn.StepsLoss(THROUGH, STEP)
    phases = [lgn.QuasiNewton(20 if config.quick else config.steps)]
    phases = [lgn.match(), *phases] if family == "lnn" else phases
    return lgn.fit(model, data, key=jax.random.key(config.seed), phases=phases, loss=loss)


def acceleration_loss(case: Case, model, states):
    """Mean squared error of the acceleration, relative, in the weights of the system."""
    found = on_samples(lambda model, *state: model.acceleration(*state), model, states)
    return relative(case.weight(states.v), found, states.a)


def rate_loss(case: Case, model, states):
    """The same of dq/dt and of dv/dt."""
    q_rate, v_rate = on_samples(lambda model, *state: model.rate(*state), model, states)
    weight = case.weight(states.v)
    return relative(weight, q_rate, states.v) + relative(weight, v_rate, states.a)


def relative(weight, found, exact):
    """Weighted mean squared error over the weighted mean square."""
    return jnp.sum(weight * (found - exact) ** 2) / jnp.sum(weight * exact**2)


def pieces(case: Case, states) -> lgn.Windows:
    """Three exact states from each of the same starts on."""
    exact, times = lgn.Baseline(case.graph, case.law), STEP * np.arange(3)
    q, v = follow(exact, states, times, lgn.Adaptive(1e-11, 1e-11, max_steps=1000))
    return lgn.Windows(q, jnp.full(len(q), STEP), v, given=states.given)


def follow(model, states, times, integrator):
    """q and v, (sample, time, node, dim), of the motions from all states."""
    return jax.jit(partial(on_samples, lambda model, q, v, t: integrator(model, q, v, times)))(model, states)


def measure(family: str, name: str, states, config: Config):
    """The trained model, its energy errors (start, time), and a row of metrics."""
    case = CASES[name]
    fit = train(family, case, states, config)
    model = fit.system
    keys = jax.random.split(jax.random.key(10_000 + config.seed))
    fresh, starts = case.data(keys[0], config.fresh), case.starts(keys[1], config.starts)
    found = jax.jit(partial(on_samples, lambda model, *state: model.acceleration(*state)))(model, fresh)
    times = case.times[: 11 if config.quick else None]
    q, v = follow(model, starts, times, THROUGH if config.quick else lgn.Adaptive(1e-9, 1e-9, max_steps=20_000))
    errors = np.asarray(case.energy_error(q, v, starts.given))
    row = {
        "system": name,
        "family": family,
        case.metric: case.accuracy(found, fresh),
        "acceleration_rel_rms": float(jnp.sqrt(relative(1.0, found, fresh.a))),
        "energy_error": finite(errors[:, -1].mean()),
        "energy_error_max": finite(errors.max(1).mean()),
        "own_energy_drift": finite(own_drift(model, q, v, starts.given)),
        "reaches_end": bool(np.isfinite(q).all() and np.isfinite(v).all()),
        "train_seconds": fit.seconds,
        "parameters": sum(x.size for x in jax.tree.leaves(nnx.state(model, nnx.Param))),
    }
    return model, errors, row


def own_drift(model, q, v, given):
    """Largest change of what the model takes for the energy, over its spread between the starts."""

    def energies(q, v, given):
        return jax.vmap((model.given(**given) if given else model).energy)(q, v)

    found = np.asarray(jax.jit(jax.vmap(energies))(q, v, given))
    return np.abs(found - found[:, :1]).max() / np.ptp(found[:, 0])


def finite(value) -> float | None:
    """A number, or None where there is no energy: the family has none, or a motion left |v| < 1."""
    return float(value) if np.isfinite(value) else None


def claims(rows: list[dict]) -> dict[str, dict[str, bool]]:
    """Which claims of table 1 hold by the numbers, for each family.

    To learn from arbitrary coordinates is to learn the double pendulum from (q, v); to learn arbitrary Lagrangians is
    to learn the relativistic particle from (q, v) with a conserved energy. A network that is given p has neither.
    """
    pendulum, particle = ({row["family"]: row for row in rows if row["system"] == name} for name in CASES)

    def learned(row):
        return row.get("weighted_error", row["acceleration_rel_rms"]) < LEARNED

    def conserves(family):
        drifts = [row["own_energy_drift"] for row in (pendulum[family], particle[family])]
        return all(drift is not None and drift < CONSERVED for drift in drifts)

    holds = {
        "models dynamical systems": lambda f: learned(pendulum[f]) or learned(particle[f]),
        "learns differential equations": lambda f: pendulum[f]["reaches_end"],
        "learns exact conservation laws": conserves,
        "learns from arbitrary coordinates": lambda f: learned(pendulum[f]) and f != "hnn_momentum",
        "learns arbitrary Lagrangians": lambda f: learned(particle[f]) and conserves(f) and f != "hnn_momentum",
    }
    return {claim: {family: bool(holds[claim](family)) for family in FAMILIES} for claim in CLAIMS}


def show_claims(found: dict[str, dict[str, bool]]) -> None:
    """What the paper's table says, and what was found; disagreement is red."""
    table = Table("claim", *FAMILIES.values(), title="table 1 of the paper: published / found")
    for claim, granted in CLAIMS.items():
        cells = [(family in granted, found[claim][family]) for family in FAMILIES]
        words = [" / ".join("yes" if x else "no" for x in cell) for cell in cells]
        table.add_row(claim, *(word if a == b else f"[red]{word}" for word, (a, b) in zip(words, cells, strict=True)))
    Console(width=130).print(table)


def main(config: Config) -> dict:
    """Trains all families on both systems, tests them, writes the folder, prints the tables."""
    jax.config.update("jax_enable_x64", True)
    matplotlib.use("agg")
    folder = runs.begin(config.out, config)
    rows, errors = [], {}
    for name, case in CASES.items():
        states = case.data(jax.random.key(config.seed), 200 if config.quick else config.states)
        for family in FAMILIES:
            model, errors[name, family], row = measure(family, name, states, config)
            rows.append(row)
            if (name, family) == ("double_pendulum", "lnn"):
                start = case.starts(jax.random.key(config.seed), 1)
                runs.keep_motion(folder, model, lgn.rollout(model, (start.q[0], start.v[0]), case.times[:51]))
    metrics = {
        f"{row['system']}_{row['family']}_{key}": value
        for row in rows
        for key, value in row.items()
        if key not in ("system", "family")
    }
    metrics["claims"] = claims(rows)
    runs.write_metrics(folder, metrics, rows)
    draw(folder, rows, errors)
    shown = {name: x for name, x in metrics.items() if name.endswith(("_sum", "_error"))}
    show("families of models", shown, ASKED, folder, PUBLISHED)
    show_claims(metrics["claims"])
    return metrics


def draw(folder: Path, rows: list[dict], errors: dict) -> None:
    """Accuracy of each family beside the published one; energy over time."""
    import matplotlib.pyplot as plt

    colours = dict(zip(FAMILIES, ["#888888", "#D55E00", "#56B4E9", "#0072B2", "#CC79A7", "#009E73"], strict=True))
    with plt.rc_context(plots.FONT):
        figure, axes = plt.subplots(1, 2, figsize=(12, 4.2), dpi=110, layout="constrained")
        for ax, (name, case) in zip(axes, CASES.items(), strict=True):
            for row in (row for row in rows if row["system"] == name):
                family, published = row["family"], PUBLISHED.get(f"{name}_{row['family']}_{case.metric}")
                ax.bar(FAMILIES[family], row[case.metric], color=colours[family])
                if published:
                    ax.plot(FAMILIES[family], published, "k_", ms=34, mew=2)
            ax.set(yscale="log", title=f"{name.replace('_', ' ')} (line: published)", ylabel=case.metric)
            ax.tick_params("x", rotation=30)
        figure.savefig(folder / "accuracy.png")
        figure, axes = plt.subplots(1, 2, figsize=(12, 4.2), dpi=110, layout="constrained")
        for ax, (name, case) in zip(axes, CASES.items(), strict=True):
            for family, label in FAMILIES.items():
                mean = errors[name, family].mean(0)
                times = case.times[: len(mean)]
                ax.semilogy(times[1:], np.maximum(mean[1:], 1e-17), color=colours[family], label=label)
            ax.set(title=name.replace("_", " "), xlabel="time", ylabel="error of the true energy")
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center", frameon=False)
        figure.savefig(folder / "energy.png")
        plt.close("all")


if __name__ == "__main__":
    main(tyro.cli(Config))

"""Learns the Lagrangian and the friction of a damped pendulum, single and double, from accelerations.

Protocol: dissipative Lagrangian neural networks, blog post and public code, 2023; their double pendulum has a wrong
mixed term, ours is the right one. Metrics are explained in docs/results.md.
Five seeds: python experiments/damped_pendulum.py --seeds 5 --out runs/damped_pendulum-table
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import tyro
from flax import nnx
from report import show, summary

import lgn
from lgn import diagnostics, plots, runs
from lgn.systems import double_pendulum, pendulum

PUBLISHED = {"vector_field_mse": 2.2e-2, "double_vector_field_mse": 1.3}
ASKED = {
    "vector_field_mse": 1e-5, "friction_rel_error": 1e-3, "double_vector_field_mse": 1e-2,
    "double_friction_rel_error": 1e-2,
}  # fmt: skip
FRICTION = 0.25  # c of R = c |v|^2


@dataclass(frozen=True)
class Config:
    """Settings of the experiment."""

    out: Path = Path("runs/damped_pendulum")
    """Folder for tables, pictures and checkpoints."""
    quick: bool = False
    """A short training and motion, to see that everything runs."""
    seeds: int = 1
    states: int = 500
    steps: int = 600
    """Iterations of BFGS."""
    double_states: int = 2000
    double_steps: int = 1500
    """Iterations of BFGS for the double pendulum."""
    end: float = 8.0


def main(config: Config) -> dict:
    """Trains, tests, writes the folder, prints the table."""
    jax.config.update("jax_enable_x64", True)
    matplotlib.use("agg")
    folder = runs.begin(config.out, config)
    rows, shown = [], {}
    for seed in range(config.seeds):
        row: dict[str, Any] = {"seed": seed, "train_seconds": 0.0, "parameters": 0}
        for kind, rods in (("", 1), ("double_", 2)):
            fit = train(config, seed, rods, folder / f"training-{kind}{seed}")
            row |= {f"{kind}{name}": value for name, value in examine(fit.system, rods).items()}
            row["train_seconds"] += fit.seconds
            row["parameters"] += sum(x.size for x in jax.tree.leaves(nnx.state(fit.system, nnx.Param)))
            shown.setdefault(kind, fit)
        rows.append(row)
    metrics = summary(rows)
    runs.write_metrics(folder, metrics, rows)
    motions = {kind: swing(config, fit.system) for kind, fit in shown.items()}
    runs.keep_motion(folder, shown["double_"].system, motions["double_"][0])
    draw(folder, shown, motions)
    show("damped pendulums", metrics, ASKED, folder, PUBLISHED)
    return metrics


def train(config: Config, seed: int, rods: int, folder: Path) -> lgn.FitResult:
    """L = T - V and R, both positive forms of v: L is even in v, so what is odd in the acceleration is friction."""
    angles = tuple(range(rods))
    hidden, states, steps = ((16, 16), config.states, config.steps)
    if rods == 2:
        hidden, states, steps = ((24, 24), config.double_states, config.double_steps)
    density = lgn.StructuredDensity(1, rods, hidden, angles=angles, rngs=nnx.Rngs(seed))
    friction = lgn.PositiveForm(1, rods)
    system = lgn.Lagrangian(lgn.single_node(), density, dissipation=friction)
    data_key, fit_key = jax.random.split(jax.random.key(seed))
    phases = [lgn.QuasiNewton(60 if config.quick else steps)]
    return lgn.fit(system, sample(data_key, states, rods), key=fit_key, phases=phases, folder=folder)


def sample(key, count: int, rods: int) -> lgn.States:
    """States of the published ranges, with exact accelerations: angles over the circle, speeds to 10, double to 5."""
    if rods == 2:
        return double_pendulum.sample(key, count, speed=5.0, friction=FRICTION)
    return pendulum.sample(key, count, friction=FRICTION)


def examine(trained: lgn.Lagrangian, rods: int) -> dict[str, float]:
    """The published mean square over a grid (single) or fresh states (double), and the friction that was learned."""
    fresh = sample(jax.random.key(10_000), 10_000, rods) if rods == 2 else pendulum.grid()
    found = jax.jit(lambda system, q, v: jax.vmap(system.acceleration)(q, v))(trained, fresh.q, fresh.v)
    conservative, friction = diagnostics.parts(trained, fresh.q, fresh.v)
    exact = exact_friction(fresh, rods)
    error = friction - exact
    return {
        "vector_field_mse": float(np.mean((found - fresh.a) ** 2)),
        "friction_rel_error": float(np.sqrt(np.mean(error**2) / np.mean(exact**2))),
        "conservative_rel_error": relative_rms(conservative, np.asarray(fresh.a) - exact),
    }


def exact_friction(states: lgn.States, rods: int) -> np.ndarray:
    """-M^-1 dR/dv: what friction does to the acceleration."""
    acceleration = double_pendulum.acceleration if rods == 2 else pendulum.acceleration
    return np.asarray(states.a - acceleration(states.q, states.v))


def relative_rms(found, exact) -> float:
    """Root of the mean square error over that of the exact values."""
    return float(np.sqrt(np.mean((np.asarray(found) - exact) ** 2) / np.mean(exact**2)))


def swing(config: Config, system: lgn.Lagrangian):
    """Learned and exact motion (q, v) from a high start."""
    rods = system.density.dim
    q, v = np.full((1, rods), 2.5), np.zeros((1, rods))
    ts = np.linspace(0, 2.0 if config.quick else config.end, 241)
    exact = (double_pendulum if rods == 2 else pendulum).trajectory(q, v, ts, friction=FRICTION)
    return lgn.rollout(system, (jnp.asarray(q), jnp.asarray(v)), ts, lgn.Adaptive(1e-10, 1e-10)), exact


def draw(folder: Path, fits: dict, motions: dict) -> None:
    """Energy, phase portrait and training for both pendulums; a gif of the double one."""
    import matplotlib.pyplot as plt

    with plt.rc_context(plots.FONT):
        figure, axes = plt.subplots(2, 3, figsize=(13, 7), dpi=110, layout="constrained")
        for row, kind in zip(axes, motions, strict=True):
            motion, (exact_q, exact_v) = motions[kind]
            truth = double_pendulum if kind else pendulum
            for (q, v), label, style in (((exact_q, exact_v), "exact", "k-"), ((motion.q, motion.v), "learned", "--")):
                row[0].plot(motion.t, truth.energy(jnp.asarray(q), jnp.asarray(v)), style, label=label)
                plots.phase(row[1], q[:, 0, 0], v[:, 0, 0], "inner rod" if kind else "", label, style)
            row[0].set(xlabel="time", ylabel="energy", title=f"{'double' if kind else 'single'} pendulum")
            row[0].legend(frameon=False)
            plots.history(row[2], fits[kind].history)
        figure.savefig(folder / "energy.png")
        plt.close("all")
    motion, (exact_q, _) = motions["double_"]
    angles = {"exact": exact_q[:, 0], "learned": np.asarray(motion.q[:, 0])}
    plots.animate_pendulums(folder / "pendulum.gif", np.asarray(motion.t), angles)


if __name__ == "__main__":
    main(tyro.cli(Config))

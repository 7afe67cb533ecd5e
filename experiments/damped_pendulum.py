"""Learns the Lagrangian and the friction of a damped pendulum, single and double, from accelerations.

Protocol: dissipative Lagrangian neural networks, blog post and public code, 2023; their double pendulum has a wrong
mixed term, ours is the right one. Metrics are explained in docs/results.md.
Five seeds: python experiments/damped_pendulum.py --seeds 5 --out runs/damped_pendulum-table
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from flax import nnx

import lgn
from lgn import diagnostics, plots, protocol
from lgn.harness.protocol import Figure, Headline
from lgn.systems import double_pendulum, pendulum

FIGURES = {
    "vector_field_mse": Figure(published=2.2e-2, asked=1e-5),
    "friction_rel_error": Figure(asked=1e-3),
    "double_vector_field_mse": Figure(published=1.3, asked=1e-2),
    "double_friction_rel_error": Figure(asked=1e-2),
}
HEADLINE = Headline("vector_field_mse", reached=4.7e-13, seconds=23, picture="damped_pendulum.png")
KINDS = {"": pendulum, "double_": double_pendulum}  # prefix of the metrics
SPEEDS = {"": 10.0, "double_": 5.0}  # of the published states, whose angles lie anywhere on the circle
FRICTION = 0.25  # c of R = c |v|^2


@dataclass(frozen=True)
class Config:
    """Settings of the experiment."""

    out: Path = Path("runs/damped_pendulum")  # folder for tables, pictures and checkpoints
    quick: bool = False  # a short training and motion, to see that everything runs
    seeds: int = 1
    states: int = 500
    steps: int = 600  # iterations of BFGS
    double_states: int = 2000
    double_steps: int = 1500  # iterations of BFGS for the double pendulum
    end: float = 8.0


def train(config: Config, folder: Path, seed: int) -> dict[str, lgn.FitResult]:
    """The trained system of each kind."""
    single, double = (config.states, config.steps), (config.double_states, config.double_steps)
    sizes = {"": ((16, 16), *single), "double_": ((24, 24), *double)}
    return {kind: train_kind(config, folder / f"training-{kind}{seed}", seed, kind, *sizes[kind]) for kind in KINDS}


def train_kind(config: Config, folder: Path, seed: int, kind: str, hidden, states: int, steps: int) -> lgn.FitResult:
    """L = T - V and R, both positive forms of v: L is even in v, so what is odd in the acceleration is friction."""
    rods = 2 if kind else 1
    density = lgn.StructuredDensity(1, rods, hidden, angles=range(rods), rngs=nnx.Rngs(seed))
    system = lgn.Lagrangian(lgn.single_node(), density, dissipation=lgn.PositiveForm(1, rods))
    sample = partial(KINDS[kind].sample, count=states, speed=SPEEDS[kind], friction=FRICTION)
    return protocol.learn(system, sample, seed, folder, phases=[lgn.QuasiNewton(60 if config.quick else steps)])


def examine(config: Config, fits: dict[str, lgn.FitResult]):
    """The metrics of both kinds, and their motions."""
    costs = [diagnostics.cost(fit) for fit in fits.values()]
    metrics = {name: sum(cost[name] for cost in costs) for name in costs[0]}
    for kind, fit in fits.items():
        metrics |= {f"{kind}{name}": value for name, value in errors(kind, fit.system).items()}
    return metrics, {kind: swing(config, kind, fit.system) for kind, fit in fits.items()}


def errors(kind: str, system: lgn.Lagrangian) -> dict[str, float]:
    """The published mean square over a grid (single) or fresh states (double), and the friction that was learned."""
    double = double_pendulum.sample(jax.random.key(10_000), 10_000, SPEEDS["double_"], FRICTION)
    fresh = double if kind else pendulum.grid()
    conservative, friction = diagnostics.split_friction(system, fresh.q, fresh.v)
    exact = KINDS[kind].acceleration(fresh.q, fresh.v)
    return {
        "vector_field_mse": float(np.mean((conservative + friction - fresh.a) ** 2)),
        "friction_rel_error": diagnostics.relative_rms(friction, fresh.a - exact),
        "conservative_rel_error": diagnostics.relative_rms(conservative, exact),
    }


def swing(config: Config, kind: str, system: lgn.Lagrangian):
    """The system, its motion from a high start, and the exact (q, v)."""
    q, v = np.full((1, system.density.dim), 2.5), np.zeros((1, system.density.dim))
    ts = np.linspace(0, 2.0 if config.quick else config.end, 241)
    motion = lgn.rollout(system, (jnp.asarray(q), jnp.asarray(v)), ts, lgn.Adaptive(1e-10, 1e-10))
    return system, motion, KINDS[kind].trajectory(q, v, ts, friction=FRICTION)


def draw(folder: Path, fits: dict, motions: dict) -> None:
    """Energy, phase portrait and training for both pendulums; a gif of the double one."""
    with plots.picture(folder / "energy.png", 2, 3, size=(13, 7)) as axes:
        for row, (kind, (_, motion, exact)) in zip(axes, motions.items(), strict=True):
            for (q, v), label, style in ((exact, "exact", "k-"), (motion.state, "learned", "--")):
                row[0].plot(motion.t, KINDS[kind].energy(jnp.asarray(q), jnp.asarray(v)), style, label=label)
            plots.phases(row[1], exact, motion, "inner rod" if kind else "")
            row[0].set(xlabel="time", ylabel="energy", title=f"{'double' if kind else 'single'} pendulum")
            row[0].legend(frameon=False)
            plots.history(row[2], fits[kind].history)
    _, motion, exact = motions["double_"]
    plots.animate_pendulums(folder / "pendulum.gif", motion.t, {"exact": exact[0], "learned": motion.q})


def main(config: Config) -> dict:
    """Trains, tests, writes the folder, shows the table."""
    folder = protocol.begin(config)
    rows, shown = protocol.over_seeds(range(config.seeds), partial(train, config, folder), partial(examine, config))
    metrics, sketch = protocol.summary(rows), partial(draw, folder, *shown[0])
    return protocol.finish(folder, "damped pendulums", FIGURES, metrics, rows, sketch, shown[0][1]["double_"][:2])


if __name__ == "__main__":
    main(tyro.cli(Config))

"""Learns the density of the 1D wave equation on a ring of 10 nodes, runs it on 100 and on 10,000.

Protocol: Cranmer et al. 2020, arXiv 2003.04630, section 5 and public code; metrics are explained in docs/results.md.
The full table: python experiments/wave.py --ways prior pure --seeds 5 --out runs/wave-table
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import jax
import numpy as np
import tyro
from flax import nnx

import lgn
from lgn import diagnostics, plots, protocol
from lgn.harness.protocol import Figure, Headline
from lgn.systems import wave

FIGURES = {
    "acceleration_l1_sum": Figure(published=0.434, asked=2e-5),
    "rollout_rel_l2": Figure(asked=1e-3),
    "energy_drift_true": Figure(asked=1e-6),
    "large_rollout_rel_l2": Figure(asked=1e-3),
    "pure_acceleration_l1_sum": Figure(published=0.434, asked=1e-3),
    "pure_rollout_rel_l2": Figure(asked=2e-2),
}
HEADLINE = Headline("acceleration_l1_sum", reached=1.1e-5, seconds=50, picture="space_time.png")
SCALE = 2.0  # of q and v, which reach from -4 to 4: inputs of the network from -2 to 2
KINETIC = {"mass": 1.0, "relative": True, "q_scale": SCALE, "v_scale": SCALE}
DENSITIES = {
    "prior": {"hidden": (24, 24), **KINETIC, "initializer": lgn.small_output},
    "pure": {"hidden": (32, 32), "mass": None, "relative": False, "initializer": lgn.lecun_normal},
}


@dataclass(frozen=True)
class Config:
    """Settings of the experiment."""

    out: Path = Path("runs/wave")  # folder for tables, pictures and checkpoints
    quick: bool = False  # a short training, to see that everything runs
    ways: tuple[Literal["prior", "pure"], ...] = ("prior",)
    """prior: MLP of differences beside a kinetic prior; pure: MLP alone, as published."""
    seeds: int = 1  # how many seeds of each
    nodes_train: int = 10
    nodes_test: int = 100
    nodes_large: int = 10_000
    states: int = 200  # to train on with the kinetic prior
    pure_states: int = 300
    tolerance: float = 4e-8  # relative error of the accelerations at which training with the kinetic prior ends
    end: float = 149.5
    steps: int = 5000  # most iterations of BFGS with the kinetic prior
    pure_steps: int = 4000  # iterations of BFGS for the MLP alone


def train(config: Config, way: str, folder: Path, seed: int) -> lgn.FitResult:
    """The trained system; the metrics of the pure MLP carry `pure_`."""
    density = lgn.MLPDensity(3, 1, **DENSITIES[way], rngs=nnx.Rngs(seed))
    system = lgn.Lagrangian(lgn.lattice((config.nodes_train,)), density)
    count = {"prior": config.states, "pure": config.pure_states}[way]
    steps = 100 if config.quick else {"prior": config.steps, "pure": config.pure_steps}[way]
    phases = {  # the kinetic prior is a Lagrangian to start from; a network alone is pretrained to be one
        "prior": [lgn.QuasiNewton(steps, config.tolerance)],
        "pure": [lgn.pretrain(), lgn.QuasiNewton(steps)],
    }[way]
    sample = partial(wave.sample, count=count, n_node=config.nodes_train)
    return protocol.learn(system, sample, seed, folder / f"{way}-{seed}", phases=phases)


def examine(config: Config, fit: lgn.FitResult):
    """The metrics of one trained system; that system on the test ring, and its motion."""
    fresh = wave.sample(jax.random.key(10_000), 10_000, config.nodes_train)
    system, motion, middle = roll(fit.system, config.nodes_test, np.linspace(0.0, config.end, 300))
    *_, large = roll(fit.system, config.nodes_large, np.linspace(0.0, config.end, 14))
    metrics = {
        **diagnostics.cost(fit),
        **diagnostics.acceleration_errors(fit.system, fresh),
        **middle,
        **{f"large_{name}": value for name, value in large.items()},
        "nodes_train": config.nodes_train,
        "nodes_test": config.nodes_test,
    }
    return metrics, (system, motion)


def roll(learned: lgn.Lagrangian, n_node: int, ts):
    """A pulse on a ring of n_node nodes: system, motion, and its errors against the exact solution."""
    system, state = learned.on(lgn.lattice((n_node,))), wave.pulse(n_node)
    motion = lgn.rollout(system, state, ts)
    error = diagnostics.relative_l2(motion.q, wave.exact(*state, ts)[0])
    momentum = diagnostics.momentum(system, motion)
    metrics = {
        "rollout_rel_l2": float(error[-1]),
        "rollout_rel_l2_max": float(error.max()),
        "momentum_drift": float(np.abs(momentum - momentum[0]).max()),
        **diagnostics.conservation(system, motion, wave.energy(motion.q, motion.v)),
    }
    return system, motion, metrics


def draw(folder: Path, fit: lgn.FitResult, system: lgn.Lagrangian, motion: lgn.Trajectory) -> None:
    """Space-time diagrams, energy, error, training curve and a gif of the string."""
    exact_q, _ = wave.exact(*wave.pulse(motion.q.shape[1]), motion.t)
    learned, exact = np.asarray(motion.q[..., 0]), exact_q[..., 0]
    with plots.picture(folder / "space_time.png", 1, 3, size=(13, 4.2), sharey=True) as axes:
        plots.space_time(axes[0], motion.t, exact, "exact", 1.0)
        plots.space_time(axes[1], motion.t, learned, "learned on 10 nodes", 1.0).set_ylabel("")
        plots.space_time(axes[2], motion.t, learned - exact, "difference").set_ylabel("")
    with plots.picture(folder / "energy.png", 1, 3, size=(13, 3.8)) as axes:
        plots.energies(axes[0], motion.t, wave.energy(motion.q, motion.v), diagnostics.relative_energy(system, motion))
        plots.errors(axes[1], motion.t, {"learned": diagnostics.relative_l2(motion.q, exact_q)}, "distance from exact")
        plots.history(axes[2], fit.history)
    first = motion.t <= 50
    plots.animate_string(folder / "string.gif", motion.t[first], {"exact": exact[first], "learned": learned[first]})


def main(config: Config) -> dict:
    """Trains, rolls out, writes the folder, shows the table."""
    folder, metrics, rows, shown = protocol.begin(config), {}, [], []
    for way in config.ways:
        learn, test = partial(train, config, way, folder), partial(examine, config)
        found, drawn = protocol.over_seeds(range(config.seeds), learn, test)
        metrics |= protocol.summary(found, "" if way == "prior" else f"{way}_")
        rows += [{"way": way, **row} for row in found]
        shown += drawn
    fit, motion = shown[0]
    sketch = partial(draw, folder, fit, *motion)
    return protocol.finish(folder, "wave on a ring", FIGURES, metrics, rows, sketch, motion)


if __name__ == "__main__":
    main(tyro.cli(Config))

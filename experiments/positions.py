"""Learns a Lagrangian from positions alone, sampled every 0.01: the double pendulum, and the ring of 10 nodes.

No velocity and no acceleration is in the data: the discrete Euler-Lagrange equations are asked to hold for every three
successive positions. The learned Lagrangian is tested on exact accelerations; metrics are explained in docs/results.md.
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
from lgn import diagnostics, gauge, plots, protocol
from lgn.harness.protocol import Figure, Headline
from lgn.systems import double_pendulum, wave

FIGURES = {"acceleration_rel_rms": Figure(asked=1e-2), "ring_acceleration_rel_rms": Figure(asked=1e-2)}
HEADLINE = Headline("acceleration_rel_rms", reached=9.3e-3, seconds=None, picture="positions.png")
NODES = 10


@dataclass(frozen=True)
class Config:
    """Settings of the experiment."""

    out: Path = Path("runs/positions")  # folder for tables, pictures and checkpoints
    quick: bool = False  # a short training and motion, to see that everything runs
    seed: int = 0
    dt: float = 0.01  # time between two positions
    starts: int = 100  # trajectories of the double pendulum
    pieces: int = 50  # pieces of three positions out of each
    steps: int = 1500  # iterations of BFGS
    ring_pieces: int = 200
    ring_steps: int = 600


def pendulum_data(config: Config) -> tuple[lgn.Windows, lgn.States]:
    """Pieces of three positions along exact motions from high and low starts, and states of other such motions."""
    motions = double_pendulum.pieces(config.seed, config.starts, config.pieces, config.dt)
    learned = int(0.8 * config.starts)
    places = np.concatenate([q for q, _ in motions[:learned]])
    q, v = (np.concatenate([x[:, 0] for x in part]) for part in zip(*motions[learned:], strict=True))
    fresh = lgn.States(q, v, np.asarray(double_pendulum.acceleration(q, v)))
    return lgn.Windows(places, np.full(len(places), config.dt)), fresh


def ring_data(config: Config) -> lgn.Windows:
    """Pieces of three positions from random states of the ring."""
    states = wave.sample(jax.random.key(config.seed), config.ring_pieces, NODES)
    places = [wave.exact(q, v, config.dt * np.arange(3))[0] for q, v in zip(states.q, states.v, strict=True)]
    return lgn.Windows(np.stack(places), np.full(len(places), config.dt))


def train(config: Config, folder: Path, pieces: lgn.Windows) -> tuple[lgn.FitResult, lgn.FitResult]:
    """The trained double pendulum and the trained ring."""
    steps = (40, 40) if config.quick else (config.steps, config.ring_steps)
    density = lgn.MLPDensity(1, 2, (32, 32), mass=0.02, v_scale=5.0, angles=(0, 1), rngs=nnx.Rngs(config.seed))
    string = lgn.MLPDensity(3, 1, (16, 16), relative=True, rngs=nnx.Rngs(config.seed))
    pendulum, ring = lgn.Lagrangian(lgn.single_node(), density), lgn.Lagrangian(lgn.lattice((NODES,)), string)
    learn = partial(lgn.fit, key=jax.random.key(config.seed), loss=lgn.variational_loss)
    return (
        learn(pendulum, pieces, phases=[lgn.QuasiNewton(steps[0])], folder=folder / "double_pendulum"),
        learn(ring, ring_data(config), phases=[lgn.QuasiNewton(steps[1])], folder=folder / "ring"),
    )


def examine(fit: lgn.FitResult, ring: lgn.FitResult, fresh: lgn.States) -> dict:
    """Errors on exact accelerations of motions that were not learned, and the distance from the true Lagrangian."""
    known = lgn.Lagrangian(lgn.single_node(), double_pendulum.density)
    distance = gauge.gauge_distance(fit.system, known, fresh.q[:200], fresh.v[:200])
    errors = diagnostics.acceleration_errors(ring.system, wave.sample(jax.random.key(10_000), 1000, NODES))
    return {
        **diagnostics.acceleration_errors(fit.system, fresh),
        "mass_matrix_distance": float(distance.mass),
        "energy_distance": float(distance.energy),
        **{f"ring_{name}": value for name, value in errors.items()},
        **diagnostics.cost(fit),
        "ring_train_seconds": ring.seconds,
    }


def draw(folder: Path, fits: dict[str, lgn.FitResult], motion: lgn.Trajectory) -> None:
    """Energy, path and training; a gif of the pendulum."""
    exact = double_pendulum.trajectory(motion.q[0], motion.v[0], motion.t)
    with plots.picture(folder / "energy.png", 1, 3, size=(13, 3.8)) as axes:
        plots.energy(axes[0], motion.t, {"true energy": double_pendulum.energy(motion.q, motion.v)}, "learned motion")
        plots.phases(axes[1], exact, motion, "inner rod")
        for name, fit in fits.items():
            plots.history(axes[2], [row._replace(phase=name) for row in fit.history], "residual of three positions")
    plots.animate_pendulums(folder / "pendulum.gif", motion.t, {"exact": exact[0], "learned": motion.q})


def main(config: Config) -> dict:
    """Trains, tests, writes the folder, shows the table."""
    folder = protocol.begin(config)
    pieces, fresh = pendulum_data(config)
    fit, ring = train(config, folder, pieces)
    metrics = examine(fit, ring, fresh)
    start, ts = (jnp.array([[2.0, 1.0]]), jnp.zeros((1, 2))), np.linspace(0, 1.0 if config.quick else 6.0, 301)
    motion = lgn.rollout(fit.system, start, ts, lgn.Variational(0.005))
    sketch = partial(draw, folder, {"double pendulum": fit, "ring": ring}, motion)
    return protocol.finish(folder, "from positions alone", FIGURES, metrics, [metrics], sketch, (fit.system, motion))


if __name__ == "__main__":
    main(tyro.cli(Config))

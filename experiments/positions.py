"""Learns a Lagrangian from positions alone, sampled every 0.01: the double pendulum, and the ring of 10 nodes.

No velocity and no acceleration is in the data: the discrete Euler-Lagrange equations are asked to hold for every three
successive positions. The learned Lagrangian is tested on exact accelerations; metrics are explained in docs/results.md.
"""

from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import tyro
from flax import nnx
from report import show

import lgn
from lgn import diagnostics, gauge, plots, runs
from lgn.systems import double_pendulum, wave

ASKED = {"acceleration_rel_rms": 1e-2, "ring_acceleration_rel_rms": 1e-2}
NODES = 10


@dataclass(frozen=True)
class Config:
    """Settings of the experiment."""

    out: Path = Path("runs/positions")
    """Folder for tables, pictures and checkpoints."""
    quick: bool = False
    """A short training and motion, to see that everything runs."""
    seed: int = 0
    dt: float = 0.01
    """Time between two positions."""
    starts: int = 100
    """Trajectories of the double pendulum."""
    pieces: int = 50
    """Pieces of three positions out of each."""
    steps: int = 1500
    """Iterations of BFGS."""
    ring_pieces: int = 200
    ring_steps: int = 600


def main(config: Config) -> dict:
    """Trains, tests, writes the folder, prints the table."""
    jax.config.update("jax_enable_x64", True)
    matplotlib.use("agg")
    folder = runs.begin(config.out, config)
    pieces, fresh = pendulum_data(config)
    density = lgn.MLPDensity(1, 2, (32, 32), mass=0.02, v_scale=5.0, angles=(0, 1), rngs=nnx.Rngs(config.seed))
    steps = (40, 40) if config.quick else (config.steps, config.ring_steps)
    fit = learn(lgn.Lagrangian(lgn.single_node(), density), pieces, steps[0], config, folder / "double_pendulum")
    string = lgn.MLPDensity(3, 1, (16, 16), relative=True, rngs=nnx.Rngs(config.seed))
    ring = learn(lgn.Lagrangian(lgn.lattice((NODES,)), string), ring_data(config), steps[1], config, folder / "ring")
    known = lgn.Lagrangian(lgn.single_node(), double_pendulum.density)
    distance = gauge.gauge_distance(fit.system, known, fresh.q[:200], fresh.v[:200])
    errors = diagnostics.acceleration_errors(ring.system, wave.sample(jax.random.key(10_000), 1000, NODES))
    metrics = {
        **diagnostics.acceleration_errors(fit.system, fresh),
        "mass_matrix_distance": float(distance.mass),
        "energy_distance": float(distance.energy),
        **{f"ring_{name}": value for name, value in errors.items()},
        "train_seconds": fit.seconds,
        "ring_train_seconds": ring.seconds,
        "parameters": sum(x.size for x in jax.tree.leaves(fit.system)),
    }
    runs.write_metrics(folder, metrics, [metrics])
    motion = draw(config, folder, fit, ring)
    runs.keep_motion(folder, fit.system, motion)
    show("from positions alone", metrics, ASKED, folder)
    return metrics


def learn(system: lgn.Lagrangian, pieces: lgn.Windows, steps: int, config: Config, folder: Path) -> lgn.FitResult:
    """The trained system."""
    key = jax.random.key(config.seed)
    return lgn.fit(system, pieces, key=key, phases=[lgn.QuasiNewton(steps)], loss=lgn.variational_loss, folder=folder)


def pendulum_data(config: Config) -> tuple[lgn.Windows, lgn.States]:
    """Pieces of three positions along exact motions of 10 units of time from high and low starts, and states of other
    such motions with their accelerations."""
    q, v = double_pendulum.starts(jax.random.key(config.seed), config.starts)
    random = np.random.default_rng(config.seed)
    first = np.sort(random.uniform(0, 10, (config.starts, config.pieces)), axis=1)
    times = first[..., None] + config.dt * np.arange(3)
    motions = [pieces_of(*start, t) for start, t in zip(zip(q, v, strict=True), times, strict=True)]
    learned = int(0.8 * config.starts)
    places = np.concatenate([place for place, _ in motions[:learned]])
    pieces = lgn.Windows(places, np.full(len(places), config.dt))
    fresh_q, fresh_v = (np.concatenate([x[:, 0] for x in part]) for part in zip(*motions[learned:], strict=True))
    return pieces, lgn.States(fresh_q, fresh_v, np.asarray(double_pendulum.acceleration(fresh_q, fresh_v)))


def pieces_of(q, v, times) -> tuple[np.ndarray, np.ndarray]:
    """q and v (piece, 3, 1, 2) of the motion from (q, v) at times (piece, 3)."""
    asked, place = np.unique(times, return_inverse=True)
    found = double_pendulum.trajectory(np.asarray(q), np.asarray(v), np.concatenate([[0.0], asked]))
    return tuple(x[1:][place.reshape(times.shape)] for x in found)


def ring_data(config: Config) -> lgn.Windows:
    """Pieces of three positions from random states of the ring."""
    states = wave.sample(jax.random.key(config.seed), config.ring_pieces, NODES)
    times = config.dt * np.arange(3)
    places = [wave.exact(q, v, times)[0] for q, v in zip(states.q, states.v, strict=True)]
    return lgn.Windows(np.stack(places), np.full(len(places), config.dt))


def draw(config: Config, folder: Path, fit: lgn.FitResult, ring: lgn.FitResult) -> lgn.Trajectory:
    """Energy, path and training; a gif of the pendulum; the learned motion."""
    import matplotlib.pyplot as plt

    start = jnp.array([[2.0, 1.0]]), jnp.zeros((1, 2))
    ts = np.linspace(0, 1.0 if config.quick else 6.0, 301)
    motion = lgn.rollout(fit.system, start, ts, lgn.Variational(0.005))
    exact_q, exact_v = double_pendulum.trajectory(*start, ts)
    with plt.rc_context(plots.FONT):
        figure, axes = plt.subplots(1, 3, figsize=(13, 3.8), dpi=110, layout="constrained")
        plots.energy(axes[0], motion.t, {"true energy": double_pendulum.energy(motion.q, motion.v)}, "learned motion")
        for (q, v), label, style in (((exact_q, exact_v), "exact", "k-"), (motion[1:3], "learned", "--")):
            plots.phase(axes[1], q[:, 0, 0], v[:, 0, 0], "inner rod", label, style)
        for name, one in (("double pendulum", fit), ("ring", ring)):
            plots.history(axes[2], [row._replace(phase=name) for row in one.history], "residual of three positions")
        figure.savefig(folder / "energy.png")
        plt.close("all")
    angles = {"exact": exact_q[:, 0], "learned": np.asarray(motion.q[:, 0])}
    plots.animate_pendulums(folder / "pendulum.gif", ts, angles)
    return motion


if __name__ == "__main__":
    main(tyro.cli(Config))

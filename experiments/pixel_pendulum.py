"""Learns a pendulum from films: a coordinate for every frame, and the Hamiltonian or the Lagrangian that moves it.

Protocol: Greydanus, Dzamba, Yosinski 2019, arXiv 1906.01563, section 5, but for the frames, whose renderer no longer
exists: see `lgn.systems.pixel_pendulum`. Metrics are explained in docs/results.md.
Five seeds: python experiments/pixel_pendulum.py --seeds 5 --out runs/pixel_pendulum-table
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from flax import nnx

import lgn
from experiments.support import pixels
from experiments.support.autoencoder import Autoencoder, Clips, MomentumState, VelocityState, film_loss, unfold
from experiments.support.pixels import FRAMES
from lgn import diagnostics, protocol
from lgn.data.preprocessing import differences
from lgn.harness.protocol import Figure, Headline
from lgn.systems import pixel_pendulum
from lgn.systems.pixel_pendulum import STEP, Trials

FIGURES = {
    "energy_mse": Figure(published=1.53e-4, asked=1.5e-4),
    "amplitude_kept": Figure(asked=0.05),
    "lagrangian_energy_mse": Figure(asked=1.5e-4),
    "lagrangian_amplitude_kept": Figure(asked=0.05),
    "baseline_energy_mse": Figure(published=9.27e-3),
}
HEADLINE = Headline("energy_mse", reached=4.5e-7, seconds=None, picture="pixel_pendulum.gif")
TRIALS = 40  # that test


@dataclass(frozen=True)
class Config:
    """Settings of the experiment."""

    out: Path = Path("runs/pixel_pendulum")  # folder for tables, pictures and checkpoints
    quick: bool = False  # a short training and motion, to see that everything runs
    seeds: int = 1
    films: int = 160  # to train on, as published
    frames: int = 30  # of each; the published 100 are three periods of the same motion
    components: int = 20  # principal components of the frames
    steps: int = 500  # iterations of BFGS


class Kind(NamedTuple):
    """What moves the coordinate, and where its encoder starts."""

    label: str
    system: Callable  # (typical velocity, typical acceleration, rngs) -> system of one node
    state: Callable = VelocityState()
    unfolded: bool = True


def density(speed, rngs):
    """A network of (q, v) or (q, p) beside a kinetic prior."""
    return lgn.MLPDensity(1, 1, (16, 16), v_scale=speed, rngs=rngs)


def hamiltonian(speed, push, rngs):
    """du/dt = J grad H of u = (q, p)."""
    return lgn.EnergyFlow(lgn.single_node(), lgn.canonical(density(speed, rngs)), structure=lgn.Symplectic())


def lagrangian(speed, push, rngs):
    """The equation of motion of L(q, v)."""
    return lgn.Lagrangian(lgn.single_node(), density(speed, rngs))


def neural_ode(speed, push, rngs):
    """dq/dt and dv/dt by a network of q and v."""
    law = lgn.NeuralODE(1, (16, 16), v_scale=speed, a_scale=push, rngs=rngs)
    return lgn.Baseline(lgn.single_node(), law)


KINDS = {  # prefix of the metrics
    "": Kind("Hamiltonian", hamiltonian, MomentumState()),
    "lagrangian_": Kind("Lagrangian", lagrangian),
    "neural_ode_": Kind("neural ODE", neural_ode),
    "baseline_": Kind("neural ODE, plain start", neural_ode, unfolded=False),
}


def train(config: Config, folder: Path, seed: int) -> dict[str, lgn.FitResult]:
    """The trained autoencoder of each kind."""
    films = pixel_pendulum.sample(jax.random.key(seed), config.films, config.frames)
    unfolding = unfold(jnp.asarray(films.frames), components=config.components)
    folders = {name: folder / f"training-{name}{seed}" for name in KINDS}
    return {name: train_kind(config, folders[name], seed, kind, films, unfolding) for name, kind in KINDS.items()}


def train_kind(config: Config, folder: Path, seed: int, kind: Kind, films: Trials, unfolding) -> lgn.FitResult:
    """Encoder, decoder and system at once, by BFGS on all frames."""
    dt = jnp.full(len(films.q), STEP)
    _, v, a = differences(unfolding(jnp.asarray(films.frames)), dt)
    if not kind.unfolded:
        random = np.random.default_rng(seed).normal(size=unfolding.kernel.shape) / np.sqrt(config.components)
        unfolding = replace(unfolding, kernel=jnp.asarray(random), bias=jnp.zeros(1))
    rngs = nnx.Rngs(seed)
    model = Autoencoder(unfolding, kind.system(float(v.std()), float(a.std()), rngs), kind.state, rngs=rngs)
    clips = Clips(unfolding.components_of(films.frames), dt)
    phases = [lgn.QuasiNewton(120 if config.quick else config.steps)]
    return lgn.fit(model, clips, key=jax.random.key(seed), phases=phases, loss=film_loss, folder=folder)


def truth(config: Config) -> Trials:
    """The trials that test, the same for all seeds."""
    return pixel_pendulum.sample(jax.random.key(10_000), 8 if config.quick else TRIALS, FRAMES)


def examine(config: Config, fits: dict[str, lgn.FitResult]):
    """The metrics of every kind, and what it makes of the test trials."""
    true, metrics = truth(config), dict[str, float]()
    motions = {name: pixels.follow(fit.system, true) for name, fit in fits.items()}
    for name, fit in fits.items():
        found = {**pixels.errors(motions[name], true), **pixels.coordinate_errors(fit.system), **diagnostics.cost(fit)}
        metrics |= {f"{name}{key}": value for key, value in found.items()}
    return metrics, motions


def main(config: Config) -> dict:
    """Trains, tests, writes the folder, shows the table."""
    folder = protocol.begin(config)
    rows, shown = protocol.over_seeds(range(config.seeds), partial(train, config, folder), partial(examine, config))
    (fits, motions), metrics = shown[0], protocol.summary(rows)
    system, state = fits[""].system.system, tuple(x[0] for x in motions[""].state)
    motion = lgn.rollout(system, state, STEP * np.arange(FRAMES))
    lgn.save(folder / "autoencoder", fits[""].system)
    labels = {name: kind.label for name, kind in KINDS.items()}
    sketch = partial(pixels.draw, folder, labels, truth(config), fits, motions)
    return protocol.finish(folder, "pixel pendulum", FIGURES, metrics, rows, sketch, (system, motion))


if __name__ == "__main__":
    main(tyro.cli(Config))

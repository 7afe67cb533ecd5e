"""Phase plane: what the published tasks of one node, u = (q, p), have in common: their models, trainings, figures.

Two protocols: rates are exact and states noisy (Hamiltonian networks), or only noisy states are known, from farther
apart (DGNet). A loss that compares at noisy states is biased, whatever the network (errors in variables): frequencies
come out several per cent low, which the published energies hardly see and `state_mse` does. The remedies here:
    exact rates: their integral is each motion up to a constant, which is found along with H (`exact_rates_loss`);
    states alone: the starts of pieces of the motions are found along with H (`lgn.ShootingLoss`).

Our H = p^2 / 2m + V(q^2): the mass and the network V are learned, mirror image and time reversal are given. That of the
rivals is a network of q and p, as published.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

import lgn
from experiments.support import hamiltonian, orbits
from lgn import diagnostics, plots, protocol
from lgn.learning.loss import relative
from lgn.systems import phase_space

NEXT = 20 / 99  # time between two states of the second protocol
LENGTH = 34  # states in a piece of a motion
WEIGHT = 1e-2  # of the shifts of the states beside the errors of the rates
DENSE = (16, 16)  # widths of the rivals


@dataclass(frozen=True)
class Config:
    """Settings of both experiments."""

    out: Path
    quick: bool = False  # short trainings, to see that everything runs
    seeds: int = 1
    steps: int = 30  # iterations of BFGS where states are noisy: more would learn the noise
    long_steps: int = 100  # where the noise is found too


class Task(NamedTuple):
    """A system of one node.

    Attributes:
        system: `mass_spring` or `pendulum` of `lgn.systems`.
        energies: name of the metric to an energy of u (..., node, 2).
        figures: of its table.
    """

    system: ModuleType
    energies: dict[str, Callable]
    figures: protocol.Figures


class Data(NamedTuple):
    """What the models learn from."""

    noisy: lgn.States  # exact rates at noisy states
    paths: lgn.Windows  # the rates integrated, one motion a sample
    rates: jax.Array  # of the paths
    pairs: lgn.Windows  # of noisy states
    pieces: lgn.Windows  # of noisy states


def mirrored(seed: int) -> lgn.EnergyFlow:
    """H = p^2 / 2m + V(q^2)."""
    network = lgn.MLPDensity(1, 1, (8,), fields=1, q_scale=4.0, initializer=lgn.lecun_normal, rngs=nnx.Rngs(seed))
    potential = lgn.Transformed(network, phase_space.squared_positions)
    terms = [(density, lgn.node_stencil) for density in (lgn.canonical(lgn.PositiveForm(1, 1)), potential)]
    return lgn.EnergyFlow(lgn.single_node(), terms, structure=lgn.Symplectic())


def exact_rates_loss(rates: jax.Array, shooting: lgn.Shooting, paths: lgn.Windows) -> jax.Array:
    """Error of the rates along paths that are shifted to free starts, and little weight on the shifts: of all shifts
    that explain the rates the smallest are taken."""
    shift = shooting.starts[0][...] - paths.q[:, 0]
    found = jax.vmap(jax.vmap(lambda u: shooting.system.rate((u,))[0]))(paths.q + shift[:, None])
    return relative(found, rates) + WEIGHT * jnp.mean(shift**2) / jnp.mean(paths.q**2)


def load(task: Task, key: jax.Array) -> Data:
    """The training halves of both recordings."""
    first, second = jax.random.split(key)
    dense = task.system.recordings(first).part(slice(25))
    sparse = task.system.recordings(second, task.system.DGNET).part(slice(25))
    paths = lgn.integrated(dense.t, dense.u, dense.rate)
    known = lgn.Windows(paths, np.full(len(paths), dense.t[1])), jnp.asarray(dense.rate)
    return Data(lgn.States(*dense.samples), *known, _cut(sparse, 2), _cut(sparse, LENGTH))


def _cut(recording: phase_space.Recording, length: int) -> lgn.Windows:
    """Pieces of all motions; each begins where the last one ended."""
    pieces = [lgn.windows(recording.t, u, length=length) for u in recording.u]
    return jax.tree.map(lambda *x: np.concatenate([each[:: length - 1] for each in x]), *pieces)


def train(config, task: Task, folder: Path, seed: int) -> dict[str, lgn.FitResult]:
    """All models, each by a pattern of the names of its metrics."""
    data, fit_key = load(task, jax.random.key(seed)), jax.random.key(seed)
    steps = (10, 20) if config.quick else (config.steps, config.long_steps)

    def fit(name, system, data, loss, steps=steps[0]):
        at = folder / f"training-{name.format('')}-{seed}"
        phases = [lgn.QuasiNewton(steps)]
        return lgn.fit(system, data, loss=loss, key=fit_key, phases=phases, folder=at, validation=None)

    def free_starts(name, system, data, loss):
        found = fit(name, lgn.Shooting(system, data), data, loss, steps[1])
        return found._replace(system=found.system.system)

    exact = partial(exact_rates_loss, data.rates)
    follow = lgn.ShootingLoss(lgn.ImplicitMidpoint(NEXT / 5), NEXT)
    discrete = lgn.DiscreteLoss()
    dense, first = partial(hamiltonian.flow, 2, DENSE), fit("first_{}", mirrored(seed), data.pairs, discrete)
    network = hamiltonian.network(2, DENSE, seed)
    return {
        "{}": fit("{}", mirrored(seed), data.noisy, lgn.rate_loss),
        "{}_denoised": free_starts("{}_denoised", mirrored(seed), data.paths, exact),
        "shooting_{}": free_starts("shooting_{}", first.system, data.pieces, follow),
        "baseline_{}": fit("baseline_{}", network, data.noisy, lgn.rate_loss),
        "hnn_{}": fit("hnn_{}", dense(seed), data.noisy, lgn.rate_loss),
        "hnn_{}_denoised": free_starts("hnn_{}_denoised", dense(seed), data.paths, exact),
        "dgnet_{}": fit("dgnet_{}", dense(seed), data.pairs, discrete),
    }


def examine(config, task: Task, fits: dict[str, lgn.FitResult]):
    """The metrics of all models on the published starts, and the motions of each."""
    starts, ts = phase_space.evaluation_starts(jax.random.key(10_000)), phase_space.EVALUATION_TIMES
    exact = task.system.hamiltonian_motions(starts, ts)
    integrators = {"dgnet_{}": lgn.DiscreteGradient(NEXT, lgn.MeanValue(2))}  # as published: by its own discrete time
    metrics, motions = {}, {"exact": exact}
    for name, fit in fits.items():
        found = hamiltonian.motions(fit.system, starts, ts, integrators.get(name, hamiltonian.EXACTLY))
        errors = {key: phase_space.energy_error(energy, found, exact) for key, energy in task.energies.items()}
        errors["state_mse"] = np.mean((found - exact) ** 2)
        metrics |= {name.format(key): float(value) for key, value in errors.items()}
        motions[name] = found
    seconds = sum(fit.seconds for fit in fits.values())
    return metrics | diagnostics.cost(fits["{}_denoised"]) | {"all_train_seconds": seconds}, motions


NAMES = {
    "baseline_{}": "network",
    "hnn_{}": "HNN",
    "dgnet_{}": "DGNet",
    "{}": "mirrored H, noisy states",
    "shooting_{}": "mirrored H, free starts",
    "{}_denoised": "mirrored H, exact rates",
}
STYLES = {
    "exact": {"color": "k", "alpha": 0.3, "lw": 3},
    "hnn_{}": {"color": "#D55E00", "ls": ":"},
    "{}_denoised": {"color": "#0072B2", "ls": "--"},
}


def draw(folder: Path, task: Task, fits: dict, motions: dict) -> None:
    """Phase portraits, errors of the energy and of the state over time, potential; a gif in the phase plane."""
    ts, exact = phase_space.EVALUATION_TIMES, motions["exact"]
    name, energy = list(task.energies.items())[-1]
    recorded = task.system.recordings(jax.random.key(0)).part(slice(25)).u.reshape(-1, 2)
    with plots.picture(folder / "energy.png", 2, 2, size=(12.5, 9)) as axes:
        axes[0, 0].plot(*recorded.T, ".", color="#bbbbbb", ms=3, label="states to learn from")
        for model, style in STYLES.items():
            for i, path in enumerate(motions[model][:4, :, 0]):
                axes[0, 0].plot(*path.T, **style, label=None if i else NAMES.get(model, model))
        axes[0, 0].set(title="phase portrait", xlabel="q", ylabel="p", aspect="equal")
        for model, label in NAMES.items():
            off = np.sqrt(((energy(motions[model]) - energy(exact)) ** 2).mean(0))
            axes[0, 1].semilogy(ts[1:], np.maximum(off[1:], 1e-12), label=label)
            distance = np.sqrt(((motions[model] - exact) ** 2).mean((0, 2, 3)))
            axes[1, 0].semilogy(ts[1:], np.maximum(distance[1:], 1e-12), label=label)
            plots.history(axes[1, 1], [row._replace(phase=label) for row in fits[model].history])
        axes[0, 1].set(title=f"root of {name}", xlabel="time", ylabel="error of the energy")
        axes[1, 0].set(title="distance from the exact motion", xlabel="time", ylabel="rms over 15 motions")
        axes[0, 0].legend(fontsize=8, loc="upper right", bbox_to_anchor=(1.35, 1.0), frameon=False)
        axes[1, 1].legend(frameon=False, fontsize=9)
    shown = {"exact": exact, "learned": motions["{}_denoised"]}
    picked = {name: u[:3, :, 0].swapaxes(0, 1) for name, u in shown.items()}
    orbits.animate(folder / "phase_plane.gif", ts, picked, trail=6)


def run(config, title: str, task: Task) -> dict:
    """Trains, tests, writes the folder, shows the table."""
    folder = protocol.begin(config)
    steps = partial(train, config, task, folder), partial(examine, config, task)
    rows, shown = protocol.over_seeds(range(config.seeds), *steps)
    fits, motions = shown[0]
    system = fits["{}_denoised"].system
    motion = lgn.rollout(system, motions["exact"][0, 0], phase_space.EVALUATION_TIMES, hamiltonian.EXACTLY)
    sketch = partial(draw, folder, task, fits, motions)
    return protocol.finish(folder, title, task.figures, protocol.summary(rows), rows, sketch, (system, motion))

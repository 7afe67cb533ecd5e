"""Learns the potential between two bodies from their rates, and moves three bodies by it, which it never saw.

Protocol: Greydanus et al. 2019, task B4: 1000 trajectories of which the first fifth is for the test, here the first
`trajectories` of the others train. The density of a pair reads the logarithm of the distance, that of a body is
|p|^2 / 2m with a learned m: momentum and angular momentum are conserved by construction. The same two densities then
move three bodies, against figures of networks that were trained on them. Metrics are explained in docs/results.md.
Five seeds: python experiments/two_body.py --seeds 5 --out runs/two_body-table
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import jax
import numpy as np
import tyro
from flax import nnx

import lgn
from experiments.support import hamiltonian, orbits
from lgn import diagnostics, plots, protocol
from lgn.harness.protocol import Figure, Headline
from lgn.systems import n_body

FIGURES = {
    "energy_mse": Figure(published=3.88e-5, asked=1e-12),
    "three_body_energy_mse": Figure(published=4.19e-2, asked=1e-3),
    "three_body_energy_mse_median": Figure(asked=1e-9),
    "long_energy_drift": Figure(asked=1e-12),
    "baseline_energy_mse": Figure(published=6.33e-2),
    "hnn_energy_mse": Figure(published=3.88e-5),
}
HEADLINE = Headline("three_body_energy_mse", reached=6.6e-12, seconds=16, picture="two_body.png")
TESTED = 200  # the first trajectories of the published data
TWO_TIMES, THREE_TIMES = n_body.TWO_BODY_EVALUATION, n_body.THREE_BODY_EVALUATION


@dataclass(frozen=True)
class Config:
    """Settings of the experiment."""

    out: Path = Path("runs/two_body")  # folder for tables, pictures and checkpoints
    quick: bool = False  # a short training and motion, to see that everything runs
    seeds: int = 1
    trajectories: int = 20  # of 50 states each
    rival_trajectories: int = 60
    steps: int = 400  # iterations of BFGS
    long: int = 10_000  # steps of the discrete gradient
    dt: float = 0.05


def train(config: Config, folder: Path, seed: int) -> dict[str, lgn.FitResult]:
    """The graph of two bodies, and its rivals, dense networks of all 8 numbers: of du/dt, and of H."""
    recorded = n_body.trajectories(jax.random.key(seed), TESTED + config.rival_trajectories).part(slice(TESTED, None))
    pair = lgn.PairDensity(2, (16, 16), pairing=lgn.log_distance, rngs=nnx.Rngs(seed))
    terms = n_body.terms(lgn.canonical(lgn.PositiveForm(1, 2)), lgn.canonical(pair))
    graph = lgn.EnergyFlow(n_body.complete_graph(2), terms, structure=lgn.Symplectic())
    rivals = {kind: make(8, (32, 32), seed) for kind, make in RIVALS.items()}
    states = lgn.States(*recorded.part(slice(config.trajectories)).samples)
    dense = lgn.States(*map(orbits.as_one_node, recorded.samples))
    return {
        kind: lgn.fit(
            system,
            dense if kind in RIVALS else states,
            key=jax.random.key(seed),
            phases=[lgn.QuasiNewton(40 if config.quick else config.steps)],
            loss=lgn.rate_loss,
            validation=None,
            folder=folder / f"training-{kind}-{seed}",
        )
        for kind, system in {"graph": graph, **rivals}.items()
    }


RIVALS = {"baseline": hamiltonian.network, "hnn": hamiltonian.flow}


def examine(config: Config, fits: dict[str, lgn.FitResult]):
    """The metrics of the graph and of its rivals; the system with its long motion, and the motions of both tests."""
    key, system = jax.random.key(10_000), fits["graph"].system
    two, three = n_body.two_bodies(key, 15), n_body.three_bodies(key, 15)
    exact = n_body.motions(two, TWO_TIMES)
    learned = hamiltonian.motions(system, two, TWO_TIMES)
    metrics = diagnostics.cost(fits["graph"]) | orbits.errors(learned, exact)
    for kind in RIVALS:
        found = hamiltonian.motions(fits[kind].system, orbits.as_one_node(np.asarray(two)), TWO_TIMES)
        metrics |= {f"{kind}_{name}": value for name, value in orbits.errors(orbits.as_bodies(found), exact).items()}
    exact3 = n_body.motions(three, THREE_TIMES)
    found3 = hamiltonian.motions(system.on(n_body.complete_graph(3)), three, THREE_TIMES)
    metrics |= {f"three_body_{name}": value for name, value in orbits.errors(found3, exact3).items()}
    of_each = hamiltonian.energy_errors(n_body.energy, found3, exact3)
    metrics["three_body_energy_mse_median"] = float(np.median(of_each))
    ts = config.dt * np.arange((200 if config.quick else config.long) + 1)
    motion = lgn.rollout(system, two[0], ts, lgn.DiscreteGradient(config.dt))
    return metrics | orbits.conserved(system, motion), ((system, motion), (exact, learned), (exact3, found3))


def draw(folder: Path, system: lgn.EnergyFlow, long: lgn.Trajectory, two: tuple, three: tuple, training: list) -> None:
    """Orbits, energies of the tests and along 10,000 steps, training; a gif of three bodies."""
    titles, times = ("two bodies, as trained", "three, never seen"), (TWO_TIMES, THREE_TIMES)
    with plots.picture(folder / "orbits.png", 2, 3, size=(14, 8.6)) as axes:
        for row, title, ts, (exact, learned) in zip(axes, titles, times, (two, three), strict=True):
            orbits.trace(row[0], exact[0], learned[0], title)
            error = np.maximum(np.abs(n_body.energy(learned) - n_body.energy(exact)), 1e-17)
            row[1].semilogy(ts[1:], error[:, 1:].T, color="#0072B2", lw=0.8, alpha=0.6)
            row[1].set(title="true energy, 15 motions", xlabel="time", ylabel="|error|")
        true_energy = n_body.energy(np.asarray(long.u))
        title = f"{len(true_energy) - 1:,} steps of the discrete gradient"
        plots.energies(axes[0, 2], long.t, true_energy, diagnostics.relative_energy(system, long), title)
        axes[0, 2].legend(loc="center right")
        plots.history(axes[1, 2], training)
    exact, learned = (u[0, ::4] for u in three)
    orbits.animate(folder / "three_bodies.gif", THREE_TIMES[::4], {"exact": exact, "learned": learned})


def main(config: Config) -> dict:
    """Trains, tests, writes the folder, shows the table."""
    folder = protocol.begin(config)
    rows, shown = protocol.over_seeds(range(config.seeds), partial(train, config, folder), partial(examine, config))
    fits, (motion, two, three) = shown[0]
    sketch = partial(draw, folder, *motion, two, three, fits["graph"].history)
    return protocol.finish(folder, "two bodies, and three", FIGURES, protocol.summary(rows), rows, sketch, motion)


if __name__ == "__main__":
    main(tyro.cli(Config))

"""Learns the Lagrangian of a relativistic particle in a uniform field g that differs from sample to sample.

Protocol: Cranmer et al. 2020, arXiv 2003.04630, section 4 and public code: as published, whose L is not that of special
relativity, and the physical one. Metrics are explained in docs/results.md.
Five seeds: python experiments/relativistic.py --seeds 5 --out runs/relativistic-table
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
from lgn.learning.losses import residuals
from lgn.systems import relativistic

FIGURES = {"weighted_l1": Figure(published=7.9e-4, asked=1e-5), "weighted_l1_physical": Figure(asked=1e-5)}
HEADLINE = Headline("weighted_l1", reached=1.7e-7, seconds=38, picture="relativistic.png")
KINDS = {"": "as published", "_physical": "physical"}  # suffix of the metrics, variant of the particle


@dataclass(frozen=True)
class Config:
    """Settings of the experiment."""

    out: Path = Path("runs/relativistic")  # folder for tables, pictures and checkpoints
    quick: bool = False  # a short training, to see that everything runs
    seeds: int = 1
    particles: int = 3000
    apart: bool = True  # L = T(v) - V(q, g), a network each of `hidden`; else one network for all of L
    hidden: tuple[int, ...] = (16, 16)
    steps: int = 1500  # iterations of BFGS; one network for all of L needs 4000 and widths of 24


def exact(kind: str, quantity: str):
    """acceleration, momentum or energy of that variant of the particle."""
    return getattr(relativistic, f"{kind.strip('_') or 'published'}_{quantity}")


def particles(g):
    """Side by side, each a node with a g of its own."""
    return lgn.single_node({"g": g}, count=len(g))


def make(config: Config, seed: int) -> list[tuple]:
    """The terms of L."""
    network = partial(lgn.MLPDensity, 1, 1, config.hidden, rngs=nnx.Rngs(seed))
    field = {"features": ("g",), "feature_size": 1, "feature_scale": 10.0, "q_scale": 10.0}
    if not config.apart:
        whole = lgn.Transformed(network(v_scale=2.0, **field), relativistic.place_and_rapidity)
        return [(whole, lgn.node_stencil)]
    kinetic = lgn.Transformed(network(v_scale=2.0), relativistic.rapidity_alone)
    potential = lgn.Transformed(network(mass=None, **field), relativistic.place_alone)
    return [(kinetic, lgn.node_stencil), (potential, lgn.node_stencil)]


def weighted_balance(system, data: lgn.States):
    """M a = f relative to M a, over the mass g / a that the data show, with the published weights: a loss of the
    acceleration itself has poles where M is singular, and there the fit got stuck."""
    g = system.graph.nodes["g"][:, None]
    unit = data.a / g * jnp.sqrt(relativistic.weight(data.v))
    difference, inertia = residuals(system, data)
    return jnp.mean((unit * difference) ** 2) / jnp.mean((unit * inertia) ** 2)


def train(config: Config, folder: Path, seed: int) -> dict[str, lgn.FitResult]:
    """The trained system of each kind."""
    (data_key, fit_key), fits = jax.random.split(jax.random.key(seed)), {}
    for kind in KINDS:
        data, g = relativistic.sample(data_key, config.particles, exact(kind, "acceleration"))
        system = lgn.Lagrangian(particles(g), make(config, seed))
        phases = [lgn.QuasiNewton(200 if config.quick else config.steps)]
        where = folder / f"training{kind}-{seed}"
        fits[kind] = lgn.fit(
            system, data, key=fit_key, phases=phases, loss=weighted_balance, folder=where, validation=None
        )
    return fits


def examine(fits: dict[str, lgn.FitResult]):
    """For each kind the published metric on fresh particles, and what a prediction of zero has; motions from rest."""
    metrics, motions = {"train_seconds": sum(fit.seconds for fit in fits.values())}, {}
    for kind, fit in fits.items():
        fresh, g = relativistic.sample(jax.random.key(10_000), 100_000, exact(kind, "acceleration"))
        found = jax.jit(lgn.Lagrangian.solve)(fit.system.on(particles(g)), fresh.q[0], fresh.v[0]).value
        for name, a in (("weighted_l1", found), ("weighted_l1_of_zero", jnp.zeros_like(found))):
            metrics[name + kind] = float(relativistic.weighted_error(a, fresh.a[0], fresh.v[0]))
        system = fit.system.on(particles(jnp.array([1.0])))
        rest = jnp.array([[-8.0]]), jnp.array([[0.0]])
        motions[kind] = system, lgn.rollout(system, rest, np.linspace(0.0, 10.0, 101))
    return {**metrics, "parameters": diagnostics.parameters(fits[""].system)}, motions


def draw(folder: Path, fits: dict, motions: dict) -> None:
    """Acceleration against speed, speed against time, training and energy, for both kinds."""
    v = jnp.linspace(-0.99, 0.99, 199)[:, None]
    rest, field = jnp.zeros_like(v), jnp.full(len(v), 10.0)
    with plots.picture(folder / "relativistic.png", 2, 3, size=(13, 7)) as axes:
        for row, (kind, fit) in zip(axes, fits.items(), strict=True):
            t, motion = np.asarray(motions[kind][1].t), motions[kind][1]
            a = fit.system.on(particles(field)).solve(rest, v).value
            plots.comparison(row[0], v, exact(kind, "acceleration")(rest, v, field), a)
            row[0].set(xlabel="v", ylabel="acceleration at q = 0, g = 10", title=KINDS[kind])
            plots.comparison(row[1], t, relativistic.free_fall(exact(kind, "momentum"), t), motion.v[:, 0, 0])
            row[1].set(xlabel="time", ylabel="v", title="from rest, g = 1")
            plots.history(row[2], fit.history)
    with plots.picture(folder / "energy.png", 1, 2, size=(10, 3.8)) as axes:
        for ax, (kind, (system, motion)) in zip(axes, motions.items(), strict=True):
            true = exact(kind, "energy")(motion.q, motion.v, jnp.ones(1))
            plots.energies(ax, motion.t, true, diagnostics.relative_energy(system, motion), KINDS[kind])


def main(config: Config) -> dict:
    """Trains, tests, writes the folder, shows the table."""
    folder = protocol.begin(config)
    rows, shown = protocol.over_seeds(range(config.seeds), partial(train, config, folder), examine)
    title, sketch = "relativistic particle, as published and physical", partial(draw, folder, *shown[0])
    return protocol.finish(folder, title, FIGURES, protocol.summary(rows), rows, sketch, shown[0][1][""])


if __name__ == "__main__":
    main(tyro.cli(Config))

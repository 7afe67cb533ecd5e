"""Learns the Lagrangian of a relativistic particle in a uniform field g that differs from sample to sample.

Protocol: Cranmer et al. 2020, arXiv 2003.04630, section 4 and public code: as published, whose L is not that of special
relativity, and the physical one. Metrics are explained in docs/results.md.
Five seeds: python experiments/relativistic.py --seeds 5 --out runs/relativistic-table
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import tyro
from flax import nnx
from report import show, summary

import lgn
from lgn import plots, runs
from lgn.losses import imbalance
from lgn.systems import relativistic

PUBLISHED = {"weighted_l1": 7.9e-4}
ASKED = {"weighted_l1": 1e-5, "weighted_l1_physical": 1e-5}
KINDS = {"": relativistic.published_acceleration, "_physical": relativistic.physical_acceleration}


@dataclass(frozen=True)
class Config:
    """Settings of the experiment."""

    out: Path = Path("runs/relativistic")
    """Folder for tables, pictures and checkpoints."""
    quick: bool = False
    """A short training, to see that everything runs."""
    seeds: int = 1
    particles: int = 3000
    apart: bool = True
    """L = T(v) - V(q, g), a network each of `hidden`; else one network for all of L."""
    hidden: tuple[int, ...] = (16, 16)
    steps: int = 1500
    """Iterations of BFGS; one network for all of L needs 4000 and widths of 24."""


class Seen(nnx.Module):
    """A density of other coordinates: inner(*look(q, v), features)."""

    def __init__(self, inner: lgn.MLPDensity, look: Callable):
        self.inner, self.look = inner, look

    def __call__(self, q, v, features):
        return self.inner(*self.look(q, v), features)

    def config(self) -> dict:
        """Arguments that make a density of this shape again."""
        return {"inner": self.inner, "look": self.look}


def speed(q, v):
    """The rapidity artanh v alone: what has |v| < 1 has no other natural speed."""
    return jnp.zeros_like(q), jnp.arctanh(v)


def place(q, v):
    """q alone: that of a potential."""
    return q, jnp.zeros_like(v)


def both(q, v):
    """q and the rapidity."""
    return q, jnp.arctanh(v)


def main(config: Config) -> dict:
    """Trains, tests, writes the folder, prints the table."""
    jax.config.update("jax_enable_x64", True)
    matplotlib.use("agg")
    folder = runs.begin(config.out, config)
    rows, shown = [], {}
    for seed in range(config.seeds):
        row = {"seed": seed, "train_seconds": 0.0}
        for kind, acceleration in KINDS.items():
            fit = train(config, seed, acceleration, folder / f"training{kind}-{seed}")
            row |= {f"{name}{kind}": value for name, value in examine(fit.system, acceleration).items()}
            row["train_seconds"] += fit.seconds
            shown.setdefault(kind, fit)
        rows.append({**row, "parameters": sum(x.size for x in jax.tree.leaves(nnx.state(fit.system, nnx.Param)))})
    metrics = summary(rows)
    runs.write_metrics(folder, metrics, rows)
    systems = {kind: on_particles(densities(fit.system), jnp.array([1.0])) for kind, fit in shown.items()}
    motions = {kind: fly(system) for kind, system in systems.items()}
    runs.keep_motion(folder, systems[""], motions[""])
    draw(folder, shown, motions)
    show("relativistic particle, as published and physical", metrics, ASKED, folder, PUBLISHED)
    return metrics


def on_particles(densities: list, g) -> lgn.Lagrangian:
    """Particles side by side, each a node with a g of its own."""
    graph = lgn.single_node({"g": g}, count=len(g))
    return lgn.Lagrangian(graph, [(density, lgn.node_stencil) for density in densities])


def make(config: Config, seed: int) -> list:
    """The densities of L."""
    rngs = nnx.Rngs(seed)
    field = {"features": ("g",), "feature_size": 1, "feature_scale": 10.0, "q_scale": 10.0}
    if not config.apart:
        return [Seen(lgn.MLPDensity(1, 1, config.hidden, v_scale=2.0, rngs=rngs, **field), both)]
    kinetic = lgn.MLPDensity(1, 1, config.hidden, v_scale=2.0, rngs=rngs)
    potential = lgn.MLPDensity(1, 1, config.hidden, mass=None, rngs=rngs, **field)
    return [Seen(kinetic, speed), Seen(potential, place)]


def train(config: Config, seed: int, acceleration: Callable, folder: Path) -> lgn.FitResult:
    """The trained system."""
    data_key, fit_key = jax.random.split(jax.random.key(seed))
    data, g = relativistic.sample(data_key, config.particles, acceleration)
    phases = [lgn.QuasiNewton(200 if config.quick else config.steps)]
    system = on_particles(make(config, seed), g)
    return lgn.fit(system, data, key=fit_key, phases=phases, loss=weighted_balance, folder=folder)


def densities(system: lgn.Lagrangian) -> list:
    """Of its terms."""
    return [term.density for term in system.terms]


def weighted_balance(system, data: lgn.States):
    """M a = f relative to M a, over the mass g / a that the data show, with the published weights: a loss of the
    acceleration itself has poles where M is singular, and there the fit got stuck."""
    g = system.graph.nodes["g"][:, None]
    unit = data.a / g * jnp.sqrt(relativistic.weight(data.v))
    difference, inertia = imbalance(system, data)
    return jnp.mean((unit * difference) ** 2) / jnp.mean((unit * inertia) ** 2)


def examine(trained: lgn.Lagrangian, acceleration: Callable) -> dict[str, float]:
    """The published metric on fresh particles, and what a prediction of zero has."""
    fresh, g = relativistic.sample(jax.random.key(10_000), 100_000, acceleration)
    found = jax.jit(lgn.Lagrangian.solve)(on_particles(densities(trained), g), fresh.q[0], fresh.v[0])
    error = np.asarray(relativistic.weighted_error(found.value, fresh.a[0], fresh.v[0]))
    none = relativistic.weighted_error(jnp.zeros_like(found.value), fresh.a[0], fresh.v[0])
    return {"weighted_l1": float(error), "weighted_l1_of_zero": float(none)}


def fly(system: lgn.Lagrangian) -> lgn.Trajectory:
    """From rest in a field g = 1."""
    rest = jnp.array([[-8.0]]), jnp.array([[0.0]])
    return lgn.rollout(system, rest, np.linspace(0.0, 10.0, 101))


def draw(folder: Path, fits: dict, motions: dict) -> None:
    """Acceleration against speed, speed against time, training, for both kinds."""
    import matplotlib.pyplot as plt

    v = jnp.linspace(-0.99, 0.99, 199)[:, None]
    field = jnp.full(len(v), 10.0)
    with plt.rc_context(plots.FONT):
        figure, axes = plt.subplots(2, 3, figsize=(13, 7), dpi=110, layout="constrained")
        for row, (kind, fit) in zip(axes, fits.items(), strict=True):
            name = "physical" if kind else "as published"
            exact = KINDS[kind](jnp.zeros_like(v), v, field)
            found = on_particles(densities(fit.system), field).solve(jnp.zeros_like(v), v).value
            row[0].plot(v, exact, "k-", lw=3, alpha=0.3, label="exact")
            row[0].plot(v, found, "--", color="#D55E00", label="learned")
            row[0].set(xlabel="v", ylabel="acceleration at q = 0, g = 10", title=name)
            row[0].legend(frameon=False)
            t = np.asarray(motions[kind].t)
            row[1].plot(t, free_fall(kind, t), "k-", lw=3, alpha=0.3, label="exact")
            row[1].plot(t, motions[kind].v[:, 0, 0], "--", color="#D55E00", label="learned")
            row[1].set(xlabel="time", ylabel="v", title="from rest, g = 1")
            row[1].legend(frameon=False)
            plots.history(row[2], fit.history)
        figure.savefig(folder / "relativistic.png")
        figure, axes = plt.subplots(1, 2, figsize=(10, 3.8), dpi=110, layout="constrained")
        one = jnp.ones(1)
        for ax, (kind, motion) in zip(axes, motions.items(), strict=True):
            truth = relativistic.physical_energy if kind else relativistic.published_energy
            energies = {"true energy": truth(motion.q, motion.v, one), "learned energy": motion.energy}
            plots.energy(ax, motion.t, energies, "physical" if kind else "as published")
        figure.savefig(folder / "energy.png")
        plt.close("all")


def free_fall(kind: str, t) -> np.ndarray:
    """v(t) from rest with g = 1: dp/dt = g, so p(v) = t."""
    momentum = relativistic.physical_momentum if kind else relativistic.published_momentum
    v = np.linspace(0, 0.9999, 20_001)
    return np.interp(t, np.asarray(momentum(v)), v)


if __name__ == "__main__":
    main(tyro.cli(Config))

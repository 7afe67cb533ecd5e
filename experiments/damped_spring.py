"""Learns the energy and the friction of a damped spring from its rates on a grid of states.

Protocol: Sosanya and Greydanus 2022, arXiv 2201.10085: 25 x 25 states, 85 % of them train. There the damping acts on q;
here (`right_`) on p. The published spring is the right one in the coordinates (p, -q), which are canonical as well: in
these it is learned here, by the same model. Metrics are explained in docs/results.md.
Five seeds: python experiments/damped_spring.py --seeds 5 --out runs/damped_spring-table
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from flax import nnx

import lgn
from experiments.support import hamiltonian, orbits
from lgn import diagnostics, plots, protocol
from lgn.harness.protocol import Figure, Headline
from lgn.systems import damped_spring, mass_spring

FIGURES = {
    "test_mse": Figure(published=5.75e-5, asked=1e-6),
    "right_test_mse": Figure(asked=1e-6),
    "friction_rel_error": Figure(asked=1e-4),
    "right_friction_rel_error": Figure(asked=1e-4),
    "hnn_test_mse": Figure(published=0.63),
    "baseline_test_mse": Figure(published=9.9e-5),
}
HEADLINE = Headline("test_mse", reached=3.2e-12, seconds=51, picture="damped_spring.png")
FRICTION = damped_spring.RHO / 2  # r of -r dH/dp
TIMES = np.linspace(0, 6, 121)
START = np.array([[1.0, 0.5]])


@dataclass(frozen=True)
class Config:
    """Settings of the experiment."""

    out: Path = Path("runs/damped_spring")  # folder for tables, pictures and checkpoints
    quick: bool = False  # a short training, to see that everything runs
    seeds: int = 1
    steps: int = 600  # iterations of BFGS
    hidden: tuple[int, ...] = (16, 16)


def turned(u):
    """(p, -q) of (..., node, 2)."""
    return jnp.stack([u[..., 1], -u[..., 0]], -1)


def as_it_is(u):
    """u."""
    return u


KINDS: dict[str, tuple[Callable, Callable]] = {  # prefix of the metrics: exact rates, and coordinates to learn in
    "": (damped_spring.published_rate, turned),
    "right_": (damped_spring.rate, as_it_is),
}


def train(config: Config, folder: Path, seed: int) -> dict[str, lgn.FitResult]:
    """For each kind of damping: H with a friction that is learned; H alone; a network of the rates."""
    fits = {}
    for kind in KINDS:
        states = lgn.States(*data(kind)[0])
        models = {
            "": hamiltonian.flow(2, config.hidden, seed, lgn.Damped(nnx.Param(jnp.array(0.5)))),
            "hnn_": hamiltonian.flow(2, config.hidden, seed),
            "baseline_": hamiltonian.network(2, config.hidden, seed),
        }
        for name, model in models.items():
            fits[kind + name] = lgn.fit(
                model,
                states,
                key=jax.random.key(seed),
                phases=[lgn.QuasiNewton(60 if config.quick else config.steps)],
                loss=lgn.rate_loss,
                validation=None,
                folder=folder / f"training-{kind}{name}{seed}",
            )
    return fits


def data(kind: str) -> tuple:
    """States and rates to train on and to test with, in the coordinates of the models; the same split for all seeds."""
    rate, coordinates = KINDS[kind]
    return jax.tree.map(coordinates, damped_spring.grid(jax.random.key(0), rate))


def examine(fits: dict[str, lgn.FitResult]):
    """The published error of every model on the test states, the friction that was found, and the motion of ours."""
    metrics = diagnostics.cost(fits["right_"])
    for name, fit in fits.items():
        u, rates = data("right_" if name.startswith("right_") else "")[1]
        found = jax.vmap(lambda u, system=fit.system: system.rate((u,))[0])(u)
        metrics[f"{name}test_mse"] = float(damped_spring.field_error(found, rates))
    for kind in KINDS:
        r = fits[kind].system.structure.given.r
        metrics[f"{kind}friction_rel_error"] = float(abs(r / FRICTION - 1))
    system = fits["right_"].system
    return metrics, (system, lgn.rollout(system, START, TIMES, hamiltonian.EXACTLY))


def draw(folder: Path, fits: dict, motion: lgn.Trajectory) -> None:
    """Motion, energy, error of the rates over the plane, training; a gif in the phase plane."""
    exact = damped_spring.motion(START, TIMES)
    rivals = {"HNN": "right_hnn_", "network": "right_baseline_"}
    found = {"learned": np.asarray(motion.u)}
    found |= {name: hamiltonian.motions(fits[key].system, START[None], TIMES)[0] for name, key in rivals.items()}
    grid = np.stack(np.meshgrid(*2 * [np.linspace(-1.2, 1.2, 81)], indexing="ij"), -1)[..., None, :]
    rates = jax.vmap(jax.vmap(lambda u: fits["right_"].system.rate((u,))[0]))(jnp.asarray(grid))
    with plots.picture(folder / "energy.png", 2, 2, size=(11, 9)) as grid_of_axes:
        axes = grid_of_axes.ravel()
        for (name, u), style in zip({"exact": exact, **found}.items(), ("k-", "--", ":", "-."), strict=True):
            axes[0].plot(*u[:, 0].T, style, lw=1.4, label=name)
            axes[1].semilogy(TIMES, mass_spring.hamiltonian_energy(u), style, label=name)
        axes[0].set(title="phase portrait", xlabel="q", ylabel="p", aspect="equal")
        axes[1].set(title="true energy", xlabel="time", ylabel="q^2 + p^2")
        axes[1].legend(frameon=False)
        size = np.linalg.norm(np.asarray(rates) - damped_spring.rate(grid), axis=-1)[..., 0]
        image = axes[2].imshow(np.log10(np.maximum(size, 1e-16)).T, origin="lower", extent=(-1.2, 1.2, -1.2, 1.2))
        axes[2].figure.colorbar(image, ax=axes[2], shrink=0.85, label="log10 of |error|")
        axes[2].set(title="error of the learned rates", xlabel="q", ylabel="p")
        for name, label in {"right_": "learned", "right_hnn_": "HNN", "right_baseline_": "network"}.items():
            plots.history(axes[3], [row._replace(phase=label) for row in fits[name].history])
    orbits.animate(folder / "phase_plane.gif", TIMES, {"exact": exact, "learned": found["learned"]})


def main(config: Config) -> dict:
    """Trains, tests, writes the folder, shows the table."""
    folder = protocol.begin(config)
    rows, shown = protocol.over_seeds(range(config.seeds), partial(train, config, folder), examine)
    fits, motion = shown[0]
    sketch = partial(draw, folder, fits, motion[1])
    return protocol.finish(folder, "damped spring", FIGURES, protocol.summary(rows), rows, sketch, motion)


if __name__ == "__main__":
    main(tyro.cli(Config))

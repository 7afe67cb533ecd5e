"""Energy along long motions of learned Lagrangians, by every integrator: a double pendulum, and a ring of 100 nodes.

The densities are learned briefly: what is measured is what a step does to the energy of the system that moves, which is
a law of `DiscreteGradient` and does not depend on how well that system was learned.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import tyro
from flax import nnx

import lgn
from lgn import diagnostics, plots, protocol
from lgn.harness.protocol import Figure, Headline
from lgn.systems import double_pendulum, wave

FIGURES = {"double_pendulum_drift": Figure(asked=1e-10), "ring_drift": Figure(asked=1e-10)}
HEADLINE = Headline("double_pendulum_drift", reached=9.1e-14, seconds=None, picture="conservation.png")
INTEGRATORS = {
    "discrete gradient": lgn.DiscreteGradient,
    "variational": lgn.Variational,
    "implicit midpoint": lgn.ImplicitMidpoint,
    "Verlet": lgn.Verlet,
    "adaptive, 1e-9": lambda dt: lgn.Adaptive(),
}
STEPS = {"double_pendulum": 0.01, "ring": 0.05}  # dt of each


@dataclass(frozen=True)
class Config:
    """Settings of the experiment."""

    out: Path = Path("runs/conservation")  # folder for tables, pictures and checkpoints
    quick: bool = False  # short trainings and motions, to see that everything runs
    seeds: int = 1
    steps: int = 100_000  # of the discrete gradient
    compared: int = 10_000  # of all integrators


def train(config: Config, folder: Path, seed: int) -> dict[str, lgn.FitResult]:
    """Both systems, learned from accelerations."""
    double = lgn.MLPDensity(1, 2, (24, 24), mass=0.02, v_scale=5.0, angles=(0, 1), rngs=nnx.Rngs(seed))
    string = lgn.MLPDensity(3, 1, (8, 8), relative=True, rngs=nnx.Rngs(seed))
    systems = {
        "double_pendulum": (lgn.Lagrangian(lgn.single_node(), double), partial(double_pendulum.sample, count=1000)),
        "ring": (lgn.Lagrangian(lgn.lattice((10,)), string), partial(wave.sample, count=100, n_node=10)),
    }
    phases = [lgn.QuasiNewton(40 if config.quick else 400)]
    return {
        name: protocol.learn(system, sample, seed, folder / f"training-{name}-{seed}", phases=phases)
        for name, (system, sample) in systems.items()
    }


def examine(config: Config, fits: dict[str, lgn.FitResult]):
    """Drifts of the energy of each motion, and the motions by all integrators."""
    systems = {
        "double_pendulum": fits["double_pendulum"].system,
        "ring": fits["ring"].system.on(lgn.lattice((100,))),
    }
    starts = {"double_pendulum": (jnp.array([[1.0, 2.0]]), jnp.zeros((1, 2))), "ring": wave.pulse(100)}
    metrics = {"train_seconds": sum(fit.seconds for fit in fits.values())}
    motions: dict = {}
    for name, system in systems.items():
        dt, shorter = STEPS[name], 100 if config.quick else 1

        def follow(steps, make, system=system, start=starts[name], dt=dt):
            return lgn.rollout(system, start, np.linspace(0, steps * dt, 201), make(dt))

        motions[name] = {key: follow(config.compared // shorter, make) for key, make in INTEGRATORS.items()}
        for key, motion in motions[name].items():
            drift = diagnostics.drift(diagnostics.relative_energy(system, motion))
            metrics[f"{name}_drift_{key.partition(',')[0].replace(' ', '_')}"] = drift
        long = follow(config.steps // shorter, lgn.DiscreteGradient)
        metrics[f"{name}_drift"] = diagnostics.drift(diagnostics.relative_energy(system, long))
    return metrics, (systems, motions)


def draw(folder: Path, systems: dict, motions: dict) -> None:
    """Energy of each motion by all integrators; a gif of the string."""
    with plots.picture(folder / "energy.png", 1, 2, size=(13, 4.2)) as panels:
        for panel, (name, found) in zip(panels, motions.items(), strict=True):
            energies = {key: diagnostics.relative_energy(systems[name], motion) for key, motion in found.items()}
            t = next(iter(found.values())).t
            plots.energy(panel, t, energies, f"learned {name.replace('_', ' ')}, dt = {STEPS[name]}")
            panel.legend().remove()
        panel.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    kept, other = (motions["ring"][key] for key in ("discrete gradient", "variational"))
    fields = {"discrete gradient": kept.q[..., 0], "variational": other.q[..., 0]}
    plots.animate_string(folder / "string.gif", kept.t, fields)


def main(config: Config) -> dict:
    """Trains, follows, writes the folder, shows the table."""
    folder = protocol.begin(config)
    rows, shown = protocol.over_seeds(range(config.seeds), partial(train, config, folder), partial(examine, config))
    systems, motions = shown[0][1]
    sketch = partial(draw, folder, systems, motions)
    motion = systems["ring"], motions["ring"]["discrete gradient"]
    return protocol.finish(folder, "energy over long motions", FIGURES, protocol.summary(rows), rows, sketch, motion)


if __name__ == "__main__":
    main(tyro.cli(Config))

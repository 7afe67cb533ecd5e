"""Learns pendulums coupled by springs on small-world graphs, masses and stiffnesses being features; runs other graphs.

Trained on four graphs at once (their disjoint union), tested on graphs of other size and topology, never seen. Beside
it a black box, message passing over the same graphs, from the same data in as many iterations.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import networkx
import numpy as np
import tyro
from flax import nnx

import lgn
from lgn import diagnostics, plots, protocol
from lgn.harness.protocol import Figure, Headline
from lgn.systems import oscillators

FIGURES = {"acceleration_rel_rms": Figure(asked=1e-3)}
HEADLINE = Headline("acceleration_rel_rms", reached=2.9e-5, seconds=300, picture="network.png")


@dataclass(frozen=True)
class Config:
    """Settings of the experiment."""

    out: Path = Path("runs/custom_graph")  # folder for tables, pictures and checkpoints
    quick: bool = False  # a short training and motion, to see that everything runs
    seed: int = 0
    graphs: int = 4  # how many graphs are trained on
    nodes: int = 50  # nodes of each
    states: int = 20
    steps: int = 1500  # iterations of BFGS, of both models
    end: float = 100.0


def train(config: Config, folder: Path) -> tuple[lgn.FitResult, lgn.FitResult]:
    """The trained system and the trained black box."""
    graph, rngs = oscillators.small_worlds(config.seed, config.graphs, config.nodes), nnx.Rngs(config.seed)
    scales, mass = {"q_scale": 0.5, "v_scale": 0.5}, {"features": ("mass",), "feature_size": 1}
    oscillator = lgn.MLPDensity(1, 1, (16, 16), **scales, **mass, rngs=rngs)
    spring = lgn.PairDensity(1, (16, 16), features=("stiffness",), feature_size=1, rngs=rngs)
    known = {"edge_features": ("stiffness",), "edge_feature_size": 1}
    law = lgn.MessagePassing(1, (16, 16), rounds=1, latent=8, **scales, **mass, **known, rngs=rngs)
    sample = partial(oscillators.sample, count=config.states, graph=graph)
    phases = [lgn.QuasiNewton(60 if config.quick else config.steps)]
    trained_on = lgn.from_networkx(graph)
    systems = {
        "training": lgn.Lagrangian(trained_on, oscillators.terms(oscillator, spring)),
        "black_box": lgn.Baseline(trained_on, law),
    }
    return tuple(
        protocol.learn(system, sample, config.seed, folder / name, phases=phases) for name, system in systems.items()
    )


def examine(graphs: dict[str, networkx.Graph], system: lgn.Lagrangian, black_box: lgn.Baseline) -> list[dict]:
    """Errors of the acceleration on each graph."""
    rows = []
    for i, (name, graph) in enumerate(graphs.items()):
        fresh = oscillators.sample(jax.random.key(10_000 + i), 50, graph)
        errors, other = (
            diagnostics.acceleration_errors(model.on(lgn.from_networkx(graph)), fresh) for model in (system, black_box)
        )
        rows.append({"graph": name, "nodes": len(graph), "edges": graph.number_of_edges(), **errors})
        rows[-1]["black_box_acceleration_rel_rms"] = other["acceleration_rel_rms"]
    return rows


def draw(
    folder: Path, graph: networkx.Graph, system: lgn.Lagrangian, motion: lgn.Trajectory, energy, rows: list[dict]
) -> None:
    """The graph at three times, errors on each graph, energy; a gif."""
    place = networkx.kamada_kawai_layout(graph)
    points, ends = np.array([place[node] for node in graph]), oscillators.tables(graph)[1]
    q, paint = motion.q[..., 0], partial(plots.network, points=points, ends=ends)
    plots.snapshots(folder / "network.png", paint, motion.t, q, (1, 4, 12), limit=0.2, size=(13, 4.2))
    with plots.picture(folder / "energy.png", 1, 2, size=(11, 3.8)) as axes:
        kinds = {"black_box_acceleration_rel_rms": "message passing", "acceleration_rel_rms": "Lagrangian"}
        for i, (name, label) in enumerate(kinds.items()):
            at, color = np.arange(len(rows)) + 0.4 * i - 0.2, ("#999999", "#0072B2")[i]
            axes[0].barh(at, [row[name] for row in rows], 0.4, color=color, label=label)
        axes[0].set_yticks(range(len(rows)), [row["graph"] for row in rows])
        axes[0].set(xscale="log", xlim=(1e-6, 1), title="graphs never seen")
        axes[0].legend(frameon=False, fontsize=9)
        axes[0].set_xlabel("relative error of the acceleration")
        axes[0].invert_yaxis()
        plots.energies(axes[1], motion.t, energy, diagnostics.relative_energy(system, motion))
    plots.animate_colours(folder / "network.gif", paint, motion.t[:81], q[:81], limit=0.3, size=(4, 4.2))


def main(config: Config) -> dict:
    """Trains, tests, writes the folder, shows the table."""
    folder, graphs = protocol.begin(config), oscillators.unseen(1000 + config.seed)
    fit, black_box = train(config, folder)
    rows, graph = examine(graphs, fit.system, black_box.system), graphs["small world, 200 nodes"]
    system = fit.system.on(lgn.from_networkx(graph))
    rest = jnp.zeros((len(graph), 1))  # from which node 0 is pushed
    motion = lgn.rollout(system, (rest, rest.at[0].set(1.0)), np.linspace(0, 10.0 if config.quick else config.end, 201))
    energy = oscillators.energy(graph, motion.q, motion.v)
    metrics = {
        "acceleration_rel_rms": max(row["acceleration_rel_rms"] for row in rows),
        "black_box_acceleration_rel_rms": max(row["black_box_acceleration_rel_rms"] for row in rows),
        **diagnostics.conservation(system, motion, energy),
        "nodes_train": config.graphs * config.nodes,
        "nodes_test": len(graph),
        **diagnostics.cost(fit),
    }
    shown = metrics | {row["graph"]: row["acceleration_rel_rms"] for row in rows}
    title, sketch = "graphs never seen in training", partial(draw, folder, graph, system, motion, energy, rows)
    return protocol.finish(folder, title, FIGURES, metrics, rows, sketch, (system, motion), shown)


if __name__ == "__main__":
    main(tyro.cli(Config))

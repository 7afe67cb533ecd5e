"""Learns pendulums coupled by springs on small-world graphs, masses and stiffnesses being features; runs other graphs.

Trained on four graphs at once (their disjoint union), tested on graphs of other size and topology, never seen.
"""

from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib
import networkx
import numpy as np
import tyro
from flax import nnx
from report import show

import lgn
from lgn import diagnostics, plots, runs
from lgn.systems import oscillators

ASKED = {"acceleration_rel_rms": 1e-3}


@dataclass(frozen=True)
class Config:
    """Settings of the experiment."""

    out: Path = Path("runs/custom_graph")
    """Folder for tables, pictures and checkpoints."""
    quick: bool = False
    """A short training and motion, to see that everything runs."""
    seed: int = 0
    graphs: int = 4
    """How many graphs are trained on."""
    nodes: int = 50
    """Nodes of each."""
    states: int = 20
    steps: int = 1500
    """Iterations of BFGS."""
    end: float = 100.0


def unseen(seed: int) -> dict[str, networkx.Graph]:
    """Graphs that training does not know."""
    made = {
        "small world, 200 nodes": networkx.connected_watts_strogatz_graph(200, 6, 0.2, seed=seed),
        "scale free, 300 nodes": networkx.barabasi_albert_graph(300, 2, seed=seed),
        "grid, 15 x 15": networkx.grid_2d_graph(15, 15),
        "tree, 127 nodes": networkx.balanced_tree(2, 6),
        "complete, 12 nodes": networkx.complete_graph(12),
    }
    return {name: oscillators.network(graph, seed + i) for i, (name, graph) in enumerate(made.items())}


def main(config: Config) -> dict:
    """Trains, tests, writes the folder, prints the table."""
    jax.config.update("jax_enable_x64", True)
    matplotlib.use("agg")
    folder = runs.begin(config.out, config)
    fit = train(config, folder)
    rows, systems = [], {}
    for i, (name, graph) in enumerate(unseen(1000 + config.seed).items()):
        systems[name] = graph, system_on(graph, *(term.density for term in fit.system.terms))
        fresh = oscillators.sample(jax.random.key(10_000 + i), 50, graph)
        errors = diagnostics.acceleration_errors(systems[name][1], fresh)
        rows.append({"graph": name, "nodes": len(graph), "edges": graph.number_of_edges(), **errors})
    graph, system = systems["small world, 200 nodes"]
    motion = kick(system, len(graph), 10.0 if config.quick else config.end)
    true_energy = oscillators.energy(graph, motion.q, motion.v)
    metrics = {
        "acceleration_rel_rms": max(row["acceleration_rel_rms"] for row in rows),
        "energy_drift_true": diagnostics.drift(true_energy),
        "energy_drift_learned": diagnostics.drift(motion.energy),
        "residual_max": float(motion.residual.max()),
        "nodes_train": config.graphs * config.nodes,
        "nodes_test": len(graph),
        "train_seconds": fit.seconds,
        "parameters": sum(x.size for x in jax.tree.leaves(nnx.state(fit.system, nnx.Param))),
    }
    runs.write_metrics(folder, metrics, rows)
    runs.keep_motion(folder, system, motion)
    draw(folder, graph, motion, true_energy, rows)
    shown = {**metrics, **{row["graph"]: row["acceleration_rel_rms"] for row in rows}}
    show("graphs never seen in training", shown, ASKED, folder)
    return metrics


def system_on(graph: networkx.Graph, oscillator, spring) -> lgn.Lagrangian:
    """A density on each node alone and one on each edge: the mass matrix is diagonal."""
    nodes_alone = lgn.node_stencil(lgn.from_networkx(graph), hops=0)
    return lgn.Lagrangian(lgn.from_networkx(graph), [(oscillator, nodes_alone), (spring, lgn.edge_stencil)])


def train(config: Config, folder: Path):
    """The trained system."""
    made = [
        networkx.connected_watts_strogatz_graph(config.nodes, 4, 0.3, seed=100 * config.seed + i)
        for i in range(config.graphs)
    ]
    graph = oscillators.network(networkx.disjoint_union_all(made), config.seed)
    rngs = nnx.Rngs(config.seed)
    known = {"features": ("mass",), "feature_size": 1}
    oscillator = lgn.MLPDensity(1, 1, (16, 16), q_scale=0.5, v_scale=0.5, rngs=rngs, **known)
    spring = lgn.PairDensity(1, (16, 16), features=("stiffness",), feature_size=1, rngs=rngs)
    data_key, fit_key = jax.random.split(jax.random.key(config.seed))
    data = oscillators.sample(data_key, config.states, graph)
    phases = [lgn.QuasiNewton(60 if config.quick else config.steps)]
    system = system_on(graph, oscillator, spring)
    return lgn.fit(system, data, key=fit_key, phases=phases, folder=folder / "training")


def kick(system, n_node: int, end: float) -> lgn.Trajectory:
    """The motion after node 0 was pushed."""
    q = jnp.zeros((n_node, 1))
    return lgn.rollout(system, (q, q.at[0].set(1.0)), np.linspace(0, end, 201))


def draw(folder: Path, graph, motion, true_energy, rows) -> None:
    """The graph at three times, errors on each graph, energy; a gif."""
    import matplotlib.pyplot as plt

    place = networkx.kamada_kawai_layout(graph)
    points = np.array([place[node] for node in graph])
    ends = oscillators.tables(graph)[1]
    with plt.rc_context(plots.FONT):
        figure, axes = plt.subplots(1, 3, figsize=(13, 4.2), dpi=110, layout="constrained")
        for ax, i in zip(axes, (1, 4, 12), strict=True):
            plots.network(ax, points, ends, motion.q[i, :, 0], f"t = {float(motion.t[i]):.1f}", limit=0.2, bar=i == 12)
        figure.savefig(folder / "network.png")
        figure, axes = plt.subplots(1, 2, figsize=(11, 3.8), dpi=110, layout="constrained")
        axes[0].barh([row["graph"] for row in rows], [row["acceleration_rel_rms"] for row in rows], color="#0072B2")
        axes[0].set(
            xscale="log", xlim=(1e-6, 2e-3), xlabel="relative error of the acceleration", title="graphs never seen"
        )
        axes[0].invert_yaxis()
        energies = {"true energy": true_energy, "learned energy": motion.energy}
        plots.energy(axes[1], motion.t, energies, "energy of the learned motion")
        figure.savefig(folder / "energy.png")
        plt.close("all")
        figure, ax = plt.subplots(figsize=(4, 4.2), dpi=90, layout="constrained")
        plots.network(ax, points, ends, motion.q[0, :, 0], " ", limit=0.3, bar=False)
        plots.animate_colours(folder / "network.gif", ax.collections[1], motion.t[:81], motion.q[:81, :, 0])


if __name__ == "__main__":
    main(tyro.cli(Config))

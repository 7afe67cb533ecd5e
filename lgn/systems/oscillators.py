"""Oscillators on a graph: pendulums of any mass, coupled by springs that harden.

    m_i q_tt = -sin q_i - sum over neighbours k_ij (d + d^3),  d = q_i - q_j

Masses are node attributes `mass`, stiffnesses edge attributes `stiffness` of a networkx graph.
"""

from functools import partial

import jax
import jax.numpy as jnp
import networkx
import numpy as np

from lgn import _arguments, _draws
from lgn.data.samples import States
from lgn.graphs.stencils import edge_stencil, node_stencil

AMPLITUDE = 0.5


def oscillator(q, v, features):
    """m v^2 / 2 + cos q of a node alone: `lgn.node_stencil(graph, hops=0)` with the node feature `mass`."""
    return 0.5 * features["mass"][0] * v[0, 0] ** 2 + jnp.cos(q[0, 0])


def spring(q, v, features):
    """-k (d^2 / 2 + d^4 / 4) of an edge: `lgn.edge_stencil`, where the edge feature `stiffness` stands in slot 1."""
    stretch = q[1, 0] - q[0, 0]
    return -features["stiffness"][1] * (stretch**2 / 2 + stretch**4 / 4)


def terms(oscillator=oscillator, spring=spring) -> list:
    """A density on each node alone and one on each edge, so that the mass matrix is diagonal; by default the exact two.

    Example:
        >>> import jax, lgn, networkx
        >>> from lgn.systems import oscillators
        >>> network = oscillators.network(networkx.complete_graph(4), seed=0)
        >>> graph = lgn.from_networkx(network)
        >>> states = oscillators.sample(jax.random.key(0), 1, network)
        >>> found = lgn.Lagrangian(graph, oscillators.terms()).acceleration(states.q[0], states.v[0])
        >>> bool(abs(found - states.a[0]).max() < 1e-5)
        True
    """
    return [(oscillator, partial(node_stencil, hops=0)), (spring, edge_stencil)]


def network(graph: networkx.Graph, seed: int) -> networkx.Graph:
    """The graph with masses and stiffnesses, independent and uniform between 0.5 and 2."""
    random = np.random.default_rng(seed)
    for node in graph:
        graph.nodes[node]["mass"] = random.uniform(0.5, 2)
    for edge in graph.edges:
        graph.edges[edge]["stiffness"] = random.uniform(0.5, 2)
    return graph


def small_worlds(seed: int, count: int, nodes: int) -> networkx.Graph:
    """The disjoint union of small-world graphs, to train on."""
    seeds = (100 * seed + i for i in range(count))
    made = [networkx.connected_watts_strogatz_graph(nodes, 4, 0.3, seed=one) for one in seeds]
    return network(networkx.disjoint_union_all(made), seed)


def unseen(seed: int) -> dict[str, networkx.Graph]:
    """Graphs of other size and topology, to test on."""
    made = {
        "small world, 200 nodes": networkx.connected_watts_strogatz_graph(200, 6, 0.2, seed=seed),
        "scale free, 300 nodes": networkx.barabasi_albert_graph(300, 2, seed=seed),
        "grid, 15 x 15": networkx.grid_2d_graph(15, 15),
        "tree, 127 nodes": networkx.balanced_tree(2, 6),
        "complete, 12 nodes": networkx.complete_graph(12),
    }
    return {name: network(graph, seed + i) for i, (name, graph) in enumerate(made.items())}


def tables(graph: networkx.Graph):
    """masses (node,), ends (edge, 2) as places in the order of nodes, stiffnesses (edge,)."""
    place = {node: i for i, node in enumerate(graph)}
    ends = np.array([(place[a], place[b]) for a, b in graph.edges])
    masses = np.array([graph.nodes[node]["mass"] for node in graph])
    return masses, ends, np.array([graph.edges[edge]["stiffness"] for edge in graph.edges])


def acceleration(graph: networkx.Graph, q: np.ndarray) -> np.ndarray:
    """Of q (..., node, 1)."""
    masses, ends, stiffness = tables(graph)
    q = np.moveaxis(np.asarray(q)[..., 0], -1, 0)
    stretch = q[ends[:, 0]] - q[ends[:, 1]]
    pull = stiffness.reshape(-1, *[1] * (q.ndim - 1)) * (stretch + stretch**3)
    force = -np.sin(q)
    np.add.at(force, ends[:, 0], -pull)
    np.add.at(force, ends[:, 1], pull)
    return np.moveaxis(force / masses.reshape(-1, *[1] * (q.ndim - 1)), 0, -1)[..., None]


def energy(graph: networkx.Graph, q, v) -> np.ndarray:
    """sum of m v^2 / 2 + 1 - cos q over nodes and k (d^2 / 2 + d^4 / 4) over edges; q and v are (..., node, 1)."""
    masses, ends, stiffness = tables(graph)
    q, v = np.asarray(q)[..., 0], np.asarray(v)[..., 0]
    stretch = q[..., ends[:, 0]] - q[..., ends[:, 1]]
    spring = np.sum(stiffness * (stretch**2 / 2 + stretch**4 / 4), -1)
    return np.sum(0.5 * masses * v**2 + 1 - np.cos(q), -1) + spring


def sample(key: jax.Array, count: int, graph: networkx.Graph) -> States:
    """States of independent normal q and v, with exact accelerations."""
    _arguments.drawn("sample", key, count=count)
    q, v = AMPLITUDE * _draws.normal(key, (2, count, len(graph), 1))
    return States(q, v, jnp.asarray(acceleration(graph, np.asarray(q))))

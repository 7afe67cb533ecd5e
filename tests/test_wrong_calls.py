"""Wrong calls: each meets an error of lgn's own, which says what was found, what was expected and what to do.

The table holds, for every public name, calls as users make them by mistake, and words that the message must hold. What
is public and stands in no call is listed with the reason.
"""

import functools
import traceback
import warnings

import jax
import jax.numpy as jnp
import jaxtyping
import networkx
import numpy as np
import optax
import pytest
from flax import nnx

import lgn
from lgn import _names
from lgn.assembly.domain import Domain
from lgn.assembly.functional import Functional
from lgn.assembly.matrix import pattern
from lgn.densities.inputs import Inputs
from lgn.densities.normal_form import NormalForm, mean_mass
from lgn.graphs.tables import RaggedStencil, Stencil
from lgn.learning import loggers
from lgn.mechanics.operator import Operator
from lgn.mechanics.structures import Scaled, Sum
from lgn.solvers.choice import default_solver, estimated_costs
from lgn.systems import double_pendulum, mass_spring, n_body, pendulum, pixel_pendulum, wave

OWN = lgn.__path__[0]
RING, ONE, EDGES = lgn.lattice((5,)), lgn.single_node(), ([0, 1, 1, 2], [1, 0, 2, 1])  # of a path of three nodes
KEYED = jax.random.key(0)
NAN, COMPLEX = np.array([0.0, np.nan, 1.0]), np.ones(3) * 1j
Q, V = np.eye(5)[:, :1], np.zeros((5, 1))
SHAPED = np.zeros((4, 5, 1))  # samples of a ring of 5
TIMES = 0.1 * np.arange(6)


def string(q, v, features):
    return 0.5 * v[0, 0] ** 2 - 0.5 * (q[2, 0] - q[0, 0]) ** 2


def oscillator(q, v, features):
    return 0.5 * v[0, 0] ** 2 - 0.5 * q[0, 0] ** 2


def well(u, features):
    return 0.5 * u[0, 0] ** 2


def heavy(q, v, features):
    return 0.5 * features["m"][0] * v[0, 0] ** 2


MESH = jax.make_mesh((1,), ("nodes",))
STRING, BEAD = lgn.Lagrangian(RING, string), lgn.Lagrangian(ONE, oscillator)
HEAVY = lgn.Lagrangian(lgn.with_features(RING, node_features={"m": np.ones(5)}), heavy)
FLOW = lgn.EnergyFlow(RING, well, structure=lgn.Laplacian())
MODEL = lgn.Baseline(ONE, lambda q, v, features: (v, -q))
START = np.ones((1, 1)), np.zeros((1, 1))
STATES = lgn.States(SHAPED, SHAPED, SHAPED + 1)
RESULT = lgn.FitResult(STRING, [], "", 1.0)
LEARNED = lgn.FitResult(lgn.Lagrangian(RING, lgn.MLPDensity(3, 1, (4,), rngs=nnx.Rngs(0))), [], "", 1.0)
MOVING = lgn.States(SHAPED + np.arange(5.0)[:, None], SHAPED + 1, SHAPED)
PIECES = lgn.windows(TIMES, np.zeros((6, 5, 1)), np.zeros((6, 5, 1)), length=3)
SWING = lgn.Recording(TIMES, np.zeros((6, 5, 1)))
RATES = lgn.States(SHAPED, SHAPED + 1)
POSITIONS = lgn.windows(TIMES, np.zeros((6, 5, 1)), length=3)


@functools.cache
def learned(slots=3, **settings):
    return lgn.MLPDensity(slots, 1, (2,), rngs=nnx.Rngs(0), **settings)


@functools.cache
def trained():
    return lgn.Lagrangian(RING, learned())


def make(name, *given, **settings):
    """A learned density, with random streams unless they are given."""
    return getattr(lgn, name)(*given, **{"rngs": nnx.Rngs(0), **settings})


def lagrangian(density=string, graph=RING, **settings):
    return lgn.Lagrangian(graph, density, **settings)


def move(density=string, q=Q, v=V, graph=RING, **settings):
    return lgn.Lagrangian(graph, density, **settings).acceleration(q, v)


def flow(density=well, u=Q, structure=None, graph=RING):
    return lgn.EnergyFlow(graph, density, structure=structure or lgn.Laplacian()).rate((u,))


def roll(integrator=None, system=BEAD, state=START, ts=(0.0, 1.0)):
    return lgn.rollout(system, state, ts, integrator)


def fit(data=STATES, **settings):
    return lgn.fit(settings.pop("system", None) or trained(), data, **{"key": KEYED, **settings})


def swing(**fields):
    return SWING._replace(**fields).check()


def baseline(law, graph=ONE, state=START):
    return lgn.Baseline(graph, law).rate(state)


def single(x):
    return np.asarray(x, np.float32)


def numpys(q, v, features):
    return 0.5 * v[0, 0] ** 2 + np.cos(q[0, 0])


def branching(q, v, features):
    return 0.5 * v[0, 0] ** 2 if q[0, 0] > 0 else 0.0


def by_keyword(q, v, *, strength):
    return q


def by_default(q, v, t, u, strength):
    return q


class Forgetful:
    """Does not keep what it was made of."""

    def __init__(self, stiffness):
        pass


class Batched:
    """Looks like a tensor of another library that is not on this machine."""

    dtype, shape, ndim = "float32", (5, 1), 2

    def __array__(self, dtype=None, copy=None):
        raise TypeError("can't convert cuda:0 device type tensor to numpy")


CALLS = {
    "shard": [
        (lambda: lgn.shard(lgn.NeuralODE, MESH), "expected a Lagrangian or an EnergyFlow"),
        (lambda: lgn.shard(FLOW, MESH).rate((Q[:3],)), "u has shape", "expected (node, dim)"),
        (lambda: lgn.shard(FLOW, MESH).rate(Q), "the state is", "give (u,)"),
        (lambda: lgn.shard(FLOW, MESH).energy(Q, Q), "a state of 2 fields", "give (u,)"),
        (lambda: lgn.shard(lgn.Lagrangian, MESH), "expected a Lagrangian"),
        (lambda: lgn.shard(STRING, 4), "mesh is 4", "jax.make_mesh"),
        (lambda: lgn.shard(STRING, jax.devices()), "mesh is", "jax.make_mesh"),
        (lambda: lgn.shard(STRING, MESH, axis="rows"), "axis='rows'", "give one of them"),
        (lambda: lgn.shard(lagrangian(solver=lgn.Banded()), MESH), "Banded()", "lgn.ConjugateGradient()"),
        (lambda: lgn.shard(STRING, MESH).acceleration(Q[:3], V[:3]), "q has shape (3, 1)", "(5, ...)"),
        (lambda: lgn.shard(STRING, MESH).solve(np.eye(5), np.eye(5)[:, :2]), "has shape", "arrays of one shape"),
        (lambda: lgn.shard(HEAVY, MESH).replace(m=np.ones(4)), "replace: 'm' has shape (4,)", "expected"),
        (lambda: lgn.shard(HEAVY, MESH).replace(w=np.ones(5)), "'w' is not a feature"),
        (lambda: fit(mesh=4), "mesh is 4", "jax.make_mesh"),
        (lambda: fit(system=lgn.shard(trained(), MESH), mesh=MESH), "divided over devices already", "fit either"),
    ],
    "from_edges": [
        (lambda: lgn.from_edges(0, [], []), "n_node=0", "at least 1"),
        (lambda: lgn.from_edges(3.0, *EDGES), "n_node=3.0", "whole number"),
        (lambda: lgn.from_edges("3", *EDGES), "n_node='3'", "whole number"),
        (lambda: lgn.from_edges(True, *EDGES), "n_node=True", "whole number"),
        (lambda: lgn.from_edges(3, [0.5, 1], [1, 0]), "senders", "integers"),
        (lambda: lgn.from_edges(3, "01", "10"), "senders", "integers"),
        (lambda: lgn.from_edges(3, [[0, 1], [1]], [1, 0]), "senders", "numpy makes no array"),
        (lambda: lgn.from_edges(2, *EDGES), "senders holds 2", "nodes 0 to 1"),
        (lambda: lgn.from_edges(3, EDGES[0], [1, 0]), "senders has 4 entries", "one pair an edge"),
        (lambda: lgn.from_edges(2, [0, 1, 0], [1, 0, 0]), "self-loop", "remove it"),
        (lambda: lgn.from_edges(2, [0, 1, 0], [1, 0, 1]), "more than once", "merge"),
        (lambda: lgn.from_edges(2, [0], [1]), "no reverse", "both directions"),
        (lambda: lgn.from_edges(4, *EDGES), "node 3 is isolated", "join it"),
        (lambda: lgn.from_edges(3, *EDGES, positions=np.ones((2, 2))), "positions has shape (2, 2)", "(3, ...)"),
        (lambda: lgn.from_edges(3, *EDGES, positions=np.ones((3, 2)) * 1j), "positions", "complex128", "real"),
        (lambda: lgn.from_edges(3, *EDGES, positions=NAN[:, None]), "positions of node 1", "not finite"),
        (lambda: lgn.from_edges(3, *EDGES, positions=["a", "b", "c"]), "positions", "real numbers"),
        (lambda: lgn.from_edges(3, *EDGES, node_features=[1, 2, 3]), "node_features", "dict"),
        (lambda: lgn.from_edges(3, *EDGES, node_features={0: [1, 2, 3]}), "node_features", "dict"),
        (lambda: lgn.from_edges(3, *EDGES, node_features={"m": COMPLEX}), "node_features['m']", "complex128"),
        (lambda: lgn.from_edges(3, *EDGES, node_features={"m": ["a", "b", "c"]}), "node_features['m']", "real numbers"),
        (lambda: lgn.from_edges(3, *EDGES, node_features={"m": [[1], [1, 2], [3]]}), "node_features['m']", "array"),
        (lambda: lgn.from_edges(3, *EDGES, node_features={"m": NAN}), "node_features['m']", "not finite at row 1"),
        (lambda: lgn.from_edges(3, *EDGES, node_features={"mask": np.ones(3)}), "'mask'", "rename"),
        (lambda: lgn.from_edges(3, *EDGES, edge_features={"k": np.ones(3)}), "edge_features['k']", "(4, ...)"),
        (
            lambda: lgn.from_edges(3, *EDGES, node_features={"m": np.ones(3)}, edge_features={"m": np.ones(4)}),
            "'m' would be a feature of two kinds", "rename one",
        ),
    ],
    "single_node": [
        (lambda: lgn.single_node(count=0), "count=0", "at least 1"),
        (lambda: lgn.single_node(count=2.5), "count=2.5", "whole number"),
        (lambda: lgn.single_node([9.8]), "node_features=[9.8]", "dict"),
        (lambda: lgn.single_node({"g": 9.8}), "node_features['g'] has shape ()", "(1, ...)"),
        (lambda: lgn.single_node({"g": [1j]}), "node_features['g']", "complex128"),
    ],
    "clamp": [
        (lambda: lgn.clamp(RING, [5]), "node_indices holds 5", "nodes 0 to 4"),
        (lambda: lgn.clamp(RING, [0.0]), "node_indices", "integers"),
        (lambda: lgn.clamp(RING, np.array([True, False])), "node_indices", "bool", "np.flatnonzero"),
        (lambda: lgn.clamp(RING, "ends"), "node_indices", "integers"),
        (lambda: lgn.clamp(5, [0]), "graph is 5", "GraphsTuple"),
    ],
    "with_features": [
        (lambda: lgn.with_features(RING, node_features={"m": np.ones(4)}), "node_features['m']", "(5, ...)"),
        (lambda: lgn.with_features(RING, graph_features=9.8), "graph_features=9.8", "dict"),
        (lambda: lgn.with_features(RING, {"m": nnx.Param(np.ones(5))}), "node_features['m'] is an nnx.Param", "train"),
        (lambda: lgn.with_features(RING, None, {"k": nnx.Param(np.ones(10))}), "edge_features['k']", "nnx.Param"),
        (lambda: lgn.with_features(RING, graph_features={"g": nnx.Param(9.8)}), "graph_features['g']", "in a density"),
        (lambda: lgn.Lagrangian(RING._replace(nodes={"m": nnx.Param(np.ones(5))}), heavy), "graph.nodes['m']", "Param"),
        (lambda: HEAVY.replace(m=nnx.Param(jnp.ones(5))), "replace: 'm'", "nnx.Param"),
        (lambda: lgn.with_features(RING, graph_features={"g": 1j}), "graph_features['g']", "complex128"),
        (lambda: lgn.with_features(RING, graph_features={"g": np.nan}), "graph_features['g']", "not finite"),
        (lambda: lgn.with_features(RING, {"m": np.ones(5)}, {"m": np.ones(10)}), "'m'", "two kinds", "rename"),
        (lambda: lgn.with_features(STRING, {"m": np.ones(5)}), "graph is", "GraphsTuple"),
    ],
    "lattice": [
        (lambda: lgn.lattice((0,)), "shape", "0", "at least 1"),
        (lambda: lgn.lattice((5.5,)), "5.5", "whole number"),
        (lambda: lgn.lattice((5.0,)), "5.0", "whole number"),
        (lambda: lgn.lattice("5"), "shape='5'", "whole number"),
        (lambda: lgn.lattice(("5",)), "'5'", "whole number"),
        (lambda: lgn.lattice(True), "shape=True", "whole number"),
        (lambda: lgn.lattice(()), "shape=()", "axis"),
        (lambda: lgn.lattice(((5, 5),)), "(5, 5)", "whole number"),
        (lambda: lgn.lattice((5,), periodic="no"), "periodic='no'", "bool"),
        (lambda: lgn.lattice((5,), periodic=1), "periodic=1", "bool"),
        (lambda: lgn.lattice((5, 5), periodic=["yes", "no"]), "periodic", "bool"),
        (lambda: lgn.lattice((5, 5), periodic=[True]), "periodic=[True] for 2 axes", "one for each axis"),
        (lambda: lgn.lattice((2,)), "periodic axis 0", "periodic=False"),
        (lambda: lgn.lattice((5,), spacing=0.0), "spacing=0.0", "positive"),
        (lambda: lgn.lattice((5,), spacing="a"), "spacing='a'", "positive"),
        (lambda: lgn.lattice((5,), spacing=1j), "spacing=1j", "positive"),
        (lambda: lgn.lattice((5,), spacing=(1.0, 2.0)), "spacing=(1.0, 2.0) for 1 axes", "one value"),
        (lambda: lgn.lattice((5, 5), diagonals="no"), "diagonals='no'", "bool"),
    ],
    "from_adjacency": [
        (lambda: lgn.from_adjacency(np.ones((2, 3))), "shape (2, 3)", "(node, node)"),
        (lambda: lgn.from_adjacency(np.eye(2)[::-1] * 1j), "complex128", "real"),
        (lambda: lgn.from_adjacency(np.array([[0, 1.0], [2, 0]])), "not symmetric", "A + A.T"),
        (lambda: lgn.from_adjacency(np.array([[0, np.nan], [np.nan, 0]])), "A[0, 1] = nan", "finite weights"),
        (lambda: lgn.from_adjacency(np.ones((2, 2))), "self-loop", "remove"),
        (lambda: lgn.from_adjacency(np.zeros((2, 2))), "isolated", "join"),
        (lambda: lgn.from_adjacency([[0, 1], [1]]), "A is", "numpy makes no array"),
        (lambda: lgn.from_adjacency([["a"]]), "A", "real numbers"),
        (lambda: lgn.from_adjacency(np.eye(2)[::-1], np.ones((3, 1))), "positions has shape (3, 1)", "(2, ...)"),
        (lambda: lgn.from_adjacency(np.eye(2)[::-1], None, {"m": np.ones(3)}), "['m'] has shape (3,)", "(2, ...)"),
        (lambda: lgn.from_adjacency(np.eye(2)[::-1], None, np.ones(2)), "node_features=an array", "dict"),
        (lambda: lgn.from_adjacency(np.eye(2)[::-1], None, {"weight": np.ones(2)}), "'weight'", "two kinds", "rename"),
    ],
    "nearest_neighbours": [
        (lambda: lgn.nearest_neighbours(np.eye(3), 0), "k=0", "1 to 2"),
        (lambda: lgn.nearest_neighbours(np.eye(3), 3), "k=3", "1 to 2"),
        (lambda: lgn.nearest_neighbours(np.eye(3), 1.5), "k=1.5", "whole number"),
        (lambda: lgn.nearest_neighbours(np.arange(3.0), 1), "points has shape (3,)", "(node, space)"),
        (lambda: lgn.nearest_neighbours(np.ones((3, 1)), 1), "coincide", "merge"),
        (lambda: lgn.nearest_neighbours(COMPLEX[:, None], 1), "points", "complex128"),
        (lambda: lgn.nearest_neighbours(NAN[:, None], 1), "points of node 1", "not finite"),
    ],
    "within_radius": [
        (lambda: lgn.within_radius(np.eye(3), -1.0), "radius=-1.0", "positive"),
        (lambda: lgn.within_radius(np.eye(3), "1"), "radius='1'", "positive"),
        (lambda: lgn.within_radius(np.eye(3), 0.1), "isolated", "larger radius"),
        (lambda: lgn.within_radius("points", 1.0), "points", "real numbers"),
    ],
    "from_networkx": [
        (lambda: lgn.from_networkx(np.eye(3)), "G is a ndarray", "networkx.Graph"),
        (lambda: lgn.from_networkx(networkx.DiGraph([(0, 1)])), "directed", "to_undirected"),
        (lambda: lgn.from_networkx(networkx.MultiGraph([(0, 1)])), "multigraph", "merge"),
        (lambda: lgn.from_networkx(networkx.Graph([(0, 1, {"w": 1}), (1, 2)])), "lacks the attribute 'w'", "give it"),
        (lambda: lgn.from_networkx(networkx.Graph([(0, 1, {"w": "a"})])), "'w' = 'a'", "numbers"),
        (lambda: lgn.from_networkx(networkx.Graph()), "n_node=0", "at least 1"),
    ],
    "to_networkx": [
        (lambda: lgn.to_networkx(STRING), "graph is", "GraphsTuple"),
        (
            lambda: lgn.to_networkx(lgn.with_features(RING, edge_features={"k": np.arange(10.0)})),
            "'k' differs", "both directions the same",
        ),
    ],
    "from_mesh": [
        (lambda: lgn.from_mesh(np.eye(3)[:, :2], [[0, 1]]), "cells has shape (1, 2)", "triangle"),
        (lambda: lgn.from_mesh(np.eye(3)[:, :2], [[0, 1, 3]]), "cell 0 is [0, 1, 3]", "0 to 2"),
        (lambda: lgn.from_mesh(np.eye(3)[:, :2], [[0.0, 1.0, 2.0]]), "float64", "astype(int)"),
        (lambda: lgn.from_mesh(np.eye(3)[:, :2], [[0, 1, 2], [0, 1]]), "cells", "numpy makes no array"),
        (lambda: lgn.from_mesh(np.eye(3)[:, :2], [[0, 2, 1]][::-1] * 2), "copies", "once"),
        (lambda: lgn.from_mesh([[0, 0], [1, 0], [0, 1]], [[0, 2, 1]]), "inverted", "order of its corners"),
        (lambda: lgn.from_mesh([[0, 0], [1, 0], [2, 0]], [[0, 1, 2]]), "degenerate", "remove it"),
        (lambda: lgn.from_mesh([[0, 0], [1, 0], [0, 1], [2, 2]], [[0, 1, 2]]), "point 3 is in no cell", "leave it out"),
        (lambda: lgn.from_mesh(np.eye(3)[:, :2] * 1j, [[0, 1, 2]]), "points", "complex128"),
        (lambda: lgn.from_mesh([[0, 0], [1, 0], [0, 1]], [[0, 1, 2]], [1]), "node_features=[1]", "dict"),
    ],
    "from_meshio": [
        (lambda: lgn.from_meshio("nowhere.msh"), "nowhere.msh does not exist"),
        (lambda: lgn.from_meshio(__file__), "meshio cannot read", "suffix"),
        (lambda: lgn.from_meshio(5), "path=5", "path"),
    ],
    "Stencil": [
        (lambda: Stencil(np.zeros((2, 1)), np.ones((2, 1)), np.zeros((2, 1), int)), "index", "integers"),
        (lambda: Stencil(np.zeros((2, 1), int), np.ones((3, 1)), np.zeros((2, 1), int)), "mask", "(2, 1)"),
        (lambda: Stencil(np.zeros(2, int), np.ones(2), np.zeros(2, int)), "index", "(element, slot)"),
        (lambda: lagrangian([(string, lgn.node_stencil(lgn.lattice((9,))))]), "stencil of 9 nodes", "graph of 5"),
        (lambda: lagrangian([(string, lgn.node_stencil(lgn.lattice((3,))))]), "stencil of 3 nodes", "graph of 5"),
        (
            lambda: lagrangian([(string, Stencil(*(np.full((1, 3), 7),) * 2, np.full((1, 3), -1)))]),
            "reads node 7", "0 to 4",
        ),
        (
            lambda: lagrangian([(string, Stencil(*(np.zeros((1, 3), int),) * 2, np.full((1, 3), 10)))]),
            "edge 10", "graph has 10",
        ),
    ],
    "node_stencil": [
        (lambda: lgn.node_stencil(RING, hops=-1), "hops=-1", "at least 0"),
        (lambda: lgn.node_stencil(RING, hops=1.5), "hops=1.5", "whole number"),
        (lambda: lgn.node_stencil(STRING), "graph is", "GraphsTuple"),
    ],
    "edge_stencil": [(lambda: lgn.edge_stencil(np.eye(3)), "graph is an array", "GraphsTuple")],
    "cell_stencil": [
        (lambda: lgn.cell_stencil(None), "graph is None", "GraphsTuple"),
        (lambda: lgn.cell_stencil(lgn.from_edges(3, *EDGES)), "no cells", "from_mesh"),
        (lambda: lgn.cell_stencil(lgn.lattice((5, 1), periodic=False)), "axis of one node", "leave that axis out"),
    ],
    "config_of": [
        (lambda: lgn.config_of(5), "int"),
        (lambda: lgn.config_of(Forgetful(2.0)), "Forgetful", "'stiffness'", "self.stiffness"),
    ],
    "Inputs": [
        (lambda: Inputs(0, 1), "slots=0", "at least 1"),
        (lambda: Inputs(2.5, 1), "slots=2.5", "whole number"),
        (lambda: Inputs(1, "1"), "dim='1'", "whole number"),
        (lambda: Inputs(1, 1, fields=3), "fields=3", "give 2"),
        (lambda: Inputs(1, 1, q_scale=-1.0), "q_scale=-1.0", "positive"),
        (lambda: Inputs(1, 1, q_scale=(1.0, 2.0)), "q_scale=(1.0, 2.0)", "each of 1"),
        (lambda: Inputs(1, 1, q_scale="big"), "q_scale='big'", "positive"),
        (lambda: Inputs(1, 1, v_scale=1j), "v_scale=1j", "positive"),
        (lambda: Inputs(1, 1, angles=(1,)), "angles=(1,)", "0 to 0"),
        (lambda: Inputs(1, 1, angles=0), "angles=0", "sequence"),
        (lambda: Inputs(1, 2, angles=(0.5,)), "angles", "0.5", "whole number"),
        (lambda: Inputs(1, 1, relative=True), "relative=True", "slots=1"),
        (lambda: Inputs(2, 1, relative="no"), "relative='no'", "bool"),
        (lambda: Inputs(1, 1, features="mass", feature_size=1), "features='mass'", "('mass',)"),
        (lambda: Inputs(1, 1, features=("m", "m"), feature_size=2), "features=('m', 'm')", "once"),
        (lambda: Inputs(1, 1, features=("m",)), "feature_size=0", "give both"),
        (lambda: Inputs(1, 1, features=("m",), feature_size=1.5), "feature_size=1.5", "whole number"),
        (lambda: Inputs(1, 1, features=("m",), feature_size=1, feature_scale=0), "feature_scale=0", "positive"),
    ],
    "lecun_normal": [
        (lambda: make("MLPDensity", 1, 1, initializer=lgn.lecun_normal(0, 2)), "initializer", "(layer, layers)"),
        (lambda: make("MLPDensity", 1, 1, initializer="lecun"), "initializer='lecun'", "lgn.small_output"),
    ],
    "lnn_initializer": [(lambda: make("MLPDensity", 1, 1, initializer=lgn.lnn_initializer(0, 2)), "initializer")],
    "small_output": [(lambda: make("PairDensity", 1, initializer=lgn.small_output(0, 2)), "initializer")],
    "MLPDensity": [
        (lambda: make("MLPDensity", 0, 1), "slots=0", "at least 1"),
        (lambda: make("MLPDensity", 3.0, 1), "slots=3.0", "whole number"),
        (lambda: make("MLPDensity", 3, 0), "dim=0", "at least 1"),
        (lambda: make("MLPDensity", 3, 1, hidden=8), "hidden=8", "(8,)"),
        (lambda: make("MLPDensity", 3, 1, hidden=()), "hidden=()", "one width or more"),
        (lambda: make("MLPDensity", 3, 1, hidden=(8.5,)), "8.5", "whole number"),
        (lambda: make("MLPDensity", 3, 1, hidden="88"), "hidden='88'", "sequence"),
        (lambda: make("MLPDensity", 3, 1, hidden=(0,)), "hidden", "0", "at least 1"),
        (lambda: make("MLPDensity", 3, 1, activation=jax.nn.relu), "activation=relu", "softplus"),
        (lambda: make("MLPDensity", 3, 1, activation="tanh"), "activation='tanh'", "jnp.tanh"),
        (lambda: make("MLPDensity", 3, 1, activation=jnp.sum), "activation=sum", "elementwise"),
        (lambda: make("MLPDensity", 3, 1, activation=np.tanh), "activation=tanh", "jax"),
        (lambda: make("MLPDensity", 3, 1, mass=-1.0), "mass=-1.0", "positive", "None"),
        (lambda: make("MLPDensity", 3, 1, mass=0.0), "mass=0.0", "positive", "None"),
        (lambda: make("MLPDensity", 3, 1, mass="1"), "mass='1'", "positive"),
        (lambda: make("MLPDensity", 3, 1, mass=1j), "mass=1j", "positive"),
        (lambda: make("MLPDensity", 3, 1, rngs=0), "rngs is 0", "nnx.Rngs(0)"),
        (lambda: make("MLPDensity", 3, 1, rngs=KEYED), "rngs is", "nnx.Rngs(0)"),
        (lambda: make("MLPDensity", 3, 1, features="mass", feature_size=1), "features='mass'", "('mass',)"),
        (lambda: learned()(Q[:3], {}), "fields=2", "fields=1"),
        (lambda: move(learned(2)), "(slots, dim) = (2, 1)", "slots=3"),
        (lambda: move(learned(), np.zeros((5, 2)), np.zeros((5, 2))), "(slots, dim) = (3, 1)", "dim=2"),
    ],
    "MessageDensity": [
        (lambda: make("MessageDensity", 1, messages=0), "messages=0", "at least 1"),
        (lambda: make("MessageDensity", 1, messages=1.5), "messages=1.5", "whole number"),
        (lambda: make("MessageDensity", 1, hidden=8), "hidden=8", "(8,)"),
        (lambda: make("MessageDensity", 1, pairing="difference"), "pairing='difference'", "lgn.difference"),
        (lambda: make("MessageDensity", 1, pairing=lambda q0, q1: q0), "pairing", "q0, v0, q1, v1"),
        (lambda: make("MessageDensity", 1, pairing=lambda *x: x[0][0]), "pairing", "vector"),
        (lambda: make("MessageDensity", 1, mass=-1.0), "mass=-1.0", "positive"),
        (lambda: make("MessageDensity", 1, rngs=0), "rngs is 0", "nnx.Rngs(0)"),
    ],
    "PairDensity": [
        (lambda: make("PairDensity", 0), "dim=0", "at least 1"),
        (lambda: make("PairDensity", 1, hidden=8), "hidden=8", "(8,)"),
        (lambda: make("PairDensity", 1, rngs=0), "rngs is 0", "nnx.Rngs(0)"),
        (lambda: make("PairDensity", 1, pairing=1), "pairing=1", "lgn.difference"),
        (lambda: move(make("PairDensity", 1, (2,))), "(slots, dim) = (2, 1)", "3 slots"),
    ],
    "Continuum": [
        (lambda: lgn.Continuum("wave"), "local='wave'", "function"),
        (lambda: lgn.Continuum(lgn.FieldMLP), "local=FieldMLP is a class", "FieldMLP(...)"),
        (lambda: move(lgn.Continuum(lambda *x: jnp.sum(x[2] ** 2))), "shape functions", "lgn.cell_stencil"),
        (lambda: move([(lgn.Continuum(lambda phi, *x: x[1][0] ** 2 - phi[1]), lgn.cell_stencil)]), "index 1", "size 1"),
    ],
    "FieldMLP": [
        (lambda: make("FieldMLP", 0, 1), "dim=0", "at least 1"),
        (lambda: make("FieldMLP", 1, 0), "space=0", "at least 1"),
        (lambda: make("FieldMLP", 1, 1.5), "space=1.5", "whole number"),
        (lambda: make("FieldMLP", 1, 1, hidden=8), "hidden=8", "(8,)"),
        (lambda: make("FieldMLP", 1, 1, mass=-1.0), "mass=-1.0", "positive"),
        (lambda: make("FieldMLP", 1, 1, energy_scale=0.0), "energy_scale=0.0", "positive"),
        (lambda: make("FieldMLP", 1, 1, gradient_scale=-1.0), "gradient_scale=-1.0", "positive"),
        (lambda: make("FieldMLP", 1, 1, isotropic="no"), "isotropic='no'", "bool"),
        (lambda: make("FieldMLP", 1, 1, rngs=0), "rngs is 0", "nnx.Rngs(0)"),
    ],
    "Dry": [
        (lambda: lgn.Dry(0.0), "speed=0.0", "positive"),
        (lambda: lgn.Dry("slow"), "speed='slow'", "positive"),
        (lambda: lgn.PositiveForm(1, 1, law=lgn.Dry), "law=Dry is a class", "Dry(...)"),
    ],
    "PositiveForm": [
        (lambda: lgn.PositiveForm(0, 1), "slots=0", "at least 1"),
        (lambda: lgn.PositiveForm(1, 1, features=("m",), feature_size=1), "hidden=()", "give widths"),
        (lambda: lgn.PositiveForm(1, 1, hidden=(4,)), "without rngs", "nnx.Rngs(0)"),
        (lambda: lgn.PositiveForm(1, 1, hidden=8), "hidden=8", "(8,)"),
        (lambda: lgn.PositiveForm(1, 1, hidden=(4,), rngs=0), "rngs is 0", "nnx.Rngs(0)"),
        (lambda: lgn.PositiveForm(1, 1, law=lambda s: -(s**2)), "law", "convex"),
        (lambda: lgn.PositiveForm(1, 1, law="square"), "law='square'", "lgn.half_square"),
        (lambda: lgn.PositiveForm(1, 1, size=-1.0), "size=-1.0", "positive"),
        (lambda: lgn.PositiveForm(1, 1, fields=1), "fields=1", "(q, v)"),
    ],
    "StructuredDensity": [
        (lambda: make("StructuredDensity", 1, 1, mass=-1.0), "mass=-1.0", "positive"),
        (lambda: make("StructuredDensity", 1, 1.5), "dim=1.5", "whole number"),
        (lambda: make("StructuredDensity", 1, 1, hidden=8), "hidden=8", "(8,)"),
        (lambda: make("StructuredDensity", 1, 1, kinetic_hidden=8), "hidden=8", "(8,)"),
        (lambda: make("StructuredDensity", 1, 1, rngs=0), "rngs is 0", "nnx.Rngs(0)"),
    ],
    "Transformed": [
        (lambda: lgn.Transformed("density", lgn.halves), "density='density'", "function"),
        (lambda: lgn.Transformed(oscillator, None), "coordinates=None", "function"),
        (lambda: lgn.Transformed(lgn.MLPDensity, lgn.halves), "MLPDensity is a class", "MLPDensity(...)"),
        (lambda: move(lgn.Transformed(string, lambda q, v: q)), "coordinates", "tuple"),
    ],
    "canonical": [
        (lambda: lgn.canonical(None), "density=None", "function"),
        (lambda: flow(lgn.canonical(oscillator)), "1 values a node", "even number"),
    ],
    "halves": [
        (lambda: lgn.halves(np.ones((1, 3))), "3 values a node", "even number"),
        (lambda: lgn.halves([[1.0, 2.0]]), "u is [[1.0, 2.0]]", "array"),
    ],
    "normal_form": [
        (lambda: lgn.normal_form(oscillator, np.zeros(1)), "q has shape (1,)", "(slot, dim)"),
        (lambda: lgn.normal_form(oscillator, Q[:1], Q[:2]), "v (2, 1)", "(slot, dim)"),
        (lambda: lgn.normal_form(oscillator, Q[:1] * 1j), "q", "complex128"),
        (lambda: lgn.normal_form(oscillator, Q[:1], scale=0.0), "scale=0.0", "not zero"),
        (lambda: lgn.normal_form(oscillator, Q[:1], scale="1"), "scale", "real numbers"),
        (lambda: lgn.normal_form(oscillator, Q[:1], points=0), "points=0", "at least 1"),
        (lambda: lgn.normal_form(oscillator, Q[:1], points=1.5), "points=1.5", "whole number"),
        (lambda: lgn.normal_form("density", Q[:1]), "density='density'", "function"),
        (lambda: lgn.normal_form(lambda q, v, features: -q[0, 0] ** 2, Q[:1]), "scale=0.0", "not zero"),
        (lambda: lgn.normal_form(string, Q[:1]), "density string", "index 2"),
    ],
    "NormalForm": [
        (lambda: NormalForm("density", Q, Q, 1.0, 8), "density='density'", "function"),
        (lambda: NormalForm(oscillator, Q, Q[:1], 1.0, 8), "v (1, 1)", "(slot, dim)"),
    ],
    "mean_mass": [
        (lambda: mean_mass(None, Q, Q), "density=None", "function"),
        (lambda: mean_mass(oscillator, Q, Q[:1]), "v (1, 1)", "(slot, dim)"),
        (lambda: mean_mass(heavy, Q[:1], Q[:1]), "density heavy", "'m'", "(1, 1)"),
        (lambda: mean_mass(string, Q[:1], Q[:1]), "density string", "index 2"),
    ],
    "integrated": [
        (lambda: lgn.integrated(TIMES, np.zeros((1, 6, 1)), np.zeros((1, 6, 1))), "u has shape (1, 6, 1)", "u[None]"),
        (lambda: lgn.integrated(TIMES[::-1], SHAPED, SHAPED), "t has shape", "increase"),
        (lambda: lgn.integrated("t", SHAPED, SHAPED), "t", "real numbers"),
        (lambda: lgn.integrated(TIMES, np.ones((1, 6, 1, 1)) * 1j, np.ones((1, 6, 1, 1))), "u", "complex128"),
        (lambda: lgn.integrated(TIMES, np.full((1, 6, 1, 1), np.nan), np.ones((1, 6, 1, 1))), "u is not finite", "out"),
    ],
    "sample_pairs": [
        (lambda: lgn.sample_pairs(0, TIMES, np.zeros((1, 6, 1, 1)), 3), "key=0", "jax.random.key(0)"),
        (lambda: lgn.sample_pairs(KEYED, TIMES, np.zeros((1, 6, 1, 1)), 0), "count=0", "at least 1"),
        (lambda: lgn.sample_pairs(KEYED, TIMES, np.zeros((1, 6, 1, 1)), 2.5), "count=2.5", "whole number"),
        (lambda: lgn.sample_pairs(KEYED, TIMES, np.zeros((1, 6, 1, 1)), 3, by_rate=2), "by_rate=2", "between 0 and 1"),
        (lambda: lgn.sample_pairs(KEYED, TIMES, np.zeros((1, 6, 1, 1)), 3, by_rate="a"), "by_rate='a'", "0 and 1"),
        (lambda: lgn.sample_pairs(KEYED, TIMES, np.zeros((1, 6, 1, 1)), 3), "u never changes", "by_rate=0"),
        (lambda: lgn.sample_pairs(KEYED, TIMES**2, np.zeros((1, 6, 1, 1)), 3), "a step of", "interpolate"),
    ],
    "States": [
        (lambda: lgn.States(SHAPED, SHAPED[:, :2], SHAPED).check(), "v has shape (4, 2, 1)", "(sample, node, dim)"),
        (lambda: lgn.States(Q, Q, Q).check(), "q has shape (5, 1)", "(sample, node, dim)"),
        (lambda: lgn.States(*(SHAPED[:0],) * 3).check(), "q has shape (0, 5, 1)", "(sample, node, dim)"),
        (lambda: lgn.States(SHAPED * 1j, SHAPED, SHAPED).check(), "q", "complex128", "real"),
        (lambda: lgn.States(SHAPED, SHAPED + np.nan, SHAPED).check(), "v is not finite", "drop"),
        (lambda: lgn.States("q", "v", "a").check(), "q", "real numbers"),
        (lambda: lgn.States(SHAPED.astype(np.float16), SHAPED, SHAPED).check(), "q", "float16", "float32 or float64"),
        (lambda: lgn.States([[[1.0], [2.0]], [[1.0]]], SHAPED, SHAPED).check(), "q", "numpy makes no array"),
        (lambda: lgn.States(Batched(), SHAPED, SHAPED).check(), "q", "cuda:0", "numpy makes no array"),
        (lambda: lgn.States(single(SHAPED), SHAPED, SHAPED).check(), "q is float32 and v float64", "astype"),
        (lambda: lgn.States(*STATES[:3], t=np.zeros(3)).check(), "t has shape (3,)", "4 samples"),
        (lambda: lgn.States(*STATES[:3], features=[1.0]).check(), "features=[1.0]", "dict"),
        (lambda: lgn.States(*STATES[:3], features={"m": np.ones(3)}).check(), "features['m']", "4 samples"),
        (lambda: lgn.States(*STATES[:3], features={"m": 1j * np.ones(4)}).check(), "features['m']", "complex128"),
    ],
    "Windows": [
        (lambda: PIECES._replace(dt=-PIECES.dt).check(), "dt = -0.1", "positive"),
        (lambda: PIECES._replace(dt=0.1).check(), "dt has shape ()", "4 samples"),
        (lambda: PIECES._replace(q=SHAPED).check(), "q has shape (4, 5, 1)", "(sample, time, node, dim)"),
        (lambda: PIECES._replace(v=PIECES.v * 1j).check(), "v", "complex128"),
        (lambda: PIECES._replace(dt="0.1").check(), "dt", "real numbers"),
        (lambda: PIECES._replace(v=single(PIECES.v)).check(), "q is float64 and v float32", "astype"),
    ],
    "windows": [
        (lambda: lgn.windows(TIMES, np.zeros((6, 5, 1)), length=1), "length=1", "at least 2"),
        (lambda: lgn.windows(TIMES, np.zeros((6, 5, 1)), length=2.5), "length=2.5", "whole number"),
        (lambda: lgn.windows(TIMES, np.zeros((6, 5, 1)), length=7), "length=7", "as many"),
        (lambda: lgn.windows(TIMES, np.zeros((5, 5, 1)), length=2), "q (5, 5, 1)", "(time, node, dim)"),
        (lambda: lgn.windows(TIMES[::-1], np.zeros((6, 5, 1)), length=2), "sort the times"),
        (lambda: lgn.windows(TIMES**2, np.zeros((6, 5, 1)), length=2), "gap"),
        (lambda: lgn.windows(TIMES, np.zeros((6, 5, 1)) * 1j, length=2), "q", "complex128"),
        (lambda: lgn.windows(TIMES, np.zeros((6, 5, 1)), np.zeros((4, 5, 1)), length=2), "v", "(4, 5, 1)", "(6, 5, 1)"),
        (lambda: lgn.windows(["a"] * 6, np.zeros((6, 5, 1)), length=2), "t", "real numbers"),
        (lambda: lgn.windows(TIMES, np.zeros((6, 5, 1)), length=2, dt=-0.1), "dt=-0.1", "positive"),
        (lambda: lgn.windows(TIMES, np.zeros((6, 5, 1)), length=2, dt="a"), "dt='a'", "positive"),
        (lambda: lgn.windows(TIMES, np.zeros((6, 5, 1)), length=2, every=1.5), "every=1.5", "whole number"),
    ],
    "BlockMatrix": [(lambda: STRING.equation(Q, V)[0] @ Q[:3], "shape (3, 1)", "(5, 1)")],
    "Automatic": [
        (lambda: roll(lgn.DiscreteGradient(0.1, lgn.Automatic)), "gradient=Automatic is a class", "lgn.Automatic()"),
        (lambda: lgn.Automatic()("H", (Q,), (Q,), {}), "density='H'", "function"),
        (lambda: lgn.Automatic()(lambda u, known: jnp.sort(u[:, 0])[0], (Q,), (Q,), {}), "sort", "rule"),
    ],
    "MeanValue": [
        (lambda: lgn.MeanValue(0), "points=0", "at least 1"),
        (lambda: lgn.MeanValue(1.5), "points=1.5", "whole number"),
        (lambda: lgn.MeanValue()("H", (Q,), (Q,), {}), "density='H'", "function"),
    ],
    "Gonzalez": [
        (lambda: roll(lgn.DiscreteGradient(0.1, lgn.Gonzalez)), "gradient=Gonzalez is a class", "Gonzalez(...)"),
        (lambda: lgn.Gonzalez()("H", (Q,), (Q,), {}), "density='H'", "function"),
    ],
    "Domain": [
        (lambda: Domain(5), "graph is 5", "GraphsTuple"),
        (lambda: Domain(RING, motion=Q), "motion=an array", "function"),
        (lambda: Domain(RING, motion=lambda t: Q), "no node is clamped", "lgn.clamp"),
        (lambda: Domain(RING._replace(nodes=Q)), "graph.nodes", "dict"),
        (lambda: Domain(RING._replace(edges=None)), "graph.edges is None", "dict"),
        (lambda: Domain(RING._replace(nodes={"m": np.ones(4)})), "nodes['m']", "(5, ...)"),
        (
            lambda: Domain(RING._replace(nodes={"m": np.ones(5)}, edges={"m": np.ones(10)})),
            "'m'", "two kinds", "rename",
        ),
        (lambda: Domain(RING).replace(m=1.0), "'m' is not a feature", "lgn.with_features"),
        (lambda: HEAVY.domain.replace(m=np.ones(4)), "'m' has shape (4,)", "(5,)"),
        (lambda: HEAVY.domain.replace(m=1.0), "'m' has shape ()", "(5,)"),
        (lambda: HEAVY.domain.replace(m=np.ones(5) * 1j), "'m'", "complex128"),
        (lambda: HEAVY.domain.replace(m="heavy"), "'m'", "real numbers"),
    ],
    "Functional": [
        (lambda: Functional(RING, 5), "density=5", "list of (density, stencil)"),
        (lambda: Functional(RING, [string]), "is not a term", "(density, stencil)"),
        (lambda: Functional(RING, [(string, "nodes")]), "'nodes'", "lgn.node_stencil"),
        (lambda: Functional(RING, lgn.MLPDensity), "MLPDensity is a class", "MLPDensity(...)"),
        (lambda: Functional(None, string), "graph is None", "GraphsTuple"),
    ],
    "Dense": [
        (lambda: lagrangian(solver="dense"), "solver='dense'", "lgn.Dense()"),
        (lambda: lagrangian(solver=lgn.Dense), "solver=Dense is a class", "Dense(...)"),
        (lambda: lgn.Dense()(np.eye(5), Q), "mass is", "BlockMatrix"),
        (lambda: lgn.Dense()(STRING.equation(Q, V)[0], Q[:3]), "shape (3, 1)", "(5, 1)"),
    ],
    "BlockDiagonal": [
        (lambda: move(lambda q, v, f: jnp.sum(v) ** 2, solver=lgn.BlockDiagonal()), "couples nodes", "lgn.Banded()"),
        (lambda: lgn.BlockDiagonal()(np.eye(5), Q), "mass is", "BlockMatrix"),
    ],
    "Banded": [
        (lambda: lagrangian(solver=lgn.Banded), "solver=Banded is a class", "Banded(...)"),
        (lambda: lgn.Banded()(np.eye(5), Q), "mass is", "BlockMatrix"),
    ],
    "ConjugateGradient": [
        (lambda: lgn.ConjugateGradient(tolerance=-1.0), "tolerance=-1.0", "positive"),
        (lambda: lgn.ConjugateGradient(tolerance="a"), "tolerance='a'", "positive"),
        (lambda: lgn.ConjugateGradient(limit=0), "limit=0", "at least 1"),
        (lambda: lgn.ConjugateGradient(limit=1.5), "limit=1.5", "whole number"),
        (
            lambda: move(q=single(Q), v=single(V), solver=lgn.ConjugateGradient(tolerance=1e-12)),
            "tolerance=1e-12", "float32",
        ),
        (lambda: lgn.ConjugateGradient()(np.eye(5), Q), "mass is", "BlockMatrix"),
    ],
    "default_solver": [
        (lambda: default_solver(RING, 1), "pattern is", "Pattern"),
        (lambda: default_solver(pattern(1), 1, on="gpu"), "on is 'gpu'", "BACKENDS"),
        (lambda: default_solver(pattern(1), 0), "dim=0", "at least 1"),
    ],
    "estimated_costs": [
        (lambda: estimated_costs(np.eye(3), 1), "pattern is", "Pattern"),
        (lambda: estimated_costs(pattern(1), 1, on=3), "on is 3", "BACKENDS"),
        (lambda: estimated_costs(pattern(1), 1.5), "dim=1.5", "whole number"),
    ],
    "Scaled": [
        (lambda: Scaled("D", 2.0), "structure='D'", "lgn.Symplectic()"),
        (lambda: Scaled(lgn.Symplectic, 2.0), "Symplectic is a class", "Symplectic(...)"),
        (lambda: Scaled(lgn.Symplectic(), "2"), "factor='2'", "number"),
        (lambda: 1j * lgn.Symplectic(), "factor=1j", "number"),
        (lambda: np.nan * lgn.Symplectic(), "factor=nan", "number"),
        (lambda: -lgn.Laplacian(), "factor -1.0", "dissipates"),
    ],
    "Sum": [
        (lambda: Sum([]), "parts=[]", "structure"),
        (lambda: Sum(lgn.Symplectic()), "parts", "list"),
        (lambda: Sum(["D"]), "'D'", "lgn.Symplectic()"),
        (lambda: lgn.Symplectic() + 1.0, "1.0", "lgn.Symplectic()"),
    ],
    "Damped": [
        (lambda: lgn.Damped(-1.0), "r=-1.0", "not negative"),
        (lambda: lgn.Damped("r"), "r", "real numbers"),
        (lambda: lgn.Damped(1j), "r", "complex128"),
        (lambda: lgn.Damped(np.nan), "r=nan", "not negative"),
        (lambda: flow(structure=lgn.Damped([1.0, 2.0]), u=np.ones((5, 2))), "r has shape (2,)", "1 values"),
        (lambda: flow(structure=lgn.Damped(1.0)), "1 values a node", "even number"),
    ],
    "Relaxation": [
        (lambda: lgn.Relaxation(-1.0), "r=-1.0", "not negative"),
        (lambda: flow(structure=lgn.Relaxation([1.0, 2.0])), "r has shape (2,)", "1 values"),
    ],
    "Symplectic": [
        (lambda: flow(structure=lgn.Symplectic), "structure=Symplectic is a class", "Symplectic(...)"),
        (lambda: flow(structure=lgn.Symplectic()), "1 values a node", "even number"),
    ],
    "FirstDifference": [
        (lambda: flow(structure=lgn.FirstDifference(axis=2)), "axis=2", "1 axes"),
        (lambda: lgn.FirstDifference(axis=-1), "axis=-1", "at least 0"),
        (lambda: lgn.FirstDifference(axis=0.5), "axis=0.5", "whole number"),
        (lambda: flow(structure=lgn.FirstDifference(), graph=ONE, u=Q[:1]), "lattice", "lgn.lattice"),
    ],
    "Laplacian": [
        (lambda: flow(structure=lgn.Laplacian(weight="k")), "weight='k'", "edges have only"),
        (lambda: lgn.Laplacian(weight=2.0), "weight=2.0", "name"),
        (lambda: flow(structure=lgn.Laplacian), "Laplacian is a class", "Laplacian(...)"),
    ],
    "FreeKernel": [
        (lambda: make("FreeKernel", (2,)), "shape=(2,)", "odd"),
        (lambda: make("FreeKernel", (3.5,)), "3.5", "whole number"),
        (lambda: make("FreeKernel", 3), "shape=3", "(3,)"),
        (lambda: make("FreeKernel", (3,), scale=0.0), "scale=0.0", "positive"),
        (lambda: make("FreeKernel", (3,), scale="a"), "scale='a'", "positive"),
        (lambda: make("FreeKernel", (3,), rngs=0), "rngs is 0", "nnx.Rngs(0)"),
    ],
    "ConservingKernel": [
        (lambda: make("ConservingKernel", ()), "shape=()", "odd"),
        (lambda: make("ConservingKernel", (3,), rngs=0), "rngs is 0", "nnx.Rngs(0)"),
    ],
    "DissipativeKernel": [
        (lambda: make("DissipativeKernel", (1,)), "shape=(1,)", "3 or more"),
        (lambda: make("DissipativeKernel", (3,), rngs=0), "rngs is 0", "nnx.Rngs(0)"),
    ],
    "LearnedStructure": [
        (lambda: lgn.LearnedStructure("kernel"), "kernel is 'kernel'", "ConservingKernel"),
        (lambda: lgn.LearnedStructure(lgn.FreeKernel), "kernel", "lgn.ConservingKernel((3,)"),
        (lambda: flow(structure=lgn.LearnedStructure(make("FreeKernel", (3, 3)))), "lattice of 1 axes", "give 1"),
    ],
    "Operator": [
        (lambda: Operator("D", RING), "structure='D'", "lgn.Symplectic()"),
        (lambda: Operator(lgn.Laplacian(), 5), "graph is 5", "GraphsTuple"),
        (lambda: FLOW.structure(Q[:3]), "shape (3, 1)", "(5, ...)"),
        (lambda: FLOW.structure.adjoint(Q[:3]), "shape (3, 1)", "(5, ...)"),
        (lambda: FLOW.structure.matrix(0), "dim=0", "at least 1"),
        (lambda: FLOW.structure.matrix(1000), "5000 rows", "smaller graph"),
    ],
    "Lagrangian": [
        (lambda: lagrangian([string]), "is not a term", "(density, stencil)"),
        (lambda: STRING.on(7), "graph is 7", "GraphsTuple"),
        (lambda: STRING.on(RING, forces=None), "no argument 'forces'", "did you mean 'force'"),
        (lambda: STRING.on(RING, force=np.ones(5)).force(Q, V), "force has shape (5,)", "(5, 1)"),
        (lambda: STRING.on(RING, density=string).on("ring"), "graph is 'ring'", "GraphsTuple"),
        (lambda: STRING.on_rows(Q[:3], V[:3]), "q has shape (3, 1)", "(5, ...)"),
        (lambda: STRING.on_rows([1.0], V), "q is a list", "jnp.asarray"),
        (lambda: STRING.acceleration(Q, V[:, 0]), "v has shape (5,)", "(node, dim)"),
        (lambda: lagrangian(Q), "density=an array", "list of (density, stencil)"),
        (lambda: lagrangian("string"), "density='string'", "list of (density, stencil)"),
        (lambda: lagrangian(lgn.MLPDensity), "MLPDensity is a class", "MLPDensity(...)"),
        (lambda: lagrangian(graph=np.eye(5)), "graph is an array", "GraphsTuple"),
        (lambda: move(numpys), "density numpys", "jax.numpy"),
        (lambda: move(branching), "density branching", "jnp.where"),
        (lambda: move(lambda q, v, features: q[5, 0] + v[0, 0] ** 2), "index 5", "size 3"),
        (lambda: move(lambda q, v, features: q[0, 1] + v[0, 0] ** 2), "index 1", "size 1"),
        (lambda: move(lambda q, v, features: v[0, 0] ** 2 + features["mask"][7]), "index 7"),
        (lambda: move(lambda q, v, features: v), "returns shape", "one scalar"),
        (lambda: move(lambda q, v, features: v[0, 0] ** 2 + 1j), "returns complex", "real"),
        (lambda: move(lambda q, v, features: None), "returns", "one scalar"),
        (lambda: move(lambda q, v, features: jnp.dot(q, v)[0, 0]), "density", "(3, 1)"),
        (lambda: move(lambda q, v, features: v.speed[0, 0]), "density", "speed"),
        (lambda: move(lambda q, v: v[0, 0] ** 2), "takes 1 fields", "density(q, v, features)"),
        (lambda: move(well), "takes 1 fields", "density(q, v, features)"),
        (lambda: move(heavy), "feature 'm'", "lgn.with_features"),
        (lambda: move(dissipation=lambda q, v, features: v[7, 0] ** 2), "index 7", "size 3"),
        (lambda: move(dissipation="friction"), "dissipation='friction'", "list of (density, stencil)"),
        (lambda: move(force=lambda q: q), "1 arguments", "force(q, v, t)"),
        (lambda: move(force=lambda q, v, k: q), "argument 'k'", "t or time"),
        (lambda: move(force=lambda q, v, u: q, control=1.0), "argument 'u'", "t or time"),
        (lambda: move(force=lambda q, v, t, params: q), "argument 'params'", "u or control"),
        (lambda: move(force=by_keyword), "argument 'strength'", "default"),
        (lambda: move(force=by_default, control=1.0), "argument 'strength'", "default"),
        (lambda: move(force=lambda *known: known[0]), "*known", "force(q, v, t)"),
        (lambda: move(force=lambda q, v, t, u: q), "control is None", "control=u(t)"),
        (lambda: move(force=np.ones(5)), "force has shape (5,)", "(5, 1)"),
        (lambda: move(force=lambda q, v: 1.0), "force has shape ()", "(5, 1)"),
        (lambda: move(force=np.ones((5, 1)) * 1j), "force", "complex128"),
        (lambda: move(force="gravity"), "force", "real numbers"),
        (lambda: move(force=lambda q, v: q[7] + 0 * q), "force", "index 7"),
        (lambda: jax.jit(lambda q, v: move(q=q, v=v, force=lambda q, v: np.sin(q)))(Q, V), "force", "jax.numpy"),
        (lambda: lagrangian(control="u"), "control", "real numbers"),
        (lambda: lagrangian(motion=Q), "motion=an array", "function"),
        (lambda: lagrangian(motion=lambda t: Q), "no node is clamped", "lgn.clamp"),
        (lambda: move(graph=lgn.clamp(RING, [0]), motion=lambda t: Q[:3]), "motion(t) has shape (3, 1)", "(5, 1)"),
        (lambda: move(graph=lgn.clamp(RING, [0]), motion=lambda t: np.sin(t) + Q), "motion", "jax.numpy"),
        (lambda: move(q=Q.tolist()), "q is", "list", "jnp.asarray"),
        (lambda: move(q=Batched()), "q is", "jnp.asarray"),
        (lambda: move(q=Q.astype(int)), "q has dtype int64", "floating point"),
        (lambda: move(q=Q.astype(np.float16), v=V.astype(np.float16)), "q has dtype float16", "float32 or float64"),
        (lambda: move(q=jnp.asarray(Q, jnp.bfloat16), v=V), "q has dtype bfloat16", "float32 or float64"),
        (lambda: move(q=Q * 1j), "q has dtype complex128", "floating point"),
        (lambda: move(q=single(Q)), "q is float32 and v float64", "same"),
        (lambda: move(q=Q[:3], v=V[:3]), "q has shape (3, 1)", "(5, ...)"),
        (lambda: move(q=Q[:, 0], v=V[:, 0]), "q has shape (5,)", "(node, dim)"),
        (lambda: move(v=np.zeros((5, 2))), "q has shape (5, 1) and v (5, 2)", "same"),
        (lambda: STRING.energy(None, V), "q is None", "jnp.asarray"),
        (lambda: HEAVY.replace(m=np.ones(3)), "'m' has shape (3,)", "(5,)"),
        (lambda: STRING.rate(Q), "state", "(q, v)"),
        (lambda: STRING.rate((Q,)), "1 fields", "(q, v)"),
    ],
    "EnergyFlow": [
        (lambda: flow(structure="symplectic"), "structure='symplectic'", "lgn.Symplectic()"),
        (lambda: FLOW.rate((Q, V)), "2 fields", "one, u"),
        (lambda: FLOW.on_rows(Q[:3]), "u has shape (3, 1)", "(5, ...)"),
        (lambda: FLOW.rate(Q), "state", "(u,)"),
        (lambda: flow(oscillator), "takes 2 fields", "lgn.canonical"),
        (lambda: flow(u=Q.tolist()), "u is", "list"),
        (lambda: flow(lambda u, features: u[3, 0]), "index 3", "size 3"),
        (lambda: flow(lambda u, features: np.exp(u[0, 0])), "density", "jax.numpy"),
        (lambda: FLOW.replace(m=np.ones(5)), "'m' is not a feature", "lgn.with_features"),
        (lambda: FLOW.on(None), "graph is None", "GraphsTuple"),
        (lambda: FLOW.on(RING, force=1.0), "EnergyFlow has no argument 'force'", "structure"),
        (lambda: lgn.EnergyFlow(RING, well, structure=lgn.Laplacian(), discrete=lgn.Automatic), "discrete=Automatic"),
    ],
    "NeuralODE": [
        (lambda: make("NeuralODE", 0), "dim=0", "at least 1"),
        (lambda: make("NeuralODE", 1, hidden=8), "hidden=8", "(8,)"),
        (lambda: make("NeuralODE", 1, slots=1.5), "slots=1.5", "whole number"),
        (lambda: make("NeuralODE", 1, a_scale=-1.0), "a_scale=-1.0", "positive"),
        (lambda: make("NeuralODE", 1, rngs=0), "rngs is 0", "nnx.Rngs(0)"),
        (lambda: make("NeuralODE", 1, activation="tanh"), "activation='tanh'", "jnp.tanh"),
        (lambda: lgn.Baseline(RING, make("NeuralODE", 1, (2,), slots=2)), "slots=2", "has 3"),
    ],
    "PlainNetwork": [
        (lambda: make("PlainNetwork", 1.5), "dim=1.5", "whole number"),
        (lambda: make("PlainNetwork", 1, hidden=8), "hidden=8", "(8,)"),
        (lambda: make("PlainNetwork", 1, features="g", feature_size=1), "features='g'", "('g',)"),
        (lambda: make("PlainNetwork", 1, rngs=0), "rngs is 0", "nnx.Rngs(0)"),
        (lambda: baseline(make("PlainNetwork", 2, (2,))), "dim=2", "1 degrees of freedom"),
    ],
    "Baseline": [
        (lambda: lgn.Baseline(ONE, "law"), "law='law'", "function"),
        (lambda: lgn.Baseline(ONE, lgn.NeuralODE), "law=NeuralODE is a class", "NeuralODE(...)"),
        (lambda: lgn.Baseline(None, lambda q, v, features: (v, q)), "graph is None", "GraphsTuple"),
        (lambda: MODEL.on(np.eye(3)), "graph is an array", "GraphsTuple"),
        (lambda: MODEL.on(RING, density=string), "Baseline has no argument 'density'", "law"),
        (lambda: baseline(lambda q, v, features: -q), "law", "tuple of 2"),
        (lambda: baseline(lambda q, v, features: (v, -q[0])), "law", "(1, 1)"),
        (lambda: baseline(lambda q, v, features: (v, -q[1:2])), "law", "(1, 1)"),
        (lambda: baseline(lambda q, v, features: (v, -q[5])), "law", "index 5"),
        (lambda: baseline(lambda q, v, features: (v, np.sin(q))), "law", "jax.numpy"),
        (lambda: baseline(lambda q, v, features: (v, q * features["g"])), "feature 'g'", "lgn.with_features"),
        (lambda: MODEL.rate((Q, V)), "q has shape (5, 1)", "(1, ...)"),
        (lambda: MODEL.acceleration([[1.0]], [[0.0]]), "q is", "list"),
    ],
    "Variational": [
        (lambda: lgn.Variational(0.0), "dt=0.0", "positive"),
        (lambda: lgn.Variational("0.1"), "dt='0.1'", "positive"),
        (lambda: lgn.Variational(0.1, tolerance=-1.0), "tolerance=-1.0", "positive"),
        (lambda: lgn.Variational(0.1, limit=0), "limit=0", "at least 1"),
        (lambda: roll(lgn.Variational(0.1), MODEL), "momentum_balance", "Adaptive()"),
    ],
    "DiscreteGradient": [
        (lambda: lgn.DiscreteGradient(-0.1), "dt=-0.1", "positive"),
        (lambda: lgn.DiscreteGradient(0.1, gradient="mean"), "gradient='mean'", "lgn.Automatic()"),
        (lambda: lgn.DiscreteGradient(0.1, limit=1.5), "limit=1.5", "whole number"),
        (lambda: roll(lgn.DiscreteGradient(0.1), MODEL), "discrete_rate", "Adaptive()"),
    ],
    "Adaptive": [
        (lambda: lgn.Adaptive(rtol=0.0), "rtol=0.0", "positive"),
        (lambda: lgn.Adaptive(rtol="1e-9"), "rtol='1e-9'", "positive"),
        (lambda: lgn.Adaptive(atol=-1.0), "atol=-1.0", "not negative"),
        (lambda: lgn.Adaptive(max_steps=0), "max_steps=0", "at least 1"),
        (lambda: lgn.Adaptive(max_steps=1e6), "max_steps=1000000.0", "whole number"),
        (lambda: roll(lgn.Adaptive(1e-12, 1e-12), state=tuple(map(single, START))), "rtol=1e-12", "float32", "x64"),
    ],
    "ImplicitMidpoint": [
        (lambda: lgn.ImplicitMidpoint(None), "dt=None", "positive"),
        (lambda: lgn.ImplicitMidpoint(np.inf), "dt=inf", "finite"),
        (lambda: lgn.ImplicitMidpoint(0.1, tolerance="a"), "tolerance='a'", "positive"),
        (lambda: lgn.ImplicitMidpoint(0.1, limit=0), "limit=0", "at least 1"),
    ],
    "Verlet": [
        (lambda: lgn.Verlet(0), "dt=0", "positive"),
        (lambda: lgn.Verlet(np.ones(2)), "dt=", "positive"),
        (lambda: roll(lgn.Verlet(0.1), FLOW, Q), "acceleration", "Adaptive()"),
    ],
    "rollout": [
        (lambda: roll(system=oscillator), "system=", "rate", "lgn.Lagrangian"),
        (lambda: roll(system=lgn.Lagrangian), "Lagrangian is a class", "Lagrangian(...)"),
        (lambda: roll(lgn.Adaptive), "integrator=Adaptive is a class", "Adaptive(...)"),
        (lambda: roll("adaptive"), "integrator='adaptive'", "lgn.Adaptive()"),
        (lambda: roll(lgn.Dense()), "integrator=Dense()", "lgn.Adaptive()"),
        (lambda: roll(ts=(1.0, 0.0)), "ts=", "increasing"),
        (lambda: roll(ts=10.0), "ts=10.0", "two times"),
        (lambda: roll(ts=(0.0, np.nan)), "ts=", "increasing"),
        (lambda: roll(ts="long"), "ts", "real numbers"),
        (lambda: roll(ts=(0.0, 1j)), "ts", "complex128"),
        (lambda: roll(state=None), "state0 is None", "(q, v)"),
        (lambda: roll(state={"q": Q, "v": V}), "state0 is", "dict", "(q, v)"),
        (lambda: roll(state=1.0), "state0 is 1.0", "(q, v)"),
        (lambda: roll(state=START[0]), "1 fields", "(q, v)"),
        (lambda: roll(state=(*START, START[0])), "3 fields", "(q, v)"),
        (lambda: roll(state=(Q, V)), "q has shape (5, 1)", "(1, ...)"),
        (lambda: roll(state=([[np.nan]], [[0.0]])), "q of state0 is not finite"),
        (lambda: roll(state=([["a"]], [[0.0]])), "q of state0", "real numbers"),
        (lambda: roll(state=([[1j]], [[0.0]])), "q of state0", "complex128"),
        (lambda: roll(state=(Batched(), START[1])), "q of state0", "cuda:0"),
        (lambda: roll(state=(START[0].astype(np.float16), START[1])), "q of state0", "float16"),
        (lambda: roll(state=(single(START[0]), START[1])), "q is float32 and v float64", "same"),
        (lambda: roll(system=lagrangian(graph=lgn.clamp(RING, [0])), state=(Q, Q)), "clamped node 0", "set v"),
    ],
    "save": [
        (lambda: lgn.save("x", lgn.Lagrangian(ONE, lambda q, v, f: v[0, 0] ** 2)), "cannot be found again", "top"),
        (lambda: lgn.save(5, BEAD), "path=5", "path"),
        (lambda: lgn.save("x", {"q": 1}), "system=", "config", "lgn.Lagrangian"),
        (lambda: lgn.save("x", lgn.Lagrangian), "Lagrangian is a class", "Lagrangian(...)"),
    ],
    "load": [
        (lambda: lgn.load("nowhere"), "nowhere does not exist"),
        (lambda: lgn.load(OWN), "not a whole checkpoint"),
        (lambda: lgn.load(5), "path=5", "path"),
        (lambda: lgn.load(OWN, trusted="module"), "trusted='module'", "[module]"),
        (lambda: lgn.load(OWN, trusted=5), "trusted=5", "list"),
    ],
    "RolloutLoss": [
        (lambda: lgn.RolloutLoss(lgn.Adaptive, 0.1), "integrator=Adaptive is a class", "Adaptive(...)"),
        (lambda: lgn.RolloutLoss("verlet", 0.1), "integrator='verlet'", "lgn.Adaptive()"),
        (lambda: lgn.RolloutLoss(lgn.Verlet(0.1), 0.0), "dt=0.0", "positive"),
        (lambda: lgn.RolloutLoss(lgn.Verlet(0.1), 0.1)(STRING, STATES), "States", "Windows", "lgn.windows"),
        (lambda: lgn.RolloutLoss(lgn.Verlet(0.1), 0.1)(STRING, POSITIONS), "no velocities", "variational_loss"),
    ],
    "acceleration_loss": [
        (lambda: lgn.acceleration_loss(STRING, PIECES), "Windows", "States"),
        (lambda: lgn.acceleration_loss(STRING, (Q, V)), "data is", "States"),
        (lambda: lgn.acceleration_loss(STRING, RATES), "a=None", "rate_loss"),
        (lambda: lgn.acceleration_loss(FLOW, STATES), "acceleration", "rate_loss"),
    ],
    "rate_loss": [
        (lambda: lgn.rate_loss(STRING, PIECES), "Windows", "States"),
        (lambda: lgn.rate_loss(FLOW, STATES), "2 fields", "one, u"),
        (lambda: lgn.rate_loss(string, STATES), "`rate`", "function lacks"),
    ],
    "residual_loss": [
        (lambda: lgn.residual_loss(MODEL, STATES), "equation", "acceleration_loss"),
        (lambda: lgn.residual_loss(STRING, PIECES), "Windows", "States"),
        (lambda: lgn.residual_loss(STRING, RATES), "a=None", "accelerations"),
    ],
    "variational_loss": [
        (lambda: lgn.variational_loss(STRING, STATES), "States", "Windows"),
        (lambda: lgn.variational_loss(STRING, POSITIONS._replace(q=POSITIONS.q[:, :2])), "2 positions", "length=3"),
        (lambda: lgn.variational_loss(MODEL, POSITIONS), "momentum_balance", "RolloutLoss"),
    ],
    "DiscreteLoss": [
        (lambda: lgn.DiscreteLoss(gradient=lgn.MeanValue), "gradient=MeanValue is a class", "MeanValue(...)"),
        (lambda: lgn.DiscreteLoss(weight=Q), "weight=", "function"),
        (lambda: lgn.DiscreteLoss()(FLOW, RATES), "States", "Windows"),
        (lambda: lgn.DiscreteLoss()(MODEL, PIECES), "discrete_rate", "RolloutLoss"),
        (lambda: lgn.DiscreteLoss()(STRING, POSITIONS), "1 fields", "(q, v)"),
    ],
    "Shooting": [
        (lambda: lgn.Shooting(STRING, STATES), "States", "Windows"),
        (lambda: lgn.Shooting(string, PIECES), "system=", "rate"),
        (lambda: lgn.Shooting(MODEL, POSITIONS), "has shape (5, 1)", "(1, ...)"),
        (lambda: lgn.Shooting(FLOW, PIECES), "2 fields", "one, u"),
        (lambda: lgn.Shooting(STRING, PIECES).config(), "save its system"),
    ],
    "ShootingLoss": [
        (lambda: lgn.ShootingLoss(lgn.Verlet, 0.1), "integrator=Verlet is a class", "Verlet(...)"),
        (lambda: lgn.ShootingLoss(lgn.Verlet(0.1), -1.0), "dt=-1.0", "positive"),
        (lambda: lgn.ShootingLoss(lgn.Verlet(0.1), 0.1)(STRING, PIECES), "no free starts", "lgn.Shooting"),
        (
            lambda: lgn.ShootingLoss(lgn.Verlet(0.1), 0.1)(lgn.Shooting(STRING, PIECES), STATES),
            "States", "Windows",
        ),
        (
            lambda: lgn.ShootingLoss(lgn.Verlet(0.1), 0.1)(
                lgn.Shooting(STRING, PIECES), jax.tree.map(lambda x: x[:2], PIECES)
            ),
            "starts of shape (4, 5, 1)", "train on the data",
        ),
    ],
    "pretrain": [
        (lambda: lgn.pretrain("kinetic"), "target='kinetic'", "function"),
        (lambda: lgn.pretrain(lgn.MLPDensity), "MLPDensity is a class", "MLPDensity(...)"),
        (lambda: lgn.pretrain(steps=1.5), "steps=1.5", "whole number"),
        (lambda: lgn.pretrain(tolerance=-1.0), "tolerance=-1.0", "positive"),
        (lambda: fit(phases=[lgn.pretrain]), "phases", "lgn.pretrain()"),
        (lambda: fit(RATES, system=lgn.EnergyFlow(RING, learned(fields=1), structure=lgn.Laplacian()),
                     phases=[lgn.pretrain()]), "equation", "leave that phase out"),
    ],
    "QuasiNewton": [
        (lambda: lgn.QuasiNewton(0), "steps=0", "at least 1"),
        (lambda: lgn.QuasiNewton(1.5), "steps=1.5", "whole number"),
        (lambda: lgn.QuasiNewton(tolerance=0.0), "tolerance=0.0", "positive"),
        (lambda: lgn.QuasiNewton(objective="loss"), "objective='loss'", "function"),
        (lambda: lgn.QuasiNewton(target=-1.0), "target=-1.0", "not negative"),
        (lambda: lgn.QuasiNewton(objective=lgn.RolloutLoss), "RolloutLoss is a class", "RolloutLoss(...)"),
    ],
    "Minibatch": [
        (lambda: lgn.Minibatch("adam", 10, 5), "optimizer='adam'", "optax.adam(1e-3)"),
        (lambda: lgn.Minibatch(optax.adam, 10, 5), "optimizer", "optax.adam(1e-3)"),
        (lambda: lgn.Minibatch(optax.adam(1e-3), 0, 5), "steps=0", "at least 1"),
        (lambda: lgn.Minibatch(optax.adam(1e-3), 10, 0), "batch=0", "at least 1"),
        (lambda: lgn.Minibatch(optax.adam(1e-3), 10, 2.5), "batch=2.5", "whole number"),
        (lambda: lgn.Minibatch(optax.adam(1e-3), 10, 5, chunk=0), "chunk=0", "at least 1"),
    ],
    "LimitedMemory": [
        (lambda: lgn.LimitedMemory(steps=0), "steps=0", "at least 1"),
        (lambda: lgn.LimitedMemory(memory=0), "memory=0", "at least 1"),
        (lambda: lgn.LimitedMemory(memory=2.5), "memory=2.5", "whole number"),
    ],
    "CSVRows": [(lambda: loggers.CSVRows(None), "CSVRows: path=None", "pathlib.Path")],
    "JSONRows": [(lambda: loggers.JSONRows(5), "JSONRows: path=5", "pathlib.Path")],
    "TensorBoardRows": [(lambda: loggers.TensorBoardRows(5), "TensorBoardRows: folder=5", "pathlib.Path")],
    "Signal": [
        (lambda: lgn.Signal([0.0, 0.0], [1.0, 2.0]), "t goes from 0.0 to 0.0", "increase"),
        (lambda: lgn.Signal([0.0, 1.0], [1.0]), "values (1,)", "(time, ...)"),
        (lambda: lgn.Signal([0.0, 1.0], ["a", "b"]), "Signal: values", "real numbers"),
        (lambda: lgn.Signal([0.0, 1.0], [1.0, 2.0], lgn.Linear), "Linear is a class", "Linear(...)"),
        (lambda: lgn.Signal([0.0, 1.0], [1.0, 2.0], "linear"), "'linear' cannot be called", "lgn.Linear()"),
    ],
    "Huber": [
        (lambda: lgn.Huber(0.0), "width=0.0", "positive"),
        (lambda: lgn.Huber("wide"), "width='wide'", "positive"),
    ],
    "WeightPenalty": [
        (lambda: lgn.WeightPenalty(-1e-3), "strength=-0.001", "not negative"),
        (lambda: lgn.WeightPenalty(1e-3, lgn.RolloutLoss), "RolloutLoss is a class", "RolloutLoss(...)"),
        (lambda: lgn.WeightPenalty(1e-3, "huber"), "loss='huber'", "lgn.acceleration_loss"),
    ],
    "MessagePassing": [
        (lambda: make("MessagePassing", 1, 8), "hidden=8", "tuple"),
        (lambda: make("MessagePassing", 1, rounds=0), "rounds=0", "at least 1"),
        (lambda: make("MessagePassing", 1, latent=2.5), "latent=2.5", "whole number"),
        (lambda: make("MessagePassing", 1, rngs=0), "rngs", "nnx.Rngs(0)"),
        (lambda: make("MessagePassing", 1, edge_features="w", edge_feature_size=1), "edge_features='w'", "names"),
        (lambda: make("MessagePassing", 1, edge_features=("weight",)), "edge_feature_size=0", "give both"),
        (lambda: make("MessagePassing", 1, features=("m",)), "feature_size", "give both"),
        (
            lambda: baseline(make("MessagePassing", 1, features=("m",), feature_size=1), RING, (Q, V)),
            "feature 'm'", "lgn.with_features",
        ),
        (lambda: baseline(make("MessagePassing", 2), RING, (Q, V)), "dim=2", "1 degrees"),
    ],
    "start_between": [
        (lambda: lgn.start_between(STRING, Q, V, -0.1), "dt=-0.1", "positive"),
        (lambda: lgn.start_between(MODEL, *START, 0.1), "momentum_balance", "only a Lagrangian"),
        (lambda: lgn.start_between(STRING, Q, V[:2], 0.1), "q1 (2, 1)", "the same nodes"),
        (lambda: lgn.start_between(STRING, V[:2], V[:2], 0.1), "(2, 1)", "(5, ...)"),
        (lambda: lgn.start_between(STRING, "here", V, 0.1), "q0", "real numbers"),
    ],
    "check_motion": [
        (lambda: lgn.check_motion(STRING, (Q, V)), "trajectory", "what lgn.rollout returns"),
        (lambda: lgn.check_motion(string, PIECES), "system=", "rate"),
    ],
    "RaggedStencil": [
        (
            lambda: lagrangian([(string, RaggedStencil(*np.full((4, 1), 9), np.zeros((1, 0)), np.ones(5)))]),
            "reads node 9", "0 to 4",
        ),
    ],
    "joined": [
        (lambda: lgn.joined([]), "nothing", "list of States"),
        (lambda: lgn.joined(STATES), "joined", "list of States"),
        (lambda: lgn.joined([STATES, PIECES]), "['States', 'Windows']", "alone"),
        (lambda: lgn.joined(["trial.csv"]), "['str']", "list of States"),
        (lambda: lgn.joined([SWING, SWING._replace(units={"q": "m"})]), "'q' is in None", "one unit"),
        (lambda: lgn.joined([STATES, RATES]), "a has shapes", "the same"),
    ],
    "Recording": [
        (lambda: swing(q=np.zeros((5, 5, 1))), "t has shape (6,) and q (5, 5, 1)", "(time, node, dim)"),
        (lambda: swing(v=np.zeros((6, 5, 2))), "v has shape (6, 5, 2)", "the same"),
        (lambda: swing(q="q"), "recording: q is of dtype", "real numbers"),
        (lambda: swing(trial=[0]), "trial has shape (1,)", "expected (6,)"),
        (lambda: swing(t=TIMES[::-1]), "times are unsorted", "sort the rows"),
        (lambda: SWING.windows(2, every=0), "every=0", "at least 1"),
        (lambda: SWING.windows(1), "length=1", "at least 2"),
        (lambda: SWING.windows(2, dt=-1), "dt=-1", "positive"),
        (lambda: SWING.rows(3), "part is 3", "slice(0, 1000)"),
        (lambda: SWING.rows(slice(9, 12)), "leaves nothing of 6 rows", "slice(0, 6)"),
    ],
    "read": [
        (lambda: lgn.read("swing.csv"), "swing.csv does not exist"),
        (lambda: lgn.read("swing.xlsx"), "ends with '.xlsx'", ".csv, .h5, .hdf5, .nc, .xdmf, .pvd"),
        (lambda: lgn.read("swing"), "ends with ''", "known endings"),
        (lambda: lgn.read(5), "path=5", "pathlib.Path"),
        (lambda: lgn.read(lgn.write("swing.csv", SWING), units="m"), "units='m'", "dict"),
        (lambda: lgn.read(lgn.write("swing.csv", SWING), q=[1, 2]), "q=[1, 2]", "['a', 'b']"),
        (lambda: lgn.read(lgn.write("swing.csv", SWING), v=5), "v=5", "['a', 'b']"),
        (lambda: lgn.read(lgn.write("swing.csv", SWING), trial=5), "trial is 5", "one name"),
        (lambda: lgn.read(lgn.write("swing.csv", SWING), q="w"), "no column 'w'", "There is t, q_0"),
    ],
    "read_graph": [
        (lambda: lgn.read_graph("swing.h5"), "swing.h5 does not exist"),
        (lambda: lgn.read_graph("mesh.msh"), "ends with '.msh'", "known endings"),
        (lambda: lgn.read_graph(lgn.write("swing.csv", SWING)), "hold no graph", "lgn.from_edges"),
    ],
    "write": [
        (lambda: lgn.write("swing.json", SWING), "ends with '.json'", "known endings"),
        (lambda: lgn.write("there/swing.csv", SWING), "no folder there", "make it"),
        (lambda: lgn.write("swing.csv", Q), "thing is an array of shape (5, 1)", "lgn.rollout"),
        (lambda: lgn.write("swing.csv", SWING, of="string"), "of is 'string'", "graph"),
        (lambda: lgn.write("swing.csv", SWING, of=ONE), "5 nodes, of a graph of 1", "its own"),
        (lambda: lgn.write("swing.csv", SWING, units={"w": "m"}), "no field to give a unit 'w'", "q"),
        (lambda: lgn.write("swing.csv", SWING, attributes={"a": Q}), "attributes['a']", "give text, a number"),
        (lambda: lgn.write("swing.csv", SWING._replace(v=Q)), "v has shape (5, 1)", "the same"),
        (lambda: lgn.write("swing.csv", PIECES._replace(dt=V[:, 0])), "dt has shape (5,)", "others have"),
    ],
    "scales": [
        (lambda: lgn.scales((SHAPED, SHAPED)), "tuple", "lgn.States"),
        (lambda: lgn.scales(STATES), "zero throughout", "q_scale"),
        (lambda: lgn.scales(STATES, lgn.edge_stencil), "stencil", "lgn.edge_stencil(graph)"),
        (lambda: lgn.scales(STATES, lgn.edge_stencil(lgn.lattice((9,)))), "reads node 8", "5 nodes"),
    ],
    "site_and_edge": [
        (lambda: lgn.site_and_edge(RING, SHAPED, rngs=nnx.Rngs(0)), "data", "lgn.States"),
        (lambda: lgn.site_and_edge(RING, MOVING, 8, rngs=nnx.Rngs(0)), "hidden=8", "tuple"),
        (lambda: lgn.site_and_edge(RING, MOVING, rngs=0), "rngs", "nnx.Rngs(0)"),
        (lambda: lgn.site_and_edge("ring", MOVING, rngs=nnx.Rngs(0)), "graph", "lgn.lattice"),
    ],
    "rate_unit": [
        (lambda: lgn.rate_unit(TIMES, SHAPED, SHAPED), "t has shape (6,)", "(time, ...)"),
        (lambda: lgn.rate_unit(TIMES, TIMES, TIMES, tolerance=0), "tolerance=0", "positive"),
        (lambda: lgn.rate_unit(TIMES[::-1], TIMES, TIMES), "no three successive times", "sort"),
        (lambda: lgn.rate_unit("t", TIMES, TIMES), "t is", "real numbers"),
    ],
    "fit": [
        (lambda: fit(validation="0.2"), "validation='0.2'", "between 0 and 1"),
        (lambda: fit(validation=20), "validation=20", "between 0 and 1"),
        (lambda: fit(validation=True), "validation=True", "between 0 and 1"),
        (lambda: fit(validation=(SHAPED, SHAPED)), "validation=", "between 0 and 1"),
        (lambda: fit((SHAPED, SHAPED, SHAPED)), "data=a tuple", "lgn.States"),
        (lambda: fit({"q": SHAPED}), "data=a dict", "lgn.States"),
        (lambda: fit(SHAPED), "data=an array", "lgn.States"),
        (lambda: fit(None), "data=None", "lgn.States"),
        (lambda: fit(key=0), "key=0", "jax.random.key(0)"),
        (lambda: fit(key=jax.random.split(KEYED)), "array of keys", "one key"),
        (lambda: fit(phases=lgn.QuasiNewton()), "phases=", "list"),
        (lambda: fit(phases=[lgn.QuasiNewton]), "QuasiNewton is a class", "QuasiNewton(...)"),
        (lambda: fit(phases=["quasi-newton"]), "phases", "'quasi-newton'", "lgn.QuasiNewton()"),
        (lambda: fit(phases=[optax.adam(1e-3)]), "phases", "lgn.Minibatch"),
        (lambda: fit(loss=lgn.RolloutLoss), "loss=RolloutLoss is a class", "RolloutLoss(...)"),
        (lambda: fit(loss="huber"), "loss='huber'", "lgn.acceleration_loss"),
        (lambda: fit(PIECES), "Windows have no loss of their own", "lgn.RolloutLoss"),
        (lambda: fit(PIECES, loss=lgn.acceleration_loss), "Windows", "States"),
        (lambda: fit(loss=lgn.RolloutLoss(lgn.Verlet(0.1), 0.1)), "States", "Windows"),
        (lambda: fit(loss=lgn.variational_loss), "States", "Windows"),
        (lambda: fit(system=STRING), "no nnx.Param", "MLPDensity"),
        (lambda: fit(system=learned()), "acceleration", "MLPDensity lacks"),
        (lambda: fit(system=string), "no nnx.Param", "MLPDensity"),
        (lambda: fit(system="string"), "no nnx.Param", "MLPDensity"),
        (lambda: fit(system=lgn.Lagrangian), "Lagrangian is a class", "Lagrangian(...)"),
        (lambda: fit(lgn.States(SHAPED[:, :3], SHAPED[:, :3], SHAPED[:, :3])), "q has shape (3, 1)", "(5, ...)"),
        (lambda: fit(STATES._replace(features={"m": np.ones(4)})), "'m' is not a feature", "lgn.with_features"),
        (lambda: fit(STATES._replace(q=SHAPED * 1j)), "q", "complex128"),
        (lambda: fit(folder=5), "folder=5", "path"),
        (lambda: fit(checkpoint_seconds=-1.0), "checkpoint_seconds=-1.0", "not negative"),
        (lambda: fit(on_row=[print]), "on_row=[", "Loggers(...)"),
        (lambda: fit(on_row="rows.csv"), "on_row=", "CSVRows(path)"),
        (lambda: fit(on_row=loggers.JSONRows), "JSONRows is a class", "JSONRows(...)"),
        (lambda: loggers.Loggers(print, "rows.csv"), "number 1", "function of a row"),
        (lambda: loggers.Loggers([print]), "number 0", "cannot be called"),
        (lambda: loggers.Loggers(loggers.CSVRows), "CSVRows", "is a class"),
    ],
    "learning_report": [
        (lambda: lgn.learning_report(STRING, STATES), "result", "what lgn.fit returned"),
        (lambda: lgn.learning_report(RESULT, Q), "data", "those that lgn.fit was given"),
        (lambda: lgn.learning_report(RESULT, PIECES), "Windows have no loss", "RolloutLoss"),
        (lambda: lgn.learning_report(RESULT, MOVING._replace(a=NAN)), "a has shape (3,)", "(sample, node, dim)"),
        (lambda: lgn.learning_report(RESULT, STATES, states=Q), "states=", "motion of lgn.rollout"),
        (lambda: lgn.learning_report(RESULT, STATES, states=(Q, V)), "states=", "(state, node, dim)"),
        (lambda: lgn.learning_report(RESULT, STATES, states=(SHAPED[:, :3], SHAPED[:, :3])), "(3, 1)", "(5, ...)"),
        (lambda: lgn.learning_report(RESULT, STATES, held_out=Q), "held_out", "lgn.States"),
        (lambda: lgn.learning_report(RESULT, STATES, system=FLOW), "system", "states="),
        (lambda: lgn.learning_report(RESULT, STATES, states=STATES, system=lgn.Lagrangian), "is a class", "Lagrangian"),
        (
            lambda: lgn.learning_report(LEARNED, STATES, states=STATES, system=STRING), "the terms []",
            "same densities",
        ),
    ],
    "gauge_distance": [
        (lambda: lgn.gauge_distance(STRING, STRING, Q, V), "q has shape (5, 1)", "(sample, node, dim)"),
        (lambda: lgn.gauge_distance(FLOW, FLOW, SHAPED, SHAPED), "gauge_distance", "only a Lagrangian"),
        (lambda: lgn.gauge_distance(STRING, BEAD, SHAPED, SHAPED), "5 nodes", "1", "same graph"),
        (lambda: lgn.gauge_distance(STRING, STRING, SHAPED * 1j, SHAPED), "q", "complex128"),
    ],
    "diagnostics": [
        (lambda: lgn.diagnostics.relative_l2(SHAPED, SHAPED[:2]), "exact (2, 5, 1)", "the same"),
        (lambda: lgn.diagnostics.relative_l2(Q.tolist(), Q.tolist()), "found has shape (5, 1)", "x[None]"),
        (lambda: lgn.diagnostics.relative_l2("q", "q"), "found", "real numbers"),
        (lambda: lgn.diagnostics.momentum(FLOW, PIECES), "momentum", "only a Lagrangian"),
        (lambda: lgn.diagnostics.relative_energy(STRING, PIECES), "motion", "lgn.rollout"),
        (lambda: lgn.diagnostics.eigenfrequencies(FLOW, Q, 2), "stiffness_matrix", "only a Lagrangian"),
        (lambda: lgn.diagnostics.eigenfrequencies(STRING, V, 5), "count=5", "fewer"),
        (lambda: lgn.diagnostics.eigenfrequencies(STRING, V, 1.5), "count=1.5", "whole number"),
        (lambda: lgn.diagnostics.split_friction(FLOW, SHAPED, SHAPED), "friction", "only a Lagrangian"),
        (lambda: lgn.diagnostics.acceleration_errors(STRING, PIECES), "Windows", "States"),
    ],
    "systems": [
        (lambda: wave.sample(0, 3, 5), "key=0", "jax.random.key(0)"),
        (lambda: wave.sample(KEYED, 0, 5), "count=0", "at least 1"),
        (lambda: wave.sample(KEYED, 3, 5.5), "n_node=5.5", "whole number"),
        (lambda: pendulum.sample(0, 3), "key=0", "jax.random.key(0)"),
        (lambda: double_pendulum.sample(KEYED, 2.5), "count=2.5", "whole number"),
        (lambda: mass_spring.sample(0, 3), "key=0", "jax.random.key(0)"),
        (lambda: n_body.complete_graph(1), "n=1", "2 or more"),
        (lambda: pixel_pendulum.sample(0), "key=0", "jax.random.key(0)"),
    ],
}  # fmt: skip

IN_CALLS_OF = {  # functions that densities call where jax traces: what is wrong there, the density says
    "Cubic", "Held", "Linear",  # and what a signal calls
    "both_states", "cubic", "difference", "distance", "half_square", "invariants", "inverse_distance",
    "kinetic_energy", "log_distance",
}  # fmt: skip
MADE_BY_LGN = {
    "Expansion",
    "FitResult",
    "GaugeDistance",
    "LearningReport",
    "Row",
    "Solution",
    "StructureReport",
    "Trajectory",
}  # what comes out
ERRORS = {"CheckpointError", "MotionStopped", "ProcessLost", "SingularMassMatrix"}
PROTOCOLS = {"Density", "Structure", "System"}
TABLE = [pytest.param(call, words, id=f"{name}: {words[0]}") for name, calls in CALLS.items() for call, *words in calls]


@pytest.fixture(autouse=True)
def as_users_call():
    """Without the checks of shapes that the other tests have within the library."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def test_the_table_holds_every_public_name():
    excused = IN_CALLS_OF | MADE_BY_LGN | ERRORS | PROTOCOLS
    assert set(CALLS) - set(_names.MODULES) | excused == set(_names.FOUND)
    assert not set(CALLS) & excused and len(TABLE) >= 300


@pytest.mark.parametrize(("call", "words"), TABLE)
def test_a_wrong_call_says_what_to_do(call, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises((ValueError, TypeError, OSError, ArithmeticError)) as caught:
            call()
    *_, innermost = traceback.extract_tb(caught.value.__traceback__)
    raised = innermost.filename.startswith(OWN) and innermost.line.startswith("raise")  # jax hides frames of its own
    assert raised, f"raised in {innermost.filename}, {innermost.line!r}: {caught.value}"
    missing = [word for word in words if word not in str(caught.value)]
    assert not missing, f"{missing} not in: {caught.value}"

"""Graphs with hubs: the same motion as on one padded table, in memory that grows with the edges.

`python tests/assembly/test_hubs.py NAME` shows the peak memory of one acceleration of one of `CASES`.
"""

import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import lgn
from lgn.assembly.domain import Domain
from lgn.assembly.functional import Functional
from lgn.graphs import tables
from lgn.graphs.tables import RaggedStencil
from lgn.solvers.solution import SOLVED


def star(leaves):
    """A hub, 0, and its leaves."""
    ends = np.arange(1, leaves + 1)
    return lgn.from_edges(leaves + 1, np.r_[ends, 0 * ends], np.r_[0 * ends, ends])


def hubs(n, count, degree, mean=4):
    """A random sparse graph, of which some nodes are hubs."""
    random = np.random.default_rng(0)
    path = np.stack([np.arange(n - 1), np.arange(1, n)], 1)
    sparse = random.integers(0, n, (n * (mean - 2) // 2, 2))
    wide = [np.stack([np.full(degree, hub), random.choice(n, degree, False)], 1) for hub in range(count)]
    pairs = np.sort(np.concatenate([path, sparse, *wide]), 1)
    i, j = np.unique(pairs[pairs[:, 0] < pairs[:, 1]], axis=0).T
    return lgn.from_edges(n, np.r_[i, j], np.r_[j, i])


GRAPH = hubs(40, 2, 15)
GRAPH = lgn.with_features(
    GRAPH,
    node_features={"weight": np.linspace(0.5, 1.5, 40)},
    edge_features={"stiffness": np.linspace(1, 2, GRAPH.senders.size)},
)


@pytest.fixture(autouse=True)
def small_tables_too(monkeypatch):
    """So that a small graph has what a large one has."""
    monkeypatch.setattr(tables, "SMALL", 0)


def state(graph, dim=1, seed=0):
    return tuple(jnp.asarray(np.random.default_rng(seed).normal(size=(2, int(graph.n_node[0]), dim))))


def learned(pairing=lgn.both_states, **inputs):
    rough = lambda layer, layers: nnx.initializers.variance_scaling(1.0, "fan_in", "normal")  # noqa: E731
    return lgn.MessageDensity(1, 4, (4,), pairing=pairing, mass=4.0, initializer=rough, rngs=nnx.Rngs(0), **inputs)


def any_number(q, v, features):
    """Of any number of slots in any order: unfilled ones differ by nothing from slot 0."""
    apart, speed = (q - q[0])[:, 0], (v - v[0])[:, 0]
    pairs = features["stiffness"] * features["mask"] * (0.01 * speed**2 - jnp.cosh(apart))
    return features["weight"][0] * v[0, 0] ** 2 * (1 + 0.1 * jnp.cos(q[0, 0])) + jnp.sum(pairs)


any_number.slots = None  # type: ignore[attr-defined]


def few(q, v, features):
    """Reads the nearest three slots by their place, and how many there are."""
    pull = features["stiffness"][1] * features["weight"][2] * (q[2, 0] - q[1, 0]) ** 2
    return features["weight"][0] * v[0, 0] ** 2 + 0.1 * v[2, 0] * v[0, 0] - pull / len(q)


def own(q, v, features):
    return 0.5 * jnp.sum(v[0] ** 2) - jnp.sum(q[0] ** 4)


DENSITIES = {
    "messages": (learned(features=("weight", "stiffness"), feature_size=2), lgn.Banded),
    "messages of differences": (learned(lgn.difference), lgn.BlockDiagonal),
    "any number of slots": (any_number, lgn.Banded),
    "slots by their place": (few, lgn.Banded),
    "slot 0": (own, lgn.BlockDiagonal),
}


@pytest.mark.parametrize("name", DENSITIES)
def test_a_ragged_stencil_moves_as_its_padded_table(name):
    density, solver = DENSITIES[name]
    ragged = lgn.node_stencil(GRAPH)
    assert isinstance(ragged, RaggedStencil) and ragged.wasteful
    q, v = state(GRAPH)

    @jax.jit
    def motion(L):
        mass, f = L.equation(q, v)
        return L(q, v), L.momentum(q, v), f, mass.dense(), L.solve(q, v)

    L, padded = (lgn.Lagrangian(GRAPH, [(density, stencil)]) for stencil in (ragged, ragged.padded))
    *found, solution = motion(L)
    *expected, other = motion(padded)
    for x, y in zip(found, expected, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-12, atol=1e-12)
    assert solution.status == other.status == SOLVED
    np.testing.assert_allclose(solution.value, other.value, rtol=1e-10, atol=1e-10)
    assert isinstance(L.solver_for(1), solver) and solver.__name__ in repr(L)


def test_two_hops_from_a_hub():
    graph = hubs(40, 1, 8, mean=2)
    ragged = lgn.node_stencil(graph, hops=2)
    terms = [(learned(), ragged)], [(learned(), ragged.padded)]
    values = [jax.jit(lgn.Lagrangian(graph, x).momentum)(*state(graph)) for x in terms]
    np.testing.assert_allclose(*values, rtol=1e-12)


def test_an_energy_flow_and_its_implicit_step():
    density = learned(fields=1)
    ragged = lgn.node_stencil(GRAPH)
    (u, before), known = state(GRAPH), Domain(GRAPH).features
    functionals = [Functional(GRAPH, [(density, stencil)]) for stencil in (ragged, ragged.padded)]
    slope = jax.jit(lambda H: H.discrete_gradient(known, lgn.Automatic(), (u,), (before,))[0])
    np.testing.assert_allclose(*map(slope, functionals), rtol=1e-11, atol=1e-11)
    method = lgn.MeanValue(2)
    curvature = jax.jit(lambda H: H.discrete_curvature(known, method, (u,), (before,)) @ before)
    np.testing.assert_allclose(*map(curvature, functionals), rtol=1e-11, atol=1e-11)


def test_blocks_exist_only_between_slots_that_are_read():
    """On a lattice too; the motion is that of the whole blocks."""

    def density(q, v, features):
        return v[0, 0] ** 2 + 0.3 * v[0, 0] * v[2, 0] * jnp.cos(q[1, 0]) - jnp.sum((q[1:] - q[0]) ** 2)

    def whole(q, v, features):
        return density(q, v, features) + 0.0 * jnp.sum(v[1:] ** 2)

    graph = lgn.lattice((5, 6))
    q, v = state(graph)
    L, other = (lgn.Lagrangian(graph, d) for d in (density, whole))
    (one, a), (two, b) = (jax.jit(lambda s=s: (s.equation(q, v)[0], s.acceleration(q, v)))() for s in (L, other))
    assert one.blocks[0].shape == (30, 2, 1, 2, 1) and two.blocks[0].shape == (30, 5, 1, 5, 1)
    np.testing.assert_allclose(a, b, rtol=1e-13, atol=1e-13)


def test_kinetic_energy_of_slot_0_is_solved_node_by_node_on_every_graph():
    density = lambda q, v, features: 0.5 * jnp.sum(v[0] ** 2) - jnp.sum((q[1:] - q[0]) ** 2)  # noqa: E731
    for graph in (lgn.lattice((64, 64)), GRAPH, lgn.clamp(GRAPH, [3])):
        L = lgn.Lagrangian(graph, density)
        assert L.solver_for(1) == L.solver_for(2) == lgn.BlockDiagonal()


def test_a_ragged_stencil_is_saved_and_loaded(tmp_path):
    L = lgn.Lagrangian(GRAPH, learned())
    lgn.save(tmp_path / "system", L)
    loaded = lgn.load(tmp_path / "system")
    assert isinstance(loaded.terms[0].stencil, RaggedStencil)
    assert jax.tree.structure(loaded) == jax.tree.structure(L)
    q, v = state(GRAPH)
    assert loaded(q, v) == L(q, v)


def test_parameters_of_a_density_on_several_tables_are_leaves_once():
    L = lgn.Lagrangian(GRAPH, learned())
    assert len(L.terms) == 1 and len(L.functional.bound(L.domain.features, *state(GRAPH)).tables) > 2
    assert len(jax.tree.leaves(L.functional)) == len(jax.tree.leaves(nnx.state(learned(), nnx.Param)))


def test_what_does_not_fit_in_memory_is_named_before():
    big = star(30_000)
    q = np.zeros((30_001, 1))
    with pytest.raises(ValueError, match=r"MessageDensity joins node 0 with its 30000 neighbours.*difference.*edge_st"):
        lgn.Lagrangian(big, learned()).acceleration(q, q)
    with pytest.raises(ValueError, match=r"node 0 has 30000 neighbours.*density.slots = None.*edge_stencil"):
        lgn.Lagrangian(big, lambda q, v, features: jnp.sum(features["mask"] * v[:, 0] ** 2))(q, q)


# Memory: each case in a process of its own.


def spring(q, v, features):
    return -0.5 * (q[1, 0] - q[0, 0]) ** 2


CASES = {
    "star, hops=0": lambda: lgn.Lagrangian(star(30_000), [(own, partial(lgn.node_stencil, hops=0))]),
    "star, v[0] and edges": lambda: lgn.Lagrangian(star(30_000), [(own, lgn.node_stencil), (spring, lgn.edge_stencil)]),
    "star, messages": lambda: lgn.Lagrangian(star(30_000), learned(lgn.difference)),
    "five hubs, messages": lambda: lgn.Lagrangian(hubs(100_000, 5, 1000), learned()),
}


def main(name):
    jax.config.update("jax_enable_x64", True)
    began = time.perf_counter()
    L = CASES[name]()
    q, v = np.random.default_rng(1).normal(size=(2, int(L.graph.n_node[0]), 1))
    a = jax.jit(lgn.Lagrangian.acceleration)(L, jnp.asarray(q), jnp.asarray(v))
    assert np.isfinite(a).all()
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    peak = int(line.split()[1]) / 2**20  # of this process alone: `ru_maxrss` begins with that of its parent
    print(f"{name}: {peak:.2f} GB, {time.perf_counter() - began:.1f} s, {L.solver_for(1)}")


def peak(name) -> float:
    """GB that a new process takes for one acceleration."""
    ended = subprocess.run([sys.executable, __file__, name], capture_output=True, text=True, check=True)
    return float(ended.stdout.split(": ")[-1].split()[0])


def test_a_star_of_thirty_thousand_leaves_moves_in_one_gigabyte():
    assert peak("star, v[0] and edges") < 1


@pytest.mark.slow
def test_hubs_among_a_hundred_thousand_nodes_move_in_four_gigabytes():
    assert peak("star, hops=0") < 1 and peak("star, messages") < 1 and peak("five hubs, messages") < 4


if __name__ == "__main__":
    main(sys.argv[1])

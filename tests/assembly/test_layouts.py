"""Tables as arguments of programs: what is laid out moves as what is not, and other graphs of the size need no other
program."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st

import lgn
from lgn.graphs.tables import bucket, filled


def bound(q, v, features):
    return 0.5 * jnp.sum(v[0] ** 2) + 0.1 * jnp.sum(v[0] * v[1:]) - jnp.sum(features["mask"][:, None] * (q - q[0]) ** 2)


def spring(q, v, features):
    return -0.5 * features["stiffness"][1] * jnp.sum((q[1] - q[0]) ** 2)


def kinetic(q, v, features):
    return 0.5 * jnp.sum(v[0] ** 2)


def rub(q, v, features):
    return 0.1 * jnp.sum((v[1] - v[0]) ** 2)


def chords(n, seed, more=10):
    """A ring with chords, whose edges know a stiffness."""
    random = np.random.default_rng(seed)
    ends = random.permutation(n)[: 2 * more].reshape(more, 2)
    pairs = {(i, (i + 1) % n) for i in range(n)} | set(map(tuple, ends.tolist()))
    a, b = np.array(sorted({tuple(sorted((i, j))) for i, j in pairs})).T
    stiffness = 1 + random.random(a.size)
    features = {"stiffness": np.r_[stiffness, stiffness]}
    return lgn.from_edges(n, np.r_[a, b], np.r_[b, a], edge_features=features)


def wheel(n):
    """A ring whose node 0 has two chords: five slots, which are filled up to six."""
    a, b = np.r_[np.arange(n), 0, 0], np.r_[np.roll(np.arange(n), -1), n // 3, n // 2]
    return lgn.from_edges(n, np.r_[a, b], np.r_[b, a])


def star(leaves):
    ends = np.arange(1, leaves + 1), np.zeros(leaves, int)
    return lgn.from_edges(leaves + 1, np.r_[ends[0], ends[1]], np.r_[ends[1], ends[0]])


def differing(q, v, features):
    """Of any number of slots in any order: unfilled ones differ by nothing from slot 0."""
    return 0.5 * jnp.sum(v[0] ** 2) + 0.1 * jnp.sum((v - v[0]) ** 2) - jnp.sum(features["mask"] @ jnp.cosh(q - q[0]))


differing.slots = None  # type: ignore[attr-defined]


def network(slots, dim):
    return lgn.MLPDensity(slots, dim, (4,), rngs=nnx.Rngs(0))


SPRINGS = [(kinetic, lgn.node_stencil), (spring, lgn.edge_stencil)]
SYSTEMS = {
    "ring, a band": lambda: lgn.Lagrangian(lgn.lattice((9,)), network(3, 2)),
    "open chain, clamped": lambda: lgn.Lagrangian(lgn.clamp(lgn.lattice((9,), periodic=False), [0, 8]), network(3, 2)),
    "square, conjugate gradients": lambda: lgn.Lagrangian(
        lgn.lattice((3, 4)), network(5, 2), solver=lgn.ConjugateGradient()
    ),
    "cells": lambda: lgn.Lagrangian(lgn.lattice((4, 4)), [(network(4, 2), lgn.cell_stencil)], solver=lgn.Dense()),
    "features of edges, friction": lambda: lgn.Lagrangian(
        chords(20, 0), SPRINGS, dissipation=[(rub, lgn.edge_stencil)], force=lambda q, v, t: jnp.sin(t) * q
    ),
    "any number of slots": lambda: lgn.Lagrangian(chords(20, 0), differing),
    "filled up in slots, a band": lambda: lgn.Lagrangian(wheel(12), differing, solver=lgn.Banded()),
    "filled up in slots, blocks": lambda: lgn.Lagrangian(wheel(12), differing, solver=lgn.ConjugateGradient()),
    "filled up in slots, dense": lambda: lgn.Lagrangian(wheel(12), differing, solver=lgn.Dense()),
    "unfilled slots, coupled": lambda: lgn.Lagrangian(chords(20, 0), bound),
    "clamps that move": lambda: lgn.Lagrangian(
        lgn.clamp(chords(20, 0), [3, 5]), SPRINGS, motion=lambda t: jnp.sin(t) * np.ones((20, 2))
    ),
    "a hub, by groups": lambda: lgn.Lagrangian(star(400), differing),
    "a hub, the first slots": lambda: lgn.Lagrangian(star(400), kinetic),
}


def state(system, dim=2):
    n = system.domain.size
    return np.random.default_rng(0).normal(size=(n, dim)), np.random.default_rng(1).normal(size=(n, dim))


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_call_gives_what_a_program_with_constant_tables_gives(name):
    system = SYSTEMS[name]()
    q, v = state(system)

    def calls(q, v):
        return system(q, v), system.energy(q, v), system.power(q, v, 0.3), system.acceleration(q, v, 0.3)

    for found, expected in zip(calls(q, v), jax.jit(calls)(q, v), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-11)


def energy(u, features):
    return 0.25 * jnp.sum(u[0] ** 4) + 0.5 * jnp.sum((u[1] - u[0]) ** 2)


class Weights:
    """A structure that does with its table what arrays of jax do not."""

    conserves, dissipates = False, True

    def tables(self, graph):
        return np.ones(3)

    def apply(self, tables, x):
        return -float(tables.sum()) * x

    def config(self):
        return {}


FLOWS = {
    "first difference": lambda: lgn.EnergyFlow(lgn.lattice((9,)), energy, structure=lgn.FirstDifference()),
    "laplacian, clamped": lambda: lgn.EnergyFlow(
        lgn.clamp(lgn.lattice((9,), periodic=False), [0]), energy, structure=lgn.Laplacian()
    ),
    "kernel": lambda: lgn.EnergyFlow(
        lgn.lattice((3, 3)), energy, structure=lgn.LearnedStructure(lgn.DissipativeKernel((3, 3), rngs=nnx.Rngs(0)))
    ),
    "sum": lambda: lgn.EnergyFlow(lgn.lattice((9,)), energy, structure=lgn.FirstDifference() + 2.0 * lgn.Laplacian()),
    "of a user": lambda: lgn.EnergyFlow(lgn.lattice((9,)), energy, structure=Weights()),
}


@pytest.mark.parametrize("name", FLOWS)
def test_an_energy_flow_too(name):
    flow = FLOWS[name]()
    u = state(flow)[0]

    def calls(u):
        return flow(u), flow.rate((u,))[0], flow.power(u)

    for found, expected in zip(calls(u), jax.jit(calls)(u), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


def compilations():
    """A list that grows with every program that jax compiles."""
    found = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda name, *_, **__: found.append(name) if name.endswith("backend_compile_duration") else None
    )
    return found


def test_another_graph_of_about_the_size_takes_the_same_program():
    compiled = compilations()

    def acceleration(seed, more):
        graph = lgn.clamp(chords(30, seed, more), [seed, seed + 5])
        return lgn.Lagrangian(graph, SPRINGS).acceleration(start, still)

    start, still = np.random.default_rng(0).normal(size=(30, 2)), np.zeros((30, 2))
    found = [acceleration(0, 8)]
    first = len(compiled)
    found += [acceleration(1, 7), acceleration(2, 8)]
    assert len(compiled) == first > 0
    assert not np.allclose(found[0], found[1]) and not np.allclose(found[1], found[2])


def test_a_system_that_changes_is_not_mistaken_for_what_it_was():
    density = network(3, 1)
    system = lgn.Lagrangian(lgn.lattice((6,)), density)
    q, v = state(system, 1)
    before = system.energy(q, v)
    changed = system.replace() if not system.domain.features else system
    changed.density.layers[-1].kernel[...] = 2 * changed.density.layers[-1].kernel[...]
    again = lgn.Lagrangian(system.graph, changed.density).energy(q, v)
    assert changed.energy(q, v) == again and abs(again - before) > 1e-3
    stiff = lgn.Lagrangian(lgn.with_features(lgn.lattice((6,)), graph_features={"k": 2.0}), held)
    assert np.isclose(stiff(q, v), 2 * stiff.replace(k=1.0)(q, v))
    solved = lgn.Lagrangian(lgn.lattice((6,)), network(3, 1), solver=lgn.Dense())
    solved.acceleration(q, v)
    solved.solver = lgn.ConjugateGradient()
    assert solved.solve(q, v).iterations > 0


def held(q, v, features):
    return -0.5 * features["k"] * q[0, 0] ** 2


@given(st.integers(1, 200_000))
def test_buckets_hold_what_they_are_for_and_little_more(count):
    assert count <= bucket(count) <= max(8, count + count // 8 + 8)
    assert bucket(bucket(count)) == bucket(count)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 9), st.integers(0, 9))
def test_filled_tables_begin_as_they_were(rows, more):
    table = np.arange(2 * rows).reshape(rows, 2)
    longer = filled(table, rows + more, -1)
    assert (longer[:rows] == table).all() and (longer[rows:] == -1).all() and len(longer) == rows + more


def test_an_integrator_of_ones_own_gets_the_nodes_and_no_more():
    """It may sum over all rows, such as a thermostat."""
    graph = chords(17, 0, 5)
    L = lgn.Lagrangian(graph, SPRINGS)
    q, v = np.zeros((17, 2)), np.full((17, 2), 4.0)
    L.acceleration(q, v)

    def drift(system, state, ts):
        return tuple(jnp.stack([x, x + jnp.mean(state[1])]) for x in state)

    np.testing.assert_allclose(lgn.rollout(L, (q, v), [0.0, 1.0], drift).q[1], 4.0)


def test_the_condition_of_m_is_that_of_its_own_rows():
    """Unit masses, beside clamps and rows beyond the nodes."""
    q, v = np.zeros((2, 17, 2))
    for graph in (chords(17, 0, 5), lgn.clamp(chords(17, 0, 5), [3])):
        assert lgn.Lagrangian(graph, SPRINGS).solve(q, v).condition == pytest.approx(1.0)


def test_a_state_that_is_bound_to_a_device_stays_there():
    L = lgn.Lagrangian(chords(17, 0, 5), SPRINGS)
    free, bound = (jax.device_put(np.ones((17, 2)), place) for place in (None, jax.devices()[0]))
    assert not L.acceleration(free, free).committed and L.acceleration(bound, bound).committed

"""Densities that do not care about order: their symmetries, on graphs of any shape."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import lgn
from lgn.assembly import elements


def strong(layer, layers):
    """Kernels of order one everywhere, so that the network matters beside the prior."""
    return nnx.initializers.variance_scaling(0.5, "fan_in", "normal")


def message(dim=2, **named):
    return lgn.MessageDensity(dim, 5, (6,), initializer=strong, rngs=nnx.Rngs(1), **named)


def pair(dim=2, **named):
    return lgn.PairDensity(dim, (6, 5), initializer=strong, rngs=nnx.Rngs(2), **named)


FEATURED = {"features": ("charge", "weight"), "feature_size": 2}


def forest(random, count):
    """The number of nodes and the pairs of a union of random connected graphs of 2 to 9 nodes."""
    total, pairs = 0, set()
    for n in random.integers(2, 10, count):
        chosen = {(random.integers(i), i) for i in range(1, n)}
        chosen |= {tuple(sorted(random.integers(n, size=2))) for _ in range(2)}
        pairs |= {(total + i, total + j) for i, j in chosen if i != j}
        total += n
    return total, np.array(sorted(pairs))


def systems(n, pairs, charge, weight):
    senders, receivers = np.concatenate([pairs, pairs[:, ::-1]]).T
    edges, nodes = {"weight": np.tile(weight, 2)}, {"charge": charge}
    graph = lgn.from_edges(n, senders, receivers, edge_features=edges, node_features=nodes)
    kinetic = lgn.MLPDensity(1, 2, (4,), features=("charge",), feature_size=1, rngs=nnx.Rngs(0))
    edge_terms = [(kinetic, lambda graph: lgn.node_stencil(graph, hops=0)), (pair(**FEATURED), lgn.edge_stencil)]
    return lgn.Lagrangian(graph, message(**FEATURED)), lgn.Lagrangian(graph, edge_terms)


def test_relabelling_the_nodes_relabels_the_motion():
    random = np.random.default_rng(0)
    n, pairs = forest(random, 4)
    order, charge, weight = random.permutation(n), random.uniform(0.5, 2, n), random.uniform(0.5, 2, len(pairs))
    q, v = random.normal(size=(2, n, 2))
    place = np.argsort(order)  # node i becomes place[i]
    shuffle = random.permutation(len(pairs))
    flipped = np.where(random.integers(2, size=(len(pairs), 1)), place[pairs], place[pairs][:, ::-1])[shuffle]
    given_order = systems(n, pairs, charge, weight)
    renamed = systems(n, flipped, charge[order], weight[shuffle])
    for a, b in zip(given_order, renamed, strict=True):
        expected = np.asarray(jax.jit(a.acceleration)(q, v))[order]
        np.testing.assert_allclose(jax.jit(b.acceleration)(q[order], v[order]), expected, rtol=1e-8, atol=1e-9)


def test_an_edge_reads_the_features_of_both_ends():
    """Charges (1, 5), (2, 5) and (1, 4) are three systems; whichever end is node 0, one and the same."""
    q, v = np.random.default_rng(0).normal(size=(2, 2, 2))

    def value(charge, order=slice(None)):
        graph = lgn.from_edges(
            2, [0, 1], [1, 0], edge_features={"weight": [3.0, 3.0]}, node_features={"charge": charge}
        )
        return float(
            lgn.Lagrangian(graph, [(pair(pairing=lgn.both_states, **FEATURED), lgn.edge_stencil)])(q[order], v[order])
        )

    found = [value([1.0, 5.0]), value([2.0, 5.0]), value([1.0, 4.0])]
    assert len({round(x, 8) for x in found}) == 3
    np.testing.assert_allclose(value([5.0, 1.0], [1, 0]), found[0], rtol=1e-13)


def test_padding_adds_nothing_and_slots_may_change_places():
    density, random = jax.jit(message(**FEATURED)), np.random.default_rng(0)
    q, v = random.normal(size=(2, 4, 2))
    features = {"mask": np.array([1.0, 1, 1, 0]), "charge": random.normal(size=4), "weight": random.normal(size=4)}
    value = density(q, v, features)
    q[3], features["charge"][3] = 7.0, -5.0
    np.testing.assert_allclose(density(q, v, features), value, rtol=1e-14)
    swap = np.array([0, 2, 1, 3])
    other = density(q[swap], v[swap], {name: x[swap] for name, x in features.items()})
    np.testing.assert_allclose(other, value, rtol=1e-13)


@pytest.mark.parametrize(
    ("make", "pairing"),
    [
        (message, lgn.invariants),
        (message, lgn.distance),
        *((pair, pairing) for pairing in (lgn.invariants, lgn.distance, lgn.log_distance, lgn.inverse_distance)),
    ],
)
def test_rotation_and_shift_of_space_change_nothing(make, pairing):
    density, random = jax.jit(make(3, pairing=pairing)), np.random.default_rng(1)
    q, v = random.normal(size=(2, 2, 3))
    rotation = np.linalg.qr(random.normal(size=(3, 3)))[0]
    turned = density(q @ rotation.T + [1.0, 2, 3], v @ rotation.T, {"mask": np.ones(2)})
    np.testing.assert_allclose(turned, density(q, v, {"mask": np.ones(2)}), rtol=1e-12)


@pytest.mark.parametrize("pairing", [lgn.log_distance, lgn.inverse_distance])
def test_forces_between_points_conserve_both_momenta(pairing):
    """Of three bodies in a plane, u = (x, y, p_x, p_y): the sums of dp/dt and of x x dp/dt vanish."""
    graph = lgn.from_edges(3, [0, 1, 0, 2, 1, 2], [1, 0, 2, 0, 2, 1])
    terms = [(lgn.canonical(pair(2, pairing=pairing)), lgn.edge_stencil)]
    flow = lgn.EnergyFlow(graph, terms, structure=lgn.Symplectic())
    u = np.random.default_rng(3).normal(size=(3, 4))
    (rate,) = flow.rate((u,))
    force = np.asarray(rate[:, 2:])
    assert np.abs(force).max() > 1e-4
    np.testing.assert_allclose(force.sum(0), 0, atol=1e-14)
    np.testing.assert_allclose((u[:, 0] * force[:, 1] - u[:, 1] * force[:, 0]).sum(), 0, atol=1e-14)
    np.testing.assert_array_equal(rate[:, :2], 0)


def test_both_states_sees_a_rotation():
    density, random = jax.jit(message(3)), np.random.default_rng(1)
    q, v = random.normal(size=(2, 2, 3))
    assert abs(density(-q, v, {"mask": np.ones(2)}) - density(q, v, {"mask": np.ones(2)})) > 1e-3


def test_differences_conserve_momentum_and_leave_the_mass_matrix_diagonal():
    def kinetic(q, v, features):
        return 0.5 * v[0, 0] ** 2

    alone = lgn.node_stencil(lgn.lattice((6,)), hops=0)
    L = lgn.Lagrangian(lgn.lattice((6,)), [(kinetic, alone), (pair(1), lgn.edge_stencil)])
    q, v = np.random.default_rng(2).normal(size=(2, 6, 1))
    assert isinstance(L.solver_for(1), lgn.BlockDiagonal)
    assert np.abs(L.force(q, v)).max() > 1e-2
    assert abs(np.sum(L.force(q, v))) < 1e-14


def swapped(q0, v0, q1, v1):
    """A pairing whose slopes depend on the place alone, and not alike on both ends."""
    return jnp.concatenate([jnp.sin(q0) * v1, 0.5 * v0**2 * q1, q0 - 2 * q1])


SCALED = {"q_scale": (0.5, 3.0), "v_scale": (2.0, 0.7)}
CLOSED = {
    "pair, angle": lambda: pair(pairing=lgn.both_states, angles=(1,), **SCALED, **FEATURED),
    "pair, differences": lambda: pair(pairing=swapped, relative=True, activation=jnp.tanh, **SCALED),
    "message, angle": lambda: message(mass=nnx.Param(jnp.array(0.6)), angles=(1,), **SCALED, **FEATURED),
    "message, differences": lambda: message(mass=None, pairing=swapped, relative=True, activation=jnp.tanh, **SCALED),
    "message, invariants": lambda: message(1, mass=1.7, pairing=lgn.invariants),
    "message, no velocity": lambda: message(pairing=lgn.difference, **FEATURED),
}


@pytest.mark.parametrize("name", CLOSED)
def test_the_closed_form_is_what_differentiation_finds(name):
    """With unfilled slots, whose mask is 0, and features."""
    density, random = CLOSED[name](), np.random.default_rng(5)
    slots = density.slots or 4
    q, v = random.normal(size=(2, 3, slots, density.dim))
    features = {"mask": np.arange(slots) < [[slots], [slots], [max(1, slots - 1)]]}
    features |= {name: random.normal(size=(3, slots)) for name in ("charge", "weight")}
    closed = jax.jit(density.expand)(q, v, features)
    generic = jax.jit(lambda *local: elements.expand(lambda *one: density(*one), *local))(q, v, features)
    for name, a, b in zip(closed._fields, closed, generic, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12, rtol=1e-12, err_msg=name)


def test_the_mass_matrix_of_a_graph_is_that_of_differentiation():
    """Of a star with a chain: elements of several sizes, slots that are read or not."""
    graph = lgn.from_edges(6, [0, 1, 0, 2, 0, 3, 3, 4, 4, 5], [1, 0, 2, 0, 3, 0, 4, 3, 5, 4])
    density, (q, v) = message(), np.random.default_rng(4).normal(size=(2, 6, 2))
    closed, generic = (
        jax.jit(lgn.Lagrangian(graph, x).equation)(q, v) for x in (density, lambda *local: density(*local))
    )
    np.testing.assert_allclose(closed[0].dense(), generic[0].dense(), atol=1e-13)
    np.testing.assert_allclose(closed[1], generic[1], atol=1e-13)


@pytest.mark.parametrize(
    "wrong, message_text",
    [
        (lambda: lgn.MessageDensity(0, rngs=nnx.Rngs(0)), "at least 1"),
        (lambda: lgn.PairDensity(1, (), rngs=nnx.Rngs(0)), "at least 1"),
        (lambda: lgn.MessageDensity(1, activation=jax.nn.relu, rngs=nnx.Rngs(0)), "no second derivative"),
        (lambda: lgn.PairDensity(1, pairing=lambda q0, v0, q1, v1: jnp.sum(q0), rngs=nnx.Rngs(0)), "expected a vector"),
    ],
)
def test_bad_input(wrong, message_text):
    with pytest.raises(ValueError, match=message_text):
        wrong()

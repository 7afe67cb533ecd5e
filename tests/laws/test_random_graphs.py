"""The equation of motion on random graphs, against dense second derivatives of the whole Lagrangian."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lgn


@st.composite
def cases(draw):
    """A random graph of 2 to 12 nodes, perhaps in several parts, degrees of freedom, weights and a seed."""
    n, dim = draw(st.integers(2, 12)), draw(st.integers(1, 3))
    pairs = {(draw(st.integers(0, i - 1)), i) for i in range(1, n)}
    for a, b in draw(st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=12)):
        pairs |= {(min(a, b), max(a, b))} if a != b else set()
    return n, dim, np.array(sorted(pairs)), draw(st.booleans()), draw(st.integers(0, 2**31))


def density(q, v, features):
    """Couples neighbours in q and v, positive definite in v, not even in either."""
    weight = features["mask"][1:] * features["weight"][1:]
    apart, speed = jnp.sum((q[1:] - q[0]) ** 2, 1), jnp.sum((v[1:] - v[0]) ** 2, 1)
    bend = jnp.sum(weight * (0.1 * speed * (1 + jnp.sin(q[0, 0]) ** 2) - jnp.cosh(0.3 * apart)))
    return (
        features["mass"][0] * jnp.sum(v[0] ** 2) * (1 + 0.1 * jnp.cos(q[0, -1])) + bend + 0.2 * v[0, 0] * q[0, 0] ** 3
    )


def check(case):
    n, dim, pairs, by_edges, seed = case
    random = np.random.default_rng(seed)
    senders, receivers = np.concatenate([pairs, pairs[:, ::-1]]).T
    weight, mass = random.uniform(0.5, 2, len(pairs)), random.uniform(0.5, 2, n)
    graph = lgn.from_edges(n, senders, receivers, None, {"weight": np.tile(weight, 2)}, {"mass": mass})
    terms = [(density, lgn.node_stencil), (density, lgn.edge_stencil)] if by_edges else density
    L = lgn.Lagrangian(graph, terms)
    q, v = random.normal(size=(2, n, dim))

    @jax.jit
    def both(q, v):
        def total(q, v):
            return L(q.reshape(n, dim), v.reshape(n, dim))

        flat = q.ravel(), v.ravel()
        dense, mixed = jax.hessian(total, 1)(*flat), jax.jacfwd(jax.grad(total, 1))(*flat)
        expected = jnp.linalg.solve(dense, jax.grad(total)(*flat) - mixed @ flat[1])
        return L.equation(q, v)[0].dense(), dense, L.acceleration(q, v).ravel(), expected

    found_mass, mass_matrix, found, expected = both(q, v)
    np.testing.assert_allclose(found_mass, mass_matrix, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10 * np.abs(expected).max())


@settings(max_examples=6, deadline=None)
@given(cases())
def test_mass_matrix_and_acceleration_are_those_of_dense_derivatives(case):
    check(case)


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(cases())
def test_mass_matrix_and_acceleration_on_two_hundred_graphs(case):
    check(case)

"""Reads: a gradient by entries is the gradient, however a density reads its arrays, and pads nothing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lgn.assembly.reads import gradient

Q, V, FEATURES = *jnp.asarray(np.random.default_rng(0).normal(size=(2, 4, 2))), {"stiffness": jnp.array(3.0)}
PARAMETER = jnp.array(0.7)


def entries(q, v, features):
    return 0.5 * v[0, 1] ** 2 * q[0, 0] - features["stiffness"] * jnp.cos(q[2, 0] - q[0, 1]) * PARAMETER


def overlapping(q, v, features):
    return jnp.sum((q[1:] - q[0]) ** 4) + jnp.sum(q[1:3, 1]) * v[-1, 0] ** 3


def whole(q, v, features):
    return jnp.sum(q @ jnp.ones((2, 3))) ** 2 * v[0, 0] ** 2


def strided(q, v, features):
    return jnp.sum(q[::2] ** 3) + v[0, 0] ** 2


def of_none(q, v, features):
    return features["stiffness"] ** 2


def derived(q, v, features):
    return jax.nn.softplus(q[0, 0] - q[1, 0]) + jax.jit(lambda x: x**2)(v[0]).sum()


@pytest.mark.parametrize("density", [entries, overlapping, whole, strided, of_none, derived])
@pytest.mark.parametrize("times", [1, 20])
def test_it_is_the_gradient_and_has_its_derivatives(density, times):
    q, v = jnp.tile(Q, (times, 1)), jnp.tile(V, (times, 1))

    def both(of):
        return [of(q, v, FEATURES), jax.jvp(lambda q, v: of(q, v, FEATURES), (q, v), (v, q))]

    found, expected = both(gradient(density, (0, 1))), both(jax.grad(density, (0, 1)))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-14, atol=1e-14), found, expected)


def test_a_gradient_by_entries_pads_nothing():
    """What differentiation pads is what this is for."""
    assert " pad[" in str(jax.make_jaxpr(jax.grad(entries, (0, 1)))(Q, V, FEATURES))
    assert " pad[" not in str(jax.make_jaxpr(gradient(entries, (0, 1)))(Q, V, FEATURES))


def test_parameters_have_derivatives_through_it():
    """d/dk of -dU/dq with U = k q^2 / 2 is -q."""

    def force(k):
        return gradient(lambda q, k: -0.5 * k * q[0, 0] ** 2, (0,))(Q, k)[0][0, 0]

    assert float(jax.grad(force)(2.0)) == pytest.approx(-Q[0, 0])

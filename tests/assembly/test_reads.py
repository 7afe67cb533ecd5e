"""Reads: a gradient by entries is the gradient, however a density reads its arrays, and pads nothing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lgn.assembly.jaxprs import dependence, gradient

Q, V, FEATURES = *jnp.asarray(np.random.default_rng(0).normal(size=(2, 4, 2))), {"stiffness": jnp.array(3.0)}
PARAMETER = jnp.array(0.7)


def entries(q, v, features):
    return 0.5 * v[0, 1] ** 2 * q[0, 0] - features["stiffness"] * jnp.cos(q[2, 0] - q[0, 1]) * PARAMETER


def overlapping(q, v, features):
    return jnp.sum((q[1:] - q[0]) ** 4) + jnp.sum(q[1:3, 1]) * v[-1, 0] ** 3


def whole(q, v, features):
    return jnp.sum(q @ np.ones((2, 3))) ** 2 * v[0, 0] ** 2


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


class Scaled:
    """A density with a parameter that changes in place."""

    def __init__(self):
        self.c = jnp.array(1.0)

    def __call__(self, q, v, features):
        return 0.5 * self.c * jnp.sum(v[0] ** 2)


def test_a_density_that_changes_in_place_is_read_anew():
    """jax keeps the first trace of a function, which the density is."""
    density = Scaled()
    before = gradient(density, (1,))(Q, V, FEATURES)[0]
    density.c = jnp.array(5.0)
    np.testing.assert_allclose(gradient(density, (1,))(Q, V, FEATURES)[0], 5 * before)


def test_a_derivative_has_the_precision_of_its_matrix():
    def density(q, v, features):
        return np.sqrt(2.0) * v[0, 0] ** 2

    v = V.astype(jnp.float32)
    assert [x.dtype for x in gradient(density, (0, 1))(Q, v, FEATURES)] == [jnp.float64, jnp.float32]


def test_many_reads_of_one_matrix_are_read_as_a_whole():
    """A line for each entry of each would take minutes to compile."""

    def density(q, v, features):
        return sum(jnp.sum(q[1:] ** k) for k in range(2, 10))

    q = jnp.tile(0.5 * jnp.tanh(Q), (10, 1))
    assert len(jax.make_jaxpr(gradient(density, (0,)))(q, q, FEATURES).eqns) < 1000
    np.testing.assert_allclose(gradient(density, (0,))(q, q, FEATURES)[0], jax.grad(density)(q, q, FEATURES))


# Which slots a density reads: never fewer than its derivatives show, and only those where that is plain.

STATE = np.random.default_rng(0).normal(size=(2, 5, 2))
A = jnp.array([[1.0, 2.0], [3.0, 4.0]])
EVERY = [0, 1, 2, 3, 4]

# name: density of q and v with five slots, slots of q, slots of v
READS = {
    "one slot": (lambda q, v: 0.5 * v[0] @ v[0], [], [0]),
    "the last, and a range": (lambda q, v: v[-1, 0] * jnp.sum(q[1:3]), [1, 2], [4]),
    "a list of slots": (lambda q, v: jnp.sum(v[np.array([1, -1])] ** 2), [], [1, 4]),
    "a list of slots in jax": (lambda q, v: jnp.sum(v[jnp.array([0, 3])] ** 2), [], [0, 3]),
    "one degree of freedom of each": (lambda q, v: jnp.sum(v[:, 0] ** 2) - q[2, 1], [2], EVERY),
    "unpacked": (lambda q, v: (lambda a, b, *rest: jnp.sum(a) * b[0])(*v), [], [0, 1]),
    "stacked": (lambda q, v: jnp.sum(jnp.stack([q[0], v[1]])[1]), [], [1]),
    "joined": (lambda q, v: jnp.sum(jnp.concatenate([q, v])[6]), [], [1]),
    "rolled": (lambda q, v: jnp.sum(jnp.roll(v, 1, 0)[0]), [], [4]),
    "padded": (lambda q, v: jnp.sum(jnp.pad(v, ((1, 0), (0, 0)))[1]), [], [0]),
    "reversed, transposed": (lambda q, v: v[::-1][0, 0] * q.T[0, 0], [0], [4]),
    "flat": (lambda q, v: v.ravel()[3] * q.reshape(-1)[0], [0], [1]),
    "differences": (lambda q, v: jnp.sum((q - q[0])[1:3] ** 2) + jnp.sum((v - v[0])[2] ** 2), [0, 1, 2], [0, 2]),
    "product in each slot": (lambda q, v: jnp.sum((v @ A)[2]), [], [2]),
    "product over the slots": (lambda q, v: jnp.sum((np.ones((5, 5)) @ v)[2]), [], EVERY),
    "quadratic form": (lambda q, v: jnp.einsum("si,ij,sj->s", v, A, v)[1], [], [1]),
    "mapped over slots": (lambda q, v: jnp.sum(jax.vmap(lambda x: jnp.tanh(x @ x))(v)[1:3]), [], [1, 2]),
    "norms": (lambda q, v: jnp.linalg.norm(v[0]) + jnp.linalg.norm(q[1:], axis=1)[0], [1], [0]),
    "chosen by a condition": (lambda q, v: jnp.sum(jnp.where(q > 0, v, 0.0)[3]), [3], [3]),
    "inner functions": (lambda q, v: jnp.sum(jax.nn.softplus(v)[0]) + jnp.sum(jax.nn.relu(q[1])), [1], [0]),
    "a derivative": (lambda q, v: jnp.sum(jax.grad(lambda x: jnp.sum(x[0] ** 3))(v)[0]), [], [0]),
    "a matrix inverted": (lambda q, v: jnp.sum(jnp.linalg.solve(jnp.diag(1 + q[0] ** 2), v[0])), [0], [0]),
    "a loop": (lambda q, v: jax.lax.scan(lambda c, x: (c + jnp.sum(x), None), 0.0, v[:2])[0], [], [0, 1]),
    "sorted": (lambda q, v: jnp.sum(jnp.sort(v, 0)[0]), [], EVERY),  # what is not followed reads all
    "summed up": (lambda q, v: jnp.sum(jnp.cumsum(v, 0)[1]), [], EVERY),
    "nothing": (lambda q, v: jnp.zeros(()), [], []),
}


@pytest.mark.parametrize("name", READS)
def test_slots_that_a_density_reads(name):
    density, of_q, of_v = READS[name]
    q, v = jnp.asarray(STATE)
    found = dependence(density, q, v)
    assert [np.flatnonzero(x.any(1)).tolist() for x in found] == [of_q, of_v]
    for read, slope in zip(found, jax.grad(density, (0, 1))(q, v), strict=True):
        assert not (np.asarray(slope) != 0)[~read].any()

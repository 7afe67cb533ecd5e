"""Which slots a density reads: never fewer than those that its derivatives show, and only those where that is plain."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lgn.assembly.jaxprs import dependence

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

"""Small blocks: systems of up to 3 x 3, solved by elimination that is written out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lgn.solvers.direct import _eigenvalues, solve_blocks


def symmetric(dim, condition, seed=0):
    """Random matrices (100, dim, dim) with eigenvalues of both signs, and right sides."""
    random = np.random.default_rng(seed)
    basis = np.linalg.qr(random.normal(size=(100, dim, dim)))[0]
    signs = random.choice([-1, 1], (100, 1, dim))
    return (basis * signs * np.geomspace(1, 1 / condition, dim)) @ basis.swapaxes(1, 2), random.normal(size=(100, dim))


@pytest.mark.parametrize("dim", [1, 2, 3])
@pytest.mark.parametrize("condition", [1e1, 1e12])
def test_residual_is_that_of_a_stable_method(dim, condition):
    blocks, right = symmetric(dim, condition)
    found = np.asarray(solve_blocks(jnp.asarray(blocks), jnp.asarray(right)))
    residual = np.linalg.norm(np.einsum("nij,nj->ni", blocks, found) - right, axis=1)
    assert (residual < 1e-15 * np.linalg.norm(blocks, axis=(1, 2)) * np.linalg.norm(found, axis=1) * 4).all()


def test_a_pivot_of_zero_is_no_obstacle():
    blocks = jnp.asarray([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 2.0]])[None]
    np.testing.assert_allclose(solve_blocks(blocks, jnp.asarray([[1.0, 2.0, 3.0]])), [[2.0, 1.0, 1.5]])


@pytest.mark.parametrize("dim", [2, 3])
def test_derivatives_are_those_of_lapack(dim):
    blocks, right = (jnp.asarray(x) for x in symmetric(dim, 10.0))

    def total(solve):
        return jax.grad(lambda b, r: jnp.sum(jnp.sin(solve(b, r))), (0, 1))(blocks, right)

    ours, theirs = total(solve_blocks), total(lambda b, r: jnp.linalg.solve(b, r[..., None])[..., 0])
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-13 * np.abs(b).max())


def test_eigenvalues_are_those_of_lapack():
    for dim in (1, 2, 3):
        blocks, _ = symmetric(dim, 1e3)
        np.testing.assert_allclose(_eigenvalues(jnp.asarray(blocks)), np.linalg.eigvalsh(blocks), atol=1e-15)

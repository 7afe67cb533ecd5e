"""The lattice approaches the wave equation, as exponax's spectral stepper solves it, with the square of the spacing."""

import exponax
import jax.numpy as jnp
import numpy as np
import pytest

import lgn

END = 0.7


def string(q, v, features):
    h = features["measure"]
    return h * (0.5 * v[0, 0] ** 2 - 0.5 * ((q[2, 0] - q[0, 0]) / h) ** 2)


def shape(x):
    return np.exp(np.sin(2 * np.pi * x)), np.cos(4 * np.pi * x)


def distance(n):
    """Of the two fields at the end, on n nodes of a ring of length 1."""
    q, v = (jnp.asarray(f) for f in shape(np.arange(n) / n))
    exact = exponax.stepper.Wave(1, 1.0, n, END)(jnp.stack([q, v]))
    ring = lgn.Lagrangian(lgn.lattice((n,), spacing=1 / n), string)
    found = lgn.rollout(ring, (q[:, None], v[:, None]), [0.0, END], lgn.Verlet(5e-4))
    return float(jnp.linalg.norm(found.q[-1, :, 0] - exact[0]) / jnp.linalg.norm(exact[0]))


def test_the_ring_approaches_the_spectral_solution_with_the_square_of_the_spacing():
    coarse, fine = distance(64), distance(128)
    assert fine < 2e-3
    assert coarse / fine == pytest.approx(4, rel=0.15)

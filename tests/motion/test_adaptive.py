"""Adaptive against diffrax, whose method it is: the same steps, the same derivative; and a program that can be kept."""

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lgn
from lgn.motion import adaptive

TIMES = np.linspace(0.0, 20.0, 8)
START = (np.array([[1.0], [2.0]]), np.array([[0.3], [-0.2]]))
WEIGHTS = np.random.default_rng(0).normal(size=(2, 8, 2, 1))


class Pendulum:
    """q'' = -k sin q + 0.3 cos(2 t) q."""

    def __init__(self, k):
        self.k = k

    def rate(self, state, t):
        q, v = state
        return v, -self.k * jnp.sin(q) + 0.3 * jnp.cos(2 * t) * q


def by_lgn(k, state, ts):
    return lgn.Adaptive()(Pendulum(k), state, ts)


def by_diffrax(k, state, ts):
    return diffrax.diffeqsolve(
        diffrax.ODETerm(lambda t, state, k: Pendulum(k).rate(state, t)), diffrax.Dopri8(), ts[0], ts[-1], None, state,
        args=k, saveat=diffrax.SaveAt(ts=ts), stepsize_controller=diffrax.PIDController(rtol=1e-9, atol=1e-9),
        max_steps=1_000_000,
    ).ys  # fmt: skip


def slopes(motion):
    def weighed(k, state, ts):
        return sum(jnp.sum(w * x) for w, x in zip(WEIGHTS, motion(k, state, ts), strict=True))

    return jax.jit(jax.value_and_grad(weighed, (0, 1, 2)))


@pytest.mark.newest
def test_steps_and_reverse_derivative_are_those_of_diffrax():
    """By a parameter, the start and the times."""
    arguments = 1.3, START, jnp.asarray(TIMES)
    (value, found), (expected_value, expected) = slopes(by_lgn)(*arguments), slopes(by_diffrax)(*arguments)
    np.testing.assert_allclose(value, expected_value, rtol=1e-11)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-8), found[:2], expected[:2])
    np.testing.assert_allclose(found[2], expected[2], rtol=1e-5)


def test_a_derivative_through_more_steps_than_are_kept_is_the_same(monkeypatch):
    """Of 74 steps in seven intervals four are kept in each, and what is between them is followed again."""

    def slope():
        return jax.jit(jax.grad(lambda k: lgn.Adaptive()(Pendulum(k), START, TIMES)[0][-1, 0, 0]))(1.3)

    expected = slope()
    monkeypatch.setattr(adaptive, "CHECKPOINTS", 4)
    np.testing.assert_allclose(slope(), expected, rtol=1e-10)


@pytest.mark.parametrize("program", [by_lgn, slopes(by_lgn)], ids=["motion", "derivative"])
def test_a_program_holds_no_callback_so_that_a_cache_on_disk_keeps_it(program):
    assert "callback" not in jax.jit(program).lower(1.3, START, jnp.asarray(TIMES)).as_text()


def test_derivatives_of_many_motions_at_once():
    def end(k):
        return by_lgn(k, START, TIMES)[0][-1, 0, 0]

    many = jnp.array([1.0, 1.3])
    np.testing.assert_allclose(jax.jit(jax.vmap(jax.grad(end)))(many), [jax.jit(jax.grad(end))(k) for k in many])

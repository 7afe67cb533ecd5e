"""Signals: values along time as functions of time."""

import sys

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.interpolate import CubicHermiteSpline

import lgn

T = np.sort(np.random.default_rng(0).uniform(0, 6, 61))
BETWEEN = np.linspace(T[0], T[-1], 301)


def force(q, v, t, u):
    return u * jnp.ones_like(q)


def oscillator(q, v, features):
    return 0.5 * v[0, 0] ** 2 - 0.5 * q[0, 0] ** 2


@pytest.mark.parametrize(
    "interpolation", [lgn.Held(), lgn.Linear(), lgn.Cubic(), lambda *x: diffrax.LinearInterpolation(*x)]
)
def test_a_signal_has_its_values_at_its_times(interpolation):
    values = np.random.default_rng(1).normal(size=(len(T), 2))
    signal = lgn.Signal(T, values, interpolation)
    np.testing.assert_allclose(jax.vmap(signal)(T[:-1]), values[:-1], atol=1e-13)


def test_between_them_it_is_what_numpy_and_scipy_say():
    values = np.sin(T)
    found = {name: jax.vmap(lgn.Signal(T, values, kind))(BETWEEN) for name, kind in KINDS.items()}
    held = values[np.searchsorted(T, BETWEEN, side="right") - 1]
    np.testing.assert_allclose(found["held"], held, atol=1e-13)
    np.testing.assert_allclose(found["linear"], np.interp(BETWEEN, T, values), atol=1e-13)
    slopes = np.gradient(values, T, edge_order=2)
    np.testing.assert_allclose(found["cubic"], CubicHermiteSpline(T, values, slopes)(BETWEEN), atol=1e-12)


KINDS = {"held": lgn.Held(), "linear": lgn.Linear(), "cubic": lgn.Cubic()}


def test_a_motion_under_a_signal_is_that_under_the_function():
    t, start = np.linspace(0, 10, 401), (jnp.ones((1, 1)), jnp.zeros((1, 1)))
    measured = lgn.Lagrangian(
        lgn.single_node(), oscillator, force=force, control=lgn.Signal(t, np.cos(2 * t), lgn.Cubic())
    )
    q = lgn.rollout(measured, start, t[::8], lgn.ImplicitMidpoint(0.01)).q[:, 0, 0]
    exact = lgn.rollout(measured.replace(control=lambda t: jnp.cos(2 * t)), start, t[::8], lgn.ImplicitMidpoint(0.01))
    np.testing.assert_allclose(q, exact.q[:, 0, 0], atol=1e-6)
    longer = measured.replace(control=lgn.Signal(np.linspace(0, 20, 801), np.zeros(801)))  # of another length
    assert lgn.rollout(longer, start, [0.0, 20.0], lgn.ImplicitMidpoint(0.01)).q.shape == (2, 1, 1)


def test_its_values_have_derivatives():
    """Of a line between two values, these alone, by their shares."""
    system = lgn.Lagrangian(lgn.single_node(), oscillator, force=force, control=lgn.Signal(T, np.sin(T)))
    state = jnp.ones((1, 1)), jnp.zeros((1, 1))
    slope = jax.grad(lambda signal: system.replace(control=signal).acceleration(*state, t=1.3)[0, 0])
    found, after = np.asarray(slope(lgn.Signal(T, np.sin(T))).values), np.searchsorted(T, 1.3)
    share = (1.3 - T[after - 1]) / (T[after] - T[after - 1])
    np.testing.assert_allclose(found[after - 1 : after + 1], [1 - share, share], atol=1e-12)
    assert np.count_nonzero(found) == 2


def test_a_checkpoint_keeps_it(tmp_path):
    system = lgn.Lagrangian(lgn.single_node(), oscillator, force=force, control=lgn.Signal(T, np.sin(T), lgn.Held()))
    lgn.save(tmp_path / "driven", system)
    state = jnp.ones((1, 1)), jnp.zeros((1, 1))
    assert lgn.load(tmp_path / "driven", trusted=[sys.modules[__name__]]).acceleration(
        *state, t=1.3
    ) == system.acceleration(*state, t=1.3)


@pytest.mark.parametrize(
    ("t", "values", "said"),
    [
        ([0.0, 1.0, 1.0], np.zeros(3), "t goes from 1.0 to 1.0 after 1"),
        ([0.0, 1.0], np.zeros(3), "values (3,)"),
        ([0.0], np.zeros(1), "at least two times"),
        ([0.0, 1.0], [0.0, np.nan], "not finite at t = 1.0"),
    ],
)
def test_what_is_no_signal(t, values, said):
    with pytest.raises(ValueError) as error:
        lgn.Signal(t, values)
    assert said in str(error.value)

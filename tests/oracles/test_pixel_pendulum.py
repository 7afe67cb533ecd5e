"""The pixel pendulum: its motion against scipy, its energy, and its frames against the rod that they show."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

import lgn
from lgn.systems import pixel_pendulum
from lgn.systems.pixel_pendulum import SIDE, STEP

STARTS = [(0.5, 0.0), (0.5, -1.0), (-0.3, 0.7), (0.0, 3.0), (2.8, -0.5), (0.0, 0.0)]


@pytest.mark.parametrize("start", STARTS)
def test_motion_against_scipy(start):
    t = STEP * np.arange(100)
    exact = solve_ivp(lambda t, y: [y[1], -15 * np.sin(y[0])], (0, t[-1]), start, "DOP853", t, rtol=1e-12, atol=1e-12)
    found = pixel_pendulum.motion(*start, t)
    np.testing.assert_allclose(np.stack(found), exact.y, atol=1e-8)
    energy = pixel_pendulum.energy(*found)
    np.testing.assert_allclose(energy, energy[0], atol=1e-12)
    np.testing.assert_allclose(pixel_pendulum.amplitude(energy[0]), np.abs(found[0]).max(), rtol=1e-2, atol=1e-12)


def test_a_start_that_turns_over_is_an_error():
    with pytest.raises(ValueError, match="turns over"):
        pixel_pendulum.motion(0.0, 8.0, np.zeros(1))


def test_density_gives_the_acceleration_and_the_energy():
    L = lgn.Lagrangian(lgn.single_node(), pixel_pendulum.density)
    q, v = np.random.default_rng(0).uniform(-2, 2, (2, 10, 1, 1))
    np.testing.assert_allclose(jax.vmap(L.acceleration)(q, v), pixel_pendulum.acceleration(q, v), atol=1e-12)
    np.testing.assert_allclose(jax.vmap(L.energy)(q, v), pixel_pendulum.energy(q, v)[:, 0, 0], atol=1e-12)


def test_frames_show_rod_and_bob():
    """Brightest around (10 sin q, 10 cos q) from the middle; halfway up the rod 0.6; a quarter turn turns the frame."""
    q = np.pi / 2 * np.arange(4)
    frames = pixel_pendulum.frames(q).reshape(4, SIDE, SIDE)
    assert frames.min() >= 0 and frames.max() <= 1
    for i in range(3):
        np.testing.assert_allclose(frames[i + 1], np.rot90(frames[i]), atol=1e-12)
    middle = (SIDE - 1) / 2
    y, x = np.mgrid[:SIDE, :SIDE] - middle
    bright = np.where(frames[0] > 0.8, frames[0], 0)
    assert (bright * x).sum() / bright.sum() == pytest.approx(0, abs=1e-12)
    assert (bright * y).sum() / bright.sum() == pytest.approx(pixel_pendulum.ROD, abs=0.3)
    assert frames[0][19, 13] == pytest.approx(0.6 * np.exp(-0.25), abs=0.01)


def test_frames_change_smoothly():
    """Four differences of one pixel fall as the fourth power of the step: nothing jumps from pixel to pixel."""
    sizes = [np.abs(np.diff(pixel_pendulum.frames(np.arange(0, 0.4, h)), 4, 0)).max() for h in (4e-3, 2e-3)]
    assert sizes[0] / sizes[1] == pytest.approx(16, rel=0.1)


def test_angles_are_read_off_the_frames():
    q = np.random.default_rng(0).uniform(-np.pi, np.pi, 50)
    np.testing.assert_allclose(pixel_pendulum.angles(pixel_pendulum.frames(q)), q, atol=1e-9)
    noisy = pixel_pendulum.frames(q) + 0.02 * np.random.default_rng(1).normal(size=(50, SIDE**2))
    assert np.abs(pixel_pendulum.angles(noisy) - q).max() < 0.01


def test_observed_films_give_the_energy():
    trials = pixel_pendulum.sample(jax.random.key(0), 5, 40)
    assert np.abs(trials.q[:, 0]).max() < np.pi / 6 and np.abs(trials.v[:, 0]).max() < 1
    q, v = pixel_pendulum.observed(trials.frames)
    np.testing.assert_allclose(q, trials.q[:, 3:-3], atol=1e-9)
    np.testing.assert_allclose(
        pixel_pendulum.energy(q, v), pixel_pendulum.energy(trials.q, trials.v)[:, 3:-3], atol=1e-5
    )
    assert jnp.isfinite(trials.frames).all()

"""Autoencoders: coordinates that unfold, states from two frames, and a latent that becomes the angle."""

import doctest
import functools
import traceback

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
from flax import nnx

import lgn
from experiments.support import autoencoder as home
from experiments.support.autoencoder import Autoencoder, Clips, MomentumState, VelocityState, film_loss, unfold
from lgn.data.preprocessing import differences
from lgn.systems import pixel_pendulum
from lgn.systems.pixel_pendulum import STEP

MIDPOINT = lgn.ImplicitMidpoint(STEP / 5)


@pytest.fixture(scope="module")
def films():
    return pixel_pendulum.sample(jax.random.key(0), 40, 30)


@pytest.fixture(scope="module")
def unfolding(films):
    return unfold(films.frames)


def autoencoder(unfolding):
    density = lgn.canonical(lgn.MLPDensity(1, 1, (8, 8), v_scale=4.0, rngs=nnx.Rngs(0)))
    system = lgn.EnergyFlow(lgn.single_node(), density, structure=lgn.Symplectic())
    return Autoencoder(unfolding, system, MomentumState(), rngs=nnx.Rngs(1))


def bend(angles, q):
    """What of q is not linear in the angle, relative."""
    return np.std(q - np.polyval(np.polyfit(angles, q, 1), angles)) / np.std(q)


def test_an_unfolding_follows_the_angle(films, unfolding):
    angles = np.linspace(-0.5, 0.5, 201)
    q = np.asarray(unfolding(pixel_pendulum.frames(angles)))[:, 0]
    assert abs(np.sum(np.sign(np.diff(q)))) == 200
    assert bend(angles, q) < 0.06
    assert np.std(unfolding(films.frames)) == pytest.approx(1.0, abs=0.05)


def test_a_sheet_unfolds_to_two_coordinates():
    """A strip of paper that is rolled up, in ten dimensions."""
    along, across = np.random.default_rng(0).uniform((0, 0), (3, 1), (600, 2)).T
    rolled = np.stack([np.cos(along), np.sin(along), across, np.cos(2 * along), np.sin(2 * along)], 1)
    points = rolled @ np.random.default_rng(1).normal(size=(5, 10))
    q = np.asarray(unfold(points, 2, 5)(points))
    assert abs(np.corrcoef(q[:, 0], along)[0, 1]) > 0.95


def test_a_gap_is_bridged_and_few_frames_are_an_error():
    angles = np.concatenate([np.linspace(-0.5, -0.15, 60), np.linspace(0.1, 0.5, 60)])
    q = np.asarray(unfold(pixel_pendulum.frames(angles))(pixel_pendulum.frames(angles)))[:, 0]
    assert abs(np.sum(np.sign(np.diff(q)))) == 119
    with pytest.raises(ValueError, match="5 frames for components=20"):
        unfold(np.zeros((5, 30)))


def test_differences_of_a_sine():
    """Errors of (w dt)^6 / 140 and / 560 relative."""
    t = 0.05 * np.arange(40)
    q, v, a = differences(jnp.sin(4 * t)[:, None], 0.05)
    assert float(abs(v[:, 0] - 4 * np.cos(4 * t[3:-3])).max()) == pytest.approx(4 * 0.2**6 / 140, rel=0.1)
    assert float(abs(a + 16 * q).max()) == pytest.approx(16 * 0.2**6 / 560, rel=0.1)
    with pytest.raises(ValueError, match="6 times; expected 7"):
        differences(q[:6], 0.05)


def test_the_start_reaches_the_second_frame(films, unfolding):
    model = autoencoder(unfolding)
    state = model.start(films.frames[:5, 0], films.frames[:5, 1], STEP, MIDPOINT)
    reached = model.follow(state, [0.0, STEP], MIDPOINT)[:, :, 0]
    np.testing.assert_allclose(reached[:, 0], model.encode(films.frames[:5, 0]), atol=1e-12)
    np.testing.assert_allclose(reached[:, 1], model.encode(films.frames[:5, 1]), atol=1e-7)


def test_the_decoder_starts_near_the_frames(films, unfolding):
    again = autoencoder(unfolding).decode(unfolding(films.frames))
    assert float(jnp.mean((again - films.frames) ** 2) / jnp.var(films.frames, axis=(0, 1)).mean()) < 0.01


def test_training_makes_the_latent_the_angle(films, unfolding):
    """dq/dt = dH/dp with p = dq/dt leaves no coordinate but the angle, up to scale and origin."""
    clips = Clips(unfolding.components_of(films.frames), jnp.full(len(films.q), STEP))
    fit = lgn.fit(autoencoder(unfolding), clips, key=jax.random.key(0), phases=[lgn.QuasiNewton(150)], loss=film_loss)
    assert fit.history[-1].loss < 0.05
    angles = np.linspace(-0.5, 0.5, 201)
    q = np.asarray(fit.system.encode(pixel_pendulum.frames(angles)))[:, 0]
    assert abs(np.sum(np.sign(np.diff(q)))) == 200
    assert bend(angles, q) < 0.01


def test_an_autoencoder_is_kept(unfolding, films, tmp_path):
    model = autoencoder(unfolding)
    lgn.save(tmp_path / "model", model)
    loaded = lgn.load(tmp_path / "model", trusted=[home])
    np.testing.assert_array_equal(
        loaded.decode(loaded.encode(films.frames[0])), model.decode(model.encode(films.frames[0]))
    )
    state = model.start(films.frames[:5, 0], films.frames[:5, 1], STEP, MIDPOINT)
    motion = lgn.rollout(loaded, tuple(x[0] for x in state), [0, 1.0], MIDPOINT)
    assert motion.u.shape == (2, 1, 2)


@pytest.mark.parametrize(
    ("q", "message"),
    [(np.zeros((2, 5, 3)), "7 times or more"), (np.full((2, 9, 3), np.nan), r"q is not finite at \(0, 0, 0\)")],
)
def test_clips_that_are_wrong(q, message):
    with pytest.raises(ValueError, match=message):
        Clips(q, np.full(2, 0.1)).check()


BEAD = lgn.Lagrangian(lgn.single_node(), lambda q, v, features: 0.5 * jnp.sum(v**2) - 0.5 * jnp.sum(q**2))


def film():
    return np.random.default_rng(0).normal(size=(30, 6))


@functools.cache
def unfolded():
    return unfold(film(), components=3, neighbours=4)


def encoder(*given, rngs=None, **settings):
    return Autoencoder(*given, rngs=nnx.Rngs(0) if rngs is None else rngs, **settings)


WRONG = [
    (lambda: unfolded()(film()[:, :4]), "4 pixels", "6"),
    (lambda: unfolded()([0.0] * 6), "frames is", "array"),
    (lambda: unfold(film()[:15]), "15 frames for components=20", "more frames"),
    (lambda: unfold(film(), components=10), "6 pixels", "components=10"),
    (lambda: unfold(film(), dim=0, components=3), "dim=0", "at least 1"),
    (lambda: unfold(film(), dim=40, components=3), "dim=40", "landmarks"),
    (lambda: unfold(film(), components=2.5), "components=2.5", "whole number"),
    (lambda: unfold(film(), components=3, neighbours=0), "neighbours=0", "at least 1"),
    (lambda: unfold(film() * np.nan, components=3), "frames", "not finite"),
    (lambda: unfold(film() * 1j, components=3), "frames", "complex128"),
    (lambda: unfold(1.0), "frames has shape ()", "(..., pixel)"),
    (lambda: encoder(film(), BEAD), "unfolding is", "unfold"),
    (lambda: encoder(unfolded(), np.sin), "system=", "rate"),
    (lambda: encoder(unfolded(), BEAD, hidden=8), "hidden=8", "(8,)"),
    (lambda: encoder(unfolded(), BEAD, units=0), "units=0", "at least 1"),
    (lambda: encoder(unfolded(), BEAD, rngs=0), "rngs is 0", "nnx.Rngs(0)"),
    (lambda: encoder(unfolded(), BEAD).encode(film()[:, :4]), "4 pixels", "6"),
    (lambda: encoder(unfolded(), BEAD).start(film()[:2], film()[2:4], 0.0), "dt=0.0", "positive"),
    (lambda: encoder(unfolded(), BEAD, VelocityState), "VelocityState is a class", "()"),
    (lambda: encoder(unfolded(), BEAD, "velocity"), "state='velocity'", "VelocityState()"),
    (lambda: encoder(unfolded(), BEAD, MomentumState), "MomentumState is a class", "()"),
    (lambda: Clips(np.zeros((2, 5, 3)), np.ones(2)).check(), "q has shape (2, 5, 3)", "7 times"),
    (lambda: Clips(np.zeros((2, 9, 3)), np.ones(3)).check(), "dt (3,)", "(clip,)"),
    (lambda: Clips(np.zeros((2, 9, 3)) * np.nan, np.ones(2)).check(), "q is not finite"),
    (lambda: Clips(np.zeros((2, 9, 3)) * 1j, np.ones(2)).check(), "q", "complex128"),
    (lambda: Clips(np.zeros((2, 9, 3)), -np.ones(2)).check(), "dt", "positive"),
    (
        lambda: film_loss(encoder(unfolded(), BEAD), lgn.States(*np.ones((2, 3, 1, 1)))),
        "States",
        "Clips",
    ),
    (lambda: film_loss(BEAD, Clips(np.zeros((2, 9, 3)), np.ones(2))), "model is", "Autoencoder"),
]


@pytest.mark.parametrize(("call", "words"), [pytest.param(call, words, id=words[0]) for call, *words in WRONG])
def test_a_wrong_call_says_what_to_do(call, words):
    jaxtyping.config.update("jaxtyping_disable", True)  # without the checks within the library, as users call
    try:
        with pytest.raises((ValueError, TypeError)) as caught:
            call()
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)
    *_, innermost = traceback.extract_tb(caught.value.__traceback__)
    assert innermost.filename.startswith((lgn.__path__[0], home.__file__)) and innermost.line.startswith("raise")
    assert not [word for word in words if word not in str(caught.value)], caught.value


def test_the_examples_of_the_docstrings_run():
    assert doctest.testmod(home).failed == 0

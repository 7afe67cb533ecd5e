"""Autoencoders: coordinates that unfold, states from two frames, and a latent that becomes the angle."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import lgn
from lgn.data.preprocessing import differences
from lgn.systems import pixel_pendulum
from lgn.systems.pixel_pendulum import STEP


@pytest.fixture(scope="module")
def films():
    return pixel_pendulum.sample(jax.random.key(0), 40, 30)


@pytest.fixture(scope="module")
def unfolding(films):
    return lgn.unfold(films.frames)


def autoencoder(unfolding):
    density = lgn.canonical(lgn.MLPDensity(1, 1, (8, 8), v_scale=4.0, rngs=nnx.Rngs(0)))
    system = lgn.EnergyFlow(lgn.single_node(), density, structure=lgn.Symplectic())
    return lgn.Autoencoder(unfolding, system, lgn.MomentumState(), rngs=nnx.Rngs(1))


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
    q = np.asarray(lgn.unfold(points, 2, 5)(points))
    assert abs(np.corrcoef(q[:, 0], along)[0, 1]) > 0.95


def test_a_gap_is_bridged_and_few_frames_are_an_error():
    angles = np.concatenate([np.linspace(-0.5, -0.15, 60), np.linspace(0.1, 0.5, 60)])
    q = np.asarray(lgn.unfold(pixel_pendulum.frames(angles))(pixel_pendulum.frames(angles)))[:, 0]
    assert abs(np.sum(np.sign(np.diff(q)))) == 119
    with pytest.raises(ValueError, match="5 frames for components=20"):
        lgn.unfold(np.zeros((5, 30)))


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
    state = model.start(films.frames[:5, 0], films.frames[:5, 1], STEP)
    reached = model.follow(state, [0.0, STEP])[:, :, 0]
    np.testing.assert_allclose(reached[:, 0], model.encode(films.frames[:5, 0]), atol=1e-12)
    np.testing.assert_allclose(reached[:, 1], model.encode(films.frames[:5, 1]), atol=1e-7)


def test_the_decoder_starts_near_the_frames(films, unfolding):
    again = autoencoder(unfolding).decode(unfolding(films.frames))
    assert float(jnp.mean((again - films.frames) ** 2) / jnp.var(films.frames, axis=(0, 1)).mean()) < 0.01


def test_training_makes_the_latent_the_angle(films, unfolding):
    """dq/dt = dH/dp with p = dq/dt leaves no coordinate but the angle, up to scale and origin."""
    clips = lgn.Clips(unfolding.components_of(films.frames), jnp.full(len(films.q), STEP))
    fit = lgn.fit(
        autoencoder(unfolding), clips, key=jax.random.key(0), phases=[lgn.QuasiNewton(150)], loss=lgn.film_loss
    )
    assert fit.history[-1].loss < 0.05
    angles = np.linspace(-0.5, 0.5, 201)
    q = np.asarray(fit.system.encode(pixel_pendulum.frames(angles)))[:, 0]
    assert abs(np.sum(np.sign(np.diff(q)))) == 200
    assert bend(angles, q) < 0.01


def test_an_autoencoder_is_kept(unfolding, films, tmp_path):
    model = autoencoder(unfolding)
    lgn.save(tmp_path / "model", model)
    loaded = lgn.load(tmp_path / "model")
    np.testing.assert_array_equal(
        loaded.decode(loaded.encode(films.frames[0])), model.decode(model.encode(films.frames[0]))
    )
    motion = lgn.rollout(
        loaded, tuple(x[0] for x in model.start(films.frames[:1, 0], films.frames[:1, 1], STEP)), [0, 1.0]
    )
    assert motion.u.shape == (2, 1, 2)


@pytest.mark.parametrize(
    ("q", "message"),
    [(np.zeros((2, 5, 3)), "7 times or more"), (np.full((2, 9, 3), np.nan), r"q is not finite at \(0, 0, 0\)")],
)
def test_clips_that_are_wrong(q, message):
    with pytest.raises(ValueError, match=message):
        lgn.Clips(q, np.full(2, 0.1)).check()

"""Validation: held-out data stop what begins to learn the noise, join the others in the end, and say what to trust."""

import functools
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import lgn
from lgn.learning import bfgs
from lgn.learning.validation import SHARE, split
from lgn.systems import wave

KEY = jax.random.key(0)


def noisy(noise, count=100, seed=0):
    data = wave.sample(jax.random.key(seed), count, 10)
    size = noise * np.sqrt(np.mean(np.asarray(data.a) ** 2))
    return data._replace(a=data.a + size * np.random.default_rng(seed).normal(size=data.a.shape))


def ring(hidden=(24, 24)):
    return lgn.Lagrangian(lgn.lattice((10,)), lgn.MLPDensity(3, 1, hidden, rngs=nnx.Rngs(0)))


def error(system):
    return lgn.diagnostics.acceleration_errors(system, wave.sample(jax.random.key(99), 200, 10))["acceleration_rel_rms"]


@functools.cache
def fitted(noise, validation=SHARE):
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        fit = lgn.fit(ring(), noisy(noise), key=KEY, phases=[lgn.QuasiNewton(400)], validation=validation)
    return fit, [str(x.message) for x in said if x.category is RuntimeWarning]


@pytest.mark.parametrize(("noise", "bound"), [(0.05, 0.03), pytest.param(0.01, 0.01, marks=pytest.mark.slow)])
def test_noise_is_not_learned(noise, bound):
    """The noise of the data is known here: the estimate finds it, and the error on clean states stays below."""
    fit, said = fitted(noise)
    assert error(fit.system) < bound
    np.testing.assert_allclose(fit.noise, noise, rtol=0.15)
    assert fit.held_out > 0.9 * noise
    assert fit.stopped in said and "the noise of the data is about" in fit.stopped


@pytest.mark.slow
def test_without_validation_the_same_data_are_fitted_too_well():
    fit, said = fitted(0.05, validation=None)
    assert error(fit.system) > 0.06 and np.isnan(fit.held_out) and not said


def test_exact_data_are_all_trained_on_for_as_many_steps():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit = lgn.fit(ring((6,)), noisy(0.0), key=KEY, phases=[lgn.QuasiNewton(200)])
    names = [row.phase for row in fit.history]
    assert names == 160 * ["quasi-newton"] + 40 * ["quasi-newton, all data"] and not fit.stopped
    assert fit.history[-1].loss < fit.history[159].loss and fit.noise < 3e-2
    np.testing.assert_allclose(fit.history[-1].loss, lgn.acceleration_loss(fit.system, noisy(0.0)), rtol=1e-6)


@pytest.mark.slow
def test_the_best_parameters_are_kept():
    """Of the held-out losses in the history that of the result is the least."""
    data = noisy(0.05)
    judge = jax.tree.map(lambda x: x[:20], noisy(0.05, seed=7))
    with pytest.warns(RuntimeWarning, match="of held-out data was least"):
        fit = lgn.fit(ring(), data, key=KEY, phases=[lgn.QuasiNewton(200)], validation=judge)
    least = np.nanmin([row.held_out for row in fit.history])
    np.testing.assert_allclose(lgn.acceleration_loss(fit.system, judge), least, rtol=1e-9)
    np.testing.assert_allclose(fit.held_out**2, least, rtol=1e-9)
    assert {row.phase for row in fit.history} == {"quasi-newton"}  # given data never join


def test_too_few_data_are_said():
    """On 12 states the network fits what it was trained on, and little else."""
    with pytest.warns(RuntimeWarning, match=r"on held-out data and .* which do not determine the model"):
        lgn.fit(ring(), noisy(0.0, 12), key=KEY, phases=[lgn.QuasiNewton(150)])


def test_a_resumed_run_ends_at_the_same_numbers(tmp_path, monkeypatch):
    """Stopped before, and after held-out data joined, with a checkpoint of every step."""

    def learn(**more):
        return lgn.fit(ring((4,)), noisy(0.05, 20), key=KEY, phases=[lgn.QuasiNewton(30)], **more)

    whole, advance = learn(), lgn.QuasiNewton.advance
    for at, name in ((11, "before"), (2, "after")):
        calls = iter(range(1000))

        def interrupted(phase, problem, state, at=at, name=name, calls=calls):
            joined = len(problem.data.q) == 20
            if joined == (name == "after") and phase.done(state) == at:
                raise KeyboardInterrupt
            return advance(phase, problem, state)

        monkeypatch.setattr(lgn.QuasiNewton, "advance", interrupted)
        with pytest.raises(KeyboardInterrupt):
            learn(folder=tmp_path / name, checkpoint_seconds=0.0)
        monkeypatch.undo()
        resumed = learn(folder=tmp_path / name)
        np.testing.assert_array_equal(
            np.array([row[1:] for row in resumed.history]), [row[1:] for row in whole.history]
        )
        assert (resumed.held_out, resumed.noise, resumed.stopped) == (whole.held_out, whole.noise, whole.stopped)
        for a, b in zip(*(jax.tree.leaves(nnx.state(x.system)) for x in (resumed, whole)), strict=True):
            np.testing.assert_array_equal(a, b)


def test_every_phase_is_watched_and_joined():
    for phase in (lgn.Minibatch(optax.adam(1e-3), 100, 8, chunk=20), lgn.LimitedMemory(50)):
        fit = lgn.fit(ring((4,)), noisy(0.0, 20), key=KEY, phases=[phase])
        assert fit.history[-1].phase == f"{phase.name}, all data" and np.isfinite(fit.held_out)
    own = lgn.fit(ring((4,)), noisy(0.0, 20), key=KEY, phases=[lgn.QuasiNewton(5, objective=lgn.residual_loss)])
    assert np.isnan(own.held_out) and len(own.history) == 5  # on the way to another objective the loss may rise


def test_bfgs_moves_with_its_hessian():
    """On two quadratics of the same Hessian the step after the move is Newton's."""
    A = np.diag([1.0, 3.0, 10.0]) + 0.5
    b = np.array([1.0, -2.0, 0.5])
    f = lambda x: (0.5 * x @ A @ x, A @ x)  # noqa: E731
    g = lambda x: (0.5 * x @ A @ x - b @ x, A @ x - b)  # noqa: E731
    state = bfgs.start(f, np.ones(3))
    while np.linalg.norm(state.gradient) > 1e-9 and not state.stuck:
        state = bfgs.step(f, state)
    state = bfgs.step(g, bfgs.move(g, state, np.full(3, 2.0)))
    np.testing.assert_allclose(state.x, np.linalg.solve(A, b), rtol=0.05, atol=0.05)


@pytest.mark.benchmark
def test_exact_data_cost_no_more_and_teach_no_less():
    """2000 iterations, with and without held-out data: seconds with compilation, and the median error of five seeds."""
    errors, seconds = [], []
    for seed in range(5):
        system = lgn.Lagrangian(lgn.lattice((10,)), lgn.MLPDensity(3, 1, rngs=nnx.Rngs(seed)))
        for validation in (SHARE, None):
            fit = lgn.fit(system, noisy(0.0, seed=seed), key=jax.random.key(seed), validation=validation)
            errors.append(error(fit.system))
            seconds.append(fit.seconds)
    (held, every), (slow, plain) = np.median(np.reshape(errors, (5, 2)), 0), np.sum(np.reshape(seconds, (5, 2)), 0)
    print(f"error {held:.2e} with held-out data, {every:.2e} without; seconds {slow:.1f} and {plain:.1f}")
    print(np.reshape(errors, (5, 2)), np.reshape(seconds, (5, 2)))
    assert slow < 1.1 * plain and held < 3 * every  # two seeds of one setting differ by more than that


# -- What is held out ------------------------------------------------------------------------------------------------


def parts(data, loss=lgn.acceleration_loss, validation=SHARE):
    return split(data, loss, validation, KEY)


def recording(count=50, **more):
    t = 0.1 * np.arange(count)
    return lgn.windows(t, np.cos(t)[:, None, None], -np.sin(t)[:, None, None], length=5, **more)


def test_pieces_of_one_motion_do_not_overlap_those_that_judge():
    data = recording()
    found = parts(data, lgn.RolloutLoss(lgn.Verlet(0.1), 0.1))
    assert len(found.held.q) == round(0.2 * len(data.q)) and len(found.train.q)
    begin, end = found.held.t.min(), found.held.t.max() + 0.4
    assert ((found.train.t + 0.4 < begin) | (found.train.t > end)).all()
    assert found.train.t.min() < begin and found.train.t.max() > end  # from either side


def test_whole_trials_are_held_out():
    data = lgn.joined([recording(12) for _ in range(10)])
    found = parts(data, lgn.RolloutLoss(lgn.Verlet(0.1), 0.1))
    assert len(set(found.held.trial.tolist())) == 2
    assert not set(found.held.trial.tolist()) & set(found.train.trial.tolist())
    assert len(found.held.q) + len(found.train.q) == len(data.q)
    states = noisy(0.0, 30)._replace(trial=np.arange(30) // 10)
    assert len(set(np.asarray(parts(states).held.trial).tolist())) == 1


def test_steps_alone_do_not_judge():
    """Held-out pairs of noisy states reward a model that fits the noise."""
    pairs = recording()._replace(q=recording().q[:, :2], v=recording().v[:, :2])
    assert parts(pairs, lgn.DiscreteLoss()).judge is None
    assert parts(pairs, lgn.RolloutLoss(lgn.Verlet(0.1), 0.1)).judge is None
    assert parts(recording()._replace(v=None), lgn.variational_loss).judge is None
    assert parts(recording(), lgn.DiscreteLoss()).judge is None
    assert parts(recording()._replace(v=None), lgn.WeightPenalty(1e-6, lgn.variational_loss)).judge is None


def test_shooting_is_judged_by_the_end_of_each_piece():
    data = recording()
    found = parts(data, lgn.ShootingLoss(lgn.Verlet(0.1), 0.1))
    assert found.train.seen[:, :4].all() and not found.train.seen[:, 4:].any()
    np.testing.assert_array_equal(found.train.seen, ~found.held.seen)
    penalised = parts(data, lgn.WeightPenalty(1e-6, lgn.ShootingLoss(lgn.Verlet(0.1), 0.1)))
    np.testing.assert_array_equal(penalised.train.seen, found.train.seen)


def test_few_samples_are_all_trained_on():
    assert parts(noisy(0.0, 9)).held is None and parts(noisy(0.0, 10)).held is not None


# -- Robust errors and penalties -------------------------------------------------------------------------------------


def test_huber_is_the_square_of_small_and_linear_in_large_differences():
    exact = np.ones((1, 4, 1))
    small, large = exact + 1e-4, exact + jnp.array([100.0, 0, 0, 0])[None, :, None]
    robust = lgn.Huber(0.1)
    np.testing.assert_allclose(robust(small, exact), 1e-8, rtol=1e-4)
    np.testing.assert_allclose(robust(large, exact), 2 * 0.1 * (100 - 0.1) / 4, rtol=1e-4)
    with pytest.raises(ValueError, match="positive"):
        lgn.Huber(0.0)


@pytest.mark.slow
def test_huber_learns_beside_outliers():
    """One value in fifty is off by ten times its size; the true law has a small robust loss, and training finds it."""
    data = noisy(0.0)
    slips = np.random.default_rng(1).random(data.a.shape) < 0.02
    spoiled = data._replace(a=data.a + 10 * slips * np.std(np.asarray(data.a)))
    robust = functools.partial(lgn.acceleration_loss, error=lgn.Huber(0.02))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        plain, found = (
            lgn.fit(ring((8, 8)), spoiled, key=KEY, phases=[lgn.QuasiNewton(150)], loss=loss)
            for loss in (lgn.acceleration_loss, robust)
        )
    assert error(found.system) < 0.1 * error(plain.system)


def test_a_penalty_keeps_the_weights_small_and_does_not_judge():
    def size(system):
        return sum(float(jnp.sum(x**2)) for x in jax.tree.leaves(nnx.state(system, nnx.Param)) if x.ndim > 1)

    loss = lgn.WeightPenalty(1e-4)
    free, held = (
        lgn.fit(ring((8,)), noisy(0.01, 20), key=KEY, phases=[lgn.QuasiNewton(60)], loss=x, validation=None)
        for x in (lgn.acceleration_loss, loss)
    )
    assert size(held.system) < size(free.system)
    assert parts(noisy(0.0, 20), loss).judge is lgn.acceleration_loss
    np.testing.assert_allclose(
        loss(held.system, noisy(0.0, 20)) - lgn.acceleration_loss(held.system, noisy(0.0, 20)),
        1e-4 * size(held.system),
        rtol=1e-9,
    )


def test_a_target_of_held_out_data_ends_the_training_and_all_of_them_judge():
    system = lgn.Lagrangian(lgn.lattice((5,)), lgn.MLPDensity(3, 1, (4,), rngs=nnx.Rngs(0)))
    data, held = (wave.sample(jax.random.key(i), count, 5) for i, count in ((0, 20), (1, 60)))
    phases = [lgn.QuasiNewton(steps=400, target=0.3)]
    result = lgn.fit(system, data, key=jax.random.key(2), phases=phases, validation=held)
    assert result.held_out <= 0.3 and len(result.history) < 400
    own = float(jnp.sqrt(lgn.acceleration_loss(result.system, jax.tree.map(jnp.asarray, held))))
    assert result.held_out == pytest.approx(own, rel=1e-10)


def test_a_target_beside_an_objective_is_refused():
    with pytest.raises(ValueError, match="beside an objective"):
        lgn.QuasiNewton(target=0.1, objective=lgn.residual_loss)


def test_a_penalty_leaves_the_starts_of_pieces_alone():
    data = recording()
    system = lgn.Lagrangian(lgn.single_node(), lgn.MLPDensity(1, 1, (4,), rngs=nnx.Rngs(0)))
    penalty = lgn.WeightPenalty(1.0, lambda system, data: jnp.zeros(()))
    far = lgn.Shooting(system, data._replace(q=100 + data.q))
    np.testing.assert_allclose(penalty(far, data), penalty(system, data), rtol=1e-12)

"""Training: every phase lowers the error, a killed run goes on to the same numbers, and what goes wrong is said."""

import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from scipy.optimize import minimize, rosen, rosen_der

import lgn
from lgn.learning import bfgs
from lgn.systems import wave


def ring(mass=1.0, seed=0, hidden=(6,)):
    return lgn.Lagrangian(lgn.lattice((5,)), lgn.MLPDensity(3, 1, hidden, mass=mass, rngs=nnx.Rngs(seed)))


@pytest.fixture(scope="module")
def data():
    return wave.sample(jax.random.key(0), 30, 5)


def test_bfgs_finds_the_minimum_of_rosenbrock_like_scipy():
    start = np.array([-1.2, 1.0, 0.5, -0.3])
    state = bfgs.start(lambda x: (rosen(x), rosen_der(x)), start)
    for _ in range(100):
        if state.stuck:
            break
        state = bfgs.step(lambda x: (rosen(x), rosen_der(x)), state)
    reference = minimize(rosen, start, jac=rosen_der, method="BFGS", options={"gtol": 1e-10})
    np.testing.assert_allclose(state.x, 1.0, atol=1e-6)
    np.testing.assert_allclose(state.x, reference.x, atol=1e-6)


def test_bfgs_goes_on_from_a_point_in_a_steep_valley():
    """The logarithm of a quadratic whose curvatures span 12 decades, from where the steep directions are solved: the
    steepest descent goes down for a ten-millionth of its first trial only."""
    scale = np.logspace(0, 12, 5)
    f = lambda x: (np.log(0.5 * x @ (scale * x)), scale * x / (0.5 * x @ (scale * x)))  # noqa: E731
    state = bfgs.start(f, np.r_[1.0, 1e-1, 1e-2, 1e-5, 1e-8])
    first = float(state.value)
    for _ in range(200):
        state = state if state.stuck else bfgs.step(f, state)
    assert state.value < first - 10


def test_bfgs_inverse_hessian_is_exact_on_a_quadratic():
    """After p exact-enough steps on a quadratic of p variables the estimate is the inverse Hessian."""
    A = np.diag([1.0, 3.0, 10.0]) + 0.5
    f = lambda x: (0.5 * x @ A @ x, A @ x)  # noqa: E731
    state = bfgs.start(f, np.ones(3))
    for _ in range(30):
        if state.stuck or np.linalg.norm(state.gradient) < 1e-12:
            break
        state = bfgs.step(f, state)
    np.testing.assert_allclose(state.x, 0.0, atol=1e-9)
    inverse = np.triu(state.inverse) + np.triu(state.inverse, 1).T
    np.testing.assert_allclose(inverse, np.linalg.inv(A), rtol=1e-2, atol=1e-3)


def test_match_starts_a_pure_network_from_the_known_lagrangian(data):
    """Afterwards M is near the identity and f near zero, though the network had random weights."""
    system = ring(mass=None, hidden=(16,))
    fit = lgn.fit(system, data, key=jax.random.key(1), phases=[lgn.pretrain(steps=150, tolerance=1e-2)])
    q, v = data.q[0], data.v[0]
    assert abs(np.asarray(system.mass_matrix(q, v).toarray()) - np.eye(5)).max() > 0.3
    np.testing.assert_allclose(fit.system.mass_matrix(q, v).toarray(), np.eye(5), atol=0.15)


@pytest.mark.newest
def test_phases_lower_the_error_and_same_key_gives_same_history(data):
    phases = [lgn.Minibatch(optax.adam(1e-2), 200, 10), lgn.QuasiNewton(40)]
    first, second, other = (
        lgn.fit(ring(), data, key=jax.random.key(i), phases=some, validation=None)
        for i, some in ((1, phases), (1, phases), (2, phases[:1]))
    )
    assert first.history == second.history and other.history != first.history[: len(other.history)]
    assert first.history[-1].loss < 0.1 * first.history[0].loss


def test_limited_memory_lowers_the_error_and_resumes_to_the_same_numbers(data, tmp_path, monkeypatch, interrupt):
    """Ended by an error in the middle, after a checkpoint of every step."""
    phases = [lgn.LimitedMemory(40, memory=5)]
    learn = partial(lgn.fit, ring(), data, key=jax.random.key(1), phases=phases, validation=None)
    whole = learn()
    assert len(whole.history) == 40 and whole.history[-1].loss < 0.1 * whole.history[0].loss
    np.testing.assert_allclose(whole.history[-1].loss, lgn.acceleration_loss(whole.system, data), rtol=1e-10)
    interrupt(lgn.LimitedMemory, at=12)
    with pytest.raises(KeyboardInterrupt):
        learn(folder=tmp_path, checkpoint_seconds=0.0)
    monkeypatch.undo()
    resumed = learn(folder=tmp_path)
    assert resumed.history == whole.history
    jax.tree.map(np.testing.assert_array_equal, resumed.system, whole.system)


def test_loss_is_the_relative_mean_squared_error(data):
    system = ring()
    a = jax.vmap(system.acceleration)(data.q, data.v)
    expected = ((a - data.a) ** 2).mean() / (np.asarray(data.a) ** 2).mean()
    np.testing.assert_allclose(lgn.acceleration_loss(system, data), expected, rtol=1e-12)


def test_nan_stops_minibatches_keeps_the_last_good_parameters_and_says_why(data):
    phases = [lgn.Minibatch(optax.sgd(1e300), 300, 5, chunk=100)]
    with pytest.warns(RuntimeWarning, match="where the loss and its gradient are finite: lower the rate"):
        fit = lgn.fit(ring(), data, key=jax.random.key(1), phases=phases, validation=None)
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(fit.system))


def test_singular_start_is_reported_by_quasi_newton(data):
    """Zero weights and no prior: M is zero everywhere."""
    system = jax.tree.map(jnp.zeros_like, ring(mass=None))
    with pytest.warns(RuntimeWarning, match="status 2"):
        fit = lgn.fit(system, data, key=jax.random.key(1), phases=[lgn.QuasiNewton(5)], validation=None)
    assert fit.history == [] and "pretrain" in fit.stopped


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d._replace(a=d.a[:, :3]), "a has shape"),
        (lambda d: d._replace(q=d.q.at[3, 2, 0].set(jnp.nan)), r"q is not finite at .* \(3, 2, 0\)"),
        (lambda d: lgn.States(d.q[0], d.v[0], d.a[0]), r"expected \(sample, node, dim\)"),
        (lambda d: lgn.States(d.q[:0], d.v[:0], d.a[:0]), "expected"),
    ],
)
def test_bad_data(data, change, message):
    with pytest.raises(ValueError, match=message):
        lgn.fit(ring(), change(data), key=jax.random.key(0))


SCRIPT = """
import sys, time, jax
jax.config.update("jax_enable_x64", True)
import lgn, optax
from flax import nnx
from lgn.systems import wave
folder, how = sys.argv[1:]
if how == "endless":  # slow enough to be written, and however late the signal comes, it meets a run that goes on
    advance = lgn.QuasiNewton.advance
    def slowly(phase, problem, state):
        time.sleep(0.02 if phase.done(state) < 100 else 3600)
        return advance(phase, problem, state)
    lgn.QuasiNewton.advance = slowly
system = lgn.Lagrangian(lgn.lattice((5,)), lgn.MLPDensity(3, 1, (6,), rngs=nnx.Rngs(0)))
phases = [lgn.Minibatch(optax.adam(1e-2), 300, 10, chunk=50), lgn.QuasiNewton(150)]
data = wave.sample(jax.random.key(0), 30, 5)
lgn.fit(system, data, key=jax.random.key(1), phases=phases, folder=folder, checkpoint_seconds=0.05)
"""


def test_sigkill_and_resume_gives_the_same_csv(tmp_path):
    def launch(folder, how="whole"):
        return subprocess.Popen([sys.executable, "-c", SCRIPT, str(folder), how], cwd=Path(__file__).parents[2])

    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert launch(whole).wait() == 0
    victim, file = launch(broken, "endless"), broken / "metrics.csv"
    try:
        while not (file.exists() and file.read_text().count("quasi-newton") > 3):
            assert victim.poll() is None, "it ended before a row of the second phase was written"
            time.sleep(0.05)
    finally:
        victim.kill()
    assert victim.wait() == -signal.SIGKILL
    assert file.read_text() != (whole / "metrics.csv").read_text()
    assert launch(broken).wait() == 0
    assert file.read_text() == (whole / "metrics.csv").read_text()

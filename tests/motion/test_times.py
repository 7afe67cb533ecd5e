"""Times: other ts are no other program, and what they are padded with does not change the motion."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lgn
from lgn.motion import rollout as module


def pendulum(q, v, features):
    return 0.5 * v[0, 0] ** 2 + jnp.cos(q[0, 0])


PENDULUM = lgn.Lagrangian(lgn.single_node(), pendulum)
START = (jnp.array([[2.0]]), jnp.array([[0.0]]))
INTEGRATORS = [lgn.Adaptive(), lgn.Verlet(0.03), lgn.ImplicitMidpoint(0.03), lgn.Variational(0.03)]
by_integrator = pytest.mark.parametrize("integrator", INTEGRATORS, ids=lambda x: type(x).__name__)


@by_integrator
def test_other_times_are_no_other_program_and_no_other_motion(integrator):
    """Other values, ten times the span, other numbers: as by the integrator at these very times."""
    uneven = np.array([0.5, 0.6, 0.61, 0.9, 1.3, 1.7])
    times = [np.linspace(0, 1, 9), uneven, np.linspace(0, 10, 9), np.linspace(-1, 0.5, 7)]
    lgn.rollout(PENDULUM, START, times[0], integrator)
    before = module._rollout._cache_size()
    for ts in times:
        motion = lgn.rollout(PENDULUM, START, ts, integrator)
        assert motion.q.shape == (len(ts), 1, 1) and motion.energy.shape == motion.status.shape == (len(ts),)
        np.testing.assert_array_equal(motion.t, ts)
        np.testing.assert_allclose(motion.energy, [PENDULUM.energy(*x) for x in zip(*motion.state, strict=True)])
    assert module._rollout._cache_size() == before
    for ts in times[1:3]:
        expected = jax.jit(lambda q, v, ts=ts: integrator(PENDULUM, (q, v), ts))(*START)
        motion = lgn.rollout(PENDULUM, START, ts, integrator)
        np.testing.assert_allclose(motion.state, expected, rtol=1e-11, atol=1e-11)


def test_another_number_of_times_compiles_nothing(caplog):
    """Seven times are padded to the eight intervals of nine; to judge and to cut what was found takes no program."""
    lgn.rollout(PENDULUM, START, np.linspace(0, 1, 9), lgn.Verlet(0.01))
    with jax.log_compiles():
        motion = lgn.rollout(PENDULUM, START, np.linspace(0, 1, 7), lgn.Verlet(0.01))
    assert motion.q.shape == (7, 1, 1)
    assert not [x.getMessage() for x in caplog.records if "ompil" in x.getMessage()]


@by_integrator
def test_times_may_be_traced(integrator):
    """Under jit and vmap, as outside; with padding, which changes nothing."""
    ends = jnp.array([0.5, 2.0])
    end = jax.jit(jax.vmap(lambda end: lgn.rollout(PENDULUM, START, jnp.stack([0 * end, end, end]), integrator).q[-1]))
    expected = [lgn.rollout(PENDULUM, START, [0.0, float(end)], integrator).q[-1] for end in ends]
    np.testing.assert_allclose(end(ends), expected, rtol=1e-10)


def test_a_parameter_that_a_density_closes_over_has_a_reverse_derivative():
    """q = cos(sqrt(k) t), so dq/dk = -t sin(sqrt(k) t) / (2 sqrt(k))."""

    def end(k):
        L = lgn.Lagrangian(lgn.single_node(), lambda q, v, features: 0.5 * v[0, 0] ** 2 - 0.5 * k * q[0, 0] ** 2)
        return lgn.rollout(L, (np.ones((1, 1)), np.zeros((1, 1))), [0.0, 1.0], lgn.Verlet(1e-3)).q[-1, 0, 0]

    assert float(jax.jit(jax.grad(end))(4.0)) == pytest.approx(-np.sin(2.0) / 4, abs=1e-6)


def test_an_integrator_of_your_own_gets_times_of_numpy():
    def free(system, state, ts):
        q, v = state
        return np.asarray(ts)[:, None, None] * v + q, np.ones((len(ts), 1, 1)) * v

    still = lgn.Lagrangian(lgn.single_node(), lambda q, v, features: 0.5 * v[0, 0] ** 2)
    motion = lgn.rollout(still, (np.zeros((1, 1)), np.ones((1, 1))), [0.0, 1.0, 2.0, 3.0], free)
    np.testing.assert_array_equal(motion.q[:, 0, 0], [0.0, 1.0, 2.0, 3.0])


@pytest.mark.parametrize("count", [3, 4])
def test_a_motion_is_not_bound_to_a_device_unless_its_start_is(count):
    motion = lgn.rollout(PENDULUM, START, np.linspace(0, 1, count), lgn.Verlet(0.1))
    assert not motion.q.committed

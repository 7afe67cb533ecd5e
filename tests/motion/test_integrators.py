"""Integrators: order of convergence, time reversal, energy, dissipation, transfer, errors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lgn
from lgn import diagnostics
from lgn.systems import wave


def string(q, v, features):
    return 0.5 * v[0, 0] ** 2 - 2.5 * (q[2, 0] - q[0, 0]) ** 2


def pendulum(q, v, features):
    return 0.5 * v[0, 0] ** 2 + jnp.cos(q[0, 0])


PENDULUM = lgn.Lagrangian(lgn.single_node(), pendulum)
START = (jnp.array([[2.0]]), jnp.array([[0.0]]))


def pendulum_by_scipy(end, friction=0.0):
    from scipy.integrate import solve_ivp

    def rate(t, y):
        return [y[1], -np.sin(y[0]) - friction * y[1]]

    return solve_ivp(rate, (0, end), [2.0, 0.0], rtol=1e-12, atol=1e-12).y[0, -1]


@pytest.mark.newest
def test_adaptive_agrees_with_scipy():
    motion = lgn.rollout(PENDULUM, START, [0.0, 20.0], lgn.Adaptive(1e-11, 1e-11))
    assert motion.q[-1, 0, 0] == pytest.approx(pendulum_by_scipy(20.0), abs=1e-8)


@pytest.mark.parametrize("friction", [0.0, 0.3])
@pytest.mark.parametrize("integrator", [lgn.ImplicitMidpoint, lgn.Verlet])
def test_fixed_steps_are_of_order_2(integrator, friction):
    def rub(q, v, features):
        return 0.5 * friction * v[0, 0] ** 2

    damped = lgn.Lagrangian(lgn.single_node(), pendulum, dissipation=rub)
    exact = pendulum_by_scipy(2.0, friction)
    errors = [
        abs(float(lgn.rollout(damped, START, [0.0, 2.0], integrator(dt)).q[-1, 0, 0]) - exact) for dt in (0.05, 0.025)
    ]
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    np.testing.assert_allclose(orders, 2.0, atol=0.05)


def test_implicit_midpoint_keeps_a_quadratic_energy_and_is_time_reversible():
    L = lgn.Lagrangian(lgn.lattice((12,)), string)
    q, v = np.random.default_rng(0).normal(size=(2, 12, 1))
    there = lgn.rollout(L, (q, v), np.linspace(0, 50, 11), lgn.ImplicitMidpoint(0.1))
    assert diagnostics.drift(there.energy) < 1e-10
    back = lgn.rollout(L, (there.q[-1], -there.v[-1]), [0.0, 50.0], lgn.ImplicitMidpoint(0.1))
    np.testing.assert_allclose(back.q[-1], q, atol=1e-8)


def test_verlet_keeps_the_energy_of_a_string_within_bounds():
    """For a linear oscillator the modified energy q^2 (1 - (omega dt / 2)^2) + ... is exact: no drift, however long."""
    L = lgn.Lagrangian(lgn.lattice((12,)), string)
    q, v = np.random.default_rng(0).normal(size=(2, 12, 1))
    dt = 0.2
    energy = lgn.rollout(L, (q, v), np.linspace(0, 2000, 401), lgn.Verlet(dt)).energy
    change = np.abs(energy / energy[0] - 1)
    assert change[200:].max() < 1.1 * change[:200].max() < 2 * (2 * np.sqrt(wave.STIFFNESS) * dt / 2) ** 2


def test_ring_follows_the_fourier_solution_and_keeps_momentum():
    L = lgn.Lagrangian(lgn.lattice((100,)), string)
    state = wave.pulse(100)
    state = state[0], state[1] + 0.1
    ts = np.linspace(0, 149.5, 5)
    motion = lgn.rollout(L, state, ts)
    assert diagnostics.relative_l2(motion.q, wave.exact(*state, ts)[0]).max() < 1e-6
    assert diagnostics.drift(motion.energy) < 1e-6
    momentum = diagnostics.momentum(L, motion)
    np.testing.assert_allclose(momentum, 10.0, rtol=1e-12)
    assert motion.residual.max() < 1e-12


def test_exact_solution_solves_the_equation():
    """Its second time derivative, by finite differences, is the acceleration; its v is the derivative of its q."""
    q, v = np.random.default_rng(1).normal(size=(2, 9, 1))
    h = 1e-4
    (before, now, after), velocity = wave.exact(q, v, [3 - h, 3.0, 3 + h])
    np.testing.assert_allclose((after - 2 * now + before) / h**2, wave.acceleration(now), atol=1e-5)
    np.testing.assert_allclose((after - before) / (2 * h), velocity[1], atol=1e-6)


def test_published_size_of_the_acceleration():
    """Mean 9.604 and standard deviation 12.04, as the published training data have them."""
    states = wave.sample(jax.random.key(0), 20_000, 10)
    assert float(jnp.abs(states.a).mean()) == pytest.approx(9.604, rel=1e-2)
    assert float(states.a.std()) == pytest.approx(12.04, rel=1e-2)


def test_energy_falls_with_friction_at_the_rate_of_the_rayleigh_function():
    """R = c v^2 / 2 on every node of a free particle: v = v0 exp(-c t)."""

    def friction(q, v, features):
        return 0.15 * v[0, 0] ** 2

    L = lgn.Lagrangian(lgn.lattice((4,)), string, dissipation=friction)
    q, v = np.random.default_rng(2).normal(size=(2, 4, 1))
    motion = lgn.rollout(L, (q, v), np.linspace(0, 10, 101), lgn.ImplicitMidpoint(0.05))
    assert (np.diff(motion.energy) < 0).all()
    together = np.zeros_like(q), np.ones_like(v)  # moving as a whole: no spring acts
    free = lgn.rollout(L, together, [0.0, 2.0], lgn.ImplicitMidpoint(0.001))
    np.testing.assert_allclose(free.v[-1], np.exp(-0.3 * 2), rtol=1e-7)


def test_force_may_depend_on_time():
    """q_tt = cos t from rest: q = 1 - cos t."""

    def free(q, v, features):
        return 0.5 * v[0, 0] ** 2

    L = lgn.Lagrangian(lgn.single_node(), free, force=lambda q, v, t: jnp.cos(t) * jnp.ones_like(q))
    rest = np.zeros((1, 1)), np.zeros((1, 1))
    motion = lgn.rollout(L, rest, [0.0, 1.0, 3.0], lgn.ImplicitMidpoint(0.001))
    np.testing.assert_allclose(motion.q[:, 0, 0], 1 - np.cos([0.0, 1.0, 3.0]), atol=1e-6)


def test_clamped_ends_reflect_a_pulse_upside_down():
    n = 200
    L = lgn.Lagrangian(lgn.clamp(lgn.lattice((n,), periodic=False), [0, n - 1]), string)
    q, v = wave.pulse(n, width=12)  # wide, so that the lattice's dispersion is small
    # the two halves run out sqrt(5) nodes a unit of time, turn round, and meet again in the middle
    motion = lgn.rollout(L, (q, v), [0.0, (n - 1) / np.sqrt(5)], lgn.Verlet(0.1))
    assert float(motion.q[-1, n // 2, 0]) == pytest.approx(-1.0, abs=0.02)
    free = lgn.Lagrangian(lgn.lattice((n,), periodic=False), string)
    # `string` sums over the spring on the right only, so an open chain is free at both ends
    motion = lgn.rollout(free, (q, v), [0.0, n / np.sqrt(5)], lgn.Verlet(0.1))
    assert float(motion.q[-1, n // 2, 0]) == pytest.approx(1.0, abs=0.02)


def test_rollout_can_be_differentiated():
    """d q(t) / d q(0) of a harmonic oscillator is cos t."""

    def oscillator(q, v, features):
        return 0.5 * v[0, 0] ** 2 - 0.5 * q[0, 0] ** 2

    L = lgn.Lagrangian(lgn.single_node(), oscillator)
    end = lambda q: lgn.rollout(L, (q, jnp.zeros_like(q)), [0.0, 1.0], lgn.ImplicitMidpoint(0.01)).q[-1, 0, 0]  # noqa: E731
    assert float(jax.jit(jax.grad(end))(np.ones((1, 1)))[0, 0]) == pytest.approx(np.cos(1.0), abs=1e-4)


@pytest.mark.parametrize(
    ("state", "ts", "message"),
    [
        (START, [0.0], "at least two times"),
        (START, [0.0, 1.0, 1.0], "strictly increasing"),
        ((START[0] * np.nan, START[1]), [0.0, 1.0], "not finite at node 0"),
        ((np.zeros((2, 1)), np.zeros((2, 1))), [0.0, 1.0], "expected"),
    ],
)
def test_bad_rollouts(state, ts, message):
    with pytest.raises(ValueError, match=message):
        lgn.rollout(PENDULUM, state, ts)


def test_motion_into_a_singular_mass_matrix_is_reported():
    """M = 1 - q vanishes at q = 1, which a free particle reaches."""

    def thinning(q, v, features):
        return 0.5 * (1 - q[0, 0]) * v[0, 0] ** 2

    L = lgn.Lagrangian(lgn.single_node(), thinning)
    with pytest.raises(FloatingPointError, match="no finite state after t"):
        lgn.rollout(L, (np.zeros((1, 1)), np.ones((1, 1))), [0.0, 0.1, 1.0], lgn.Adaptive(max_steps=1000))

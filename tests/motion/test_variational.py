"""Variational: order, symplecticity, symmetry, energy over 100,000 steps, forces, clamps, derivatives, errors."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given
from hypothesis import strategies as some

import lgn
from lgn import diagnostics
from lgn.systems import double_pendulum

PENDULUM = lgn.Lagrangian(lgn.single_node(), double_pendulum.density)
START = jnp.array([[0.5, 0.8]]), jnp.array([[0.3, -0.4]])  # E = -19.8 of -29.4 J: both rods swing widely


def network(slots=3, dim=1, hidden=(8,), initializer=lgn.lecun_normal, **options):
    """A density of random weights, large ones unless told otherwise, so that M depends on q and v."""
    return lgn.MLPDensity(slots, dim, hidden, activation=jnp.tanh, initializer=initializer, rngs=nnx.Rngs(0), **options)


def string(q, v, features):
    return 0.5 * v[0, 0] ** 2 - 2.5 * (q[2, 0] - q[0, 0]) ** 2


class Strained(nnx.Module):
    """A string with a random network beside it, whose M depends on q and v: L is not separable."""

    def __init__(self, initializer=lgn.lecun_normal):
        self.part = network(hidden=(8, 8), relative=True, initializer=initializer)

    def __call__(self, q, v, features):
        return self.part(q, v, features) - 2.5 * (q[2, 0] - q[0, 0]) ** 2


@partial(jax.jit, static_argnums=(2, 3, 4))
def end(system, state, t, dt, integrator=lgn.Variational):
    q, v = integrator(dt)(system, state, np.array([0.0, t]))
    return q[-1], v[-1]


def orders(system, state, exact, t, dts):
    errors = [np.abs(np.concatenate(end(system, state, t, dt)) - np.concatenate(exact)).max() for dt in dts]
    return np.log2(np.array(errors[:-1]) / errors[1:])


# -- Order -----------------------------------------------------------------------------------------------------------


def test_order_2_on_the_double_pendulum(friction=0.25):
    """Against DOP853 of the equations solved by hand; M depends on q, and there are velocities in the force."""
    system = lgn.Lagrangian(lgn.single_node(), double_pendulum.density, dissipation=double_pendulum.friction)
    q, v = double_pendulum.trajectory(*START, [0.0, 2.0], friction)
    found = orders(system, START, (q[-1], v[-1]), 2.0, (0.01, 0.005))
    np.testing.assert_allclose(found, 2.0, atol=0.05)


# -- Geometry --------------------------------------------------------------------------------------------------------

NOT_SEPARABLE = {
    "double pendulum": (PENDULUM, START),
    "network on a ring": (
        lgn.Lagrangian(lgn.lattice((5,)), Strained()),
        tuple(np.random.default_rng(3).normal(size=(2, 5, 1))),
    ),
}


@pytest.mark.parametrize("name", NOT_SEPARABLE)
def test_the_step_map_is_symplectic(name):
    """J^T Omega J = Omega for the Jacobian of (q, p) -> (q', p'); five steps at once, each far from small.

    With A = d(q', p')/d(q, v) and B = d(q, p)/d(q, v), J = A B^-1.
    """
    system, (q, v) = NOT_SEPARABLE[name]

    def after(x, steps):
        state = tuple(x.reshape(2, *q.shape))
        if steps:
            state = end(system, state, steps * 0.05, 0.05)
        return jnp.concatenate([jnp.ravel(state[0]), jnp.ravel(system.momentum(*state))])

    x = jnp.concatenate([jnp.ravel(q), jnp.ravel(v)])
    A, B = (jax.jit(jax.jacfwd(partial(after, steps=steps)))(x) for steps in (5, 0))
    J = A @ jnp.linalg.inv(B)
    omega = np.kron([[0, 1], [-1, 0]], np.eye(q.size))
    assert np.abs(J - np.eye(2 * q.size)).max() > 0.1
    np.testing.assert_allclose(J.T @ omega @ J, omega, atol=1e-10)


def test_time_reversal():
    there = end(PENDULUM, START, 3.0, 0.02)
    q, v = end(PENDULUM, (there[0], -there[1]), 3.0, 0.02)
    assert np.abs(there[0] - START[0]).max() > 0.1
    np.testing.assert_allclose(q, START[0], atol=1e-10)
    np.testing.assert_allclose(-v, START[1], atol=1e-9)


def test_momentum_on_a_ring_is_kept_to_rounding():
    system = lgn.Lagrangian(lgn.lattice((20,)), Strained())
    q, v = np.random.default_rng(0).normal(size=(2, 20, 1))
    motion = lgn.rollout(system, (q, v + 1), np.linspace(0, 40, 11), lgn.Variational(0.1))
    momentum = diagnostics.momentum(system, motion)
    assert np.abs(motion.v[-1] - motion.v[0]).max() > 0.1
    np.testing.assert_allclose(momentum, np.broadcast_to(momentum[0], momentum.shape), rtol=3e-13)


# -- Energy ----------------------------------------------------------------------------------------------------------


def energy_statement(system, state, dt, steps, every=10):
    """max |E/E0 - 1| in the first and in the last tenth, and slope of the linear fit times span."""
    ts = np.arange(0, steps + 1, every) * dt
    energy = np.asarray(lgn.rollout(system, state, ts, lgn.Variational(dt)).energy)
    change = energy / energy[0] - 1
    tenth = len(ts) // 10
    return np.abs(change[:tenth]).max(), np.abs(change[-tenth:]).max(), np.polyfit(ts, change, 1)[0] * ts[-1]


STEPS = [5_000, pytest.param(100_000, marks=pytest.mark.slow)]


@pytest.mark.parametrize("steps", STEPS)
def test_energy_of_the_double_pendulum_oscillates_and_does_not_drift(steps):
    first, last, drift = energy_statement(PENDULUM, START, 0.01, steps)
    assert 1e-9 < first < 1e-4
    assert 1 / 1.5 < last / first < 1.5
    assert abs(drift) < 0.1 * max(first, last)


@pytest.mark.parametrize("steps", STEPS)
def test_energy_error_of_a_ring_of_networks_has_one_bound_however_long(steps):
    """The same bound for 20 times the span: a drift that went on would be 20 times larger."""
    ring = lgn.Lagrangian(lgn.lattice((100,)), Strained(initializer=lgn.small_output))
    state = tuple(0.5 * np.random.default_rng(0).normal(size=(2, 100, 1)))
    first, last, _ = energy_statement(ring, state, 0.05, steps)
    assert 1e-8 < max(first, last) < 1.5e-5


@pytest.mark.parametrize("steps", STEPS)
def test_energy_of_a_string_is_kept_to_rounding(steps):
    """For quadratic L the midpoint rule keeps the energy itself."""
    ring = lgn.Lagrangian(lgn.lattice((100,)), string)
    assert np.abs(energy_statement(ring, standing(), 0.1, steps)).max() < 1e-9


def standing():
    """Three waves on the ring, which hardly pass energy on to others."""
    q = 0.5 * jnp.sin(2 * jnp.pi * 3 * jnp.arange(100.0) / 100)[:, None]
    return q, jnp.zeros_like(q)


def test_a_damped_pendulum_loses_its_energy_at_the_right_rate():
    """Weak friction takes the energy of a small swing as exp(-c t), here to 1 / e^2; the rate is that of scipy."""
    from scipy.integrate import solve_ivp

    friction = 0.2

    def pendulum(q, v, features):
        return 0.5 * v[0, 0] ** 2 + jnp.cos(q[0, 0]) - 1

    def rub(q, v, features):
        return 0.5 * friction * v[0, 0] ** 2

    system = lgn.Lagrangian(lgn.single_node(), pendulum, dissipation=rub)
    ts = np.linspace(0, 10, 21)
    y = solve_ivp(
        lambda t, y: [y[1], -np.sin(y[0]) - friction * y[1]], (0, 10), [2.0, 0.0], t_eval=ts, rtol=1e-11, atol=1e-11
    ).y
    energy = 0.5 * y[1] ** 2 + 1 - np.cos(y[0])
    found = lgn.rollout(system, (jnp.array([[2.0]]), np.zeros((1, 1))), ts, lgn.Variational(0.005)).energy
    assert energy[-1] < 0.25 * energy[0]
    np.testing.assert_allclose(found, energy, atol=2e-5)


# -- Where it is another integrator ----------------------------------------------------------------------------------


def quadratic(q, v, features):
    inertia = jnp.array([[2.0, 0.5], [0.5, 1.0]])
    twist = v[0] @ features["gyroscope"] @ q[0]
    return 0.5 * v[0] @ inertia @ v[0] + twist - 0.5 * jnp.sum((features["stiff"] @ q[0]) ** 2)


def rub(q, v, features):
    return 0.05 * jnp.sum((features["drag"] @ v[0]) ** 2)


NAMES = "stiff", "gyroscope", "drag"
QUADRATIC = lgn.Lagrangian(
    lgn.with_features(lgn.single_node(), graph_features={name: np.zeros((2, 2)) for name in NAMES}),
    quadratic,
    dissipation=rub,
    force=lambda q, v, t: jnp.cos(t) + 0 * q,
)


@given(seed=some.integers(0, 10**6))
def test_it_is_the_implicit_midpoint_rule_for_quadratic_lagrangians(seed):
    """Also with gyroscopic terms, quadratic friction and a force of time."""
    L = QUADRATIC.replace(**dict(zip(NAMES, np.random.default_rng(seed).normal(size=(3, 2, 2)), strict=True)))
    variational, midpoint = (end(L, START, 2.0, 0.1, kind) for kind in (lgn.Variational, lgn.ImplicitMidpoint))
    np.testing.assert_allclose(variational, midpoint, atol=1e-10)


# -- Clamps ----------------------------------------------------------------------------------------------------------


def coupled(q, v, features):
    """M joins neighbours, so that a clamp that moves acts on free nodes through M too."""
    stretch = q[2, 0] - q[0, 0]
    return 0.5 * v[0, 0] ** 2 + 0.2 * (1 + 0.1 * stretch**2) * (v[0, 0] + v[2, 0]) ** 2 - 0.5 * stretch**2


def test_clamps_at_rest_stay_and_the_rest_moves_as_it_should():
    L = lgn.Lagrangian(lgn.clamp(lgn.lattice((8,), periodic=False), [0, 7]), coupled)
    q = jnp.sin(jnp.arange(8.0))[:, None]
    state = q, jnp.zeros_like(q).at[3].set(1.0)
    exact = end(L, state, 2.0, 0.001, lgn.ImplicitMidpoint)
    found = end(L, state, 2.0, 0.05)
    assert (found[0][jnp.array([0, 7])] == q[jnp.array([0, 7])]).all() and (found[1][jnp.array([0, 7])] == 0).all()
    np.testing.assert_allclose(orders(L, state, exact, 2.0, (0.05, 0.025)), 2.0, atol=0.1)


def test_clamps_that_move():
    def motion(t):
        return jnp.zeros((8, 1)).at[0].set(jnp.sin(2 * t)).at[7].set(1 - jnp.cos(t))

    L = lgn.Lagrangian(lgn.clamp(lgn.lattice((8,), periodic=False), [0, 7]), coupled, motion=motion)
    q = jnp.sin(jnp.arange(8.0))[:, None].at[7].set(0.0)
    state = q, jnp.zeros_like(q).at[0].set(2.0)
    exact = end(L, state, 2.0, 0.001, lgn.ImplicitMidpoint)
    q, v = end(L, state, 2.0, 0.05)
    np.testing.assert_allclose(q[jnp.array([0, 7]), 0], [np.sin(4), 1 - np.cos(2)], atol=1e-12)
    np.testing.assert_allclose(v[jnp.array([0, 7]), 0], [2 * np.cos(4), np.sin(2)], atol=1e-12)
    np.testing.assert_allclose(orders(L, state, exact, 2.0, (0.05, 0.025)), 2.0, atol=0.1)


# -- Transformations, types, errors ----------------------------------------------------------------------------------


def test_gradients_are_those_of_finite_differences():
    def reached(angle):
        return end(PENDULUM, (START[0].at[0, 1].set(angle), START[1]), 1.0, 0.05)[0].sum()

    h = 1e-4
    difference = (reached(0.8 + h) - reached(0.8 - h)) / (2 * h)
    assert float(jax.grad(reached)(0.8)) == pytest.approx(float(difference), rel=1e-6)


def test_single_precision_stays_and_converges():
    state = tuple(x.astype(jnp.float32) for x in START)
    found = lgn.rollout(PENDULUM, state, [0.0, 0.5, 1.0], lgn.Variational(0.02))
    assert found.q.dtype == found.v.dtype == jnp.float32
    np.testing.assert_allclose(found.q[-1], end(PENDULUM, START, 1.0, 0.02)[0], atol=1e-4)


def test_too_few_iterations_are_reported():
    with pytest.raises(FloatingPointError, match="no finite state after t = 0"):
        lgn.rollout(PENDULUM, START, [0.0, 1.0], lgn.Variational(0.05, limit=1))


def test_a_step_beyond_convergence_is_reported():
    with pytest.raises(FloatingPointError, match="take smaller steps"):
        lgn.rollout(PENDULUM, START, [0.0, 50.0], lgn.Variational(5.0))


@pytest.mark.parametrize("integrator", [lgn.Variational, lgn.Verlet, lgn.ImplicitMidpoint])
@pytest.mark.parametrize("dt", [0.0, -0.1, float("nan")])
def test_bad_steps(integrator, dt):
    with pytest.raises(ValueError, match="give a positive number"):
        lgn.rollout(PENDULUM, START, [0.0, 1.0], integrator(dt))


def test_a_system_without_action_is_refused():
    with pytest.raises(ValueError, match="of the system, which object lacks; only a Lagrangian has a discrete action"):
        lgn.Variational(0.1)(object(), START, np.array([0.0, 1.0]))

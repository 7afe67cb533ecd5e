"""What drives a system: time and control in L, ports of flows, the force that makes a motion."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy

import lgn

T = np.linspace(0, 10, 201)
START = jnp.array([[1.0]]), jnp.array([[0.2]])


def lengthening(q, v, features):
    """Pendulum of length l(t) = 1 + u(t) in its angle, of mass 1 + t / 10, whose pivot is pushed: a term in v t."""
    length, t = 1 + features["control"], features["time"]
    kinetic = 0.5 * (1 + 0.1 * t) * (length * v[0, 0]) ** 2
    return kinetic + 9.81 * length * jnp.cos(q[0, 0]) + jnp.sin(t) * v[0, 0] * q[0, 0]


def control(t):
    return 0.2 * jnp.sin(t)


L = lgn.Lagrangian(lgn.single_node(), lengthening, control=control)


def test_explicit_time_and_control_enter_the_equation_of_motion():
    """Against the Euler-Lagrange equation by sympy."""
    t, a = sympy.symbols("t a")
    q = sympy.Function("q")(t)
    length = 1 + sympy.sin(t) / 5
    kinetic = (1 + t / 10) * (length * q.diff(t)) ** 2 / 2
    lagrangian = kinetic + sympy.Float(9.81) * length * sympy.cos(q) + sympy.sin(t) * q.diff(t) * q
    equation = lagrangian.diff(q.diff(t)).diff(t) - lagrangian.diff(q)
    (found,) = sympy.solve(equation.subs(q.diff(t, 2), a), a)
    exact = sympy.lambdify((q, q.diff(t), t), found)
    for moment in (0.0, 1.3, 4.0):
        mine = L.acceleration(*START, moment).item()
        assert mine == pytest.approx(float(exact(1.0, 0.2, moment)), rel=1e-10)


@pytest.mark.parametrize("integrator", [lgn.Adaptive(), lgn.Variational(0.005)])
def test_the_energy_changes_by_the_power(integrator):
    motion = lgn.rollout(L, START, T, integrator)
    power = jax.vmap(L.power)(motion.q, motion.v, motion.t)
    taken = np.concatenate([[0], np.cumsum(np.diff(T) * (power[1:] + power[:-1]) / 2)])
    np.testing.assert_allclose(motion.energy - motion.energy[0], taken, atol=2e-2)
    assert np.ptp(motion.energy) > 1


def test_inverse_dynamics_is_the_force_that_makes_a_motion():
    def torque(q, v, t, u):
        return u * jnp.cos(q)

    def rub(q, v, features):
        return 0.3 * features["control"] ** 2 * v[0, 0] ** 2

    driven = lgn.Lagrangian(lgn.single_node(), lengthening, dissipation=rub, force=torque, control=control)
    a = driven.acceleration(*START, 0.7)
    found = driven.inverse_dynamics(*START, a, 0.7)
    np.testing.assert_allclose(found, torque(*START, 0.7, control(0.7)), atol=1e-13)


def circuit(u, features):
    return 0.5 * u[0, 0] ** 2 + 0.25 * u[0, 0] ** 4 + 0.5 * u[0, 1] ** 2


B = np.array([[[0.0, 0.3], [1.0, 0.1]]])  # (node, dim, input)
SIGNAL = lgn.Signal(np.linspace(0, 1000, 4001), np.random.default_rng(0).normal(size=(4001, 2)))


def steered(u):
    return jnp.stack([jnp.zeros_like(u), 1.0 + 0.1 * u], -1)


@pytest.mark.parametrize("port", [B, steered], ids=["array", "function"])
def test_the_energy_of_a_flow_changes_by_what_passes_its_port(port):
    """H(u') - H(u) = dt grad-bar H . (G grad-bar H + B w), to rounding."""
    flow = lgn.EnergyFlow(lgn.single_node(), circuit, structure=lgn.Damped(0.1), port=port, control=SIGNAL)
    motion = lgn.rollout(flow, jnp.array([[0.5, 0.0]]), np.arange(0, 1000.05, 0.1), lgn.DiscreteGradient(0.1))

    @jax.jit
    @jax.vmap
    def exchange(before, after, t):
        rate = flow.discrete_rate(lgn.Automatic(), (after,), (before,), t)[0][0]
        (slope,) = flow.functional.discrete_gradient(flow.domain.features, lgn.Automatic(), (after,), (before,))
        return jnp.sum(slope * rate)

    steps = 0.1 * exchange(motion.u[:-1], motion.u[1:], (motion.t[:-1] + motion.t[1:]) / 2)
    assert abs(motion.energy[-1] - motion.energy[0] - steps.sum()) < 1e-13 * np.abs(steps).sum()


def test_a_port_drives_a_flow_as_a_force_drives_a_lagrangian():
    def spring(q, v, features):
        return 0.5 * v[0, 0] ** 2 - 0.5 * q[0, 0] ** 2

    def energy(u, features):
        return 0.5 * jnp.sum(u**2)

    flow = lgn.EnergyFlow(lgn.single_node(), energy, structure=lgn.Symplectic(), port=np.array([[0.0, 1.0]]))
    system = lgn.Lagrangian(lgn.single_node(), spring, force=lambda q, v, t, u: u * jnp.ones_like(q))
    signal = lgn.Signal(T, np.cos(T), lgn.Cubic())
    moved = lgn.rollout(flow, jnp.array([[1.0, 0.2]]), T, control=signal)
    np.testing.assert_allclose(moved.u[:, 0, :1], lgn.rollout(system, START, T, control=signal).q[:, 0], atol=1e-7)
    state = jnp.array([[1.0, 0.2]])
    rate = flow.replace(control=signal).rate((state,), 2.0)[0]
    assert flow.replace(control=signal).power(state, 2.0) == pytest.approx(jnp.sum(state * rate).item())


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: lgn.rollout(L, START, [0.0, 300.0], control=lgn.Signal(T, T)), "known from t = 0 to 10"),
        (lambda: flow_of(np.ones((1, 3, 2))).rate((jnp.ones((1, 2)),)), "expected (node, dim) and the axes"),
        (
            lambda: lgn.EnergyFlow(lgn.single_node(), circuit, structure=lgn.Symplectic(), port=B).rate(UNIT),
            "control is",
        ),
    ],
)
def test_what_does_not_fit(call, said):
    with pytest.raises(ValueError) as error:
        call()
    assert said in str(error.value)


UNIT = (jnp.ones((1, 2)),)


def flow_of(port):
    return lgn.EnergyFlow(lgn.single_node(), circuit, structure=lgn.Symplectic(), port=port, control=np.ones(2))


def test_arrays_of_numpy_meet_matrices_and_functionals():
    graph = lgn.lattice((5,))

    def mass(q, v, features):
        return 0.5 * v[0, 0] ** 2

    def spring(q, v, features):
        return -0.5 * (q[1, 0] - q[0, 0]) ** 2

    chain = lgn.Lagrangian(graph, [(mass, lgn.node_stencil), (spring, lgn.edge_stencil)])
    q = np.random.default_rng(0).normal(size=(5, 1))
    np.testing.assert_array_equal(chain.equation(q, q)[0] @ jnp.asarray(q), q)
    exact = 2 * q - np.roll(q, 1, 0) - np.roll(q, -1, 0)
    np.testing.assert_allclose(chain.stiffness_matrix(q) @ q, exact, atol=1e-14)
    np.testing.assert_allclose(chain.inverse_dynamics(q, 0 * q, 0 * q), exact, atol=1e-14)

"""Baselines: families behind the interface of a Lagrangian; a Hamiltonian network is an energy flow of (q, p)."""

import jax
import jax.numpy as jnp
import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from flax import nnx

import lgn
from lgn import diagnostics, plots
from lgn.learning.problem import Problem
from lgn.systems import double_pendulum, relativistic

ANGLES = {"angles": (0, 1), "v_scale": 5.0}
TIMES = np.linspace(0, 1, 6)


def inertia(q):
    """M of the double pendulum."""
    cos = jnp.cos(q[0, 0] - q[0, 1])
    return jnp.array([[2.0, cos], [cos, 1.0]])


def true_momentum(q, v, features):
    return v @ inertia(q)


def true_hamiltonian(q, p, features):
    height = -9.8 * (2 * jnp.cos(q[0, 0]) + jnp.cos(q[0, 1]))
    return 0.5 * p[0] @ jnp.linalg.solve(inertia(q), p[0]) + height


def plain(hidden=(8, 8)):
    return lgn.PlainNetwork(2, hidden, a_scale=40.0, rngs=nnx.Rngs(0), **ANGLES)


def neural_ode(hidden=(8, 8)):
    return lgn.NeuralODE(2, hidden, a_scale=40.0, rngs=nnx.Rngs(0), **ANGLES)


each_family = pytest.mark.parametrize("make", [plain, neural_ode])


def on_a_node(law):
    return lgn.Baseline(lgn.single_node(), law)


def random_state(seed=0, shape=(1, 2)):
    return np.random.default_rng(seed).normal(size=(2, *shape))


@each_family
def test_rates_of_each_node_are_those_of_it_alone(make):
    """So that the same parameters serve any number of systems side by side."""
    alone, together = on_a_node(make()), lgn.Baseline(lgn.single_node(count=3), make())

    @jax.jit
    def both(alone, together, q, v):
        return together.rate((q, v)), jax.vmap(lambda q, v: alone.rate((q[None], v[None])))(q, v)

    for found, each in zip(*both(alone, together, *random_state(shape=(3, 2))), strict=True):
        np.testing.assert_allclose(found, each[:, 0], rtol=1e-12)
        assert found.shape == (3, 2)


@each_family
def test_networks_see_angles_by_their_direction(make):
    q, v = random_state()
    model = on_a_node(make())
    np.testing.assert_allclose(model.rate((q + 2 * jnp.pi, v))[1], model.rate((q, v))[1], rtol=1e-10)


def test_nothing_is_solved_and_no_energy_made_up():
    model, (q, v) = on_a_node(plain()), random_state()
    assert not hasattr(model, "solve") and jnp.isnan(model.energy(q, v))
    assert lgn.rollout(model, (q, v), [0.0, 0.1], lgn.ImplicitMidpoint(0.05)).residual.tolist() == [0.0, 0.0]


def test_exact_hamiltonian_gives_the_exact_motion():
    """By Hamilton's equations and p = M(q) v, against the acceleration in closed form."""
    flow = lgn.EnergyFlow(lgn.single_node(), lgn.canonical(true_hamiltonian), structure=lgn.Symplectic())
    states = double_pendulum.sample(jax.random.key(0), 100)

    @jax.jit
    @jax.vmap
    def found(q, v):
        u = jnp.concatenate([q, true_momentum(q, v, {})], -1)
        q_rate, p_rate = lgn.halves(flow.rate((u,))[0])
        moved = lambda q, p: double_pendulum.velocity(q, p, {})  # noqa: E731
        return q_rate, jax.jvp(moved, lgn.halves(u), (q_rate, p_rate))[1], flow.energy(u)

    q_rate, a, energy = found(states.q, states.v)
    np.testing.assert_allclose(q_rate, states.v, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(a, states.a, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(energy, double_pendulum.energy(states.q, states.v), rtol=1e-12)


def test_published_relativistic_particle_by_its_hamiltonian():
    """H = p v - L = (2 v^2 - 1) (1 - v^2)^(-3/2) + 1 - g q, where v of p comes by inversion; dp/dt = g."""

    def hamiltonian(q, p, features):
        v = relativistic.velocity(q, p, features)
        return jnp.sum((2 * v**2 - 1) * (1 - v**2) ** -1.5 + 1) - features["g"][0] * q[0, 0]

    g = jnp.array([3.0, -2.0])
    q, v = jnp.array([[0.3], [-1.0]]), jnp.array([[0.4], [-0.6]])
    graph = lgn.single_node({"g": g}, count=2)
    flow = lgn.EnergyFlow(graph, lgn.canonical(hamiltonian), structure=lgn.Symplectic())
    u = jnp.concatenate([q, relativistic.published_momentum(v)], -1)
    np.testing.assert_allclose(flow.rate((u,))[0], jnp.stack([v[:, 0], g], -1), rtol=1e-9)
    np.testing.assert_allclose(flow.energy(u), relativistic.published_energy(q, v, g), rtol=1e-12)


def test_features_of_nodes_and_of_the_graph_reach_the_law():
    def law(q, v, features):
        return v, -features["stiffness"] * q - features["drag"] * v

    graph = lgn.with_features(lgn.lattice((3,)), {"stiffness": np.array([1.0, 2.0, 3.0])}, graph_features={"drag": 0.5})
    q, v = random_state(shape=(3, 2))
    expected = -jnp.array([[1.0], [2.0], [3.0]]) * q - 0.5 * v
    np.testing.assert_allclose(lgn.Baseline(graph, law).acceleration(q, v), expected)
    known = {"features": ("stiffness", "drag"), "feature_size": 2}
    network = lgn.Baseline(graph, lgn.PlainNetwork(2, (4,), rngs=nnx.Rngs(0), **known))
    softer = network.replace(drag=0.1)
    assert not jnp.allclose(network.acceleration(q, v), softer.acceleration(q, v))


def test_clamped_nodes_stay():
    model = lgn.Baseline(lgn.clamp(lgn.single_node(count=2), [1]), plain())
    motion = lgn.rollout(model, (np.ones((2, 2)), np.zeros((2, 2))), TIMES, lgn.ImplicitMidpoint(0.05))
    np.testing.assert_array_equal(motion.q[:, 1], 1.0)
    assert bool(jnp.any(motion.q[-1, 0] != 1.0))
    with pytest.raises(ValueError, match="clamped node 1"):
        lgn.rollout(model, (np.ones((2, 2)), np.ones((2, 2))), TIMES)


@pytest.mark.parametrize(("make", "loss"), [(plain, lgn.acceleration_loss), (neural_ode, lgn.rate_loss)])
def test_fit_learns(make, loss):
    """The accelerations come out, whatever the loss compared."""
    data = double_pendulum.sample(jax.random.key(0), 60, speed=2.0)
    model = on_a_node(make())
    fit = lgn.fit(model, data, key=jax.random.key(1), phases=[lgn.QuasiNewton(300)], loss=loss, validation=None)
    assert not fit.stopped and fit.history[-1].loss < 0.05 * float(loss(model, data))
    assert diagnostics.acceleration_errors(fit.system, data)["acceleration_rel_rms"] < 0.25


@pytest.mark.parametrize(
    "integrator",
    [
        lgn.ImplicitMidpoint(0.01),
        pytest.param(lgn.Adaptive(1e-8, 1e-8, max_steps=16), marks=pytest.mark.slow),
    ],
)
def test_gradients_flow_through_integrators(integrator):
    """Reverse mode, through the steps of Adaptive and the implicit function, against central differences."""
    q, v = np.random.default_rng(1).normal(size=(2, 3, 3, 1, 2))
    pieces = lgn.Windows(q, np.full(3, 0.01), v)
    problem = Problem(on_a_node(neural_ode()), pieces, lgn.RolloutLoss(integrator, dt=0.01))
    evaluate, x = problem.log_and_gradient(None), problem.x
    along = np.random.default_rng(0).normal(size=x.size)
    slope = evaluate(x)[1] @ along
    assert abs(slope) > 0
    difference = evaluate(x + 1e-5 * along)[0] - evaluate(x - 1e-5 * along)[0]
    np.testing.assert_allclose(slope, difference / 2e-5, rtol=1e-5)


def test_diagnostics_and_plots_serve_it():
    matplotlib.use("agg")
    model = on_a_node(plain())
    motion = lgn.rollout(model, random_state(), TIMES, lgn.ImplicitMidpoint(0.05))
    assert motion.q.shape == (6, 1, 2) and motion.residual.max() == 0
    errors = diagnostics.acceleration_errors(model, double_pendulum.sample(jax.random.key(0), 10))
    assert np.isfinite(list(errors.values())).all()
    ax = plots.energy(plt.figure().add_subplot(), motion.t, {"model": motion.energy})
    assert len(ax.lines) == 1
    plt.close("all")
    assert "1 nodes" in repr(model)


def test_bad_input_is_refused():
    q, v = random_state()
    model = on_a_node(plain())
    with pytest.raises(ValueError, match=r"expected \(node, dim\) = \(1, \.\.\.\)"):
        model.rate((np.ones((2, 2)), np.ones((2, 2))))
    with pytest.raises(ValueError, match="'weight'"):
        known = {"features": ("weight",), "feature_size": 1}
        on_a_node(lgn.PlainNetwork(2, rngs=nnx.Rngs(0), **known)).acceleration(q, v)
    with pytest.raises(ValueError, match="'weight' is not a feature"):
        model.replace(weight=np.ones(1))
    with pytest.raises(ValueError, match="a_scale"):
        lgn.NeuralODE(2, a_scale=(1.0, -1.0), rngs=nnx.Rngs(0))


@pytest.mark.parametrize(
    "law",
    [
        lambda: lgn.PlainNetwork(2, (5,), a_scale=3.0, angles=(0,), rngs=nnx.Rngs(0)),
        lambda: lgn.NeuralODE(
            2, (5, 4), v_scale=(2.0, 3.0), a_scale=4.0, features=("g",), feature_size=1, rngs=nnx.Rngs(0)
        ),
    ],
)
def test_comes_back_from_disk(law, tmp_path):
    model = lgn.Baseline(lgn.single_node({"g": np.array([1.6, 9.8])}, count=2), law())
    lgn.save(tmp_path / "model", model)
    back = lgn.load(tmp_path / "model")
    q, v = np.random.default_rng(0).normal(size=(2, 2, 2))
    np.testing.assert_array_equal(back.acceleration(q, v), model.acceleration(q, v))
    assert jax.tree.structure(back) == jax.tree.structure(model)

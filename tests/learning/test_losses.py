"""Losses: zero for the true system up to the order of the data, gauge, forces, gradients, learning, bad data."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given
from hypothesis import strategies as some

import lgn
from lgn.systems import double_pendulum, wave

START = jnp.array([[0.5, 0.8]]), jnp.array([[0.3, -0.4]])
SHARP = lgn.Adaptive(1e-11, 1e-11)


def oscillator(q, v, features):
    return 0.5 * jnp.sum(v**2) - 0.5 * jnp.sum(q**2)


def string(q, v, features):
    return 0.5 * v[0, 0] ** 2 - 2.5 * (q[2, 0] - q[0, 0]) ** 2


def web(q, v, features):
    """Springs to all neighbours, which harden, and a mass that depends on q."""
    stretch = features["mask"][:, None] * (q - q[0])
    return 0.5 * (1 + 0.1 * q[0, 0] ** 2) * v[0, 0] ** 2 - 0.25 * jnp.sum(stretch**2 + 0.1 * stretch**4)


IRREGULAR = lgn.from_edges(5, [0, 1, 1, 2, 2, 3, 1, 4], [1, 0, 2, 1, 3, 2, 4, 1])


def on_nodes(n):
    return tuple(0.5 * np.random.default_rng(0).normal(size=(2, n, 1)))


SYSTEMS = {
    "double pendulum": (lgn.Lagrangian(lgn.single_node(), double_pendulum.density), START),
    "ring": (lgn.Lagrangian(lgn.lattice((10,)), string), on_nodes(10)),
    "irregular graph": (lgn.Lagrangian(IRREGULAR, web), on_nodes(5)),
}


@functools.cache
def motion(name, dt=0.005, count=41):
    """The true motion, sampled every dt, by Dormand-Prince steps of order 8."""
    system, state = SYSTEMS[name]
    return lgn.rollout(system, state, np.arange(count) * dt, SHARP)


def pieces(name, every=1, length=4, velocities=True):
    found = motion(name)
    t, q, v = (np.asarray(x)[::every] for x in (found.t, found.q, found.v))
    return lgn.windows(t, q, v if velocities else None, length=length)


def loss_of(loss, system, data):
    return float(jax.jit(loss)(system, data))


# -- Zero for the true system ----------------------------------------------------------------------------------------


def test_acceleration_and_rate_losses_vanish_for_the_true_system():
    """Exact accelerations come from `systems`, by hand."""
    cases = {
        "double pendulum": double_pendulum.sample(jax.random.key(0), 20),
        "ring": wave.sample(jax.random.key(0), 20, 10),
    }
    for name, data in cases.items():
        for loss in (lgn.acceleration_loss, lgn.rate_loss):
            assert loss_of(loss, SYSTEMS[name][0], data) < 1e-25


@pytest.mark.parametrize("name", SYSTEMS)
def test_the_variational_loss_falls_as_dt_to_the_fourth(name):
    """The residual is of order dt^2, its square of order 4: 16 times less for half the time between states."""
    coarse, fine = (
        loss_of(lgn.variational_loss, SYSTEMS[name][0], pieces(name, k, 3, velocities=False)) for k in (4, 2)
    )
    assert coarse < 1e-3
    assert coarse / fine == pytest.approx(16, rel=0.25)


@pytest.mark.parametrize("name", SYSTEMS)
def test_the_loss_of_steps_falls_as_dt_to_the_fourth(name):
    data = pieces(name, every=4)
    coarse, fine = (
        loss_of(lgn.RolloutLoss(lgn.Variational(0.02 / k), dt=0.02), SYSTEMS[name][0], data) for k in (1, 2)
    )
    assert coarse < 1e-5
    assert coarse / fine == pytest.approx(16, rel=0.25)


# -- Gauge -----------------------------------------------------------------------------------------------------------


def gauged(q, v, features):
    """alpha (l + s l_wrong) + beta dF/dt of F = sin(q0) q1 + q0^2: alpha and beta move nothing, s does."""
    drift = jnp.cos(q[0, 0]) * v[0, 0] * q[0, 1] + jnp.sin(q[0, 0]) * v[0, 1] + 2 * q[0, 0] * v[0, 0]
    true = double_pendulum.density(q, v, features) - features["wrong"] * jnp.sum(q**2)
    return features["alpha"] * true + features["beta"] * drift


FREEDOM = {"alpha": 1.0, "beta": 0.0, "wrong": 0.0}
GAUGED = lgn.Lagrangian(lgn.with_features(lgn.single_node(), graph_features=FREEDOM), gauged)
VARIATIONAL = jax.jit(lgn.variational_loss)


@given(
    size=some.floats(-3, 3).filter(lambda x: abs(x) > 1e-2), beta=some.floats(-2, 2)
)  # the midpoint rule keeps gauge up to its order: dF is not exactly a difference of F
def test_gauge_moves_the_variational_loss_within_its_order_and_scale_not_at_all(size, beta):
    data = pieces("double pendulum", 4, 3, velocities=False)
    plain = float(VARIATIONAL(GAUGED, data))
    assert float(VARIATIONAL(GAUGED.replace(alpha=size), data)) == pytest.approx(plain, rel=1e-9)
    shifted = float(VARIATIONAL(GAUGED.replace(alpha=size, beta=size * beta), data))
    assert shifted < 1e-4


def test_the_variational_loss_is_large_for_wrong_lagrangians():
    data = pieces("double pendulum", 4, 3, velocities=False)
    assert float(VARIATIONAL(GAUGED, data)) < 1e-5
    assert float(VARIATIONAL(GAUGED.replace(wrong=5.0), data)) > 1e-2
    free = lgn.Lagrangian(lgn.single_node(), lambda q, v, features: 0.5 * jnp.sum(v**2))
    assert float(VARIATIONAL(free, data)) == pytest.approx(1.0, rel=1e-9)  # error is all of q''


# -- Forces and conditions -------------------------------------------------------------------------------------------


def rub(q, v, features):
    return 0.2 * jnp.sum(v**2)


FORCED = lgn.Lagrangian(
    lgn.with_features(lgn.single_node(), graph_features={"g": 1.0}),
    lambda q, v, features: 0.5 * jnp.sum(v**2) + features["g"] * jnp.cos(q[0, 0]),
    dissipation=rub,
    force=lambda q, v, t, u: u + jnp.cos(2 * t) + 0 * q,
    control=0.0,
)


def forced_data(every):
    """Pendulums of other gravity and control, with friction 0.4 v and a force cos 2t + u, by scipy."""
    from scipy.integrate import solve_ivp

    parts = []
    for g, u in ((1.0, 0.5), (9.8, -1.0), (4.0, 0.0)):
        t = np.arange(0, 41, every) * 0.01
        y = solve_ivp(
            lambda t, y, g=g, u=u: [y[1], -g * np.sin(y[0]) - 0.4 * y[1] + np.cos(2 * t) + u],
            (0, 0.4), [1.0, 0.5], t_eval=t, rtol=1e-12, atol=1e-12, method="DOP853",
        ).y  # fmt: skip
        part = lgn.windows(t, y[0][:, None, None], y[1][:, None, None], length=3)
        parts.append(part._replace(features={"g": np.full(len(part.q), g), "control": np.full(len(part.q), u)}))
    return jax.tree.map(lambda *x: np.concatenate(x), *parts).check()


def test_friction_a_force_of_time_and_what_is_given_enter_the_losses():
    coarse, fine = (loss_of(lgn.variational_loss, FORCED, forced_data(k)) for k in (4, 2))
    assert coarse / fine == pytest.approx(16, rel=0.25)
    data = forced_data(2)
    for name in ("g", "control"):
        other = data._replace(features={**data.features, name: data.features[name] + 1})
        assert loss_of(lgn.variational_loss, FORCED, other) > 100 * fine
    assert loss_of(lgn.variational_loss, FORCED, data._replace(t=data.t + 1)) > 100 * fine


def test_states_with_a_feature_of_the_graph():
    q, v = np.random.default_rng(0).normal(size=(2, 6, 1, 1))
    t, g, u = np.linspace(0, 1, 6), np.linspace(1, 9, 6), np.linspace(-1, 1, 6)
    shape = (6, 1, 1)
    a = -g.reshape(shape) * np.sin(q) - 0.4 * v + np.cos(2 * t).reshape(shape) + u.reshape(shape)
    data = lgn.States(q, v, a, t, {"g": g, "control": u}).check()
    assert loss_of(lgn.acceleration_loss, FORCED, data) < 1e-25
    assert loss_of(lgn.acceleration_loss, FORCED, data._replace(features=None)) > 1e-2


def test_given_and_many_single_nodes():
    """Pendulums side by side, each of its own g, move as each by itself with that g given."""
    density = lambda q, v, features: 0.5 * v[0, 0] ** 2 + features["g"][0] * jnp.cos(q[0, 0])  # noqa: E731
    many = lgn.Lagrangian(lgn.single_node({"g": [1.0, 4.0, 9.0]}, count=3), density)
    q, v = np.random.default_rng(0).normal(size=(2, 3, 1))
    np.testing.assert_allclose(many.acceleration(q, v)[:, 0], -np.array([1, 4, 9]) * np.sin(q[:, 0]), rtol=1e-12)
    np.testing.assert_allclose(many.replace(g=np.ones(3)).acceleration(q, v), -np.sin(q), rtol=1e-12)


# -- Gradients and learning ------------------------------------------------------------------------------------------


def test_gradient_of_the_loss_of_steps():
    data, h, loss = harmonic(3), 1e-5, lgn.RolloutLoss(lgn.Verlet(0.1), dt=0.2)
    of = jax.jit(jax.value_and_grad(lambda g: loss(FORCED.replace(g=g), data)))
    exact = of(1.5)[1]
    assert float(exact) == pytest.approx(float((of(1.5 + h)[0] - of(1.5 - h)[0]) / (2 * h)), rel=1e-5)


def harmonic(length):
    t = np.arange(13) * 0.2
    return lgn.windows(t, np.cos(t)[:, None, None], -np.sin(t)[:, None, None], length=length)


def harmonic_states():
    t = np.linspace(0, 6, 20).reshape(-1, 1, 1)
    return lgn.States(np.cos(t), -np.sin(t), -np.cos(t))


@pytest.mark.parametrize(
    ("loss", "data"),
    [
        (lgn.acceleration_loss, harmonic_states()),
        (lgn.rate_loss, harmonic_states()),
        (lgn.variational_loss, harmonic(3)._replace(v=None)),
        (lgn.RolloutLoss(lgn.Verlet(0.1), dt=0.2), harmonic(3)),
    ],
    ids=["acceleration", "rate", "variational", "steps"],
)
def test_fit_learns_a_harmonic_oscillator(loss, data):
    density = lgn.MLPDensity(1, 1, (6,), rngs=nnx.Rngs(0))
    system = lgn.Lagrangian(lgn.single_node(), density)
    fit = lgn.fit(system, data, key=jax.random.key(1), loss=loss, phases=[lgn.QuasiNewton(40)], validation=None)
    assert fit.history[-1].loss < 1e-2 * fit.history[0].loss
    state = jnp.array([[np.cos(0.7)]]), jnp.array([[-np.sin(0.7)]])  # between the states of the data
    assert float(fit.system.acceleration(*state)[0, 0]) == pytest.approx(-np.cos(0.7), abs=0.05)


# -- Bad data --------------------------------------------------------------------------------------------------------

T, Q = np.arange(6) * 0.1, np.zeros((6, 1, 1))
GAP = np.array([0, 1, 2, 4, 5, 6]) * 0.1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: lgn.windows(T[::-1], Q, length=3), "t goes from 0.5 to 0.4 at 0; sort"),
        (lambda: lgn.windows(np.sort(np.r_[T[:5], 0.2]), Q, length=3), "from 0.2 to 0.2 at 2; .* drop repeated"),
        (lambda: lgn.windows(GAP, Q, length=3), "a gap of 0.2 at t = 0.2"),
        (lambda: lgn.windows(GAP, Q, length=4, dt=0.1), "no 4 successive states"),
        (lambda: lgn.windows(T, Q, length=7), "6 states, length=7"),
        (lambda: lgn.windows(T, Q[:, 0], length=3), "expected .sample, time, node, dim."),
        (lambda: lgn.windows(T, Q, length=3)._replace(dt=np.zeros(4)).check(), "expected positive times"),
        (
            lambda: lgn.windows(T, Q, length=3)._replace(features={"g": np.ones(2)}).check(),
            r"features\['g'\] has shape",
        ),
        (lambda: lgn.variational_loss(GAUGED, lgn.windows(T, Q, length=2)), "pieces of 2 positions"),
        (lambda: lgn.RolloutLoss(SHARP, 0.1)(GAUGED, lgn.windows(T, Q, length=3)), "no velocities to start from"),
        (lambda: lgn.variational_loss(lgn.Lagrangian(lgn.single_node(), lgn.MLPDensity(1, 2, rngs=nnx.Rngs(0))),
                                      lgn.windows(T, Q, length=3)), "dim"),
        (lambda: lgn.variational_loss(lgn.Lagrangian(lgn.single_node(), gauged),
                                      lgn.windows(T, np.repeat(Q, 2, -1), length=3)),
         "reads the feature"),
        (lambda: FORCED.replace(mass=1.0), "'mass' is not a feature of the graph, which has .'g'."),
    ],
)  # fmt: skip
def test_bad_data(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_pieces_with_gaps_are_left_out():
    found = lgn.windows(GAP, GAP[:, None, None], length=3, dt=0.1)
    np.testing.assert_allclose(found.q[..., 0, 0], [[0, 0.1, 0.2], [0.4, 0.5, 0.6]], atol=1e-15)


def test_friction_that_gives_energy_is_refused():
    L = lgn.Lagrangian(lgn.single_node(), oscillator, dissipation=lambda q, v, features: -0.1 * jnp.sum(v**2))
    with pytest.raises(ValueError, match="dissipation"):
        lgn.rollout(L, START, [0.0, 1.0], lgn.Variational(0.1))


def test_balance_vanishes_for_the_true_system_at_every_scale_and_has_no_pole():
    data = wave.sample(jax.random.key(0), 5, 6)
    ring = lgn.lattice((6,))
    for scale in (1.0, 1e-3, -2.0):
        assert lgn.residual_loss(lgn.Lagrangian(ring, lambda q, v, f, c=scale: c * string(q, v, f)), data) < 1e-25
    wrong = lgn.Lagrangian(ring, lambda q, v, f: string(q, v, f) + 0.5 * q[0, 0] ** 2)
    q_rms = jnp.mean(data.q**2) / jnp.mean(data.a**2)
    np.testing.assert_allclose(lgn.residual_loss(wrong, data), q_rms, rtol=1e-12)
    masses = jnp.array([1.0, 1.0, 0.0, 1.0, 1.0, 1.0])  # M is singular: an acceleration would be infinite
    singular = lgn.with_features(ring, node_features={"m": masses})
    part = lgn.Lagrangian(singular, lambda q, v, f: string(q, v, f) + 0.5 * (f["m"][0] - 1) * v[0, 0] ** 2)
    assert 0.01 < lgn.residual_loss(part, data) < 10

"""Systems of Hamiltonian networks, against Hamilton's equations of sympy, closed forms and the laws of their motion."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy
import sympy

import lgn
from lgn.assembly.domain import Domain
from lgn.assembly.functional import Functional
from lgn.systems import damped_spring, mass_spring, n_body, pendulum, phase_space

KEY = jax.random.key(0)


def spring(q, p):
    return q[0] ** 2 + p[0] ** 2


def swing(q, p):
    return 3 * (1 - sympy.cos(q[0])) + p[0] ** 2


def gravity(q, p):
    bodies = [q[i : i + 2] for i in range(0, len(q), 2)]
    pairs = [(a, b) for i, a in enumerate(bodies) for b in bodies[:i]]
    return sum(x**2 for x in p) / 2 - sum(1 / sympy.sqrt((a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2) for a, b in pairs)


# name: H in sympy, nodes, dim, energy, rate
SYSTEMS = {
    "spring": (spring, 1, 2, mass_spring.hamiltonian_energy, mass_spring.hamiltonian_rate),
    "pendulum": (swing, 1, 2, pendulum.hamiltonian_energy, pendulum.hamiltonian_rate),
    "two bodies": (gravity, 2, 4, n_body.energy, n_body.rate),
    "three bodies": (gravity, 3, 4, n_body.energy, n_body.rate),
    "five bodies": (gravity, 5, 4, n_body.energy, n_body.rate),
}
each = pytest.mark.parametrize("name", SYSTEMS)
one_node = pytest.mark.parametrize("module", [mass_spring, pendulum])


def states(name, count=10):
    """u: (count, node, dim)."""
    _, nodes, dim, *_ = SYSTEMS[name]
    return np.random.default_rng(0).uniform(-2, 2, (count, nodes, dim))


def functional(name):
    """H of u (node, dim), summed from the densities."""
    _, nodes, _, *_ = SYSTEMS[name]
    if nodes > 1:
        graph = n_body.complete_graph(nodes)
        terms = n_body.terms()
    else:
        graph, terms = lgn.single_node(), {"spring": mass_spring, "pendulum": pendulum}[name].hamiltonian
    return partial(Functional(graph, terms), Domain(graph).features)


@each
def test_rate_and_energy_follow_from_hamiltons_equations(name):
    H, nodes, dim, energy, rate = SYSTEMS[name]
    u, half = states(name), dim // 2
    q, p = sympy.symbols(f"q:{nodes * half}"), sympy.symbols(f"p:{nodes * half}")
    expression = H(q, p)
    laws = sympy.lambdify([q, p], [expression.diff(x) for x in p] + [-expression.diff(x) for x in q])
    values = sympy.lambdify([q, p], expression)
    for one in u:
        canonical = one[:, :half].ravel(), one[:, half:].ravel()
        expected = np.array(laws(*canonical)).reshape(2, nodes, half).swapaxes(0, 1).reshape(nodes, dim)
        np.testing.assert_allclose(rate(one), expected, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(energy(one), values(*canonical), rtol=1e-12)
    np.testing.assert_allclose(rate(u), jax.jit(rate)(jnp.asarray(u)), rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(energy(u), jax.jit(energy)(jnp.asarray(u)), rtol=1e-12)
    single = u.astype(np.float32)
    assert {x.dtype for f in (rate, energy) for x in (f(single), jax.eval_shape(f, single))} == {np.dtype(np.float32)}


@each
def test_the_densities_sum_to_the_energy_and_give_the_rate(name):
    *_, energy, rate = SYSTEMS[name]
    u = jnp.asarray(states(name))
    found, gradient = jax.jit(jax.vmap(jax.value_and_grad(functional(name))))(u)
    np.testing.assert_allclose(found, energy(u), rtol=1e-12)
    q, p = np.split(gradient, 2, -1)
    np.testing.assert_allclose(np.concatenate([p, -q], -1), rate(u), rtol=1e-11, atol=1e-12)


def test_a_spring_of_mass_one_half_is_that_of_its_accelerations():
    (u,), ts = mass_spring.hamiltonian_motions([[[0.8, -0.3]]], np.linspace(0, 7, 50)), np.linspace(0, 7, 50)
    q, v = mass_spring.exact([[0.8]], [[-0.6]], ts, m=0.5, k=2.0)
    np.testing.assert_allclose(u, np.concatenate([q, v / 2], -1), atol=1e-13)


@pytest.mark.parametrize("p", [0.1, 1.7, 2.4])
def test_pendulum_is_jacobis_elliptic_function(p):
    """From the lowest point, sin(q / 2) = k sn(t sqrt 6) with k = p / sqrt 6."""
    ts = np.linspace(0, 20, 100)
    sn, cn, _, _ = scipy.special.ellipj(np.sqrt(6) * ts, p**2 / 6)
    (u,) = pendulum.hamiltonian_motions([[[0.0, p]]], ts)
    np.testing.assert_allclose(u[:, 0, 0], 2 * np.arcsin(p / np.sqrt(6) * sn), atol=1e-11)
    np.testing.assert_allclose(u[:, 0, 1], p * cn, atol=1e-11)


def test_pendulum_of_hamiltonian_networks_is_that_of_mass_one_half_and_gravity_six():
    ts = np.linspace(0, 5, 20)
    q, v = pendulum.trajectory([[1.2]], [[0.8]], ts, g=6.0)
    (u,) = pendulum.hamiltonian_motions([[[1.2, 0.4]]], ts)
    np.testing.assert_allclose(u, np.concatenate([q, v / 2], -1), atol=1e-11)


@one_node
@pytest.mark.parametrize(("protocol", "span"), [("HNN", 3), ("DGNET", 20)])
def test_recordings_are_the_published_ones(module, protocol, span):
    protocol = getattr(module, protocol)
    points = {(mass_spring, 3): 30, (pendulum, 3): 45}.get((module, span), 100)
    data = module.recordings(KEY, protocol)
    assert data.u.shape == data.rate.shape == (50, points, 1, 2)
    assert data.t[0] == 0 and data.t[-1] == span and len(data.t) == points
    assert data.part(slice(25)).u.shape == (25, points, 1, 2)
    samples = lgn.States(*data.samples, None)
    np.testing.assert_array_equal(samples.q[points], data.u[1, 0])
    np.testing.assert_array_equal(samples.v[-1], data.rate[-1, -1])


@one_node
def test_noise_falls_on_the_states_and_not_on_the_rates(module):
    data = module.recordings(KEY, module.HNN._replace(trajectories=400))
    p = data.rate[..., 0] / 2
    q = {
        mass_spring: lambda rate: -rate / 2,
        pendulum: lambda rate: np.arcsin(np.clip(-rate / 3, -1, 1)),
    }[module](data.rate[..., 1])
    small = abs(data.u[..., 0]) < 1.2  # there the sine of the pendulum can be inverted
    noise = np.concatenate([(data.u[..., 0] - q)[small], (data.u[..., 1] - p).ravel()])
    assert noise.size > 1e4
    np.testing.assert_allclose(noise.std(), 0.1, rtol=0.03)
    np.testing.assert_allclose(noise.mean(), 0, atol=0.005)
    clean = module.recordings(KEY, module.HNN._replace(noise=0.0))
    energy = module.hamiltonian_energy(clean.u)
    np.testing.assert_allclose(energy, energy[:, :1] + 0 * energy, rtol=1e-12)
    np.testing.assert_array_equal(clean.rate, module.hamiltonian_rate(clean.u))


@one_node
def test_starts_have_the_published_distances_and_directions(module):
    low, high = module.HNN.radii
    assert (low, high) == {mass_spring: (0.1, 1.0), pendulum: (1.3, 2.3)}[module]
    starts = phase_space.around_origin(KEY, 20_000, (low, high))[:, 0]
    radius = np.linalg.norm(starts, axis=-1)
    quarters, _ = np.histogram(radius, 4, (low, high))
    np.testing.assert_allclose(quarters / len(starts), 0.25, atol=0.02)
    assert quarters.sum() == len(starts)
    from_axis = np.arctan(np.abs(starts).min(-1) / np.abs(starts).max(-1))  # its cumulative share is the tangent
    np.testing.assert_allclose((from_axis < np.pi / 8).mean(), np.sqrt(2) - 1, atol=0.02)
    np.testing.assert_allclose((starts > 0).mean(0), 0.5, atol=0.02)


def test_starts_and_times_of_the_published_energy():
    starts = np.abs(phase_space.evaluation_starts(KEY, 20_000))
    assert starts.shape == (20_000, 1, 2) and phase_space.evaluation_starts(KEY).shape == (15, 1, 2)
    assert 0.2 <= starts.min() < 0.201 and 0.999 < starts.max() < 1
    np.testing.assert_allclose(starts.mean(), 0.6, atol=0.01)
    signs = np.sign(phase_space.evaluation_starts(KEY, 20_000))[:, 0]
    np.testing.assert_allclose(signs.mean(0), 0, atol=0.03)
    np.testing.assert_allclose(signs.prod(-1).mean(), 0, atol=0.03)
    assert phase_space.EVALUATION_TIMES[[0, -1]].tolist() == [0, 20] and len(phase_space.EVALUATION_TIMES) == 100


def test_published_and_true_energy_errors():
    exact, found = np.zeros((2, 3, 1, 2)), np.zeros((2, 3, 1, 2))
    found[0, 0, 0] = np.pi, 1.0
    true = phase_space.energy_error(pendulum.hamiltonian_energy, found, exact)
    published = phase_space.energy_error(phase_space.published_energy, found, exact)
    np.testing.assert_allclose([true, published], [7**2 / 6, (np.pi**2 + 1) ** 2 / 6], rtol=1e-14)
    u = states("spring")
    np.testing.assert_allclose(phase_space.published_energy(u), mass_spring.hamiltonian_energy(u), rtol=1e-14)


def test_most_starts_of_the_pendulums_test_lie_below_its_training_energies():
    train = pendulum.hamiltonian_energy(phase_space.around_origin(KEY, 100_000, pendulum.HNN.radii))
    test = pendulum.hamiltonian_energy(phase_space.evaluation_starts(KEY, 100_000))
    np.testing.assert_allclose([train.min(), train.max()], [1.69, 5.8], atol=0.5)
    np.testing.assert_allclose([test.min(), test.max()], [0.1, 2.38], atol=0.05)
    assert 0.8 < (test < train.min()).mean() < 0.95


def test_two_bodies_return_after_the_period_of_their_major_axis():
    starts = np.asarray(n_body.two_bodies(KEY, 10))
    axis = -1 / (2 * n_body.energy(starts))  # of the relative orbit: E = -m1 m2 / 2a
    for start, a in zip(starts, axis, strict=True):
        u = n_body.motions(start[None], [0, 2 * np.pi * np.sqrt(a**3 / 2)])
        np.testing.assert_allclose(u[0, 1], start, atol=1e-10)


def test_an_undisturbed_triangle_turns_as_a_rigid_body():
    starts = np.asarray(n_body.three_bodies(KEY, 5, disturbance=0.0))
    radius = np.linalg.norm(starts[:, 0, :2], axis=-1)
    ts = np.linspace(0, 5, 11)
    angle = ts * (np.sqrt(3) * radius[:, None] ** 3) ** -0.5  # centripetal: omega^2 r = 1 / (sqrt 3 r^2)
    cos, sin = np.cos(angle)[..., None], np.sin(angle)[..., None]
    x, y, px, py = np.moveaxis(starts[:, None], -1, 0)
    turned = [cos * x - sin * y, sin * x + cos * y, cos * px - sin * py, sin * px + cos * py]
    turned = np.stack(turned, -1)
    np.testing.assert_allclose(n_body.motions(starts, ts), turned, atol=1e-10)


@pytest.mark.parametrize(
    ("bodies", "ts"), [(n_body.two_bodies, n_body.TWO_BODY_EVALUATION), (n_body.three_bodies, n_body.THREE_BODY_TIMES)]
)
def test_energy_and_momenta_of_bodies_are_constant(bodies, ts):
    data = n_body.trajectories(KEY, 120, ts, bodies)
    assert data.u.shape == data.rate.shape == (120, len(ts), bodies(KEY, 1).shape[1], 4)
    for law in (n_body.energy, n_body.angular_momentum, n_body.momentum):
        values = law(data.u)
        np.testing.assert_allclose(values, np.broadcast_to(values[:, :1], values.shape), atol=1e-10)
    np.testing.assert_allclose(np.asarray(bodies(KEY, 120)), data.u[:, 0], atol=0)
    closest = np.argmax(np.abs(data.rate).max((1, 2, 3)))  # of all, the one that needs the smallest steps
    one = scipy.integrate.solve_ivp(
        lambda t, u: n_body.rate(u.reshape(-1, 4)).ravel(), ts[[0, -1]], data.u[closest, 0].ravel(), "LSODA",
        rtol=1e-11, atol=1e-11, t_eval=ts,
    )  # fmt: skip
    np.testing.assert_allclose(data.u[closest].reshape(len(ts), -1), one.y.T, atol=1e-4)


def test_starts_of_two_bodies_are_the_published_ones():
    starts = np.asarray(n_body.two_bodies(KEY, 20_000))
    np.testing.assert_array_equal(starts[:, 0], -starts[:, 1])
    x, p = starts[:, 0, :2], starts[:, 0, 2:]
    assert 0.5 <= x.min() < 0.51 and 1.49 < x.max() < 1.5
    radius = np.linalg.norm(x, axis=-1)
    np.testing.assert_allclose((x * p).sum(-1), 0, atol=1e-14)
    assert (n_body.angular_momentum(starts) > 0).all()
    factor = np.linalg.norm(p, axis=-1) * 2 * np.sqrt(radius)
    np.testing.assert_allclose([factor.mean(), factor.std()], [1, 0.05], atol=0.002)
    np.testing.assert_array_equal(n_body.momentum(starts), 0)


def test_starts_of_three_bodies_are_the_published_ones():
    starts = np.asarray(n_body.three_bodies(KEY, 20_000))
    x, p = starts[..., :2], starts[..., 2:]
    radius = np.linalg.norm(x, axis=-1)
    assert 0.9 <= radius.min() < 0.901 and 1.199 < radius.max() < 1.2
    np.testing.assert_allclose(np.linalg.norm(x - np.roll(x, 1, 1), axis=-1), np.sqrt(3) * radius, rtol=1e-12)
    np.testing.assert_allclose(x.sum(1), 0, atol=1e-14)
    undisturbed = np.asarray(n_body.three_bodies(KEY, 20_000, disturbance=0.0))
    factor = p / undisturbed[..., 2:]
    assert 0.8 <= factor.min() < 0.801 and 1.199 < factor.max() <= 1.2
    np.testing.assert_allclose(np.corrcoef(factor.reshape(-1, 6).T), np.eye(6), atol=0.03)


def test_published_sizes_of_the_recordings_of_bodies():
    times = (n_body.TWO_BODY_TIMES, n_body.THREE_BODY_TIMES, n_body.TWO_BODY_EVALUATION, n_body.THREE_BODY_EVALUATION)
    assert [(len(ts), ts[0], ts[-1]) for ts in times] == [(50, 0, 20), (20, 0, 5), (500, 0, 25), (500, 0, 3)]


def test_complete_graph():
    graph = n_body.complete_graph(4)
    assert sorted(zip(graph.senders.tolist(), graph.receivers.tolist(), strict=True)) == [
        (i, j) for i in range(4) for j in range(4) if i != j
    ]


def test_a_start_that_is_not_finite_or_of_another_shape_is_refused():
    for starts in (np.full((1, 2, 4), np.nan), np.zeros((2, 4))):
        with pytest.raises(ValueError, match=r"motions: starts have shape .* finite \(trajectory, node, dim\)"):
            n_body.motions(starts, [0, 1])


def test_damped_spring_is_the_exponential_of_its_matrix():
    start, ts = np.array([[0.9, -0.4]]), np.linspace(0, 4, 9)
    motion, matrices = damped_spring.motion(start, ts), ([[0, 2], [-2, -2]], [[-2, 2], [-2, 0]])
    expected = [scipy.linalg.expm(np.array(matrices[0]) * t) @ start[0] for t in ts]
    np.testing.assert_allclose(motion[:, 0], expected, atol=1e-13)
    assert (np.diff(mass_spring.hamiltonian_energy(motion)) < 0).all()
    for rate, matrix in zip((damped_spring.rate, damped_spring.published_rate), matrices, strict=True):
        np.testing.assert_allclose(rate(start)[0], matrix @ start[0], rtol=1e-14)
        np.testing.assert_allclose(rate(start, rho=0.0), mass_spring.hamiltonian_rate(start))


@pytest.mark.parametrize("rate", [damped_spring.rate, damped_spring.published_rate])
def test_grid_of_the_damped_spring(rate):
    train, test = damped_spring.grid(KEY, rate)
    u = np.concatenate([train[0], test[0]])[:, 0]
    assert len(test[0]) == 94 and len(np.unique(u.round(12), axis=0)) == 625
    np.testing.assert_allclose(np.unique(u.round(12)), np.linspace(-1.2, 1.2, 25), atol=1e-12)
    for states, rates in (train, test):
        np.testing.assert_array_equal(rates, rate(states))
    other, _ = damped_spring.grid(jax.random.key(1), rate)
    assert not (other[0] == train[0]).all()
    assert damped_spring.field_error(np.array([1.0, 3.0]), np.array([1.0, 1.0])) == 2


def test_integrated_rates_are_the_spring_up_to_a_constant():
    protocol = mass_spring.HNN._replace(trajectories=500)
    data, clean = (mass_spring.recordings(KEY, protocol._replace(noise=noise)) for noise in (0.1, 0.0))
    found = lgn.integrated(data.t, data.u, data.rate)
    error = found - clean.u
    offset = error.mean(1)
    np.testing.assert_allclose(offset, (data.u - clean.u).mean(1), atol=1e-4)
    np.testing.assert_allclose(offset.std(), 0.1 / np.sqrt(30), rtol=0.05)
    assert np.abs(error - offset[:, None]).max() < 5e-5
    np.testing.assert_allclose((found - data.u).mean(1), 0, atol=1e-14)
    np.testing.assert_allclose(lgn.integrated(clean.t, clean.u, clean.rate), clean.u, atol=5e-5)


def test_integrated_rates_of_a_polynomial_are_exact_at_uneven_times():
    t = np.array([0, 0.1, 0.4, 0.5, 0.9, 1.0])
    u, rate = (x[None, :, None, None] for x in (t**4 - t, 4 * t**3 - 1))
    np.testing.assert_allclose(lgn.integrated(t, u, rate), u, atol=1e-14)
    assert lgn.integrated(t, u.astype(np.float32), rate).dtype == np.float32


def flow(count=50, trajectories=3):
    """Times, and decays of different speeds, (trajectory, time, 2, 1)."""
    t = 0.1 * np.arange(count)
    speeds = np.arange(1, trajectories + 1)[:, None, None, None]
    return t, np.exp(-speeds * t[:, None, None]) * np.array([[1.0], [-2.0]])


@pytest.mark.parametrize("by_rate", [0.0, 0.5])
def test_pairs_are_drawn_evenly_and_by_rate(by_rate):
    t, u = flow(10)
    count = 20_000
    pairs = lgn.sample_pairs(KEY, t, u, count, by_rate=by_rate)
    assert pairs.q.shape == (count, 2, 2, 1)
    np.testing.assert_allclose(pairs.dt, 0.1, rtol=1e-12)
    ratio = pairs.q[:, 1, 0, 0] / pairs.q[:, 0, 0, 0]
    trajectory = np.round(-10 * np.log(ratio)).astype(int) - 1
    step = np.round(10 * pairs.t).astype(int)
    np.testing.assert_allclose(pairs.q, np.stack([u[trajectory, step], u[trajectory, step + 1]], 1))
    drawn = np.zeros((3, 9))
    np.add.at(drawn, (trajectory, step), 1 / count)
    speed = ((np.diff(u, axis=1) / 0.1) ** 2).mean((2, 3))
    np.testing.assert_allclose(drawn, by_rate * speed / speed.sum() + (1 - by_rate) / 27, atol=0.012)
    again = lgn.sample_pairs(KEY, t, u, count, by_rate=by_rate)
    np.testing.assert_array_equal(again.q, pairs.q)


def test_the_share_by_rate_is_never_at_rest():
    t, u = flow(4, 1)
    u = np.concatenate([u, np.ones_like(u)])
    pairs = lgn.sample_pairs(KEY, t, u, 100, by_rate=1.0)
    assert (pairs.q[:, 0] != pairs.q[:, 1]).all()
    with pytest.raises(ValueError, match=r"never changes.*by_rate=0"):
        lgn.sample_pairs(KEY, t, np.ones_like(u), 10)
    assert len(lgn.sample_pairs(KEY, t, np.ones_like(u), 10, by_rate=0.0).q) == 10


T, U = flow(6)
GAP, BROKEN = np.append(T[:4], T[4:] + 0.05), U.copy()
BROKEN[1, 2, 0, 0] = np.inf


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: lgn.sample_pairs(KEY, GAP, U, 5), r"step of 0.15 at t\[3\] = 0.3, where the first is 0.1; .*t\[:4\]"),
        (lambda: lgn.sample_pairs(KEY, T[:5], U, 5), r"u has shape \(3, 6, 2, 1\) and t \(5,\)"),
        (lambda: lgn.sample_pairs(KEY, T[:1], U[:, :1], 5), "2 or more"),
        (lambda: lgn.sample_pairs(KEY, T, BROKEN, 5), r"not finite at .* = \(1, 2, 0, 0\), and in 1 places.*isfinite"),
        (lambda: lgn.integrated(T, U, U[:, :5]), r"rate has shape \(3, 5, 2, 1\).*the same for u and rate"),
        (lambda: lgn.integrated(T, U, BROKEN), "rate is not finite at"),
    ],
)
def test_wrong_pairs_and_rates_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()

"""Systems of few degrees of freedom, against Lagrange's equations of sympy and numbers from elsewhere."""

from functools import partial

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
import scipy
import sympy

import lgn
from lgn.systems import double_pendulum, mass_spring, n_pendulum, pendulum, relativistic

LENGTHS, MASSES = np.array([1.0, 0.7, 1.3]), np.array([0.5, 2.0, 1.1])
SPRING = {"m": 0.7, "k": 3.0}
CHAIN = {"lengths": LENGTHS, "masses": MASSES, "g": 3.7}
TIME = sympy.Symbol("t")


def swing(lengths, masses, g):
    """Places, masses and potential of a chain of rods with angles q, in Cartesian coordinates."""

    def place(q):
        x, y, points, potential = 0, 0, [], 0
        for angle, length, mass in zip(q, lengths, masses, strict=True):
            x, y = x + length * sympy.sin(angle), y - length * sympy.cos(angle)
            points.append((mass, (x, y)))
            potential += mass * g * y
        return points, potential

    return place


def spring(q):
    return [(SPRING["m"], (q[0],))], SPRING["k"] * q[0] ** 2 / 2


# name: module, arguments, degrees of freedom, places and potential, c of R = c |v|^2
SYSTEMS = {
    "double pendulum": (double_pendulum, {}, 2, swing([1, 1], [1, 1], 9.8), 0.25),
    "pendulum": (pendulum, {}, 1, swing([1], [1], 9.8), 0.25),
    "pendulum on the moon": (pendulum, {"g": 1.6}, 1, swing([1], [1], 1.6), 0.25),
    "three pendulums": (n_pendulum, CHAIN, 3, swing(LENGTHS, MASSES, 3.7), 0.25),
    "mass on a spring": (mass_spring, SPRING, 1, spring, 0.125),
}
each = pytest.mark.parametrize("name", SYSTEMS)


def states(name, count=20):
    """q, v: (count, 1, dim)."""
    dim = SYSTEMS[name][2]
    random = np.random.default_rng(0)
    return random.uniform(-4, 4, (count, 1, dim)), random.uniform(-5, 5, (count, 1, dim))


def closed_form(name, damped):
    """acceleration(q, v) of a system, by its own closed form."""
    module, arguments, *_ = SYSTEMS[name]
    coefficient = {"c" if module is mass_spring else "friction": 0.25 * damped}
    return partial(module.acceleration, **arguments, **coefficient)


def derived(name):
    """acceleration(q, v, damped) and energy(q, v) of one state, from Lagrange's equations by sympy."""
    _, _, dim, place, c = SYSTEMS[name]
    damped = sympy.Symbol("damped")
    q = [sympy.Function(f"q{i}")(TIME) for i in range(dim)]
    v, a = [x.diff(TIME) for x in q], [x.diff(TIME, 2) for x in q]
    points, potential = place(q)
    kinetic = sum(mass * coordinate.diff(TIME) ** 2 / 2 for mass, point in points for coordinate in point)
    rayleigh = damped * c * sum(x**2 for x in v)
    L = kinetic - potential
    laws = [L.diff(w).diff(TIME) - L.diff(x) + rayleigh.diff(w) for x, w in zip(q, v, strict=True)]
    plain = {
        x: sympy.Symbol(f"{letter}{i}") for letter, xs in zip("avq", (a, v, q), strict=True) for i, x in enumerate(xs)
    }
    symbols = [[plain[x] for x in xs] for xs in (q, v, a)]
    laws, energy = (sympy.Matrix(laws).subs(plain), (kinetic + potential).subs(plain))
    at_rest = laws.subs({x: 0 for x in symbols[2]})
    equations = sympy.lambdify([*symbols[:2], damped], [laws.jacobian(symbols[2]), at_rest])

    def acceleration(q, v, damped):
        mass, rest = equations(q, v, damped)
        return np.linalg.solve(mass, -rest)[:, 0]

    return acceleration, sympy.lambdify(symbols[:2], energy)


@each
def test_acceleration_and_energy_follow_from_cartesian_coordinates(name):
    module, arguments, *_ = SYSTEMS[name]
    q, v = states(name)
    acceleration, energy = derived(name)
    for damped in (False, True):
        expected = [acceleration(q, v, damped) for q, v in zip(q[:, 0], v[:, 0], strict=True)]
        np.testing.assert_allclose(closed_form(name, damped)(q, v)[:, 0], expected, rtol=1e-10, atol=1e-11)
    expected = [energy(q, v) for q, v in zip(q[:, 0], v[:, 0], strict=True)]
    np.testing.assert_allclose(module.energy(q, v, **arguments), expected, rtol=1e-12, atol=1e-12)


@each
def test_the_density_and_its_friction_give_the_acceleration_and_energy(name):
    """Which falls by twice the Rayleigh function."""
    module, arguments, *_ = SYSTEMS[name]
    q, v = states(name)
    L = lgn.Lagrangian(lgn.single_node(), partial(module.density, **arguments), dissipation=module.friction)
    a, energy = jax.jit(jax.vmap(lambda q, v: (L.acceleration(q, v), L.energy(q, v))))(q, v)
    np.testing.assert_allclose(a, closed_form(name, True)(q, v), rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(energy, module.energy(q, v, **arguments), rtol=1e-12, atol=1e-12)
    plain = {key: x if np.ndim(x) == 0 else np.asarray(x, np.float32) for key, x in arguments.items()}
    for function in (module.acceleration, module.energy):
        assert jax.eval_shape(partial(function, **plain), *np.float32([q, v])).dtype == np.float32

    @jax.jit
    def fallen(q, v, a):
        _, power = jax.jvp(partial(module.energy, **arguments), (q, v), (v, a))
        return power + 2 * jax.vmap(lambda q, v: module.friction(q, v, {}))(q, v)

    np.testing.assert_allclose(fallen(jnp.asarray(q), jnp.asarray(v), a), 0, atol=1e-9)


@pytest.mark.parametrize("module", [pendulum, double_pendulum, n_pendulum])
def test_energy_of_trajectories(module):
    dim, ts = {pendulum: 1, double_pendulum: 2, n_pendulum: 3}[module], np.linspace(1, 3, 3001)
    start = np.full((1, dim), 2.5), np.ones((1, dim))
    q, v = module.trajectory(*start, ts)
    assert q.shape == v.shape == (3001, 1, dim) and np.ptp(q) > 1
    np.testing.assert_array_equal([q[0], v[0]], start)
    np.testing.assert_allclose(module.energy(q, v), module.energy(*start), atol=1e-9)
    q, v = module.trajectory(*start, ts, friction=0.25)
    spent = scipy.integrate.simpson(2 * 0.25 * (v**2).sum((1, 2)), x=ts)
    np.testing.assert_allclose(module.energy(q[-1], v[-1]), module.energy(*start) - spent, rtol=1e-7)


@pytest.mark.parametrize("start", [0.5, 2.0, 3.0])
def test_pendulum_comes_back_after_the_period_of_the_elliptic_integral(start):
    period = 4 / np.sqrt(9.8) * scipy.special.ellipk(np.sin(start / 2) ** 2)
    q, v = pendulum.trajectory([[start]], [[0.0]], [0, period / 2, period])
    np.testing.assert_allclose(q[:, 0, 0], [start, -start, start], atol=1e-9)
    np.testing.assert_allclose(v[:, 0, 0], 0, atol=1e-8)


@pytest.mark.parametrize("n", [1, 2, 7])
def test_small_oscillations_of_a_chain_are_the_roots_of_the_laguerre_polynomial(n):
    stiffness = -jax.jit(jax.jacobian(partial(n_pendulum.acceleration, lengths=0.5)))(np.zeros(n), np.zeros(n))
    found = np.sort(np.linalg.eigvals(stiffness).real)
    np.testing.assert_allclose(found, 9.8 / 0.5 * scipy.special.roots_laguerre(n)[0], rtol=1e-9)


@pytest.mark.parametrize("c", [0.0, 0.3, 2.0, 2.0 + 1e-9, 5.0])
def test_damped_oscillator_is_the_exponential_of_its_matrix(c):
    m, k, ts = 0.5, 2.0, np.linspace(0, 10, 7)  # friction is critical at c = 2 sqrt(m k) = 2
    matrix = np.array([[0, 1], [-k / m, -c / m]])
    found = np.array(mass_spring.exact([[1.2]], [[-0.4]], ts, m, k, c))[..., 0, 0].T
    np.testing.assert_allclose(found, [scipy.linalg.expm(matrix * t) @ [1.2, -0.4] for t in ts], atol=1e-12)


VARIANTS = {
    "published": lambda q, v, g: (1 - v**2) ** sympy.Rational(-1, 2) - 1 + g * q,
    "physical": lambda q, v, g: -sympy.sqrt(1 - v**2) + g * q,
}


@pytest.mark.parametrize("name", VARIANTS)
def test_relativistic_particles_to_the_last_digits(name):
    acceleration, momentum, energy, density = (
        getattr(relativistic, f"{name}_{what}") for what in ("acceleration", "momentum", "energy", "density")
    )
    data, field = relativistic.sample(jax.random.key(0), 20, acceleration)
    v = data.check().v.at[0, :2, 0].set([0.99999, -0.99999])  # the fastest that the sampler allows
    data = data._replace(v=v, a=acceleration(data.q, v, field))
    q, v, g = sympy.symbols("q v g")
    L = VARIANTS[name](q, v, g)
    laws = sympy.lambdify((q, v, g), [L.diff(q) / L.diff(v, 2), L.diff(v), v * L.diff(v) - L], "mpmath")
    with mpmath.workdps(60):
        expected = [
            [float(x) for x in laws(*(mpmath.mpf(float(x)) for x in state))]
            for state in zip(data.q[0, :, 0], data.v[0, :, 0], field, strict=True)
        ]
    a, p, E = np.array(expected).T
    np.testing.assert_allclose(data.a[0, :, 0], a, rtol=1e-14)
    np.testing.assert_allclose(momentum(data.v)[0, :, 0], p, rtol=1e-14)
    np.testing.assert_allclose(energy(data.q, data.v, field), E.sum(), rtol=1e-13)
    system = lgn.Lagrangian(lgn.single_node({"g": field}, count=20), density)
    np.testing.assert_allclose(jax.jit(system.acceleration)(data.q[0], data.v[0]), data.a[0], rtol=1e-10, atol=1e-30)
    np.testing.assert_allclose(system.momentum(data.q[0], data.v[0]), momentum(data.v[0]), rtol=1e-12)


def test_zero_has_the_published_error_on_relativistic_particles():
    data, _ = relativistic.sample(jax.random.key(1), 300_000)
    found = relativistic.weighted_error(jnp.zeros_like(data.a), data.a, data.v)
    np.testing.assert_allclose(found, 0.407, rtol=0.02)
    assert relativistic.weighted_error(data.a, data.a, data.v) == 0
    v = jnp.array([0.0, 0.6, 0.8])  # weights 2, 9/4, 8/3
    error = relativistic.weighted_error(jnp.array([1.0, 0.0, -2.0]), np.zeros(3), v)
    np.testing.assert_allclose(error, (2 + 16 / 3) / (2 + 9 / 4 + 8 / 3), rtol=1e-14)


def test_double_pendulum_states_have_the_published_mean_acceleration():
    data = double_pendulum.sample(jax.random.key(0), 200_000)
    np.testing.assert_allclose(jnp.abs(data.a).sum((1, 2)).mean(), 46.8, rtol=0.01)


@pytest.mark.parametrize(
    "sampler", [partial(double_pendulum.sample, speed=5.0, friction=0.25), partial(mass_spring.sample, **SPRING)]
)
def test_samplers_compile(sampler):
    sampler, key = partial(sampler, count=20), jax.random.key(3)
    for found, expected in zip(jax.jit(sampler)(key), sampler(key), strict=True):
        if expected is not None:
            np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("module", [pendulum, double_pendulum])
def test_states_fill_the_circle_and_the_range_of_speeds(module):
    data = module.sample(jax.random.key(0), 20_000, speed=5.0).check()
    low = {pendulum: -np.pi, double_pendulum: 0}[module]
    for x, ends in ((data.q, (low, low + 2 * np.pi)), (data.v, (-5, 5))):
        quarters, _ = np.histogram(x, 4, ends)
        assert quarters.sum() == x.size
        np.testing.assert_allclose(quarters / x.size, 0.25, atol=0.02)
    np.testing.assert_allclose(np.corrcoef(data.q[:, 0, 0], data.v[:, 0, 0])[0, 1], 0, atol=0.04)


def test_starts_of_the_double_pendulum_are_slow():
    q, v = double_pendulum.starts(jax.random.key(0), 400)
    assert q.shape == v.shape == (400, 1, 2)
    assert 0 <= v.min() < 0.001 and 0.099 < v.max() < 0.1
    assert 0 <= q.min() < 0.1 and 6.2 < q.max() < 2 * np.pi


def test_grid_of_the_pendulum():
    data = pendulum.grid().check()
    assert data.q.shape == (121, 1, 1)
    assert len(np.unique(np.column_stack([data.q[:, 0, 0], data.v[:, 0, 0]]), axis=0)) == 121
    np.testing.assert_allclose(np.unique(data.v), np.arange(-10, 11, 2), atol=1e-12)
    np.testing.assert_allclose(np.unique(data.q), np.pi * np.arange(-5, 6) / 5, atol=1e-12)
    np.testing.assert_allclose(data.a, -9.8 * np.sin(data.q) - 0.5 * data.v, atol=1e-12)


def test_training_trajectories_of_the_pendulum():
    assert pendulum.TIMES[[0, 30, -1]].tolist() == [0, 1, 8]
    data = pendulum.trajectories(jax.random.key(0), 3).check()
    q, v, a = (x.reshape(3, 241) for x in data[:3])
    inner = slice(3, -3)
    for x, rate in ((q, v), (v, a)):  # differences of sixth order
        steps = sum(c * (np.roll(x, -s, 1) - np.roll(x, s, 1)) for s, c in ((1, 3 / 4), (2, -3 / 20), (3, 1 / 60)))
        np.testing.assert_allclose(30 * steps[:, inner], rate[:, inner], atol=2e-3)
    energy = pendulum.energy(data.q, data.v).reshape(3, 241)
    assert (np.diff(energy) < 0).all()


def test_a_start_that_is_not_finite_is_refused():
    with pytest.raises(ValueError, match=r"q0=\[\[nan\]\].*finite"):
        pendulum.trajectory([[np.nan]], [[0.0]], [0, 1])

"""Fields of first order in time, against matrices, sympy, scipy, the analytic soliton and exponax."""

from functools import partial

import exponax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sympy
from scipy.integrate import solve_ivp

import lgn
from lgn.systems import cahn_hilliard, kdv


def first_difference(n, h):
    """(node, node) matrix of (u[i+1] - u[i-1]) / (2 h) on a ring."""
    return (np.roll(np.eye(n), 1, 1) - np.roll(np.eye(n), -1, 1)) / (2 * h)


def second_difference(n, h):
    """(node, node) matrix of (u[i+1] - 2 u[i] + u[i-1]) / h^2 on a ring."""
    return (np.roll(np.eye(n), 1, 1) - 2 * np.eye(n) + np.roll(np.eye(n), -1, 1)) / h**2


def laplacian(lattice, spacing):
    """(node, node) matrix of the Laplacian on a periodic lattice whose nodes are numbered in C order."""
    total = np.zeros((1, 1))
    for n, h in zip(lattice, spacing, strict=True):
        total = np.kron(total, np.eye(n)) + np.kron(np.eye(len(total)), second_difference(n, h))
    return total


def total(graph, density):
    """H(u) of u (node,): the density summed over the node stencil of a graph."""
    stencil = lgn.node_stencil(graph)
    features = {"mask": stencil.mask, **stencil.geometry}
    return lambda u: jax.vmap(density)(u[stencil.index][..., None], features).sum()


def noise(*shape):
    return np.random.default_rng(0).normal(size=shape)


GAMMA = 0.013


def mixture(lattice, spacing):
    d2, gamma = laplacian(lattice, spacing), {"gamma": GAMMA}
    rate, energy = (partial(f, spacing=spacing, **gamma) for f in (cahn_hilliard.rate, cahn_hilliard.energy))
    slope = lambda u: u**3 - u - GAMMA * d2 @ u  # noqa: E731
    return lattice, spacing, partial(cahn_hilliard.density, **gamma), d2, slope, rate, energy


def wave(n, dx):
    d2, (rate, energy) = second_difference(n, dx), (partial(f, dx=dx) for f in (kdv.rate, kdv.energy))
    return (n,), (dx,), kdv.density, first_difference(n, dx), lambda u: 3 * u**2 + d2 @ u, rate, energy


# name: lattice, spacing, density, matrix G, gradient of H, rate, energy
CASES = {
    "kdv": wave(9, 0.3),
    "cahn_hilliard in 2D": mixture((4, 5), (0.3, 0.7)),
    "cahn_hilliard in 3D": mixture((3, 4, 3), (0.3, 0.7, 0.4)),
}
each = pytest.mark.parametrize("name", CASES)


@each
def test_rate_is_the_structure_times_the_gradient_of_the_density(name):
    """Leading axes are a batch, and the dtype follows the field."""
    lattice, spacing, density, structure, gradient, rate, energy = CASES[name]
    u = noise(np.prod(lattice))
    H = total(lgn.lattice(lattice, spacing), density)
    np.testing.assert_allclose(jax.grad(H)(jnp.asarray(u)), gradient(u), rtol=1e-12, atol=1e-12)
    field = u.reshape(*lattice, 1)
    np.testing.assert_allclose(rate(field).ravel(), structure @ gradient(u), rtol=1e-11, atol=1e-10)
    np.testing.assert_allclose(energy(field), np.prod(spacing) * H(u), rtol=1e-13)
    batch = np.stack([field, 2 * field])[None]
    for function in (rate, energy):
        np.testing.assert_allclose(jax.jit(function)(batch)[0, 0], function(field), rtol=1e-12)
        assert jax.eval_shape(function, field.astype(np.float32)).dtype == np.float32


def test_rates_follow_from_the_integrals_by_sympy():
    """As polynomials of the field on 5 nodes, coefficient by coefficient."""
    u, h, gamma = sympy.symbols("u:5"), sympy.Rational(1, 4), sympy.Rational(1, 128)
    slopes = [(u[(i + 1) % 5] - u[i]) / h for i in range(5)]
    d1 = lambda x: [(x[(i + 1) % 5] - x[i - 1]) / (2 * h) for i in range(5)]  # noqa: E731
    d2 = lambda x: [(x[(i + 1) % 5] - 2 * x[i] + x[i - 1]) / h**2 for i in range(5)]  # noqa: E731
    waves = sum(x**3 - s**2 / 2 for x, s in zip(u, slopes, strict=True))
    phases = sum((x**2 - 1) ** 2 / 4 + gamma / 2 * s**2 for x, s in zip(u, slopes, strict=True))
    state = noise(5)
    for H, G, rate, energy in (
        (waves, d1, partial(kdv.rate, dx=0.25), partial(kdv.energy, dx=0.25)),
        (
            phases,
            d2,
            partial(cahn_hilliard.rate, spacing=(0.25,), gamma=1 / 128),
            partial(cahn_hilliard.energy, spacing=(0.25,), gamma=1 / 128),
        ),
    ):
        expected = sympy.lambdify(u, [*G([H.diff(x) for x in u]), h * H])(*state)
        np.testing.assert_allclose(rate(state[:, None])[:, 0], expected[:-1], rtol=1e-11)
        np.testing.assert_allclose(energy(state[:, None]), expected[-1], rtol=1e-13)


def test_an_open_lattice_has_no_slope_beyond_its_ends():
    chain = total(lgn.lattice((7,), 0.3, periodic=False), partial(cahn_hilliard.density, gamma=GAMMA))
    u = noise(7)
    expected = np.sum((u**2 - 1) ** 2) / 4 + GAMMA / 2 * np.sum(np.diff(u) ** 2) / 0.3**2
    np.testing.assert_allclose(chain(u), expected, rtol=1e-13)
    assert np.isfinite(jax.grad(chain)(jnp.asarray(u))).all()


def test_the_soliton_solves_the_equation():
    x, t, k = sympy.symbols("x t k", positive=True)
    u = 2 * k**2 / sympy.cosh(k * (x + 4 * k**2 * t)) ** 2
    law = sympy.lambdify((x, t, k), u.diff(t) - 6 * u * u.diff(x) - u.diff(x, 3))
    np.testing.assert_allclose(law(np.linspace(-3, 3, 50), 0.1, 1.3), 0, atol=1e-11)
    found = kdv.soliton(np.linspace(-3, 3, 50), 0.1, 1.3)
    np.testing.assert_allclose(found, sympy.lambdify((x, t, k), u)(np.linspace(-3, 3, 50), 0.1, 1.3), rtol=1e-13)


def two_solitons(x, t, k=(1.3, 0.8), places=(4.0, 0.0)):
    """Hirota's solution u = 2 (log tau)_xx, in which the first soliton overtakes the second."""

    def log_tau(x):
        a, b = (2 * k * (x - x0 + 4 * k**2 * t) for k, x0 in zip(k, places, strict=True))
        shift = 2 * np.log(abs(k[0] - k[1]) / (k[0] + k[1]))
        return jax.nn.logsumexp(jnp.stack([jnp.zeros_like(a), a, b, a + b + shift]))

    return 2 * jax.vmap(jax.grad(jax.grad(log_tau)))(x)


def collision_error(n, length=32.0, end=1.5):
    """Of two solitons on n nodes after one has passed the other, relative."""
    dx = length / n
    x = dx * np.arange(n) - 0.6 * length
    exact = two_solitons(x, end)
    u = kdv.trajectory(two_solitons(x, 0.0)[:, None], n, end / n, dx)[-1, :, 0]
    return float(jnp.linalg.norm(u - exact) / jnp.linalg.norm(exact))


def test_a_collision_of_solitons_approaches_the_analytic_one_with_the_square_of_the_spacing():
    coarse, fine = collision_error(480), collision_error(960)
    assert fine < 0.03
    assert coarse / fine == pytest.approx(4, rel=0.1)


def mixture_error(n, dimensions=2, gamma=2e-3, end=0.02):
    """Distance of Cahn-Hilliard to exponax, relative."""
    waves = np.meshgrid(*[2 * np.pi * np.arange(n) / n] * dimensions, indexing="ij")
    u0 = 0.3 * np.cos(waves[0]) + 0.4 * np.sin(2 * waves[-1] + waves[0]) - 0.1
    steps, spacing = 2 * n, (1 / n,) * dimensions
    u = cahn_hilliard.trajectory(u0[..., None], steps, end / steps, spacing, gamma)[-1, ..., 0]
    fine = exponax.stepper.reaction.CahnHilliard(
        dimensions, 1.0, n, end / 1000, diffusivity=1.0, gamma=gamma, order=4, dealiasing_fraction=1.0
    )
    exact = exponax.repeat(fine, 1000)(u0[None])[0]
    assert jnp.linalg.norm(exact - u0) > 0.3 * jnp.linalg.norm(u0)
    return float(jnp.linalg.norm(u - exact) / jnp.linalg.norm(exact))


def test_mixtures_approach_the_spectral_solution_with_the_square_of_the_spacing():
    coarse, fine = mixture_error(32), mixture_error(64)
    assert fine < 0.02
    assert coarse / fine == pytest.approx(4, rel=0.15)


def waves(u0, count, dt):
    d1, d2 = first_difference(50, 0.2), second_difference(50, 0.2)
    return kdv.trajectory(u0, count, dt), lambda _, u: d1 @ (3 * u**2 + d2 @ u)


def phases(u0, count, dt):
    d2 = second_difference(50, 0.02)
    return cahn_hilliard.trajectory(u0, count, dt), lambda _, u: d2 @ (u**3 - u - 5e-4 * d2 @ u)


@pytest.mark.parametrize(
    ("solve", "start", "end", "count"),
    [(waves, kdv.starts, 0.1, 100), (phases, lambda key, n: 10 * cahn_hilliard.starts(key, n), 0.004, 320)],
)
def test_trajectories_approach_those_of_scipy_with_the_square_of_the_step(solve, start, end, count):
    u0 = np.asarray(start(jax.random.key(3), 1))[0]
    (coarse, law), (fine, _) = (solve(u0, m * count, end / (m * count)) for m in (1, 2))
    exact = solve_ivp(law, (0, end), u0[:, 0], method="DOP853", rtol=1e-11, atol=1e-12).y[:, -1]
    errors = [np.abs(u[-1, :, 0] - exact).max() for u in (coarse, fine)]
    assert errors[0] < 0.02
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.1)


def test_every_step_of_the_published_data_is_the_mean_value_discrete_gradient():
    """Solved to far below the 1e-10 of the paper: the mean over the segment by Gauss's rule, the matrices dense."""
    d1, d2 = first_difference(50, 0.2), second_difference(50, 0.2)
    fine = second_difference(50, 0.02)
    gradients = {
        kdv: (d1, lambda u: 3 * u**2 + u @ d2),
        cahn_hilliard: (fine, lambda u: u**3 - u - 5e-4 * u @ fine),
    }
    for system, (structure, gradient) in gradients.items():
        t, u = system.trajectories(jax.random.key(0), 2)
        assert t.shape == (501,) and u.shape == (2, 501, 50, 1) and u.dtype == np.float64
        np.testing.assert_array_equal(u[:, 0], system.starts(jax.random.key(0), 2))
        before, after = u[:, :-1, :, 0], u[:, 1:, :, 0]
        nodes, weights = np.polynomial.legendre.leggauss(2)
        mean = sum(
            w / 2 * gradient(before + (1 + s) / 2 * (after - before)) for s, w in zip(nodes, weights, strict=True)
        )
        left = after - before - (t[1] - t[0]) * mean @ structure.T
        assert np.abs(left).max() < 1e-13 * np.abs(u).max() * 10


def test_waves_keep_their_energy_and_mass():
    _, u = kdv.trajectories(jax.random.key(1), 2)  # a program of the test above
    energy, mass = kdv.energy(u), u.sum((2, 3))
    np.testing.assert_allclose(energy, energy[:, :1].repeat(501, 1), rtol=1e-12)
    np.testing.assert_allclose(mass, mass[:, :1].repeat(501, 1), rtol=1e-13)
    assert np.abs(np.diff(u, axis=1)).max() > 0.01


@pytest.mark.parametrize(("lattice", "spacing"), [((50,), (0.02,)), ((32, 24), (1 / 32, 1 / 24))])
def test_mixtures_separate_with_falling_energy_and_constant_mass(lattice, spacing):
    u = cahn_hilliard.trajectory(cahn_hilliard.starts(jax.random.key(1), 3, lattice), 500, 1e-4, spacing)
    assert u.shape == (3, 501, *lattice, 1) and 0.8 < np.abs(u[:, -1]).max() < 1.05
    energy, over_lattice = cahn_hilliard.energy(u, spacing), tuple(range(2, u.ndim))
    assert (np.diff(energy, axis=1) < 0).all() and energy[:, -1].max() < 0.85 * energy[:, 0].min()
    np.testing.assert_allclose(u.mean(over_lattice), u[:, :1].mean(over_lattice).repeat(501, 1), atol=1e-15)


def test_energy_falls_at_long_steps():
    u = cahn_hilliard.trajectory(cahn_hilliard.starts(jax.random.key(1), 3), 100, 4 * 5e-4)
    assert (np.diff(cahn_hilliard.energy(u), axis=1) < 1e-15).all() and np.abs(u[:, -1]).min() < 0.9 < np.abs(u).max()


def test_walls_between_phases_have_their_analytic_shape_and_energy():
    """tanh(x / sqrt(2 gamma)) is at rest and costs 2/3 sqrt(2 gamma); the ring holds two."""
    x, wall = np.arange(400) / 400, np.sqrt(2 * 5e-4)
    u = np.tanh((0.25 - np.abs(x - 0.5)) / wall)[:, None]
    np.testing.assert_allclose(cahn_hilliard.energy(u, (1 / 400,)), 4 / 3 * wall, rtol=1e-3)
    later = cahn_hilliard.trajectory(u, 100, 1e-4, (1 / 400,))[-1]
    np.testing.assert_allclose(later, u, atol=2e-3)


def test_starts_are_those_of_the_paper():
    u = np.asarray(kdv.starts(jax.random.key(0), 2000))[..., 0]
    x = 0.2 * np.arange(50)
    heights = 2 * np.array([0.5, 2.0]) ** 2
    assert heights[0] < u.max(1).min() and u.max(1).max() < 1.1 * heights[1]
    place = x[u.argmax(1)]
    assert place.min() >= 1.8 and place.max() <= 8.0
    left = (u[:, :10].sum(1) < u[:, -10:].sum(1)).mean()  # the first soliton stands nearer to the end than the second
    assert 0.3 < left < 0.7
    mass = 0.2 * u.sum(1)
    assert mass.mean() == pytest.approx(2 * 4 * 1.25, rel=0.05)  # a soliton has the mass 4 k, less what is cut off
    u = np.asarray(cahn_hilliard.starts(jax.random.key(0), 2000))
    assert -0.05 <= u.min() < -0.0499 and 0.0499 < u.max() <= 0.05 and abs(u.mean()) < 1e-3


@pytest.mark.parametrize("system", [kdv, cahn_hilliard])
def test_bad_starts_and_steps_are_refused(system):
    u0 = np.asarray(system.starts(jax.random.key(0), 2))
    with pytest.raises(ValueError, match=r"u0 has values that are not finite"):
        system.trajectory(np.where(u0 == u0.max(), np.nan, u0), 1)
    with pytest.raises(RuntimeError, match=r"step \d+ with dt=1\.0 does not converge .*reduce dt"):
        system.trajectory(50 * u0, 5, 1.0)

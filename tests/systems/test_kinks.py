"""Kinks of the sine-Gordon and phi^4 chains, against the solitary waves of their equations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lgn
from lgn import diagnostics
from lgn.systems import phi4, sine_gordon

SPEED, TIME, LENGTH = 0.4, 20.0, 40.0
GAMMA = 1 / np.sqrt(1 - SPEED**2)
SYSTEMS = {"sine_gordon": sine_gordon, "phi4": phi4}
WAVES = {  # as functions of x and t, from the textbooks
    "sine_gordon": lambda x, t: 4 * jnp.arctan(jnp.exp(GAMMA * (x - SPEED * t))),
    "phi4": lambda x, t: jnp.tanh(GAMMA * (x - SPEED * t) / np.sqrt(2)),
}
PULLS = {"sine_gordon": jnp.sin, "phi4": lambda u: u**3 - u}
RESTING_ENERGY = {"sine_gordon": 8.0, "phi4": 2 * np.sqrt(2) / 3}
each = pytest.mark.parametrize("name", SYSTEMS)


def chain(h):
    n = round(LENGTH / h) + 1
    return lgn.lattice((n,), spacing=h, periodic=False), h * np.arange(n) - LENGTH / 2


def derivative(wave, argument, order):
    """d^order wave / d argument^order at all of x."""
    for _ in range(order):
        wave = jax.grad(wave, argument)
    return jax.vmap(wave, (0, None))


@each
def test_kink_solves_the_equation(name):
    x = np.linspace(-10, 10, 101)
    wave = WAVES[name]
    q, v = SYSTEMS[name].kink(x, SPEED, 3.0)
    np.testing.assert_allclose(q[:, 0], wave(x, 3.0), atol=1e-14)
    np.testing.assert_allclose(v[:, 0], derivative(wave, 1, 1)(x, 3.0), atol=1e-14)
    tension = derivative(wave, 0, 2)(x, 3.0) - PULLS[name](q[:, 0])
    np.testing.assert_allclose(derivative(wave, 1, 2)(x, 3.0), tension, atol=1e-12)


@each
def test_the_density_gives_the_exact_acceleration_and_energy(name):
    system = SYSTEMS[name]
    graph, _ = chain(0.5)
    L = lgn.Lagrangian(graph, system.density)
    states = system.sample(jax.random.key(0), 4, int(graph.n_node[0]), 0.5).check()
    found = jax.jit(jax.vmap(L.acceleration))(states.q, states.v)
    np.testing.assert_allclose(found, states.a, atol=1e-11)
    np.testing.assert_allclose(
        jax.jit(jax.vmap(L.energy))(states.q, states.v), system.energy(states.q, states.v, 0.5), rtol=1e-13
    )
    u, h = np.asarray(states.q[0, :, 0]), 0.5
    by_hand = [(u[i - 1] - 2 * u[i] + u[i + 1]) / h**2 - PULLS[name](u[i]) for i in range(1, len(u) - 1)]
    np.testing.assert_allclose(states.a[0, 1:-1, 0], by_hand, atol=1e-11)


@each
def test_a_moving_kink_follows_the_exact_one_to_second_order(name):
    """The chain solves u_tt = u_xx + h^2 / 12 u_xxxx - V' to fourth order: over a time T the source h^2 / 12 u_xxxx
    adds up to no more than about T times its size, for a kink answers to it by a change of speed, not by a force."""
    system, errors = SYSTEMS[name], []
    for h in (0.2, 0.1):
        graph, x = chain(h)
        x = x + LENGTH / 10
        L = lgn.Lagrangian(graph, system.density)
        motion = lgn.rollout(L, system.kink(x, SPEED), np.linspace(0.0, TIME, 5), lgn.Verlet(h / 10))
        exact = np.stack([WAVES[name](x, t) for t in motion.t])
        error = np.abs(motion.q[..., 0] - exact).max()
        source = h**2 / 12 * np.abs(jax.jit(derivative(WAVES[name], 0, 4))(x, 0.0)).max()
        assert error < TIME * source
        assert diagnostics.drift(motion.energy) < 1e-5
        assert float(motion.energy[0]) == pytest.approx(RESTING_ENERGY[name] * GAMMA, rel=h**2)
        errors.append(error)
    assert errors[0] / errors[1] == pytest.approx(4.0, rel=0.1)

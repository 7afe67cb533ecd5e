"""What is learned of an energy: exact data have no loss, noise bends nothing, and a checkpoint tells how."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import lgn
from lgn.learning.optimizers import default_phases
from lgn.systems import cahn_hilliard, kdv, pendulum

KEY = jax.random.key(0)


def spring(u, features):
    """Frequency 1."""
    return 0.5 * jnp.sum(u[0] ** 2)


def flow_of(density):
    return lgn.EnergyFlow(lgn.single_node(), density, structure=lgn.Symplectic())


def network(seed=0, hidden=(8, 8)):
    return lgn.MLPDensity(1, 2, hidden, fields=1, initializer=lgn.lecun_normal, rngs=nnx.Rngs(seed))


def circle(t):
    return np.stack([np.cos(t), -np.sin(t)], -1)[:, None]


def test_exact_motions_of_the_discrete_law_have_no_loss():
    u = kdv.trajectory(kdv.starts(KEY, 2), 20)
    pairs = lgn.sample_pairs(KEY, kdv.TIME_STEP * np.arange(21), u, 30)
    flow = lgn.EnergyFlow(lgn.lattice((50,), spacing=kdv.SPACING), kdv.density, structure=lgn.FirstDifference())
    assert lgn.DiscreteLoss()(flow, pairs) < 1e-20
    assert lgn.DiscreteLoss(weight=flow.structure.pseudo_inverse(1))(flow, pairs) < 1e-20
    assert lgn.DiscreteLoss(lgn.Automatic())(flow, pairs) < 1e-20  # of a power of one number both are its quotient
    assert 1e-14 < lgn.DiscreteLoss(lgn.Gonzalez())(flow, pairs) < 1e-2  # another discretisation of the same order


def test_the_potential_form_weighs_all_wave_numbers_alike():
    """An error e of mu on one mode gives |e|^2 / |mu|^2, whatever its wave number; the direct loss sees k^4 of it."""
    n, dx = 32, cahn_hilliard.SPACING[0]
    u = cahn_hilliard.trajectory(cahn_hilliard.starts(KEY, 1, lattice=(n,)), 5, spacing=(dx,))
    pairs = lgn.sample_pairs(KEY, cahn_hilliard.TIME_STEP * np.arange(6), u, 20)
    found = []
    for mode in (1, 16):
        wave = jnp.asarray(np.cos(2 * np.pi * mode * np.arange(n) / n))
        graph = lgn.with_features(lgn.lattice((n,), spacing=dx), {"wave": wave})

        def wrong(u, features):
            return cahn_hilliard.density(u, features) + 1e-3 * features["wave"][0] * u[0, 0]

        flow = lgn.EnergyFlow(graph, wrong, structure=lgn.Laplacian())
        weight = flow.structure.pseudo_inverse(1)
        found.append([lgn.DiscreteLoss(weight=weight)(flow, pairs), lgn.DiscreteLoss()(flow, pairs)])
    (slow, slow_direct), (fast, fast_direct) = found
    np.testing.assert_allclose(fast / slow, 2, rtol=1e-6)  # the mean square of an alternating wave is twice a cosine's
    expected = 2 * (np.sin(np.pi * 16 / n) / np.sin(np.pi / n)) ** 4
    np.testing.assert_allclose(fast_direct / slow_direct, expected, rtol=1e-6)


def test_energy_of_a_pendulum_from_pairs_of_snapshots():
    recording = pendulum.recordings(KEY, pendulum.HNN._replace(noise=0.0))
    pairs = lgn.sample_pairs(KEY, recording.t, recording.u, 300)
    loss = lgn.DiscreteLoss()
    fit = lgn.fit(flow_of(network()), pairs, key=KEY, loss=loss, phases=[lgn.QuasiNewton(300)], validation=None)
    u = recording.u[:5].reshape(-1, 1, 2)
    found = jax.jit(jax.vmap(lambda u: fit.system.rate((u,))[0]))(u)
    exact = pendulum.hamiltonian_rate(u)
    assert np.sqrt(np.mean((found - exact) ** 2) / np.mean(exact**2)) < 2e-2


def test_rates_of_first_order():
    u = jax.random.normal(KEY, (50, 1, 2))
    data = lgn.States(u, jnp.stack([u[..., 1], -u[..., 0]], -1)).check()
    assert lgn.rate_loss(flow_of(spring), data) < 1e-30
    assert len(default_phases(flow_of(spring), data)) == 1  # nothing to start from
    law = lgn.Baseline(lgn.single_node(), lgn.NeuralODE(2, (8,), fields=1, rngs=nnx.Rngs(0)))
    fit = lgn.fit(law, data, key=KEY, phases=[lgn.QuasiNewton(100)], validation=None)  # rate_loss
    assert fit.history[-1].loss < 1e-4


def test_noise_bends_the_pointwise_loss_and_not_shooting():
    """A stiffness k of H = (p^2 + k q^2) / 2 from a noisy circle: attenuation makes the pointwise k too small."""
    noise, t = 0.2, 0.2 * np.arange(200)
    u = circle(t) + noise * np.random.default_rng(0).normal(size=(200, 1, 2))
    data = lgn.windows(t, u, length=20)
    exact = lgn.States(jnp.asarray(u), jnp.asarray(np.stack([-np.sin(t), -np.cos(t)], -1)[:, None]))

    class Spring(nnx.Module):
        def __init__(self):
            self.k = nnx.Param(jnp.asarray(0.8))

        def __call__(self, u, features):
            return 0.5 * (u[0, 1] ** 2 + self.k[...] * u[0, 0] ** 2)

    pointwise = lgn.fit(flow_of(Spring()), exact, key=KEY, loss=lgn.rate_loss, phases=[lgn.QuasiNewton(50)]).system
    shooting = lgn.ShootingLoss(lgn.ImplicitMidpoint(0.1), dt=0.2)
    free = lgn.fit(lgn.Shooting(flow_of(Spring()), data), data, key=KEY, loss=shooting, phases=[lgn.QuasiNewton(100)])
    attenuated = 1 / (1 + 2 * noise**2)  # regression of -q on q + noise, the mean square of q is a half
    np.testing.assert_allclose(pointwise.density.k[...], attenuated, rtol=0.03)
    np.testing.assert_allclose(free.system.system.density.k[...], 1.0, rtol=0.015)
    np.testing.assert_allclose(free.history[-1].loss, 2 * noise**2 / (0.5 + noise**2) * 0.5, rtol=0.2)


def test_a_checkpoint_tells_by_which_discrete_gradient_was_trained(tmp_path):
    pairs = lgn.windows(0.1 * np.arange(20), circle(0.1 * np.arange(20)), length=2)
    loss = lgn.DiscreteLoss(lgn.MeanValue(3))
    fit = lgn.fit(flow_of(network(hidden=(4,))), pairs, key=KEY, loss=loss, phases=[lgn.QuasiNewton(3)])
    lgn.save(tmp_path / "flow", fit.system)
    assert fit.system.discrete == lgn.load(tmp_path / "flow").discrete == lgn.MeanValue(3)


def test_a_lagrangian_learns_from_pairs_too():
    t = 0.05 * np.arange(60)
    q, v = np.cos(t)[:, None, None], -np.sin(t)[:, None, None]
    L = lgn.Lagrangian(lgn.single_node(), lambda q, v, features: 0.5 * jnp.sum(v**2) - 0.5 * jnp.sum(q**2))
    assert lgn.DiscreteLoss()(L, lgn.windows(t, q, v, length=2)) < 1e-6


PAIRS = lgn.windows(0.1 * np.arange(9), circle(0.1 * np.arange(9)), length=3)
WRONG = {
    "two fields": (
        lambda: lgn.DiscreteLoss()(flow_of(spring), PAIRS._replace(v=PAIRS.q)),
        "state of 2 fields, but an EnergyFlow moves one.*concatenate",
    ),
    "a baseline": (
        lambda: lgn.DiscreteLoss()(
            lgn.Baseline(lgn.single_node(), lgn.NeuralODE(2, fields=1, rngs=nnx.Rngs(0))), PAIRS),
        "DiscreteLoss needs `discrete_rate`.*RolloutLoss",
    ),
    "no starts": (
        lambda: lgn.ShootingLoss(lgn.ImplicitMidpoint(0.1), 0.1)(flow_of(spring), PAIRS),
        r"has no free starts; fit lgn.Shooting\(system, data\)",
    ),
    "shooting is kept": (lambda: lgn.Shooting(flow_of(spring), PAIRS).config(), r"lgn.save\(path, shooting.system\)"),
    "no accelerations": (
        lambda: lgn.acceleration_loss(flow_of(spring), lgn.States(PAIRS.q[:, 0], PAIRS.q[:, 0])),
        "no accelerations.*rate_loss",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_wrong_input_is_named(name):
    call, message = WRONG[name]
    with pytest.raises(ValueError, match=message):
        call()

"""The protocol: whatever has a rate, an energy, a check and a config moves; what it lacks is named."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import lgn
from lgn import diagnostics, runs


class Decay(nnx.Pytree):
    """du/dt = A u on each node, of first order: no Lagrangian, no velocity, no solve."""

    config = lgn.config_of

    def __init__(self, matrix):
        self.matrix = nnx.data(jnp.asarray(matrix))

    def rate(self, state, t=0.0):
        (u,) = state
        return (u @ self.matrix.T,)

    def energy(self, u):
        return 0.5 * jnp.sum(u**2)

    def check(self, u):
        if u.shape[1] != len(self.matrix):
            raise ValueError(f"u has {u.shape[1]} degrees of freedom; expected {len(self.matrix)}")


TURN = np.array([[0.0, 1.0], [-1.0, 0.0]])
U = np.array([[1.0, 0.0], [0.5, -2.0]])


def turned(t):
    return U @ np.array([[np.cos(t), -np.sin(t)], [np.sin(t), np.cos(t)]])


@pytest.mark.parametrize(("integrator", "near"), [(lgn.Adaptive(), 1e-6), (lgn.ImplicitMidpoint(0.01), 1e-4)])
@pytest.mark.parametrize("start", [U, (U,)], ids=["array", "tuple"])
def test_a_system_of_first_order_moves(integrator, near, start):
    system = Decay(TURN)
    assert isinstance(system, lgn.System)
    motion = lgn.rollout(system, start, [0.0, 1.0, 2.0], integrator)
    (u,) = motion.state
    np.testing.assert_allclose(motion.u, u)
    for t, found in zip(motion.t, u, strict=True):
        np.testing.assert_allclose(found, turned(float(t)), atol=near)
    assert diagnostics.drift(motion.energy) < near
    assert not motion.residual.any()


def test_fields_of_another_order_are_named():
    motion = lgn.rollout(Decay(TURN), U, [0.0, 1.0], lgn.ImplicitMidpoint(0.1))
    with pytest.raises(AttributeError, match=r"states \(u\) has no q"):
        _ = motion.q
    spring = lgn.Lagrangian(lgn.single_node(), lambda q, v, features: 0.5 * jnp.sum(v**2) - 0.5 * jnp.sum(q**2))
    motion = lgn.rollout(spring, (np.ones((1, 1)), np.zeros((1, 1))), [0.0, 1.0], lgn.Verlet(0.1))
    assert all(a is b for a, b in zip(motion.state, (motion.q, motion.v), strict=True))
    with pytest.raises(AttributeError, match=r"states \(q, v\) has no u"):
        _ = motion.u


LACKS = {
    "Verlet": (lambda: lgn.rollout(Decay(TURN), U, [0.0, 1.0], lgn.Verlet(0.1)), "Verlet needs `acceleration`"),
    "Variational": (
        lambda: lgn.rollout(Decay(TURN), U, [0.0, 1.0], lgn.Variational(0.1)),
        "Variational needs `momentum_balance` of the system, which Decay lacks",
    ),
    "acceleration_loss": (lambda: lgn.acceleration_loss(Decay(TURN), STATES), "acceleration.*Decay lacks"),
    "residual_loss": (lambda: lgn.residual_loss(Decay(TURN), STATES), "residual_loss needs `equation`"),
    "variational_loss": (
        lambda: lgn.variational_loss(Decay(TURN), PIECES),
        "variational_loss needs `momentum_balance`",
    ),
    "pretrain": (
        lambda: lgn.fit(MODEL, STATES, key=jax.random.key(0), phases=[lgn.pretrain()]),
        "pretrain needs `equation` of the system, which Baseline lacks",
    ),
    "eigenfrequencies": (lambda: diagnostics.eigenfrequencies(MODEL, np.zeros((1, 2)), 1), "which Baseline lacks"),
    "split_friction": (lambda: diagnostics.split_friction(MODEL, STATES.q, STATES.v), "which Baseline lacks"),
    "gauge_distance": (lambda: lgn.gauge_distance(MODEL, MODEL, STATES.q, STATES.v), "which Baseline lacks"),
    "momentum": (lambda: diagnostics.momentum(Decay(TURN), None), "`momentum` of the system, which Decay lacks"),
}
STATES = lgn.States(*np.ones((3, 4, 2, 2)))
MODEL = lgn.Baseline(lgn.single_node(count=2), lgn.PlainNetwork(2, (4,), rngs=nnx.Rngs(0)))
PIECES = lgn.Windows(np.ones((4, 3, 2, 2)), np.ones(4))


@pytest.mark.parametrize("case", LACKS)
def test_what_a_system_lacks_is_named(case):
    call, message = LACKS[case]
    with pytest.raises(ValueError, match=message):
        call()


def test_the_check_of_a_system_is_asked_before_it_moves():
    with pytest.raises(ValueError, match="3 degrees of freedom; expected 2"):
        lgn.rollout(Decay(TURN), np.ones((4, 3)), [0.0, 1.0])


def test_a_system_of_ones_own_is_saved_and_continued(tmp_path):
    """Neither checkpoint nor run knows its class."""
    system, steps = Decay(TURN), lgn.ImplicitMidpoint(0.01)
    motion = lgn.rollout(system, U, [0.0, 1.0], steps)
    runs.keep_motion(tmp_path, system, motion)
    with pytest.raises(lgn.CheckpointError, match=r"Decay.*trusted="):
        runs.continue_from(tmp_path)
    loaded, state, t = runs.continue_from(tmp_path, trusted=[Decay])
    np.testing.assert_array_equal(loaded.matrix, system.matrix)
    (u,) = lgn.rollout(loaded, state, [t, t + 1], steps).state
    np.testing.assert_allclose(u[-1], turned(2.0), atol=1e-4)


def test_rollouts_of_any_system_differentiate_and_batch():
    """d/du of the end is the propagator, here a rotation."""
    ends = jax.jit(jax.vmap(lambda u: lgn.rollout(Decay(TURN), u, [0.0, 1.0], lgn.ImplicitMidpoint(0.01)).u[-1]))
    batch = np.stack([U, 2 * U])
    np.testing.assert_allclose(ends(batch)[1], 2 * ends(batch)[0], rtol=1e-12)
    slope = jax.jacobian(lambda u: ends(u[None])[0])(jnp.asarray(U))
    np.testing.assert_allclose(slope[0, :, 0], [[np.cos(1), np.sin(1)], [-np.sin(1), np.cos(1)]], atol=1e-4)


def test_systems_of_lgn_keep_the_protocol():
    rngs = nnx.Rngs(0)
    for system in (
        lgn.Lagrangian(lgn.single_node(), lgn.MLPDensity(1, 1, (4,), rngs=rngs)),
        lgn.Baseline(lgn.single_node(), lgn.NeuralODE(1, (4,), rngs=rngs)),
    ):
        assert isinstance(system, lgn.System)
        again = type(system)(**system.config())
        assert jax.tree.structure(again) == jax.tree.structure(system)

"""Steps by a discrete gradient keep the law of the energy at any dt, on energy flows and on Lagrangians."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy.integrate import solve_ivp
from scipy.spatial import Delaunay

import lgn
from lgn.systems import cahn_hilliard, kdv, pendulum, wave

RANDOM = np.random.default_rng(0)


def swing(u, features):
    """A pendulum, u = (q, p)."""
    return 0.5 * u[0, 1] ** 2 - jnp.cos(u[0, 0])


def pendulum_flow(structure=None):
    return lgn.EnergyFlow(lgn.single_node(), swing, structure=structure or lgn.Symplectic())


def soliton_flow(n=50, dx=0.2):
    return lgn.EnergyFlow(lgn.lattice((n,), spacing=dx), kdv.density, structure=lgn.FirstDifference())


def two_solitons(n=50, dx=0.2):
    x = dx * np.arange(n)
    return sum(2 * k**2 / np.cosh(k * (x - 0.2 * n * c)) ** 2 for k, c in ((1.2, 0.4), (0.8, 0.8)))[:, None]


def drift(motion):
    return float(np.abs(motion.energy / motion.energy[0] - 1).max())


def network(slots, dim, fields, **settings):
    return lgn.MLPDensity(slots, dim, (8, 8), fields=fields, initializer=lgn.lecun_normal, rngs=nnx.Rngs(0), **settings)


START = jnp.array([[2.0, 0.1]])


@pytest.mark.parametrize(
    ("gradient", "dt"),
    [(lgn.Automatic(), 0.3), (lgn.Automatic(), 1.0), (lgn.Gonzalez(), 1.0), (lgn.MeanValue(12), 0.3)],
)
def test_energy_of_a_pendulum_is_constant_at_any_step(gradient, dt):
    motion = lgn.rollout(pendulum_flow(), START, np.linspace(0, 30, 31), lgn.DiscreteGradient(dt, gradient))
    assert drift(motion) < 1e-13 and np.ptp(motion.u[:, 0, 0]) > 1


def test_solitons_keep_energy_and_mass():
    motion = lgn.rollout(soliton_flow(), two_solitons(), np.linspace(0, 1, 11), lgn.DiscreteGradient(1e-3))
    assert drift(motion) < 1e-13
    np.testing.assert_allclose(motion.u.sum((1, 2)), two_solitons().sum(), rtol=1e-13)


def test_steps_are_those_of_an_independent_solver():
    u = two_solitons()
    motion = lgn.rollout(soliton_flow(), u, [0, 0.05, 0.1], lgn.DiscreteGradient(1e-3, lgn.MeanValue(2)))
    exact = kdv.trajectory(u[None], 100, 1e-3, 0.2)
    np.testing.assert_allclose(motion.u[2], np.asarray(exact)[0, -1], atol=1e-11)


def test_phases_separate_and_energy_never_rises():
    graph = lgn.lattice((12, 10), spacing=(0.02, 0.02))
    flow = lgn.EnergyFlow(graph, cahn_hilliard.density, structure=lgn.Laplacian())
    u = RANDOM.uniform(-0.05, 0.05, (120, 1))
    motion = lgn.rollout(flow, u, np.linspace(0, 0.02, 101), lgn.DiscreteGradient(2e-4))
    assert (np.diff(motion.energy) <= 0).all() and np.abs(motion.u[-1]).max() > 0.5
    np.testing.assert_allclose(motion.u.sum((1, 2)), u.sum(), atol=1e-12)


def test_phases_separate_on_a_mesh_with_slivers_in_long_steps():
    """Eigenvalues of G up to 2e7; the integral of u is constant."""
    points = np.random.default_rng(1).uniform(size=(60, 2))
    cells = Delaunay(points).simplices
    areas = np.linalg.det(points[cells[:, 1:]] - points[cells[:, :1]])
    cells = np.where(areas[:, None] > 0, cells, cells[:, [0, 2, 1]])[np.abs(areas) > 1e-4]
    mesh = lgn.from_mesh(points, cells)

    def mixture(phi, gradient, features):
        return 0.25 * (phi[0] ** 2 - 1) ** 2 + 0.01 * jnp.sum(gradient**2)

    flow = lgn.EnergyFlow(mesh, [(lgn.Continuum(mixture), lgn.cell_stencil)], structure=lgn.Laplacian())
    motion = lgn.rollout(flow, RANDOM.uniform(-0.1, 0.1, (60, 1)), np.linspace(0, 0.5, 11), lgn.DiscreteGradient(0.05))
    mass = np.asarray(motion.u)[..., 0] @ mesh.nodes["measure"]
    assert (np.diff(motion.energy) < 0).all() and np.ptp(mass) < 1e-14


def test_energy_falls_by_what_friction_takes():
    motion = lgn.rollout(pendulum_flow(lgn.Damped(0.2)), START, np.linspace(0, 20, 41), lgn.DiscreteGradient(0.5))
    assert (np.diff(motion.energy) < 0).all()


@pytest.mark.parametrize("gradient", [lgn.Gonzalez(), lgn.MeanValue(2)])
def test_order_two(gradient):
    ts = np.array([0.0, 2.0])
    exact = solve_ivp(lambda t, u: [u[1], -np.sin(u[0])], ts, START[0], rtol=1e-12, atol=1e-12).y[:, -1]
    errors = [
        np.abs(lgn.rollout(pendulum_flow(), START, ts, lgn.DiscreteGradient(dt, gradient)).u[-1] - exact).max()
        for dt in (0.04, 0.02)
    ]
    assert 3.9 < errors[0] / errors[1] < 4.1


def test_a_motion_backwards_ends_where_it_began():
    """Symmetric in time: with -G, that is -H, the way back."""
    there = lgn.rollout(pendulum_flow(), START, [0, 5.0], lgn.DiscreteGradient(0.1)).u[-1]
    back = lgn.EnergyFlow(lgn.single_node(), lambda u, f: -swing(u, f), structure=lgn.Symplectic())
    np.testing.assert_allclose(lgn.rollout(back, there, [0, 5.0], lgn.DiscreteGradient(0.1)).u[-1], START, atol=1e-11)


def test_quadratic_energies_are_the_midpoint_rule():
    ring = lgn.EnergyFlow(
        lgn.lattice((8,)), lambda u, f: u[0, 0] ** 2 + u[0, 0] * u[1, 0], structure=lgn.FirstDifference()
    )
    u, ts = RANDOM.normal(size=(8, 1)), [0, 1.0]
    found = lgn.rollout(ring, u, ts, lgn.DiscreteGradient(0.1)).u
    np.testing.assert_allclose(found, lgn.rollout(ring, u, ts, lgn.ImplicitMidpoint(0.1)).u, atol=1e-11)


@pytest.mark.newest
@pytest.mark.parametrize("activation", [jax.nn.softplus, jnp.tanh])
def test_learned_energies_are_conserved(activation):
    flow = lgn.EnergyFlow(
        lgn.lattice((60, 3)), network(5, 1, 1, activation=activation), structure=lgn.FirstDifference()
    )
    motion = lgn.rollout(flow, RANDOM.normal(size=(180, 1)), np.linspace(0, 10, 11), lgn.DiscreteGradient(0.5))
    assert drift(motion) < 1e-13


# ---- Lagrangians


def bead(q, v, features):
    """Mass that depends on the place, a gyroscopic term and a potential."""
    return 0.5 * (1 + q[0, 0] ** 2) * jnp.sum(v[0] ** 2) + 3.0 * q[0, 0] ** 2 * v[0, 1] - jnp.sum(jnp.cosh(q[0]))


LAGRANGIANS = {
    "gyroscopic": lambda: (lgn.Lagrangian(lgn.single_node(), bead), (1, 2)),
    "learned ring": lambda: (lgn.Lagrangian(lgn.lattice((70,)), lgn.MLPDensity(3, 1, (8,), rngs=nnx.Rngs(0))), (70, 1)),
    "clamped string": lambda: (
        lgn.Lagrangian(lgn.clamp(lgn.lattice((9,), periodic=False), [0, 8]), wave.density), (9, 1),
    ),
}  # fmt: skip


def state_of(shape, system):
    q, v = RANDOM.normal(size=(2, *shape))
    return jnp.asarray(q), jnp.asarray(np.where(system.domain.free, v, 0.0))


@pytest.mark.newest
@pytest.mark.parametrize("name", LAGRANGIANS)
def test_energy_of_a_lagrangian_is_constant(name):
    system, shape = LAGRANGIANS[name]()
    motion = lgn.rollout(system, state_of(shape, system), np.linspace(0, 5, 6), lgn.DiscreteGradient(0.05))
    scale = np.abs(system.functional(system.domain.features, *(x[0] for x in motion.state)))
    assert np.ptp(motion.energy) < 2e-12 * (scale + np.abs(motion.energy[0])), np.ptp(motion.energy)


def test_a_lagrangian_is_followed_to_order_two():
    system, ts = lgn.Lagrangian(lgn.single_node(), bead), [0, 1.0]
    start = np.array([[[0.5, 0.2]], [[0.3, -1.0]]])
    a = jax.jit(lambda x: system.acceleration(*x.reshape(start.shape)))
    rate = lambda t, x: np.r_[x[2:], np.ravel(a(x))]  # noqa: E731
    exact = solve_ivp(rate, ts, start.ravel(), rtol=1e-11, atol=1e-11).y[:, -1]
    errors = []
    for dt in (0.02, 0.01):
        found = lgn.rollout(system, tuple(start), ts, lgn.DiscreteGradient(dt))
        errors.append(np.abs(np.concatenate([x[-1].ravel() for x in found.state]) - exact).max())
    assert errors[1] < 1e-3 and 3.8 < errors[0] / errors[1] < 4.2


def test_friction_takes_energy_in_every_step_and_a_force_does_its_work():
    system = lgn.Lagrangian(lgn.single_node(), pendulum.density, dissipation=pendulum.friction)
    motion = lgn.rollout(
        system, (np.full((1, 1), 2.0), np.ones((1, 1))), np.arange(41) * 0.25, lgn.DiscreteGradient(0.25)
    )
    assert (np.diff(motion.energy) < 0).all()
    pushed = lgn.Lagrangian(lgn.single_node(), pendulum.density, force=np.full((1, 1), 0.5))
    motion = lgn.rollout(
        pushed, (np.full((1, 1), 1.0), np.ones((1, 1))), np.arange(41) * 0.1, lgn.DiscreteGradient(0.1)
    )
    work = 0.5 * (motion.q[:, 0, 0] - motion.q[0, 0, 0])  # M = 1: w is the velocity of q exactly
    np.testing.assert_allclose(motion.energy - motion.energy[0], work, atol=1e-12)


# ---- how it is used


def test_jit_equals_eager_and_many_nodes():
    n = 2_000
    flow, u = soliton_flow(n), two_solitons(n)
    method = lgn.Automatic()
    after = u + 1e-3 * RANDOM.normal(size=u.shape)
    state = (jnp.asarray(after),), (jnp.asarray(u),)
    (eager,), derivative = flow.discrete_rate(method, *state)
    (compiled,) = jax.jit(lambda a, b: flow.discrete_rate(method, a, b)[0])(*state)
    np.testing.assert_allclose(compiled, eager, atol=1e-12 * np.abs(eager).max())
    change = (jnp.asarray(RANDOM.normal(size=u.shape)),)
    rate = jax.jit(lambda a: flow.discrete_rate(method, a, state[1])[0][0])
    _, expected = jax.jvp(rate, (state[0],), (change,))
    np.testing.assert_allclose(derivative()(change)[0], expected, atol=1e-9 * np.abs(expected).max())


@pytest.mark.parametrize("n", [20, 150])
def test_gradients_through_steps_are_finite_differences(n):
    """Dense and matrix-free."""
    u, ts = two_solitons(n), np.array([0, 2e-3])

    @jax.jit
    def end(scale):
        flow = lgn.EnergyFlow(
            lgn.lattice((n,), spacing=0.2), partial(scaled, scale=scale), structure=lgn.FirstDifference()
        )
        return jnp.sum(lgn.DiscreteGradient(1e-3)(flow, (jnp.asarray(u),), ts)[0][-1] ** 3)

    step = 1e-4
    expected = (end(1.0 + step) - end(1.0 - step)) / (2 * step)
    np.testing.assert_allclose(jax.jit(jax.grad(end))(1.0), expected, rtol=1e-5)


def scaled(u, features, scale):
    return scale * u[0, 0] ** 3 - 0.5 * ((u[2, 0] - u[0, 0]) / 0.2) ** 2


def test_batches_by_vmap():
    u = jnp.asarray(RANDOM.normal(size=(3, 1, 2)))
    ts = np.linspace(0, 1, 3)
    run = jax.jit(lambda u: lgn.DiscreteGradient(0.1)(pendulum_flow(), (u,), ts)[0])
    np.testing.assert_allclose(jax.vmap(run)(u), [run(x) for x in u], atol=1e-12)


def test_float32():
    motion = lgn.rollout(pendulum_flow(), START.astype(jnp.float32), np.linspace(0, 10, 11), lgn.DiscreteGradient(0.1))
    assert motion.u.dtype == jnp.float32 and drift(motion) < 1e-5


def test_a_step_that_does_not_converge_is_an_error_that_keeps_the_good_states():
    graph = lgn.lattice((30,), spacing=0.02)
    flow = lgn.EnergyFlow(graph, cahn_hilliard.density, structure=lgn.Laplacian())
    u = RANDOM.uniform(-1, 1, (30, 1))
    with pytest.raises(lgn.MotionStopped, match=r"smaller steps: dt=0.5 for 1.*`trajectory`") as caught:
        lgn.rollout(flow, u, [0, 1e-4, 1.0], lgn.DiscreteGradient(1.0, limit=2))
    kept = caught.value.trajectory
    assert len(kept.t) in (1, 2) and np.isfinite(kept.u).all()


WRONG = {
    "baseline": (
        lambda: lgn.rollout(lgn.Baseline(lgn.single_node(), lgn.PlainNetwork(1, rngs=nnx.Rngs(0))),
                            2 * (np.ones((1, 1)),), [0, 1], lgn.DiscreteGradient(0.1)),
        "DiscreteGradient needs `discrete_rate`.*EnergyFlow or a Lagrangian",
    ),
    "moving clamp": (
        lambda: lgn.rollout(
            lgn.Lagrangian(lgn.clamp(lgn.lattice((5,), periodic=False), [0]), wave.density,
                           motion=lambda t: np.zeros((5, 1))),
            2 * (np.zeros((5, 1)),), [0, 1], lgn.DiscreteGradient(0.1)),
        "clamps that move do work.*Variational",
    ),
    "dt": (lambda: lgn.DiscreteGradient(0.0), "dt=0.0; give a positive number"),
    "no rule": (
        lambda: lgn.rollout(
            lgn.EnergyFlow(lgn.single_node(), lambda u, f: jnp.sort(u[0])[0] ** 2, structure=lgn.Symplectic()),
            START, [0, 1], lgn.DiscreteGradient(0.1)),
        "sort",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_wrong_input_is_named(name):
    call, message = WRONG[name]
    with pytest.raises(ValueError, match=message):
        call()

"""Boundaries: what comes back from the end of a string, against d'Alembert: q = f(x - c t) + r f(2 end - x - c t).

Pulses are 20 nodes wide: a lattice wave of wave number k lags by k^3 t / 24, which is 0.4 % of the amplitude here.
"""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lgn

N, WIDTH, FAST, STEPS = 400, 20.0, lgn.Adaptive(1e-8, 1e-8), lgn.Verlet(0.1)
X = np.arange(N)[:, None] * 1.0
REST = jnp.zeros((N, 1))


def string(q, v, features):
    """Wave speed and impedance 1; the last node of a chain has no right neighbour, and the difference vanishes."""
    return 0.5 * v[0, 0] ** 2 - 0.5 * (q[2, 0] - q[0, 0]) ** 2


def pulse(x):
    return np.exp(-0.5 * ((x - 250) / WIDTH) ** 2)


def running_right():
    """q and v of a pulse that starts at node 250."""
    slope = -(X - 250) / WIDTH**2 * pulse(X)
    return jnp.asarray(pulse(X)), jnp.asarray(-slope)


def chain(periodic=False, **features):
    graph = lgn.lattice((N,), periodic=periodic)
    return graph._replace(nodes={**graph.nodes, **{name: jnp.asarray(x) for name, x in features.items()}})


def reflected(L, ts, by=STEPS):
    return np.asarray(lgn.rollout(L, running_right(), [0.0, *ts], by).q[1:])


# Before, during and after the reflection; the last is back where it started, or has gone 300 nodes.
TIMES = [60.0, 149.0, 160.0, 300.0]


@pytest.mark.parametrize(
    ("clamped", "end", "sign"),
    [([N - 1], N - 1, -1), ([], N - 0.5, 1)],  # a free end lies where the missing spring has its middle
    ids=["clamped", "free"],
)
def test_an_end_reflects(clamped, end, sign):
    L = lgn.Lagrangian(lgn.clamp(chain(), clamped), string)
    for t, found in zip(TIMES, reflected(L, TIMES), strict=True):
        expected = pulse(X - t) + sign * pulse(2 * end - X - t)
        np.testing.assert_allclose(found, expected, atol=0.01, err_msg=f"t = {t}")
        if t > 200:
            assert sign * found[np.abs(found).argmax()] == pytest.approx(1.0, abs=0.01)


def test_a_ring_lets_it_pass():
    for t, found in zip(TIMES, reflected(lgn.Lagrangian(chain(periodic=True), string), TIMES), strict=True):
        np.testing.assert_allclose(found, pulse(X - t) + pulse(X + N - t), atol=0.01, err_msg=f"t = {t}")


def half_end(q, v, features):
    """The last node stands for half a length of string, so that the end is a node and not the middle of a spring."""
    return 0.5 * features["mass"][0] * v[0, 0] ** 2 - 0.5 * (q[2, 0] - q[0, 0]) ** 2


def friction(q, v, features):
    return 0.5 * features["friction"][0] * v[0, 0] ** 2


def test_an_end_of_the_impedance_of_the_string_absorbs():
    """R = Z v^2 / 2 at the last node, Z = sqrt(stiffness mass): nothing comes back, r = k^2 / 16."""
    end = np.arange(N) == N - 1
    L = lgn.Lagrangian(chain(mass=np.where(end, 0.5, 1.0), friction=np.where(end, 1.0, 0.0)), half_end,
                       dissipation=friction)  # fmt: skip
    after = reflected(L, [149.0, 300.0], FAST)
    np.testing.assert_allclose(after[0], pulse(X - 149), atol=0.01)
    assert np.abs(after[1]).max() < 0.001


def test_a_graded_layer_of_friction_absorbs():
    """R = r(x) v^2 / 2, r growing as a square over the last 200 nodes: a wave passes them to the end and back times
    exp(- integral of r). Friction does not take in a displacement that lasts, so this is a wave train."""
    layer = 0.15 * (np.maximum(X[:, 0] - (N - 201), 0) / 200) ** 2
    assert np.exp(-layer.sum()) < 0.001
    train = lambda x: jnp.exp(-0.5 * ((x - 100) / 25) ** 2) * jnp.cos(0.2 * x)  # noqa: E731
    v = -jax.jvp(train, (X,), (np.ones_like(X),))[1]
    L = lgn.Lagrangian(chain(friction=layer), string, dissipation=friction)
    after = lgn.rollout(L, (jnp.asarray(train(X)), v), [0.0, 60.0, 500.0], FAST).q[1:]
    np.testing.assert_allclose(after[0], train(X - 60), atol=0.03)  # these waves are shorter than the pulse
    assert np.abs(after[1]).max() < 0.01


# -- Moving clamps ---------------------------------------------------------------------------------------------------


def drive(t):
    return 0.7 * jnp.exp(-0.5 * ((t - 120) / WIDTH) ** 2)


def driven(t):
    """Node 0 moves; the other rows are of nodes that are not clamped."""
    return jnp.where(jnp.arange(N)[:, None] == 0, drive(t), jnp.nan)


DRIVEN = lgn.Lagrangian(lgn.clamp(chain(), [0]), string, motion=driven)


def at_rest():
    g, slope = jax.jvp(drive, (0.0,), (1.0,))
    return REST.at[0].set(g), REST.at[0].set(slope)


def test_a_moving_end_sends_its_motion_down_the_string():
    """q(x, t) = g(t - x / c)."""
    motion = lgn.rollout(DRIVEN, at_rest(), [0.0, 100.0, 200.0, 350.0], STEPS)
    for t, found in zip(motion.t[1:], motion.q[1:], strict=True):
        np.testing.assert_allclose(found, drive(float(t) - X), atol=0.007, err_msg=f"t = {t}")
    np.testing.assert_allclose(motion.q[:, 0, 0], drive(motion.t), atol=1e-6)


def test_the_clamp_feeds_in_the_energy():
    """A string resists with impedance 1 and half the mass of node 0: S = g' + g'' / 2; its power sums to the energy."""
    ts = np.linspace(0.0, 350.0, 351)
    motion = lgn.rollout(DRIVEN, at_rest(), ts, FAST)
    states = motion.q, motion.v, motion.t
    power = jax.jit(jax.vmap(DRIVEN.power))(*states)
    pull = jax.jit(jax.vmap(DRIVEN.clamp_force))(*states)
    slope, bend = (jax.vmap(d)(motion.t) for d in (jax.grad(drive), jax.grad(jax.grad(drive))))
    assert (pull[:, 1:] == 0).all()
    np.testing.assert_allclose(pull[:, 0, 0], slope + bend / 2, atol=0.002 * np.abs(slope).max())
    np.testing.assert_allclose(power, pull[:, 0, 0] * slope, atol=1e-8)
    fed_in = np.concatenate([[0.0], np.cumsum(0.5 * (power[1:] + power[:-1]) * np.diff(ts))])
    np.testing.assert_allclose(motion.energy, fed_in, atol=3e-4 * float(motion.energy.max()))


RING, STIFF, INERTIA = 12, 3.0, 0.4


def coupled(q, v, features):
    """Differences of velocities cost too, so that M joins free nodes with clamped ones."""
    dq, dv = q[2] - q[0], v[2] - v[0]
    return 0.5 * jnp.sum(v[0] ** 2) + 0.5 * INERTIA * jnp.sum(dv**2) - 0.5 * STIFF * jnp.sum(dq**2)


def mode(t, number=2):
    """A standing wave of that ring, two degrees of freedom out of phase: w^2 = K / (1 + inertia / stiffness K)."""
    wave = 2 * np.pi * number / RING
    eigenvalue = 4 * np.sin(wave / 2) ** 2
    rate = np.sqrt(STIFF * eigenvalue / (1 + INERTIA * eigenvalue))
    along = np.cos(wave * np.arange(RING))[:, None]
    return along * jnp.stack([jnp.cos(rate * t), 0.5 * jnp.sin(rate * t)])


@pytest.mark.parametrize("solver", [lgn.Banded(), lgn.Dense(), lgn.ConjugateGradient()])
def test_clamps_that_move_as_the_free_motion_does_change_nothing_and_exert_nothing(solver):
    L = lgn.Lagrangian(lgn.clamp(lgn.lattice((RING,)), [2, 3, 7]), coupled, motion=mode, solver=solver)
    start = jax.jvp(mode, (0.3,), (1.0,))
    found = lgn.rollout(L, start, [0.3, 4.0], lgn.Adaptive(1e-8, 1e-8))
    np.testing.assert_allclose(found.q[-1], mode(4.0), atol=1e-7)
    np.testing.assert_allclose(jax.jit(L.clamp_force)(*start, 0.3), 0.0, atol=1e-10)
    assert found.residual.max() < 1e-10


@pytest.mark.parametrize("applied", [None, lambda q, v, t: jnp.sin(3 * q + t)])
def test_energy_changes_by_the_power_of_forces_and_clamps(applied):
    """dE/dt along a motion that the clamps force."""
    g = lambda t: np.full((RING, 2), 1.0) * jnp.sin(2 * t)  # noqa: E731
    L = lgn.Lagrangian(lgn.clamp(lgn.lattice((RING,)), [2, 3]), coupled, motion=g, force=applied, dissipation=coupled)
    q, v = jnp.asarray(np.random.default_rng(0).normal(size=(2, RING, 2)))
    a = jax.jit(L.acceleration)(q, v, 0.4)
    rate = jax.jit(lambda q, v, a: jax.jvp(L.energy, (q, v), (v, a))[1])(q, v, a)
    np.testing.assert_allclose(jax.jit(L.power)(q, v, 0.4), rate, rtol=1e-10)
    np.testing.assert_allclose(a[2:4], -4 * np.sin(0.8), rtol=1e-12)


def test_motion_of_single_precision_and_under_transformations():
    q, v = (x.astype(jnp.float32) for x in at_rest())
    assert jax.eval_shape(DRIVEN.acceleration, q, v, 1.0).dtype == jnp.float32
    slope = jax.jit(jax.grad(lambda t: DRIVEN.acceleration(*at_rest(), t)[0, 0]))(100.0)
    expected = jax.grad(jax.grad(jax.grad(drive)))(100.0)
    np.testing.assert_allclose(slope, expected, rtol=1e-10)
    start = at_rest()
    found = jax.jit(lambda q: lgn.rollout(DRIVEN, (q, start[1]), [0.0, 1.0], lgn.ImplicitMidpoint(0.5)).q)(start[0])
    assert np.isfinite(found).all()


def amplitude(t, size):
    return size * jnp.sin(t) * np.ones((N, 1))


def test_parameters_of_a_motion_are_leaves():
    motion = jax.tree_util.Partial(amplitude, size=jnp.array(2.0))
    L = lgn.Lagrangian(lgn.clamp(chain(), [0]), string, motion=lambda t: amplitude(t, 2.0))
    M = lgn.Lagrangian(lgn.clamp(chain(), [0]), string, motion=motion)
    assert not jax.tree.leaves(L) and len(jax.tree.leaves(M)) == 1
    run = jax.jit(lambda L: L.acceleration(REST, REST, 1.0))
    np.testing.assert_array_equal(run(L), run(M))
    slope = jax.jit(jax.grad(lambda M: M.acceleration(REST, REST, 1.0)[0, 0]))(M)
    np.testing.assert_allclose(jax.tree.leaves(slope)[0], -np.sin(1.0), rtol=1e-12)


def test_a_driven_string_is_saved(tmp_path):
    lgn.save(tmp_path / "driven", DRIVEN)
    loaded = lgn.load(tmp_path / "driven", trusted=[sys.modules[__name__]])
    run = jax.jit(lgn.Lagrangian.acceleration)
    np.testing.assert_array_equal(run(loaded, *at_rest(), 90.0), run(DRIVEN, *at_rest(), 90.0))


HELD = lgn.clamp(chain(), [0, 5])
ERRORS = {
    "nothing clamped": (lambda: lgn.Lagrangian(chain(), string, motion=driven), "no node is clamped.*lgn.clamp"),
    "shape": (
        lambda: lgn.Lagrangian(HELD, string, motion=lambda t: np.zeros(N)).acceleration(REST, REST),
        r"motion\(t\) has shape \(400,\); expected.*\(400, 1\)",
    ),
    "place": (
        lambda: lgn.rollout(lgn.Lagrangian(HELD, string, motion=lambda t: REST + 1 + t), (REST, REST + 1), [0.0, 1.0]),
        r"q of clamped node 0 is \[0\.\], but the motion of its clamp, g\(0\), needs \[1\.\] \(2 such",
    ),
    "velocity": (
        lambda: lgn.rollout(lgn.Lagrangian(HELD, string, motion=lambda t: REST + t), (REST + 2, REST), [2.0, 3.0]),
        r"v of clamped node 0 is \[0\.\], but the motion of its clamp, g'\(2\), needs \[1\.\]",
    ),
    "velocity of a clamp at rest": (
        lambda: lgn.rollout(lgn.Lagrangian(HELD, string), (REST, REST.at[5].set(0.1)), [0.0, 1.0]),
        r"v of clamped node 5 is \[0\.1\], but a clamp at rest needs \[0\.\] \(1 such",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name):
    run, message = ERRORS[name]
    with pytest.raises(ValueError, match=message):
        run()


def test_a_driven_motion_can_go_on_from_where_it_ended():
    first = lgn.rollout(DRIVEN, at_rest(), [0.0, 150.0], STEPS)
    second = lgn.rollout(DRIVEN, (first.q[-1], first.v[-1]), [150.0, 350.0], STEPS)
    np.testing.assert_allclose(second.q[-1], drive(350 - X), atol=0.007)


@pytest.mark.parametrize("solver", [lgn.BlockDiagonal(), lgn.Banded(), lgn.ConjugateGradient(), lgn.Dense()], ids=str)
def test_units_of_mass_do_not_matter_beside_clamps(solver):
    """Atoms weigh 1e-26 kg: rows of clamps that are 1 would make M seem singular."""

    def atoms(q, v, features):
        return 0.5e-26 * v[0, 0] ** 2 - 1e-26 * (q[2, 0] - q[0, 0]) ** 2

    graph = lgn.clamp(lgn.lattice((6,), periodic=False), [0, 5])
    q = jnp.array([0.0, 1.0, -1.0, 2.0, 0.5, 0.0])[:, None]
    found = lgn.Lagrangian(graph, atoms, solver=solver).solve(q, np.zeros((6, 1))).check()
    inner = 2 * (q[2:] - 2 * q[1:-1] + q[:-2])
    np.testing.assert_allclose(found.value[1:-1], inner, rtol=1e-12)
    assert found.condition < 2
    moving = lgn.Lagrangian(graph, atoms, motion=lambda t: q * jnp.exp(t), solver=solver)
    assert (moving.acceleration(q, q, 0.0)[np.array([0, 5])] == q[np.array([0, 5])]).all()

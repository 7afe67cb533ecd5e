"""Recordings: trials, rounded times, gaps, unseen nodes, positions alone, and scales found in the data."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import lgn
from lgn.systems import wave

CHAIN = lgn.clamp(lgn.lattice((6,), periodic=False), [0, 5])
T = 0.1 * np.arange(41)
RNG = np.random.default_rng(0)
STEP = lgn.Verlet(0.1)


BLIND = lgn.windows(T, np.ones((41, 6, 1)), length=3, seen=np.broadcast_to(np.arange(6) != 2, (41, 6)))


def spring(q, v, features):
    return -2 * (q[1, 0] - q[0, 0]) ** 2


def mass(q, v, features):
    return 0.5 * v[0, 0] ** 2


TRUE = lgn.Lagrangian(CHAIN, [(mass, lgn.node_stencil), (spring, lgn.edge_stencil)])


def motions(count=4):
    """Trials (q, v), each (time, node, 1), of Verlet with the step of the data: the loss of the true system is zero."""
    free = np.array([0, 1, 1, 1, 1, 0])[:, None]
    q, v = np.random.default_rng(0).normal(size=(2, count, 6, 1)) * free
    found = [(q, v)]
    for _ in T[1:]:
        v = v + 0.05 * pulled(q) * free
        q = q + 0.1 * v
        v = v + 0.05 * pulled(q) * free
        found.append((q, v))
    return list(zip(*(np.swapaxes(x, 0, 1) for x in zip(*found, strict=True)), strict=True))


def pulled(q):
    """The force of the springs, (trial, node, 1)."""
    tension = 4 * np.diff(q, axis=1)
    return np.pad(tension, [(0, 0), (0, 1), (0, 0)]) - np.pad(tension, [(0, 0), (1, 0), (0, 0)])


# -- Cutting ---------------------------------------------------------------------------------------------------------


def test_rounded_times_are_even_within_the_tolerance():
    t = np.round(np.arange(20) / 30, 3)  # 0.033 and 0.034
    with pytest.raises(ValueError, match=r"tolerance=0.03\d* to call these steps equal"):
        lgn.windows(t, np.zeros((20, 1, 1)), length=5)
    found = lgn.windows(t, np.zeros((20, 1, 1)), length=5, tolerance=0.031)
    assert len(found.q) == 16
    np.testing.assert_allclose(found.dt, 1 / 30, rtol=0.01)
    gap = np.delete(t, [7, 8])
    assert len(lgn.windows(gap, np.zeros((18, 1, 1)), length=5, dt=1 / 30, tolerance=0.031).q) == 3 + 7


def test_no_piece_lies_in_two_trials():
    t = np.r_[T[:5], T[:7]]
    name = np.array(5 * ["swing"] + 7 * ["fall"])
    q = np.arange(12.0)[:, None, None]
    found = lgn.windows(t, q, length=3, trial=name)
    assert found.q[:, :, 0, 0].tolist() == [[i, i + 1, i + 2] for i in (0, 1, 2, 5, 6, 7, 8, 9)]
    assert found.trial.tolist() == 3 * [1] + 5 * [0]
    with pytest.raises(ValueError, match="say by trial= where another recording begins"):
        lgn.windows(t, q, length=3)


def test_joined_recordings_keep_their_trials_apart():
    one, two = (lgn.windows(T[:n], np.zeros((n, 6, 1)), length=4) for n in (9, 12))
    both = lgn.joined([one, lgn.joined([two, one])])
    assert np.unique(both.trial, return_counts=True)[1].tolist() == [6, 9, 6]
    seen = one._replace(seen=np.zeros((6, 4, 6), bool) | (np.arange(6) > 0))
    assert lgn.joined([one, seen]).seen[:6].all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: lgn.joined([]), "give a list of States alone"),
        (lambda: lgn.joined([BLIND, lgn.States(*np.ones((3, 1, 1, 1)))]), "States"),
        (lambda: lgn.joined([lgn.windows(T, T[:, None, None], length=n) for n in (3, 4)]), "q has shapes"),
        (lambda: lgn.windows(T, T[:, None, None], length=3, trial=[1]), "trial has shape"),
        (lambda: lgn.windows(T, T[:, None, None], length=3, tolerance=0), "give a positive number"),
        (lambda: lgn.windows(T, T[:, None, None], length=3, seen=np.ones((41, 2), bool)), "seen has shape"),
        (lambda: lgn.windows(T, T[:, None, None], length=3, seen=np.zeros((41, 1), bool)), "nothing was measured"),
        (lambda: lgn.States(*np.ones((3, 2, 1, 1)), seen=np.ones((2, 1))).check(), "expected bool"),
        (lambda: lgn.States(*np.full((3, 2, 1, 1), np.nan), seen=np.ones((2, 1), bool)).check(), "q is not finite"),
        (lambda: lgn.States(*np.ones((3, 2, 1, 1)), trial=np.ones(2)).check(), "whole numbers"),
        (lambda: lgn.scales(lgn.States(*np.zeros((3, 2, 1, 1)))), "zero throughout"),
        (lambda: lgn.scales(lgn.States(*np.ones((3, 2, 1, 1))), lgn.edge_stencil(CHAIN)), "reads node 5"),
        (lambda: lgn.start_between(TRUE, np.ones((6, 1)), np.ones((6, 1)), dt=0.0), "positive"),
        (lambda: lgn.RolloutLoss(STEP, 0.1).check(TRUE, BLIND), "use lgn.Shooting"),
    ],
)
def test_wrong_input_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_marks_may_be_lists():
    states = lgn.States(*np.ones((3, 2, 2, 1)), seen=[[True, False], [True, True]], trial=[0, 1]).check()
    assert isinstance(states.seen, np.ndarray) and isinstance(states.trial, np.ndarray)


# -- What was not seen -----------------------------------------------------------------------------------------------


def half_seen(length, count=4, fill=np.nan):
    parts = []
    for i, (q, v) in enumerate(motions(count)):
        seen = np.random.default_rng(i).random((len(T), 6)) < 0.5
        q, v = (np.where(seen[..., None], x, fill) for x in (q, v))
        parts.append(lgn.windows(T, q, v, length=length, seen=seen))
    return lgn.joined(parts)


def test_losses_do_not_read_what_was_not_seen():
    """NaN and 1e30 there give the same numbers, and the true system has none left."""
    whole = lgn.joined([lgn.windows(T, q, v, length=3) for q, v in motions(2)])
    hidden = np.zeros(whole.q.shape[:3], bool)
    hidden[::2, 2:, 1:3] = True
    odd = jax.tree.map(lambda x: np.repeat(x[1::2], 2, 0), whole)  # those that were seen whole
    losses = [lgn.RolloutLoss(STEP, 0.1), lgn.DiscreteLoss(), lgn.variational_loss]
    of_all = [jax.value_and_grad(lambda k, data, loss=loss: loss(scaled(k), data)) for loss in losses]
    measure = jax.jit(lambda k, data: [of_one(k, data) for of_one in of_all])
    found = []
    for fill in (np.nan, 1e30):
        q, v = (np.where(hidden[..., None], fill, x) for x in (whole.q, whole.v))
        data = whole._replace(q=q, v=v, seen=~hidden).check()
        found.append(np.array(measure(1.0, data)))
    np.testing.assert_array_equal(*found)
    assert np.isfinite(found[0]).all()
    exact = np.array(measure(1.0, odd._replace(seen=np.ones_like(hidden)).check()))
    assert (found[0][:, 0] < 3 * exact[:, 0] + 1e-20).all()


def scaled(k):
    return lgn.Lagrangian(CHAIN, [(mass, lgn.node_stencil), (lambda q, v, f: k * spring(q, v, f), lgn.edge_stencil)])


def test_rates_that_were_not_seen_do_not_count():
    q, v = np.random.default_rng(1).normal(size=(2, 16, 6, 1))
    accelerations = jax.jit(jax.vmap(lambda k, q, v: scaled(k).acceleration(q, v), (None, 0, 0)))
    a, wrong = (accelerations(k, q, v) for k in (1.0, 1.1))
    seen = np.random.default_rng(2).random((16, 6)) < 0.5
    data = lgn.States(q, v, np.where(seen[..., None], a, np.nan), seen=seen).check()
    losses = (lgn.acceleration_loss, lgn.residual_loss, lgn.rate_loss)
    measure = jax.jit(lambda k, data: jnp.stack([loss(scaled(k), data) for loss in losses]))
    assert (measure(1.0, data) < 1e-25).all()
    expected = np.sum((wrong - a)[seen] ** 2) / np.sum(a[seen] ** 2)  # of the nodes seen alone, by hand
    np.testing.assert_allclose(measure(1.1, data)[0], expected, rtol=1e-12)


@pytest.mark.slow
def test_accelerations_of_half_of_the_nodes_teach_as_much():
    """200 states whose nodes were measured half of the times, and 100 that were measured whole: as many values."""
    data, fresh = (wave.sample(jax.random.key(seed), 200, 10) for seed in (0, 1))
    noise = 0.01 * np.std(np.asarray(data.a)) * RNG.normal(size=data.a.shape)
    seen = np.random.default_rng(3).random((200, 10)) < 0.5
    part = data._replace(a=np.where(seen[..., None], data.a + noise, np.nan), seen=seen)
    every = jax.tree.map(lambda x: x[:100], data._replace(a=data.a + noise))
    found = []
    for known in (part, every):
        L = lgn.Lagrangian(lgn.lattice((10,)), lgn.MLPDensity(3, 1, (8, 8), rngs=nnx.Rngs(0)))
        fit = lgn.fit(L, known, key=jax.random.key(0), phases=[lgn.QuasiNewton(300)])
        found.append(lgn.diagnostics.acceleration_errors(fit.system, fresh)["acceleration_rel_rms"])
    print(f"half seen {found[0]:.2e}, all seen {found[1]:.2e}")
    assert found[0] < 2 * found[1] and found[0] < 0.02


@pytest.mark.slow
def test_states_of_half_of_the_nodes_teach_as_much():
    """Of nonlinear springs: 12 motions seen at half of the nodes at each time, and 6 seen whole, with 1 % noise."""

    def hardening(q, v, features):
        stretch = q[1, 0] - q[0, 0]
        return -2 * stretch**2 - stretch**4

    truth = lgn.Lagrangian(CHAIN, [(mass, lgn.node_stencil), (hardening, lgn.edge_stencil)])
    rng, found = np.random.default_rng(0), []
    held = np.array([0, 1, 1, 1, 1, 0])[:, None]
    fresh = held * rng.normal(size=(2, 100, 6, 1))
    exact = jax.jit(jax.vmap(truth.acceleration))(*fresh)
    for share, count in ((0.5, 12), (1.0, 6)):
        parts = []
        for _ in range(count):
            moved = lgn.rollout(truth, tuple(held * rng.normal(size=(2, 6, 1))), T, lgn.Verlet(0.025))
            seen = rng.random((len(T), 6)) < share
            q, v = (np.where(seen[..., None], x + 0.01 * rng.normal(size=x.shape), np.nan) for x in moved.state)
            parts.append(lgn.windows(T, q, v, length=11, seen=seen))
        data = jax.tree.map(lambda x: x[::10], lgn.joined(parts))
        L = lgn.Lagrangian(CHAIN, lgn.site_and_edge(CHAIN, data, (8, 8), rngs=nnx.Rngs(0)))
        loss = lgn.ShootingLoss(lgn.Verlet(0.05), 0.1)
        fit = lgn.fit(lgn.Shooting(L, data), data, key=jax.random.key(0), loss=loss, phases=[lgn.QuasiNewton(300)])
        off = jax.jit(jax.vmap(fit.system.system.acceleration))(*fresh) - exact
        found.append(float(np.sqrt(np.mean(off**2) / np.mean(exact**2))))
    print(f"half seen {found[0]:.2e}, all seen {found[1]:.2e}")
    assert found[0] < 2 * found[1] and found[0] < 0.4


class Spring(nnx.Module):
    """A spring whose stiffness is learned; the true one is 2."""

    def __init__(self):
        self.k = nnx.Param(jnp.array(1.0))

    def __call__(self, q, v, features):
        return -self.k[...] * (q[1, 0] - q[0, 0]) ** 2


@pytest.mark.parametrize("velocities", [True, False])
def test_half_of_the_nodes_unseen_still_train(velocities):
    """Free starts need no whole state; with 2 % noise on what is seen, the stiffness comes out as well."""
    parts = []
    for i, (q, v) in enumerate(motions(6)):
        rng = np.random.default_rng(i)
        seen = rng.random((len(T), 6)) < 0.5
        q, v = (np.where(seen[..., None], x + 0.02 * rng.normal(size=x.shape), np.nan) for x in (q, v))
        parts.append(lgn.windows(T, q, v if velocities else None, length=11, seen=seen))
    data = jax.tree.map(lambda x: x[::5], lgn.joined(parts))
    unknown = lgn.Lagrangian(CHAIN, [(mass, lgn.node_stencil), (Spring(), lgn.edge_stencil)])
    shooting = lgn.Shooting(unknown, data)
    fit = lgn.fit(shooting, data, key=jax.random.key(0), loss=lgn.ShootingLoss(STEP, 0.1), phases=[lgn.QuasiNewton(60)])
    assert abs(float(fit.system.system.terms[1].density.k[...]) - 2) < 0.05


def test_starts_are_found_where_nothing_was_seen():
    data = half_seen(length=11)
    shooting = lgn.Shooting(TRUE, data)
    assert all(np.isfinite(x[...]).all() for x in shooting.starts)
    alone = lgn.Shooting(TRUE, data._replace(v=None))
    assert len(alone.starts) == 2 and np.isfinite(alone.starts[1][...]).all()


# -- Two positions ---------------------------------------------------------------------------------------------------


def test_a_motion_between_two_positions_passes_the_second():
    """Also where M depends on q and on v, and friction acts; and the velocity is the true one to order dt^2."""

    def density(q, v, features):
        return 0.5 * (1 + q[0, 0] ** 2) * v[0, 0] ** 2 + 0.1 * v[0, 0] ** 4 - 0.5 * q[0, 0] ** 2

    def friction(q, v, features):
        return 0.1 * v[0, 0] ** 2

    L = lgn.Lagrangian(lgn.single_node(), density, dissipation=friction)
    start = jnp.array([[0.4]]), jnp.array([[0.7]])
    off = []
    for dt in (0.1, 0.05):
        later = lgn.rollout(L, start, [0.0, dt], lgn.ImplicitMidpoint(dt / 20)).q[1]
        state = lgn.start_between(L, start[0], later, dt)
        np.testing.assert_allclose(lgn.rollout(L, state, [0.0, dt], lgn.Variational(dt)).q[1], later, rtol=1e-11)
        off.append(abs(float((state[1] - start[1])[0, 0])))
    assert off[0] / off[1] > 3


# -- Scales ----------------------------------------------------------------------------------------------------------


def test_scales_are_root_mean_squares():
    q, v = RNG.normal(size=(2, 50, 6, 2)) * np.array([3.0, 0.1])
    found = lgn.scales(lgn.States(q, v, v))
    np.testing.assert_allclose(found["q_scale"], np.sqrt(np.mean(q**2, (0, 1))))
    np.testing.assert_allclose(found["v_scale"], np.sqrt(np.mean(v**2, (0, 1))))
    apart = lgn.scales(lgn.States(q, v, v), lgn.edge_stencil(CHAIN))["q_scale"]
    np.testing.assert_allclose(apart, np.sqrt(np.mean(np.diff(q, axis=1) ** 2, (0, 1))))
    assert list(lgn.scales(lgn.States(q, v))) == ["q_scale"]
    pieces = lgn.windows(np.arange(50.0), q, length=3)
    assert lgn.scales(pieces)["v_scale"][0] > 3
    hidden = np.broadcast_to(np.arange(6) != 2, (50, 6))
    part = lgn.scales(lgn.windows(np.arange(50.0), np.where(hidden[..., None], q, np.nan), length=3, seen=hidden))
    assert np.isfinite(list(part.values())).all()


def test_a_fine_grid_needs_a_scale_for_its_differences():
    """A nonlinear string whose neighbours differ by a tenth of q: a network that sees both at one scale has hardly
    begun when site and edge have learned it."""
    n = 60
    graph, x = lgn.lattice((n,)), 2 * np.pi * np.arange(n) / n
    waves = RNG.normal(size=(10, 2, 2, 3, 1)) / np.array([1, 2, 3])[:, None]
    modes = np.stack([np.cos(np.outer([1, 2, 3], x)), np.sin(np.outer([1, 2, 3], x))])
    q, v = np.einsum("stpkd,pkn->tsnd", waves, modes)
    stretch = n / 2 / np.pi * (np.roll(q, -1, 1) - q)
    tension = stretch + 0.3 * stretch**3
    data = lgn.States(q, v, n / 2 / np.pi * (tension - np.roll(tension, 1, 1)) - np.sin(q))
    split = lgn.site_and_edge(graph, data, (8, 8), rngs=nnx.Rngs(0))
    one = lgn.MLPDensity(3, 1, (8, 8), **lgn.scales(data), rngs=nnx.Rngs(0))
    learn = [lgn.Lagrangian(graph, density) for density in (split, one)]
    assert learn[0].solver_for(1) == lgn.BlockDiagonal()
    phases, key = [lgn.QuasiNewton(40)], jax.random.key(0)
    losses = [lgn.fit(L, data, key=key, phases=phases, validation=None).history[-1].loss for L in learn]
    assert losses[0] < 0.01 * losses[1]


# -- Units and clamps ------------------------------------------------------------------------------------------------


def test_the_unit_of_a_rate_is_found_across_gaps_and_noise():
    t = np.delete(np.linspace(0, 6, 241), [50, 51, 120])
    x = np.stack([np.sin(t), np.cos(2 * t)], 1)
    rate = np.stack([np.cos(t), -2 * np.sin(2 * t)], 1) / 1.7
    np.testing.assert_allclose(lgn.rate_unit(t, x, rate), 1.7, rtol=1e-6)
    noise = np.random.default_rng(0).normal(size=(2, *x.shape))
    np.testing.assert_allclose(lgn.rate_unit(t, x + 1e-3 * noise[0], rate + 0.01 * noise[1]), 1.7, rtol=0.01)
    with pytest.raises(ValueError, match="no three successive times"):
        lgn.rate_unit(t[::-1], x, rate)
    with pytest.raises(ValueError, match="zero throughout"):
        lgn.rate_unit(t, x, 0 * rate)
    with pytest.raises(ValueError, match="of both"):
        lgn.rate_unit(t, x, rate[:5])


def test_the_start_of_a_clamped_node_is_not_free():
    """It stays where it was seen, however noisy, or where its clamp moves it."""
    pieces = half_seen(length=11)
    noisy = pieces._replace(q=pieces.q + 0.1 * RNG.normal(size=pieces.q.shape), v=pieces.v + 0.1)
    shooting = lgn.Shooting(TRUE, noisy)
    loss = lgn.ShootingLoss(STEP, 0.1)
    slope = jax.jit(jax.grad(lambda starts: loss(with_starts(shooting, starts), noisy)))(
        tuple(x[...] for x in shooting.starts)
    )
    assert all(not np.any(x[:, [0, 5]]) and np.any(x[:, 1:5]) for x in slope)
    assert not np.any(shooting.starts[1][...][:, [0, 5]])
    moving = lgn.Lagrangian(CHAIN, [(mass, lgn.node_stencil)], motion=lambda t: jnp.sin(t) * np.ones((6, 1)))
    q, v = (x[...][:, 0, 0] for x in lgn.Shooting(moving, noisy).starts)
    np.testing.assert_allclose((q, v), (np.sin(noisy.t), np.cos(noisy.t)), atol=1e-12)


def with_starts(shooting, starts):
    changed = jax.tree.map(lambda x: x, shooting)
    changed.starts = nnx.List(nnx.Param(x) for x in starts)
    return changed

"""Verdict: a motion that cannot be trusted says so, with the cause; one that can says nothing."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import lgn
from lgn.solvers.solution import INDEFINITE, NOT_CONVERGED
from lgn.systems import wave

RING = lgn.Lagrangian(lgn.lattice((20,)), wave.density)
LIMIT = 2 / (2 * np.sqrt(wave.STIFFNESS))  # of Verlet: 2 / omega, omega^2 = 4 c^2 at the shortest wave
TS = np.linspace(0, 100, 11)


@pytest.fixture
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def point(value, **more):
    """A Lagrangian of one node with a density that is written in one line."""
    return lgn.Lagrangian(lgn.single_node(), value, **more)


def free(q, v, features):
    return 0.5 * v[0, 0] ** 2


def spring(q, v, features):
    return 0.5 * v[0, 0] ** 2 - 0.5 * q[0, 0] ** 2


AT = (np.ones((1, 1)), np.zeros((1, 1)))


# -- Steps -----------------------------------------------------------------------------------------------------------


def test_the_limit_of_the_ring_is_that_of_the_shortest_wave():
    assert pytest.approx(0.447, abs=1e-3) == LIMIT


def test_verlet_beyond_its_limit_is_told_the_limit():
    with pytest.warns(RuntimeWarning, match=r"energy rises .*dt=0.25 for 0.5 since dt=0.5 is beyond .* 0.44"):
        lgn.rollout(RING, wave.pulse(20), TS, lgn.Verlet(0.5))
    with pytest.raises(lgn.MotionStopped, match=r"after t = 0; take smaller .* beyond the stability limit"):
        lgn.rollout(RING, wave.pulse(20), [0.0, 500.0, 1000.0], lgn.Verlet(0.5))
    run = jax.jit(lambda state: lgn.rollout(RING, state, TS, lgn.Verlet(0.5)))
    with pytest.warns(RuntimeWarning, match=r"beyond the stability limit"):
        lgn.check_motion(RING, run(wave.pulse(20)), lgn.Verlet(0.5))


def test_driven_motions_beyond_the_limit_are_told_too():
    pushed = lgn.Lagrangian(lgn.lattice((20,)), wave.density, force=lambda q, v, t: jnp.cos(t) * jnp.ones_like(q))
    with pytest.warns(RuntimeWarning, match=r"the state grows .*dt=0.5 is beyond the stability limit"):
        lgn.rollout(pushed, wave.pulse(20), TS, lgn.Verlet(0.5))


@pytest.mark.parametrize("integrator", [lgn.Verlet(0.44), lgn.Verlet(0.1), lgn.Adaptive(1e-6, 1e-6)])
def test_within_the_limit_nothing_is_said(integrator, quiet):
    lgn.rollout(RING, wave.pulse(20), TS, integrator)


def test_a_force_that_does_work_and_energies_of_any_zero_are_no_alarm(quiet):
    lgn.rollout(
        point(free, force=np.ones((1, 1))), (np.zeros((1, 1)), np.zeros((1, 1))), [0.0, 1.0, 1000.0], lgn.Verlet(0.5)
    )
    graph = lgn.with_features(lgn.single_node(), graph_features={"zero": 0.0})
    shifted = lgn.Lagrangian(graph, lambda q, v, features: spring(q, v, features) + features["zero"])
    for zero in (0.0, 0.5, -3.0):  # of the total energy, 0.5 less that
        lgn.rollout(shifted.replace(zero=zero), AT, TS, lgn.Verlet(0.2))
    upright = point(lambda q, v, features: 0.5 * v[0, 0] ** 2 - jnp.cos(q[0, 0]) + 1)  # E = 0 at its unstable rest
    lgn.rollout(upright, (np.full((1, 1), 1e-9), np.zeros((1, 1))), np.linspace(0, 60, 31), lgn.Verlet(0.01))


def test_structures_that_promise_nothing_and_baselines_are_no_alarm(quiet):
    gain = lgn.Baseline(lgn.single_node(), lambda q, v, features: (v, q))
    lgn.rollout(gain, AT, [0.0, 1.0, 10.0], lgn.ImplicitMidpoint(0.1))

    class Gain:
        conserves = dissipates = False

        def tables(self, graph):
            return ()

        def apply(self, tables, x):
            return x

    flow = lgn.EnergyFlow(lgn.single_node(), lambda u, features: u[0, 0] ** 2, structure=Gain())
    lgn.rollout(flow, AT[0], [0.0, 2.0], lgn.ImplicitMidpoint(0.1))


def test_a_flow_that_promises_and_rises_is_told():
    flow = lgn.EnergyFlow(lgn.single_node(), lambda u, features: jnp.sum(u**4), structure=lgn.Symplectic())
    late = lgn.rollout(flow, np.array([[1.0, 0.0]]), [0.0, 0.1], lgn.ImplicitMidpoint(0.1))
    with pytest.warns(RuntimeWarning, match=r"energy rises from 1 at t = 0 to 81 at t = 0.1.*rtol"):
        lgn.check_motion(flow, late._replace(energy=jnp.array([1.0, 81.0])), lgn.Adaptive())


@pytest.mark.parametrize("ts", [[0.0, np.inf], [0.0, np.nan], [-np.inf, 0.0]])
def test_times_that_are_not_finite_are_refused_at_once(ts):
    with pytest.raises(ValueError, match="finite and strictly increasing"):
        lgn.rollout(RING, wave.pulse(20), ts)


def test_a_step_limit_is_named():
    with pytest.raises(lgn.MotionStopped, match=r"all of its max_steps=20; give more") as caught:
        lgn.rollout(RING, wave.pulse(20), [0.0, 1.0, 1000.0], lgn.Adaptive(max_steps=20))
    assert caught.value.trajectory.t.tolist() == [0.0, 1.0]


# -- Solves ----------------------------------------------------------------------------------------------------------


def coupled(q, v, features):
    return 0.5 * v[0, 0] ** 2 + 0.2 * (v[1, 0] - v[0, 0]) ** 2 - 0.5 * (q[1, 0] - q[0, 0]) ** 2


def test_a_solver_that_did_not_converge_stops_the_motion():
    few = lgn.Lagrangian(lgn.lattice((20,)), coupled, solver=lgn.ConjugateGradient(limit=2))
    with pytest.raises(lgn.MotionStopped, match=r"at t = 0 .*not inverted.* in 2 iterations.*another solver"):
        lgn.rollout(few, wave.pulse(20), [0.0, 0.1], lgn.Verlet(0.1))
    motion = jax.jit(lambda state: lgn.rollout(few, state, [0.0, 0.1], lgn.Verlet(0.1)))(wave.pulse(20))
    assert motion.status.tolist() == [NOT_CONVERGED] * 2 and motion.iterations.tolist() == [2, 2]
    with pytest.raises(lgn.MotionStopped, match="did not converge"):
        lgn.check_motion(few, motion)


def test_what_the_solver_found_is_part_of_the_trajectory(quiet):
    heavy = lgn.Lagrangian(
        lgn.with_features(lgn.lattice((5,)), node_features={"m": np.array([1.0, 1.0, 50.0, 1.0, 1.0])}),
        lambda q, v, features: 0.5 * features["m"][0] * v[0, 0] ** 2,
    )
    motion = lgn.rollout(heavy, (np.zeros((5, 1)), np.ones((5, 1))), [0.0, 1.0], lgn.Verlet(0.1))
    assert motion.condition.tolist() == [50.0, 50.0] and motion.status.tolist() == [0, 0]
    first = lgn.rollout(
        lgn.Baseline(lgn.single_node(), lambda q, v, features: (v, -q)), AT, [0.0, 1.0], lgn.ImplicitMidpoint(0.1)
    )
    assert [x.tolist() for x in first[4:]] == [[0, 0], [1.0, 1.0], [-1, -1], [0, 0]]


@pytest.mark.parametrize(("second", "words"), [(-0.5, "not positive definite"), (1e-14, "nearly singular")])
def test_a_mass_matrix_that_is_indefinite_or_nearly_singular_is_named_with_its_node(second, words):
    system = lgn.Lagrangian(
        lgn.with_features(lgn.single_node(count=2), node_features={"m": np.array([1.0, second])}),
        lambda q, v, features: 0.5 * features["m"][0] * v[0, 0] ** 2,
    )
    with pytest.warns(
        RuntimeWarning, match=f"{words} at 2 of 2 times, worst at node 1 at t = 0 .*kinetic prior"
    ) as said:
        motion = lgn.rollout(system, (np.zeros((2, 1)), np.zeros((2, 1))), [0.0, 1.0], lgn.Verlet(0.1))
    assert len(said) == 1 and (INDEFINITE in motion.status) == (second < 0)


# -- What is not finite ----------------------------------------------------------------------------------------------


def root(q, v, features):
    return 0.5 * v[0, 0] ** 2 - jnp.sqrt(q[0, 0])


def ruined(path):
    """A learned system with a NaN in a leaf."""
    system = lgn.Lagrangian(lgn.lattice((5,)), lgn.MLPDensity(3, 1, (4,), rngs=nnx.Rngs(0)))
    return jax.tree_util.tree_map_with_path(
        lambda where, x: x * jnp.nan if path in jax.tree_util.keystr(where, simple=True, separator="/") else x, system
    )


FIVE = (np.ones((5, 1)), np.ones((5, 1)))
MARKED = lgn.Lagrangian(
    lgn.with_features(lgn.single_node(), node_features={"k": np.ones(1)}), lambda q, v, f: f["k"][0] * v[0, 0] ** 2
)
CAUSES = {
    "q": (point(spring), (AT[0] * jnp.nan, AT[1]), 0.0, "q is not finite at node 0"),
    "v": (point(spring, dissipation=free), (AT[0], AT[1] * jnp.nan), 0.0, "v is not finite at node 0"),
    "t": (point(spring, force=lambda q, v, t: t * q), AT, jnp.nan, "time t is not finite"),
    "parameter": (ruined("layers/0/bias"), FIVE, 0.0, "leaf .*layers/0/bias.* of the system is not finite"),
    "feature": (MARKED.replace(k=jnp.array([jnp.nan])), AT, 0.0, "leaf .*k of the system"),
    "force": (point(free, force=lambda q, v: q / 0), AT, 0.0, "force F is not finite at node 0"),
    "control": (point(free, force=lambda q, v, t, u: u * q, control=lambda t: jnp.log(t - 1)), AT, 0.0, "control u"),
    "friction": (point(free, dissipation=lambda q, v, f: jnp.sqrt(v[0, 0])), AT, 0.0, "friction -dR/dv is not finite"),
    "gradient": (point(root), (AT[0] * 0, AT[1]), 0.0, "solution: dL/dq .* is not finite at node 0"),
    "mass": (point(lambda q, v, f: v[0, 0] ** 2 * jnp.log(q[0, 0])), (-AT[0], AT[1]), 0.0, r"mass matrix .* \[0\]"),
}  # fmt: skip


@pytest.mark.parametrize("name", CAUSES)
def test_the_first_value_that_is_not_finite_is_named_and_no_pivots_are_blamed(name):
    system, state, t, words = CAUSES[name]
    with pytest.raises(lgn.SingularMassMatrix, match=words) as caught:
        system.acceleration(*state, t)
    assert "pivots" not in str(caught.value)
    with pytest.raises(lgn.SingularMassMatrix, match="M or f is not finite"):
        system.solve(*state, t).check()


def test_a_force_that_fails_on_the_way_is_named():
    late = point(free, force=lambda q, v, t: jnp.where(t < 1, 0.0, jnp.nan) * q)
    with pytest.raises(lgn.MotionStopped, match=r"after t = 0. By t = 1 the force F is not finite at node 0") as caught:
        lgn.rollout(late, AT, [0.0, 1.0, 2.0], lgn.Verlet(0.1))
    assert len(caught.value.trajectory.t) == 1


def test_adaptive_steps_do_not_search_a_pole_for_ever():
    """q'' = -1/q^2 from rest falls to q = 0 at t = pi / 2^1.5 = 1.11."""
    fall = point(lambda q, v, features: 0.5 * v[0, 0] ** 2 + 1 / q[0, 0])
    with pytest.raises(lgn.MotionStopped, match=r"after t = 1\.1\b.*smaller tolerances"):
        lgn.rollout(fall, AT, [0.0, 1.1, 1.2])


def test_training_names_what_is_not_finite():
    """The derivative of the root at a sample that lies at zero; the loss itself is finite without it."""
    data = wave.sample(jax.random.key(0), 6, 5)
    data = data._replace(q=data.q.at[3].set(0.0))

    class Root(nnx.Module):
        def __init__(self):
            self.scale = nnx.Param(jnp.ones(()))

        def __call__(self, q, v, features):
            return 0.5 * v[0, 0] ** 2 - self.scale[...] * jnp.sqrt(jnp.sum((q[1] - q[0]) ** 2))

    with pytest.warns(RuntimeWarning, match=r"at sample 3 dL/dq .* is not finite at node 0"):
        lgn.fit(
            lgn.Lagrangian(lgn.lattice((5,)), Root()), data, key=jax.random.key(0), phases=[lgn.QuasiNewton(2)]
        )  # fmt: skip

    def only(system, data):
        return jnp.sqrt(jnp.sum(system.density.scale[...] - 1.0)) + 1.0

    with pytest.warns(RuntimeWarning, match=r"gradient is not finite; .* look for a root"):
        lgn.fit(
            lgn.Lagrangian(lgn.lattice((5,)), Root()), wave.sample(jax.random.key(0), 6, 5), key=jax.random.key(0),
            phases=[lgn.QuasiNewton(2)], loss=only,
        )  # fmt: skip

"""The report of a training: its numbers are those of the system and the data, and reach is asked of elements."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import lgn
from lgn import plots
from lgn.learning.extrapolation import reach
from lgn.systems import wave

DATA = wave.sample(jax.random.key(0), 40, 6)


def ring(nodes, density):
    return lgn.Lagrangian(lgn.lattice((nodes,)), density)


@pytest.fixture(scope="module")
def result():
    density = lgn.MLPDensity(3, 1, (4,), relative=True, rngs=nnx.Rngs(0))
    return lgn.fit(ring(6, density), DATA, key=jax.random.key(1), phases=[lgn.QuasiNewton(30)])


def copies(states, times):
    """The same states on a ring that is so many times as long: every element occurs on the short one."""
    return lgn.States(*(jnp.tile(x, (1, times, 1)) for x in (states.q, states.v, states.a)))


def test_its_numbers_are_those_of_the_training(result):
    fresh, loss = wave.sample(jax.random.key(7), 40, 6), jax.jit(lgn.acceleration_loss)
    report = lgn.learning_report(result, DATA, held_out=fresh)
    assert report.train == pytest.approx(float(loss(result.system, DATA)) ** 0.5)
    assert report.held_out == pytest.approx(float(loss(result.system, fresh)) ** 0.5)
    assert (report.noise, report.seconds, report.history) == (result.noise, result.seconds, result.history)
    assert report.mass.condition.shape == (40,) and report.mass.indefinite == 0
    assert np.linalg.eigvalsh(result.system.mass_matrix(DATA.q[0], DATA.v[0]).toarray()).min() > 0
    for words in ("relative error", "held out", "noise", "positive definite in all 40 states", "no states given"):
        assert words in str(report)


def test_states_of_the_data_are_within_reach_on_a_graph_of_any_size(result):
    """Every element of a ring of 60 that repeats a state of training is one of training, at distance zero."""
    large = ring(60, result.system.density)
    report = lgn.learning_report(result, DATA, states=copies(DATA, 10), system=large)
    assert report.reach.distance.max() < 1e-6 and report.reach.beyond == 0


def test_what_the_density_does_not_see_is_no_distance_and_what_it_sees_is(result):
    shifted, faster = DATA._replace(q=DATA.q + 1e4), DATA._replace(v=DATA.v.at[3, 2].add(100.0))
    assert lgn.learning_report(result, DATA, states=shifted).reach.distance.max() < 1e-6
    far = lgn.learning_report(result, DATA, states=faster).reach
    assert np.argmax(far.distance) == 3 and far.node[3] in (1, 2, 3) and far.distance[3] > 10
    assert np.delete(far.distance, 3).max() < 1e-6 and 0 < far.beyond <= 3 / 240
    absolute = ring(6, lgn.MLPDensity(3, 1, (4,), rngs=nnx.Rngs(0)))
    assert reach(absolute, DATA, absolute, shifted).beyond == 1


def test_a_direction_in_which_training_never_varied_is_infinitely_far(result):
    """All elements of training move as one."""
    still = DATA._replace(v=jnp.ones_like(DATA.v))
    assert np.isinf(reach(result.system, still, result.system, DATA).distance).all()
    assert reach(result.system, still, result.system, still).distance.max() < 1e-6


def densities():
    rngs = nnx.Rngs(0)
    graph = lgn.from_edges(6, np.r_[np.arange(5), np.arange(1, 6)], np.r_[np.arange(1, 6), np.arange(5)])
    yield "messages", graph, [(lgn.MessageDensity(1, 4, (4,), pairing=lgn.difference, rngs=rngs), lgn.node_stencil)]
    yield "pairs", graph, [(lgn.PairDensity(1, (4,), rngs=rngs), lgn.edge_stencil)]
    field = lgn.Continuum(lgn.FieldMLP(1, 1, (4,), relative=True, rngs=rngs))
    yield "field", lgn.lattice((6,), spacing=0.5), [(field, lgn.cell_stencil)]


@pytest.mark.parametrize(("name", "graph", "terms"), densities(), ids=lambda x: x if isinstance(x, str) else "")
def test_densities_of_pairs_and_of_fields_see_no_shift_either(name, graph, terms):
    system = lgn.Lagrangian(graph, [(lgn.kinetic_energy, lgn.node_stencil), *terms])
    shifted, wider = DATA._replace(q=DATA.q + 1e3), DATA._replace(q=50 * DATA.q)
    assert reach(system, DATA, system, shifted).distance.max() < 1e-5
    assert reach(system, DATA, system, wider).beyond > 0.2


def test_windows_positions_alone_and_first_order(result):
    t = 0.1 * np.arange(12)
    q, v = wave.exact(*wave.pulse(6), t)
    loss = lgn.RolloutLoss(lgn.Verlet(0.1), dt=0.1)
    whole = lgn.learning_report(result, lgn.windows(t, q, v, length=4), loss=loss)
    assert len(whole.mass.condition) == 9 * 4
    seen = np.ones((12, 6), bool)
    seen[5, 2] = False
    alone = lgn.learning_report(result, lgn.windows(t, q, length=4, seen=seen), loss=lgn.variational_loss)
    assert len(alone.mass.condition) == 9 * 2 - 6  # of two inner times a piece, those without frame 5
    flow = lgn.EnergyFlow(lgn.lattice((6,)), lgn.MLPDensity(3, 1, (4,), fields=1, rngs=nnx.Rngs(0)),
                          structure=lgn.FirstDifference())  # fmt: skip
    report = lgn.learning_report(lgn.FitResult(flow, [], "", 1.0), lgn.States(DATA.q, DATA.v), states=(DATA.q,))
    assert report.mass is None and report.reach.distance.max() < 1e-6 and "none" in str(report)


def test_a_law_without_elements_has_no_reach():
    law = lgn.Baseline(lgn.lattice((6,)), lgn.NeuralODE(1, hidden=(4,), rngs=nnx.Rngs(0)))
    report = lgn.learning_report(lgn.FitResult(law, [], "", 1.0), DATA, states=DATA)
    assert report.reach is None and report.mass is None


def test_its_picture_has_three_axes(result, tmp_path):
    report = lgn.learning_report(result, DATA, states=DATA)
    with plots.picture(tmp_path / "a.png", 1, 3, size=(12, 4)) as axes:
        plots.learning(axes, report)
        assert [len(ax.lines) for ax in axes] == [4, 1, 2]
    assert report.held_out == result.held_out
    assert (tmp_path / "a.png").stat().st_size > 10_000

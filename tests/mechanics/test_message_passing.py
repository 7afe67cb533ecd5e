"""The black box over a graph: any numbering, any graph, and what a field needs for a comparison."""

import jax
import numpy as np
import pytest
from flax import nnx

import lgn
from lgn.systems import wave

TREE = np.array([[0, 1], [1, 2], [1, 3], [3, 4]])
SMALL = {"hidden": (6,), "latent": 4, "rngs": nnx.Rngs(0)}
RNG = np.random.default_rng(0)


def graph(pairs=TREE, charge=(0, 1, 2, 3, 4), length=(0, 1, 2, 3)):
    i, j = pairs.T
    edges, nodes = {"length": np.tile(length, 2)}, {"charge": charge}
    return lgn.from_edges(5, np.r_[i, j], np.r_[j, i], edge_features=edges, node_features=nodes)


def law(**more):
    features = {"features": ("charge",), "feature_size": 1, "edge_features": ("length",), "edge_feature_size": 1}
    return lgn.MessagePassing(2, **SMALL, **features, **more)


def test_the_numbering_of_the_nodes_does_not_matter():
    order = np.array([3, 0, 4, 1, 2])
    q, v = RNG.normal(size=(2, 5, 2))
    model = law()
    expected = lgn.Baseline(graph(), model).acceleration(q, v)[order]
    renamed = graph(np.argsort(order)[TREE][:, ::-1], np.arange(5.0)[order])
    np.testing.assert_allclose(lgn.Baseline(renamed, model).acceleration(q[order], v[order]), expected, rtol=1e-10)


@pytest.mark.parametrize("rounds", [1, 3])
def test_a_node_feels_those_as_many_edges_away_as_there_are_rounds(rounds):
    model = lgn.Baseline(lgn.lattice((9,), periodic=False), lgn.MessagePassing(1, rounds=rounds, **SMALL))
    q, v = RNG.normal(size=(2, 9, 1))
    slope = jax.jit(jax.jacobian(lambda q: model.acceleration(q, v)[0, 0]))(q)[:, 0]
    assert (slope[: rounds + 1] != 0).all() and not slope[rounds + 1 :].any()


def test_without_its_own_place_a_node_does_not_feel_a_shift():
    q, v = RNG.normal(size=(2, 5, 2))
    shifted = lgn.Baseline(graph(), law(relative=True))
    np.testing.assert_allclose(shifted.acceleration(q + 3, v), shifted.acceleration(q, v), rtol=1e-9)
    plain = lgn.Baseline(graph(), law())
    assert abs(plain.acceleration(q + 3, v) - plain.acceleration(q, v)).max() > 1e-3


def test_it_learns_a_field_that_runs_on_another_graph():
    """On the wave its error falls far; then a ring of other size takes it, and a checkpoint keeps it."""
    law = lgn.MessagePassing(1, (8,), rounds=1, latent=6, relative=True, rngs=nnx.Rngs(0))
    model, data = lgn.Baseline(lgn.lattice((8,)), law), wave.sample(jax.random.key(0), 30, 8)
    fit = lgn.fit(model, data, key=jax.random.key(1), phases=[lgn.QuasiNewton(100)])
    large = lgn.Baseline(lgn.lattice((14,)), fit.system.law)
    fresh = wave.sample(jax.random.key(2), 20, 14)
    assert lgn.diagnostics.acceleration_errors(large, fresh)["acceleration_rel_rms"] < 0.1
    assert np.isfinite(lgn.rollout(large, wave.pulse(14, 2.0), [0.0, 0.2, 0.4], lgn.Verlet(0.01)).q).all()


def test_first_order_clamps_features_and_checkpoints(tmp_path):
    first = lgn.Baseline(lgn.clamp(graph(), [2]), law(fields=1))
    rate = first.rate((np.ones((5, 2)),))[0]
    assert rate.shape == (5, 2) and not rate[2].any() and rate[0].any()
    q, v = RNG.normal(size=(2, 5, 2))
    model = lgn.Baseline(graph(), law())
    lgn.save(tmp_path / "model", model)
    np.testing.assert_array_equal(lgn.load(tmp_path / "model").acceleration(q, v), model.acceleration(q, v))
    assert abs(model.replace(charge=np.ones(5)).acceleration(q, v) - model.acceleration(q, v)).max() > 1e-6
    assert np.isnan(model.energy(q, v))

"""Checkpoints: what is saved comes back; what is broken is refused with the reason."""

import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import lgn
from lgn import runs


def friction(q, v, features):
    return 0.1 * features["weight"][0] * jnp.sum(v[0] ** 2)


def push(q, v):
    return jnp.sin(q)


def make():
    ends = [0, 1, 1, 2, 2, 0], [1, 0, 2, 1, 0, 2]
    graph = lgn.from_edges(3, *ends, node_features={"weight": np.array([1.0, 2.0, 3.0])})
    density = lgn.MLPDensity(3, 2, (5, 4), activation=jnp.tanh, mass=nnx.Param(jnp.array(2.0)), rngs=nnx.Rngs(0))
    return lgn.Lagrangian(lgn.clamp(graph, [1]), density, dissipation=friction, force=push, solver=lgn.Banded())


def test_round_trip(tmp_path):
    system = make()
    lgn.save(tmp_path / "a", system)
    loaded = lgn.load(tmp_path / "a")
    assert jax.tree.structure(loaded) == jax.tree.structure(system)
    q, v = jax.random.normal(jax.random.key(0), (2, 3, 2))
    np.testing.assert_array_equal(loaded.acceleration(q, v), system.acceleration(q, v))
    assert repr(loaded) == repr(system)


def test_graphs_without_edges_features_of_the_graph_and_control_come_back(tmp_path):
    graph = lgn.with_features(lgn.single_node({"m": np.array([1.0, 2.0])}, count=2), graph_features={"g": 9.8})
    density = lgn.MLPDensity(
        1, 1, (4,), angles=(0,), features=("m", "g"), feature_size=2, feature_scale=(1.0, 9.8), rngs=nnx.Rngs(0)
    )
    system = lgn.Lagrangian(graph, density, dissipation=lgn.PositiveForm(1, 1), force=steered, control=jnp.array([0.5]))
    lgn.save(tmp_path / "a", system)
    loaded = lgn.load(tmp_path / "a")
    assert jax.tree.structure(loaded) == jax.tree.structure(system)
    q, v = jax.random.normal(jax.random.key(0), (2, 2, 1))
    np.testing.assert_array_equal(loaded.acceleration(q, v), system.acceleration(q, v))


def steered(q, v, t, u):
    return u * jnp.cos(q)


def on_a_mesh():
    points = [[0, 0], [1, 0], [1, 1], [0, 1], [0.4, 0.6]]
    graph = lgn.from_mesh(points, [[0, 1, 4], [1, 2, 4], [2, 3, 4], [3, 0, 4]])
    density = lgn.Continuum(lgn.FieldMLP(dim=1, space=2, rngs=nnx.Rngs(0)))
    return lgn.Lagrangian(graph, [(density, lgn.cell_stencil)])


def of_two_terms():
    ends = [0, 1, 1, 2, 2, 0], [1, 0, 2, 1, 0, 2]
    graph = lgn.from_edges(3, *ends, edge_features={"stiffness": np.array([1.0, 1.0, 2.0, 2.0, 3.0, 3.0])})
    known = {"features": ("stiffness",), "feature_size": 1}
    nodes = lgn.MessageDensity(2, pairing=lgn.invariants, rngs=nnx.Rngs(0), **known)
    edges = lgn.PairDensity(2, pairing=lgn.distance, rngs=nnx.Rngs(1), **known)
    return lgn.Lagrangian(graph, [(nodes, lgn.node_stencil), (edges, lgn.edge_stencil)])


@pytest.mark.parametrize(("build", "shape"), [(on_a_mesh, (5, 1)), (of_two_terms, (3, 2))])
def test_learned_densities_and_meshes_come_back(build, shape, tmp_path):
    system = build()
    lgn.save(tmp_path / "a", system)
    loaded = lgn.load(tmp_path / "a")
    assert jax.tree.structure(loaded) == jax.tree.structure(system)
    q, v = jax.random.normal(jax.random.key(0), (2, *shape))
    np.testing.assert_array_equal(loaded.acceleration(q, v), system.acceleration(q, v))


def test_saving_twice_replaces(tmp_path):
    system = make()
    lgn.save(tmp_path / "a", system)
    lgn.save(tmp_path / "a", jax.tree.map(lambda x: 2 * x, system))
    for loaded, leaf in zip(jax.tree.leaves(lgn.load(tmp_path / "a")), jax.tree.leaves(system), strict=True):
        np.testing.assert_array_equal(loaded, 2 * leaf)


def test_lambda_cannot_be_saved(tmp_path):
    system = lgn.Lagrangian(lgn.lattice((5,)), lambda q, v, features: 0.5 * v[0, 0] ** 2)
    with pytest.raises(lgn.CheckpointError, match="top of a module"):
        lgn.save(tmp_path / "a", system)


def test_missing_and_cut_short(tmp_path):
    with pytest.raises(lgn.CheckpointError, match="does not exist"):
        lgn.load(tmp_path / "nothing")
    lgn.save(tmp_path / "a", make())
    for name in ("arrays", "system"):
        shutil.copytree(tmp_path / "a", tmp_path / name)
        shutil.rmtree(tmp_path / name / name)
        with pytest.raises(lgn.CheckpointError, match="not a whole checkpoint"):
            lgn.load(tmp_path / name)


def test_another_version_is_refused(tmp_path):
    lgn.save(tmp_path / "a", make())
    (file,) = [f for f in (tmp_path / "a" / "system").iterdir() if f.is_file() and "densities" in f.read_text()]
    content = json.loads(file.read_text())
    content["format"] = 999
    file.write_text(json.dumps(content))
    with pytest.raises(lgn.CheckpointError, match=r"format 999 and this lgn reads"):
        lgn.load(tmp_path / "a")


def test_a_folder_without_a_run(tmp_path):
    with pytest.raises(lgn.CheckpointError, match=r"state\.npz"):
        runs.continue_from(tmp_path)

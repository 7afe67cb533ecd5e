"""Checkpoints: what is saved comes back; what is broken is refused with the reason."""

import functools
import io
import json
import shutil
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import lgn
from lgn import _names, runs
from lgn.checkpoint import files

HERE = sys.modules[__name__]


def friction(q, v, features):
    return 0.1 * features["weight"][0] * jnp.sum(v[0] ** 2)


def push(q, v):
    return jnp.sin(q)


class Two(nnx.Module):
    """Two parameters of one shape."""

    def __init__(self):
        self.stiff, self.soft = nnx.Param(jnp.array(4.0)), nnx.Param(jnp.array(1.0))

    def __call__(self, q, v, features):
        return 0.5 * jnp.sum(v**2) - self.stiff[...] * q[0, 0] ** 2 - self.soft[...] * q[0, 1] ** 2

    def config(self):
        return {}


def springs(stiff=4.0):
    """A system that is saved and loaded at once."""
    system = lgn.Lagrangian(lgn.single_node(), Two())
    system.density.stiff[...] = jnp.asarray(stiff)
    return system


def make():
    ends = [0, 1, 1, 2, 2, 0], [1, 0, 2, 1, 0, 2]
    graph = lgn.from_edges(3, *ends, node_features={"weight": np.array([1.0, 2.0, 3.0])})
    density = lgn.MLPDensity(3, 2, (5, 4), activation=jnp.tanh, mass=nnx.Param(jnp.array(2.0)), rngs=nnx.Rngs(0))
    return lgn.Lagrangian(lgn.clamp(graph, [1]), density, dissipation=friction, force=push, solver=lgn.Banded())


def steered(q, v, t, u):
    return u * jnp.cos(q)


def without_edges():
    """Also of features of the graph, and of a control."""
    graph = lgn.with_features(lgn.single_node({"m": np.array([1.0, 2.0])}, count=2), graph_features={"g": 9.8})
    density = lgn.MLPDensity(
        1, 1, (4,), angles=(0,), features=("m", "g"), feature_size=2, feature_scale=(1.0, 9.8), rngs=nnx.Rngs(0)
    )
    return lgn.Lagrangian(graph, density, dissipation=lgn.PositiveForm(1, 1), force=steered, control=jnp.array([0.5]))


def on_a_mesh():
    points = [[0, 0], [1, 0], [1, 1], [0, 1], [0.4, 0.6]]
    graph = lgn.from_mesh(points, [[0, 1, 4], [1, 2, 4], [2, 3, 4], [3, 0, 4]])
    density = lgn.Continuum(lgn.FieldMLP(dim=1, space=2, rngs=nnx.Rngs(0)))
    return lgn.Lagrangian(graph, [(density, lgn.cell_stencil)])


def of_two_terms():
    ends = [0, 1, 1, 2, 2, 0], [1, 0, 2, 1, 0, 2]
    graph = lgn.from_edges(3, *ends, edge_features={"stiffness": np.array([1.0, 1.0, 2.0, 2.0, 3.0, 3.0])})
    known = {"features": ("stiffness",), "feature_size": 1}
    nodes = lgn.MessageDensity(2, 4, (4,), pairing=lgn.invariants, rngs=nnx.Rngs(0), **known)
    edges = lgn.PairDensity(2, (4,), pairing=lgn.distance, rngs=nnx.Rngs(1), **known)
    return lgn.Lagrangian(graph, [(nodes, lgn.node_stencil), (edges, lgn.edge_stencil)])


@pytest.mark.newest
@pytest.mark.parametrize("build", [make, without_edges, on_a_mesh, of_two_terms])
def test_round_trip(build, tmp_path):
    """All that a program is made of, and all numbers that it is given."""
    system = build()
    lgn.save(tmp_path / "a", system)
    loaded = lgn.load(tmp_path / "a", trusted=[HERE])
    assert jax.tree.structure(loaded) == jax.tree.structure(system) and repr(loaded) == repr(system)
    for found, leaf in zip(jax.tree.leaves(loaded), jax.tree.leaves(system), strict=True):
        np.testing.assert_array_equal(found, leaf)
    if build is make:
        q, v = np.random.default_rng(0).normal(size=(2, 3, 2))
        np.testing.assert_array_equal(loaded.acceleration(q, v), system.acceleration(q, v))


def test_saving_twice_replaces(tmp_path):
    for stiff in (1.0, 2.0):
        lgn.save(tmp_path / "a", springs(stiff))
    assert float(lgn.load(tmp_path / "a", trusted=[HERE]).density.stiff[...]) == 2.0


def test_lambda_cannot_be_saved(tmp_path):
    system = lgn.Lagrangian(lgn.lattice((5,)), lambda q, v, features: 0.5 * v[0, 0] ** 2)
    with pytest.raises(lgn.CheckpointError, match="top of a module"):
        lgn.save(tmp_path / "a", system)


def test_missing_and_cut_short(tmp_path):
    with pytest.raises(lgn.CheckpointError, match="does not exist"):
        lgn.load(tmp_path / "nothing")
    lgn.save(tmp_path / "a", springs())
    (tmp_path / "a" / "system.npz").unlink()
    with pytest.raises(lgn.CheckpointError, match="not a whole checkpoint"):
        lgn.load(tmp_path / "a")


def altered(folder, change):
    """A copy of a checkpoint whose description is changed, with a checksum that fits: what a forger would send."""
    copy = folder.with_name("forged")
    copy.mkdir(exist_ok=True)
    content, arrays = files.read_archive(folder / "system.npz")
    content["arrays"] = arrays
    change(content)
    files.write_archive(copy / "system.npz", content, content.pop("arrays", {}))
    return copy


def test_another_version_is_refused(tmp_path):
    lgn.save(tmp_path / "a", springs())
    forged = altered(tmp_path / "a", lambda content: content.update(format=999))
    with pytest.raises(lgn.CheckpointError, match=r"format 999 and this lgn reads"):
        lgn.load(forged)
    (tmp_path / "a" / "system.npz").unlink()
    (tmp_path / "a" / "system.json").write_text("{}")
    with pytest.raises(lgn.CheckpointError, match=r"format 3 and this lgn reads 4; load it with the version that"):
        lgn.load(tmp_path / "a")
    lgn.save(tmp_path / "a", springs())
    assert [x.name for x in (tmp_path / "a").iterdir()] == ["system.npz"]


def test_a_folder_without_a_run(tmp_path):
    with pytest.raises(lgn.CheckpointError, match=r"state\.npz"):
        runs.continue_from(tmp_path)


# -- What a file may name --------------------------------------------------------------------------------------------


def scaled(q, v, features, size):
    return size * 0.5 * jnp.sum(v**2)


def test_a_density_of_ones_own_loads_only_where_it_is_trusted(tmp_path):
    system = lgn.Lagrangian(lgn.single_node(), functools.partial(scaled, size=3.0))
    lgn.save(tmp_path / "a", system)
    with pytest.raises(lgn.CheckpointError, match=rf"'{__name__}:scaled'.*trusted=\[{__name__.split('.')[-1]}\]"):
        lgn.load(tmp_path / "a")
    q, v = np.ones((2, 1, 2))
    for trusted in ([HERE], [scaled]):
        assert float(lgn.load(tmp_path / "a", trusted=trusted)(q, v)) == float(system(q, v)) == 3.0


def test_of_a_trusted_module_only_what_it_defines_is_trusted(tmp_path):
    lgn.save(tmp_path / "a", make())
    forged = altered(
        tmp_path / "a", lambda content: rename(content["system"], f"{__name__}:push", f"{__name__}:altered_copy")
    )
    with pytest.raises(lgn.CheckpointError, match="altered_copy"):
        lgn.load(forged, trusted=[HERE])


altered_copy = shutil.copytree  # somebody else's function under a name of this module


def rename(content, old, new):
    """Every place of a description that names `old` names `new`."""
    for name, value in content.items() if isinstance(content, dict) else enumerate(content):
        if isinstance(value, str) and value == old:
            content[name] = new
        elif isinstance(value, dict | list):
            rename(value, old, new)


def rich():
    """A system that names something in every field that can."""
    ends = [0, 1, 1, 2, 2, 0], [1, 0, 2, 1, 0, 2]
    graph = lgn.clamp(lgn.from_edges(3, *ends, node_features={"weight": np.ones(3)}), [0])
    edges = lgn.PairDensity(1, (4,), pairing=lgn.both_states, activation=jax.nn.silu, rngs=nnx.Rngs(0))
    return lgn.Lagrangian(
        graph,
        [(lgn.MessageDensity(1, 4, (4,), rngs=nnx.Rngs(0)), lgn.node_stencil), (edges, lgn.edge_stencil)],
        dissipation=[(lgn.PositiveForm(1, 1, law=lgn.cubic), functools.partial(lgn.node_stencil, hops=0))],
        force=steered,
        control=np.cos,
        motion=still,
        solver=lgn.Banded(),
    )


def still(t):
    return np.zeros((3, 1))


HOSTILE = ["os:system", "subprocess:Popen", "builtins:exec", "shutil:rmtree", "trap:spring", "lgn:save", "lgn:load",
           "lgn.harness.runs:begin", "lgn.cli:main", "lgn.checkpoint.systems:save", "lgn._names:find", "jax.numpy:save",
           "jax.numpy:load", "lgn.systems.wave:np", "lgn.systems.pendulum:jax.config.update", "__main__:x", ":", "",
           f"{__name__}:altered_copy", "lgn.systems..:x", "lgn:__init__"]  # fmt: skip


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rich") / "a"
    system = rich()
    system.control = nnx.data(jnp.array([1.0]))
    lgn.save(folder, system)
    return folder, system


@pytest.fixture
def trap(tmp_path, monkeypatch):
    """A module on the path that leaves a mark when it is imported."""
    mark = tmp_path / "mark"
    (tmp_path / "trap.py").write_text(
        f"open({str(mark)!r}, 'w')\ndef spring(*args, **kwargs): open({str(mark)!r}, 'w')"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield
    assert not mark.exists() and "trap" not in sys.modules


def named(content):
    """(holder, tag) of every place that names something."""
    places = []

    def walk(part):
        for key, value in part.items() if isinstance(part, dict) else enumerate(part):
            if key in ("object", "function", "partial") and isinstance(value, str):
                places.append((part, key))
            if isinstance(value, dict | list):
                walk(value)

    walk(content["system"])
    return places


def test_no_name_in_any_field_runs_anything(saved, trap):
    folder, _ = saved
    count = len(named(files.read_archive(folder / "system.npz")[0]))
    assert count >= 10
    for i in range(max(count, len(HOSTILE))):
        hostile = HOSTILE[i % len(HOSTILE)]

        def change(content, i=i, hostile=hostile):
            holder, tag = named(content)[i % count]
            holder[tag] = hostile

        with pytest.raises(lgn.CheckpointError, match="names"):
            lgn.load(altered(folder, change), trusted=[HERE])


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c["system"].update(object="lgn:FitResult"),
        lambda c: c["system"].update(object="lgn:MLPDensity", arguments={"slots": 1, "dim": 1}),
        lambda c: c["system"].update(object="lgn:Dry", arguments={"speed": 1.0}),
        lambda c: c.update(system=None),
        lambda c: c.update(system=[]),
        lambda c: c.update(system=functools.reduce(lambda x, _: [x], range(700), 0)),
        lambda c: c.update(system=functools.reduce(lambda x, _: {"list": [x]}, range(300), 0)),
        lambda c: c.update(system={"module": "os:system", "config": {}}),
        lambda c: c.update(system={"function": "lgn:node_stencil"}),
        lambda c: c.pop("system"),
        lambda c: c.pop("arrays"),
        lambda c: c["system"].pop("arguments"),
        lambda c: c["system"]["arguments"].pop("graph"),
        lambda c: c["system"]["arguments"].update(graph=3),
        lambda c: c["system"]["arguments"].update(density={"function": "lgn:both_states"}),
        lambda c: c["system"]["arguments"].update(nothing=1),
        lambda c: c["system"]["arguments"].update(solver={"object": "lgn:Banded", "arguments": {"x": 1}}),
        lambda c: c["arrays"].pop(next(iter(c["arrays"]))),
        lambda c: c["arrays"].update({"leaf/more": np.ones(1)}),
        lambda c: c["arrays"].update({next(iter(c["arrays"])): np.ones((7, 7))}),
        lambda c: c.update(dtypes={next(iter(c["arrays"])): "object"}),
        lambda c: [rename(c["system"], name, name + "x") for name in list(c["arrays"])[:1]],
    ],
)  # fmt: skip
def test_a_description_of_no_system_is_a_named_error(saved, change):
    with pytest.raises(lgn.CheckpointError):
        lgn.load(altered(saved[0], change), trusted=[HERE])


def test_every_bit_that_is_cut_flipped_or_added_is_noticed(saved, tmp_path):
    folder, _ = saved
    assert [x.name for x in folder.iterdir()] == ["system.npz"]
    content = (folder / "system.npz").read_bytes()
    at = np.linspace(0, len(content) - 1, 40).astype(int).tolist()
    harmed = [content[:i] for i in at] + [content[:i] + bytes([content[i] ^ 1]) + content[i + 1 :] for i in at]
    for harm in [*harmed, content + b"0", content + content]:
        (tmp_path / "system.npz").write_bytes(harm)
        with pytest.raises(lgn.CheckpointError, match="not a whole checkpoint"):
            lgn.load(tmp_path, trusted=[HERE])


def test_numpy_reads_a_checkpoint_and_nothing_in_one_is_unpickled(saved, tmp_path, monkeypatch):
    with np.load(saved[0] / "system.npz") as file:
        assert json.loads(str(file["content"]))["format"] == 4 and any(name.startswith("leaf/") for name in file)

    class Trap:
        def __reduce__(self):
            return pytest.fail, ("unpickled",)

    trap = np.array(0, object)
    trap[()] = Trap()
    with pytest.raises(lgn.CheckpointError, match="array of Python objects"):
        files.write_archive(tmp_path / "system.npz", {}, {"x": trap})
    content = io.BytesIO()
    np.savez(content, content=np.array("{}"), x=trap)
    body = content.getvalue()
    (tmp_path / "system.npz").write_bytes(body + files._checksum(body))
    with pytest.raises(lgn.CheckpointError, match=r"not a whole checkpoint \(.*allow_pickle=False"):
        lgn.load(tmp_path)


# -- Leaves ----------------------------------------------------------------------------------------------------------


def test_a_renamed_attribute_is_an_error_and_another_order_gives_each_leaf_its_own(tmp_path, monkeypatch):
    lgn.save(tmp_path / "a", springs())

    def in_order(*names):
        def start(self):
            for name in names:
                setattr(self, name, nnx.Param(jnp.array(0.0)))

        return start

    monkeypatch.setattr(Two, "__init__", in_order("soft", "stiff"))
    loaded = lgn.load(tmp_path / "a", trusted=[Two])
    assert (float(loaded.density.stiff[...]), float(loaded.density.soft[...])) == (4.0, 1.0)
    monkeypatch.setattr(Two, "__init__", in_order("soft", "rigid"))
    with pytest.raises(lgn.CheckpointError, match=r"has the leaf '.*rigid.*another version of a class"):
        lgn.load(tmp_path / "a", trusted=[Two])


def test_a_name_that_has_left_lgn_is_known_at_its_new_place(tmp_path, monkeypatch):
    density = lgn.PairDensity(1, (4,), rngs=nnx.Rngs(0))
    monkeypatch.delitem(_names.MODULE, "PairDensity")
    monkeypatch.setitem(_names._LEFT, "PairDensity", "densities.message_passing")
    lgn.save(tmp_path / "a", lgn.Lagrangian(lgn.lattice((5,)), [(density, lgn.edge_stencil)]))
    assert type(lgn.load(tmp_path / "a").density) is type(density)


def test_a_renamed_class_is_an_error(tmp_path, monkeypatch):
    lgn.save(tmp_path / "a", springs())
    monkeypatch.delattr(HERE, "Two")
    with pytest.raises(lgn.CheckpointError, match="Two"):
        lgn.load(tmp_path / "a", trusted=[HERE])


def test_leaves_of_another_shape_are_an_error(tmp_path, monkeypatch):
    lgn.save(tmp_path / "a", springs())

    def start(self):
        self.stiff, self.soft = nnx.Param(jnp.zeros(2)), nnx.Param(jnp.array(0.0))

    monkeypatch.setattr(Two, "__init__", start)
    with pytest.raises(lgn.CheckpointError, match=r"leaf .*stiff.* has shape"):
        lgn.load(tmp_path / "a", trusted=[Two])


def test_double_precision_is_not_halved_in_silence(tmp_path):
    lgn.save(tmp_path / "a", springs())
    with jax.enable_x64(False), pytest.raises(lgn.CheckpointError, match=r"jax_enable_x64"):
        lgn.load(tmp_path / "a", trusted=[Two])


def test_a_kill_while_saving_leaves_the_old_one(tmp_path, monkeypatch):
    lgn.save(tmp_path / "a", springs())

    def fail(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(files.os, "fsync", fail)
    with pytest.raises(KeyboardInterrupt):
        lgn.save(tmp_path / "a", springs(2.0))
    assert [x.name for x in (tmp_path / "a").iterdir()] == ["system.npz"]
    assert float(lgn.load(tmp_path / "a", trusted=[Two]).density.stiff[...]) == 4.0


def test_reading_leaves_no_trace_and_what_cannot_be_written_is_a_named_error(tmp_path):
    lgn.save(tmp_path / "a", springs())
    before = [(x, x.stat().st_mtime_ns) for x in (tmp_path, *sorted(tmp_path.rglob("*")))]
    lgn.load(tmp_path / "a", trusted=[Two])
    assert [(x, x.stat().st_mtime_ns) for x in (tmp_path, *sorted(tmp_path.rglob("*")))] == before
    (tmp_path / "file").write_text("")
    with pytest.raises(lgn.CheckpointError, match=r"file.b cannot be written"):
        lgn.save(tmp_path / "file" / "b", springs())


@pytest.mark.parametrize("content", [b"", b"PK", b"nothing"])
def test_a_damaged_state_is_a_named_error(tmp_path, content):
    (tmp_path / "state.npz").write_bytes(content)
    with pytest.raises(lgn.CheckpointError, match=r"state\.npz is damaged"):
        runs.continue_from(tmp_path)

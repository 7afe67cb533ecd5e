"""The folder of a run: it belongs to one call, survives what goes wrong, and is read without a trace."""

import errno
import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import lgn
from lgn.checkpoint import files, jobs
from lgn.systems import wave

DATA = wave.sample(jax.random.key(0), 30, 5)


def rubbing(strength, q, v, features):
    return strength * v[0, 0] ** 2


def relative_to(power, system, data):
    return lgn.acceleration_loss(system, data) ** power


def learn(folder, **changes):
    """A run in which everything that can be given is given; `changes` of its settings."""
    has = {"clamped": [0], "periodic": True, "hidden": (4,), "mass": 1.0, "activation": jnp.tanh, "friction": 0.0,
           "rate": 1e-2, "rule": optax.adam, "batch": 5, "chunk": 3, "tolerance": 1e-12, "power": 1.0, "seed": 1,
           "objective": None, "solver": None, "force": None, "steps": 6, "data": DATA} | changes  # fmt: skip
    density = lgn.MLPDensity(
        3, 1, has["hidden"], mass=has["mass"], activation=has["activation"], rngs=nnx.Rngs(has.get("weights", 0))
    )
    system = lgn.Lagrangian(
        lgn.clamp(lgn.lattice((5,), periodic=has["periodic"]), has["clamped"]),
        density,
        dissipation=partial(rubbing, has["friction"]),
        force=has["force"],
        solver=has["solver"],
    )
    phases = [
        lgn.Minibatch(has["rule"](has["rate"]), has["steps"], has["batch"], has["chunk"]),
        lgn.QuasiNewton(3, has["tolerance"], has["objective"]),
    ]
    loss = partial(relative_to, has["power"])
    return lgn.fit(
        system, has["data"], key=jax.random.key(has["seed"]), phases=phases, loss=loss, folder=folder,
        checkpoint_seconds=changes.get("checkpoint_seconds", 0.0),
    )  # fmt: skip


def everything(folder):
    """Names, contents and times of change of all that lies in a folder."""
    kept = [folder, *sorted(folder.rglob("*"))]
    return [(x, x.stat().st_mtime_ns, x.read_bytes() if x.is_file() else None) for x in kept]


def same(one, other):
    """The same history and, bit for bit, the same parameters."""
    assert one.history == other.history
    for a, b in zip(jax.tree.leaves(one.system), jax.tree.leaves(other.system), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "a"
    return folder, learn(folder)


def copy_of(finished, tmp_path):
    """A folder that holds the finished run, to be harmed."""
    return Path(shutil.copytree(finished[0], tmp_path / "a"))


CHANGES = {
    "loss": ({"power": 2.0}, r"loss\.args\[0\]"),
    "optimiser": ({"rule": optax.rmsprop}, r"phases\[0\]\.optimizer"),
    "rate": ({"rate": 2e-2}, r"phases\[0\]\.optimizer\.update"),
    "batch": ({"batch": 6}, r"phases\[0\]\.batch"),
    "chunk": ({"chunk": 4}, r"phases\[0\]\.chunk"),
    "tolerance": ({"tolerance": 1e-11}, r"phases\[1\]\.tolerance"),
    "objective": ({"objective": lgn.residual_loss}, r"phases\[1\]\.objective"),
    "dissipation": ({"friction": 0.1}, r"system\.dissipation"),
    "clamps": ({"clamped": [1]}, r"system\.domain.*clamped"),
    "mass": ({"mass": 2.0}, r"density\.mass"),
    "activation": ({"activation": jax.nn.softplus}, r"density\.activation"),
    "graph": ({"periodic": False}, r"system\.domain"),
    "hidden": ({"hidden": (5,)}, r"density\.hidden\[0\]"),
    "steps": ({"steps": 7}, r"phases\[0\]\.steps"),
    "key": ({"seed": 2}, "key"),
    "weights": ({"weights": 1}, r"density\.layers\[0\]\.kernel"),
    "solver": ({"solver": lgn.Dense()}, r"system\.solver"),
    "force": ({"force": np.ones((5, 1))}, r"system\.forcing"),
    "values": ({"data": DATA._replace(a=DATA.a.at[3, 2, 0].add(1e-15))}, r"data\.a"),
    "times": ({"data": DATA._replace(t=np.zeros(30))}, r"data\.t"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_another_call_is_refused_by_the_name_of_what_differs(finished, name):
    changes, words = CHANGES[name]
    with pytest.raises(lgn.CheckpointError, match=f"another run: it differs in .*{words}"):
        learn(finished[0], **changes)


def test_the_other_precision_is_another_run(finished):
    single = jax.tree.map(lambda x: np.asarray(x, np.float32), DATA)
    with jax.enable_x64(False), pytest.raises(lgn.CheckpointError, match="precision"):
        learn(finished[0], data=single)


def test_a_finished_run_is_read_without_a_trace(finished):
    """Neither a lock nor a new time of change: a folder that cannot be written in serves."""
    folder, result = finished
    os.chmod(folder / "checkpoints", 0o555)  # said to the owner; root is not stopped by it
    before = everything(folder)
    try:
        again = learn(folder)
    finally:
        os.chmod(folder / "checkpoints", 0o755)
    assert everything(folder) == before
    same(again, result)


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


HARMS = {
    "truncate": lambda path: path.write_bytes(path.read_bytes()[:-7]),
    "flip": flip,
    "empty": lambda path: path.write_bytes(b""),
    "directory": lambda path: (path.unlink(), path.mkdir()),
}


@pytest.mark.parametrize("harm", HARMS)
def test_where_the_last_state_is_damaged_the_one_before_serves_and_says_so(finished, tmp_path, harm):
    folder, result = copy_of(finished, tmp_path), finished[1]
    last, before = sorted(folder.glob("checkpoints/*.state"), key=lambda x: -int(x.stem))
    HARMS[harm](last)
    with pytest.warns(RuntimeWarning, match=f"{last.name} is damaged .* {before.name}, is whole"):
        again = learn(folder)
    same(again, result)
    same(learn(folder), result)


def test_where_no_state_is_whole_nothing_is_begun_anew_in_silence(finished, tmp_path):
    folder = copy_of(finished, tmp_path)
    for path in folder.glob("checkpoints/*.state"):
        HARMS["truncate"](path)
    with pytest.raises(lgn.CheckpointError, match=r"no state is whole \(.*checksum.*remove the folder to begin anew"):
        learn(folder)


def test_without_its_description_a_run_goes_on_and_another_is_refused(finished, tmp_path):
    folder = copy_of(finished, tmp_path)
    (folder / "checkpoints" / "run.json").unlink()
    assert learn(folder).history == finished[1].history
    with pytest.raises(lgn.CheckpointError, match=r"another run: it differs in what run\.json would say"):
        learn(folder, seed=2)


def stopped(monkeypatch, folder, error, at):
    """A run that meets an error when it writes its state number `at`."""
    write = files.write_whole

    def fails(path, *content):
        if path.name == f"{at}.state":
            monkeypatch.setattr(files.os, "fsync", lambda number: (_ for _ in ()).throw(error))
        write(path, *content)

    monkeypatch.setattr(files, "write_whole", fails)
    try:
        learn(folder)
    finally:
        monkeypatch.undo()


@pytest.mark.parametrize(
    ("error", "expected", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), lgn.CheckpointError, "cannot be written .No space left"),
        (KeyboardInterrupt(), KeyboardInterrupt, "^$"),
    ],
)
def test_a_write_that_fails_is_a_named_error_and_loses_nothing(finished, tmp_path, monkeypatch, error, expected, words):
    with pytest.raises(expected, match=words):
        stopped(monkeypatch, tmp_path, error, at=3)
    names = {x.name for x in (tmp_path / "checkpoints").iterdir()}
    assert names == {"1.state", "2.state", "run.json", "lock"}
    again = learn(tmp_path)
    assert again.history == finished[1].history
    assert (tmp_path / "metrics.csv").read_text() == (finished[0] / "metrics.csv").read_text()


def test_a_folder_that_cannot_be_made_is_a_named_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(lgn.CheckpointError, match="cannot be written"):
        learn(tmp_path / "file" / "run")


HOLDER = """
import sys, time
from pathlib import Path
from lgn.checkpoint.files import Lock
lock = Lock(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(600)
"""


def test_two_processes_in_one_folder_meet_a_named_error_and_a_killed_one_leaves_no_lock(tmp_path):
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "checkpoints")]
    holder = subprocess.Popen(command, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(lgn.CheckpointError, match=f"another process .number {holder.pid}"):
            learn(tmp_path)
    finally:
        holder.kill()
        holder.wait()
    files.Lock(tmp_path / "checkpoints").release()


def test_a_run_of_an_earlier_lgn_is_not_overwritten(tmp_path):
    (tmp_path / "checkpoints" / "1" / "state").mkdir(parents=True)
    with pytest.raises(lgn.CheckpointError, match="an earlier lgn began"):
        learn(tmp_path)


def test_states_of_every_kind_come_back(tmp_path):
    state = {"x": np.arange(6.0).reshape(2, 3), "inner": {"0": np.array(1), "empty": {}, "none": np.zeros((0, 3), int)},
             "half": jnp.ones(3, jnp.bfloat16), "single": np.float32(0.1)}  # fmt: skip
    first = jobs.Checkpoints(tmp_path, {"a": 1}, 0.0)
    assert first.restore() is None
    first.keep(state)
    first.close()
    again = jobs.Checkpoints(tmp_path, {"a": 1}, 0.0)
    found = again.restore()
    again.close()
    assert jax.tree.structure(found) == jax.tree.structure(state)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(state), strict=True):
        assert a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == np.asarray(b).tobytes()
        assert a.flags.writeable
    with pytest.raises(lgn.CheckpointError, match="expected arrays"):
        again.keep({"x": object()})

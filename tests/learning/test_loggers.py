"""Following a training: each row is told once and in order, whatever ends the training, and decides nothing."""

import builtins
import json
from functools import partial

import jax
import numpy as np
import optax
import pytest
from flax import nnx

import lgn
from lgn.learning.loggers import CSVRows, JSONRows, Loggers, TensorBoardRows
from lgn.systems import wave

PHASES = [lgn.Minibatch(optax.adam(1e-2), 20, 5, chunk=5), lgn.QuasiNewton(10)]


@pytest.fixture(scope="module")
def learn():
    system = lgn.Lagrangian(lgn.lattice((5,)), lgn.MLPDensity(3, 1, (4,), rngs=nnx.Rngs(0)))
    data = wave.sample(jax.random.key(0), 30, 5)
    return partial(lgn.fit, system, data, key=jax.random.key(1), phases=PHASES, checkpoint_seconds=0.0)


@pytest.fixture(scope="module")
def whole(learn):
    return learn()


def read(path):
    """Rows of a JSONRows file."""
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [lgn.Row(**{name: np.nan if x is None else x for name, x in row.items()}) for row in rows]


def same(rows, history):
    assert [row[:2] for row in rows] == [row[:2] for row in history]
    np.testing.assert_array_equal([row[2:] for row in rows], [row[2:] for row in history])


def board(folder):
    """(step, value) of all event files in a folder, by the names of their series; a record is its length, a checksum,
    the event and another checksum."""
    from tensorboardX.proto.event_pb2 import Event

    found = {}
    for path in folder.glob("events.out.tfevents.*"):
        content, place = path.read_bytes(), 0
        while place < len(content):
            length = int.from_bytes(content[place : place + 8], "little")
            event = Event.FromString(content[place + 12 : place + 12 + length])
            for value in event.summary.value:
                found.setdefault(value.tag, []).append((event.step, value.simple_value))
            place += 16 + length
    return found


def test_every_row_is_told_once_in_order_and_decides_nothing(learn, whole):
    seen = []
    fit = learn(on_row=seen.append)
    same(seen, fit.history)
    same(fit.history, whole.history)
    jax.tree.map(np.testing.assert_array_equal, fit.system, whole.system)


def test_a_table_and_lines_hold_the_history_and_the_table_is_that_of_the_folder(learn, whole, tmp_path):
    table, lines = tmp_path / "a" / "rows.csv", tmp_path / "a" / "rows.jsonl"
    learn(folder=tmp_path / "run", on_row=Loggers(CSVRows(table), JSONRows(lines)))
    assert table.read_bytes() == (tmp_path / "run" / "metrics.csv").read_bytes()
    same(read(lines), whole.history)
    assert np.isnan(whole.history[0].held_out) == ("null" in lines.read_text().splitlines()[0])


def test_after_an_interruption_no_row_is_told_twice_in_a_file_and_none_is_lost(
    learn, whole, tmp_path, monkeypatch, interrupt
):
    """The interruption leaves a line that was half written, and rows that no checkpoint holds."""
    table, lines, events = tmp_path / "rows.csv", tmp_path / "rows.jsonl", tmp_path / "board"

    def call(**settings):
        followers = CSVRows(table), JSONRows(lines), TensorBoardRows(events)
        return learn(folder=tmp_path / "run", on_row=Loggers(*followers), **settings)

    interrupt(lgn.QuasiNewton, at=4)
    with pytest.raises(KeyboardInterrupt):
        call(checkpoint_seconds=1e9)  # of which only those at the ends of phases are written
    monkeypatch.undo()
    assert len(read(lines)) == 8
    lines.write_text(lines.read_text() + '{"phase": "qua')
    call()
    same(read(lines), whole.history)
    assert table.read_bytes() == (tmp_path / "run" / "metrics.csv").read_bytes()
    drawn = board(events)
    for phase in {row.phase for row in whole.history}:
        rows = [row for row in whole.history if row.phase == phase]
        assert drawn[f"{phase.replace(', ', '-').replace(' ', '-')}/loss"] == [
            (row.step, np.float32(row.loss)) for row in rows
        ]


def test_a_finished_run_tells_all_again_and_its_folder_stays_as_it_is(learn, whole, tmp_path):
    learn(folder=tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    seen = []
    learn(folder=tmp_path, on_row=seen.append)
    same(seen, whole.history)
    assert before == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}


def test_what_a_follower_raises_ends_the_training_and_the_checkpoints_stand(learn, whole, tmp_path):
    closed = []

    class Full:
        def __enter__(self):
            return self

        def __exit__(self, *error):
            closed.append(error[0])

        def __call__(self, row):
            if (row.phase, row.step) == ("quasi-newton", 5):
                raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        learn(folder=tmp_path, on_row=Full())
    assert closed == [OSError]
    seen = []
    same(learn(folder=tmp_path, on_row=seen.append).history, whole.history)
    same(seen, whole.history)


def test_a_refused_call_leaves_the_files_of_followers_as_they_are(learn, tmp_path):
    learn(folder=tmp_path / "run")
    (tmp_path / "rows.csv").write_text("precious")
    with pytest.raises(lgn.CheckpointError, match="another run"):
        learn(folder=tmp_path / "run", key=jax.random.key(2), on_row=CSVRows(tmp_path / "rows.csv"))
    assert (tmp_path / "rows.csv").read_text() == "precious"


def test_without_tensorboardx_the_error_names_the_extra(monkeypatch, tmp_path):
    load = builtins.__import__

    def lacking(name, *rest):
        if name == "tensorboardX":
            raise ImportError(name)
        return load(name, *rest)

    monkeypatch.setattr(builtins, "__import__", lacking)
    with pytest.raises(ImportError, match=r"extra `board`: pip install .lgn\[board\]"):
        TensorBoardRows(tmp_path)

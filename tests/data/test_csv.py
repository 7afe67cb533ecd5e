"""CSV: recordings from other hands."""

import pickle

import numpy as np
import pandas
import pytest

import lgn

SWING = "t [s],angle [rad],rate [rad/s],trial\n0,0.1,0,a\n0.1,,-0.1,a\n0.2,0.08,-0.2,a\n0,1,0,b\n0.1,1,0,b\n"


@pytest.fixture
def swing(tmp_path):
    path = tmp_path / "swing.csv"
    path.write_text(SWING)
    return path


def test_a_recording_by_the_names_of_its_columns(swing):
    found = lgn.read(swing, q="angle", v="rate")
    assert found.q.shape == (5, 1, 1) and found.v.shape == (5, 1, 1) and found.names == ("angle",)
    assert found.trial.tolist() == [0, 0, 0, 1, 1] and found.attributes["trials"] == ["a", "b"]
    assert found.seen[:, 0].tolist() == [True, False, True, True, True]
    assert (found.units["t"], found.units["q"], found.units["v"]) == ("s", "rad", "rad/s")
    assert found.windows(2).trial.tolist() == [0, 0, 1]


def test_all_other_columns_are_q_and_a_list_of_lists_is_nodes_of_several_dims(tmp_path):
    path = tmp_path / "two.csv"
    path.write_text("\ufeffTime;x0;y0;x1;y1\n0;1;2;3;4\n1;5;6;7;8\n", encoding="utf-8")
    assert lgn.read(path).q.shape == (2, 4, 1) and lgn.read(path).seen is None
    found = lgn.read(path, q=[["x0", "y0"], ["x1", "y1"]])
    assert found.q[1].tolist() == [[5, 6], [7, 8]] and found.names == ("x0", "y0", "x1", "y1")


def test_a_recording_goes_to_another_process(swing):
    found = lgn.read(swing, q="angle")
    assert pickle.loads(pickle.dumps(found)).units == found.units
    assert pickle.loads(pickle.dumps(lgn.Recording(found.t, found.q))).units == {}


def test_what_pandas_writes_is_read(tmp_path):
    table = pandas.DataFrame({"t": np.arange(4) / 3, "a": [1, np.nan, 3, 4], "b": [0.1, 0.2, 0.3, 1e-9]})
    table.to_csv(tmp_path / "table.csv", index=False)
    found = lgn.read(tmp_path / "table.csv", units={"a": "m", "b": "m"})
    np.testing.assert_array_equal(found.q[..., 0], table[["a", "b"]])
    assert found.t.tolist() == table.t.tolist() and found.units["q"] == "m"


def test_a_table_that_lgn_wrote_may_be_read_by_columns_too(tmp_path):
    path = lgn.write(
        tmp_path / "motion.csv", lgn.Trajectory(np.arange(3.0), (np.ones((3, 2, 1)),), np.ones(3), np.zeros(3))
    )
    found = lgn.read(path, q=["u_1"])
    assert isinstance(found, lgn.Recording) and found.q.shape == (3, 1, 1)

"""CSV: recordings from other hands."""

import pickle
import time

import numpy as np
import pandas
import pytest
import scipy.io

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


DIALECTS = {  # text, settings: times, q of every row, names, units
    "units after a slash": ("Time/s,Angle/rad\n0,1\n0.1,2\n", {}, [0, 0.1], [[1], [2]], ("Angle",), ("s", "rad")),
    "units in a row": ("t,x,y\ns,m,m\n0,1,2\n0.1,2,3\n", {}, [0, 0.1], [[1, 2], [2, 3]], ("x", "y"), ("s", "m")),
    "decimal commas": ("t;x;y\n0,0;1,0;0,1\n0,1;0,9;0,2\n", {}, [0, 0.1], [[1, 0.1], [0.9, 0.2]], ("x", "y"), ()),
    "thousands": ("t;x\n0,5;1.000,5\n1,5;2\n", {}, [0.5, 1.5], [[1000.5], [2]], ("x",), ()),
    "comments": ("% MATLAB\n% fs = 10\nt,x\n0,1\n0.1,2\n", {}, [0, 0.1], [[1], [2]], ("x",), ()),
    "preamble": ("Logger 7\nDate: today, noon\n\nt,x,y\n0,1,2\n1,3,4\n2,5,6\n", {}, [0, 1, 2], None, ("x", "y"), ()),
    "frames": ("frame,x\n1,1\n2,2\n4,3\n", {"dt": 0.5}, [0, 0.5, 1.5], [[1], [2], [3]], ("x",), ()),
    "rows": ("x,y\n1,1\n2,2\n4,3\n", {"dt": 0.5}, [0, 0.5, 1], [[1, 1], [2, 2], [4, 3]], ("x", "y"), ()),
    "an index": (",t,x\n0,0,1\n1,0.1,2\n", {}, [0, 0.1], [[1], [2]], ("x",), ()),
    "commas at the end": ("t,x,\n0,1,\n0.1,2,\n", {}, [0, 0.1], [[1], [2]], ("x",), ()),
    "spaces": ("t   x\n0   1\n0.1 2\n", {}, [0, 0.1], [[1], [2]], ("x",), ()),
    "tabs and gaps": ("t\tx\ty\n0\t\t1\n1\t2\t\n", {}, [0, 1], [[np.nan, 1], [2, np.nan]], ("x", "y"), ()),
    "dates": (
        "time,x\n2024-05-01T10:00:00.5Z,1\n2024-05-01T10:00:01Z,2\n", {}, [0, 0.5], [[1], [2]], ("x",), ("s",),
    ),
    "a clock": ("time,x\n23:59:59.5,1\n00:00:00.25,2\n", {}, [86399.5, 86400.25], [[1], [2]], ("x",), ()),
    "a row a mass": (
        "t,mass,x\n0,a,1\n0,b,2\n0.1,a,1.1\n0.1,b,2.1\n", {}, [0, 0.1], [[1, 2], [1.1, 2.1]], ("a", "b"), (),
    ),
    "a row a number": ("t,id,x\n0,7,1\n0,9,2\n1,9,3\n", {}, [0, 1], [[1, 2], [np.nan, 3]], ("7", "9"), ()),
}  # fmt: skip


@pytest.mark.parametrize("ending", [".csv", ".txt"])
@pytest.mark.parametrize("name", DIALECTS)
def test_dialects(name, ending, tmp_path):
    text, settings, t, q, names, units = DIALECTS[name]
    path = tmp_path / f"table{ending}"
    path.write_text(text)
    found = lgn.read(path, **settings)
    np.testing.assert_allclose(found.t, t, atol=1e-12)
    if q is not None:
        np.testing.assert_array_equal(found.q[..., 0], q)
    assert found.names == names
    assert units in ((), tuple(found.units[x] for x in ("t", "q")[: len(units)]))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_encodings(encoding, tmp_path):
    (tmp_path / "table.csv").write_bytes("t [s],größe [°]\n0,1\n1,2\n".encode(encoding))
    found = lgn.read(tmp_path / "table.csv")
    assert found.names == ("größe",) and found.units["q"] == "°"


def test_trials_that_take_turns_and_clocks_that_restart(tmp_path):
    (tmp_path / "turns.csv").write_text("trial,t,x\n1,0,1\n2,0,5\n1,0.1,1.1\n2,0.1,5.1\n")
    found = lgn.read(tmp_path / "turns.csv")
    assert found.windows(2).q[..., 0, 0].tolist() == [[1, 1.1], [5, 5.1]]
    (tmp_path / "clock.csv").write_text("t,x\n0,1\n1,2\n2,3\n0,4\n1,5\n")
    assert lgn.read(tmp_path / "clock.csv").trial.tolist() == [0, 0, 0, 1, 1]
    (tmp_path / "long.csv").write_text("trial,t,mass,x\n0,0,a,1\n0,0,b,2\n1,0,a,3\n1,0,b,4\n")
    assert lgn.read(tmp_path / "long.csv").q[..., 0].tolist() == [[1, 2], [3, 4]]


def test_vectors_and_matrices_of_matlab(tmp_path):
    t = np.arange(5.0)
    scipy.io.savemat(tmp_path / "run.mat", {"t": t, "x": np.stack([t, t**2], 1), "fs": 10.0, "note": "hello"})
    found = lgn.read(tmp_path / "run.mat")
    assert found.names == ("x_0", "x_1") and found.q[:, 1, 0].tolist() == (t**2).tolist()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("t [s],x [m],F [N]\n0,1,2\n1,2,3\n", ["'F' [N]", "no position", "q=['x']"]),
        ("t,x,\n0,1,0.3\n1,2,0.2\n", ["column 3", "no name"]),
        ("t,x\n0,1\n1,2\n", ["times in column 't'", "leave dt="]),
    ],
)
def test_what_is_asked_for(text, said, tmp_path):
    (tmp_path / "table.csv").write_text(text)
    with pytest.raises(ValueError) as error:
        lgn.read(tmp_path / "table.csv", **({"dt": 0.1} if "dt" in said[-1] else {}))
    assert not [x for x in said if x not in str(error.value)]


@pytest.mark.benchmark
def test_a_large_table_takes_no_more_than_a_dozen_times_as_long_as_by_pandas(tmp_path):
    rows = np.random.default_rng(0).normal(size=(300_000, 5))
    rows[:, 0] = np.arange(len(rows)) / 100
    pandas.DataFrame(rows, columns=["t", *"abcd"]).to_csv(tmp_path / "large.csv", index=False)
    (tmp_path / "small.csv").write_text("t,x\n0,1\n1,2\n")
    lgn.read(tmp_path / "small.csv")  # what a first call imports is not counted
    begun = time.process_time()
    pandas.read_csv(tmp_path / "large.csv")
    theirs, begun = time.process_time() - begun, time.process_time()
    lgn.read(tmp_path / "large.csv")
    ours = time.process_time() - begun
    print(f"{ours:.2f} s, {ours / theirs:.1f} times pandas")
    assert ours < 12 * theirs  # 7 to 10 (measured); numpy alone takes 4

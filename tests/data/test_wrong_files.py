"""Wrong files: every one meets an error that says what was found, what was expected, and what to do."""

import json
import sys

import h5py
import meshio
import numpy as np
import pytest
import xarray

import lgn

TABLE = "t,angle [rad],rate\n0,1,2\n1,3,4\n2,5,6\n"
RECORDING = lgn.Recording(np.arange(3.0), np.ones((3, 4, 1)), units={"t": "s", "q": "m"})
SQUARE = lgn.from_mesh([[0, 0], [1, 0], [1, 1], [0, 1]], [[0, 1, 2], [0, 2, 3]])
PIECES = lgn.windows(np.arange(3), np.ones((3, 4, 1)), length=2)
WRITTEN = (
    '# lgn {"kind": "States", "length": null, "fields": FIELDS, "units": {}, "attributes": {}, "names": []}\nq_0\n1\n'
)


def columns(table, **settings):
    return lambda path: lgn.read(text(path / "a.csv", table), **settings)


def text(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def changed(path, change, thing=RECORDING):
    """A file of HDF5 that lgn wrote, and another hand changed."""
    path = lgn.write(path / "a.h5", thing, of=SQUARE)
    with h5py.File(path, "a") as file:
        change(file)
    return path


def variables(path, **named):
    xarray.Dataset(named).to_netcdf(path / "a.nc", engine="h5netcdf")
    return path / "a.nc"


def series(path, ending=".xdmf", **settings):
    return lgn.read(lgn.write(path / f"a{ending}", RECORDING, of=SQUARE), **settings)


def without_field(path):
    with meshio.xdmf.TimeSeriesWriter(path / "a.xdmf", data_format="XML") as writer:
        writer.write_points_cells(np.eye(3), [("triangle", np.array([[0, 1, 2]]))])
        writer.write_data(0.0, cell_data={"stress": [np.ones(1)]})
    return path / "a.xdmf"


def unlike(name):
    def change(file):
        del file[name]

    return change


def uneven(file):
    file["dimensions/node"][...] = [0, 1, 3, 4]
    del file["lgn/graph"]


def damaged(file):
    file["lgn/graph/senders"][0] = 17


def instead(name, value=None):
    """In place of a dataset: a group, or another one with the attributes that it had."""

    def change(file):
        attributes = dict(file[name].attrs)
        del file[name]
        made = file.create_group(name) if value is None else file.create_dataset(name, data=value)
        made.attrs.update(attributes)

    return change


def foreign(path):
    with h5py.File(path / "a.h5", "w") as file:
        file["displacement"] = np.ones(3)
    return path / "a.h5"


WRONG = {
    # Columns and datasets
    "misspelt column": (columns(TABLE, q="angel"), "no column 'angel', did you mean 'angle'? There is t, angle, rate"),
    "missing column": (columns(TABLE, v=["z"]), "no column 'z'. There is t, angle, rate"),
    "no times": (columns("a,b\n1,2\n"), "no column of times 't'", "There is a, b"),
    "only times": (columns("t\n1\n2\n"), "no columns beside t"),
    "lengths of rows": (columns(TABLE, q=[["angle"], ["angle", "rate"]]), "[['x0', 'y0'], ...]"),
    "misspelt field": (lambda path: lgn.read(lgn.write(path / "a.h5", RECORDING), q="Q"),
        "no field that varies in time 'Q', did you mean 'q'?"),
    "trial of the Well": (lambda path: lgn.read(lgn.write(path / "a.h5", RECORDING), trial="x"), "its 1 trajectories"),
    "misspelt variable": (lambda path: lgn.read(lgn.write(path / "a.nc", RECORDING), v="vel"),
        "no variable along 'time' 'vel'. There is q"),
    "no variable of times": (lambda path: lgn.read(variables(path, q=("x", [1.0]))), "no variable 'time'"),
    "no variable along time": (lambda path: lgn.read(variables(path, t=("x", [1.0]))), "has no variable along 'x'"),
    "one time": (lambda path: lgn.read(variables(path, time=((), 1.0))), "'time' of a.nc is a single number"),
    "axes that differ": (
        lambda path: lgn.read(variables(path, time=("time", [0, 1]), a=("time", [1, 2]), b=(("time", "x"), np.eye(2)))),
        "'b' of a.nc has axes {'time': 2, 'x': 2}", "choose what belongs together"),
    "mesh without the field": (lambda path: series(path, q="temperature"), "no field 'temperature'. There is q"),
    "mesh without fields": (lambda path: lgn.read(without_field(path)), "no field at the points", "cells"),
    "times of a mesh": (lambda path: series(path, ".pvd", time="t"), "leave time= and trial= out"),
    "columns of windows": (lambda path: lgn.read(lgn.write(path / "a.nc", PIECES), q="z"), "no variable"),
    "group for a field": (lambda path: lgn.read(changed(path, instead("t0_fields/q"))),
        "/t0_fields/q of a.h5 is <HDF5 group", "expected a dataset of numbers"),
    "text for a field": (lambda path: lgn.read(changed(path, instead("t0_fields/q", np.full((1, 3, 4), b"a")))),
        "expected a dataset of numbers"),
    "one time of the Well": (lambda path: lgn.read(changed(path, instead("dimensions/time", 1.0))),
        "/dimensions/time of a.h5", "expected a dataset of numbers with 1 axes"),
    "number of trajectories": (
        lambda path: lgn.read(changed(path, lambda file: file.attrs.update({"n_trajectories": "many"}))),
        "n_trajectories of a.h5 is 'many'"),
    "axes that vary": (
        lambda path: lgn.read(changed(path, lambda file: file["t0_fields/q"].attrs.update(dim_varying=[True, True]))),
        "dim_varying of /t0_fields/q of a.h5"),
    # Units
    "unit of a column": (columns(TABLE, units={"angle": "deg"}),
        "'angle' in 'rad', and units= says 'deg'", "never converted"),
    "unit of nothing": (columns(TABLE, units={"angel": "rad"}),
        "no column to give a unit 'angel', did you mean 'angle'?"),
    "unit of a dataset": (lambda path: lgn.read(lgn.write(path / "a.h5", RECORDING), units={"t": "ms"}), "'t' in 's'"),
    "unit of a variable": (lambda path: lgn.read(lgn.write(path / "a.nc", RECORDING), units={"q": "mm"}), "'q' in 'm'"),
    "unit of a field": (lambda path: series(path, units={"q": "mm"}), "'q' in 'm'"),
    "unit written of nothing": (lambda path: lgn.write(path / "a.csv", PIECES, units={"w": "m"}),
        "write: no field to give a unit 'w'"),
    # Times
    "unsorted": (columns("t,q\n0,1\n2,1\n1,1\n"), "unsorted: t goes from 2 to 1 after row 1", "trial="),
    "repeated": (columns("t,q\n0,1\n1,1\n1,1\n"), "repeated: t goes from 1 to 1"),
    "no time": (columns("t,q\n0,1\n,1\n"), "t is nan in row 1", "leave these rows out"),
    "gap": (lambda path: columns("t,q\n0,1\n1,1\n2,1\n5,1\n")(path).windows(2), "a gap of 3 at t = 2", "give dt=1"),
    "unsorted in HDF5": (lambda path: lgn.read(changed(path, lambda file: file["dimensions/time"].__setitem__(1, 9))),
        "unsorted"),
    "trials of different lengths": (
        lambda path: lgn.write(path / "a.h5", RECORDING._replace(trial=np.array([0, 0, 1]))), "trials of 1 to 2 rows",
        "*.nc"),
    "unsorted, written": (lambda path: lgn.write(path / "a.csv", RECORDING._replace(t=np.array([0, 2, 1]))),
        "unsorted: t goes from 2 to 1"),
    # Values
    "nothing seen": (lambda path: columns("t,q\n0,\n1,\n")(path).windows(2), "nothing was measured"),
    "infinite": (columns("t,q\n0,1\n1,inf\n"), "'q' of a.csv is infinite in row 1", "empty"),
    "text": (columns("t,q,note\n0,1,cold\n1,1,\n"), "column 'note' of a.csv holds 'cold' in row 0", "q=[...]"),
    "short row": (columns("t,q\n0,1\n1\n"), "row 1 of a.csv has 1 cells", "2 columns"),
    # Files that are not what they seem
    "no names": (columns("0,1\n1,2\n"), "expected distinct names of columns"),
    "names twice": (columns("t,q,q\n1,2,3\n"), "expected distinct names of columns"),
    "empty": (columns(""), "has 0 lines"),
    "HDF5 as CSV": (lambda path: lgn.read(lgn.write(path / "a.h5", RECORDING).rename(path / "a.csv")),
        "a.csv is no CSV"),
    "CSV as HDF5": (lambda path: lgn.read(text(path / "a.h5", TABLE)), "a.h5 is no HDF5 file"),
    "CSV as netCDF": (lambda path: lgn.read(text(path / "a.nc", TABLE)), "a.nc is no netCDF file"),
    "CSV as XDMF": (lambda path: lgn.read(text(path / "a.xdmf", TABLE)),
        "a.xdmf is no series over time", "lgn.from_meshio"),
    "XML as a collection": (lambda path: lgn.read(text(path / "a.pvd", "<VTKFile/>")), "no DataSet in a Collection"),
    "half an HDF5 file": (
        lambda path: lgn.read(text(path / "b.h5", lgn.write(path / "a.h5", RECORDING).read_bytes()[:900])),
        "b.h5 is no whole HDF5 file"),
    "another layout": (lambda path: lgn.read(foreign(path)),
        "not in the layout of The Well", "it holds displacement", "lgn.Recording(t, q)"),
    "no dimension": (lambda path: lgn.read(changed(path, unlike("dimensions/node"))),
        "no dataset of 'dimensions' 'node'"),
    "a shape": (lambda path: lgn.read(changed(path, lambda file: file.attrs.__setitem__("n_trajectories", 2))),
        "has shape (1, 3, 4); expected (2, 3, 4)"),
    "no attribute": (lambda path: lgn.read(changed(path, lambda file: file["dimensions"].attrs.pop("spatial_dims"))),
        "no attribute of '/dimensions' 'spatial_dims'"),
    "half a graph": (lambda path: lgn.read_graph(changed(path, unlike("lgn/graph/receivers"))),
        "a graph without 'receivers'", "damaged"),
    "another kind": (lambda path: lgn.read(changed(path, lambda file: file.attrs.__setitem__("lgn_kind", "os.system"))),
        "'os.system'", "States"),
    "a comment changed": (columns("# lgn {\n" + TABLE), "the comment in the first line of a.csv was changed"),
    "types of objects": (columns(WRITTEN.replace("FIELDS", json.dumps({"q": [[1, 1], "O"]}))),
        "the comment in the first line"),
    "columns changed": (columns(WRITTEN.replace("FIELDS", json.dumps({"q": [[2, 1], "float64"]}))),
        "1 rows of 1 columns", "says 2"),
    # Graphs
    "graph of CSV": (lambda path: lgn.read_graph(text(path / "a.csv", TABLE)), "files *.csv hold no graph"),
    "graph of nothing": (lambda path: lgn.read_graph(lgn.write(path / "a.nc", RECORDING)),
        "a.nc holds no graph", "of=graph"),
    "uneven grid": (lambda path: lgn.read_graph(changed(path, uneven)), "axis 'node' of a.h5 is not even"),
    "damaged graph": (lambda path: lgn.read_graph(changed(path, damaged)), "senders holds 17"),
    "another graph": (lambda path: lgn.write(path / "a.nc", RECORDING, of=lgn.lattice((3,))),
        "4 nodes, of a graph of 3"),
    "series without a graph": (lambda path: lgn.write(path / "a.xdmf", RECORDING),
        "needs the places of the nodes", "of="),
    "series of pieces": (lambda path: lgn.write(path / "a.pvd", PIECES, of=SQUARE),
        "Windows to a.pvd", "*.h5 and *.nc"),
}  # fmt: skip


@pytest.mark.parametrize(("call", "words"), [(call, words) for call, *words in WRONG.values()], ids=list(WRONG))
def test_a_wrong_file_says_what_to_do(call, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError) as caught:
        call(tmp_path)
    assert not [word for word in words if word not in str(caught.value)], str(caught.value)


def test_an_unseen_cell_is_no_number_and_no_gap(tmp_path):
    found = lgn.read(text(tmp_path / "a.csv", "t,x,y\n0,1,1\n1,NA,1\n2,,\n3,1,1\n"), q=[["x", "y"]])
    assert found.seen[:, 0].tolist() == [True, False, False, True]
    assert found.windows(2).seen[..., 0].tolist() == [[True, False], [False, False], [False, True]]


@pytest.mark.parametrize(
    ("ending", "package", "extra"), [(".h5", "h5py", "data"), (".nc", "xarray", "data"), (".xdmf", "meshio", "mesh")]
)
def test_a_missing_package_is_named(ending, package, extra, tmp_path, monkeypatch):
    path = lgn.write(tmp_path / f"a{ending}", RECORDING, of=SQUARE)
    monkeypatch.setitem(sys.modules, package, None)
    for call in (lambda: lgn.read(path), lambda: lgn.write(path, RECORDING, of=SQUARE)):
        with pytest.raises(ImportError, match=rf"{package}.*pip install 'lgn\[.*{extra}"):
            call()


def test_what_fails_leaves_the_file_that_was_there(tmp_path):
    path = lgn.write(tmp_path / "a.h5", RECORDING)
    before = path.read_bytes()
    broken = lgn.data.fields.Lazy((3, 4, 1), np.dtype(float), lambda runs: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        lgn.write(path, RECORDING._replace(q=broken))
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]

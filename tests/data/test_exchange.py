"""Files: what lgn writes it reads back, and so do h5py, xarray, meshio and pandas; what they write lgn reads."""

import h5py
import meshio
import numpy as np
import pandas
import pytest
import xarray

import lgn
from lgn.graphs.arrays import to_arrays

RNG = np.random.default_rng(0)
GRID = lgn.clamp(lgn.lattice((3, 4), 0.5, periodic=[True, False]), [0])
STAR = lgn.from_edges(12, [0] * 11 + [*range(1, 12)], [*range(1, 12)] + [0] * 11, RNG.normal(size=(12, 3)))
SQUARE = lgn.from_mesh([[0, 0], [1, 0], [1, 1], [0, 1]], [[0, 1, 2], [0, 2, 3]])
X = RNG.normal(size=(8, 12, 2)).astype(np.float32)
T = np.r_[0:4, 0:4] / 10
RECORDING = lgn.Recording(
    T, X.copy(), -X, trial=np.repeat([3, 5], 4), units={"t": "s", "q": "m"}, attributes={"who": "us"}
)
RECORDING.q[2, 3] = RECORDING.v[2, 3] = np.nan
THINGS = {
    "Recording": RECORDING,
    "States": lgn.States(X, 2 * X, 3 * X, t=T.astype(np.float32), seen=np.abs(X[..., 0]) < 1, trial=np.arange(8)),
    "first order": lgn.States(X, 2 * X),
    "Windows": lgn.windows(T, X, -X, length=3, trial=RECORDING.trial)._replace(
        features={"k": X[:4, 0], "c": np.arange(4)}
    ),
    "positions": lgn.windows(T, X, length=3, trial=RECORDING.trial),
    "Trajectory": lgn.Trajectory(T[:4], (X[:4], -X[:4]), np.ones(4), np.zeros(4), *np.arange(16).reshape(4, 4)),
    "three fields": lgn.Trajectory(T[:4], (X[:4], -X[:4], 2 * X[:4]), np.ones(4), np.zeros(4)),
    "field": lgn.Trajectory(T[:4], (X[:4],), np.ones(4), np.zeros(4)),
}


def edges(graph):
    return sorted(zip(graph.senders.tolist(), graph.receivers.tolist(), strict=True))


def assert_same(found, expected):
    assert type(found) is type(expected)
    if isinstance(expected, tuple):
        for a, b in zip(found, expected, strict=True):
            assert_same(a, b)
    elif isinstance(expected, np.ndarray):
        np.testing.assert_array_equal(found, expected, strict=True)
    elif isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for name in expected:
            assert_same(found[name], expected[name])
    else:
        assert found == expected


@pytest.mark.parametrize("ending", [".csv", ".h5", ".nc"])
@pytest.mark.parametrize("name", THINGS)
def test_what_was_written_is_read(name, ending, tmp_path):
    thing = THINGS[name]
    path = lgn.write(tmp_path / f"file{ending}", thing, of=GRID)
    found = lgn.read(path)
    if isinstance(thing, lgn.Recording):
        found, thing = found.rows(slice(None)), thing.rows(slice(None))
        assert found.attributes["who"] == "us" and found.attributes["lgn_graph"] == "12 nodes, 42 edges"
        found, thing = (x._replace(units=dict(x.units), attributes={}) for x in (found, thing))
    assert_same(found, thing)
    if ending != ".csv":
        assert_same(to_arrays(lgn.read_graph(path)), to_arrays(GRID))


@pytest.mark.parametrize("ending", [".h5", ".nc", ".xdmf", ".pvd"])
def test_of_a_file_nothing_is_read_but_what_is_asked_for(ending, tmp_path):
    thing = RECORDING._replace(trial=None, t=np.arange(8.0))
    path = lgn.write(tmp_path / f"file{ending}", thing, of=STAR)
    found = lgn.read(path)
    assert "Lazy" in repr(found.q) and found.q.shape == (8, 12, 2) and found.q.dtype == np.float32
    asked = []
    read = found.q.read
    found.q.read = lambda runs: asked.append(runs) or read(runs)
    pieces = found.windows(2, every=3)
    assert asked == [[(0, 2), (3, 5), (6, 8)]]
    np.testing.assert_array_equal(pieces.q, thing.q[[[0, 1], [3, 4], [6, 7]]])
    assert found.rows(slice(2, 4)).seen.tolist() == thing.rows(slice(2, 4)).seen.tolist()
    np.testing.assert_array_equal(found.v[::3], thing.v[::3])
    assert lgn.write(path, found, of=STAR) == path  # onto what is being read
    np.testing.assert_array_equal(lgn.read(path).q[:], thing.q)


def test_recordings_of_several_files_are_joined_and_stay_there(tmp_path):
    parts = [lgn.read(lgn.write(tmp_path / f"{i}.h5", RECORDING)) for i in range(2)]
    whole = lgn.joined(parts)
    assert "Lazy" in repr(whole.q) and whole.trial.tolist() == np.repeat(range(4), 4).tolist()
    np.testing.assert_array_equal(whole.q[7:9], [RECORDING.q[7], RECORDING.q[0]])
    assert whole.windows(4).trial.tolist() == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="'q' is in 'm' in the first recording and in 'cm' in another"):
        lgn.joined([RECORDING, RECORDING._replace(units={"t": "s", "q": "cm"})])
    with pytest.raises(ValueError, match=r"joined: columns \(\) and \('a',\)"):
        lgn.joined([RECORDING, RECORDING._replace(names=("a",))])


# -- Other readers -----------------------------------------------------------------------------------------------------


def test_h5py_finds_the_layout_of_the_well(tmp_path):
    """Names and attributes of https://polymathic-ai.org/the_well/data_format."""
    path = lgn.write(tmp_path / "file.h5", RECORDING, of=GRID, attributes={"stiffness": np.float32(2.5)})
    with h5py.File(path) as file:
        root, fields = file.attrs, [file[f"t{order}_fields"].attrs["field_names"] for order in range(3)]
        known = ("dataset_name", "grid_type", "n_spatial_dims", "n_trajectories")
        assert [root[name] for name in known] == ["lgn", "cartesian", 2, 2]
        assert list(root["simulation_parameters"]) == ["stiffness"]
        assert root["stiffness"] == file["scalars/stiffness"][()] == 2.5
        assert list(file["dimensions"].attrs["spatial_dims"]) == ["x", "y"]
        np.testing.assert_allclose(file["dimensions/y"], [0, 0.5, 1, 1.5])
        np.testing.assert_allclose(file["dimensions/time"], [0, 0.1, 0.2, 0.3])
        assert not file["dimensions/time"].attrs["sample_varying"]
        field = file["t1_fields/q"]
        assert list(fields[1]) == ["q", "v"] and len(fields[2]) == 0
        assert field.attrs["dim_varying"].tolist() == [True, True]
        assert field.attrs["sample_varying"] and field.attrs["time_varying"]
        np.testing.assert_array_equal(field, RECORDING.q.reshape(2, 4, 3, 4, 2))
        ends = {x.attrs["associated_dims"][0]: x.attrs["bc_type"] for x in file["boundary_conditions"].values()}
        assert ends == {"x": "PERIODIC", "y": "OPEN"}
        assert file["boundary_conditions/x_periodic/mask"][()].tolist() == [True, False, True]


def theirs(path):
    """A file in The Well's layout as its own generators write it."""
    with h5py.File(path, "w") as file:
        file.attrs.update(
            {"n_trajectories": 2, "n_spatial_dims": 2, "grid_type": "cartesian", "dataset_name": "flow", "Re": 100.0}
        )
        file.attrs["simulation_parameters"] = ["Re"]
        axes = file.create_group("dimensions")
        axes.attrs["spatial_dims"] = ["x", "y"]
        for name, size in (("time", 5), ("x", 3), ("y", 4)):
            axes[name] = np.linspace(1, 2, size, dtype=np.float32)
            axes[name].attrs["sample_varying"] = False
        wall = file.create_group("boundary_conditions").create_group("y_periodic")
        wall.attrs.update({"associated_dims": "y", "bc_type": "PERIODIC"})
        shapes = [("pressure", 0, (2, 5, 3, 4)), ("mean", 0, (2, 5, 3)), ("wall", 0, (2, 3, 4)),
                  ("velocity", 1, (2, 5, 3, 4, 2))]  # fmt: skip
        for name, order, shape in shapes:
            group = file.require_group(f"t{order}_fields")
            group.attrs["field_names"] = [*group.attrs.get("field_names", []), name]
            group[name] = RNG.normal(size=shape).astype(np.float32)
            group[name].attrs.update(
                {"sample_varying": True, "time_varying": name != "wall", "dim_varying": [True, name != "mean"]}
            )
    return path


def test_files_of_the_well_are_recordings(tmp_path):
    path = theirs(tmp_path / "flow.hdf5")
    found = lgn.read(path)
    assert found.names == ("pressure", "mean", "velocity_x", "velocity_y") and found.attributes == {"Re": 100.0}
    assert found.q.shape == (10, 12, 4) and found.trial.tolist() == [0] * 5 + [1] * 5
    with h5py.File(path) as file:
        q = found.q[6]
        np.testing.assert_array_equal(q[:, 0], file["t0_fields/pressure"][1, 1].ravel())
        np.testing.assert_array_equal(q[:, 1], np.repeat(file["t0_fields/mean"][1, 1], 4))
        np.testing.assert_array_equal(q[:, 2:], file["t1_fields/velocity"][1, 1].reshape(12, 2))
    graph = lgn.read_graph(path)
    np.testing.assert_allclose(graph.nodes["position"][[0, -1]], [[1, 1], [2, 2]], rtol=1e-6)
    assert graph.senders.size == 2 * (2 * 4 + 4 * 3)  # open along x, periodic along y
    chosen = lgn.read(path, q="pressure", v=["mean"], units={"pressure": "Pa", "t": "s"})
    assert chosen.q.shape == chosen.v.shape == (10, 12, 1) and chosen.units == {"pressure": "Pa", "t": "s"}


def test_xarray_reads_names_axes_units_and_who_made_it(tmp_path):
    system = lgn.Lagrangian(STAR, lambda q, v, features: v[0] @ v[0])
    path = lgn.write(tmp_path / "motion.nc", THINGS["Trajectory"], of=system, units={"t": "s", "q": "m", "energy": "J"})
    with xarray.open_dataset(path, engine="h5netcdf") as data:
        assert dict(data.sizes) == {"time": 4, "node": 12, "dim": 2, "space": 3}
        np.testing.assert_array_equal(data.sel(time=0.2).q, X[2])
        np.testing.assert_array_equal(data.position, STAR.nodes["position"])
        assert (data.time.units, data.q.units, data.energy.units) == ("s", "m", "J")
        assert data.attrs["lgn_system"] == repr(system) and data.attrs["lgn_graph"] == "12 nodes, 22 edges"
        assert data.attrs["lgn_version"] and data.attrs["lgn_kind"] == "Trajectory"
        assert data.identical(data) and data.drop_vars("position").broadcast_equals(THINGS["Trajectory"].to_xarray())


def test_variables_of_other_datasets_are_recordings(tmp_path):
    heights = xarray.Dataset(
        {
            "height": (("y", "time", "x"), RNG.normal(size=(3, 5, 2)), {"units": "m"}),
            "speed": (("time", "y", "x"), RNG.normal(size=(5, 3, 2)), {"units": "m/s"}),
            "depth": (("y", "x"), np.ones((3, 2))),
        },
        {"time": ("time", np.arange(5), {"units": "days since 2000-01-01"})},
        {"title": "a lake"},
    )
    for path, engine in ((tmp_path / "new.nc", "h5netcdf"), (tmp_path / "old.nc", "scipy")):
        heights.to_netcdf(path, engine=engine)
        both, found = lgn.read(path), lgn.read(path, q="height", v="speed")
        assert sorted(both.names) == ["height", "speed"] and both.q.shape == (5, 6, 2)
        assert both.t.tolist() == [0, 1, 2, 3, 4]
        np.testing.assert_array_equal(found.q[2, :, 0], heights.height.isel(time=2).values.ravel())
        assert found.v.shape == (5, 6, 1) and found.attributes == {"title": "a lake"}
        assert (found.units["q"], found.units["v"], found.units["t"]) == ("m", "m/s", "days since 2000-01-01")
    members = heights.rename(y="trial").to_netcdf(tmp_path / "members.nc", engine="h5netcdf")
    members = lgn.read(tmp_path / "members.nc", q=["height"])
    assert members.q.shape == (15, 2, 1) and members.trial.tolist() == np.repeat(range(3), 5).tolist()


@pytest.mark.parametrize("graph", [SQUARE, STAR], ids=["mesh", "edges"])
def test_meshio_plays_a_field_on_a_mesh(graph, tmp_path, monkeypatch):
    motion = lgn.Trajectory(
        T[:4], (X[:4, : graph.n_node[0], :1], X[:4, : graph.n_node[0], :1]), np.ones(4), np.zeros(4)
    )
    xdmf = lgn.write(tmp_path / "there.xdmf", motion, of=graph)
    collection = lgn.write(tmp_path / "there.pvd", motion, of=graph)
    place, kind = np.zeros((graph.n_node[0], 3)), "triangle" if graph is SQUARE else "line"
    place[:, : graph.nodes["position"].shape[1]] = graph.nodes["position"]
    with meshio.xdmf.TimeSeriesReader(xdmf) as reader:
        points, cells = reader.read_points_cells()
        t, data, _ = reader.read_data(2)
        assert reader.num_steps == 4 and t == T[2] and data.keys() == {"q", "v"}
    one = meshio.read(tmp_path / "there" / "000002.vtu")
    for where, blocks, fields in ((points, cells, data), (one.points, one.cells, one.point_data)):
        np.testing.assert_array_equal(where, place)
        assert [block.type for block in blocks] == [kind]
        np.testing.assert_array_equal(fields["q"], motion.q[2, :, 0])
    for path in (xdmf, collection):
        found, again = lgn.read(path), lgn.read_graph(path)
        np.testing.assert_array_equal(found.v[:], motion.v)
        np.testing.assert_array_equal(again.nodes["position"], graph.nodes["position"])
        assert to_arrays(again).keys() <= to_arrays(graph).keys() and edges(again) == edges(graph)
    assert sorted(x.name for x in tmp_path.iterdir()) == ["there", "there.pvd", "there.xdmf", "there.xdmf.h5"]


def test_pandas_reads_names_with_units(tmp_path):
    path = lgn.write(
        tmp_path / "file.csv", RECORDING._replace(names=tuple(f"p{i}" for i in range(24))), units={"v": "m/s"}
    )
    found = pandas.read_csv(path, comment="#")
    assert list(found.columns[:2]) == ["t [s]", "p0 [m]"] and found.columns[-2] == "v_11_1 [m/s]"
    np.testing.assert_array_equal(found["p23 [m]"].to_numpy(np.float32), RECORDING.q[:, 11, 1])
    assert found["p6 [m]"].isna().tolist() == [False, False, True] + [False] * 5

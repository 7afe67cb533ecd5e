"""Series of fields on a mesh or along the edges of a graph, over time, which ParaView plays: XDMF and VTK.

XDMF is a file of XML with one of HDF5 beside it; VTK a file of XML, `.pvd`, with a folder of meshes, one for each time.
"""

import copy
import itertools
import json
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jraph
import numpy as np

from lgn.data.fields import (
    FIELD,
    UNITS,
    Choice,
    Contents,
    Lazy,
    axes,
    changed,
    extra,
    find,
    header,
    of_trials,
    present,
    replacing,
)
from lgn.graphs.edges import distinct, from_pairs
from lgn.graphs.meshes import MESHIO, domain, from_blocks

PACKAGES = ("meshio", "h5py")


class Series(NamedTuple):
    """Content of a file: times (time,), points (point, 2 or 3), cells as meshio has them, what `Information` says, and
    `steps`, numbers of times -> the fields at the points, by name, at each, read when they are asked for."""

    times: np.ndarray
    points: np.ndarray
    blocks: list
    steps: Callable[[Iterable[int]], Iterator[dict[str, np.ndarray]]]
    about: dict[str, Any]


def read(path: Path, choice: Choice) -> Contents:
    """A recording whose fields stay in the file: `q` and `v`, or `u`, of a file with these alone, else all are q."""
    series = _opened(path)
    there = next(series.steps([0]))
    if not there:
        raise ValueError(f"read: {path.name} has no field at the points of its mesh; data of cells are not read")
    if choice.time is not None or choice.trial is not None:
        raise ValueError(f"read: {path.name} is one trial over the times that it says; leave time= and trial= out")
    own = set(there) <= set("quv")
    ours = {"q": [name for name in "qu" if name in there], "v": [name for name in "v" if name in there]} if own else {}
    chosen = choice.fields(path, "field", list(there), ours)
    used = np.unique(domain(f"read: {path.name}", series.blocks)[1])
    parts = {name: {key: _field(path, series, key, there[key], used) for key in keys} for name, keys in chosen.items()}
    _, units, about = header(path, series.about)
    names = () if own and choice.q is None else chosen["q"]
    return choice.recording(path, {"t": series.times}, parts, names, units, about, there)


def read_graph(path: Path) -> jraph.GraphsTuple:
    """The graph of the cells, or of the edges where a graph was written."""
    series = _opened(path)
    kind, corners = domain(f"read_graph: {path.name}", series.blocks)
    wide = np.flatnonzero(np.ptp(series.points, axis=0) > 0)
    if kind != "line" or wide.tolist() in ([], [0]):
        return from_blocks(f"read_graph: {path.name}", series.points, series.blocks)
    used = np.unique(corners)
    place = series.points[used][:, : wide[-1] + 1]
    return from_pairs(len(used), distinct(np.searchsorted(used, corners), len(used)), place)


def write(path: Path, contents: Contents) -> None:
    """The fields over time, and the mesh of the graph, or its edges as lines."""
    fields = {name: x for name, x in contents.fields.items() if axes(contents.kind, name, len(x.shape)) == FIELD}
    if "t" not in contents.fields or not fields or len(np.unique(contents.fields.get("trial", 0))) > 1:
        raise ValueError(
            f"write: {contents.kind} to {path.name}: a series is one motion along time, a Trajectory or a Recording of "
            f"one trial; files *.h5 and *.nc hold the others"
        )
    for name, x in fields.items():
        if x.dtype.kind not in "iuf" or (x.dtype.itemsize < 4 and x.dtype.kind == "f"):
            raise ValueError(
                f"write: {name} is of dtype {x.dtype}, which {path.name} cannot hold; give x.astype(np.float32)"
            )
    if contents.graph is None or "position" not in contents.graph.nodes:
        raise ValueError(f"write: {path.name} needs the places of the nodes; give of= a system or graph with positions")
    extra("mesh,data", path.name, *PACKAGES)
    about = {**contents.attributes, **{f"{UNITS}{name}": unit for name, unit in contents.units.items()}}

    def steps():
        for i, t in enumerate(np.asarray(contents.fields["t"])):
            rows = ((name, np.asarray(x[i : i + 1])[0]) for name, x in fields.items())
            yield float(t), {name: np.ascontiguousarray(x[:, 0] if x.shape[1] == 1 else x) for name, x in rows}

    WAYS[path.suffix.lower()][1](path, *_mesh(contents.graph), steps(), about)


def _mesh(graph) -> tuple[np.ndarray, list[tuple[str, np.ndarray]]]:
    """Points in 3D, and cells; of edges those that do not go round a periodic axis."""
    place = np.asarray(graph.nodes["position"], float)
    if place.shape[1] > 3:
        raise ValueError(f"write: positions of {place.shape[1]} coordinates; a mesh file holds 1 to 3")
    points = np.pad(place, [(0, 0), (0, 3 - place.shape[1])])
    cells = graph.globals.get("cells")
    if cells is not None:
        corners = {"line": 2, "triangle": 3, "quad": 4, "tetra": 4, "hexahedron": 8}
        shape = (place.shape[1], cells.shape[1])
        kind = next(name for name, space in MESHIO.items() if (space, corners[name]) == shape)
        return points, [(kind, np.asarray(cells, np.int64))]
    i, j = np.asarray(graph.senders, np.int64), np.asarray(graph.receivers, np.int64)
    near = np.isclose(place[i] - place[j], graph.edges["offset"]).all(1) & (i < j)
    return points, [("line", np.stack([i[near], j[near]], 1))]


def _field(path, series, name, first, used) -> Lazy:
    shape = (len(used), int(np.prod(first.shape[1:])))

    def rows(parts):
        for _, start, stop in parts:
            found = list(series.steps(range(start, stop)))
            steps = [x[find(f"read: {path.name}", "field at a later time", x, name)] for x in found]
            if wrong := [x.shape for x in steps if x.shape != first.shape]:
                raise ValueError(
                    f"read: {name!r} of {path.name} has shape {first.shape}, later {wrong[0]}: its mesh changes"
                )
            yield np.reshape([x[used] for x in steps], (stop - start, *shape))

    return of_trials(rows, 1, len(series.times), shape, first.dtype)


def _opened(path) -> Series:
    meshio = extra("mesh,data", path.name, *PACKAGES)
    try:
        return WAYS[path.suffix.lower()][0](path)
    except (ET.ParseError, meshio.ReadError, SystemExit, KeyError, OSError, ValueError) as error:
        raise ValueError(
            f"read: {path.name} is no series over time that meshio can read ({type(error).__name__}: {error}); of a "
            f"mesh alone, lgn.from_meshio makes the graph"
        ) from error


def _inform(element, about) -> None:
    """Attributes as elements `Information`, which readers pass over."""
    for name, x in about.items():
        ET.SubElement(element, "Information", Name=name, Value=json.dumps(x))


def _information(element) -> dict[str, Any]:
    """What `_inform` wrote, or others."""
    found = {}
    for x in element.findall("Information"):
        try:
            found[x.get("Name", "")] = json.loads(x.get("Value", "null"))
        except ValueError:
            found[x.get("Name", "")] = x.get("Value")
    return found


def _opened_xdmf(path: Path) -> Series:
    """What the file says of its times and its mesh; numbers at later times are not read yet."""
    from meshio.xdmf import TimeSeriesReader

    reader = TimeSeriesReader(path)
    with reader:
        points, blocks = reader.read_points_cells()

    def steps(numbers):
        own = copy.copy(reader)
        own.hdf5_files = {}  # open files, which `with` closes
        with own:
            for k in numbers:
                try:
                    fields = own.read_data(k)[1]
                except KeyError as error:  # of a dataset
                    raise changed(path) from error
                yield fields

    times = [float(grid.find("Time").attrib["Value"]) for grid in reader.collection]
    return Series(np.array(times), points, blocks, steps, _information(reader.domain))


def _write_xdmf(path: Path, points, cells, steps, about) -> None:
    """Each field at each time is a dataset of the file of HDF5."""
    import h5py
    from meshio.xdmf import TimeSeriesWriter

    numbers = path.with_name(f"{path.name}.h5")
    with replacing(path) as part, replacing(numbers) as heavy:
        writer = TimeSeriesWriter(part)
        # Its own `with` would put the numbers into the working folder, wherever the path is.
        writer.h5_filename, writer.h5_file = numbers.name, h5py.File(heavy, "w")
        try:
            writer.write_points_cells(points, cells)
            for t, fields in steps:
                writer.write_data(t, point_data=fields)
            _inform(writer.domain, about)
        finally:
            writer.__exit__()


def _opened_vtk(path: Path) -> Series:
    """What the file says of its times; the mesh is that of the first."""
    import meshio

    root = ET.parse(path).getroot()
    sets = root.findall("Collection/DataSet")
    if not sets:
        raise ValueError("no DataSet in a Collection")
    files = [path.parent / x.attrib["file"] for x in sets]
    first = meshio.read(files[0])

    def steps(numbers):
        for k in numbers:
            yield meshio.read(present(files[k])).point_data

    times = np.array([float(x.attrib["timestep"]) for x in sets])
    return Series(times, first.points, first.cells, steps, _information(root))


def _write_vtk(path: Path, points, cells, steps, about) -> None:
    """The mesh stands in the file of each time."""
    import meshio

    folder = path.with_suffix("")
    folder.mkdir(exist_ok=True)
    root = ET.Element("VTKFile", type="Collection", version="0.1")
    collection = ET.SubElement(root, "Collection")
    for i, (t, fields) in enumerate(steps):
        file = folder / f"{i:06d}.vtu"
        meshio.Mesh(points, cells, point_data=fields).write(file)
        ET.SubElement(collection, "DataSet", timestep=repr(t), part="0", file=f"{folder.name}/{file.name}")
    _inform(root, about)
    with replacing(path) as part:
        ET.ElementTree(root).write(part)
    for i in itertools.count(len(collection)):  # later times of a longer motion
        if not (file := folder / f"{i:06d}.vtu").exists():
            break
        file.unlink()


WAYS: dict[str, tuple[Callable, Callable]] = {
    ".xdmf": (_opened_xdmf, _write_xdmf),
    ".pvd": (_opened_vtk, _write_vtk),
}

"""Exchange: recordings, samples and motions to files and back; the ending of a path decides the format."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jraph
import numpy as np

from lgn import _arguments
from lgn.data import csv, matlab, mesh_series, netcdf, well
from lgn.data.fields import FIELD, NOTHING, Choice, Contents, axes, packed
from lgn.data.recording import Recording
from lgn.data.samples import States, Trajectory, Windows

# By ending the module that knows the format, by `read(path, choice)`, `write(path, contents)` and `read_graph(path)`.
FORMATS: dict[str, Any] = {
    ".csv": csv,
    ".h5": well,
    ".hdf5": well,
    ".nc": netcdf,
    ".xdmf": mesh_series,
    ".pvd": mesh_series,
    **dict.fromkeys((".txt", ".dat", ".tsv"), csv),
    ".mat": matlab,
}
TABLES = (".csv", ".txt", ".dat", ".tsv", ".mat")
KINDS: dict[str, Any] = {kind.__name__: kind for kind in (Recording, States, Windows, Trajectory)}


def read(
    path: str | os.PathLike,
    *,
    time: str | None = None,
    q: Sequence | str | None = None,
    v: Sequence | str | None = None,
    trial: str | None = None,
    units: Mapping[str, str] = NOTHING,
    dt: float | None = None,
) -> Recording | States | Windows | Trajectory:
    """Read a file: what `lgn.write` wrote as what it was, everything else as a `Recording`.

    The ending says the format: .csv, .txt, .dat and .tsv, tables, in whatever dialect, also with a row for each time
    and node; .mat, vectors and matrices of MATLAB; .h5 and .hdf5, the layout of The Well; .nc, netCDF; .xdmf and .pvd,
    fields on a mesh over time. Fields of a recording in HDF5, netCDF or on a mesh are read when they are needed.
    Nothing in a file is ever run.

    Args:
        path: the file.
        time: the name of the times; by default "t" or "time".
        q: the names of what is q, by default all that nothing else is. Of a table a name for each node, `["a", "b"]`,
            or one for each node and dim, `[["x0", "y0"], ["x1", "y1"]]`; of other files a name for each field.
        v: the names of what is v, by default nothing.
        trial: the name of what tells trials apart; by default "trial", where there is one.
        units: name to unit, of columns that say none themselves.
        dt: time between two rows of a table without times, or between two counts of its column of frames.

    Raises:
        FileNotFoundError: no such file.
        ImportError: the package that reads the format is not installed; names the extra.
        ValueError: an unknown ending, a file that is not what its ending says, names that are not there (suggests the
            nearest), units that disagree, times that are missing, repeated or unsorted, text among numbers.

    Example:
        >>> import pathlib, tempfile, lgn
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "swing.csv"
        >>> _ = path.write_text("t [s],angle [rad],rate [rad/s]\\n0,0.1,0\\n0.1,,-0.1\\n0.2,0.08,-0.2\\n")
        >>> swing = lgn.read(path, q="angle", v="rate")
        >>> swing.q.shape, swing.seen[:, 0].tolist(), swing.units["t"]
        ((3, 1, 1), [True, False, True], 's')
    """
    path, form = _format("read", path)
    if not path.is_file():
        raise FileNotFoundError(f"read: {path} does not exist, or is no file")
    for name, one in (("time", time), ("trial", trial)):
        if one is not None:
            _arguments.of_kind(f"read: {name}", one, str, "one name")
    if dt is not None:
        _arguments.positive("read: dt", dt)
        if path.suffix.lower() not in TABLES:
            raise ValueError(f"read: dt={dt} of {path.name}, which has times of its own; leave it out")
    choice = Choice(time, _names("q", q), _names("v", v), trial, _arguments.named("read: units", units), dt)
    return _thing(path, form.read(path, choice))


def write(
    path: str | os.PathLike,
    thing: Recording | States | Windows | Trajectory,
    of: Any = None,
    units: Mapping[str, str] = NOTHING,
    attributes: Mapping[str, str | int | float] = NOTHING,
) -> Path:
    """Write a recording, samples or a motion; `lgn.read` gives the same back.

    The ending says the format, as in `read`. With the numbers go their names and units, the version of lgn, and what
    system and graph they are of. Files on a mesh hold the fields of one motion, and come back as a `Recording`.

    Args:
        path: the file; one that is there is written over.
        thing: what to write.
        of: the system, or the graph, that made it or that the nodes are of.
        units: name of a field, such as "t" or "q" -> unit, as text.
        attributes: what else is to be known.

    Returns:
        The path.

    Raises:
        ImportError: the package that writes the format is not installed; names the extra.
        ValueError: an unknown ending, another kind of thing, a graph of another number of nodes, units of what is not
            there, and what a format cannot hold.

    Example:
        >>> import tempfile, numpy as np, lgn
        >>> pieces = lgn.windows(np.arange(5) / 10, np.ones((5, 2, 1)), length=3)
        >>> path = lgn.write(tempfile.mkdtemp() + "/pieces.csv", pieces, of=lgn.from_edges(2, [0, 1], [1, 0]))
        >>> type(lgn.read(path)).__name__
        'Windows'
    """
    path, form = _format("write", path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"write: there is no folder {path.parent}; make it first")
    _arguments.of_kind(
        "write: thing", thing, tuple(KINDS.values()), "what lgn.windows, lgn.rollout or lgn.read returns"
    )
    thing = thing.check() if isinstance(thing, Recording) else thing
    form.write(path, packed("write", thing, of, units, attributes))
    return path


def read_graph(path: str | os.PathLike) -> jraph.GraphsTuple:
    """Read the graph of the nodes of a file: the one that `write` was told, the lattice of an even grid, or a mesh.

    Args:
        path: the file, of any ending that `read` knows but .csv.

    Raises:
        FileNotFoundError: no such file.
        ImportError: the package that reads the format is not installed; names the extra.
        ValueError: an ending of files without graphs, a file without one, a grid that is not even, a damaged graph.

    Example:
        >>> import tempfile, numpy as np, lgn
        >>> ring = lgn.lattice((4,))
        >>> swing = lgn.Recording(np.arange(3.0), np.zeros((3, 4, 1)))
        >>> lgn.read_graph(lgn.write(tempfile.mkdtemp() + "/ring.h5", swing, of=ring)).senders.tolist()[:4]
        [3, 0, 1, 2]
    """
    path, form = _format("read_graph", path)
    if not path.is_file():
        raise FileNotFoundError(f"read_graph: {path} does not exist, or is no file")
    return form.read_graph(path)


def _names(name, chosen) -> list | None:
    """Names, or lists of them, in a list."""
    if chosen is None:
        return None
    rows = list(chosen) if _arguments.listed(chosen) else [chosen]
    if not all(isinstance(x, str) for row in rows for x in (row if _arguments.listed(row) else [row])):
        raise ValueError(
            f"read: {name}={chosen!r}; give a name for each node, ['a', 'b'], or for each node and dim, "
            f"[['x0', 'y0'], ['x1', 'y1']]"
        )
    return rows


def _format(caller, path) -> tuple[Path, Any]:
    path = _arguments.path(f"{caller}: path", path)
    if path.suffix.lower() not in FORMATS:
        raise ValueError(f"{caller}: {path.name} ends with {path.suffix!r}; known endings are {', '.join(FORMATS)}")
    return path, FORMATS[path.suffix.lower()]


def _thing(path, contents: Contents) -> Recording | States | Windows | Trajectory:
    kind, fields = KINDS[contents.kind], dict(contents.fields)
    if kind is Recording:
        found = Recording(**fields, names=contents.names, units=contents.units, attributes=contents.attributes).check()
        return found.rows(slice(None)) if isinstance(found.q, np.ndarray) else found
    if kind is Trajectory:
        fields["state"] = tuple(fields.pop(name) for name in list(fields) if axes("Trajectory", name, 3) == FIELD)
        fields = {"node" if name == "worst_node" else name: x for name, x in fields.items()}
    names = [name for name in fields if name.startswith("features.")]
    features = {name.removeprefix("features."): fields.pop(name) for name in names}
    try:
        return kind(**fields, **({"features": features} if features else {}))
    except TypeError as error:
        raise ValueError(f"read: {', '.join(fields)} of {path.name} make no {contents.kind} ({error})") from error

"""Well: HDF5 in the layout of The Well, a collection of simulations, so that its readers read ours and ours its.

Fields are (trajectory, time, x, y, ..., component), in groups by what they are: t0_fields of scalars, t1_fields of
vectors, t2_fields of tensors. A lattice has its own axes, any other graph one axis `node`. What the layout has no place
for, masks and the graph, stands in a group `lgn`, which readers of The Well pass over.

Source: https://polymathic-ai.org/the_well/data_format; Ohana et al., The Well, NeurIPS 2024, arXiv 2412.00568.
"""

import math
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import jraph
import numpy as np

from lgn.data.fields import (
    UNITS,
    Choice,
    Contents,
    Lazy,
    beside,
    changed,
    extra,
    find,
    header,
    of_trials,
    pieces,
    present,
    replacing,
    text,
)
from lgn.graphs.arrays import from_arrays, to_arrays
from lgn.graphs.features import clamped_nodes, node_count
from lgn.graphs.lattices import lattice

ORDERS = ("t0_fields", "t1_fields", "t2_fields")
STRUCTURE = {"dataset_name", "grid_type", "n_spatial_dims", "n_trajectories", "simulation_parameters"}


class Extent(NamedTuple):
    """How many trajectories and times a file holds, and its axes in space by their names."""

    trials: int
    times: int
    space: dict[str, int]


def read(path: Path, choice: Choice) -> Contents:
    """A recording whose fields stay in the file; States, Windows and Trajectories that `write` made in memory."""
    with opened(path) as file:
        extent, fields = _extent(path, file), _fields(file)
        kind, units, attributes = header(path, {name: x for name, x in file.attrs.items() if name not in STRUCTURE})
        units |= _units(file, fields)
        if kind != "Recording" and not choice.made:
            found = _samples(path, file, kind, extent, fields)
            return Contents(kind, found, (), choice.agreed(path, units, found), attributes)
        varying = [key for key, x in fields.items() if x.attrs.get("time_varying", True)]
        ours = {name: [key for key in varying if text(fields[key].attrs.get("lgn_field", "")) == name] for name in "qv"}
        chosen = choice.fields(path, "field that varies in time", varying, ours)
        if choice.trial is not None:
            raise ValueError(f"read: the trials of {path.name} are its {extent.trials} trajectories; leave trial= out")
        dimensions = file["dimensions"]
        time = dimensions[find(f"read: {path.name}", "dataset of 'dimensions'", dimensions, choice.time or "time")][()]
        found = {"t": np.broadcast_to(time, (extent.trials, extent.times)).ravel().astype(float)}
        parts = {name: {key: _field(path, extent, fields[key]) for key in keys} for name, keys in chosen.items()}
        if extent.trials > 1 or "lgn/trial" in file:
            numbers = file["lgn/trial"][()] if "lgn/trial" in file else np.arange(extent.trials)
            found["trial"] = np.repeat(numbers, extent.times)
        theirs = [x for key in chosen["q"] for x in _components(fields[key], extent) if "lgn_kind" not in file.attrs]
        names = map(str, attributes.pop("lgn_names", theirs))
        return choice.recording(path, found, parts, names, units, attributes, fields)


def read_graph(path: Path) -> jraph.GraphsTuple:
    """The graph that `write` was told, or the lattice of an even grid."""
    with opened(path) as file:
        if "lgn/graph" in file:
            return from_arrays({name: x[()] for name, x in file["lgn/graph"].items()})
        extent = _extent(path, file)
        places = [np.asarray(file["dimensions"][name][()], float) for name in extent.space]
        ends = [x.attrs for x in file.get("boundary_conditions", {}).values()]
        wraps = {
            text(a)
            for x in ends
            if text(x.get("bc_type", "")).upper() == "PERIODIC"
            for a in np.atleast_1d(x.get("associated_dims", []))
        }
    steps = [np.diff(x) for x in places]
    for name, x, step in zip(extent.space, places, steps, strict=True):
        if x.ndim != 1 or not step.size or not (step > 0).all() or np.ptp(step) > 1e-3 * step.mean():
            raise ValueError(
                f"read_graph: axis {name!r} of {path.name} is not even, so that it is no lattice; give from_edges"
            )
    graph = lattice(
        tuple(extent.space.values()), [float(x.mean()) for x in steps], [name in wraps for name in extent.space]
    )
    return graph._replace(nodes={**graph.nodes, "position": graph.nodes["position"] + [x[0] for x in places]})


def opened(path: Path) -> Any:
    """The file, for reading."""
    h5py = extra("data", path.name, "h5py")
    if not h5py.is_hdf5(present(path)):
        raise ValueError(f"read: {path.name} is no HDF5 file; give its true ending")
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise ValueError(f"read: {path.name} is no whole HDF5 file ({error}); was it copied to its end?") from error


def _extent(path, file) -> Extent:
    lacking = [name for name in ("dimensions", *ORDERS) if name not in file]
    if "dimensions" in lacking or len(lacking) > 2 or "n_trajectories" not in file.attrs:
        raise ValueError(
            f"read: {path.name} is not in the layout of The Well, which has groups dimensions and {', '.join(ORDERS)} "
            f"and an attribute n_trajectories; it holds {', '.join(file) or 'nothing'}. Read it with h5py, and give "
            f"lgn.Recording(t, q)"
        )
    dimensions = file["dimensions"]
    axes = [text(x) for x in np.atleast_1d(_attribute(path, dimensions, "spatial_dims"))]
    for name in ("time", *axes):
        find(f"read: {path.name}", "dataset of 'dimensions'", dimensions, name)
        _check_numbers(path, dimensions[name])
    trials, space = file.attrs["n_trajectories"], {name: dimensions[name].shape[-1] for name in axes}
    if not isinstance(trials, int | np.integer):
        raise ValueError(f"read: n_trajectories of {path.name} is {trials!r}; expected a whole number")
    return Extent(int(trials), dimensions["time"].shape[-1], space)


def _check_numbers(path, thing) -> None:
    """Raises ValueError: no dataset, one of text, or a single number."""
    if getattr(getattr(thing, "dtype", None), "kind", "O") not in "biufc" or thing.ndim < 1:
        raise ValueError(
            f"read: {thing.name} of {path.name} is {thing!r}; expected a dataset of numbers with 1 axes or more"
        )


def _attribute(path, thing, name) -> Any:
    """An attribute that must be there."""
    return thing.attrs[find(f"read: {path.name}", f"attribute of {thing.name!r}", thing.attrs, name)]


def _fields(file) -> dict[str, Any]:
    """Datasets of fields by their names, those of scalars first; within a group in the order of `field_names`."""
    found: dict[str, Any] = {}
    for order in (name for name in ORDERS if name in file):
        names = [text(x) for x in np.atleast_1d(file[order].attrs.get("field_names", list(file[order])))]
        found |= {name: file[order][name] for name in names if name in file[order]}
    return found


def _samples(path, file, kind, extent, fields) -> dict[str, Any]:
    """Fields of States, Windows or a Trajectory, as `write` marked them."""
    parts: dict[str, list] = {}
    for x in fields.values():
        parts.setdefault(text(_attribute(path, x, "lgn_field")), []).append(_field(path, extent, x))
    whole = (extent.trials, extent.times, math.prod(extent.space.values()))
    shape = {"States": whole[::2], "Windows": whole, "Trajectory": whole[1:]}[kind]
    found = {name: beside(of_one)[:].reshape(*shape, -1) for name, of_one in parts.items()}
    found |= {name: x[()] for name, x in file["scalars"].items() if "lgn_field" in x.attrs}
    found |= {name: x[()] for name, x in file["lgn"].items() if name != "graph"} if "lgn" in file else {}
    return found | ({"t": file["dimensions/time"][()]} if kind == "Trajectory" else {})


def _field(path, extent, dataset) -> Lazy:
    """A field, repeated along axes in space along which it does not vary."""
    _check_numbers(path, dataset)
    name, by_trial, space = dataset.name, bool(dataset.attrs.get("sample_varying", True)), list(extent.space.values())
    varies = [bool(x) for x in np.atleast_1d(dataset.attrs.get("dim_varying", [True] * len(space)))]
    if len(varies) != len(space):
        raise ValueError(
            f"read: dim_varying of {name} of {path.name} is {varies}; expected one for each of {list(extent.space)}"
        )
    grid = tuple(size for size, vary in zip(space, varies, strict=True) if vary)
    expected = (extent.trials,) * by_trial + (extent.times,) + grid
    if dataset.shape[: len(expected)] != expected:
        raise ValueError(f"read: {name} of {path.name} has shape {dataset.shape}; expected {expected} and components")
    components, rest = math.prod(dataset.shape[len(expected) :]), dataset.shape[by_trial + 1 :]
    narrow = [size if vary else 1 for size, vary in zip(space, varies, strict=True)]

    def rows(parts):
        with opened(path) as file:
            for trial, start, stop in parts:
                if name not in file or file[name].ndim != len(rest) + by_trial + 1:
                    raise changed(path)
                x = file[name][(trial,) * by_trial + (slice(start, stop),)]
                if x.shape != (stop - start, *rest):
                    raise changed(path)
                x = x.reshape(-1, *narrow, components)
                yield np.broadcast_to(x, (len(x), *space, components)).reshape(len(x), -1, components)

    return of_trials(rows, extent.trials, extent.times, (math.prod(space), components), dataset.dtype)


def _components(dataset, extent) -> list[str]:
    """Names of the components of a field, such as velocity_x."""
    name, order = dataset.name.split("/")[-1], int(dataset.name.strip("/")[1])
    return ["_".join([name, "".join(axes)]) if order else name for axes in product(extent.space, repeat=order)]


def _units(file, fields) -> dict[str, str]:
    known = {"t": file["dimensions/time"], **file.get("scalars", {}), **fields}
    found = {name: text(x.attrs["units"]) for name, x in known.items() if "units" in x.attrs}
    marked = {name: x.attrs["lgn_field"] for name, x in fields.items() if name in found and "lgn_field" in x.attrs}
    return found | {text(mark): found[name] for name, mark in marked.items()}


# -- Writing -----------------------------------------------------------------------------------------------------------


def write(path: Path, contents: Contents) -> None:
    """One trajectory for each trial or sample; in pieces, so that what is larger than memory is written too."""
    h5py, fields, units = extra("data", path.name, "h5py"), contents.fields, contents.units
    names = [x for x in fields if not x.startswith("features.") and x != "seen" and len(fields[x].shape) >= 3]
    time, trial = _times(path, contents)
    grid = grid_of(contents.graph, fields[names[0]].shape[-2])
    with replacing(path) as part, h5py.File(part, "w") as file:
        parameters = {name: x for name, x in contents.attributes.items() if isinstance(x, int | float)}
        _say(file, **{"dataset_name": "lgn", **contents.attributes})
        _say(file, lgn_kind=contents.kind, grid_type="cartesian", n_spatial_dims=len(grid.names))
        _say(file, n_trajectories=len(time), simulation_parameters=list(parameters))
        _say(file, **{f"{UNITS}{name}": units[name] for name in set(units) & set(contents.names) - set(fields)})
        if contents.names:
            _say(file, lgn_names=list(contents.names))
        _dimensions(file, grid, time, units)
        for order in ORDERS:
            _say(file.create_group(order), field_names=[])
        for name in names:
            _write_field(file, name, fields[name], time.shape, grid, contents)
        _scalars(file, contents, parameters, names)
        own = file.create_group("lgn")
        if trial is not None:
            own["trial"] = trial
        for name, x in fields.items():
            if np.ndim(x) > 1 and name not in names:
                own[name] = np.asarray(x)
        for name, x in to_arrays(contents.graph).items() if contents.graph is not None else ():
            own[f"graph/{name}"] = x


def _say(thing, /, **attributes) -> None:
    """Attributes; of names h5py makes an array of floats where there are none."""
    import h5py

    for name, x in attributes.items():
        listed = isinstance(x, list | tuple) and all(isinstance(part, str) for part in x)
        thing.attrs[name] = np.array(x, h5py.string_dtype()) if listed else x


def _times(path, contents) -> tuple[np.ndarray, np.ndarray | None]:
    """(trajectory, time) times, and the number of the trial of each trajectory of a recording."""
    fields = contents.fields
    if contents.kind in ("States", "Windows"):
        start = np.asarray(fields.get("t", np.zeros(len(fields["q"]))))[:, None]
        if contents.kind == "States":
            return start, None
        return start + np.asarray(fields["dt"])[:, None] * np.arange(fields["q"].shape[1]), None
    t, trial = np.asarray(fields["t"]), fields.get("trial")
    if trial is None:
        return t[None], None
    first = np.flatnonzero(np.diff(trial, prepend=trial[0] - 1))
    lengths = set(np.diff(first, append=len(t)).tolist())
    if len(lengths) > 1:
        raise ValueError(
            f"write: trials of {min(lengths)} to {max(lengths)} rows; the layout of {path.name} is one length for all: "
            f"write windows of one length, or a file *.nc or *.csv"
        )
    return t.reshape(len(first), -1), np.asarray(trial)[first]


def _dimensions(file, grid, time, units) -> None:
    group, ends = file.create_group("dimensions"), file.create_group("boundary_conditions")
    alike = bool((time == time[0]).all())
    group["time"] = time[0] if alike else time
    _say(group["time"], sample_varying=not alike, time_varying=True, **_unit(units, "t"))
    _say(group, spatial_dims=list(grid.names))
    still = {"sample_varying": False, "time_varying": False}
    for name, place, kind in zip(grid.names, grid.places, grid.ends, strict=True):
        group[name] = place
        _say(group[name], **still)
        end = ends.create_group(f"{name}_{kind.lower()}")
        _say(end, bc_type=kind, associated_dims=[name], associated_fields=[], **still)
        end["mask"] = np.isin(np.arange(len(place)), [0, len(place) - 1])


def _write_field(file, name, x, leading, grid, contents) -> None:
    """A vector of the space as one field of t1_fields, all else as a scalar field for each dim."""
    dim, space, names = x.shape[-1], len(grid.names), contents.names
    vector = dim == space > 1
    keys = [name] if vector or dim == 1 else [f"{name}_{i}" for i in range(dim)]
    if len(keys) > 1 and name == "q" and len(set(names)) == dim and not any("/" in key for key in names):
        keys = list(names)
    group, shape = file[ORDERS[vector]], (*leading, *(len(place) for place in grid.places)) + (dim,) * vector
    _say(group, field_names=[*map(text, group.attrs["field_names"]), *keys])
    for key in keys:
        made = group.create_dataset(key, shape, x.dtype)
        _say(made, dim_varying=[True] * space, sample_varying=True, time_varying=True, lgn_field=name)
        _say(made, **_unit(contents.units, key, name))
    times = leading[1]
    rows = x.reshape(-1, *x.shape[-2:]) if isinstance(x, np.ndarray) else x
    for trial in range(leading[0]):
        for start, stop in pieces(rows, times):
            part = rows[trial * times + start : trial * times + stop]
            for i, key in enumerate(keys):
                group[key][trial, start:stop] = (part if vector else part[..., i]).reshape(-1, *shape[2:])


def _unit(units, *names) -> dict[str, str]:
    """The unit of the first of these names that has one, as an attribute."""
    found = [units[name] for name in names if name in units]
    return {"units": found[0]} if found else {}


def _scalars(file, contents, parameters, names) -> None:
    """What has one value for each time or each sample; simulation parameters, as the layout wants it, here again."""
    group = file.create_group("scalars")
    by_time = contents.kind in ("Recording", "Trajectory")
    skip = {*names, *(("t", "trial") if contents.kind == "Recording" else ("t",) if by_time else ())}
    found = {name: np.asarray(x) for name, x in contents.fields.items() if np.ndim(x) == 1 and name not in skip}
    for name, x in {**parameters, **found}.items():
        group[name] = x
        _say(group[name], sample_varying=name in found and not by_time, time_varying=name in found and by_time)
        if name in found:
            _say(group[name], lgn_field=name, **_unit(contents.units, name))
    _say(group, field_names=[*found, *(name for name in parameters if name not in found)])


class Grid(NamedTuple):
    """Axes of places in C order: names, places (n,) along each, and ends, of each axis "PERIODIC", "WALL" where nodes
    at its ends are clamped, or "OPEN"."""

    names: tuple[str, ...]
    places: tuple[np.ndarray, ...]
    ends: tuple[str, ...]


def grid_of(graph: jraph.GraphsTuple | None, count: int) -> Grid:
    """The axes of a lattice; one axis `node`, of numbers, where the nodes are no lattice."""
    place = None if graph is None or "slots" not in graph.globals else graph.nodes.get("position")
    if graph is None or place is None or place.shape[1] > 3:
        return Grid(("node",), (np.arange(count, dtype=float),), ("OPEN",))
    places = tuple(np.unique(x) for x in place.T)
    whole = np.stack(np.meshgrid(*places, indexing="ij"), -1)
    if whole.size != place.size or not np.array_equal(whole.reshape(place.shape), place):
        return grid_of(None, node_count(graph))
    # The ends of a periodic axis are neighbours: their distance is not the difference of their places.
    jumps = np.abs(place[graph.senders] - place[graph.receivers] - graph.edges["offset"]).max(0, initial=0)
    wraps, held = jumps > 0.5 * np.ptp(place, axis=0), clamped_nodes(graph).reshape(whole.shape[:-1])
    walls = [np.take(held, [0, -1], axis).all() for axis in range(place.shape[1])]
    ends = ("PERIODIC" if wrap else "WALL" if wall else "OPEN" for wrap, wall in zip(wraps, walls, strict=True))
    return Grid(tuple("xyz"[: place.shape[1]]), places, tuple(ends))

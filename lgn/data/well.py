"""Well: HDF5 in the layout of The Well, a collection of simulations, so that its readers read ours and ours its.

Fields are (trajectory, time, x, y, ..., component), in groups by what they are: t0_fields of scalars, t1_fields of
vectors, t2_fields of tensors. A lattice has its own axes, any other graph one axis `node`. What the layout has no place
for, masks and the graph, stands in a group `lgn`, which readers of The Well pass over.

Source: https://polymathic-ai.org/the_well/data_format; Ohana et al., The Well, NeurIPS 2024, arXiv 2412.00568.
"""

import math
from collections.abc import Iterator
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
    Source,
    agreed,
    changed,
    find,
    missing,
    pieces,
    plain,
    said,
    stacked,
    text,
    whole,
)
from lgn.data.grids import grid_of
from lgn.graphs.arrays import from_arrays, to_arrays
from lgn.graphs.lattices import lattice

ORDERS = ("t0_fields", "t1_fields", "t2_fields")
STRUCTURE = {"dataset_name", "grid_type", "n_spatial_dims", "n_trajectories", "simulation_parameters"}


class Extent(NamedTuple):
    """How many trajectories and times a file holds, and its axes in space by their names."""

    trials: int
    times: int
    space: dict[str, int]

    @property
    def nodes(self) -> int:
        """Points of the grid."""
        return math.prod(self.space.values())


def read(path: Path, choice: Choice) -> Contents:
    """A recording whose fields stay in the file; States, Windows and Trajectories that `write` made in memory."""
    with opened(path) as file:
        extent, fields = _extent(path, file), _fields(file)
        about = {name: plain(x) for name, x in file.attrs.items() if name not in STRUCTURE}
        kind, units, attributes = said(path, about)
        units |= _units(file, fields)
        if kind != "Recording" and not choice.made:
            found = _samples(path, file, kind, extent, fields)
            return Contents(kind, found, (), agreed(path, units, choice.units, found), attributes)
        found, chosen = _recording(path, file, extent, fields, choice)
        units |= {name: units[keys[0]] for name, keys in chosen.items() if keys and keys[0] in units}
        theirs = (
            [] if "lgn_kind" in file.attrs else [x for key in chosen["q"] for x in _components(fields[key], extent)]
        )
        names = tuple(map(str, attributes.pop("lgn_names", theirs)))
        return Contents("Recording", found, names, agreed(path, units, choice.units, {*found, *fields}), attributes)


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
    try:
        import h5py
    except ImportError as error:
        raise missing("data", path.name, "h5py") from error
    if not path.is_file():
        raise FileNotFoundError(f"read: {path} is no longer there")
    if not h5py.is_hdf5(path):
        raise ValueError(f"read: {path.name} is no HDF5 file; give its true ending")
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise ValueError(f"read: {path.name} is no whole HDF5 file ({error}); was it copied to its end?") from error


def _extent(path, file) -> Extent:
    lacking = [name for name in ("dimensions", "t0_fields", "t1_fields", "t2_fields") if name not in file]
    if "dimensions" in lacking or len(lacking) > 2 or "n_trajectories" not in file.attrs:
        raise ValueError(
            f"read: {path.name} is not in the layout of The Well, which has groups dimensions and {', '.join(ORDERS)} "
            f"and an attribute n_trajectories; it holds {', '.join(file) or 'nothing'}. Read it with h5py, and give "
            f"lgn.Recording(t, q)"
        )
    dimensions = file["dimensions"]
    axes = [text(x) for x in np.atleast_1d(_said(path, dimensions, "spatial_dims"))]
    for name in ("time", *axes):
        find(f"read: {path.name}", "dataset of 'dimensions'", dimensions, name)
    for name in ("time", *axes):
        _check_numbers(path, dimensions[name], 1)
    trials, space = file.attrs["n_trajectories"], {name: dimensions[name].shape[-1] for name in axes}
    if not isinstance(trials, int | np.integer):
        raise ValueError(f"read: n_trajectories of {path.name} is {trials!r}; expected a whole number")
    return Extent(int(trials), dimensions["time"].shape[-1], space)


def _check_numbers(path, thing, axes: int) -> None:
    """Raises ValueError: no dataset, of text, or of fewer axes."""
    kind = getattr(getattr(thing, "dtype", None), "kind", None)
    if kind is None or kind not in "biufc" or thing.ndim < axes:
        raise ValueError(
            f"read: {thing.name} of {path.name} is {thing!r}; expected a dataset of numbers with {axes} axes or more"
        )


def _said(path, thing, name) -> Any:
    """An attribute that must be there."""
    return thing.attrs[find(f"read: {path.name}", f"attribute of {thing.name!r}", thing.attrs, name)]


def _fields(file) -> dict[str, Any]:
    """Datasets of fields by their names, those of scalars first; within a group in the order of `field_names`."""
    found: dict[str, Any] = {}
    for order in (name for name in ORDERS if name in file):
        names = [text(x) for x in np.atleast_1d(file[order].attrs.get("field_names", list(file[order])))]
        found |= {name: file[order][name] for name in names if name in file[order]}
    return found


def _recording(path, file, extent, fields, choice) -> tuple[dict, dict[str, list[str]]]:
    """Fields of a recording, and the names of those that q and v are: chosen, marked by `write`, or all that vary."""
    varying = [key for key, x in fields.items() if x.attrs.get("time_varying", True)]
    chosen = {}
    for name, wanted in (("v", choice.v), ("q", choice.q)):
        marked = [key for key in varying if text(fields[key].attrs.get("lgn_field", "")) == name]
        keys = marked if wanted is None else wanted
        chosen[name] = [find(f"read: {path.name}", "field that varies in time", varying, str(key)) for key in keys]
    chosen["q"] = chosen["q"] or [key for key in varying if key not in chosen["v"]]
    if not chosen["q"]:
        raise ValueError(f"read: {path.name} has no field that varies in time; it has {', '.join(fields) or 'none'}")
    time = file["dimensions"][
        find(f"read: {path.name}", "dataset of 'dimensions'", file["dimensions"], choice.time or "time")
    ][()]
    found: dict[str, Any] = {"t": np.broadcast_to(time, (extent.trials, extent.times)).ravel().astype(float)}
    found |= {name: _stacked(path, extent, [fields[key] for key in keys]) for name, keys in chosen.items() if keys}
    if choice.trial is not None:
        raise ValueError(f"read: the trials of {path.name} are its {extent.trials} trajectories; leave trial= out")
    numbers = file["lgn/trial"][()] if "lgn/trial" in file else np.arange(extent.trials)
    if extent.trials > 1 or "lgn/trial" in file:
        found["trial"] = np.repeat(numbers, extent.times)
    return found, chosen


def _samples(path, file, kind, extent, fields) -> dict[str, Any]:
    parts: dict[str, list] = {}
    for x in fields.values():
        parts.setdefault(text(_said(path, x, "lgn_field")), []).append(x)
    whole = (extent.trials, extent.times, extent.nodes)
    shape = {"States": whole[::2], "Windows": whole, "Trajectory": whole[1:]}[kind]
    found = {name: _stacked(path, extent, of_one)[:].reshape(*shape, -1) for name, of_one in parts.items()}
    found |= {name: x[()] for name, x in file["scalars"].items() if "lgn_field" in x.attrs}
    found |= {name: x[()] for name, x in file["lgn"].items() if name != "graph"} if "lgn" in file else {}
    return found | ({"t": file["dimensions/time"][()]} if kind == "Trajectory" else {})


def _stacked(path, extent, datasets) -> Lazy:
    return stacked([_source(path, extent, x) for x in datasets], extent.trials, extent.times, extent.nodes)


def _source(path, extent, dataset) -> Source:
    """A field, repeated along axes in space along which it does not vary."""
    _check_numbers(path, dataset, 1)
    name, by_trial = dataset.name, bool(dataset.attrs.get("sample_varying", True))
    varies = [bool(x) for x in np.atleast_1d(dataset.attrs.get("dim_varying", [True] * len(extent.space)))]
    if len(varies) != len(extent.space):
        raise ValueError(
            f"read: dim_varying of {name} of {path.name} is {varies}; expected one for each of {list(extent.space)}"
        )
    grid = tuple(size for size, vary in zip(extent.space.values(), varies, strict=True) if vary)
    expected = (extent.trials,) * by_trial + (extent.times,) + grid
    if dataset.shape[: len(expected)] != expected:
        raise ValueError(f"read: {name} of {path.name} has shape {dataset.shape}; expected {expected} and components")
    components = math.prod(dataset.shape[len(expected) :])
    rest = dataset.shape[by_trial + 1 :]
    narrow = [size if vary else 1 for size, vary in zip(extent.space.values(), varies, strict=True)]

    def rows(parts):
        with opened(path) as file:
            for trial, start, stop in parts:
                if name not in file or file[name].ndim != len(rest) + by_trial + 1:
                    raise changed(path)
                x = file[name][(trial,) * by_trial + (slice(start, stop),)]
                if x.shape != (stop - start, *rest):
                    raise changed(path)
                x = x.reshape(-1, *narrow, components)
                yield np.broadcast_to(x, (len(x), *extent.space.values(), components)).reshape(len(x), -1, components)

    return Source(rows, components, dataset.dtype)


def _components(dataset, extent) -> list[str]:
    """Names of the components of a field, such as velocity_x."""
    name, order = dataset.name.split("/")[-1], int(dataset.name.strip("/")[1])
    return ["_".join([name, "".join(axes)]) if order else name for axes in product(extent.space, repeat=order)]


def _units(file, fields) -> dict[str, str]:
    scalars = dict(file["scalars"].items()) if "scalars" in file else {}
    known = {"t": file["dimensions/time"], **scalars, **fields}
    found = {name: text(x.attrs["units"]) for name, x in known.items() if "units" in x.attrs}
    marks = {
        text(x.attrs["lgn_field"]): found[name]
        for name, x in fields.items()
        if name in found and "lgn_field" in x.attrs
    }
    return found | marks


def write(path: Path, contents: Contents) -> None:
    """One trajectory for each trial or sample; in pieces, so that what is larger than memory is written too."""
    try:
        import h5py
    except ImportError as error:
        raise missing("data", path.name, "h5py") from error
    names = [name for name, x in contents.fields.items() if _is_field(name, x)]
    time, trial = _times(path, contents)
    trials, times = time.shape
    grid = grid_of(contents.graph, contents.fields[names[0]].shape[-2])
    with whole(path) as part, h5py.File(part, "w") as file:
        parameters = {k: x for k, x in contents.attributes.items() if isinstance(x, int | float)}
        file.attrs.update({k: _attribute(x) for k, x in contents.attributes.items()})
        file.attrs.update(
            {"lgn_kind": contents.kind, "dataset_name": str(contents.attributes.get("dataset_name", "lgn"))}
        )
        file.attrs.update({"grid_type": "cartesian", "n_spatial_dims": len(grid.names), "n_trajectories": trials})
        file.attrs["simulation_parameters"] = _listed(parameters)
        of_columns = set(contents.units) & set(contents.names) - set(contents.fields)
        file.attrs.update({f"{UNITS}{name}": contents.units[name] for name in of_columns})
        if contents.names:
            file.attrs["lgn_names"] = _listed(contents.names)
        _dimensions(file, grid, time, contents.units)
        for order in ORDERS:
            file.create_group(order).attrs["field_names"] = _listed([])
        for name in names:
            _field(file, name, contents.fields[name], (trials, times), grid, contents)
        _scalars(file, contents, parameters, names)
        own = file.create_group("lgn")
        if trial is not None:
            own["trial"] = trial
        for name, x in contents.fields.items():
            if np.ndim(x) > 1 and name not in names:
                own[name] = np.asarray(x)
        for name, x in to_arrays(contents.graph).items() if contents.graph is not None else ():
            own[f"graph/{name}"] = x


def _is_field(name, x) -> bool:
    return not name.startswith("features.") and name != "seen" and len(x.shape) >= 3


def _times(path, contents) -> tuple[np.ndarray, np.ndarray | None]:
    """(trajectory, time) times, and the number of the trial of each trajectory of a recording."""
    fields = contents.fields
    if contents.kind == "States":
        return np.asarray(fields.get("t", np.zeros(len(fields["q"]))))[:, None], None
    if contents.kind == "Windows":
        start, dt = fields.get("t", np.zeros(len(fields["q"]))), np.asarray(fields["dt"])[:, None]
        return np.asarray(start)[:, None] + dt * np.arange(fields["q"].shape[1]), None
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
    group = file.create_group("dimensions")
    group.attrs["spatial_dims"] = _listed(grid.names)
    alike = bool((time == time[0]).all())
    group["time"] = time[0] if alike else time
    group["time"].attrs.update({"sample_varying": not alike, "time_varying": True})
    if "t" in units:
        group["time"].attrs["units"] = units["t"]
    for name, place in zip(grid.names, grid.places, strict=True):
        group[name] = place
        group[name].attrs.update({"sample_varying": False, "time_varying": False})
    ends = file.create_group("boundary_conditions")
    for name, place, kind in zip(grid.names, grid.places, grid.ends, strict=True):
        end = ends.create_group(f"{name}_{kind.lower()}")
        end.attrs.update({"bc_type": kind, "sample_varying": False, "time_varying": False})
        end.attrs.update({"associated_dims": _listed([name]), "associated_fields": _listed([])})
        end["mask"] = np.isin(np.arange(len(place)), [0, len(place) - 1])


def _field(file, name, x, leading, grid, contents) -> None:
    """A vector of the space as one field of t1_fields, all else as a scalar field for each dim."""
    dim, space = x.shape[-1], len(grid.names)
    vector = dim == space > 1
    group = file[ORDERS[1 if vector else 0]]
    keys = _keys(name, dim, contents, vector)
    group.attrs["field_names"] = _listed([*group.attrs["field_names"], *keys])
    shape = (*leading, *grid.shape) + (dim,) * vector
    for key in keys:
        made = group.create_dataset(key, shape, x.dtype)
        made.attrs.update({"dim_varying": [True] * space, "sample_varying": True, "time_varying": True})
        made.attrs["lgn_field"] = name
        if unit := contents.units.get(key, contents.units.get(name)):
            made.attrs["units"] = unit
    for trial, start, stop, rows in _rows(x, *leading):
        for i, key in enumerate(keys):
            group[key][trial, start:stop] = (rows if vector else rows[..., i]).reshape(-1, *shape[2:])


def _keys(name, dim, contents, vector) -> list[str]:
    if vector or dim == 1:
        return [name]
    if name == "q" and len(set(contents.names)) == dim and not any("/" in key for key in contents.names):
        return list(contents.names)
    return [f"{name}_{i}" for i in range(dim)]


def _rows(x, trials, times) -> Iterator[tuple[int, int, int, np.ndarray]]:
    """Trajectory, start, stop, and what lies between, (time, node, dim)."""
    rows = x.reshape(trials * times, *x.shape[-2:]) if isinstance(x, np.ndarray) else x
    for trial in range(trials):
        for start, stop in pieces(rows, times):
            yield trial, start, stop, rows[trial * times + start : trial * times + stop]


def _scalars(file, contents, parameters, names) -> None:
    """What has one value for each time or each sample; simulation parameters, as the layout wants it, here again."""
    group = file.create_group("scalars")
    skip = {"Recording": ("t", "trial"), "Trajectory": ("t",)}.get(contents.kind, ())
    found: dict[str, Any] = {k: x for k, x in contents.fields.items() if np.ndim(x) == 1 and k not in (*skip, *names)}
    by_time = contents.kind in ("Recording", "Trajectory")
    for name, x in found.items():
        group[name] = np.asarray(x)
        group[name].attrs.update({"sample_varying": not by_time, "time_varying": by_time, "lgn_field": name})
        if name in contents.units:
            group[name].attrs["units"] = contents.units[name]
    parameters = {name: x for name, x in parameters.items() if name not in found}
    for name, x in parameters.items():
        group[name] = x
        group[name].attrs.update({"sample_varying": False, "time_varying": False})
    group.attrs["field_names"] = _listed([*found, *parameters])


def _attribute(value) -> Any:
    return _listed(value) if isinstance(value, list | tuple) and all(isinstance(x, str) for x in value) else value


def _listed(names) -> Any:
    """Text as attribute, which h5py makes an array of floats where there is none."""
    import h5py

    return np.array(list(names), h5py.string_dtype())

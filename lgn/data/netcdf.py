"""NetCDF: datasets of xarray, whose variables have names, axes, coordinates and units, and their files."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jraph
import numpy as np

from lgn.data.fields import (
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
    pieces,
    present,
    replacing,
)
from lgn.graphs.arrays import from_arrays, to_arrays

if TYPE_CHECKING:
    import xarray

TIMES, TRIALS, COMPONENTS = ("time", "t"), ("trial", "sample", "trajectory"), "dim"
PACKAGES = ("xarray", "h5netcdf")
ENGINES = {b"CDF": "scipy", b"\x89HDF": "h5netcdf"}  # by the first bytes of a file


def dataset(contents: Contents) -> "xarray.Dataset":
    """Variables by the names of fields, over the axes time, sample, node and dim; times and places are coordinates."""
    xarray = extra("data", "to_xarray", *PACKAGES)
    variables: dict[str, Any] = {}
    for name, x in contents.fields.items():
        own = axes(contents.kind, name, len(x.shape))
        unit = {"units": contents.units[name]} if name in contents.units else {}
        variables["time" if own == ("time",) and name == "t" else name] = (own, np.asarray(x), unit)
    coordinates = {name: variables.pop(name) for name in ("time",) if name in variables}
    place = None if contents.graph is None else contents.graph.nodes.get("position")
    if place is not None:
        coordinates["position"] = (("node", "space"), np.asarray(place), {})
    about = {**contents.attributes, "lgn_kind": contents.kind}
    about |= {f"{UNITS}{name}": unit for name, unit in contents.units.items() if name not in contents.fields}
    if contents.names:
        about["lgn_names"] = list(contents.names)
    return xarray.Dataset(variables, coordinates, about)


def write(path: Path, contents: Contents) -> None:
    """A file of netCDF 4, and in it the graph as a group `graph`; what may be larger than memory goes in pieces."""
    xarray = extra("data", path.name, *PACKAGES)
    import h5netcdf

    large = {name: x for name, x in contents.fields.items() if isinstance(x, Lazy)}
    small = {name: x for name, x in contents.fields.items() if name not in large}
    with replacing(path) as part:
        dataset(contents._replace(fields=small)).to_netcdf(part, engine="h5netcdf")
        with h5netcdf.File(part, "a") as file:
            for name, x in large.items():
                own = axes(contents.kind, name, len(x.shape))
                file.dimensions.update({a: n for a, n in zip(own, x.shape, strict=True) if a not in file.dimensions})
                variable = file.create_variable(name, own, x.dtype)
                variable.attrs.update({"units": contents.units[name]} if name in contents.units else {})
                for start, stop in pieces(x):
                    variable[start:stop] = x[start:stop]
        if contents.graph is not None:
            found = to_arrays(contents.graph)
            arrays = {name: ([f"{name}_{i}" for i in range(x.ndim)], x) for name, x in found.items()}
            xarray.Dataset(arrays).to_netcdf(part, mode="a", group="graph", engine="h5netcdf")


def read(path: Path, choice: Choice) -> Contents:
    """A recording whose variables stay in the file; States, Windows and Trajectories that `write` made in memory."""
    with opened(path) as data:
        kind, of_names, attributes = header(path, data.attrs)
        units = {str(name): str(x.attrs["units"]) for name, x in data.variables.items() if "units" in x.attrs}
        units |= of_names
        own = "lgn_kind" in data.attrs
        if own and "time" in units:
            units["t"] = units.pop("time")  # what netCDF calls our t
        if kind != "Recording" and not choice.made:
            found = {str(name): x.values for name, x in data.variables.items() if name != "position"}
            found = {"t" if name == "time" else name: x for name, x in found.items()}
            return Contents(kind, found, (), choice.agreed(path, units, found), attributes)
        found, parts, time = _recording(path, data, choice)
        units |= {"t": units[time]} if time in units else {}
        names = attributes.pop("lgn_names", [] if own else parts["q"])
        return choice.recording(path, found, parts, names, units, attributes, map(str, data.variables))


def read_graph(path: Path) -> jraph.GraphsTuple:
    """The graph that `write` was told."""
    try:
        with opened(path, "graph") as data:
            return from_arrays({str(name): x.values for name, x in data.variables.items()})
    except (OSError, KeyError) as error:
        raise ValueError(
            f"read_graph: {path.name} holds no graph; write it with lgn.write(path, ..., of=graph)"
        ) from error


def opened(path: Path, group: str | None = None) -> "xarray.Dataset":
    """The file, or a group in it, for reading; nothing of it is in memory yet."""
    xarray = extra("data", path.name, *PACKAGES)
    with present(path).open("rb") as file:
        start = file.read(4)
    engine = next((name for first, name in ENGINES.items() if start.startswith(first)), None)
    if engine is None:
        raise ValueError(f"read: {path.name} is no netCDF file; give its true ending")
    return xarray.open_dataset(path, engine=engine, decode_times=False, group=group)


def _recording(path, data, choice) -> tuple[dict[str, Any], dict[str, dict[str, Lazy]], str]:
    """Times and trials of a recording, the variables that q and v are by their names, and the name of the times."""
    there = [str(name) for name in data.variables]
    time = choice.time or next((name for name in TIMES if name in there), "time")
    along = data[find(f"read: {path.name}", "variable", there, time)].dims[-1:]
    if not along:
        raise ValueError(f"read: {time!r} of {path.name} is a single number; expected times along an axis")
    trial = choice.trial or next((name for name in TRIALS if name in data.dims or name in there), None)
    if trial is not None and trial not in data.dims:
        find(f"read: {path.name}", "axis or variable", [*there, *map(str, data.dims)], trial)
    by = (trial,) if trial in data.dims else ()
    varying = [str(name) for name, x in data.data_vars.items() if along[0] in x.dims and x.dtype.kind in "biuf"]
    varying = [name for name in varying if name not in (time, trial)]
    ours = {name: [name] for name in "qv" if "lgn_kind" in data.attrs and name in varying}
    chosen = choice.fields(path, f"variable along {along[0]!r}", varying, ours)
    trials, times = math.prod(data.sizes[name] for name in by), data.sizes[along[0]]
    t = np.broadcast_to(data[time].transpose(..., *along).values, (trials, times)).ravel().astype(float)
    found: dict[str, Any] = {"t": t}
    parts = {
        name: {key: _field(path, data, key, keys[0], by, along, trials, times) for key in keys}
        for name, keys in chosen.items()
    }
    if by:
        found["trial"] = np.repeat(np.arange(trials), times)
    elif trial is not None:
        found["trial"] = data[trial].values
    return found, parts, time


def _field(path, data, name, first, by, along, trials, times) -> Lazy:
    """A variable, as the first one is: what is no trial, time or component is an axis of nodes."""
    nodes, others = (
        {axis: size for axis, size in data[key].sizes.items() if axis not in (*by, *along, COMPONENTS)}
        for key in (name, first)
    )
    if set(by) - set(data[name].dims) or nodes != others:
        raise ValueError(
            f"read: {name!r} of {path.name} has axes {dict(data[name].sizes)}, and {first!r} "
            f"{dict(data[first].sizes)}; expected the same: choose what belongs together by q= and v="
        )
    shape = (math.prod(nodes.values()), data[name].sizes.get(COMPONENTS, 1))
    order = data[name].transpose(*by, *along, ..., *(COMPONENTS,) * (COMPONENTS in data[name].dims))

    def rows(parts):
        with opened(path) as again:
            if name not in again or set(again[name].dims) != set(order.dims):
                raise changed(path)
            x = again[name].transpose(*order.dims)
            for trial, start, stop in parts:
                part = x[(trial,) * len(by) + (slice(start, stop),)].values
                if part.shape != (stop - start, *order.shape[len(by) + 1 :]):
                    raise changed(path)
                yield part.reshape(stop - start, *shape)

    return of_trials(rows, trials, times, shape, order.dtype)

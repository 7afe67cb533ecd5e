"""Writer of The Well's layout, see `well`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from lgn.data.contents import UNITS, Contents, missing, whole
from lgn.data.grids import grid_of
from lgn.data.lazy import pieces
from lgn.data.well import ORDERS
from lgn.graphs.arrays import to_arrays


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

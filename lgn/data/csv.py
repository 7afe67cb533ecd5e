"""CSV: recordings and samples as text, a row each time and a column each number."""

import csv
import json
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from lgn.data.columns import numbers, recording
from lgn.data.dialects import UNIT, table
from lgn.data.fields import AXES, Choice, Contents, axes, replacing, sizes

MARK = "# lgn "  # before the first line, JSON, of a file that `write` made
ROWS = {"Recording": ("time",), "States": ("sample",), "Windows": ("sample", "time"), "Trajectory": ("time",)}


def read(path: Path, choice: Choice) -> Contents:
    """A table of any origin as a recording, one that `write` made as what it was."""
    found = table(path)
    about = _about(path, found.first) if found.first.startswith(MARK) else {}
    if about and not choice.made:
        units = choice.agreed(path, about["units"], [*about["fields"], *about["names"]])
        fields = _written(path, about, list(found.columns.values()))
        return Contents(about["kind"], fields, tuple(about["names"]), units, about["attributes"])
    return recording(path, choice, found, about.get("attributes", {}))


def read_graph(path: Path):
    """Raises ValueError: a table has no graph."""
    raise ValueError("read_graph: files *.csv hold no graph; make it: lgn.from_edges, lgn.lattice, ...")


def write(path: Path, contents: Contents) -> None:
    """A comment of JSON, names of columns, rows."""
    found = sizes(path.name, contents)
    shape = tuple(found[axis] for axis in ROWS[contents.kind])
    fields = {name: np.asarray(x) for name, x in contents.fields.items()}
    said, columns, header = {}, [], []
    for name, x in fields.items():
        shared = _shared(contents.kind, name, x.ndim)
        rest = x.shape[shared:]
        said[name] = [list(rest), str(x.dtype)]
        spread = x.reshape(x.shape[:shared] + (1,) * (len(shape) - shared) + rest)
        columns.append(np.broadcast_to(spread, shape + rest).reshape(prod(shape), -1))
        header += _columns(name, rest, contents)
    if len({UNIT.sub(r"\1", title) for title in header}) < len(header):
        raise ValueError(f"write: columns of {path.name}: {', '.join(header)}; expected distinct names, change names=")
    about: dict[str, Any] = {"kind": contents.kind, "length": shape[1] if len(shape) > 1 else None, "fields": said}
    about |= {"names": list(contents.names), "units": {**contents.units}, "attributes": {**contents.attributes}}
    with replacing(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        file.write(MARK + json.dumps(about) + "\n")
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        for row in zip(*columns, strict=True):
            writer.writerow(_cell(x) for part in row for x in part)


def _shared(kind, name, ndim) -> int:
    """How many axes a field shares with the rows."""
    return sum(a == b for a, b in zip(ROWS[kind], axes(kind, name, ndim), strict=False))


def _columns(name, rest, contents) -> list[str]:
    """Names of the columns of a field, with its unit."""
    if name == "q" and len(contents.names) == prod(rest):
        names = list(contents.names)
    else:
        keep = [i for i in range(len(rest)) if not (i == 1 and rest[1] == 1)]  # no number for a single dim
        names = ["_".join([name, *(str(at[i]) for i in keep)]) for at in np.ndindex(*rest)]
    units = [contents.units.get(column, contents.units.get(name)) for column in names]
    return [f"{column} [{unit}]" if unit else column for column, unit in zip(names, units, strict=True)]


def _cell(x) -> str:
    if isinstance(x, np.floating):
        return "" if np.isnan(x) else str(x)
    return str(int(x)) if isinstance(x, np.bool) else str(x)


def _about(path, line) -> dict:
    try:
        about = json.loads(line.removeprefix(MARK))
        known = about["kind"] in AXES and all(isinstance(about[key], dict) for key in ("units", "attributes"))
        sizes = [size for rest, _ in about["fields"].values() for size in rest]
        known = known and all(np.dtype(dtype).kind in "biuf" for _, dtype in about["fields"].values())
        if known and about["fields"].keys() and all(isinstance(size, int) and size > 0 for size in sizes):
            return about
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    raise ValueError(f"read: the comment in the first line of {path.name} was changed; remove the line, or restore it")


def _written(path, about, cells) -> dict[str, np.ndarray]:
    """Fields of what `write` made, by the order of the columns."""
    kind, length, said = about["kind"], about["length"] or 1, about["fields"]
    rows = np.stack([numbers(path, i, column) for i, column in enumerate(cells)], 1)
    widths = [prod(rest) for rest, _ in said.values()]
    if rows.shape[1] != sum(widths) or len(rows) % length:
        raise ValueError(
            f"read: {path.name} has {len(rows)} rows of {rows.shape[1]} columns, and its first line says "
            f"{sum(widths)}; restore them, or remove that line"
        )
    fields = {}
    for (name, (rest, dtype)), x in zip(said.items(), np.split(rows, np.cumsum(widths)[:-1], 1), strict=True):
        x = x.reshape(-1, *([about["length"]] if len(ROWS[kind]) > 1 else []), *rest)
        alike = _shared(kind, name, 1 + len(rest)) < len(ROWS[kind])  # in all rows of a sample
        fields[name] = (x[:, 0] if alike else x).astype(np.dtype(dtype))
    return fields

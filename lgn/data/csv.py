"""Tables: recordings and samples as CSV, a row each time and a column each number."""

import csv
import json
import re
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from lgn.data.fields import AXES, Choice, Contents, axes, find, replacing, sizes

MARK = "# lgn "  # before the first line, JSON, of a file that `write` made
ROWS = {"Recording": ("time",), "States": ("sample",), "Windows": ("sample", "time"), "Trajectory": ("time",)}
UNSEEN = {"", "nan", "na", "n/a", "null", "none"}
UNIT = re.compile(r"^(.*?)\s*[\[(]([^\])]*)[\])]$")  # "x [m]" or "x (m)"


def read(path: Path, choice: Choice) -> Contents:
    """A table of any origin as a recording, one that `write` made as what it was."""
    about, names, units, rows = _table(path)
    cells = list(zip(*rows, strict=True))
    if about and not choice.made:
        units = choice.agreed(path, about["units"], [*about["fields"], *about["names"]])
        fields = _written(path, about, cells)
        return Contents(about["kind"], fields, tuple(about["names"]), units, about["attributes"])
    return _recording(path, choice, units, dict(zip(names, cells, strict=True)), about.get("attributes", {}))


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


def _table(path) -> tuple[dict, list[str], dict[str, str], list[list[str]]]:
    """What JSON says, names of columns, their units, and rows of cells."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"read: {path.name} is no CSV: it is not text in UTF-8; give its true ending") from error
    if "\0" in text:
        raise ValueError(f"read: {path.name} is no CSV: it holds bytes that no text has; give its true ending")
    about = _about(path, text) if text.startswith(MARK) else {}
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if len(lines) < 2:
        raise ValueError(f"read: {path.name} has {len(lines)} lines; expected names of columns, then rows")
    delimiter = max(",;\t", key=lines[0].count)
    head, *rows = csv.reader(lines, delimiter=delimiter)
    titles = [(title, UNIT.match(title)) for title in (cell.strip() for cell in head)]
    names = [found[1] if found else title for title, found in titles]
    if len(set(names)) < len(names) or all(_number(name) is not None for name in names):
        raise ValueError(
            f"read: the first line of {path.name} is {lines[0][:60]!r}; expected distinct names of columns"
        )
    for i, row in enumerate(rows):
        if len(row) != len(names):
            raise ValueError(
                f"read: row {i} of {path.name} has {len(row)} cells, and there are {len(names)} columns: "
                f"{delimiter.join(row)[:60]!r}; leave a cell empty where nothing was seen"
            )
    return about, names, {found[1]: found[2] for _, found in titles if found}, rows


def _about(path, text) -> dict:
    try:
        about = json.loads(text.partition("\n")[0].removeprefix(MARK))
        known = about["kind"] in AXES and all(isinstance(about[key], dict) for key in ("units", "attributes"))
        sizes = [size for rest, _ in about["fields"].values() for size in rest]
        known = known and all(np.dtype(dtype).kind in "biuf" for _, dtype in about["fields"].values())
        if known and about["fields"].keys() and all(isinstance(size, int) and size > 0 for size in sizes):
            return about
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    raise ValueError(f"read: the comment in the first line of {path.name} was changed; remove the line, or restore it")


def _number(cell: str) -> float | None:
    """A number, NaN for an empty cell, None for other text."""
    try:
        return np.nan if cell.strip().lower() in UNSEEN else float(cell)
    except ValueError:
        return None


def _numbers(path, name, cells) -> np.ndarray:
    try:
        return np.array([float(cell or "nan") for cell in cells])
    except ValueError:  # words for what was not seen, or text
        found = [_number(cell) for cell in cells]
    if None in found:
        row = found.index(None)
        decimal = " (a decimal comma? write points)" if "," in cells[row] else ""
        raise ValueError(
            f"read: column {name!r} of {path.name} holds {cells[row]!r} in row {row}{decimal}; expected numbers: leave "
            f"the cell empty where nothing was seen, or name the columns that you want: q=[...]"
        )
    return np.array(found)


def _recording(path, choice, units, cells, attributes) -> Contents:
    """A recording of columns that are chosen, or found by their names."""
    caller, names = f"read: {path.name}", list(cells)
    usual = next((x for x in names if x.lower() in ("t", "time")), "t")
    time = find(caller, "column of times" if choice.time is None else "column", names, choice.time or usual)
    usual = next((x for x in names if x.lower() == "trial"), "")
    trial = usual if choice.trial is None else find(caller, "column", names, choice.trial)
    chosen = {"q": _grid(path, "q", choice.q), "v": _grid(path, "v", choice.v)}
    if choice.q is None:
        taken = {time, trial, *chosen["v"].ravel().tolist()}
        chosen["q"] = np.array([name for name in names if name not in taken], str).reshape(-1, 1)
    fields: dict[str, Any] = {"t": _numbers(path, time, cells[time])}
    found = choice.agreed(path, units, names)
    found |= {"t": found[time]} if time in found else {}
    for field, grid in chosen.items():
        keys = grid.ravel().tolist()
        columns = [_numbers(path, name, cells[find(caller, "column", names, name)]) for name in keys]
        if not columns:
            continue
        fields[field] = np.stack(columns, -1).reshape(-1, *grid.shape)
        if np.isinf(fields[field]).any():
            row, *at = np.argwhere(np.isinf(fields[field]))[0]
            raise ValueError(f"read: {str(grid[*at])!r} of {path.name} is infinite in row {row}; leave the cell empty")
        if len(of_all := {found.get(name) for name in keys}) == 1 and None not in of_all:
            found[field] = str(of_all.pop())
    if "q" not in fields:
        raise ValueError(
            f"read: {path.name} has no columns beside {', '.join(sorted(filter(None, taken)))}; nothing is q"
        )
    if trial:
        fields["trial"], called = _trials(cells[trial])
        attributes = {**attributes, **({"trials": called} if called else {})}
    return Contents("Recording", fields, tuple(map(str, chosen["q"].ravel())), found, attributes)


def _grid(path, field, chosen) -> np.ndarray:
    """Names of columns, (node, dim): of one dim where names stand in a list."""
    if chosen is None:
        return np.empty((0, 1), str)
    grid = [[row] if isinstance(row, str) else list(row) for row in chosen]
    if not grid or len({len(row) for row in grid}) > 1:
        raise ValueError(
            f"read: {field}={chosen!r} of {path.name}; give as many names for each node: [['x0', 'y0'], ...]"
        )
    return np.array(grid)


def _trials(cells) -> tuple[np.ndarray, list[str]]:
    """Trials as whole numbers, and their names where they have others."""
    values = [_number(cell) for cell in cells]
    if all(x is not None and np.isfinite(x) and x == int(x) for x in values):
        return np.array(values).astype(int), []
    names, number = np.unique([cell.strip() for cell in cells], return_inverse=True)
    return number, names.tolist()


def _written(path, about, cells) -> dict[str, np.ndarray]:
    """Fields of what `write` made, by the order of the columns."""
    kind, length, said = about["kind"], about["length"] or 1, about["fields"]
    numbers = np.stack([_numbers(path, i, column) for i, column in enumerate(cells)], 1)
    widths = [prod(rest) for rest, _ in said.values()]
    if numbers.shape[1] != sum(widths) or len(numbers) % length:
        raise ValueError(
            f"read: {path.name} has {len(numbers)} rows of {numbers.shape[1]} columns, and its first line says "
            f"{sum(widths)}; restore them, or remove that line"
        )
    fields = {}
    for (name, (rest, dtype)), x in zip(said.items(), np.split(numbers, np.cumsum(widths)[:-1], 1), strict=True):
        x = x.reshape(-1, *([about["length"]] if len(ROWS[kind]) > 1 else []), *rest)
        alike = _shared(kind, name, 1 + len(rest)) < len(ROWS[kind])  # in all rows of a sample
        fields[name] = (x[:, 0] if alike else x).astype(np.dtype(dtype))
    return fields

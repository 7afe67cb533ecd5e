"""Table: recordings and samples as CSV, a row each time and a column each number."""

import csv
import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from lgn.data.fields import ROWS, Choice, Contents, agreed, axes, find, sizes, whole

MARK = "# lgn "  # before the first line, JSON, of a file that `write` made
UNSEEN = {"", "nan", "na", "n/a", "null", "none"}
UNIT = re.compile(r"^(.*?)\s*[\[(]([^\])]*)[\])]$")  # "x [m]" or "x (m)"
TIMES, TRIALS = ("t", "time"), ("trial",)


def read(path: Path, choice: Choice) -> Contents:
    """A table of any origin as a recording, one that `write` made as what it was."""
    about, names, units, lines = _lines(path)
    if about and not choice.made:
        return _written(
            path, about, lines, agreed(path, about["units"], choice.units, [*about["fields"], *about["names"]])
        )
    return _recording(path, choice, names, units, lines, about.get("attributes", {}))


def write(path: Path, contents: Contents) -> None:
    """A comment of JSON, names of columns, rows."""
    rows = ROWS[contents.kind]
    shape = tuple(sizes(path.name, contents)[axis] for axis in rows)
    fields = {name: np.asarray(x) for name, x in contents.fields.items()}
    about = {
        "kind": contents.kind,
        "length": shape[-1] if len(shape) > 1 else None,
        "fields": {
            name: [list(x.shape[len(_leading(contents.kind, name, x)) :]), str(x.dtype)] for name, x in fields.items()
        },
        "names": list(contents.names),
        "units": dict(contents.units),
        "attributes": dict(contents.attributes),
    }
    columns, header = [], []
    for name, x in fields.items():
        shared = len(_leading(contents.kind, name, x))
        rest = x.shape[shared:]
        spread = x.reshape(x.shape[:shared] + (1,) * (len(rows) - shared) + rest)
        columns.append(np.broadcast_to(spread, shape + rest).reshape(int(np.prod(shape)), -1))
        header += _columns(name, rest, contents)
    if len({UNIT.sub(r"\1", title) for title in header}) < len(header):
        raise ValueError(f"write: columns of {path.name}: {', '.join(header)}; expected distinct names, change names=")
    with whole(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        file.write(MARK + json.dumps(about) + "\n")
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        for row in zip(*columns, strict=True):
            writer.writerow(_cell(x) for part in row for x in part)


def _leading(kind, name, x) -> tuple[str, ...]:
    """Axes that a field shares with the rows."""
    own = axes(kind, name, x.ndim)
    return tuple(a for a, b in zip(ROWS[kind], own, strict=False) if a == b)


def _columns(name, rest, contents) -> list[str]:
    """Names of the columns of a field, with its unit."""
    if name == "q" and len(contents.names) == np.prod(rest):
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


def _lines(path) -> tuple[dict, list[str], dict[str, str], list[list[str]]]:
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
    names, units = [], {}
    for title in (cell.strip() for cell in head):
        found = UNIT.match(title)
        names.append(found[1] if found else title)
        if found:
            units[names[-1]] = found[2]
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
    return about, names, units, rows


def _about(path, text) -> dict:
    try:
        about = json.loads(text.partition("\n")[0].removeprefix(MARK))
        known = about["kind"] in ROWS and all(isinstance(about[key], dict) for key in ("units", "attributes"))
        sizes = [size for rest, _ in about["fields"].values() for size in rest]
        known = known and all(np.dtype(dtype).kind in "biuf" for _, dtype in about["fields"].values())
        if known and about["fields"].keys() and all(isinstance(size, int) and size > 0 for size in sizes):
            return about
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    raise ValueError(f"read: the comment in the first line of {path.name} was changed; remove the line, or restore it")


def _number(cell: str) -> float | None:
    """A number, NaN for an empty cell, None for other text."""
    if cell.strip().lower() in UNSEEN:
        return np.nan
    try:
        return float(cell)
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


def _recording(path, choice, names, units, rows, attributes) -> Contents:
    """Of columns that are chosen, or found by their names."""
    cells = dict(zip(names, zip(*rows, strict=True), strict=True))
    time = _named(path, names, choice.time, TIMES) or find(
        f"read: {path.name}", "column of times", names, choice.time or "t"
    )
    trial = _named(path, names, choice.trial, TRIALS)
    chosen = {"q": _grid(path, "q", choice.q), "v": _grid(path, "v", choice.v)}
    taken = {time, trial, *chosen["v"].ravel().tolist()}
    if choice.q is None:
        chosen["q"] = np.array([name for name in names if name not in taken], str).reshape(-1, 1)
    fields: dict[str, Any] = {"t": _numbers(path, time, cells[time])}
    for field, grid in chosen.items():
        if grid.size:
            columns = [
                _numbers(path, name, cells[find(f"read: {path.name}", "column", names, name)])
                for name in grid.ravel().tolist()
            ]
            fields[field] = np.stack(columns, -1).reshape(-1, *grid.shape)
            if np.isinf(fields[field]).any():
                row, *at = np.argwhere(np.isinf(fields[field]))[0]
                raise ValueError(
                    f"read: {str(grid[*at])!r} of {path.name} is infinite in row {row}; leave the cell empty"
                )
    if "q" not in fields:
        raise ValueError(
            f"read: {path.name} has no columns beside {', '.join(sorted(filter(None, taken)))}; nothing is q"
        )
    attributes = {**attributes}
    if trial:
        fields["trial"], called = _trials(cells[trial])
        attributes |= {"trials": called} if called else {}
    found = agreed(path, units, choice.units, names)
    found |= {"t": found[time]} if time in found else {}
    for field, grid in chosen.items():
        of_all = {found.get(name) for name in grid.ravel().tolist()}
        if len(of_all) == 1 and None not in of_all:
            found[field] = str(of_all.pop())
    return Contents("Recording", fields, tuple(map(str, chosen["q"].ravel())), found, attributes)


def _named(path, names, wanted, usual) -> str | None:
    """The column that is wanted, or that has a usual name."""
    if wanted is not None:
        return find(f"read: {path.name}", "column", names, wanted)
    return next((name for name in names if name.lower() in usual), None)


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


def _written(path, about, rows, units) -> Contents:
    """What `write` made, by the order of the columns."""
    kind, leading = about["kind"], ROWS[about["kind"]]
    shape = (-1, about["length"]) if len(leading) > 1 else (-1,)
    numbers = np.stack([_numbers(path, i, cells) for i, cells in enumerate(zip(*rows, strict=True))], 1)
    expected = sum(int(np.prod(rest)) for rest, _ in about["fields"].values())
    if numbers.shape[1] != expected or len(numbers) % (about["length"] or 1):
        raise ValueError(
            f"read: {path.name} has {len(numbers)} rows of {numbers.shape[1]} columns, and its first line says "
            f"{expected}; restore them, or remove that line"
        )
    fields, at = {}, 0
    for name, (rest, dtype) in about["fields"].items():
        width = int(np.prod(rest))
        x = numbers[:, at : at + width].reshape(*shape, *rest)
        at += width
        whole = axes(kind, name, 1 + len(rest))
        shared = sum(a == b for a, b in zip(leading, whole, strict=False))
        fields[name] = (x[:, 0] if shared < len(leading) else x).astype(np.dtype(dtype))
    return Contents(kind, fields, tuple(about["names"]), units, about["attributes"])

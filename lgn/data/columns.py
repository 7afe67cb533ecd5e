"""Columns: a recording from the columns of a table, which are chosen, or found by their names, units and values."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lgn.data.dialects import INDEX, MOMENT, Table, counts_rows, number
from lgn.data.fields import NOTHING, Choice, Contents, find

NO_LENGTH = re.compile(r"[kmM]?N|[kmM]?N[*·. ]?m|[kmµ]?V|[kmµ]?A|[kM]?Hz|K|°C|[kM]?Pa|W|\S+/s|\S+/s(\^?2|²)")
NO_POSITION = re.compile(r"F|(?i:force|torque|tau|voltage|current|temperature|velocity|speed|acceleration)")
CLOCK = re.compile(r"\d{1,2}:\d\d:\d\d(\.\d*)?")
ZONE = re.compile(r"(Z|[+-]\d\d:?\d\d)$")
TIMES = ("t", "time", "times", "timestamp")
COUNTERS = (INDEX, "frame", "frames", "index", "sample", "row")
LABELS = ("node", "mass", "body", "particle", "marker", "point", "bead", "object", "track", "id")


def recording(path: Path, choice: Choice, table: Table, said: Mapping[str, Any] = NOTHING) -> Contents:
    """A recording of columns that are chosen, or found by their names."""
    time, t, known = _times(path, choice, table)
    caller, names = f"read: {path.name}", [name for name in table.columns if name != INDEX]
    usual = next((x for x in names if x.lower() == "trial"), "")
    trial = usual if choice.trial is None else find(caller, "column", names, choice.trial)
    of_trial, called = _trials(table.columns[trial]) if trial else (_restarts(t), [])
    chosen = {"q": _grid(path, "q", choice.q), "v": _grid(path, "v", choice.v)}
    label = _label(table.columns, t, of_trial, {time, trial, *chosen["q"].ravel().tolist()})
    if choice.q is None:
        taken = {time, trial, label, *chosen["v"].ravel().tolist()}
        left = [name for name in names if name not in taken and not _is_counter(name, table.columns[name])]
        _check_positions(path, left, table.units)
        chosen["q"] = np.array(left, str).reshape(-1, 1)
    found = choice.agreed(path, table.units, names)
    found |= {"t": found[time]} if time in found else {"t": "s"} if known else {}
    fields: dict[str, Any] = {"t": t}
    for field, grid in chosen.items():
        keys = grid.ravel().tolist()
        columns = [numbers(path, name, table.columns[find(caller, "column", names, name)]) for name in keys]
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
    given = tuple(map(str, chosen["q"].ravel()))
    if label:
        fields, of_trial, given = _pivoted(fields, of_trial, table.columns[label], given)
    elif of_trial is not None and np.count_nonzero(np.diff(of_trial)) >= len(np.unique(of_trial)):  # they take turns
        order = np.argsort(of_trial, kind="stable")
        fields, of_trial = {name: x[order] for name, x in fields.items()}, of_trial[order]
    if of_trial is not None:
        fields["trial"] = of_trial
    attributes = {**said, **known, **({"trials": called} if called else {})}
    return Contents("Recording", fields, given, found, attributes)


def _times(path, choice, table: Table) -> tuple[str, np.ndarray, dict]:
    """Column of the times, times, and what is to be known of them; of rows that are `dt` apart from the column that
    counts them, or from their number."""
    columns = table.columns
    usual: Any = next((x for x in columns if x.lower() in TIMES), None)
    if choice.dt is not None:
        if choice.time or usual:
            raise ValueError(
                f"read: {path.name} has times in column {choice.time or usual!r}; leave dt={choice.dt} out"
            )
        counter = next((x for x in columns if _is_counter(x, columns[x])), "")
        count = len(next(iter(columns.values())))
        frames = numbers(path, counter, columns[counter]) if counter else np.arange(count, dtype=float)
        return counter, (frames - frames[0]) * choice.dt, {}
    names = [name for name in columns if name != INDEX]
    if not choice.time and usual is None:
        raise ValueError(
            f"read: {path.name} has no column of times 't'. There is {', '.join(names)}; name it, time='...', or say "
            f"how far apart the rows are, dt=1/60"
        )
    name = find(
        f"read: {path.name}", "column of times" if choice.time is None else "column", names, choice.time or usual
    )
    t, begin = _moments(path, name, columns[name])
    return name, t, {} if begin is None else {"begin": begin}


def _moments(path, name, cells) -> tuple[np.ndarray, str | None]:
    """Times in seconds since the first, and the first, of dates as ISO 8601 writes them or of a clock; numbers as they
    are."""
    if isinstance(cells, np.ndarray) or not all(MOMENT.match(cell.strip()) for cell in cells):
        return numbers(path, name, cells), None
    texts = [cell.strip() for cell in cells]
    if all(CLOCK.fullmatch(text) for text in texts):
        seconds = np.array([np.dot([3600, 60, 1], [float(x) for x in text.split(":")]) for text in texts])
        return seconds + 86400 * np.cumsum(np.diff(seconds, prepend=seconds[0]) < -43200), None
    zones = {"".join(ZONE.findall(text)) for text in texts}
    try:
        moments = np.array([ZONE.sub("", text) for text in texts], "datetime64[us]")
        assert len(zones) == 1
    except (ValueError, AssertionError) as error:
        raise ValueError(
            f"read: column {name!r} of {path.name} holds times such as {texts[0]!r}; expected numbers, or dates like "
            f"2024-05-01T10:00:00.25 of one time zone"
        ) from error
    return (moments - moments[0]) / np.timedelta64(1, "s"), texts[0]


def numbers(path, name, cells) -> np.ndarray:
    """Cells of a column as numbers, NaN where nothing stands. Raises ValueError for other text."""
    if isinstance(cells, np.ndarray):
        return cells
    found = [number(cell) for cell in cells]
    if None in found:
        row = found.index(None)
        raise ValueError(
            f"read: column {name!r} of {path.name} holds {cells[row]!r} in row {row}; expected numbers: leave "
            f"the cell empty where nothing was seen, or name the columns that you want: q=[...]"
        )
    return np.array(found, float)


def _is_counter(name, cells) -> bool:
    """Whether a column counts rows, by name and content."""
    return name.lower() in COUNTERS and counts_rows(cells)


def _check_positions(path, names, units) -> None:
    """Raises ValueError for a column that is no position, by its name or unit, where no column was chosen."""
    for name in names:
        unit = units.get(name, "")
        if len(names) > 1 and (NO_POSITION.fullmatch(name) or NO_LENGTH.fullmatch(unit)):
            others = [x for x in names if x != name]
            raise ValueError(
                f"read: column {name!r}{f' [{unit}]' if unit else ''} of {path.name} looks like no position; name the "
                f"columns of positions, q={others}"
            )


def _restarts(t: np.ndarray) -> np.ndarray | None:
    """Trial of each row, where the clock goes back to where it began; None where it does not."""
    back = np.flatnonzero(np.diff(t) < 0) + 1
    firsts = np.concatenate([[0], back])
    step = np.median(np.abs(np.diff(t))) if len(t) > 1 else 0.0
    if not back.size or (np.diff([*firsts, len(t)]) < 2).any() or (np.abs(t[firsts] - t[0]) > 2 * step).any():
        return None
    return np.cumsum(np.isin(np.arange(len(t)), back))


def _label(columns, t, trial, taken) -> str:
    """Column that tells the nodes of a long table apart, which has a row for each time and node; none in others."""
    if len(np.unique(t)) == len(t):
        return ""
    moments = list(zip(t.tolist(), np.zeros(len(t)) if trial is None else trial, strict=True))
    if len(set(moments)) == len(moments):
        return ""
    for name, cells in columns.items():
        texts = not isinstance(cells, np.ndarray) and None in map(number, cells)
        distinct = len(set(zip(moments, map(str, cells), strict=True))) == len(moments)
        if name not in taken and (texts or name.lower() in LABELS) and distinct:
            return name
    return ""


def _pivoted(fields, trial, labels, names) -> tuple[dict, Any, tuple]:
    """The fields of a long table with a node for each label, NaN where a row is missing; trials; names of columns."""
    labels = np.array([f"{x:g}" if isinstance(x, float) else x.strip() for x in labels])
    of_trial = np.zeros(len(labels), int) if trial is None else trial
    moments, row = np.unique(np.stack([of_trial, fields["t"]], 1), axis=0, return_inverse=True)
    _, first, node = np.unique(labels, return_index=True, return_inverse=True)
    node, row = np.argsort(np.argsort(first))[node], row.ravel()  # nodes in the order in which they appear
    found: dict[str, Any] = {"t": moments[:, 1]}
    for name in fields.keys() - {"t"}:
        values = fields[name].reshape(len(labels), -1)
        found[name] = np.full((len(moments), len(first), values.shape[1]), np.nan)
        found[name][row, node] = values
    called = labels[np.sort(first)].tolist()
    both = called if len(names) == 1 else [f"{name}_{label}" for label in called for name in names]
    return found, None if trial is None else moments[:, 0].astype(int), tuple(both)


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
    values = [x if isinstance(x, float) else number(x) for x in cells]
    if all(x is not None and np.isfinite(x) and x == int(x) for x in values):
        return np.array(values).astype(int), []
    names, code = np.unique([str(cell).strip() for cell in cells], return_inverse=True)
    return code, names.tolist()

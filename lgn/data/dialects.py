"""Dialects: a text as columns, whatever its encoding, delimiter, decimal sign, preamble, units and comments."""

import csv
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

UNSEEN = {"", "nan", "na", "n/a", "null", "none"}
UNIT = re.compile(r"^(.*?)\s*[\[(]([^\])]*)[\])]$")  # "x [m]" or "x (m)"
ONE = (
    r"(?:[kcmµμunMG]?(?:s|m|g|N|V|A|W|J|Pa|Hz)|Nm|min|h|ft|px|pixels?|rad|deg|degrees?|grad|°C?|K|rpm|rev|turns?|1|-|%)"
)
OF_UNIT = re.compile(rf"{ONE}(?:\^?-?\d|²|³)?(?:[/*·. ]\(?{ONE}(?:\^?-?\d|²|³)?\)?)*")  # "m", "rad/s", "m/s^2"
NAMELESS = re.compile(r"|Unnamed: \d+")
MOMENT = re.compile(r"\d{4}-\d\d-\d\d|\d{1,2}:\d\d(:|$)")
COMMA = re.compile(r"\d,\d")
COMMENT, EMPTY = "#%", " ,;\t"  # first signs of lines that are no rows, or may be none
BEGIN = 2**16  # signs in which those are looked for that no text has
INDEX = ""  # the name of a column without one that counts rows
SEARCHED = 200  # lines in which names of columns are looked for


class Table(NamedTuple):
    """A table of any origin: its first line, and by name the unit and the cells of each column, numbers or texts."""

    first: str
    units: dict[str, str]
    columns: dict[str, Any]


def table(path: Path) -> Table:
    """Columns of a text, whatever its encoding, delimiter, decimal sign, preamble and comments."""
    text = _decoded(path)
    lines = [
        line
        for line in text.splitlines()
        if line and line[0] not in COMMENT and (line[0] not in EMPTY or _filled_in(line))
    ]
    if len(lines) < 2:
        raise ValueError(f"read: {path.name} has {len(lines)} lines; expected names of columns, then rows")
    delimiter = _delimiter(lines)
    comma = delimiter != "," and any(COMMA.search(line) for line in lines[-20:])  # a decimal comma
    head, first = _heads(lines, delimiter, comma)
    titles = [_titled(cell.strip()) for cell in _split(lines[head], delimiter)]
    if first == head + 2:
        below = [cell.strip().strip("[]()") for cell in _split(lines[head + 1], delimiter)]
        titles = [(name, unit or other) for (name, unit), other in zip(titles, below, strict=True)]
    names = [name for name, _ in titles]
    if len(set(filter(None, names))) < sum(map(bool, names)) or all(number(name) is not None for name in names):
        raise ValueError(
            f"read: the first line of {path.name} is {lines[head][:60]!r}; expected distinct names of columns"
        )
    cells = _cells(path, lines[first:], delimiter, comma, len(names))
    columns = {name: x for name, x in zip(names, cells, strict=True) if name}
    index = [x for name, x in zip(names, cells, strict=True) if not name and not _empty(x)]
    if len(index) > 1 or not all(counts_rows(x) for x in index):
        at = 1 + next(
            i for i, x in enumerate(cells) if not names[i] and not _empty(x) and (index[1:] or not counts_rows(x))
        )
        raise ValueError(f"read: column {at} of {path.name} has no name; name it, or remove it")
    if index:
        columns[INDEX] = index[0]
    return Table(text.partition("\n")[0], {name: unit for name, unit in titles if name and unit}, columns)


def _filled_in(line: str) -> bool:
    """Whether a line that begins with a space or a delimiter is a row: no comment, and not empty."""
    return line.strip(EMPTY)[:1] not in ("", *COMMENT)


def _decoded(path) -> str:
    """Text of a file in UTF-8, UTF-16 or, where it is neither, Latin-1."""
    content = path.read_bytes()
    wide = content[:2] in (b"\xff\xfe", b"\xfe\xff")
    try:
        text = content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    if any(sign < " " and sign not in "\t\n\r\f" for sign in set(text[:BEGIN])):
        raise ValueError(f"read: {path.name} is no CSV: it holds bytes that no text has; give its true ending")
    return text


def _delimiter(lines) -> str:
    """The sign that cuts most of the last lines, and a line before them, into as many cells."""
    sample = lines[-20:]

    def cells(sign):
        counts = [len(_split(line, sign)) for line in sample]
        usual = max(set(counts), key=counts.count)
        named = any(len(_split(line, sign)) == usual for line in lines[: len(lines) - len(sample) + 1])
        return counts.count(usual) * (usual > 1) * named, usual

    return max(",;\t ", key=cells)


def _split(line: str, delimiter: str) -> list[str]:
    return line.split() if delimiter == " " else next(csv.reader([line], delimiter=delimiter))


def _heads(lines, delimiter, comma) -> tuple[int, int]:
    """The line of the names, and the first of the rows: the line after it, or after one of units."""
    cells = [_split(line, delimiter) for line in lines[:SEARCHED]]
    counts = [len(row) for row in cells]
    usual = max(set(counts), key=counts.count)
    words = [len(row) == usual and not any(_numeric(cell, comma) for cell in row) for row in cells]
    first = next((i for i in range(1, len(cells)) if words[i - 1] and not words[i] and counts[i] == usual), 1)
    below = [cell.strip().strip("[]()") for cell in cells[first - 1]]
    of_units = first > 1 and words[first - 2] and all(not unit or OF_UNIT.fullmatch(unit) for unit in below)
    return first - 1 - of_units, first


def _titled(title: str) -> tuple[str, str | None]:
    """Name and unit of a title: "x [m]", "x (m)", or "x/m"; no name where a table has none."""
    if found := UNIT.match(title):
        return found[1], found[2]
    name, _, unit = title.partition("/")
    if unit and OF_UNIT.fullmatch(unit.strip(" ()")):
        return name.strip(), unit.strip(" ()")
    return "" if NAMELESS.fullmatch(title) else title, None


def _cells(path, lines, delimiter, comma, count) -> list[Any]:
    """Columns: arrays where all is numbers, by numpy's reader, else the texts of the cells."""
    plain = [line.replace(".", "").replace(",", ".") for line in lines] if comma else lines
    try:
        sign = None if delimiter == " " else delimiter
        if sign and any(sign * 2 in line or sign in (line[0], line[-1]) for line in plain):
            plain = [_filled(line, sign) for line in plain]
        rows = np.loadtxt(plain, delimiter=sign, ndmin=2, comments=None)
        if rows.shape[1] == count:
            return list(rows.T)
    except ValueError:
        pass  # texts, or rows of other lengths
    found = [_split(line, delimiter) for line in lines]
    for i, row in enumerate(found):
        if len(row) != count:
            raise ValueError(
                f"read: row {i} of {path.name} has {len(row)} cells, and there are {count} columns: "
                f"{delimiter.join(row)[:60]!r}; leave a cell empty where nothing was seen"
            )
    cells = [[cell.replace(",", ".") if comma and _numeric(cell, comma) else cell for cell in row] for row in found]
    return list(zip(*cells, strict=True))


def _filled(line: str, delimiter: str) -> str:
    """The line with nan in empty cells."""
    while (twice := delimiter * 2) in line:
        line = line.replace(twice, f"{delimiter}nan{delimiter}")
    line = f"nan{line}" if line[0] == delimiter else line
    return f"{line}nan" if line[-1] == delimiter else line


def number(cell: str) -> float | None:
    """A number, NaN for an empty cell, None for other text."""
    try:
        return np.nan if cell.strip().lower() in UNSEEN else float(cell)
    except ValueError:
        return None


def _numeric(cell: str, comma: bool) -> bool:
    """Whether a cell says a number or a moment."""
    cell = cell.strip().replace(",", ".") if comma else cell.strip()
    return bool(cell) and (MOMENT.match(cell) is not None or (number(cell) is not None and cell.lower() not in UNSEEN))


def _empty(cells) -> bool:
    return all(np.isnan(x) if isinstance(x, float) else not x.strip() for x in cells)


def counts_rows(cells) -> bool:
    """Whether cells count rows: whole numbers that increase."""
    x = np.array([x if isinstance(x, float) else number(x) for x in cells], float)
    return bool(np.isfinite(x).all() and (x == np.round(x)).all() and (np.diff(x) > 0).all())

"""Fields: the interchange of data; what a file holds by names and axes, in memory or read when it is needed."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

import jraph
import numpy as np
from flax.core import FrozenDict

from lgn import _arguments, _arrays
from lgn._names import closest
from lgn.graphs.features import node_count

UNITS = "units_"  # before the name of what has no attributes of its own
NOTHING: Mapping[str, Any] = FrozenDict({})  # as a default: cannot be changed, and can be pickled
BYTES = 2**26  # in memory at a time, of what is written in pieces

# By kind, the axes of each field; `features.NAME` has one value for each sample, `state_0` and the like are fields.
Axes = dict[str, tuple[str, ...]]
FIELD, STATE, PIECE = ("time", "node", "dim"), ("sample", "node", "dim"), ("sample", "time", "node", "dim")
SAMPLES: Axes = {"t": ("sample",), "trial": ("sample",), "dt": ("sample",)}
ALONG = ("t", "energy", "residual", "status", "condition", "worst_node", "iterations")
AXES: dict[str, Axes] = {
    "Recording": {"t": ("time",), "q": FIELD, "v": FIELD, "trial": ("time",)},
    "States": {"q": STATE, "v": STATE, "a": STATE, "seen": ("sample", "node"), **SAMPLES},
    "Windows": {"q": PIECE, "v": PIECE, "seen": ("sample", "time", "node"), **SAMPLES},
    "Trajectory": {"q": FIELD, "v": FIELD, "u": FIELD, **{name: ("time",) for name in ALONG}},
}


class Contents(NamedTuple):
    """Content of a file, whatever its format.

    Attributes:
        kind: the name of the class that was written, a key of AXES.
        fields: name to array, in memory or `Lazy`.
        names: of the columns of q.
        units: name to unit.
        attributes: name to text, number or list of these.
        graph: that is to be written, or None.
    """

    kind: str
    fields: dict[str, Any]
    names: tuple[str, ...] = ()
    units: Mapping[str, str] = NOTHING
    attributes: Mapping[str, Any] = NOTHING
    graph: jraph.GraphsTuple | None = None


class Choice(NamedTuple):
    """What of a file is which part of a recording; None is for the format to find."""

    time: str | None = None
    q: list | None = None
    v: list | None = None
    trial: str | None = None
    units: Mapping[str, str] = NOTHING
    dt: float | None = None

    @property
    def made(self) -> bool:
        """Whether the caller chose columns."""
        return any(x is not None for x in (self.time, self.q, self.v, self.trial, self.dt))

    def fields(self, path: Path, what: str, names: Sequence[str], ours: Mapping[str, list[str]] = NOTHING) -> dict:
        """Names that q and v are: chosen, `ours` as `write` marked them, or for q all that nothing else is."""
        found = {}
        for name, wanted in (("v", self.v), ("q", self.q)):
            keys = ours.get(name, []) if wanted is None else wanted
            found[name] = [find(f"read: {path.name}", what, names, str(key)) for key in keys]
        found["q"] = found["q"] or [name for name in names if name not in found["v"]]
        if not found["q"]:
            raise ValueError(f"read: {path.name} has no {what}; it has {', '.join(names) or 'none'}")
        return found

    def recording(
        self, path: Path, known: dict, parts: Mapping[str, dict], names, units, attributes, others
    ) -> Contents:
        """A recording of known fields and of q and v, whose parts lie in the file under names that may have units."""
        fields = known | {name: beside(list(lazy.values())) for name, lazy in parts.items() if lazy}
        units = units | {name: units[key] for name, lazy in parts.items() for key in [*lazy][:1] if key in units}
        return Contents("Recording", fields, tuple(names), self.agreed(path, units, {*fields, *others}), attributes)

    def agreed(self, path: Path, found: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
        """Units of a file, and those that the caller says of what has none there."""
        for name, unit in self.units.items():
            find(f"read: {path.name}", "column to give a unit", names, name)
            if found.get(name, unit) != unit:
                raise ValueError(
                    f"read: {path.name} gives {name!r} in {found[name]!r}, and units= says {unit!r}; values are never "
                    f"converted: leave units={{{name!r}: ...}} out, and multiply what was read"
                )
        return {**found, **self.units}


def axes(kind: str, name: str, ndim: int) -> tuple[str, ...]:
    """The axes of a field of so many dimensions."""
    if name.startswith("features."):
        return ("sample", *(f"{name}_{i}" for i in range(1, ndim)))
    return AXES[kind].get(name, FIELD)


def sizes(caller: str, contents: Contents) -> dict[str, int]:
    """The size of each axis; raises ValueError for fields that disagree."""
    found: dict[str, int] = {}
    for name, x in contents.fields.items():
        own = axes(contents.kind, name, len(x.shape))
        for axis, size in zip(own, x.shape, strict=False):
            if len(own) != len(x.shape) or found.setdefault(axis, size) != size:
                raise ValueError(
                    f"{caller}: {name} has shape {x.shape}; expected ({', '.join(own)}), where others have {found}"
                )
    return found


def field_names(count: int) -> tuple[str, ...]:
    """What the fields of a state of `count` fields are called."""
    return {1: ("u",), 2: ("q", "v")}.get(count) or tuple(f"state[{i}]" for i in range(count))


# -- Fields in files ---------------------------------------------------------------------------------------------------


class Lazy:
    """Rows (time, node, dim) in a file. `x[rows]`, rows a slice or an array of numbers, reads them and nothing else.

    The file is opened for each reading, so nothing stays open; `np.asarray(x)` reads all.

    Args:
        shape: (time, node, dim).
        dtype: of the file.
        read: runs (start, stop) of rows -> these rows, one run after the other.
    """

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype, read: Callable[[Sequence], np.ndarray]):
        self.shape, self.dtype, self.read, self.ndim = shape, dtype, read, len(shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> np.ndarray:
        if isinstance(rows, tuple):
            first, *rest = rows
            found = self[slice(None) if first is Ellipsis else first]
            return found[rows] if first is Ellipsis else found[*[slice(None)] * (found.ndim - self.ndim + 1), *rest]
        if isinstance(rows, slice) and rows.step in (None, 1):
            start, stop, _ = rows.indices(len(self))
            return self.read([(start, max(start, stop))])
        numbers = np.arange(len(self))[rows]
        distinct, place = np.unique(numbers, return_inverse=True)
        runs = np.split(distinct, np.flatnonzero(np.diff(distinct) > 1) + 1) if distinct.size else []
        return self.read([(int(run[0]), int(run[-1]) + 1) for run in runs] or [(0, 0)])[place.reshape(numbers.shape)]

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        return self[:].astype(dtype or self.dtype, copy=False)

    def __repr__(self) -> str:
        return f"Lazy(shape={self.shape}, dtype={self.dtype})"


def numbers_of(name: str, x: Any) -> Any:
    """Real numbers as numpy array, and as they are where they lie in a file."""
    return x if isinstance(x, Lazy) else _arrays.reals(name, x)


def of_trials(read: Callable[[Sequence], Iterable[np.ndarray]], trials: int, times: int, shape, dtype) -> Lazy:
    """Rows (trial * time, node, dim), one trial after the other; `read` gives those of (trial, start, stop), ..., each
    (stop - start, node, dim)."""

    def rows(runs):
        parts = [
            (trial, max(start - trial * times, 0), min(stop - trial * times, times))
            for start, stop in runs
            for trial in range(start // times, -(-stop // times))
        ]
        return np.concatenate([np.empty((0, *shape), dtype), *read(parts)])

    return Lazy((trials * times, *shape), dtype, rows)


def beside(fields: Sequence[Lazy]) -> Lazy:
    """Fields of the same rows and nodes, their components side by side."""
    if len(fields) == 1:
        return fields[0]
    shape, dtype = (*fields[0].shape[:2], sum(x.shape[2] for x in fields)), np.result_type(*(x.dtype for x in fields))
    return Lazy(shape, dtype, lambda runs: np.concatenate([x.read(runs) for x in fields], -1))


def chained(parts: Sequence[Any]) -> Lazy:
    """Arrays (time, node, dim) of one shape after the first axis, in memory or not, one after the other."""
    ends = np.cumsum([len(part) for part in parts]).tolist()
    begins = [0, *ends[:-1]]
    dtype = np.result_type(*(part.dtype for part in parts))

    def read(runs):
        found = [
            part[max(start, begin) - begin : min(stop, end) - begin]
            for start, stop in runs
            for part, begin, end in zip(parts, begins, ends, strict=True)
            if (start < end and stop > begin) or start == stop == begin
        ]
        return np.concatenate(found).astype(dtype, copy=False)

    return Lazy((ends[-1], *parts[0].shape[1:]), dtype, read)


def pieces(x: Any, rows: int | None = None) -> list[tuple[int, int]]:
    """(start, stop) of runs of rows that fit memory; `rows` of them rather than all."""
    count = len(x) if rows is None else rows
    step = max(1, BYTES // max(1, int(np.prod(x.shape[1:])) * x.dtype.itemsize))
    return [(start, min(start + step, count)) for start in range(0, count, step)]


# -- What is written ---------------------------------------------------------------------------------------------------


def packed(
    caller: str, thing: Any, of: Any = None, units: Mapping[str, str] = NOTHING, attributes: Mapping[str, Any] = NOTHING
) -> Contents:
    """Fields by names, and who made them: the version of lgn, the system, the graph; raises ValueError for a graph of
    another number of nodes, units of what is not there, and an attribute that is no text, number or list of these."""
    graph = getattr(of, "graph", of)
    made: dict[str, Any] = {"lgn_version": _version()}
    if graph is not None:
        _arguments.of_kind(f"{caller}: of", graph, jraph.GraphsTuple, "a system or a graph of lgn")
        made["lgn_graph"] = f"{node_count(graph)} nodes, {graph.senders.size} edges"
    if of is not None and of is not graph:
        made["lgn_system"] = repr(of)
    known, given = _arguments.named(f"{caller}: units", units), _arguments.named(f"{caller}: attributes", attributes)
    for name, x in given.items():
        parts = x if isinstance(x, list | tuple) else [x]
        if not all(isinstance(part, str | int | float | np.number | np.bool) for part in parts):
            raise ValueError(f"{caller}: attributes[{name!r}] is {_arguments.short(x)}; give text, a number, or a list")
    fields = {name: x for name, x in thing._asdict().items() if x is not None}
    names, theirs, own = fields.pop("names", ()), fields.pop("units", {}), fields.pop("attributes", None)
    fields = _fields(caller, fields, own is not None)
    about = {**(own or {}), **{name: plain(x) for name, x in given.items()}, **made}
    contents = Contents(type(thing).__name__, fields, names, {**theirs, **known}, about, graph)
    for name in known:
        find(caller, "field to give a unit", {*fields, *names, *theirs}, name)
    nodes = sizes(caller, contents)["node"]
    if graph is not None and node_count(graph) != nodes:
        raise ValueError(f"{caller}: {contents.kind} of {nodes} nodes, of a graph of {node_count(graph)}; give its own")
    return contents


def _fields(caller, fields, recorded) -> dict[str, Any]:
    """Arrays by the names of AXES, as they are where they lie in a file; of a recording NaN is what was not seen."""
    if "state" in fields:
        state = fields.pop("state")
        names = (name.replace("[", "_").strip("]") for name in field_names(len(state)))
        fields = {"t": fields.pop("t"), **dict(zip(names, state, strict=True)), **fields}
        fields = {"worst_node" if name == "node" else name: x for name, x in fields.items()}
    fields |= {f"features.{name}": x for name, x in fields.pop("features", {}).items()}
    seen = fields.pop("seen", None) if recorded else None
    found = {name: numbers_of(f"{caller}: {name}", x) for name, x in fields.items()}
    if seen is not None:
        found |= {name: np.where(np.asarray(seen)[..., None], found[name], np.nan) for name in "qv" if name in found}
    return found


def _version() -> str:
    try:
        return version("lgn")
    except PackageNotFoundError:
        return "unknown"


@contextmanager
def replacing(path: Path):
    """A path to write to that becomes `path` once it is whole; what stood there may be read meanwhile."""
    part = path.with_name(f"{path.stem}.part{path.suffix}")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


# -- Names and attributes ----------------------------------------------------------------------------------------------


def find(caller: str, what: str, names: Iterable[str], wanted: str) -> str:
    """A name that is there; else raises ValueError, with what is there and the nearest."""
    there = sorted(names) if isinstance(names, set) else list(names)
    if wanted in there:
        return wanted
    near = closest(wanted, there, 0.5)
    hint = f", did you mean {near!r}?" if near else "."
    raise ValueError(f"{caller}: no {what} {wanted!r}{hint} There is {', '.join(there) or 'none'}")


def header(path: Path, attributes: Mapping[str, Any]) -> tuple[str, dict[str, str], dict[str, Any]]:
    """The kind of thing that was written, units of names, and the other attributes of a file."""
    others = {str(name): plain(x) for name, x in attributes.items()}
    kind = others.pop("lgn_kind", "Recording")
    if kind not in AXES:
        raise ValueError(f"read: {path.name} says that it holds {kind!r}; expected one of {', '.join(AXES)}")
    units = {name.removeprefix(UNITS): str(others.pop(name)) for name in [*others] if name.startswith(UNITS)}
    return kind, units, others


def text(value: Any) -> str:
    """Text of an attribute, which may be bytes."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def plain(value: Any) -> Any:
    """An attribute as text, number or list of these."""
    if isinstance(value, np.ndarray | list | tuple):
        return [plain(x) for x in np.ravel(value).tolist()]
    value = value.item() if isinstance(value, np.number | np.bool) else value
    return value if isinstance(value, int | float) else text(value)


def changed(path: Path) -> ValueError:
    """The error of a file that became another while its numbers were not read yet."""
    return ValueError(f"read: {path.name} was changed since it was opened; read it again")


def extra(option: str, name: str, *packages: str) -> Any:
    """The first of packages that are all needed; raises ImportError that says what to install."""
    try:
        first, *_ = map(import_module, packages)
        return first
    except ImportError as error:
        raise ImportError(f"{name} needs {' and '.join(packages)}: pip install 'lgn[{option}]'") from error


def present(path: Path) -> Path:
    """A path whose file was there when it was first read."""
    if not path.is_file():
        raise FileNotFoundError(f"read: {path} is no longer there")
    return path

"""Contents: what a file holds, by names and axes, whatever its format; what a caller asked of it."""

from collections.abc import Iterable, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import jraph
import numpy as np
from flax.core import FrozenDict

from lgn._spelling import closest

UNITS = "units_"  # before the name of what has no attributes of its own
NOTHING: Mapping[str, Any] = FrozenDict({})  # as a default: cannot be changed, and can be pickled


# By kind, the axes of each field; `features.NAME` has one value for each sample, `state_0` and the like are fields.
FIELD, STATE, PIECE = ("time", "node", "dim"), ("sample", "node", "dim"), ("sample", "time", "node", "dim")
Axes = dict[str, tuple[str, ...]]
SAMPLES: Axes = {"t": ("sample",), "trial": ("sample",), "dt": ("sample",)}
AXES: dict[str, Axes] = {
    "Recording": {"t": ("time",), "q": FIELD, "v": FIELD, "trial": ("time",)},
    "States": {"q": STATE, "v": STATE, "a": STATE, "seen": ("sample", "node"), **SAMPLES},
    "Windows": {"q": PIECE, "v": PIECE, "seen": ("sample", "time", "node"), **SAMPLES},
    "Trajectory": {"q": FIELD, "v": FIELD, "u": FIELD}
    | {name: ("time",) for name in ("t", "energy", "residual", "status", "condition", "worst_node", "iterations")},
}
ROWS = {"Recording": ("time",), "States": ("sample",), "Windows": ("sample", "time"), "Trajectory": ("time",)}


class Contents(NamedTuple):
    """What a file holds.

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

    @property
    def made(self) -> bool:
        """Whether the caller chose columns."""
        return any(x is not None for x in (self.time, self.q, self.v, self.trial))


def axes(kind: str, name: str, ndim: int) -> tuple[str, ...]:
    """The axes of a field of so many dimensions."""
    if name.startswith("features."):
        return ("sample", *(f"{name}_{i}" for i in range(1, ndim)))
    return AXES[kind].get(name, FIELD)


def sizes(caller: str, contents: Contents) -> dict[str, int]:
    """Of each axis.

    Raises:
        ValueError: fields that disagree.
    """
    found: dict[str, int] = {}
    for name, x in contents.fields.items():
        own = axes(contents.kind, name, len(x.shape))
        for axis, size in zip(own, x.shape, strict=False):
            if len(own) != len(x.shape) or found.setdefault(axis, size) != size:
                raise ValueError(
                    f"{caller}: {name} has shape {x.shape}; expected ({', '.join(own)}), where others have {found}"
                )
    return found


def find(caller: str, what: str, names: Iterable[str], wanted: str) -> str:
    """A name that is there.

    Raises:
        ValueError: it is not; says what is there, and the nearest.
    """
    there = sorted(names) if isinstance(names, set) else list(names)
    if wanted in there:
        return wanted
    near = closest(wanted, there, 0.5)
    hint = f", did you mean {near!r}?" if near else "."
    raise ValueError(f"{caller}: no {what} {wanted!r}{hint} There is {', '.join(there) or 'none'}")


def said(path: Path, attributes: Mapping[str, Any]) -> tuple[str, dict[str, str], dict[str, Any]]:
    """Of the attributes of a file: the kind of thing that was written, units of names, and the others.

    Raises:
        ValueError: a kind that is none.
    """
    others = dict(attributes)
    kind = others.pop("lgn_kind", "Recording")
    if kind not in AXES:
        raise ValueError(f"read: {path.name} says that it holds {kind!r}; expected one of {', '.join(AXES)}")
    units = {name.removeprefix(UNITS): str(others.pop(name)) for name in attributes if name.startswith(UNITS)}
    return kind, units, others


def agreed(path: Path, found: Mapping[str, str], asked: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    """Units of a file, and those that the caller says of what has none there.

    Raises:
        ValueError: they disagree; a unit of what is not in the file.
    """
    for name, unit in asked.items():
        find(f"read: {path.name}", "column to give a unit", names, name)
        if found.get(name, unit) != unit:
            raise ValueError(
                f"read: {path.name} gives {name!r} in {found[name]!r}, and units= says {unit!r}; values are never "
                f"converted: leave units={{{name!r}: ...}} out, and multiply what was read"
            )
    return {**found, **asked}


def changed(path: Path) -> ValueError:
    """The error of a file that became another while its numbers were not read yet."""
    return ValueError(f"read: {path.name} was changed since it was opened; read it again")


def missing(extra: str, name: str, package: str) -> ImportError:
    """What to install."""
    return ImportError(f"{name} needs {package}: pip install 'lgn[{extra}]'")


def text(value: Any) -> str:
    """Of an attribute, which may be bytes."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def plain(value: Any) -> Any:
    """An attribute as text, number or list of these."""
    if isinstance(value, np.ndarray | list | tuple):
        return [plain(x) for x in np.ravel(value).tolist()]
    return (
        value
        if isinstance(value, int | float)
        else value.item()
        if isinstance(value, np.number | np.bool)
        else text(value)
    )


@contextmanager
def whole(path: Path):
    """A path to write to that becomes `path` once it is whole; what stood there may be read meanwhile."""
    part = path.with_name(f"{path.stem}.part{path.suffix}")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def field_names(count: int) -> tuple[str, ...]:
    """What the fields of a state of `count` fields are called."""
    return {1: ("u",), 2: ("q", "v")}.get(count) or tuple(f"state[{i}]" for i in range(count))

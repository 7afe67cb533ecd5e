"""Recipe: what to learn from a recording, as a file of settings says it."""

import tomllib
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from lgn._names import nearest
from lgn.data.exchange import TABLES

GRAPHS = ("single", "chain", "ring", "lattice", "edges", "mesh")
DENSITIES = ("potential", "structured", "site_and_edge", "message", "continuum")
FRICTIONS = ("none", "linear", "quadratic", "dry")
WORDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false", dict: "a table of texts"}


@dataclass(frozen=True)
class Graph:
    """The table [graph]: what the columns are the nodes of."""

    kind: str = "single"
    shape: tuple[int, ...] = ()  # of a lattice
    periodic: bool = False  # a lattice
    file: str = ""  # of the edges, two node numbers a row, or of the mesh
    clamped: tuple[int, ...] = ()  # nodes that rest at zero and have no columns

    def __post_init__(self):
        _known("graph: kind", self.kind, GRAPHS)
        if len(set(self.clamped)) < len(self.clamped):
            raise ValueError(f"graph: clamped={list(self.clamped)}; give each node once")
        if (self.kind == "lattice") != bool(self.shape):
            raise ValueError(
                f"graph: kind={self.kind!r} with shape={list(self.shape)}; a lattice, and it alone, has one"
            )
        if (self.kind in ("edges", "mesh")) != bool(self.file):
            raise ValueError(
                f"graph: kind={self.kind!r} with file={self.file!r}; edges and meshes, and they alone, have one"
            )


@dataclass(frozen=True)
class Recipe:
    """Settings of `lgn fit`; docs/command-line.md explains every key."""

    file: str
    positions: tuple[str | tuple[str, ...], ...]
    velocities: tuple[str | tuple[str, ...], ...] = ()
    time: str | None = None
    dt: float | None = None
    trial: str | None = None
    units: dict[str, str] = field(default_factory=dict)
    angles: tuple[str, ...] = ()
    graph: Graph = field(default_factory=Graph)
    density: str = "potential"
    friction: str = "none"
    width: tuple[int, ...] = (8, 8)
    windows: tuple[int, ...] = (32, 128)
    steps: int = 200
    seeds: int = 1
    held_out: float = 0.2
    out: str = ""

    def __post_init__(self):
        _known("density", self.density, DENSITIES)
        _known("friction", self.friction, FRICTIONS)
        for name in ("positions", "width", "windows"):
            if not getattr(self, name):
                raise ValueError(f"{name} is empty; give at least one")
        numbers = {"steps": self.steps, "seeds": self.seeds}
        numbers |= {f"{x}[{i}]": n for x in ("width", "windows") for i, n in enumerate(getattr(self, x))}
        for name, found in numbers.items():
            if found < (least := 8 if name.startswith("windows") else 1):
                raise ValueError(f"{name}={found}; give a whole number, at least {least}")
        if list(self.windows) != sorted(set(self.windows)):
            raise ValueError(f"windows={list(self.windows)}; give lengths that grow, such as [32, 128]")
        if not 0 < self.held_out <= 0.5:
            raise ValueError(f"held_out={self.held_out:g}; give a share above 0 and up to 0.5 of each trial")
        columns: set[str] = set()
        for key in ("positions", "velocities"):
            for name in _flat(getattr(self, key)):
                if name in columns:
                    raise ValueError(f"{key}: {name!r} stands there twice; give each column one place")
                columns.add(name)
        if unknown := [name for name in self.angles if name not in (names := _flat(self.positions))]:
            raise ValueError(f"angles: {unknown[0]!r} is none of positions{nearest(unknown[0], names)}")

    @property
    def grid(self) -> list[list[str]]:
        """Columns of the positions, by node, then degree of freedom; fields, which all nodes have, in one row."""
        return self._by_node(self.positions)

    @property
    def rates(self) -> list[list[str]] | None:
        """Those of the velocities, if there are any."""
        return self._by_node(self.velocities) if self.velocities else None

    @property
    def of_table(self) -> bool:
        """Whether the file is a table: names are columns of one node each, not fields of all nodes."""
        return Path(self.file).suffix.lower() in TABLES

    def _by_node(self, names) -> list[list[str]]:
        if self.graph.kind == "single" or not self.of_table:
            return [list(_flat(names))]
        return [[name] if isinstance(name, str) else list(name) for name in names]


def read(path: str | Path) -> Recipe:
    """The recipe in a TOML file; its `file`, that of its graph and `out` are paths from the folder of that file.

    Raises:
        ValueError: no such file, no TOML, an unknown key (suggests the nearest), a value of another type or out of
            range.
    """
    path = Path(path)
    try:
        table = tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ValueError(
            f"{path} is no file of settings ({error}); give a TOML file, see docs/command-line.md"
        ) from error
    try:
        return filled(Recipe, table)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def filled(kind: type, table: dict, where: str = "") -> Any:
    """kind(**table), its nested tables too.

    Raises:
        ValueError: an unknown key (suggests the nearest), one that is missing, a value of another type.

    Example:
        >>> from dataclasses import dataclass
        >>> from lgn.recipes.recipe import filled
        >>> @dataclass
        ... class Box:
        ...     sides: tuple[float, ...]
        >>> filled(Box, {"sides": [1, 2.5]})
        Box(sides=(1.0, 2.5))
    """
    hints = get_type_hints(kind)
    for key in table:
        if key not in hints:
            raise ValueError(f"unknown key {where + key!r}{nearest(key, hints)} There are: {', '.join(hints)}")
    needed = [x.name for x in fields(kind) if x.default is MISSING and x.default_factory is MISSING]
    if lacking := [key for key in needed if key not in table]:
        raise ValueError(f"{where}{lacking[0]} is missing; it has no default")
    return kind(**{key: _value(hints[key], value, where + key) for key, value in table.items()})


def _value(hint: Any, value: Any, where: str) -> Any:
    """The value as its hint says."""
    if isinstance(hint, UnionType):
        kinds = [kind for kind in get_args(hint) if kind is not type(None)]
        matching = [kind for kind in kinds if isinstance(value, list) == (get_origin(kind) is tuple)]
        return _value((matching or kinds)[0], value, where)
    if get_origin(hint) is tuple:
        if not isinstance(value, list):
            raise ValueError(f"{where}={value!r}; expected {_words(hint)}: write [...]")
        return tuple(_value(get_args(hint)[0], x, f"{where}[{i}]") for i, x in enumerate(value))
    if isinstance(hint, type) and is_dataclass(hint):
        if not isinstance(value, dict):
            raise ValueError(f"{where}={value!r}; expected a table: write [{where}] and its keys below")
        return filled(hint, value, f"{where}.")
    plain = get_origin(hint) or hint
    if plain is float and type(value) is int:
        return float(value)
    if type(value) is not plain or (plain is dict and not all(isinstance(x, str) for x in value.values())):
        raise ValueError(f"{where}={value!r}; expected {_words(hint)}")
    return value


def _words(hint: Any) -> str:
    if get_origin(hint) is tuple:
        return f"a list, each {_words(get_args(hint)[0])}"
    if isinstance(hint, UnionType):
        return " or ".join(_words(kind) for kind in get_args(hint))
    return WORDS[get_origin(hint) or hint]


def _flat(names) -> tuple[str, ...]:
    return tuple(x for name in names for x in ([name] if isinstance(name, str) else name))


def _known(key: str, name: str, known: tuple[str, ...]) -> None:
    if name not in known:
        raise ValueError(f"{key}={name!r} is not known{nearest(name, known)} There are: {', '.join(known)}")

"""Settings: a table of TOML as a dataclass, every key and every type checked."""

from dataclasses import MISSING, fields, is_dataclass
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from lgn._spelling import nearest

WORDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false", dict: "a table of texts"}


def filled(kind: type, table: dict, where: str = "") -> Any:
    """kind(**table), its nested tables too.

    Raises:
        ValueError: an unknown key (suggests the nearest), one that is missing, a value of another type.

    Example:
        >>> from dataclasses import dataclass
        >>> from lgn.recipes.settings import filled
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

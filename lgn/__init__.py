"""lgn: Lagrangian graph networks. Learn the Lagrangian density of a field on a small graph, run it on any graph."""

import importlib

from lgn import _names

__version__ = "0.2.0.dev0"
__all__ = sorted(_names.MODULE)


def __getattr__(name: str):
    if name in _names.MODULE:
        return _names.find(name)
    if name in _names.MODULES:
        return importlib.import_module(f"lgn.{_names.MODULES[name]}")
    if name in _names.MOVED:
        place, _, last = _names.MOVED[name].rpartition(".")
        raise AttributeError(f"lgn.{name} has moved; write: from {place} import {last}")
    raise AttributeError(f"module 'lgn' has no attribute {name!r}{_names.nearest(name, [*__all__, *_names.MODULES])}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__, *_names.MODULES])

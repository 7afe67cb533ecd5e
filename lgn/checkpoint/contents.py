"""Contents: what any object is made of, by parts, so that two calls can be told apart in different processes.

What is installed (Python, jax, lgn) is known by name and release; what is yours is known by
content: functions by their code, captured values and the globals that they read, objects by their attributes.
"""

import copyreg
import dis
import enum
import functools
import hashlib
import os
import sys
import sysconfig
import types
from collections.abc import Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx

from lgn._pytrees import Static

PACKAGES = ("lgn", "jax", "jaxlib", "flax", "optax", "diffrax")  # whose releases every run compares
PLAIN = (type(None), type(...), type(NotImplemented), bool, int, float, complex, str, bytes)
PLACES = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})
OWN = str(Path(__file__).parents[1]) + os.sep
WRAPPERS = (type(jax.jit(lambda: None)), functools._lru_cache_wrapper)
SLOTS = (types.MemberDescriptorType, types.GetSetDescriptorType)
READS = ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS")
GENERATED = {"__init__", "__repr__", "__eq__", "__hash__", "__lt__", "__le__", "__gt__", "__ge__", "__setattr__",
             "__delattr__", "__replace__"}  # fmt: skip

Parts = list[tuple[str, Any]]  # by label: `.attribute`, `[item]`, or empty where it has none


def parts_of(value) -> tuple[str, Parts]:
    """What a value is, and its parts."""
    kind = type(value)
    if kind in PLAIN:
        return f"{kind.__name__} {value!r}", []
    if name := _installed_name(value):
        return f"name {name}", []
    if isinstance(value, jax.core.Tracer):
        raise TypeError("it is traced: call outside of transformations")
    if isinstance(value, jax.Array | np.ndarray | np.generic):
        return _array(value)
    if isinstance(value, nnx.Variable):
        return "variable", [("", kind), ("", value.get_raw_value()), (".metadata", value.get_metadata())]
    if isinstance(value, Static):
        return "static", [(".value", value.value)]
    if isinstance(value, types.CodeType):
        return _code(value)
    if isinstance(value, types.FunctionType):
        return _function(value)
    if isinstance(value, types.ModuleType):
        return f"module {value.__name__}", []
    if isinstance(value, types.MethodType):
        return "method", [(".function", value.__func__), (".self", value.__self__)]
    if isinstance(value, type):
        return _class(value)
    if isinstance(value, functools.partial):
        parts: Parts = [(".func", value.func), (".args", value.args), (".keywords", value.keywords)]
        return "partial", [("", kind), *parts, *_attributes(value)]
    if isinstance(value, enum.Enum):
        return f"member {value.name}", [("", kind)]
    if isinstance(value, jax.Device):
        return f"device {value.platform} {value.id}", []
    return _object(value)


def _array(value) -> tuple[str, Parts]:
    weak = " weak" if getattr(value, "weak_type", False) else ""
    if jax.dtypes.issubdtype(value.dtype, jax.dtypes.prng_key):
        return f"key {jax.random.key_impl(value)}", [(".data", np.asarray(jax.random.key_data(value)))]
    array = np.asarray(value)
    place = "traced" if isinstance(value, jax.Array) else "static"
    tag = f"{place}{weak} {array.dtype!r} {array.shape}"
    if array.dtype.hasobject:
        return tag, [("[...]", array.ravel().tolist())]
    flat = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    return f"{tag} {hashlib.blake2b(flat.data, digest_size=16).hexdigest()}", []


def _code(code: types.CodeType) -> tuple[str, Parts]:
    names = (code.co_qualname, code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
    return f"code {names} {counts} {code.co_code.hex()} {code.co_exceptiontable.hex()}", [(".consts", code.co_consts)]


def _function(function: types.FunctionType) -> tuple[str, Parts]:
    code = function.__code__
    captured = dict(zip(code.co_freevars, map(_content, function.__closure__ or ()), strict=True))
    parts: Parts = [(".code", code), (".defaults", function.__defaults__), (".keywords", function.__kwdefaults__)]
    parts += [(f".{name}", x) for name, x in captured.items()]
    parts += [(f".{name}", x) for name, x in vars(function).items() if name != "__wrapped__"]
    if _is_installed(code.co_filename):
        return f"function {function.__module__}", parts
    return "function", parts + [(f".{name}", x) for name, x in _globals_read(code, function.__globals__).items()]


def _globals_read(code: types.CodeType, known: dict) -> dict[str, Any]:
    """The globals that code reads, by name; of a module of yours what it takes from there."""
    read: dict[str, Any] = {}
    inner = [x for x in code.co_consts if isinstance(x, types.CodeType)]
    for name in sorted({x.argval for x in dis.get_instructions(code) if x.opname in READS}):
        if name not in known:
            continue
        read[name] = found = known[name]
        if isinstance(found, types.ModuleType) and not _is_installed_module(found):
            taken = {x for part in (code, *inner) for x in part.co_names} & set(vars(found))
            read |= {f"{name}.{x}": vars(found)[x] for x in sorted(taken)}
    for part in inner:
        read |= _globals_read(part, known)
    return read


def _class(kind: type) -> tuple[str, Parts]:
    """A class of yours, by its bases and what it defines."""
    parts: Parts = [(f".bases[{i}]", base) for i, base in enumerate(kind.__bases__)]
    made = GENERATED if "__dataclass_fields__" in vars(kind) else set()
    for name, member in vars(kind).items():
        hidden = name.startswith("__") and not isinstance(member, types.FunctionType)
        if hidden or name.startswith(("_pytree__", "_abc_")) or isinstance(member, SLOTS) or name in made:
            continue
        if isinstance(member, property):
            parts += [(f".{name}.{way}", getattr(member, way)) for way in ("fget", "fset")]
        elif isinstance(member, functools.cached_property):
            parts.append((f".{name}", member.func))
        else:
            parts.append((f".{name}", getattr(member, "__func__", member)))
    return f"class {kind.__qualname__}", parts


def _object(value) -> tuple[str, Parts]:
    """Anything else: the content of a container, attributes, and what pickle would keep of types that say so."""
    kind, parts = type(value), [("", type(value))]
    if isinstance(value, dict | types.MappingProxyType):
        plain = [key for key in value if isinstance(key, str)]
        parts += [(f"[{key!r}]", value[key]) for key in plain]
        parts += [("", pair) for pair in value.items() if not isinstance(pair[0], str)]
        return "dict", parts + _attributes(value)
    if isinstance(value, list | tuple):
        names = getattr(value, "_fields", ())
        labels: Iterable[str] = (f".{x}" for x in names) if names else (f"[{i}]" for i in range(len(value)))
        return f"sequence {len(value)}", parts + list(zip(labels, value, strict=True)) + _attributes(value)
    if isinstance(value, set | frozenset):
        return "set", parts + [("", member) for member in value] + _attributes(value)
    if isinstance(value, PLAIN):
        base = next(base for base in kind.__mro__ if base in PLAIN)
        return f"{base.__name__} {base.__repr__(value)}", parts + _attributes(value)  # type: ignore[call-arg]
    if isinstance(value, WRAPPERS):
        return "wrapper", [("", kind), (".function", value.__wrapped__)]  # type: ignore[union-attr]
    if isinstance(value, nnx.Pytree):
        return "object", parts + _attributes(value)
    if kind in copyreg.dispatch_table:
        return _reduced(copyreg.dispatch_table[kind](value))
    if kind.__reduce__ is not object.__reduce__ or kind.__reduce_ex__ is not object.__reduce_ex__:
        return _reduced(value.__reduce_ex__(4))
    if kind.__getstate__ is object.__getstate__:
        object.__reduce_ex__(value, 2)  # raises TypeError where a type of C holds more than its attributes
    return "object", parts + _attributes(value)


def _reduced(made) -> tuple[str, Parts]:
    if isinstance(made, str):
        return f"reduced {made}", []
    items = [list(x) if i in (3, 4) and x is not None else x for i, x in enumerate(made)]
    return "reduced", [(f".reduced[{i}]", x) for i, x in enumerate(items)]


def _attributes(value) -> Parts:
    """Attributes that are held, not those that are found again when they are asked for."""
    found = dict(getattr(value, "__dict__", {}))
    for base in type(value).__mro__:
        slots = vars(base).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name not in ("__dict__", "__weakref__") and hasattr(value, name):
                found[name] = getattr(value, name)
    cached = {name for base in type(value).__mro__ for name, x in vars(base).items()
              if isinstance(x, functools.cached_property)}  # fmt: skip
    kept = {name: x for name, x in found.items() if name not in cached and not name.startswith("_pytree__")}
    return [
        (f"[{name}]" if name.isdecimal() else f".{name}", x) for name, x in kept.items()
    ]  # nnx.List numbers its own


def _installed_name(value) -> str | None:
    """The name by which a class or function of an installed package is found again."""
    home, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    module = sys.modules.get(home) if isinstance(home, str) and isinstance(name, str) else None
    if module is None or not _is_installed_module(module):
        return None
    try:
        found = functools.reduce(getattr, str(name).split("."), module)
    except AttributeError:
        return None
    return f"{home}:{name} {_release(module.__name__.split('.')[0])}" if found is value else None


@cache
def _release(package: str) -> str:
    """Of an installed package, or its first file where none is known; what every run compares needs none here."""
    if package in PACKAGES or package in sys.stdlib_module_names:
        return ""
    try:
        return version(package)
    except PackageNotFoundError:
        file = getattr(sys.modules.get(package), "__file__", None)
        return hashlib.blake2b(Path(file).read_bytes(), digest_size=16).hexdigest() if file else ""


def _is_installed_module(module: types.ModuleType) -> bool:
    """A part of an extension has no file: its package has one."""
    top = module.__name__.split(".")[0]
    if file := getattr(module, "__file__", None) or getattr(sys.modules.get(top), "__file__", None):
        return _is_installed(file)
    return top in sys.builtin_module_names


@cache
def _is_installed(file: str) -> bool:
    """Whether a file of code belongs to Python, to lgn or to a package."""
    parts = Path(file).parts
    inside = file.startswith((*PLACES, OWN, "<frozen"))
    return inside or "site-packages" in parts or "dist-packages" in parts


def _content(cell):
    try:
        return cell.cell_contents
    except ValueError:
        return "empty"

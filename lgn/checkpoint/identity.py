"""Identity: digests by content of what decides a result, the same in every process, so that calls can be told apart.

What is installed (Python, jax, lgn) is known by name and release; what is yours is known by content: functions by their
code, captured values and the globals that they read, objects by their attributes.
"""

import copyreg
import dis
import functools
import hashlib
import os
import sys
import sysconfig
import types
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx

from lgn._pytrees import Static
from lgn.checkpoint.files import CheckpointError

DEPTH, WIDTH = 12, 64  # an outline goes no deeper, and not into more parts
PACKAGES = ("lgn", "jax", "jaxlib", "flax", "optax", "diffrax")  # whose releases every run compares
PLAIN = (type(None), type(...), type(NotImplemented), bool, int, float, complex, str, bytes)
PLACES = (*{sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")},
          str(Path(__file__).parents[1]) + os.sep, "<frozen")  # fmt: skip
WRAPPERS = (type(jax.jit(lambda: None)), functools._lru_cache_wrapper)
SLOTS = (types.MemberDescriptorType, types.GetSetDescriptorType)
READS = ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS")
GENERATED = {"__init__", "__repr__", "__eq__", "__hash__", "__lt__", "__le__", "__gt__", "__ge__", "__setattr__",
             "__delattr__", "__replace__"}  # fmt: skip

Parts = list[tuple[str, Any]]  # by label: `.attribute`, `[item]`, or empty where it has none
UNREADABLE = (
    "{path} is a {kind.__module__}.{kind.__qualname__}, whose content cannot be read ({error}), so that another call "
    "could not be told from this one; use functions, dataclasses, arrays and numbers, or leave out the folder"
)


def fingerprint(value) -> str:
    """Digest of a value by content: equal in another process that makes the same value, another for any other.

    Raises:
        CheckpointError: something whose content cannot be read, such as a lock, an open file or a traced array.
    """
    return _Reader().digest(value, "value").hex()


def outline(named: dict[str, Any]) -> dict[str, str]:
    """Digests of named values, of their parts under `name.attribute` or `name[item]`, and so on.

    Raises:
        CheckpointError: as `fingerprint`, with the name of what cannot be read.
    """
    reader, lines = _Reader(), {}

    def walk(name, value, depth):
        lines[name] = reader.digest(value, name).hex()
        opens = isinstance(value, nnx.Pytree | functools.partial) or hasattr(value, "__dataclass_fields__")
        parts = reader.known[id(value)][2] if not callable(value) or (opens and not isinstance(value, type)) else []
        if depth < DEPTH and len(parts) <= WIDTH:
            for label, part in parts:
                if label:
                    walk(name + label, part, depth + 1)

    for name, value in named.items():
        walk(name, value, 0)
    return lines


def difference(before: dict[str, str], now: dict[str, str]) -> list[str]:
    """The innermost names whose digests differ between two outlines, or that only one of them has; the outer ones
    first."""
    names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    inner = [name for name in names if not any(other.startswith((f"{name}.", f"{name}[")) for other in names)]
    return sorted(inner, key=lambda name: name.count(".") + name.count("["))


def releases() -> str:
    """Releases of Python and of the packages that compute."""
    found = [f"{name} {_release(name)}" for name in PACKAGES if _release(name)]  # lgn, run from a folder, has none
    return ", ".join([f"python {sys.version_info.major}.{sys.version_info.minor}", *found])


class _Reader:
    """Digests of values; each is read once, and a value within itself is known by how far up it stands."""

    def __init__(self):
        self.known: dict[int, tuple[Any, bytes, Parts]] = {}  # the value too: its number is its own while it lives
        self._open: dict[int, int] = {}

    def digest(self, value, path: str) -> bytes:
        number = id(value)
        if number in self.known:
            return self.known[number][1]
        if number in self._open:
            return f"up {len(self._open) - self._open[number]}".encode()
        self._open[number] = len(self._open)
        try:
            tag, parts = parts_of(value)
            found = [(label.encode(), self.digest(part, path + label)) for label, part in parts]
        except CheckpointError:
            raise
        except RecursionError as error:
            raise CheckpointError(f"{path} is nested too deeply to be compared with another call's") from error
        except Exception as error:
            raise CheckpointError(UNREADABLE.format(path=path, kind=type(value), error=error)) from error
        finally:
            del self._open[number]
        content = hashlib.blake2b(tag.encode(), digest_size=16)
        for label, part in sorted(found):
            content.update(b"%d %s %d %s" % (len(label), label, len(part), part))
        self.known[number] = value, content.digest(), parts
        return content.digest()


def parts_of(value) -> tuple[str, Parts]:
    """What a value is, and its parts: the content of a container, attributes, what pickle would keep of other types."""
    kind = type(value)
    parts: Parts = [("", kind)]
    if kind in PLAIN:
        return f"{kind.__name__} {value!r}", []
    if name := _installed_name(value):
        return f"name {name}", []
    match value:
        case jax.core.Tracer():
            raise TypeError("it is traced: call outside of transformations")
        case jax.Array() | np.ndarray() | np.generic():
            return _array(value)
        case nnx.Variable():
            return "variable", [*parts, ("", value.get_raw_value()), (".metadata", value.get_metadata())]
        case Static():
            return "static", [(".value", value.value)]
        case types.CodeType():
            return _code(value)
        case types.FunctionType():
            return _function(value)
        case types.ModuleType():
            return f"module {value.__name__}", []
        case jax.Device():
            return f"device {value.platform} {value.id}", []
        case type():
            return _class(value)
        case functools.partial():
            parts += [(".func", value.func), (".args", value.args), (".keywords", value.keywords)]
            return "partial", parts + _attributes(value)
        case dict() | types.MappingProxyType():
            parts += [(f"[{key!r}]", x) if isinstance(key, str) else ("", (key, x)) for key, x in value.items()]
            return "dict", parts + _attributes(value)
        case list() | tuple():
            labels = [f".{x}" for x in getattr(value, "_fields", ())] or [f"[{i}]" for i in range(len(value))]
            return f"sequence {len(value)}", parts + list(zip(labels, value, strict=True)) + _attributes(value)
        case set() | frozenset():
            return "set", parts + [("", member) for member in value] + _attributes(value)
    if isinstance(value, PLAIN):
        base = next(base for base in kind.__mro__ if base in PLAIN)
        return f"{base.__name__} {base.__repr__(value)}", parts + _attributes(value)  # type: ignore[call-arg]
    if isinstance(value, WRAPPERS):
        return "wrapper", [*parts, (".function", value.__wrapped__)]  # type: ignore[union-attr]
    if isinstance(value, nnx.Pytree):
        return "object", parts + _attributes(value)
    if kind in copyreg.dispatch_table:
        return _reduced(copyreg.dispatch_table[kind](value))
    if kind.__reduce__ is not object.__reduce__ or kind.__reduce_ex__ is not object.__reduce_ex__:
        return _reduced(value.__reduce_ex__(4))
    if kind.__getstate__ is object.__getstate__:
        object.__reduce_ex__(value, 2)  # raises TypeError where a type of C holds more than its attributes
    return "object", parts + _attributes(value)


def _array(value) -> tuple[str, Parts]:
    weak = " weak" if getattr(value, "weak_type", False) else ""
    if jax.dtypes.issubdtype(value.dtype, jax.dtypes.prng_key):
        return f"key {jax.random.key_impl(value)}", [(".data", np.asarray(jax.random.key_data(value)))]
    array = np.asarray(value)
    tag = f"{'traced' if isinstance(value, jax.Array) else 'static'}{weak} {array.dtype!r} {array.shape}"
    if array.dtype.hasobject:
        return tag, [("[...]", array.ravel().tolist())]
    flat = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    return f"{tag} {hashlib.blake2b(flat.data, digest_size=16).hexdigest()}", []


def _code(code: types.CodeType) -> tuple[str, Parts]:
    members = ("qualname", "names", "varnames", "freevars", "cellvars", "argcount", "posonlyargcount", "kwonlyargcount",
               "flags", "code", "exceptiontable")  # fmt: skip
    return f"code {[getattr(code, f'co_{name}') for name in members]}", [(".consts", code.co_consts)]


def _function(function: types.FunctionType) -> tuple[str, Parts]:
    code = function.__code__
    captured = dict(zip(code.co_freevars, map(_content, function.__closure__ or ()), strict=True))
    named = captured | {name: x for name, x in vars(function).items() if name != "__wrapped__"}
    parts: Parts = [(".code", code), (".defaults", function.__defaults__), (".keywords", function.__kwdefaults__)]
    tag = f"function {function.__module__}"
    if not _is_installed(code.co_filename):
        tag, named = "function", named | _globals_read(code, function.__globals__)
    return tag, parts + [(f".{name}", x) for name, x in named.items()]


def _globals_read(code: types.CodeType, known: dict) -> dict[str, Any]:
    """The globals that code reads, by name; of a module of yours what it takes from there."""
    read: dict[str, Any] = {}
    inner = [x for x in code.co_consts if isinstance(x, types.CodeType)]
    for name in sorted({x.argval for x in dis.get_instructions(code) if x.opname in READS} & set(known)):
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
        else:
            held = member.func if isinstance(member, functools.cached_property) else getattr(member, "__func__", member)
            parts.append((f".{name}", held))
    return f"class {kind.__qualname__}", parts


def _reduced(made) -> tuple[str, Parts]:
    if isinstance(made, str):
        return f"reduced {made}", []
    items = [list(x) if i in (3, 4) and x is not None else x for i, x in enumerate(made)]
    return "reduced", [(f".reduced[{i}]", x) for i, x in enumerate(items)]


def _attributes(value) -> Parts:
    """Attributes that are held, not those that are found again when they are asked for; nnx.List numbers its own."""
    found, computed = dict(getattr(value, "__dict__", {})), {"__dict__", "__weakref__"}
    for base in type(value).__mro__:
        slots = vars(base).get("__slots__", ())
        names = (slots,) if isinstance(slots, str) else slots
        found |= {name: getattr(value, name) for name in names if hasattr(value, name)}
        computed |= {name for name, x in vars(base).items() if isinstance(x, functools.cached_property)}
    kept = {name: x for name, x in found.items() if name not in computed and not name.startswith("_pytree__")}
    return [(f"[{name}]" if name.isdecimal() else f".{name}", x) for name, x in kept.items()]


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
    package = module.__name__.split(".")[0]  # what every run compares needs no release here
    known = package in PACKAGES or package in sys.stdlib_module_names
    return f"{home}:{name} {'' if known else _release(package)}" if found is value else None


@cache
def _release(package: str) -> str:
    """Of an installed package, or a digest of its first file where none is known."""
    try:
        return version(package)
    except PackageNotFoundError:
        file = getattr(sys.modules.get(package), "__file__", None) if package not in PACKAGES else None
        return hashlib.blake2b(Path(file).read_bytes(), digest_size=16).hexdigest() if file else ""


def _is_installed_module(module: types.ModuleType) -> bool:
    """A part of an extension has no file: its package has one."""
    top = module.__name__.split(".")[0]
    file = getattr(module, "__file__", None) or getattr(sys.modules.get(top), "__file__", None)
    return _is_installed(file) if file else top in sys.builtin_module_names


@cache
def _is_installed(file: str) -> bool:
    """Whether a file of code belongs to Python, to lgn or to a package."""
    return file.startswith(PLACES) or not {"site-packages", "dist-packages"}.isdisjoint(Path(file).parts)


def _content(cell):
    try:
        return cell.cell_contents
    except ValueError:
        return "empty"

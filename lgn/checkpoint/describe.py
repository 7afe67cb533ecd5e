"""Descriptions: objects as JSON beside arrays. What a file names is looked up in a register, never imported."""

import functools
import importlib
import inspect
from collections.abc import Iterable, Iterator
from dataclasses import fields, is_dataclass
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import jraph
import numpy as np
from flax import nnx

from lgn import _names

ELEMENTWISE = {
    "jax.nn": [
        "celu", "elu", "gelu", "log_sigmoid", "mish", "relu", "selu", "sigmoid", "silu", "soft_sign", "softplus",
        "squareplus", "swish",
    ],
    "jax.numpy": [
        "arcsinh", "arctan", "cos", "cosh", "exp", "expm1", "log1p", "sin", "sinc", "sinh", "square", "tanh",
    ],
}  # fmt: skip
MATHEMATICS = ("densities.", "graphs.stencils", "mechanics.laws")  # modules whose functions only compute
NAMES = ("object", "function", "partial", "traced partial")  # tags whose value is a name


class CheckpointError(ValueError):
    """A checkpoint that cannot be written or read; the message says why."""


class Register:
    """The names that a checkpoint may use: lgn's public classes, its mathematical functions, elementwise functions of
    `jax.nn` and `jax.numpy`, and what the caller trusts.

    Args:
        trusted: modules, classes and functions; of a module only what it defines itself.
    """

    def __init__(self, trusted: Iterable[Any] = ()):
        self.trusted = tuple(trusted)

    def find(self, name: str):
        """What a name stands for.

        Raises:
            CheckpointError: a name that is not in the register; it is neither imported nor called.
        """
        module, _, attribute = str(name).partition(":")
        if attribute.isidentifier() and not attribute.startswith("_"):
            found = _of_lgn(module, attribute) or _of_jax(module, attribute) or self._of_caller(module, attribute)
            if found is not None:
                return found
        raise CheckpointError(
            f"load: the checkpoint names {name!r}, which is neither public in lgn nor an elementwise function of "
            f"jax.nn or jax.numpy; nothing of it was imported or called. If you know it, hand over its module: "
            f"lgn.load(path, trusted=[{module.split('.')[-1] or 'module'}])"
        )

    def _of_caller(self, module, attribute):
        for known in self.trusted:
            if isinstance(known, ModuleType):
                found = getattr(known, attribute, None) if known.__name__ == module else None
                if callable(found) and getattr(found, "__module__", module) == module:
                    return found
            elif getattr(known, "__name__", None) == attribute and known.__module__ in (module, "__main__"):
                return known
        return None


def name_of(value) -> str:
    """The name by which a class or function can be found again.

    Raises:
        CheckpointError: a lambda, a local function.
    """
    name, home = getattr(value, "__name__", ""), getattr(value, "__module__", "")
    if name in _names.MODULE and _names.find(name) is value:
        return f"lgn:{name}"
    for module, known in ELEMENTWISE.items():
        if name in known and getattr(importlib.import_module(module), name) is value:
            return f"{module}:{name}"
    if not home or getattr(importlib.import_module(home), name, None) is not value:
        raise CheckpointError(
            f"save: {name or value} cannot be found again by name; define it at the top of a module that can be "
            f"imported"
        )
    if home.startswith("lgn."):
        Register().find(f"{home}:{name}")
    return f"{home}:{name}"


def describe(value, arrays: dict[str, np.ndarray], path: str = "") -> Any:
    """JSON of functions by name, of objects by the arguments that make them again, of plain values; arrays are added
    to `arrays` under their path.

    Raises:
        CheckpointError: an object without `config()`, a function that has no name.
    """

    def within(items):
        return {str(name): describe(x, arrays, f"{path}/{name}") for name, x in items}

    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, nnx.Variable):
        return {"parameter": describe(value[...], arrays, path)}
    if isinstance(value, jax.Array | np.ndarray):
        arrays[path] = np.asarray(value)
        return {"array": path, "traced": isinstance(value, jax.Array)}
    if isinstance(value, jraph.GraphsTuple):
        return {"graph": within(value._asdict().items())}
    if isinstance(value, dict):
        return {"dict": within(value.items())}
    if isinstance(value, list | tuple):
        return {"list" if isinstance(value, list) else "tuple": list(within(enumerate(value)).values())}
    if hasattr(value, "config") and not isinstance(value, type):
        return {"object": name_of(type(value)), "arguments": within(value.config().items())}
    if is_dataclass(value) and not isinstance(value, type):
        return {
            "object": name_of(type(value)),
            "arguments": within((f.name, getattr(value, f.name)) for f in fields(value)),
        }
    if isinstance(value, functools.partial) and not value.args:
        kind = "partial" if not isinstance(value, jax.tree_util.Partial) else "traced partial"
        return {kind: name_of(value.func), "arguments": within(value.keywords.items())}
    if callable(value) and hasattr(value, "__name__"):
        return {"function": name_of(value)}
    raise CheckpointError(f"save: {type(value).__name__} has no config(), the arguments that make it again")


def names_in(description) -> Iterator[str]:
    """Every name that a description would look up."""
    if isinstance(description, dict):
        yield from (description[tag] for tag in NAMES if tag in description)
        description = list(description.values())
    if isinstance(description, list):
        for part in description:
            yield from names_in(part)


def build(description, arrays: dict[str, np.ndarray], register: Register) -> Any:
    """What `describe` described; learned weights are drawn anew.

    Raises:
        CheckpointError: a name that is not in the register, an object that takes no such arguments.
    """
    if not isinstance(description, dict):
        return description

    def within(named):
        return {name: build(x, arrays, register) for name, x in named.items()}

    match description:
        case {"array": path, "traced": traced}:
            return jnp.asarray(arrays[path]) if traced else np.asarray(arrays[path])
        case {"parameter": value}:
            return nnx.Param(build(value, arrays, register))
        case {"graph": named}:
            return jraph.GraphsTuple(**within(named))
        case {"dict": named}:
            return within(named)
        case {"list": members}:
            return [build(x, arrays, register) for x in members]
        case {"tuple": members}:
            return tuple(build(x, arrays, register) for x in members)
        case {"object": name, "arguments": named}:
            return _make(register.find(name), within(named))
        case {"partial": name, "arguments": named}:
            return functools.partial(register.find(name), **within(named))
        case {"traced partial": name, "arguments": named}:
            return jax.tree_util.Partial(register.find(name), **within(named))
        case {"function": name}:
            return register.find(name)
    raise CheckpointError(f"load: {sorted(description)} describes nothing that lgn knows")


def _make(kind, arguments):
    if not isinstance(kind, type) or not (hasattr(kind, "config") or is_dataclass(kind)):
        raise CheckpointError(f"load: {kind.__name__} is not a class that describes itself by config()")
    taken = inspect.signature(kind.__init__).parameters.values()  # that of the class is its metaclass's: (*args)
    random = {"rngs": nnx.Rngs(0)} if any(p.name == "rngs" or p.kind is p.VAR_KEYWORD for p in taken) else {}
    return kind(**arguments, **random)


def _of_lgn(module, attribute):
    """A public class of lgn, or a function of its mathematics: none that reads, writes or runs anything."""
    if module == "lgn" and attribute in _names.MODULE:
        found = _names.find(attribute)
        return found if isinstance(found, type) or _names.MODULE[attribute].startswith(MATHEMATICS) else None
    if module.startswith("lgn.systems.") and module.removeprefix("lgn.systems.").isidentifier():
        try:
            found = getattr(importlib.import_module(module), attribute, None)
        except ImportError:
            return None
        return found if getattr(found, "__module__", None) == module and not isinstance(found, type) else None
    return None


def _of_jax(module, attribute):
    if attribute in ELEMENTWISE.get(module, ()):
        return getattr(importlib.import_module(module), attribute)
    return None

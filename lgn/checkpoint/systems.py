"""Saving and loading of systems: arrays under their paths, all else as a description by public names.

What a file names is looked up in a register, never imported.
"""

import functools
import importlib
import inspect
import types
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import jraph
import numpy as np
from flax import nnx

from lgn import _arguments, _names
from lgn.checkpoint.files import CheckpointError, another_format, not_written, read_archive, write_archive

FILE = "system.npz"
BEFORE = ("system.json", "arrays", "checksum")  # files of format 3
PROTOCOL = ("rate", "energy", "check", "config")
LEAF = "leaf"
ELEMENTWISE = {
    "jax.nn": ("celu", "elu", "gelu", "log_sigmoid", "mish", "relu", "selu", "sigmoid", "silu", "soft_sign",
               "softplus", "squareplus", "swish"),
    "jax.numpy": ("arcsinh", "arctan", "cos", "cosh", "exp", "expm1", "log1p", "sin", "sinc", "sinh", "square", "tanh"),
}  # fmt: skip
MATHEMATICS = ("densities.", "graphs.stencils")  # modules whose functions only compute
CALLS: dict[str, Callable] = {"partial": functools.partial, "traced partial": jax.tree_util.Partial}
NAMES = ("object", "function", *CALLS)  # tags whose value is a name


def save(path: str | Path, system) -> None:
    """Write a system: the arguments that make it again, and its parameters.

    Densities, forces and activations are written by name, so they must be importable; a learned density of your own
    needs `config()`, the keyword arguments that make it again (beside `rngs`), see `lgn.config_of`.

    Args:
        path: folder, made where it is needed; the file `system.npz` in it is replaced as a whole.
        system: a Lagrangian, a baseline, or any other system that has `config()`.

    Raises:
        CheckpointError: a function that cannot be found again by name (a lambda, a local function); a folder that
            cannot be written.

    Example:
        >>> import lgn, tempfile
        >>> from flax import nnx
        >>> L = lgn.Lagrangian(lgn.lattice((5,)), lgn.MLPDensity(3, 1, rngs=nnx.Rngs(0)))
        >>> folder = tempfile.mkdtemp()
        >>> lgn.save(folder, L)
        >>> lgn.load(folder).graph.n_node.tolist()
        [5]
    """
    examples = "lgn.Lagrangian(graph, density), or another with config()"
    _arguments.has("save: system", system, PROTOCOL, examples)
    folder = _arguments.path("save: path", path).absolute()
    arrays: dict[str, np.ndarray] = {}
    description = describe(system, arrays)
    arrays |= {f"{LEAF}/{name}": np.asarray(x) for name, x in leaves_of(system).items()}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_archive(folder / FILE, {"system": description}, arrays)
        for name in BEFORE:
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise not_written(folder, error) from error


def load(path: str | Path, *, trusted: Iterable[Any] = ()):
    """Read what `save` wrote.

    A file runs no code of its own: it is compared with its checksum, and every class and function that it names is
    looked up among lgn's public ones, elementwise functions of jax, and what you trust.

    Args:
        path: the folder.
        trusted: your modules, classes or functions that the system may be made of.

    Returns:
        The system.

    Raises:
        CheckpointError: nothing there, cut short, altered, written by another version, a name that is not trusted, or
            leaves that are not those of the system that it describes.
    """
    folder = _arguments.path("load: path", path).absolute()
    if isinstance(trusted, str) or not isinstance(trusted, Iterable):
        raise ValueError(f"load: trusted={trusted!r}; expected a list of modules, classes or functions: give [module]")
    if not folder.exists():
        raise CheckpointError(f"load: {path} does not exist")
    if not (folder / FILE).exists() and (folder / BEFORE[0]).exists():
        raise another_format(folder, 3)
    try:
        content, arrays = read_archive(folder / FILE)
    except CheckpointError:
        raise
    except Exception as error:  # whatever numpy's readers raise at bytes that no `savez` wrote
        raise CheckpointError(
            f"load: {path} is not a whole checkpoint ({error}); it was cut short, altered, or another version wrote it"
        ) from error
    look_up = functools.partial(find, trusted=tuple(trusted))
    try:
        for name in names_in(content["system"]):
            look_up(name)
        system = build(content["system"], arrays, look_up)
        if lacking := [name for name in PROTOCOL if not hasattr(system, name)]:
            raise CheckpointError(f"load: {path} holds a {type(system).__name__}, which lacks {lacking[0]}: no system")
        return _with_leaves(system, arrays)
    except CheckpointError:
        raise
    except Exception as error:  # whatever a constructor raises at arguments that no `save` wrote
        raise CheckpointError(f"load: {path} describes no system that lgn can make: {error}") from error


def leaves_of(system) -> dict[str, Any]:
    """The leaves of a system by their path in its tree."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(system)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}


def _with_leaves(system, arrays):
    """The system with the leaves of the checkpoint, each in its own place."""
    known = leaves_of(system)
    written = {name.removeprefix(f"{LEAF}/"): x for name, x in arrays.items() if name.startswith(f"{LEAF}/")}
    if odd := sorted(set(known) ^ set(written)):
        where = "the checkpoint" if odd[0] in written else "the system that it describes"
        raise CheckpointError(
            f"load: only {where} has the leaf {odd[0]!r}; it was written by another version of a class"
        )
    for name, leaf in known.items():
        x = written[name]
        if x.shape != leaf.shape or np.issubdtype(x.dtype, np.floating) != np.issubdtype(leaf.dtype, np.floating):
            raise CheckpointError(
                f"load: leaf {name!r} has shape {x.shape} and dtype {x.dtype}; expected {leaf.shape}, {leaf.dtype}"
            )
        if jnp.asarray(x).dtype != x.dtype:
            raise CheckpointError(
                f"load: leaf {name!r} is {x.dtype}, but jax makes it {jnp.asarray(x).dtype} here; call "
                f"jax.config.update('jax_enable_x64', True) first"
            )
    return jax.tree.unflatten(jax.tree.structure(system), [jnp.asarray(written[name]) for name in known])


def describe(value, arrays: dict[str, np.ndarray], path: str = "") -> Any:
    """JSON of functions by name, of objects by the arguments that make them again, of plain values; arrays are added
    to `arrays` under their path. Raises CheckpointError for an object without `config()`, a function without a name."""

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
    if not isinstance(value, type) and (hasattr(value, "config") or is_dataclass(value)):
        given = value.config() if hasattr(value, "config") else {f.name: getattr(value, f.name) for f in fields(value)}
        return {"object": name_of(type(value)), "arguments": within(given.items())}
    if isinstance(value, functools.partial) and not value.args:
        kind = "partial" if not isinstance(value, jax.tree_util.Partial) else "traced partial"
        return {kind: name_of(value.func), "arguments": within(value.keywords.items())}
    if callable(value) and hasattr(value, "__name__"):
        return {"function": name_of(value)}
    raise CheckpointError(f"save: {type(value).__name__} has no config(), the arguments that make it again")


def build(description, arrays: dict[str, np.ndarray], look_up: Callable[[str], Any]) -> Any:
    """Make what `describe` described again, of what the names stand for; learned weights are drawn anew. Raises
    CheckpointError for a name that is not in the register, an object that takes no such arguments."""

    def within(part):
        return {name: build(x, arrays, look_up) for name, x in part.items()}

    match description:
        case None | bool() | int() | float() | str():
            return description
        case {"array": path, "traced": traced}:
            return jnp.asarray(arrays[path]) if traced else arrays[path]
        case {"parameter": value}:
            return nnx.Param(build(value, arrays, look_up))
        case {"graph": named}:
            return jraph.GraphsTuple(**within(named))
        case {"dict": named}:
            return within(named)
        case {"list": members} | {"tuple": members}:
            return (list if "list" in description else tuple)(build(x, arrays, look_up) for x in members)
        case {"function": name}:
            return look_up(name)
        case {"object": name, "arguments": named}:
            return _make(look_up(name), within(named))
        case {"arguments": named} if tags := CALLS.keys() & description:
            return CALLS[tag := tags.pop()](look_up(description[tag]), **within(named))
    known = sorted(description) if isinstance(description, dict) else type(description).__name__
    raise CheckpointError(f"load: {known} describes nothing that lgn knows")


def _make(kind, arguments):
    if not isinstance(kind, type) or not (hasattr(kind, "config") or is_dataclass(kind)):
        raise CheckpointError(f"load: {kind.__name__} is not a class that describes itself by config()")
    taken = inspect.signature(kind.__init__).parameters.values()  # that of the class is its metaclass's: (*args)
    random = {"rngs": nnx.Rngs(0)} if any(p.name == "rngs" or p.kind is p.VAR_KEYWORD for p in taken) else {}
    return kind(**arguments, **random)


def names_in(description) -> Iterator[str]:
    """Every name that a description would look up."""
    if isinstance(description, dict):
        yield from (description[tag] for tag in NAMES if tag in description)
        description = list(description.values())
    if isinstance(description, list):
        for part in description:
            yield from names_in(part)


def name_of(value) -> str:
    """The name by which a class or function can be found again; raises CheckpointError for a lambda, a local one."""
    name, home = getattr(value, "__name__", ""), getattr(value, "__module__", "")
    if name in _names.FOUND and _names.find(name) is value:
        return f"lgn:{name}"
    for module in ELEMENTWISE:
        if _of_jax(module, name) is value:
            return f"{module}:{name}"
    if not home or getattr(importlib.import_module(home), name, None) is not value:
        raise CheckpointError(
            f"save: {name or value} cannot be found again by name; define it at the top of a module that can be "
            f"imported"
        )
    if home.startswith("lgn."):
        find(f"{home}:{name}")
    return f"{home}:{name}"


def find(name: str, trusted: tuple[Any, ...] = ()) -> Any:
    """Look up a name in the register: lgn's public classes, its mathematical functions, elementwise functions
    of `jax.nn` and `jax.numpy`, and what the caller trusts; of a module only what it defines itself. Raises
    CheckpointError for a name that is not there; it is neither imported nor called."""
    module, _, attribute = str(name).partition(":")
    if attribute.isidentifier() and not attribute.startswith("_"):
        found = _of_lgn(module, attribute) or _of_jax(module, attribute) or _of_caller(trusted, module, attribute)
        if found is not None:
            return found
    raise CheckpointError(
        f"load: the checkpoint names {name!r}, which is neither public in lgn nor an elementwise function of "
        f"jax.nn or jax.numpy; nothing of it was imported or called. If you know it, hand over its module: "
        f"lgn.load(path, trusted=[{module.split('.')[-1] or 'module'}])"
    )


def _of_lgn(module, attribute):
    """A public class of lgn, or a function of its mathematics: none that reads, writes or runs anything."""
    if module == "lgn" and attribute in _names.FOUND:
        found = _names.find(attribute)
        return found if isinstance(found, type) or _names.FOUND[attribute].startswith(MATHEMATICS) else None
    if module.startswith("lgn.systems.") and module.removeprefix("lgn.systems.").isidentifier():
        try:
            found = getattr(importlib.import_module(module), attribute, None)
        except ImportError:
            return None
        return found if getattr(found, "__module__", None) == module and not isinstance(found, type) else None
    return None


def _of_jax(module, attribute):
    return getattr(importlib.import_module(module), attribute) if attribute in ELEMENTWISE.get(module, ()) else None


def _of_caller(trusted, module, attribute):
    for known in trusted:
        if isinstance(known, types.ModuleType):
            found = getattr(known, attribute, None) if known.__name__ == module else None
            if callable(found) and getattr(found, "__module__", module) == module:
                return found
        elif getattr(known, "__name__", None) == attribute and known.__module__ in (module, "__main__"):
            return known
    return None

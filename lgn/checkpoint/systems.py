"""Saving and loading of systems: arrays under their paths, all else as a description by public names."""

import hashlib
import json
import math
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lgn import _arguments
from lgn.checkpoint.describe import CheckpointError, Register, build, describe, names_in
from lgn.checkpoint.files import not_written

FORMAT = 3
PROTOCOL = ("rate", "energy", "check", "config")
LEAF = "leaf"


def save(path: str | Path, system) -> None:
    """Writes a system: the arguments that make it again, and its parameters.

    Densities, forces and activations are written by name, so they must be importable; a learned density of your own
    needs `config()`, the keyword arguments that make it again (beside `rngs`), see `lgn.config_of`.

    Args:
        path: folder, made or replaced as a whole.
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
    _arguments.path("save: path", path)
    arrays: dict[str, np.ndarray] = {}
    content = {"format": FORMAT, "system": describe(system, arrays)}
    arrays |= {f"{LEAF}/{name}": np.asarray(x) for name, x in leaves_of(system).items()}
    content["arrays"] = {name: [list(x.shape), str(x.dtype)] for name, x in arrays.items()}
    final = Path(path).absolute()
    fresh = final.with_name(f".{final.name}.{os.getpid()}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        fresh.mkdir(parents=True)
        (fresh / "system.json").write_text(json.dumps(content, indent=1))
        _write(fresh / "arrays", arrays)
        (fresh / "checksum").write_text(_checksum(fresh))
        _replace(final, fresh)
    except OSError as error:
        raise not_written(final, error) from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def load(path: str | Path, *, trusted: Iterable[Any] = ()):
    """Reads what `save` wrote.

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
        left = [str(x) for x in folder.parent.glob(f".{folder.name}.*.old")]
        aside = f", but a save that was killed left {left[0]}: rename that" if left else ""
        raise CheckpointError(f"load: {path} does not exist{aside}")
    try:
        content = _read_description(folder)
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"load: {path} is not a whole checkpoint ({error}); it was cut short, altered, or another version wrote it"
        ) from error
    found = content.get("format") if isinstance(content, dict) else None
    if found != FORMAT:
        raise CheckpointError(
            f"load: {path} has format {found} and this lgn reads {FORMAT}; load it with the version that wrote it"
        )
    register = Register(trusted)
    try:
        for name in names_in(content["system"]):
            register.find(name)
        arrays = _read_arrays(folder / "arrays", content["arrays"])
        system = build(content["system"], arrays, register)
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


def _read_description(folder: Path):
    """Content of `system.json`, once the folder matches its checksum."""
    if (folder / "checksum").read_text() != _checksum(folder):
        raise ValueError("its checksum differs")
    return json.loads((folder / "system.json").read_text())


def _checksum(folder: Path) -> str:
    """Digest of the names and contents of all other files."""
    digest = hashlib.blake2b(digest_size=32)
    for file in sorted(x for x in folder.rglob("*") if x.is_file() and x != folder / "checksum"):
        content = file.read_bytes()
        digest.update(f"{file.relative_to(folder).as_posix()} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()


def _replace(final: Path, fresh: Path) -> None:
    """Puts `fresh` in place of `final`; an error or Ctrl-C leave one of the two there, a kill between two system calls
    the old one beside it."""
    old = final.with_name(f".{final.name}.{os.getpid()}.old")
    try:
        if final.exists():
            final.rename(old)
        fresh.rename(final)
    finally:
        if old.exists() and not final.exists():
            old.rename(final)
        shutil.rmtree(old, ignore_errors=True)


def _write(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """The bytes of the arrays, one after the other."""
    with open(path, "wb") as file:
        for x in arrays.values():
            file.write(x.tobytes())


def _read_arrays(path: Path, table: dict) -> dict[str, np.ndarray]:
    """The arrays of the table, with the shapes and dtypes that it says."""
    content, place, arrays = memoryview(path.read_bytes()), 0, {}
    for name, (shape, named) in table.items():
        dtype = np.dtype(named)
        if dtype.hasobject:
            raise CheckpointError(f"load: array {name!r} has dtype {dtype}, which no `save` writes")
        start, place = place, place + dtype.itemsize * math.prod(shape)
        if place > len(content):
            raise CheckpointError(f"load: array {name!r} of shape {shape} and dtype {dtype} goes beyond the file")
        arrays[name] = np.frombuffer(content[start:place], dtype).reshape(shape).copy()
    if place != len(content):
        raise CheckpointError(f"load: {len(content) - place} bytes of the arrays stand in no table")
    return arrays

"""Saving and loading of systems: arrays by orbax under their paths, all else as a description by public names."""

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lgn.checkpoint.describe import CheckpointError, Register, build, describe, names_in

FORMAT = 2
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
        CheckpointError: a function that cannot be found again by name (a lambda, a local function).

    Example:
        >>> import lgn, tempfile
        >>> from flax import nnx
        >>> L = lgn.Lagrangian(lgn.lattice((5,)), lgn.MLPDensity(3, 1, rngs=nnx.Rngs(0)))
        >>> folder = tempfile.mkdtemp()
        >>> lgn.save(folder, L)
        >>> lgn.load(folder).graph.n_node.tolist()
        [5]
    """
    arrays: dict[str, np.ndarray] = {}
    content = {"format": FORMAT, "system": describe(system, arrays)}
    arrays |= {f"{LEAF}/{name}": np.asarray(x) for name, x in leaves_of(system).items()}
    content["arrays"] = {name: [list(x.shape), str(x.dtype)] for name, x in arrays.items()}
    final = Path(path).absolute()
    fresh = final.with_name(f".{final.name}.{os.getpid()}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    try:
        (fresh / "system.json").write_text(json.dumps(content, indent=1))
        _write(fresh / "arrays", {name: x for name, x in arrays.items() if x.size})  # orbax takes no empty array
        (fresh / "checksum").write_text(_checksum(fresh))
        _replace(final, fresh)
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
    folder = Path(path).absolute()
    if not folder.exists():
        raise CheckpointError(f"load: {path} does not exist")
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
    """Puts `fresh` in place of `final`; a kill in between leaves one of the two intact."""
    if not final.exists():
        fresh.rename(final)
        return
    old = final.with_name(f".{final.name}.{os.getpid()}.old")
    final.rename(old)
    fresh.rename(final)
    shutil.rmtree(old)


def _write(folder: Path, arrays: dict[str, np.ndarray]) -> None:
    import orbax.checkpoint as ocp

    with quiet(), ocp.Checkpointer(ocp.StandardCheckpointHandler()) as writer:
        writer.save(folder, args=ocp.args.StandardSave(arrays))


def _read_arrays(folder: Path, table: dict) -> dict[str, np.ndarray]:
    """The arrays of the table, with the shapes and dtypes that it says."""
    import orbax.checkpoint as ocp

    with quiet(), ocp.Checkpointer(ocp.StandardCheckpointHandler()) as reader:
        found = {name: np.asarray(x) for name, x in reader.restore(folder).items()}
    empty = {name: np.zeros(shape, dtype) for name, (shape, dtype) in table.items() if 0 in shape}
    arrays = found | empty
    if odd := sorted(set(arrays) ^ set(table)):
        raise CheckpointError(f"load: array {odd[0]!r} is missing or stands in no table")
    for name, (shape, dtype) in table.items():
        x = arrays[name]
        if list(x.shape) != shape or str(x.dtype) != dtype:
            raise CheckpointError(
                f"load: array {name!r} has shape {list(x.shape)} and dtype {x.dtype}; its table says {shape}, {dtype}"
            )
    return arrays


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """orbax logs every save on absl's logger."""
    import logging

    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)

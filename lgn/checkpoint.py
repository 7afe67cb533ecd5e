"""Checkpoints: a system on disk, and the state of a running job. orbax writes the arrays."""

import contextlib
import hashlib
import importlib
import inspect
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import jraph
import numpy as np
from flax import nnx

from lgn.baselines import Baseline
from lgn.graphs import GEOMETRY
from lgn.lagrangian import Lagrangian
from lgn.stencils import Stencil

FORMAT = 1


class CheckpointError(ValueError):
    """A checkpoint that cannot be written or read; the message says why."""


def save(path: str | Path, system: Lagrangian | Baseline) -> None:
    """Writes a system: its graph, terms, solver and parameters.

    Densities, forces and activations are written by name, so they must be importable; a learned density of your own
    needs `config()`, the keyword arguments that make it again (beside `rngs`).

    Args:
        path: folder, made or replaced.
        system: a Lagrangian or a baseline.

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
    import orbax.checkpoint as ocp

    arrays, description = _describe(system)
    arrays, description["empty"] = _without_empty(arrays)
    with _quiet(), ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as writer:
        writer.save(
            Path(path).absolute(),
            ocp.args.Composite(arrays=ocp.args.StandardSave(arrays), system=ocp.args.JsonSave(description)),
            force=True,
        )


def load(path: str | Path) -> Lagrangian | Baseline:
    """Reads what `save` wrote.

    Raises:
        CheckpointError: nothing there, cut short, or written by another version.
    """
    import orbax.checkpoint as ocp

    folder = Path(path).absolute()
    if not folder.exists():
        raise CheckpointError(f"load: {path} does not exist")
    try:
        with _quiet(), ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as reader:
            found = reader.restore(
                folder, ocp.args.Composite(arrays=ocp.args.StandardRestore(), system=ocp.args.JsonRestore())
            )
        arrays, description = found["arrays"], found["system"]
        if not arrays or not description:
            raise FileNotFoundError("arrays or system")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
        raise CheckpointError(
            f"load: {path} is not a whole checkpoint ({error}); it was cut short or is another file"
        ) from error
    if description.get("format") != FORMAT:
        raise CheckpointError(
            f"load: {path} has format {description.get('format')} and this lgn reads {FORMAT}; "
            f"load it with the version that wrote it"
        )
    return _build(_with_empty(arrays, description.get("empty", {})), description)


class Checkpoints:
    """The last two states of a job, written so that a kill at any moment leaves a whole one.

    Args:
        folder: made when needed.
        identity: of the job; a folder that holds another one is refused.
        seconds: least time between two.
    """

    def __init__(self, folder: Path, identity: str, seconds: float):
        import orbax.checkpoint as ocp

        options = ocp.CheckpointManagerOptions(max_to_keep=2, enable_async_checkpointing=False)
        self._ocp, self._identity, self._seconds, self._last = ocp, identity, seconds, time.monotonic()
        with _quiet():
            self._manager = ocp.CheckpointManager(Path(folder).absolute(), options=options)

    def due(self) -> bool:
        """Whether the last one is long enough ago."""
        return time.monotonic() - self._last >= self._seconds

    def keep(self, state: dict[str, Any]) -> None:
        """Write the state, a tree of dicts of arrays."""
        args = self._ocp.args
        number = (self._manager.latest_step() or 0) + 1
        content = {"identity": self._identity, "format": FORMAT}
        with _quiet():
            self._manager.save(
                number, args=args.Composite(state=args.StandardSave(state), job=args.JsonSave(content)), force=True
            )
        self._last = time.monotonic()

    def restore(self) -> dict[str, Any] | None:
        """The last whole state, or None.

        Raises:
            CheckpointError: the folder holds another job.
        """
        number = self._manager.latest_step()
        if number is None:
            return None
        args = self._ocp.args
        with _quiet():
            found = self._manager.restore(
                number, args=args.Composite(state=args.StandardRestore(), job=args.JsonRestore())
            )
        if found["job"] != {"identity": self._identity, "format": FORMAT}:
            raise CheckpointError(
                f"{self._manager.directory.parent} holds another run: other data, parameters, key, phases or format; "
                f"give another folder, or remove it"
            )
        return found["state"]


def fingerprint(arrays: Sequence, names: Sequence[str]) -> str:
    """Digest of arrays and names."""
    content = hashlib.blake2b(json.dumps(list(names)).encode(), digest_size=16)
    for array in arrays:
        content.update(np.ascontiguousarray(array).data)
    return content.hexdigest()


def _without_empty(arrays):
    """The tree with a placeholder for each array without entries, which orbax cannot write, and their shapes."""
    leaves, structure = jax.tree_util.tree_flatten_with_path(arrays)
    empty = {jax.tree_util.keystr(path): [list(x.shape), str(x.dtype)] for path, x in leaves if not np.size(x)}
    return structure.unflatten([x if np.size(x) else np.zeros(1) for _, x in leaves]), empty


def _with_empty(arrays, empty):
    leaves, structure = jax.tree_util.tree_flatten_with_path(arrays)
    named = [(jax.tree_util.keystr(path), x) for path, x in leaves]
    return structure.unflatten([np.zeros(*empty[name]) if name in empty else x for name, x in named])


def _describe(system) -> tuple[dict, dict]:
    if isinstance(system, Baseline):
        arrays, description = _describe(system.frame)
        return {**arrays, "leaves": _leaves(system)}, {**description, "law": _describe_object(system.law)}
    graph = system.graph
    terms = {"terms": system.terms, "dissipation": system.dissipation}
    arrays = {
        "senders": graph.senders,
        "receivers": graph.receivers,
        "n_node": graph.n_node,
        "n_edge": graph.n_edge,
        "nodes": {name: np.asarray(x) for name, x in graph.nodes.items()},
        "edges": {name: np.asarray(x) for name, x in graph.edges.items()},
        "globals": {name: np.asarray(x) for name, x in graph.globals.items() if not isinstance(x, int)},
        "stencils": {
            f"{kind}{i}": {
                "index": t.stencil.index,
                "mask": t.stencil.mask,
                "edge": t.stencil.edge,
                **t.stencil.geometry,
            }
            for kind, members in terms.items()
            for i, t in enumerate(members)
        },
        "leaves": _leaves(system),
    }
    description = {
        "format": FORMAT,
        "globals": {name: x for name, x in graph.globals.items() if isinstance(x, int)},
        "densities": {kind: [_describe_object(t.density) for t in members] for kind, members in terms.items()},
        "solver": None if system.solver is None else _describe_object(system.solver),
        "motion": _describe_object(system.motion),
        "force": "array" if isinstance(system.external, jax.Array) else _describe_object(system.external),
        "control": "array" if isinstance(system.control, jax.Array) else _describe_object(system.control),
    }
    return {key: value for key, value in arrays.items() if not isinstance(value, dict) or value}, description


def _leaves(system) -> dict:
    return {str(i): np.asarray(leaf) for i, leaf in enumerate(jax.tree.leaves(system))}


def _build(arrays, description) -> Lagrangian | Baseline:
    graph = jraph.GraphsTuple(
        nodes=_features(arrays.get("nodes", {})),
        edges=_features(arrays.get("edges", {})),
        globals={**description["globals"], **_features(arrays.get("globals", {}))},
        **{name: arrays[name] for name in ("senders", "receivers", "n_node", "n_edge")},
    )

    def terms(kind):
        pairs = []
        for i, density in enumerate(description["densities"][kind]):
            table = dict(arrays["stencils"][f"{kind}{i}"])
            stencil = Stencil(table.pop("index"), table.pop("mask"), table.pop("edge"), table)
            pairs.append((_build_object(density), stencil))
        return pairs or None

    force, control = (
        jnp.zeros(()) if description.get(name) == "array" else _build_object(description.get(name))
        for name in ("force", "control")
    )
    template: Lagrangian | Baseline = Lagrangian(
        graph,
        terms("terms"),
        dissipation=terms("dissipation"),
        force=force,
        control=control,
        motion=_build_object(description.get("motion")),
        solver=_build_object(description["solver"]),
    )
    if "law" in description:
        template = Baseline(graph, _build_object(description["law"]))
    leaves = arrays.get("leaves", {})
    return jax.tree.unflatten(jax.tree.structure(template), [jnp.asarray(leaves[str(i)]) for i in range(len(leaves))])


def _features(named) -> dict:
    return {name: np.asarray(x) if name in GEOMETRY else jnp.asarray(x) for name, x in named.items()}


def _describe_object(value):
    """JSON of a function by name, of a module by its `config()`, of a dataclass by its fields, of plain values."""
    if isinstance(value, nnx.Variable):
        return {"param": float(value[...])}
    if isinstance(value, nnx.Module):
        if not hasattr(value, "config"):
            raise CheckpointError(f"save: {type(value).__name__} has no config(), the arguments that make it again")
        return {"module": _name(type(value)), "config": {k: _describe_object(x) for k, x in value.config().items()}}
    if is_dataclass(value) and not isinstance(value, type):
        return {"object": _name(type(value)), "fields": asdict(value)}
    if callable(value):
        return {"function": _name(value)}
    return value


def _build_object(value):
    if not isinstance(value, dict):
        return tuple(value) if isinstance(value, list) else value
    if "param" in value:
        return nnx.Param(jnp.asarray(value["param"]))
    if "module" in value:
        config = {k: _build_object(x) for k, x in value["config"].items()}
        kind = _find(value["module"])
        taken = inspect.signature(kind.__init__).parameters.values()  # that of the class is its metaclass's: (*args)
        random = {"rngs": nnx.Rngs(0)} if any(p.name == "rngs" or p.kind is p.VAR_KEYWORD for p in taken) else {}
        return kind(**config, **random)
    if "object" in value:
        return _find(value["object"])(**value["fields"])
    return _find(value["function"])


def _name(value) -> str:
    name = getattr(value, "__name__", "")
    for module in ("jax.nn", "jax.numpy", getattr(value, "__module__", "")):
        if module and getattr(importlib.import_module(module), name, None) is value:
            return f"{module}:{name}"
    raise CheckpointError(
        f"save: {name or value} cannot be found again by name; define it at the top of a module that can be imported"
    )


def _find(name: str):
    module, attribute = name.split(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise CheckpointError(f"load: {name} is not importable here ({error}); put its module on the path") from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """orbax logs every save on absl's logger."""
    import logging

    logger = logging.getLogger("absl")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)

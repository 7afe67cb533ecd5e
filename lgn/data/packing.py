"""Packing: a recording, samples or a motion as contents of a file, with what says who made it."""

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import jraph
import numpy as np

from lgn import _arguments
from lgn.data.contents import NOTHING, Contents, field_names, find, plain, sizes
from lgn.data.lazy import numbers_of
from lgn.graphs.features import node_count


def packed(
    caller: str, thing: Any, of: Any = None, units: Mapping[str, str] = NOTHING, attributes: Mapping[str, Any] = NOTHING
) -> Contents:
    """Fields by names, and who made them: the version of lgn, the system, the graph.

    Raises:
        ValueError: no system and no graph, a graph of another number of nodes, fields whose shapes disagree, units of
            what is not there, an attribute that is no text, number or list of these.
    """
    graph = getattr(of, "graph", of)
    made: dict[str, Any] = {"lgn_version": _version()}
    if graph is not None:
        _arguments.of_kind(f"{caller}: of", graph, jraph.GraphsTuple, "a system or a graph of lgn")
        made["lgn_graph"] = f"{node_count(graph)} nodes, {graph.senders.size} edges"
    if of is not None and of is not graph:
        made["lgn_system"] = repr(of)
    known, given = _arguments.named(f"{caller}: units", units), _arguments.named(f"{caller}: attributes", attributes)
    theirs, names, own = getattr(thing, "units", {}), getattr(thing, "names", ()), getattr(thing, "attributes", {})
    for name, x in given.items():
        parts = x if isinstance(x, list | tuple) else [x]
        if not all(isinstance(part, str | int | float | np.number | np.bool) for part in parts):
            raise ValueError(f"{caller}: attributes[{name!r}] is {_arguments.short(x)}; give text, a number, or a list")
    contents = Contents(
        type(thing).__name__,
        _fields(caller, thing),
        names,
        {**theirs, **known},
        {**own, **{name: plain(x) for name, x in given.items()}, **made},
        graph,
    )
    for name in known:
        find(caller, "field to give a unit", {*contents.fields, *names, *theirs}, name)
    nodes = sizes(caller, contents)["node"]
    if graph is not None and node_count(graph) != nodes:
        raise ValueError(f"{caller}: {contents.kind} of {nodes} nodes, of a graph of {node_count(graph)}; give its own")
    return contents


def _fields(caller, thing) -> dict[str, Any]:
    """Arrays by the names of AXES; as they are where they lie in a file."""
    fields: dict[str, Any] = {name: x for name, x in thing._asdict().items() if x is not None}
    if "state" in fields:
        state = fields.pop("state")
        names = (name.replace("[", "_").strip("]") for name in field_names(len(state)))
        fields = {"t": fields.pop("t"), **dict(zip(names, state, strict=True)), **fields}
        fields = {"worst_node" if name == "node" else name: x for name, x in fields.items()}
    fields |= {f"features.{name}": x for name, x in fields.pop("features", {}).items()}
    seen = fields.pop("seen", None) if "attributes" in fields else None  # of a recording: what is NaN was not seen
    for name in ("names", "units", "attributes"):
        fields.pop(name, None)
    found = {name: numbers_of(f"{caller}: {name}", x) for name, x in fields.items()}
    if seen is not None:
        found |= {name: np.where(np.asarray(seen)[..., None], found[name], np.nan) for name in "qv" if name in found}
    return found


def _version() -> str:
    try:
        return version("lgn")
    except PackageNotFoundError:
        return "unknown"

"""Arrays: a graph as arrays by name, as files hold them, and back."""

from collections.abc import Mapping
from typing import Any

import jraph
import numpy as np

from lgn import _arrays
from lgn.graphs.edges import from_edges, single_node
from lgn.graphs.features import GEOMETRY, node_count, with_features

KINDS = ("nodes", "edges", "globals")


def to_arrays(graph: jraph.GraphsTuple) -> dict[str, np.ndarray]:
    """Everything that a graph holds: "senders", "receivers", and "nodes.position" and the like.

    Example:
        >>> import lgn
        >>> from lgn.graphs.arrays import to_arrays
        >>> sorted(to_arrays(lgn.from_edges(2, [0, 1], [1, 0])))
        ['n_node', 'receivers', 'senders']
    """
    named = {f"{kind}.{name}": np.asarray(x) for kind in KINDS for name, x in getattr(graph, kind).items()}
    ends = {"senders": np.asarray(graph.senders), "receivers": np.asarray(graph.receivers)}
    return {"n_node": np.asarray(node_count(graph)), **ends, **named}


def from_arrays(arrays: Mapping[str, Any]) -> jraph.GraphsTuple:
    """The graph of `to_arrays`, checked like any other: what a file says is not to be believed.

    Raises:
        ValueError: what `from_edges` refuses; geometry of another length than nodes or edges, or not finite.
    """
    user: dict[str, dict[str, Any]] = {kind: {} for kind in KINDS}
    for full, x in arrays.items():
        kind, _, name = full.partition(".")
        if kind in KINDS and name not in GEOMETRY:
            user[kind][name] = x
    if lacking := [name for name in ("n_node", "senders", "receivers") if name not in arrays]:
        raise ValueError(
            f"a graph without {lacking[0]!r}: there is {', '.join(arrays) or 'nothing'}; the file is damaged"
        )
    count, senders = int(arrays["n_node"]), np.asarray(arrays["senders"])
    if senders.size:
        graph = from_edges(count, senders, arrays["receivers"], None, user["edges"], user["nodes"])
    else:
        graph = single_node(user["nodes"], count)
    graph = with_features(graph, graph_features=user["globals"])
    kinds, sizes = {kind: {**getattr(graph, kind)} for kind in KINDS}, {"nodes": count, "edges": senders.size}
    for full, x in arrays.items():
        kind, _, name = full.partition(".")
        if kind in KINDS and name in GEOMETRY:
            kinds[kind][name] = _geometry(full, x, sizes.get(kind))
    return graph._replace(**kinds)


def _geometry(name, x, size) -> Any:
    array = _arrays.reals(name, x)
    if (size is not None and array.shape[:1] != (size,)) or not np.isfinite(array).all():
        raise ValueError(f"{name} has shape {array.shape}; expected ({size}, ...), finite: the file is damaged")
    return array if array.ndim else array.item()

"""Checks of stencils: whether they belong to a graph."""

import jraph

from lgn import _arguments
from lgn.graphs.features import node_count
from lgn.graphs.tables import Stencil


def stencil_on(graph: jraph.GraphsTuple, given, name: str) -> Stencil:
    """A stencil, given as one or as a function of the graph, if it was made on this graph, or reads nothing that is not
    there: gathers would clamp the index. `name` is for messages.

    Raises:
        ValueError: a stencil of another graph, or what is no stencil.
    """
    known = "lgn.node_stencil, lgn.edge_stencil or lgn.cell_stencil"
    stencil = given if isinstance(given, Stencil) else _arguments.called(f"{name}: stencil", given, known)(graph)
    _arguments.of_kind(f"{name}: stencil", stencil, Stencil, known)
    count, edges = node_count(graph), graph.senders.size
    if stencil.n_node not in (None, count):
        raise ValueError(
            f"{name}: a stencil of {stencil.n_node} nodes on a graph of {count}; make it on this graph, or give the "
            f"function that makes it: (density, lgn.node_stencil)"
        )
    nodes, through = stencil.read
    low, high = int(nodes.min(initial=0)), int(nodes.max(initial=-1))
    if low < 0 or high >= count:
        raise ValueError(
            f"{name}: the stencil reads node {low if low < 0 else high}, but the graph has nodes 0 to {count - 1}; "
            f"make it on this graph"
        )
    if through.max(initial=-1) >= edges:
        raise ValueError(
            f"{name}: the stencil reads edge {through.max()}, but the graph has {edges}; make it on this graph"
        )
    return stencil

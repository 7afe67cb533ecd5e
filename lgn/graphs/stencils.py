"""Stencils: which nodes each element reads, and in which order.

An unfilled slot has mask 0 and reads the element's own slot 0. Differences to it then vanish, and an open end of a
chain is free (Neumann) unless the density or a clamp says otherwise.
"""

import jraph
import numpy as np

from lgn import _arguments
from lgn.graphs.features import check_graph, node_count
from lgn.graphs.meshes import cube_corners, quadrature
from lgn.graphs.tables import RaggedStencil, Stencil


def node_stencil(graph: jraph.GraphsTuple, hops: int = 1) -> Stencil:
    """One element a node: the node, then its neighbours up to `hops` edges away, nearest first.

    Within one hop the order is that of the edge feature `slot` where the graph has it (lattices: -x, +x, -y, +y, ...),
    else by node number.

    Args:
        graph: any graph.
        hops: how many edges away a slot may be; 0 is the node alone.

    Returns:
        A table as wide as the largest neighbourhood; a `RaggedStencil` where that is large and mostly empty.

    Raises:
        ValueError: negative hops.

    Example:
        >>> import lgn
        >>> lgn.node_stencil(lgn.lattice((5,))).index[0].tolist()
        [0, 4, 1]
    """
    hops = _arguments.whole("node_stencil: hops", hops, least=0)
    check_graph(graph)
    if "slot" in graph.edges and hops:
        return _by_direction(graph, hops)
    stencil = _by_number(graph, hops)
    return stencil if stencil.wasteful else stencil.padded


def edge_stencil(graph: jraph.GraphsTuple) -> Stencil:
    """One element an undirected edge: slot 0 and slot 1 are its ends; `measure` is its length.

    On lattices slot 1 lies in the positive direction of the axis; elsewhere slot 0 has the smaller number.
    The feature of the edge that slot 0 receives stands in slot 1.

    Example:
        >>> import lgn
        >>> lgn.edge_stencil(lgn.lattice((3,))).index.tolist()
        [[0, 1], [1, 2], [2, 0]]
    """
    check_graph(graph)
    once = graph.edges["slot"] % 2 == 0 if "slot" in graph.edges else graph.receivers < graph.senders
    kept = np.flatnonzero(once)
    kept = kept[np.lexsort((graph.senders[kept], graph.receivers[kept]))]
    index = np.stack([graph.receivers[kept], graph.senders[kept]], 1)
    edge = np.stack([np.full_like(kept, -1), kept], 1)
    step = graph.edges.get("offset", np.zeros((graph.senders.size, 0)))[kept]
    return _stencil(graph, index, edge, np.stack([np.zeros_like(step), step], 1), np.linalg.norm(step, axis=1))


def cell_stencil(graph: jraph.GraphsTuple) -> Stencil:
    """One element for each quadrature point of each cell; its slots are the corners of the cell.

    Within a cell a field is u(x) = sum over slots of N_s(x) u_s, and a continuum density l(u, grad u, du/dt)
    reads, with N = features["shape"] and G = features["shape_gradient"],

        N @ q (dim,),    q.T @ G (dim, space),    N @ v (dim,),

    and features["measure"] * l sums to the integral of l. Integrals over the domain of products of two linear shape
    functions, or of their gradients, are exact on simplices; so are those of multilinear ones on parallelograms.

    Cells are those of a mesh, or the segments, squares and boxes between the nodes of a lattice in up to 3 dimensions,
    across its periodic ends too. Corners stand counterclockwise, in the order of `lgn.graphs.meshes`. Edge features
    of the graph are zero here because a corner is not an edge.

    Args:
        graph: from `from_mesh`, `from_meshio` or `lattice`.

    Returns:
        A stencil with geometry `shape` (element, slot), `shape_gradient` (element, slot, space) in 1 / length,
        `measure` (element,), quadrature weight times Jacobian, and `offset` (element, slot, space) from slot 0.

    Raises:
        ValueError: a graph that has no cells.

    Example:
        >>> import lgn
        >>> stencil = lgn.cell_stencil(lgn.lattice((4, 5), spacing=0.1))
        >>> stencil.index.shape, round(float(stencil.geometry["measure"].sum()), 12)
        ((80, 4), 0.2)
    """
    check_graph(graph)
    if "cells" in graph.globals:
        index = np.asarray(graph.globals["cells"])
        offset = graph.nodes["position"][index] - graph.nodes["position"][index[:, :1]]
    elif "slots" in graph.globals:
        index, offset = _lattice_cells(graph)
    else:
        raise ValueError(
            "cell_stencil: the graph has no cells; build it with lgn.from_mesh(points, cells) or lgn.lattice, or use "
            "node_stencil or edge_stencil"
        )
    rule = quadrature(offset)
    cell, point = np.indices(rule.measure.shape).reshape(2, -1)
    index = index[cell]
    return Stencil(
        index=index.astype(np.int32),
        mask=np.ones(index.shape),
        edge=np.full(index.shape, -1, np.int32),
        geometry={
            "offset": offset[cell],
            "measure": rule.measure[cell, point],
            "shape": rule.shape[point],
            "shape_gradient": rule.shape_gradient[cell, point],
        },
        n_node=node_count(graph),
    )


def _lattice_cells(graph) -> tuple[np.ndarray, np.ndarray]:
    """Corners (cell, slot) of the cells of a lattice, and their offsets from slot 0: found by walking along edges in
    the positive directions: a cell across a periodic end then has the same shape as the others."""
    reach = _edge_table(graph)
    start = np.arange(len(reach))
    space = graph.edges["offset"].shape[1]
    if space > 3:
        raise ValueError(f"cell_stencil: the lattice has {space} dimensions; cells have 1 to 3: use node_stencil")
    nodes, places = [], []
    for corner in cube_corners(space):
        node, away = start, np.zeros((len(start), space))
        for axis in np.flatnonzero(corner):
            edge = np.where(node >= 0, reach[node, 2 * axis + 1], -1)
            node = np.where(edge >= 0, graph.senders[edge], -1)
            away = away + graph.edges["offset"][edge]
        nodes.append(node)
        places.append(away)
    index, offset = np.stack(nodes, 1), np.stack(places, 1)
    whole = (index >= 0).all(1)
    if not whole.any():
        raise ValueError("cell_stencil: the lattice has an axis of one node, so no cells; leave that axis out")
    return index[whole], offset[whole]


def _by_number(graph, hops) -> RaggedStencil:
    """Neighbours of one hop by their number, found along the edges alone: no table as wide as the largest degree."""
    n = node_count(graph)
    order = np.lexsort((graph.senders, graph.receivers)) if hops else np.zeros(0, int)
    first = np.searchsorted(graph.receivers[order], np.arange(n + 1))
    step = graph.edges.get("offset", np.zeros((graph.senders.size, 0)))
    element, node, away, seen = np.arange(n), np.arange(n), np.zeros((n, step.shape[1])), np.arange(n) * (n + 1)
    parts = [(element, node, np.full(n, -1), np.zeros(n, int), away)]
    width = 1
    for hop in range(hops):
        degree = np.diff(first)[node]
        source = np.repeat(np.arange(node.size), degree)
        through = order[np.arange(source.size) + np.repeat(first[node] - np.cumsum(degree) + degree, degree)]
        found, where = np.unique(element[source] * n + graph.senders[through], return_index=True)
        where = where[~np.isin(found, seen, assume_unique=True)]
        source, through = source[where], through[where]
        element, node, away = element[source], graph.senders[through], away[source] + step[through]
        place = np.arange(element.size) - np.searchsorted(element, element)
        parts.append((element, node, through if hop == 0 else np.full_like(through, -1), width + place, away))
        width += int(place.max(initial=-1)) + 1
        seen = np.concatenate([seen, found])
    element, node, through, slot, away = (np.concatenate(column) for column in zip(*parts, strict=True))
    sort = np.lexsort((slot, element))
    return RaggedStencil(element[sort], node[sort], through[sort], slot[sort], away[sort], _measure(graph))


def _by_direction(graph, hops) -> Stencil:
    """Of a lattice, where every slot is one displacement."""
    reach, step = _edge_table(graph), np.zeros((graph.globals["slots"], graph.edges["offset"].shape[1]))
    step[graph.edges["slot"] - 1] = graph.edges["offset"]  # zero where no node has such a neighbour
    index = frontier = np.arange(node_count(graph), dtype=np.int32)[:, None]
    edge, offset = np.full_like(index, -1), np.zeros((1, step.shape[1]))
    away = offset
    for hop in range(hops):
        through = np.where(frontier[..., None] >= 0, reach[frontier], -1).reshape(len(frontier), -1)
        nodes = np.where(through >= 0, np.append(graph.senders, -1)[through], -1).astype(np.int32)
        away = (away[:, None] + step).reshape(-1, step.shape[1])
        if hop > 0:
            seen = _seen(index, nodes)
            kept = (~seen).any(0)  # a displacement keeps its place where an open end leaves it empty
            nodes, away = np.where(seen, -1, nodes)[:, kept], away[kept]
        index = np.concatenate([index, nodes], 1)
        edge = np.concatenate([edge, through if hop == 0 else np.full_like(nodes, -1)], 1)
        offset = np.concatenate([offset, away])
        frontier = nodes
    return _stencil(graph, index, edge, np.broadcast_to(offset, (*index.shape, step.shape[1])), _measure(graph))


def _measure(graph) -> np.ndarray:
    """(node,)"""
    return np.asarray(graph.nodes.get("measure", np.ones(node_count(graph))))


def _stencil(graph, index, edge, offset, measure) -> Stencil:
    """Of tables where -1 stands in an unfilled slot; what all elements share stays a view that takes no memory."""
    filled = index >= 0
    mask = np.broadcast_to(1.0, index.shape)
    if not filled.all():
        index, edge = np.where(filled, index, index[:, :1]), np.where(filled, edge, -1)
        mask, offset = filled.astype(float), np.where(filled[..., None], offset, 0.0)
    return Stencil(
        index=index.astype(np.int32, copy=False),
        mask=mask,
        edge=edge.astype(np.int32, copy=False),
        geometry={"offset": offset, "measure": measure} if offset.shape[2] else {},
        n_node=node_count(graph),
    )


def _edge_table(graph: jraph.GraphsTuple) -> np.ndarray:
    """(node, slot - 1) edge by which a node of a lattice reads its neighbour, -1 where there is none."""
    table = np.full((node_count(graph), graph.globals["slots"]), -1, np.int32)
    table[graph.receivers, graph.edges["slot"] - 1] = np.arange(graph.senders.size)
    return table


def _seen(index, nodes) -> np.ndarray:
    """Which entries of `nodes` are empty, in `index` already, or stand earlier in their own row."""
    seen = nodes < 0
    for j in range(nodes.shape[1]):
        earlier = np.concatenate([index, nodes[:, :j]], 1)
        seen[:, j] |= (earlier == nodes[:, j : j + 1]).any(1)
    return seen

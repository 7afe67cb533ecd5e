"""Terms: a density on a stencil of a graph; a functional is a sum of them."""

import hashlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jraph
from flax import nnx

from lgn import _arguments
from lgn._pytrees import Static, attribute
from lgn.data.fields import field_names
from lgn.densities.density import DensityLike, as_density
from lgn.graphs.features import check_graph, node_count
from lgn.graphs.stencils import cell_stencil, edge_stencil, node_stencil
from lgn.graphs.tables import Stencil

StencilMaker = Callable[[jraph.GraphsTuple], Stencil]
Terms = DensityLike | Sequence[tuple[DensityLike, Stencil | StencilMaker]]


class Term(nnx.Pytree):
    """A density on a stencil, which it knows how to make on another graph unless it was given as a table."""

    def __init__(self, density: DensityLike, stencil: Stencil | None = None, maker: StencilMaker | None = None):
        self.density = attribute(density)
        self._stencil: Static = Static(stencil)
        self._maker = Maker(maker)

    @property
    def stencil(self) -> Stencil:
        return self._stencil.value

    @property
    def maker(self) -> StencilMaker | None:
        """The function of the graph that made the stencil; None where it was given as a table."""
        return self._maker.value

    @property
    def lasting(self) -> Stencil | StencilMaker:
        """What makes the stencil again in another process: a function of lgn, else the table."""
        function = self.maker.func if isinstance(self.maker, partial) else self.maker
        return self.maker if self.maker and function in (node_stencil, edge_stencil, cell_stencil) else self.stencil

    @property
    def name(self) -> str:
        return as_density(self.density).name

    @property
    def bare(self) -> "Term":
        return Term(self.density)

    def check(self, dim: int, fields: int = 2) -> None:
        """Raises ValueError where density and stencil or state do not fit."""
        density, slots = as_density(self.density), self.stencil.slots
        taken = density.fields
        if taken not in (None, fields):
            raise ValueError(
                f"density {self.name} takes {taken} fields and the features, but the state has {fields}; write it as "
                f"density({', '.join(field_names(fields))}, features)"
                + (", or read it by lgn.canonical(density)" if (taken, fields) == (2, 1) else "")
            )
        expected = (density.slots if isinstance(density.slots, int) else slots, density.dim or dim)
        if expected != (slots, dim):
            raise ValueError(
                f"density {self.name} was made for (slots, dim) = {expected}, but its stencil has {slots} slots and "
                f"the state {dim} degrees of freedom a node; make it with slots={slots}, dim={dim}"
            )


class Maker(Static):
    """The function that made a stencil, or None, compared by its name: a lambda in a function of yours is another one
    at every call, and systems that are made by it twice are of one structure all the same."""

    __slots__ = ()

    @property
    def digest(self) -> bytes:
        if self._digest is None:
            self._digest = hashlib.blake2b(_name_of(self.value).encode(), digest_size=16).digest()
        return self._digest


def _name_of(maker) -> str:
    if isinstance(maker, partial):
        return f"{_name_of(maker.func)} {maker.args} {sorted(maker.keywords.items())}"
    named = maker if hasattr(maker, "__qualname__") else type(maker)
    return f"{named.__module__}:{named.__qualname__}"


def terms_on(graph: jraph.GraphsTuple, density: Terms | None, name: str) -> list[Term]:
    """The terms that a density, or a list of (density, stencil), has on a graph; `name` is for messages."""
    if density is None:
        return []
    check_graph(graph)
    pairs: Sequence[Any] = density if isinstance(density, list | tuple) else [(density, node_stencil)]
    terms = []
    for pair in pairs:
        if not (isinstance(pair, tuple) and len(pair) == 2):
            raise ValueError(f"{name}: {pair!r} is not a term; give a density or a list of (density, stencil)")
        _arguments.called(name, pair[0], "a density, or a list of (density, stencil)")
        maker = None if isinstance(pair[1], Stencil) else pair[1]
        terms.append(Term(pair[0], _stencil_on(graph, pair[1], name), maker))
    return terms


def _stencil_on(graph: jraph.GraphsTuple, given, name: str) -> Stencil:
    """A stencil, given as one or as a function of the graph, if it was made on this graph, or reads nothing that is not
    there: gathers would clamp the index. Raises ValueError: one of another graph, or what is no stencil."""
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

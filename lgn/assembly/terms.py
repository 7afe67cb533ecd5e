"""Terms: a density on a stencil of a graph; a functional is a sum of them."""

import hashlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jraph
from flax import nnx

from lgn import _arguments
from lgn._pytrees import Static, attribute
from lgn.assembly import checks
from lgn.assembly.layout import Table
from lgn.assembly.parts import Part, part_of, tables_of
from lgn.data.fields import field_names
from lgn.densities.density import DensityLike, as_density
from lgn.graphs.features import check_graph
from lgn.graphs.stencils import cell_stencil, edge_stencil, node_stencil
from lgn.graphs.tables import Stencil

StencilMaker = Callable[[jraph.GraphsTuple], Stencil]
Terms = DensityLike | Sequence[tuple[DensityLike, Stencil | StencilMaker]]


class Term(nnx.Pytree):
    """A density on a stencil, which it knows how to make on another graph unless it was given as a table."""

    def __init__(self, density: DensityLike, stencil: Stencil, maker: StencilMaker | None = None):
        self.density = attribute(density)
        self._stencil = Static(stencil)
        self._maker = Maker(maker)

    @property
    def stencil(self) -> Stencil:
        """The table on its graph."""
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
        """Of the density, for messages."""
        return as_density(self.density).name

    def parts(self, features, *state) -> list[Part]:
        """The density on each of its tables, with what their elements read. Raises ValueError where it is not
        scalar."""
        tables = tables_of(self.density, self.name, self.stencil, features, state)
        return [part_of(self.density, self.name, *table, features, state) for table in tables]

    def check(self, dim: int, fields: int = 2) -> None:
        """Raises ValueError where density and stencil or state do not fit."""
        density = as_density(self.density)
        taken = density.fields
        if taken not in (None, fields):
            raise ValueError(
                f"density {self.name} takes {taken} fields and the features, but the state has {fields}; write it as "
                f"density({', '.join(field_names(fields))}, features)"
                + (", or read it by lgn.canonical(density)" if (taken, fields) == (2, 1) else "")
            )
        slots = self.stencil.slots
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


class LaidOutTerm(nnx.Pytree):
    """A density on one of its tables, whose arrays are data; made from a term that was checked."""

    def __init__(self, density: DensityLike, name: str, table: Table, seen: int | None):
        self.density, self.name, self.seen = attribute(density), name, seen
        self.table = nnx.data(table)

    def parts(self, features, *state) -> list[Part]:
        """The density on its table, with what the elements read."""
        return [part_of(self.density, self.name, self.table, self.seen, features, state)]

    def check(self, dim: int, fields: int = 2) -> None:
        """Was done."""


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
        terms.append(Term(pair[0], checks.stencil_on(graph, pair[1], name), maker))
    return terms

"""Layout: a stencil whose tables are arguments of a program, which graphs of about one size then share."""

from collections.abc import Container
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np
from jaxtyping import Array

from lgn.graphs.tables import EXACT, Stencil, bucket

Numbers = Array | np.ndarray


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Table:
    """The tables of a `Stencil` as arrays that may be traced.

    Elements that fill it up to a `bucket` repeat the last one, so that all values are finite, and add to nodes beyond
    the last, where additions are dropped.

    Attributes:
        index: (element, slot) node that a slot reads.
        adds: (element, slot) node that what a slot gives is added to, where that is another.
        edge: (element, slot) edge between the slot's node and slot 0, -1 where there is none; None if it is not read.
        known: mask and geometry by name, see `Stencil`, as far as a density reads them.
        real: (element,) whether an element counts; None where all do.
        shapes: of mask and geometry in one element, by name; part of the program.
        runs: see `Stencil`; part of the program.
    """

    index: Numbers
    adds: Numbers | None
    edge: Numbers | None
    known: dict[str, Any]
    real: Numbers | None
    shapes: tuple[tuple[str, tuple[int, ...]], ...] = field(metadata={"static": True})
    runs: tuple | None = field(default=None, metadata={"static": True})

    @property
    def target(self) -> Numbers:
        """(element, slot) node that what a slot gives is added to."""
        return self.index if self.adds is None else self.adds

    @property
    def slots(self) -> int:
        """Of an element."""
        return self.index.shape[1]

    def columns(self, slots: tuple[int, ...]) -> Numbers:
        """(element, slot) the nodes that these slots add to."""
        return self.target if slots == tuple(range(self.slots)) else self.target[:, np.array(slots, int)]


def widened(stencil: Stencil) -> Stencil:
    """With as many unfilled slots more as fill up its table, for a density that takes any number; itself, if all of its
    slots are filled."""
    more = 0 if stencil.mask.all() else bucket(stencil.slots, parts=2, least=1) - stencil.slots
    if not more:
        return stencil

    def wide(x, value):
        return np.concatenate([x, np.broadcast_to(value, (len(x), more, *x.shape[2:]))], 1).astype(x.dtype)

    geometry = {name: x if x.ndim == 1 else wide(x, 0) for name, x in stencil.geometry.items()}
    index = wide(stencil.index, stencil.index[:, :1])  # an unfilled slot reads slot 0
    return Stencil(index, wide(stencil.mask, 0), wide(stencil.edge, -1), geometry, stencil.n_node)


def table_of(stencil: Stencil, n_node: int, read: Container[str], roomy: bool = False) -> Table:
    """The table of a stencil, filled up in its elements. `read` holds the names of mask and geometry that the density
    reads, and `edge` where it reads features of edges. In a `roomy` program graphs have other numbers of nodes."""
    count = len(stencil.index)
    regular = not roomy and (count % n_node == 0 or stencil.runs is not None)  # as many nodes, as many elements
    exact = regular or count > EXACT

    def whole(x):
        return x if exact else x[np.minimum(np.arange(bucket(count)), count - 1)]

    known = {name: whole(x) for name, x in stencil.known.items() if name in read}
    edge, index = whole(stencil.edge) if "edge" in read else None, whole(stencil.index)
    if exact:
        return Table(index, None, edge, known, None, stencil.shapes, stencil.runs)
    real = np.arange(len(index)) < count
    adds = np.where(real[:, None], index, n_node).astype(index.dtype)
    return Table(index, adds, edge, known, real, stencil.shapes)

"""Layout: a stencil whose tables are arguments of a program, which graphs of about one size then share."""

from collections.abc import Container
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np
from jaxtyping import Array

from lgn.graphs.tables import EXACT, Stencil, bucket, filled

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


def table_of(stencil: Stencil, n_node: int, any_slots: bool, read: Container[str]) -> Table:
    """The table of a stencil, filled up; in its slots too, if not all are filled and the density takes any number.
    `read` holds the names of mask and geometry that the density reads, and `edge` where it reads features of edges."""
    slots, count = stencil.slots, len(stencil.index)
    wide = bucket(slots, parts=2, least=1) if any_slots and not stencil.mask.all() else slots
    regular = count % n_node == 0 or stencil.runs is not None  # others of its kind have other numbers of nodes
    rows = count if regular else bucket(count)
    exact = (wide, rows) == (slots, count) and (regular or count > EXACT)

    def whole(x, value=0):
        if exact:
            return x
        widened = x if x.ndim == 1 else filled(x.swapaxes(0, 1), wide, value).swapaxes(0, 1)
        return widened[np.minimum(np.arange(rows), count - 1)]

    shapes = tuple((name, (wide, *shape[1:]) if shape else ()) for name, shape in stencil.shapes)
    known = {name: whole(x) for name, x in stencil.known.items() if name in read}
    edge = whole(stencil.edge, -1) if "edge" in read else None
    if exact:
        return Table(stencil.index, None, edge, known, None, shapes, stencil.runs)
    index = whole(stencil.index, -1)
    index = np.where(index < 0, index[:, :1], index)  # an unfilled slot reads slot 0
    real = np.arange(rows) < count
    return Table(index, np.where(real[:, None], index, n_node).astype(index.dtype), edge, known, real, shapes)

"""Tables: which nodes the slots of each element read, in one padded table, or entry by entry where there are hubs.

An unfilled slot has mask 0 and reads the element's own slot 0.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from lgn import _arrays

LARGEST = 2**27  # entries of a padded table: 2 GB of its nodes, masks and edges
SMALL = 10**5  # entries of a table that may be empty for the most part
NARROW = 8  # slots of the narrowest group of elements
RUNS, WIDE = 4, 32  # runs of consecutive nodes that a slot may read, and slots: at more, a gather is as fast
EXACT = 2**16  # entries from which a table is not filled up: there the work counts, not the compilation
Runs = tuple[tuple[tuple[int, int], ...], ...]


def bucket(count: int, parts: int = 8, least: int = 8) -> int:
    """How many entries a table is filled up to, so that tables of about one size have one shape: by one part in so many
    at most, or fewer than `least` entries."""
    size = max(least, 2 ** max(count.bit_length() - 1, 0) // parts)
    return count if count > EXACT else -(-count // size) * size


def filled(table: np.ndarray, count: int, value) -> np.ndarray:
    """A table with more rows of one value."""
    return np.concatenate([table, np.full((count - len(table), *table.shape[1:]), value, table.dtype)])


def runs_of(index: np.ndarray) -> Runs | None:
    """For each slot of a table (element, slot) its runs of consecutive numbers (first, end), if they are few."""
    if not index.size or index.shape[1] > WIDE:
        return None
    breaks = np.diff(index, axis=0) != 1
    if breaks.sum(0).max(initial=0) >= RUNS:
        return None
    ends = (np.r_[0, np.flatnonzero(column) + 1, len(index)] for column in breaks.T)
    return tuple(
        tuple((int(x[a]), int(x[b - 1]) + 1) for a, b in zip(cuts[:-1], cuts[1:], strict=True))
        for x, cuts in zip(index.T, ends, strict=True)
    )


@dataclass(frozen=True, eq=False)
class Stencil:
    """Index tables of the elements of one density; numpy only.

    Attributes:
        index: (element, slot) node that a slot reads.
        mask: (element, slot) 1.0 where the slot is filled.
        edge: (element, slot) edge between the slot's node (sender) and slot 0 (receiver), -1 where there is none.
        geometry: `offset` (element, slot, space) and `measure` (element,), where the graph has them; on cells also
            `shape` (element, slot) and `shape_gradient` (element, slot, space).
        n_node: of the graph that it was made on, if known.

    Raises:
        ValueError: tables of other shapes or kinds.
    """

    index: np.ndarray
    mask: np.ndarray
    edge: np.ndarray
    geometry: dict[str, np.ndarray] = field(default_factory=dict)
    n_node: int | None = None

    def __post_init__(self):
        for name in ("index", "mask", "edge"):
            _arrays.table(f"Stencil: {name}", getattr(self, name), np.shape(self.index), whole=name != "mask")

    @property
    def read(self) -> tuple[np.ndarray, np.ndarray]:
        """Nodes and edges that it reads, in any order."""
        return self.index, self.edge

    @cached_property
    def runs(self) -> Runs | None:
        """For each slot the runs of consecutive nodes (first, end) that it reads along the elements, if they are few,
        as on a ring or a chain."""
        return runs_of(self.index)

    @property
    def known(self) -> dict[str, np.ndarray]:
        """What elements know besides their nodes and edges."""
        return {"mask": self.mask, **self.geometry}

    @property
    def slots(self) -> int:
        return self.index.shape[1]

    def tables(self) -> tuple:
        """Content as a pytree of arrays."""
        return self.index, self.mask, self.edge, self.geometry


class RaggedStencil(Stencil):
    """The stencil of nodes of very different degree, entry by entry: `node_stencil` returns one where a table as wide
    as the largest degree would be empty for the most part.

    `index`, `mask`, `edge` and `geometry` are that table all the same, made where it is asked for.

    Args:
        element: (entry,) node whose slot this is, in order.
        node: (entry,) node that the slot reads.
        through: (entry,) edge between them, -1 where there is none.
        slot: (entry,) place in the padded table; 0 is the node itself.
        offset: (entry, space) of `node` from `element`, or (entry, 0).
        measure: (element,) of a node.

    Raises:
        ValueError: from the attributes of the table, where it would have more than 2^27 entries.

    Example:
        >>> import numpy as np, lgn
        >>> leaves, hub = np.arange(1, 1001), np.zeros(1000, int)
        >>> star = lgn.from_edges(1001, np.r_[leaves, hub], np.r_[hub, leaves])
        >>> [table.index.shape for table in lgn.node_stencil(star).groups]
        [(1000, 2), (1, 1001)]
    """

    element: np.ndarray
    node: np.ndarray
    through: np.ndarray
    slot: np.ndarray
    offset: np.ndarray
    measure: np.ndarray

    def __init__(self, element, node, through, slot, offset, measure):
        arguments = {"element": element, "node": node, "through": through, "slot": slot}
        self.__dict__.update(arguments, offset=offset, measure=measure, n_node=len(measure))  # as the base is frozen

    def config(self) -> dict[str, np.ndarray]:
        """The arguments that make it again."""
        return {name: getattr(self, name) for name in ("element", "node", "through", "slot", "offset", "measure")}

    def tables(self) -> tuple:
        """Content as a pytree of arrays."""
        return tuple(self.config().values())

    @cached_property
    def slots(self) -> int:
        """Of the padded table."""
        return int(self.slot.max()) + 1

    @property
    def read(self) -> tuple[np.ndarray, np.ndarray]:
        """Nodes and edges that it reads, in any order."""
        return self.node, self.through

    @property
    def wasteful(self) -> bool:
        """Whether a padded table would be large, and more than half empty."""
        return len(self.measure) * self.slots > max(2 * self.node.size, SMALL)

    @cached_property
    def padded(self) -> Stencil:
        """One table for all elements."""
        if len(self.measure) * self.slots > LARGEST:
            hub = int(np.bincount(self.element).argmax())
            raise ValueError(
                f"node {hub} has {np.count_nonzero(self.element == hub) - 1} neighbours, and a table with as many "
                f"slots for each of {len(self.measure)} nodes is too large. Where a density takes any number of slots "
                f"in any order, by the mask, say so: density.slots = None; or move what it says of two nodes to a term "
                f"on lgn.edge_stencil, and read slot 0 alone on lgn.node_stencil"
            )
        return self.first(self.slots)

    def first(self, count: int) -> Stencil:
        """The first slots of every element."""
        kept = np.flatnonzero(self.slot < count)
        return self._table(kept, self.slot[kept], count)

    @cached_property
    def groups(self) -> tuple[Stencil, ...]:
        """Tables of elements of about the same number of filled slots, which are more than half of each table; without
        gaps, so that a slot's place says nothing."""
        filled = np.bincount(self.element)
        place = np.arange(self.element.size) - np.repeat(np.cumsum(filled) - filled, filled)
        groups, width = [], int(filled.max())
        while width:
            least = width // 2 if width > NARROW else 0
            chosen = (least < filled) & (filled <= width)
            kept = np.flatnonzero(chosen[self.element])
            groups.append(self._table(kept, place[kept], width))
            width = int(filled[filled <= least].max(initial=0))
        return tuple(reversed(groups))

    def _table(self, kept, slot, width: int) -> Stencil:
        """Of some entries, each in a slot."""
        new = np.diff(self.element[kept], prepend=-1) > 0
        elements, row = self.element[kept][new], np.cumsum(new) - 1
        shape = len(elements), width
        index, edge, mask = np.repeat(elements[:, None], width, 1), np.full(shape, -1), np.zeros(shape)
        index[row, slot], edge[row, slot], mask[row, slot] = self.node[kept], self.through[kept], 1.0
        geometry = {}
        if self.offset.shape[1]:
            offset = np.zeros((*shape, self.offset.shape[1]))
            offset[row, slot] = self.offset[kept]
            geometry = {"offset": offset, "measure": self.measure[elements]}
        return Stencil(index.astype(np.int32), mask, edge.astype(np.int32), geometry, self.n_node)

    index = property(lambda self: self.padded.index)  # type: ignore[assignment]
    mask = property(lambda self: self.padded.mask)  # type: ignore[assignment]
    edge = property(lambda self: self.padded.edge)  # type: ignore[assignment]
    geometry = property(lambda self: self.padded.geometry)  # type: ignore[assignment]

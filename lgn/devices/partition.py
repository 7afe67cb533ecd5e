"""Partition: which device owns which nodes, elements and edges, and what it reads of the others'; numpy only.

Nodes are numbered anew, so that each part is a range of `size` rows; the last part may end in rows without a node. A
part holds the elements whose slot 0 it owns. Its local rows are those that it owns, those that it reads of others (the
halo, round by round), and one copy of an element of each table, which the empty places of the table read.
"""

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from lgn._pytrees import Static
from lgn.assembly.matrix import cuthill_mckee, inverse, joined
from lgn.graphs.tables import Runs, Stencil, runs_of


class Partition:
    """Nodes of a graph in parts, for the tables of all densities.

    Args:
        n_node: nodes of the graph.
        parts: how many.
        stencils: tables of the elements, none of them ragged.
        receivers: (edge,) receiving nodes of the graph; None where no density reads edges.

    Raises:
        ValueError: a part without nodes.

    Attributes:
        size: rows that a part owns.
        order: (node,) node of each row.
        row: (node,) row of each node.
        rounds: for each exchange the pairs (from, to) of parts.
    """

    def __init__(self, n_node: int, parts: int, stencils: Sequence[Stencil], receivers: np.ndarray | None = None):
        self.n_node, self.parts, self.stencils = n_node, parts, stencils
        self.size = -(-n_node // parts)
        if (parts - 1) * self.size >= n_node:
            raise ValueError(
                f"shard: {n_node} nodes in {parts} parts of {self.size} leave a part empty; give a mesh of at most "
                f"{-(-n_node // self.size)} devices"
            )
        self.order = _order(n_node, parts, self.size, [stencil.index for stencil in stencils])
        self.natural = bool((self.order == np.arange(n_node)).all())
        self.row = inverse(self.order)
        self._receivers = receivers
        self._numbers = {Static(stencil): number for number, stencil in enumerate(stencils)}
        self._elements = [self._by_part(stencil.index) for stencil in stencils]
        self._halo()

    def __hash__(self) -> int:
        return 0

    def __eq__(self, other: object) -> bool:
        """Whether it may be one too: what differs is in the counts and tables of its rows, which are compared."""
        return isinstance(other, Partition)

    @property
    def reads_edges(self) -> bool:
        return self._receivers is not None

    def number(self, stencil: Stencil) -> int:
        return self._numbers[Static(stencil)]

    @property
    def counts(self) -> list[int]:
        """Elements that a part has room for, of each table."""
        return [max(1, *map(len, elements)) for elements in self._elements]

    @cached_property
    def starts(self) -> np.ndarray:
        """First of the rows that stand for an empty place of each table; the last is the number of local rows."""
        before = self.size + sum(len(lists[0]) for lists in self.sends)
        return before + np.cumsum([0, *(stencil.slots for stencil in self.stencils)])

    def owned(self, table: int, part: int) -> int:
        return len(self._elements[table][part])

    def elements(self, table: int, part: int) -> np.ndarray:
        """Numbers of the elements of a part; empty places repeat one."""
        own = self._elements[table][part]
        return np.concatenate([own, np.full(self.counts[table] - len(own), self._repeated(table, part))])

    def index(self, table: int, part: int) -> np.ndarray:
        """(element, slot) local rows."""
        found = self._local(part, self.stencils[table].index[self.elements(table, part)])
        found[self.owned(table, part) :] = self.starts[table] + np.arange(found.shape[1])
        return found

    def runs(self, table: int) -> Runs | None:
        """Runs of local rows that the slots read, where they are the same on all parts, as on a ring."""
        first = self.index(table, 0)
        found = runs_of(first)
        same = found and all(np.array_equal(first, self.index(table, part)) for part in range(1, self.parts))
        return found if same else None

    def copies(self, part: int) -> np.ndarray:
        """Local rows that the rows of empty places copy."""
        nodes = [stencil.index[self._repeated(table, part)] for table, stencil in enumerate(self.stencils)]
        return self._local(part, np.concatenate(nodes))

    def edge(self, table: int, part: int) -> np.ndarray:
        """(element, slot) place among the edges of the part, -1 for none."""
        edge = self.stencils[table].edge[self.elements(table, part)]
        return np.where(edge < 0, -1, np.searchsorted(self.edges[part], edge)).astype(np.int32)

    @cached_property
    def edges(self) -> list[np.ndarray]:
        """Numbers of the edges that each part reads or receives."""
        owner = self.row[self._receivers] // self.size
        return [np.unique(np.concatenate([np.flatnonzero(owner == p), *self._read(p)])) for p in range(self.parts)]

    def edges_of(self, part: int) -> np.ndarray:
        """The same of one part, in as many places as in every other; empty ones repeat an edge."""
        own = self.edges[part]
        return np.pad(own, (0, max(map(len, self.edges)) - len(own)), mode="edge" if len(own) else "constant")

    def _read(self, part):
        for stencil, elements in zip(self.stencils, self._elements, strict=True):
            edge = stencil.edge[elements[part]]
            yield edge[edge >= 0]

    def _repeated(self, table, part) -> int:
        """An element of the part if it has one, else the first of all."""
        own = self._elements[table][part]
        return int(own[0]) if len(own) else 0

    def _by_part(self, index) -> list[np.ndarray]:
        """Numbers of the elements of each part, in the order of their rows."""
        first = self.row[index[:, 0]]
        order = np.argsort(first, kind="stable")
        return np.split(order, np.searchsorted(first[order], self.size * np.arange(1, self.parts)))

    def _local(self, part, nodes) -> np.ndarray:
        row, (known, local) = self.row[nodes], self._ghosts[part]
        if not len(known):
            return (row - part * self.size).astype(np.int32)
        place = np.minimum(np.searchsorted(known, row), len(known) - 1)
        return np.where(row // self.size == part, row - part * self.size, local[place]).astype(np.int32)

    def _halo(self) -> None:
        """Who sends which of its rows to whom: in a round each part sends to the one that stands `shift` further."""
        needed = [self._foreign(part) for part in range(self.parts)]
        self.rounds: list[tuple[tuple[int, int], ...]] = []
        self.sends: list[list[np.ndarray]] = []  # of each round, for each part the rows that it sends
        places, start = [np.zeros_like(rows) for rows in needed], self.size
        for shift in range(1, self.parts):
            pairs = [(part, (part + shift) % self.parts) for part in range(self.parts)]
            chosen = {end: np.flatnonzero(needed[end] // self.size == begin) for begin, end in pairs}
            most = max(len(x) for x in chosen.values())
            if not most:
                continue
            rows = [needed[end][chosen[end]] - begin * self.size for begin, end in pairs]
            self.sends.append([np.pad(x, (0, most - len(x))).astype(np.int32) for x in rows])
            self.rounds.append(tuple(pair for pair in pairs if len(chosen[pair[1]])))
            for end, x in chosen.items():
                places[end][x] = start + np.arange(len(x))
            start += most
        self._ghosts = list(zip(needed, places, strict=True))

    def _foreign(self, part) -> np.ndarray:
        """Rows that a part reads and does not own, in rising order."""
        found = []
        for table, (stencil, elements) in enumerate(zip(self.stencils, self._elements, strict=True)):
            read = elements[part] if len(elements[part]) else np.array([self._repeated(table, part)])
            row = self.row[stencil.index[read]]
            found.append(row[row // self.size != part])
        return np.unique(np.concatenate(found))


def _order(n_node, parts, size, tables) -> np.ndarray:
    """The numbering as given, which of a lattice makes strips, or reverse Cuthill-McKee's where the parts then read
    fewer nodes of each other: of all nodes from one, level by level."""
    natural = np.arange(n_node)
    if parts == 1:
        return natural
    rows, columns = joined(tables)
    found = cuthill_mckee(n_node, tables)
    return min([natural, found], key=lambda order: _crossing(inverse(order) // size, rows, columns, n_node))


def _crossing(part, rows, columns, n_node) -> int:
    """Most nodes that one part reads of the others."""
    reader = part[rows]
    crossing = np.flatnonzero(reader != part[columns])
    pairs = np.unique(reader[crossing].astype(np.int64) * n_node + columns[crossing])
    return int(np.bincount(pairs // n_node).max(initial=0))

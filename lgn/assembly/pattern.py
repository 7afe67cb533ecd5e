"""Pattern: in which nodes the element blocks of a matrix overlap, and what solvers need to know of that."""

from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Any

import jax
import numpy as np

from lgn._pytrees import Static
from lgn.graphs.tables import bucket, filled


class Pattern:
    """Where the element blocks of a matrix lie: node numbers only, computed once for each graph.

    Args:
        n_node: nodes of the graph.
        tables: for each term, (element, slot) node numbers.
    """

    def __init__(self, n_node: int, tables: tuple[Static[np.ndarray], ...]):
        self.n_node, self.tables = n_node, tables
        self._entries: dict[int, tuple] = {}
        self._laid_out: dict[tuple, LaidOutPattern] = {}

    def __hash__(self) -> int:
        return hash((self.n_node, self.tables))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pattern) and (self.n_node, self.tables) == (other.n_node, other.tables)

    @property
    def indices(self) -> tuple[np.ndarray, ...]:
        return tuple(table.value for table in self.tables)

    @cached_property
    def diagonal(self) -> bool:
        """Whether no element joins two nodes."""
        return all((index == index[:, :1]).all() for index in self.indices)

    @cached_property
    def order(self) -> np.ndarray:
        """(node,) the numbering of least half-bandwidth among three: as given, a ring folded flat (0, n-1, 1, n-2,
        ..., which exactly doubles the width of an open chain), and reverse Cuthill-McKee.

        The last is that of the graph that joins slot 0 to the other slots. The pattern itself, where these are joined
        to each other too, gives about the same width in 5 times the time, and takes GBs on large stencils (measured).
        """
        from scipy.sparse import coo_matrix
        from scipy.sparse.csgraph import reverse_cuthill_mckee

        n = self.n_node
        natural = compact(np.arange(n))
        folded = np.empty_like(natural)
        folded[0::2], folded[1::2] = natural[: (n + 1) // 2], natural[: (n - 1) // 2 : -1][: n // 2]
        rows = np.concatenate([np.broadcast_to(index[:, :1], index.shape).ravel() for index in self.indices])
        columns = np.concatenate([index.ravel() for index in self.indices])
        graph = coo_matrix((np.ones(rows.size, bool), (rows, columns)), shape=(n, n)).tocsr()
        mckee = compact(reverse_cuthill_mckee(graph, symmetric_mode=False))
        return min((natural, folded, mckee), key=self._width)

    @cached_property
    def natural(self) -> bool:
        """Whether `order` is that of the graph."""
        return bool((self.order == np.arange(self.n_node)).all())

    @cached_property
    def place(self) -> np.ndarray:
        """(node,) where each node stands in `order`."""
        return inverse(self.order)

    @cached_property
    def half_bandwidth(self) -> int:
        """Largest distance of two joined nodes in `order`."""
        return self._width(self.order)

    @cached_property
    def distinct(self) -> tuple[bool, ...]:
        """For each term whether the slots of every element read different nodes: an unfilled one reads slot 0 again."""
        ordered = (np.sort(index, axis=1) for index in self.indices)
        return tuple(bool((x[:, 1:] != x[:, :-1]).all()) for x in ordered)

    def band_entries(self, dim: int) -> tuple[np.ndarray, np.ndarray]:
        """Which entries of the flattened element blocks go where in flattened lower band storage (diagonal, column)."""
        if dim not in self._entries:
            sources, targets, start = [], [], 0
            size = self.n_node * dim
            for index in self.indices:
                number = self.place[index][..., None].astype(int) * dim + np.arange(dim)
                number = compact(number).reshape(len(index), -1)
                rows = np.broadcast_to(number[:, :, None], (*number.shape, number.shape[1])).ravel()
                columns = np.broadcast_to(number[:, None, :], (*number.shape, number.shape[1])).ravel()
                lower = np.flatnonzero(rows >= columns)
                sources.append(start + lower)
                targets.append((rows - columns)[lower].astype(int) * size + columns[lower])
                start += rows.size
            self._entries[dim] = compact(np.concatenate(sources)), compact(np.concatenate(targets))
        return self._entries[dim]

    def extended(self, table: np.ndarray) -> "Pattern":
        """With the blocks of one more term."""
        return pattern(self.n_node, *self.tables, Static(table))

    def laid_out(self, dim: int, counts: tuple[int, ...], banded: bool) -> "LaidOutPattern":
        """What solvers need to know of it as arrays, where the tables are filled up to these numbers of elements; its
        order and its band only where a band is solved."""
        if (dim, counts, banded) not in self._laid_out:
            self._laid_out[dim, counts, banded] = on_device(self._arrays(dim, counts, banded and not self.diagonal))
        return self._laid_out[dim, counts, banded]

    def _arrays(self, dim, counts, banded) -> "LaidOutPattern":
        known = LaidOutPattern(self.n_node, diagonal=self.diagonal, distinct=self.distinct)
        if not banded:
            return known
        source, target = self.band_entries(dim)
        sizes = [index.shape[1] ** 2 * dim**2 for index in self.indices]
        ends = np.cumsum([len(index) * size for index, size in zip(self.indices, sizes, strict=True)])
        more = np.cumsum([(n - len(x)) * size for n, x, size in zip(counts, self.indices, sizes, strict=True)])
        source = source + np.r_[0, more].astype(int)[np.searchsorted(ends, source, side="right")]
        beyond, count = (self.half_bandwidth + 1) * self.n_node * dim**2, bucket(source.size)
        return replace(
            known,
            order=self.order,
            place=self.place,
            entries=(compact(filled(source, count, 0)), compact(filled(target.astype(int), count, beyond))),
            half_bandwidth=self.half_bandwidth,
            natural=self.natural,
        )

    def _width(self, order) -> int:
        place = inverse(order)
        return max((int(np.ptp(place[index], axis=1).max(initial=0)) for index in self.indices), default=0)


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class LaidOutPattern:
    """A pattern whose tables are arguments of a program; see `Pattern` for its attributes.

    Entries that fill up tables point beyond the last node, where additions are dropped.
    """

    n_node: int = field(metadata={"static": True})
    indices: tuple = ()
    order: Any = None
    place: Any = None
    entries: tuple | None = None
    diagonal: bool = field(default=False, metadata={"static": True})
    distinct: tuple[bool, ...] = field(default=(), metadata={"static": True})
    natural: bool = field(default=False, metadata={"static": True})
    half_bandwidth: int = field(default=0, metadata={"static": True})

    def band_entries(self, dim: int) -> tuple:
        """See `Pattern`; of the degrees of freedom that it was laid out for."""
        assert self.entries is not None, "a pattern that was laid out for another solver"
        return self.entries

    def on(self, n_node: int, tables: tuple) -> "LaidOutPattern":
        """Of tables that are traced."""
        return replace(self, n_node=n_node, indices=tables)

    def extended(self, table) -> "LaidOutPattern":
        """With the blocks of one more term, which `distinct` and `entries` know already."""
        return replace(self, indices=(*self.indices, table))


@lru_cache(maxsize=64)
def pattern(n_node: int, *tables: Static[np.ndarray]) -> Pattern:
    """The `Pattern` of these tables; cached, so orderings are found once and not at every call."""
    return Pattern(n_node, tables)


def on_device(tables):
    """Tables of numpy as arrays of jax, within a transformation too; `jnp.asarray` compiles a copy for each shape."""
    with jax.ensure_compile_time_eval():
        return jax.tree.map(jax.device_put, tables)


def inverse(order: np.ndarray) -> np.ndarray:
    """The permutation that undoes `order`."""
    place = np.empty_like(order)
    place[order] = np.arange(order.size)
    return place


def compact(numbers: np.ndarray) -> np.ndarray:
    """As int32, which takes half the memory and the time to read, if all of them and the number after the last fit."""
    fit = numbers.max(initial=0) < np.iinfo(np.int32).max
    return numbers.astype(np.int32 if fit else np.int64, copy=False)

"""BlockMatrix: a symmetric matrix as the element blocks that sum to it, and the pattern in which these overlap.

It stores M = d2L/dv dv, the sum of element Hessians, and every other second derivative of a functional.
"""

from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from lgn._pytrees import Static
from lgn.assembly.rows import ROWS, Rows, on_device
from lgn.graphs.tables import bucket, filled


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Band:
    """Lower band storage in the order of least half-bandwidth.

    The entries of the flattened element blocks that lie in it are added to the flattened band, (diagonal, column);
    those that fill up the table lie beyond its end.
    """

    order: Any  # (node,) the node of each row of the band
    place: Any  # (node,) where each node stands in it
    source: Any  # (entry,) numbers in the blocks
    target: Any  # (entry,) numbers in the band
    half_bandwidth: int = field(metadata={"static": True})
    natural: bool = field(metadata={"static": True})  # whether the order is that of the graph


@jax.tree_util.register_pytree_node_class
class Pattern:
    """Where the element blocks of a matrix lie.

    Tables of numpy are part of a program, compared by content; arrays of jax are data, so that one program serves other
    graphs of the size. Of such tables a program knows `distinct`, and the band where it is given one.

    Args:
        n_node: rows of a state.
        indices: for each term, (element, slot) row numbers; those beyond the last fill up a table.
        distinct: for each term, whether the slots of every element are different nodes; by default, as found.
        band: of the matrix that is solved, with the rows of its clamps; by default made where it is asked for.
        divided: whether rows are divided over devices: then there is no band.
    """

    def __init__(self, n_node: int, indices: tuple, distinct=None, band: Band | None = None, divided: bool = False):
        self.n_node, self.indices, self._band, self.divided = n_node, tuple(indices), band, divided
        self.distinct = tuple(map(slots_differ, self._tables)) if distinct is None else distinct
        self._bands: dict[int, Band] = {}

    def tree_flatten(self):
        if self._known:
            return (), Static((self.n_node, self.indices))
        return (self.indices, self._band), (self.n_node, self.distinct, self.divided)

    @classmethod
    def tree_unflatten(cls, known, data) -> "Pattern":
        if isinstance(known, Static):
            return pattern(known.value[0], *map(Static, known.value[1]))
        return cls(known[0], data[0], known[1], data[1], known[2])

    def __hash__(self) -> int:
        return hash(self.tree_flatten()[1]) if self._known else id(self)

    def __eq__(self, other: object) -> bool:
        if self is other or not (isinstance(other, Pattern) and self._known and other._known):
            return self is other
        return self.tree_flatten()[1] == other.tree_flatten()[1]

    @property
    def _known(self) -> bool:
        return self._band is None and all(isinstance(index, np.ndarray) for index in self.indices)

    @property
    def diagonal(self) -> bool:
        """Whether no element joins two nodes."""
        return self.n_node == 1 or all(index.shape[1] == 1 for index in self.indices)

    @cached_property
    def order(self) -> np.ndarray:
        """(node,) the numbering of least half-bandwidth among three: as given, a ring folded flat (0, n-1, 1, n-2,
        ..., which exactly doubles the width of an open chain), and reverse Cuthill-McKee.

        The last is that of the graph that joins slot 0 to the other slots. The pattern itself, where these are joined
        to each other too, gives about the same width in 5 times the time, and takes GBs on large stencils (measured).
        """
        n = self.n_node
        natural = compact(np.arange(n))
        folded = np.empty_like(natural)
        folded[0::2], folded[1::2] = natural[: (n + 1) // 2], natural[: (n - 1) // 2 : -1][: n // 2]
        return min((natural, folded, compact(cuthill_mckee(n, self._tables))), key=self._width)

    @cached_property
    def half_bandwidth(self) -> int:
        """Largest distance of two joined nodes in `order`."""
        return self._width(self.order)

    def band(self, dim: int) -> Band:
        """The band for so many degrees of freedom; that which it was given, or made of tables that are known."""
        if self._band is not None:
            return self._band
        if dim not in self._bands:
            self._bands[dim] = on_device(self._made_band(dim))
        return self._bands[dim]

    def with_band(self, band: Band) -> "Pattern":
        return Pattern(self.n_node, self.indices, self.distinct, band, self.divided)

    def extended(self, table) -> "Pattern":
        """With the blocks of one more term, of one slot, which a band that is given knows already."""
        return Pattern(self.n_node, (*self.indices, table), (*self.distinct, True), self._band, self.divided)

    def _made_band(self, dim: int) -> Band:
        place, size = inverse(self.order), self.n_node * dim
        sources, targets, start = [], [], 0
        for index in map(np.asarray, self.indices):
            real = index[:, 0] < self.n_node
            number = place[index[real]][..., None].astype(int) * dim + np.arange(dim)
            number = compact(number).reshape(len(number), -1)
            rows = np.broadcast_to(number[:, :, None], (*number.shape, number.shape[1])).ravel()
            columns = np.broadcast_to(number[:, None, :], (*number.shape, number.shape[1])).ravel()
            lower = np.flatnonzero(rows >= columns)
            each = number.shape[1] ** 2
            sources.append(start + (np.flatnonzero(real)[lower // each] * each + lower % each))
            targets.append((rows - columns)[lower].astype(int) * size + columns[lower])
            start += len(index) * each
        source, target = np.concatenate(sources), np.concatenate(targets)
        count, beyond = bucket(source.size), (self.half_bandwidth + 1) * dim * size
        natural = bool((self.order == np.arange(self.n_node)).all())
        source, target = compact(filled(source, count, 0)), compact(filled(target, count, beyond))
        return Band(self.order, place, source, target, self.half_bandwidth, natural)

    @property
    def _tables(self) -> list[np.ndarray]:
        """Of tables that are known, the elements that do not fill them up."""
        return [index[index[:, 0] < self.n_node] for index in map(np.asarray, self.indices)]

    def _width(self, order) -> int:
        place = inverse(order)
        return max((int(np.ptp(place[index], axis=1).max(initial=0)) for index in self._tables), default=0)


@lru_cache(maxsize=64)
def pattern(n_node: int, *tables: Static[np.ndarray]) -> Pattern:
    """The `Pattern` of tables of numpy; cached, so orderings are found once."""
    return Pattern(n_node, tuple(table.value for table in tables))


def slots_differ(index: np.ndarray) -> bool:
    """Whether the slots of every element are different nodes."""
    ordered = np.sort(index, axis=1)
    return bool((ordered[:, 1:] != ordered[:, :-1]).all())


def joined(tables) -> tuple[np.ndarray, np.ndarray]:
    """Slot 0 of every element, and the nodes that it is joined to."""
    rows = np.concatenate([np.broadcast_to(index[:, :1], index.shape).ravel() for index in tables])
    return rows, np.concatenate([index.ravel() for index in tables])


def cuthill_mckee(n_node: int, tables) -> np.ndarray:
    """(node,) reverse Cuthill-McKee order of the graph that joins slot 0 of every element to its other slots."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import reverse_cuthill_mckee

    rows, columns = joined(tables)
    graph = coo_matrix((np.ones(rows.size, bool), (rows, columns)), shape=(n_node, n_node)).tocsr()
    return np.asarray(reverse_cuthill_mckee(graph, symmetric_mode=False))


def inverse(order: np.ndarray) -> np.ndarray:
    """The permutation that undoes `order`."""
    place = np.empty_like(order)
    place[order] = np.arange(order.size)
    return place


def compact(numbers: np.ndarray) -> np.ndarray:
    """As int32, which takes half the memory and the time to read, if all of them and the number after the last fit."""
    fit = numbers.max(initial=0) < np.iinfo(np.int32).max
    return numbers.astype(np.int32 if fit else np.int64, copy=False)


class BlockMatrix(nnx.Pytree):
    """M = sum over elements of their blocks.

    Args:
        pattern: where the blocks lie.
        blocks: for each term of the pattern, (element, slot, dim, slot, dim).
        dim: degrees of freedom of a node.
        rows: where states live, by default the nodes of the pattern.
    """

    def __init__(self, pattern: Pattern, blocks: tuple[Array, ...], dim: int, rows: Rows | None = None):
        self.pattern, self.blocks = nnx.data(pattern), nnx.data(tuple(blocks))
        self.dim, self.rows = dim, nnx.data(rows or Rows(pattern.n_node))

    def __matmul__(self, a: Float[Array, "node dim"]) -> Float[Array, "node dim"]:
        """M a, without forming M. Raises ValueError for an a of another shape, which gathers would clamp."""
        if a.shape != (self.pattern.n_node, self.dim):
            raise ValueError(f"M @ a: a has shape {a.shape}; expected (node, dim) = {(self.pattern.n_node, self.dim)}")

        def multiply(rows, divided, _):
            a, indices, blocks = divided
            (a,) = rows.extend(a)
            out = jnp.zeros_like(a)
            for index, block in zip(indices, blocks, strict=True):
                read = a.at[index].get(**ROWS)
                out = out.at[index].add(jnp.einsum("esitj,etj->esi", block, read), **ROWS)
            return rows.collect(out)[0]

        return self._over(multiply, jnp.asarray(a))

    def held(self, free, nodes, size) -> "BlockMatrix":
        """The same with the rows and columns of the identity, times a size, at rows that are not free; `free` is
        (node, 1) bool, `nodes` their numbers."""

        def hold(rows, divided, size):
            (free, nodes), indices, blocks = divided
            (free,) = rows.extend(free)
            kept = [
                block * (free[index][..., None, None] & free[index][:, None, None, :, :]).astype(block.dtype)
                for index, block in zip(indices, blocks, strict=True)
            ]
            one = (size * jnp.eye(self.dim, dtype=self._dtype))[:, None]
            return *kept, jnp.broadcast_to(one, (len(nodes), 1, self.dim, 1, self.dim))

        blocks = self._over(hold, (free, nodes), size)
        return BlockMatrix(self.pattern.extended(nodes[:, None]), blocks, self.dim, self.rows)

    def mean(self, free) -> Float[Array, ""]:
        """Mean of |M_ii| over the nodes that are free, (node, 1) bool, each as the sum of its elements' parts: no
        scatter, which took a seventh of an acceleration. Elements that only fill up a table add to no node."""

        def add(rows, divided, _):
            free, indices, blocks = divided
            count = jnp.sum(free) * self.dim
            (free,) = rows.extend(free)
            total = jnp.zeros((), self._dtype)
            for index, block in zip(indices, blocks, strict=True):
                counts = free[index] & (index < rows.real)[..., None]
                total += jnp.sum(jnp.where(counts, jnp.abs(jnp.einsum("esisi->esi", block)), 0.0))
            return total, count

        total, count = self._over(add, free, summed=True)
        return total / jnp.maximum(count, 1)

    def diagonal(self) -> Float[Array, "node dim dim"]:
        """The dim x dim block of each node."""

        def add(rows, divided, _):
            _, indices, blocks = divided
            out = jnp.zeros((rows.local, self.dim, self.dim), self._dtype)
            for index, block, distinct in zip(indices, blocks, self.pattern.distinct, strict=True):
                if distinct:
                    own = jnp.einsum("esisj->esij", block)
                else:
                    same = index[:, :, None] == index[:, None, :]
                    own = jnp.where(same[:, :, None, :, None], block, 0).sum(3)  # without a copy of the blocks
                out = out.at[index].add(own, **ROWS)
            return rows.collect(out)[0]

        return self._over(add, ())

    def band(self) -> Float[Array, "diagonal row"]:
        """Lower band storage in `pattern.order`: band[k, j] = M[j + k, j]."""
        self.rows.undivided("a mass matrix")
        size, known = self.pattern.n_node * self.dim, self.pattern.band(self.dim)
        width = (known.half_bandwidth + 1) * self.dim - 1
        flat = jnp.concatenate([block.reshape(-1) for block in self.blocks])
        out = jnp.zeros((width + 1) * size, self._dtype)
        return out.at[known.target].add(flat.at[known.source].get(**ROWS), **ROWS).reshape(width + 1, size)

    def dense(self) -> Float[Array, "row column"]:
        """(node dim, node dim), rows by node then degree of freedom."""
        self.rows.undivided("a mass matrix")
        n, d = self.pattern.n_node, self.dim
        out = jnp.zeros((n, d, n, d), self._dtype)
        for index, block in zip(self.pattern.indices, self.blocks, strict=True):
            out = out.at[index[:, :, None], :, index[:, None, :], :].add(jnp.einsum("esitj->estij", block))
        return out.reshape(n * d, n * d)

    def sparse(self):
        """scipy.sparse CSR, outside of transformations; for inspection, not for solving."""
        from scipy.sparse import coo_matrix

        self.rows.undivided("a mass matrix")
        size = self.pattern.n_node * self.dim
        total = coo_matrix((size, size)).tocsr()
        for index, block in zip(map(np.asarray, self.pattern.indices), self.blocks, strict=True):
            real = index[:, 0] < self.pattern.n_node
            number = (index[real][..., None] * self.dim + np.arange(self.dim)).reshape(np.count_nonzero(real), -1)
            rows, columns = np.broadcast_arrays(number[:, :, None], number[:, None, :])
            entries = np.asarray(block)[real].ravel()
            total = total + coo_matrix((entries, (rows.ravel(), columns.ravel())), (size, size))
        return total.tocsr()

    def _over(self, body, more, whole=(), summed: bool = False):
        """body(rows, (more, tables, blocks), whole) on every device."""
        return self.rows.over(body, (more, self.pattern.indices, self.blocks), whole, summed)

    @property
    def _dtype(self):
        return self.blocks[0].dtype

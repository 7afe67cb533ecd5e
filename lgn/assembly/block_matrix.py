"""BlockMatrix: a symmetric matrix as the element blocks that sum to it, and the pattern in which they overlap.

It stores M = d2L/dv dv, the sum of element Hessians, and every other second derivative of a functional.
"""

from functools import cached_property, lru_cache

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from lgn._pytrees import Static


class Pattern:
    """Where the element blocks of a matrix lie: node numbers only, computed once for each graph.

    Args:
        n_node: nodes of the graph.
        tables: for each term, (element, slot) node numbers.
    """

    def __init__(self, n_node: int, tables: tuple[Static[np.ndarray], ...]):
        self.n_node, self.tables = n_node, tables
        self._entries: dict[int, tuple] = {}

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
        natural = np.arange(n)
        folded = np.empty(n, int)
        folded[0::2], folded[1::2] = natural[: (n + 1) // 2], natural[: (n - 1) // 2 : -1][: n // 2]
        rows = np.concatenate([np.broadcast_to(index[:, :1], index.shape).ravel() for index in self.indices])
        columns = np.concatenate([index.ravel() for index in self.indices])
        graph = coo_matrix((np.ones(rows.size, bool), (rows, columns)), shape=(n, n)).tocsr()
        candidates = [natural, folded, np.asarray(reverse_cuthill_mckee(graph, symmetric_mode=False))]
        return min(candidates, key=self._width)

    @cached_property
    def half_bandwidth(self) -> int:
        """Largest distance of two joined nodes in `order`."""
        return self._width(self.order)

    @cached_property
    def repeats(self) -> tuple[tuple[np.ndarray, ...], ...]:
        """For each term (element, slot s, slot t) where two slots read one node: an unfilled one reads slot 0 again."""
        apart = [~np.eye(index.shape[1], dtype=bool) for index in self.indices]
        return tuple(
            np.nonzero((index[:, :, None] == index[:, None, :]) & other)
            for index, other in zip(self.indices, apart, strict=True)
        )

    def band_entries(self, dim: int) -> tuple[np.ndarray, np.ndarray]:
        """Which entries of the flattened element blocks go where in flattened lower band storage (diagonal, column)."""
        if dim not in self._entries:
            sources, targets, start = [], [], 0
            place, size = inverse(self.order), self.n_node * dim
            for index in self.indices:
                number = (place[index][..., None] * dim + np.arange(dim)).reshape(len(index), -1)
                rows = np.broadcast_to(number[:, :, None], (*number.shape, number.shape[1])).ravel()
                columns = np.broadcast_to(number[:, None, :], (*number.shape, number.shape[1])).ravel()
                lower = np.flatnonzero(rows >= columns)
                sources.append(start + lower)
                targets.append((rows - columns)[lower] * size + columns[lower])
                start += rows.size
            self._entries[dim] = np.concatenate(sources), np.concatenate(targets)
        return self._entries[dim]

    def _width(self, order) -> int:
        place = inverse(order)
        return max((int(np.ptp(place[index], axis=1).max(initial=0)) for index in self.indices), default=0)


@lru_cache(maxsize=64)
def pattern(n_node: int, *tables: Static[np.ndarray]) -> Pattern:
    """The `Pattern` of these tables; cached, so orderings are found once and not at every call."""
    return Pattern(n_node, tables)


class BlockMatrix(nnx.Pytree):
    """M = sum over elements of their blocks.

    Args:
        pattern: where the blocks lie.
        blocks: for each term of the pattern, (element, slot, dim, slot, dim).
        dim: degrees of freedom of a node.
    """

    def __init__(self, pattern: Pattern, blocks: tuple[Array, ...], dim: int):
        self.pattern = pattern
        self.blocks = nnx.data(tuple(blocks))
        self.dim = dim

    def __matmul__(self, a: Float[Array, "node dim"]) -> Float[Array, "node dim"]:
        """M a, without forming M. Raises ValueError for an a of another shape, which gathers would clamp."""
        if a.shape != (self.pattern.n_node, self.dim):
            raise ValueError(f"M @ a: a has shape {a.shape}; expected (node, dim) = {(self.pattern.n_node, self.dim)}")
        out = jnp.zeros_like(a)
        for index, block in zip(self.pattern.indices, self.blocks, strict=True):
            out = out.at[index].add(jnp.einsum("esitj,etj->esi", block, a[index]))
        return out

    def diagonal(self) -> Float[Array, "node dim dim"]:
        """The dim x dim block of each node."""
        out = jnp.zeros((self.pattern.n_node, self.dim, self.dim), self._dtype)
        for index, block, twice in zip(self.pattern.indices, self.blocks, self.pattern.repeats, strict=True):
            out = out.at[index].add(jnp.einsum("esisj->esij", block))
            element, s, t = twice
            out = out.at[index[element, s]].add(block[element, s, :, t, :])
        return out

    def band(self) -> Float[Array, "diagonal row"]:
        """Lower band storage in `pattern.order`: band[k, j] = M[j + k, j]."""
        size = self.pattern.n_node * self.dim
        width = (self.pattern.half_bandwidth + 1) * self.dim - 1
        source, target = self.pattern.band_entries(self.dim)
        flat = jnp.concatenate([block.reshape(-1) for block in self.blocks])
        return jnp.zeros((width + 1) * size, self._dtype).at[target].add(flat[source]).reshape(width + 1, size)

    def dense(self) -> Float[Array, "row column"]:
        """(node dim, node dim), rows by node then degree of freedom."""
        n, d = self.pattern.n_node, self.dim
        out = jnp.zeros((n, d, n, d), self._dtype)
        for index, block in zip(self.pattern.indices, self.blocks, strict=True):
            out = out.at[index[:, :, None], :, index[:, None, :], :].add(jnp.einsum("esitj->estij", block))
        return out.reshape(n * d, n * d)

    def sparse(self):
        """scipy.sparse CSR, outside of transformations; for inspection, not for solving."""
        from scipy.sparse import coo_matrix

        size = self.pattern.n_node * self.dim
        total = coo_matrix((size, size)).tocsr()
        for index, block in zip(self.pattern.indices, self.blocks, strict=True):
            number = (index[..., None] * self.dim + np.arange(self.dim)).reshape(len(index), -1)
            rows, columns = np.broadcast_arrays(number[:, :, None], number[:, None, :])
            total = total + coo_matrix((np.asarray(block).ravel(), (rows.ravel(), columns.ravel())), (size, size))
        return total.tocsr()

    @property
    def _dtype(self):
        return self.blocks[0].dtype


def inverse(order: np.ndarray) -> np.ndarray:
    """The permutation that undoes `order`."""
    place = np.empty_like(order)
    place[order] = np.arange(order.size)
    return place

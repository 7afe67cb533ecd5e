"""BlockMatrix: a symmetric matrix as the element blocks that sum to it.

It stores M = d2L/dv dv, the sum of element Hessians, and every other second derivative of a functional.
"""

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from lgn._pytrees import attribute
from lgn.assembly.pattern import LaidOutPattern, Pattern


class BlockMatrix(nnx.Pytree):
    """M = sum over elements of their blocks.

    Args:
        pattern: where the blocks lie.
        blocks: for each term of the pattern, (element, slot, dim, slot, dim).
        dim: degrees of freedom of a node.
    """

    def __init__(self, pattern: Pattern | LaidOutPattern, blocks: tuple[Array, ...], dim: int):
        self.pattern = attribute(pattern)
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

    def held(self, free, nodes, size) -> "BlockMatrix":
        """The same with the rows and columns of the identity, times a size, at nodes that are not free; `free` is
        (node, 1) bool, `nodes` their numbers."""
        blocks = [
            block * (free[index][..., None, None] & free[index][:, None, None, :, :]).astype(block.dtype)
            for index, block in zip(self.pattern.indices, self.blocks, strict=True)
        ]
        one = (size * jnp.eye(self.dim, dtype=self._dtype))[:, None]
        unit = jnp.broadcast_to(one, (len(nodes), 1, self.dim, 1, self.dim))
        return BlockMatrix(self.pattern.extended(nodes[:, None]), (*blocks, unit), self.dim)

    def mean(self, free) -> Float[Array, ""]:
        """Of |M_ii| over the nodes that are free, (node, 1) bool, each as the sum of its elements' parts: no scatter,
        which took a seventh of an acceleration. Elements that only fill up a table add to no node."""
        total = jnp.zeros((), self._dtype)
        for index, block in zip(self.pattern.indices, self.blocks, strict=True):
            counts = free[index] & (index < self.pattern.n_node)[..., None]
            total += jnp.sum(jnp.where(counts, jnp.abs(jnp.einsum("esisi->esi", block)), 0.0))
        return total / jnp.maximum(jnp.sum(free) * self.dim, 1)

    def diagonal(self) -> Float[Array, "node dim dim"]:
        """The dim x dim block of each node."""
        out = jnp.zeros((self.pattern.n_node, self.dim, self.dim), self._dtype)
        for index, block, distinct in zip(self.pattern.indices, self.blocks, self.pattern.distinct, strict=True):
            if distinct:
                own = jnp.einsum("esisj->esij", block)
            else:
                same = index[:, :, None] == index[:, None, :]
                own = jnp.where(same[:, :, None, :, None], block, 0).sum(3)  # without a copy of the blocks
            out = out.at[index].add(own)
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

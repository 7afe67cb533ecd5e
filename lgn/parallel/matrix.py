"""Matrix: the mass matrix in parts, each device with the blocks of its elements."""

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from lgn.assembly.block_matrix import BlockMatrix
from lgn.parallel.halo import Halo


@dataclass(frozen=True)
class Shape:
    """What solvers ask of a pattern.

    Attributes:
        n_node: rows, divided by the number of devices.
        diagonal: whether no element joins two nodes.
    """

    n_node: int
    diagonal: bool


class DividedMatrix(BlockMatrix):
    """M = sum over the elements of all devices of their blocks.

    Args:
        halo: the exchange.
        tables: of each term (element, slot) local rows.
        blocks: of each term (element, slot, dim, slot, dim).
        dim: degrees of freedom of a node.
        n_row: rows of all devices.
    """

    def __init__(self, halo: Halo, tables: tuple[Array, ...], blocks: tuple[Array, ...], dim: int, n_row: int):
        self.halo, self.tables = halo, nnx.data(tables)
        self.pattern: Any = Shape(n_row, all(block.shape[1] == 1 for block in blocks))
        self.blocks, self.dim = nnx.data(blocks), dim

    def __matmul__(self, a: Float[Array, "row dim"]) -> Float[Array, "row dim"]:
        """M a, without forming M."""
        if a.shape != (self.pattern.n_node, self.dim):
            raise ValueError(f"M @ a: a has shape {a.shape}; expected (row, dim) = {(self.pattern.n_node, self.dim)}")

        def multiply(halo, divided, _):
            a, tables, blocks = divided
            (a,) = halo.extend(a)
            out = jnp.zeros_like(a)
            for index, block in zip(tables, blocks, strict=True):
                out = out.at[index].add(jnp.einsum("esitj,etj->esi", block, a[index]))
            return halo.collect(out)[0]

        return self.halo.over(multiply, (a, self.tables, self.blocks), ())

    def diagonal(self) -> Float[Array, "row dim dim"]:
        """The dim x dim block of each node."""

        def sums(halo, divided, _):
            out = jnp.zeros((halo.rows, self.dim, self.dim), self.blocks[0].dtype)
            for index, block in zip(*divided, strict=True):
                same = index[:, :, None] == index[:, None, :]  # an unfilled slot reads slot 0 again
                out = out.at[index].add(jnp.where(same[:, :, None, :, None], block, 0).sum(3))  # no copy of the blocks
            return halo.collect(out)[0]

        return self.halo.over(sums, (self.tables, self.blocks), ())

    def mean(self, free) -> Float[Array, ""]:
        """Of |M_ii| over all rows, with those of empty places, which copy others: no message."""
        total = sum(jnp.sum(jnp.abs(jnp.einsum("esisi->esi", block))) for block in self.blocks)
        return total / (self.pattern.n_node * self.dim)

    def held(self, free, nodes, size) -> "DividedMatrix":
        """The same with the rows and columns of the identity, times a size, where rows are not free, (row, 1) bool."""

        def hold(halo, divided, size):
            free, tables, blocks = divided
            unit = jnp.where(free[:, :, None, None, None], 0.0, size * jnp.eye(self.dim)[:, None])
            unit = unit.astype(blocks[0].dtype)
            (free,) = halo.extend(free)
            kept = [
                block * (free[index][..., None, None] & free[index][:, None, None, :, :]).astype(block.dtype)
                for index, block in zip(tables, blocks, strict=True)
            ]
            return (*tables, jnp.arange(halo.size, dtype=jnp.int32)[:, None]), (*kept, unit)

        tables, blocks = self.halo.over(hold, (free, self.tables, self.blocks), size)
        return DividedMatrix(self.halo, tables, blocks, self.dim, self.pattern.n_node)

    def _whole(self):
        raise ValueError(
            "a mass matrix that is divided over devices has no dense, banded or sparse form; take that of the system "
            "on one device, system.whole, and solve with lgn.ConjugateGradient()"
        )

    def band(self):
        """Raises ValueError: no device has all rows."""
        self._whole()

    def dense(self):
        """Raises ValueError: no device has all rows."""
        self._whole()

    def sparse(self):
        """Raises ValueError: no device has all rows."""
        self._whole()

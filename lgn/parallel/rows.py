"""Rows: states in the order of the parts, which is that of the graph or another, and the way there and back."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array

from lgn.parallel.halo import Halo
from lgn.parallel.partition import Partition


class Rows(nnx.Pytree):
    """The rows of a partition, divided over devices, and the nodes that they stand for.

    Where the parts are ranges of the graph's own order, nothing moves; else each way gathers the whole array.
    """

    def __init__(self, partition: Partition, halo: Halo):
        self.sharding = NamedSharding(halo.mesh, PartitionSpec(halo.axis))
        self.n_node, self.count = partition.n_node, partition.size * partition.parts
        self.places = None
        if not partition.natural:
            order = np.pad(partition.order, (0, self.count - self.n_node)).astype(np.int32)
            row = np.empty_like(order)
            row[order[: self.n_node]] = np.arange(self.n_node)
            row[self.n_node :] = 0
            rows = [table.reshape(partition.parts, -1) for table in (order, row)]
            self.places = nnx.data(tuple(halo.divide(table.__getitem__) for table in rows))

    @property
    def full(self) -> bool:
        """Whether every row stands for a node."""
        return self.count == self.n_node

    def enter(self, x: Array) -> Array:
        """(row, ...) of (node, ...); zero in rows without a node."""
        if self.places is None:
            found = jnp.pad(x, ((0, self.count - self.n_node), *((0, 0),) * (x.ndim - 1)))
        else:
            filled = (jnp.arange(self.count) < self.n_node).reshape(-1, *(1,) * (x.ndim - 1))
            found = jnp.where(filled, x[self.places[0]], 0)
        return jax.lax.with_sharding_constraint(found, self.sharding)

    def leave(self, x: Array) -> Array:
        """(node, ...) of (row, ...)."""
        return (x if self.places is None else x[self.places[1]])[: self.n_node]

    def leave_all(self, tree: Any) -> Any:
        """Of a tree every array (..., row, dim); those of one axis or none are not fields."""
        return jax.tree.map(
            lambda x: x if jnp.ndim(x) < 2 else jnp.moveaxis(self.leave(jnp.moveaxis(x, -2, 0)), 0, -2), tree
        )

    def node(self, row: Array) -> Array:
        """Number of the node of a row; -1 stays."""
        return row if self.places is None else jnp.where(row < 0, row, self.places[0][row])

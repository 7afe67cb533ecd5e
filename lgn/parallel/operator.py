"""Operator: a structure on rows that are divided over devices, which reads rows of others as elements do."""

from typing import Any

import jax
import numpy as np
from flax import nnx

from lgn.assembly.domain import Field
from lgn.graphs.tables import Stencil
from lgn.mechanics.operator import Operator
from lgn.mechanics.structures import Structure
from lgn.parallel.domain import on_all
from lgn.parallel.halo import Halo
from lgn.parallel.partition import Partition


def stencil_of(operator: Operator) -> Stencil:
    """For each node itself, then those that its row of G reads.

    Raises:
        ValueError: a structure that does not promise to read rows by its tables alone.
    """
    if not getattr(operator.given, "local", False):
        raise ValueError(
            f"shard: structure={type(operator.given).__name__} does not say which nodes a row of G reads; if these are "
            f"the node itself and those in its row of integer tables (node, ...), -1 for none, set local = True, else "
            f"keep the flow on one device"
        )
    n_node, leaves = operator.size, jax.tree.leaves(operator.tables)
    for leaf in leaves:
        if np.shape(leaf)[:1] != (n_node,):
            raise ValueError(
                f"shard: structure={type(operator.given).__name__} is local, but has a table of shape "
                f"{np.shape(leaf)}; expected ({n_node}, ...), a row for each node"
            )
    itself = np.arange(n_node)[:, None]
    read = [leaf.reshape(n_node, -1) for leaf in leaves if _numbers(leaf)]
    index = np.concatenate([itself, *(np.where(nodes < 0, itself, nodes) for nodes in read)], 1).astype(np.int32)
    none = np.full(index.shape, -1, np.int32)
    return Stencil(index, np.ones(index.shape), none, n_node=n_node)


class DividedOperator(Operator):
    """G on rows.

    Args:
        operator: on one device.
        partition: of its graph.
        halo: the exchange.
        number: of its table in the partition.
    """

    def __init__(self, operator: Operator, partition: Partition, halo: Halo, number: int):
        self.operator, self.halo, self.size = on_all(halo, operator), halo, partition.size * partition.parts
        self.divided = nnx.data(_divided(operator.tables, partition, halo, number))

    @property
    def given(self) -> Structure:  # type: ignore[override]
        """The structure, as it was given."""
        return self.operator.given

    def __call__(self, x: Field) -> Field:
        """G x."""
        self._check(x)

        def apply(halo, divided, operator):
            x, tables = divided
            if jax.tree.leaves(tables):
                (x,) = halo.extend(x)
            return operator.given.apply(tables, x)[: halo.size]

        return self.halo.over(apply, (x, self.divided), self.operator)

    def matrix(self, dim: int | None = None):
        """Raises ValueError: no device has all rows."""
        raise ValueError("a structure that is divided over devices has no matrix; ask system.whole.structure")


def _divided(tables: Any, partition: Partition, halo: Halo, number: int) -> Any:
    """The tables with a row for each local row of each device, those that it does not own with -1 and 0, so that what a
    structure makes of its tables is as long as what it gets."""
    leaves, structure = jax.tree.flatten(tables)
    ends = 1 + np.cumsum([0] + [leaf[0].size if _numbers(leaf) else 0 for leaf in leaves])

    def spread(leaf, start, end):
        def piece(part):
            nodes = partition.elements(number, part)[: partition.owned(number, part)]
            found = leaf[nodes]
            if _numbers(leaf):
                local = partition.index(number, part)[: len(nodes), start:end].reshape(found.shape)
                found = np.where(found < 0, -1, local).astype(np.int32)
            others = np.full((halo.rows - len(nodes), *leaf.shape[1:]), -1 if _numbers(leaf) else 0, found.dtype)
            return np.concatenate([found, others])

        return halo.divide(piece)

    return jax.tree.unflatten(structure, list(map(spread, leaves, ends[:-1], ends[1:])))


def _numbers(leaf) -> bool:
    """Whether a table holds numbers of nodes."""
    return np.issubdtype(leaf.dtype, np.integer)

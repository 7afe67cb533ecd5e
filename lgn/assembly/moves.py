"""Moves: from nodes to the slots of elements, and back as sums; where slots read runs of nodes, without an index.

On a ring or a chain a slot reads one or two runs of consecutive nodes. Slices of them are part of the arithmetic around
them, where a gather or a scatter takes longer than all else of a small density (measured).
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from lgn.assembly.layout import Table
from lgn.graphs.tables import Stencil


def gathered(x: jax.Array, table: Stencil | Table) -> jax.Array:
    """(element, slot, ...) of nodal values (node, ...)."""
    if table.runs is None:
        return x[table.index]
    columns = [jnp.concatenate([x[a:b] for a, b in of_slot]) for of_slot in table.runs]
    return jnp.stack(columns, 1)


def added(sums: jax.Array, table: Stencil | Table, found: jax.Array, slots: Sequence[int] | np.ndarray) -> jax.Array:
    """Nodal sums (node, ...) with (element, slot, ...) values added, those of some slots."""
    if table.runs is None:
        every = len(slots) == table.slots
        return sums.at[table.target if every else table.target[:, slots]].add(found if every else found[:, slots])
    for slot in slots:
        start = 0
        for a, b in table.runs[slot]:
            part = found[start : start + b - a, slot]
            sums += jnp.pad(part, [(a, len(sums) - b)] + [(0, 0)] * (part.ndim - 1))
            start += b - a
    return sums

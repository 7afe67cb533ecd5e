"""Rows: where the states of a system live, and what each derivative of a functional asks of that, wherever it is:

    rows.over(lambda rows, own, whole: rows.collect(sums of elements of rows.extend(fields)), ...)

On one device a row is a node and all of this is the identity. `lgn.devices` divides rows over devices.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array

from lgn.graphs.tables import EXACT, Stencil, bucket, filled

ROWS: dict[str, Any] = {"wrap_negative_indices": False}  # of gathers and scatters: each a kernel less to compile


class Rows(nnx.Pytree):
    """The nodes of a graph as they are, on one device; the contract of all rows.

    Args:
        count: of the nodes.

    Attributes:
        count: rows of a state.
        n_node: nodes that they stand for.
        size: rows that one device owns.
        local: rows that the elements of one device read and add to.
        real: the first of these that stands for no node, but for a place that fills up a table.
        divided: whether they are divided over devices.
    """

    divided = False

    def __init__(self, count: int):
        self.count = self.n_node = self.size = self.local = self.real = count

    def enter(self, x: Array) -> Array:
        """(row, ...) of (node, ...); zero in rows without a node."""
        return x

    def leave(self, x: Array) -> Array:
        """(node, ...) of (row, ...)."""
        return x

    def node(self, row: Array) -> Array:
        """Number of the node of a row; -1 stays."""
        return row

    def edges(self, x: Array) -> Array:
        """Features of edges (edge, ...), where the elements of each device find them: filled up to a bucket, so that
        graphs with about as many edges share programs."""
        return _filled(x, bucket(len(x)))

    def held(self, nodes: np.ndarray) -> Any:
        """Rows that rest: those of some nodes, filled up to a bucket by rows beyond the last, and those without a
        node; None for none."""
        return on_device(filled(nodes, bucket(len(nodes)), self.local)) if len(nodes) else None

    def over(self, body: Callable, divided: Any, whole: Any, summed: bool = False) -> Any:
        """body(rows, divided, whole) on every device, with its part of what is divided along the first axis and all of
        what is whole; the results are divided too, or `summed` over devices."""
        return body(self, divided, whole)

    def extend(self, *fields: Array) -> tuple[Array, ...]:
        """Within `over`: each field with the rows that the elements of this device read."""
        return fields

    def collect(self, *sums: Array) -> tuple[Array, ...]:
        """Within `over`: what all elements add to the rows that this device owns; the adjoint of `extend`."""
        return sums

    def tables(self, stencil: Stencil, read: set[str], exact: bool) -> dict[str, Any]:
        """The tables of a stencil as arrays, see `Bound`, filled up in their elements to a bucket unless `exact`.

        Args:
            stencil: of the elements.
            read: names of mask and geometry that are read, and `edge` where features of edges are.
            exact: whether graphs of the size have as many elements.
        """
        count = len(stencil.index)
        kept = slice(None) if exact or count > EXACT else np.minimum(np.arange(bucket(count)), count - 1)
        known = {name: x[kept] for name, x in stencil.known.items() if name in read}
        index, adds, real = stencil.index[kept], None, None
        if len(index) > count:
            real = np.arange(len(index)) < count
            adds = np.where(real[:, None], index, self.local).astype(index.dtype)
        edge = stencil.edge[kept] if "edge" in read else None
        arrays = {"index": index, "adds": adds, "edge": edge, "known": known, "real": real}
        return {**on_device(arrays), "runs": None if len(index) > count else stencil.runs}

    def by_row(self, tables: Any) -> Any:
        """The tables of a structure as arrays, with a row for each local row."""
        return on_device(tables)

    def undivided(self, what: str) -> None:
        """Raises ValueError where no device has all rows."""


@lru_cache(maxsize=64)
def nodes(count: int) -> Rows:
    """The rows of so many nodes on one device; one object, so that what is bound to them is found again."""
    return Rows(count)


def on_device(tables):
    """Tables of numpy as arrays of jax, within a transformation too; `jnp.asarray` compiles a copy for each shape."""
    with jax.ensure_compile_time_eval():
        return jax.tree.map(jax.device_put, tables)


def _filled(x, count: int) -> Array:
    """With rows of zeros more: by numpy, which compiles nothing, unless traced."""
    more = [(0, count - len(x)), *[(0, 0)] * (x.ndim - 1)]
    if count == len(x):
        return x
    return jnp.pad(x, more) if isinstance(x, jax.core.Tracer) else on_device(np.pad(np.asarray(x), more))

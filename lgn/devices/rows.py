"""DividedRows: states divided over devices, each with a range of rows.

A device reads rows of others by `ppermute` in rounds, and what it adds to theirs is sent back.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array

from lgn import _arguments
from lgn.assembly.rows import Rows
from lgn.devices.partition import Partition
from lgn.graphs.tables import Stencil


class DividedRows(Rows):
    """The rows of a partition over devices. A pytree whose leaves are divided over them.

    Where the parts are ranges of the graph's own order, nothing moves on the way in and out; else each way gathers the
    whole array. Within `over` arrays are those of one device.

    Args:
        partition: in as many parts as the axis has devices.
        mesh: of devices.
        axis: of the mesh.
    """

    divided = True

    def __init__(self, partition: Partition, mesh: Mesh, axis: str):
        self.partition, self.mesh, self.axis = partition, mesh, axis
        self.n_node, self.count = partition.n_node, partition.size * partition.parts
        self.size, self.real, self.local = partition.size, int(partition.starts[0]), int(partition.starts[-1])
        self.rounds = tuple(partition.rounds)
        self.sends = nnx.data(tuple(self.divide(rows.__getitem__) for rows in partition.sends))
        self.copies = nnx.data(self.divide(partition.copies))
        self.edge_numbers = nnx.data(self.divide(partition.edges_of)) if partition.reads_edges else None
        self.places = None
        if not partition.natural:
            order = np.pad(partition.order, (0, self.count - self.n_node)).astype(np.int32)
            row = np.zeros_like(order)
            row[order[: self.n_node]] = np.arange(self.n_node)
            tables = [table.reshape(partition.parts, -1) for table in (order, row)]
            self.places = nnx.data(tuple(self.divide(table.__getitem__) for table in tables))

    @property
    def sharding(self) -> NamedSharding:
        """Along the first axis."""
        return NamedSharding(self.mesh, PartitionSpec(self.axis))

    def divide(self, of_part: Callable[[int], np.ndarray]) -> Array:
        """The arrays of all parts, one after the other along their first axis; each process makes only its own."""
        along = np.moveaxis(self.mesh.devices, self.mesh.axis_names.index(self.axis), 0)
        devices = along.reshape(len(along), -1)
        here = [p for p, row in enumerate(devices) if any(x.process_index == jax.process_index() for x in row)]
        made = {part: np.asarray(of_part(part)) for part in here}
        rows, *rest = made[here[0]].shape

        def piece(index):
            return made[(index[0].start or 0) // max(rows, 1)]

        with jax.ensure_compile_time_eval():
            return jax.make_array_from_callback((len(devices) * rows, *rest), self.sharding, piece)

    def enter(self, x: Array) -> Array:
        if _at_hand(x):
            return self._by_row(np.asarray(x))
        if self.places is None:
            found = jnp.pad(x, ((0, self.count - self.n_node), *((0, 0),) * (x.ndim - 1)))
        else:
            filled = (jnp.arange(self.count) < self.n_node).reshape(-1, *(1,) * (x.ndim - 1))
            found = jnp.where(filled, x[self.places[0]], 0)
        return lax.with_sharding_constraint(found, self.sharding)

    def leave(self, x: Array) -> Array:
        return (x if self.places is None else x[self.places[1]])[: self.n_node]

    def node(self, row: Array) -> Array:
        return row if self.places is None else jnp.where(row < 0, row, self.places[0][row])

    def edges(self, x: Array) -> Array:
        if not _at_hand(x):
            return x[self.edge_numbers]
        known = np.asarray(x)
        return self.divide(lambda part: known[self.partition.edges_of(part)])

    def held(self, nodes: np.ndarray) -> Any:
        rest = np.concatenate([self.partition.row[nodes], np.arange(self.n_node, self.count)])
        own = [np.sort(rest[rest // self.size == part]) - part * self.size for part in range(self.partition.parts)]
        most = max(map(len, own))

        def piece(part):
            return np.pad(own[part], (0, most - len(own[part])), constant_values=self.local).astype(np.int32)

        return self.divide(piece) if most else None

    def over(self, body: Callable, divided: Any, whole: Any, summed: bool = False) -> Any:
        mine, same = PartitionSpec(self.axis), PartitionSpec()

        def local(rows, divided, whole):
            found = body(rows, divided, whole)
            return jax.tree.map(lambda x: lax.psum(x, self.axis), found) if summed else found

        mapped = jax.shard_map(
            local,
            mesh=self.mesh,
            in_specs=(mine, mine, same),
            out_specs=same if summed else mine,
            axis_names={self.axis},
            check_vma=False,  # a density may hold loops whose start is the same everywhere
        )
        return jax.jit(mapped)(self, divided, whole)  # outside of a program it would run step by step

    def extend(self, *fields: Array) -> tuple[Array, ...]:
        known = self._with_ghosts(_packed(fields))
        return _unpacked(jnp.concatenate([known, known[self.copies]]), fields)

    def collect(self, *sums: Array) -> tuple[Array, ...]:
        packed = _packed(sums)[: len(sums[0]) - len(self.copies)]
        own = jax.ShapeDtypeStruct((self.size, packed.shape[1]), packed.dtype)
        return _unpacked(jax.linear_transpose(self._with_ghosts, own)(packed)[0], sums)

    def tables(self, stencil: Stencil, read: set[str], exact: bool) -> dict[str, Any]:
        """Empty places have rows of their own, so that padding never touches real data."""
        partition, number = self.partition, self.partition.number(stencil)

        def spread(of_elements):
            return self.divide(lambda part: of_elements[partition.elements(number, part)])

        return {
            "index": self.divide(lambda part: partition.index(number, part)),
            "adds": None,
            "edge": self.divide(lambda part: partition.edge(number, part)) if "edge" in read else None,
            "known": {name: spread(x) for name, x in stencil.known.items() if name in read},
            "real": self.divide(lambda part: np.arange(partition.counts[number]) < partition.owned(number, part)),
            "runs": partition.runs(number),
        }

    def by_row(self, tables: Any) -> Any:
        """The tables (node, ...) of a structure with a row for each local row of each device, those that it does not
        own with -1 and 0, so that what a structure makes of its tables is as long as what it gets."""
        partition, number = self.partition, len(self.partition.stencils) - 1
        leaves, structure = jax.tree.flatten(tables)
        ends = 1 + np.cumsum([0] + [leaf[0].size if numbers(leaf) else 0 for leaf in leaves])

        def spread(leaf, start, end):
            def piece(part):
                nodes = partition.elements(number, part)[: partition.owned(number, part)]
                found = leaf[nodes]
                if numbers(leaf):
                    local = partition.index(number, part)[: len(nodes), start:end].reshape(found.shape)
                    found = np.where(found < 0, -1, local).astype(np.int32)
                others = np.full((self.local - len(nodes), *leaf.shape[1:]), -1 if numbers(leaf) else 0, found.dtype)
                return np.concatenate([found, others])

            return self.divide(piece)

        return jax.tree.unflatten(structure, list(map(spread, leaves, ends[:-1], ends[1:])))

    def undivided(self, what: str) -> None:
        raise ValueError(
            f"{what} that is divided over devices has no dense, banded or sparse form; take that of the system on one "
            f"device, system.whole, and solve with lgn.ConjugateGradient()"
        )

    def _by_row(self, x: np.ndarray) -> Array:
        def piece(part):
            nodes = self.partition.order[part * self.size : (part + 1) * self.size]
            return np.pad(x[nodes], ((0, self.size - len(nodes)), *((0, 0),) * (x.ndim - 1)))

        return self.divide(piece)

    def _with_ghosts(self, own):
        sent = zip(self.rounds, self.sends, strict=True)
        return jnp.concatenate([own, *(lax.ppermute(own[rows], self.axis, pairs) for pairs, rows in sent)])


def _at_hand(x) -> bool:
    """Whether a process has all of an array, outside of transformations."""
    if _arguments.transformed() or isinstance(x, jax.core.Tracer):
        return False
    return isinstance(x, np.ndarray) or x.is_fully_addressable or x.is_fully_replicated


def numbers(leaf) -> bool:
    """Whether a table holds numbers of nodes."""
    return np.issubdtype(leaf.dtype, np.integer)


def _packed(fields) -> Array:
    flat = [x.reshape(len(x), -1) for x in fields]
    return flat[0] if len(flat) == 1 else jnp.concatenate(flat, 1)


def _unpacked(packed, fields) -> tuple[Array, ...]:
    """As many arrays, of the shapes of the fields but for the number of rows."""
    ends = np.cumsum([int(np.prod(x.shape[1:])) for x in fields])[:-1]
    pieces = jnp.split(packed, ends, 1)
    return tuple(x.reshape(len(x), *field.shape[1:]) for x, field in zip(pieces, fields, strict=True))

"""Halo: rows that a device reads of the others, by `ppermute` in rounds, and what it adds to theirs, sent back."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array

from lgn.parallel.partition import Partition


class Halo(nnx.Pytree):
    """The exchange between the parts of a partition. A pytree whose leaves are divided over the devices.

    Within `over` arrays are those of one device: `extend` gives the rows that its elements read, `collect` is the
    adjoint: what its elements add to rows of others goes to their owners.

    Args:
        partition: in as many parts as the axis has devices.
        mesh: of devices.
        axis: of the mesh.
    """

    def __init__(self, partition: Partition, mesh: Mesh, axis: str):
        self.mesh, self.axis = mesh, axis
        self.size, self.rows, self.rounds = partition.size, int(partition.starts[-1]), tuple(partition.rounds)
        self.sends = nnx.data(tuple(self.divide(rows.__getitem__) for rows in partition.sends))
        self.copies = nnx.data(self.divide(partition.copies))

    def divide(self, of_part: Callable[[int], np.ndarray]) -> Array:
        """The arrays of all parts, one after the other along their first axis; each process makes only its own."""
        devices = np.moveaxis(self.mesh.devices, self.mesh.axis_names.index(self.axis), 0)
        devices = devices.reshape(len(devices), -1)
        here = [p for p, row in enumerate(devices) if any(x.process_index == jax.process_index() for x in row)]
        made = {part: np.asarray(of_part(part)) for part in here}
        rows, *rest = made[here[0]].shape
        sharding = NamedSharding(self.mesh, PartitionSpec(self.axis))

        def piece(index):
            return made[(index[0].start or 0) // max(rows, 1)]

        return jax.make_array_from_callback((len(devices) * rows, *rest), sharding, piece)

    def over(self, body: Callable, divided: Any, whole: Any, summed: bool = False) -> Any:
        """body(halo, divided, whole) on every device, with its part of what is divided along the first axis and all of
        what is whole; the results are divided too, or summed."""
        mine, same = PartitionSpec(self.axis), PartitionSpec()

        def local(halo, divided, whole):
            found = body(halo, divided, whole)
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
        """Each with the rows that the device reads of others, and those of its empty places; one message a round."""
        known = self._with_ghosts(_packed(fields))
        return _unpacked(jnp.concatenate([known, known[self.copies]]), fields)

    def collect(self, *sums: Array) -> tuple[Array, ...]:
        """What all devices add to the rows that this one owns; the rows of empty places are dropped."""
        packed = _packed(sums)[: len(sums[0]) - len(self.copies)]
        own = jax.ShapeDtypeStruct((self.size, packed.shape[1]), packed.dtype)
        return _unpacked(jax.linear_transpose(self._with_ghosts, own)(packed)[0], sums)

    def _with_ghosts(self, own):
        sent = zip(self.rounds, self.sends, strict=True)
        return jnp.concatenate([own, *(lax.ppermute(own[rows], self.axis, pairs) for pairs, rows in sent)])


def _packed(fields) -> Array:
    """(row, ...) arrays side by side."""
    flat = [x.reshape(len(x), -1) for x in fields]
    return flat[0] if len(flat) == 1 else jnp.concatenate(flat, 1)


def _unpacked(packed, fields) -> tuple[Array, ...]:
    """As many arrays, of the shapes of the fields but for the number of rows."""
    ends = np.cumsum([int(np.prod(x.shape[1:])) for x in fields])[:-1]
    pieces = jnp.split(packed, ends, 1)
    return tuple(x.reshape(len(x), *field.shape[1:]) for x, field in zip(pieces, fields, strict=True))

"""Domain: a graph over devices: its features in rows and local edges, its clamps, and rows without a node."""

from typing import Any

import jax
import jax.numpy as jnp
import jraph
import numpy as np
from flax import nnx
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array

from lgn._pytrees import attribute
from lgn.assembly.domain import Domain, replaced
from lgn.graphs.features import clamped_nodes
from lgn.parallel.halo import Halo
from lgn.parallel.partition import Partition
from lgn.parallel.rows import Rows


class DividedDomain(Domain):
    """The domain of a system whose states are rows.

    Args:
        domain: of the system on one device.
        partition: of its nodes and edges.
        halo: the exchange.
        rows: where its nodes stand.
    """

    def __init__(self, domain: Domain, partition: Partition, halo: Halo, rows: Rows):
        self._frame, self.given_motion = domain._frame, attribute(domain.motion)
        self.rows = rows
        nodes, edges, whole = domain.features
        self.edges = nnx.data(halo.divide(partition.edges_of)) if edges else None
        self.features = nnx.data(
            (
                {name: by_node(halo, partition, x) for name, x in nodes.items()},
                {
                    name: halo.divide(lambda part, x=x: np.asarray(x)[partition.edges_of(part)])
                    for name, x in edges.items()
                },
                on_all(halo, whole),
            )
        )
        free = ~clamped_nodes(domain.graph)
        self._free = None
        if not (free.all() and rows.full):
            self._free = nnx.data(by_node(halo, partition, free[:, None]))

    @property
    def graph(self) -> jraph.GraphsTuple:
        """The graph in its own order, with its features as they are now."""
        nodes, edges, whole = self.features
        frame = self._frame.value
        nodes = {name: self.rows.leave(x) for name, x in nodes.items()}
        count = len(frame.senders)
        edges = {name: jnp.zeros((count, *x.shape[1:]), x.dtype).at[self.edges].set(x) for name, x in edges.items()}
        return frame._replace(
            nodes={**frame.nodes, **nodes}, edges={**frame.edges, **edges}, globals={**frame.globals, **whole}
        )

    @property
    def frame(self) -> jraph.GraphsTuple:
        """The graph in its own order, without the features of the user."""
        return self._frame.value

    @property
    def size(self) -> int:
        """Number of rows."""
        return self.rows.count

    @property
    def free(self) -> Any:
        """(row, 1) bool: which follow the equation of motion; of one row where all do. Rows without a node do not."""
        return np.ones((1, 1), bool) if self._free is None else self._free

    @property
    def clamped(self) -> bool:
        """Whether rows rest: those of clamped nodes, and those without a node."""
        return self._free is not None

    @property
    def held(self) -> Any:
        """Not known on one device alone: `DividedMatrix.held` asks which rows are free."""
        return None

    @property
    def motion(self) -> Any:
        """g(t) in rows."""
        given, rows = self.given_motion, self.rows
        return None if given is None else lambda t: rows.enter(jnp.asarray(given(t)))

    def replace(self, **values: Array) -> Domain:
        """The same with other values, in the graph's order, of its node, edge or graph features."""
        nodes, edges, _ = self.features
        moved = dict(values)
        for name, value in values.items():
            if name in nodes:
                shape = self.rows.n_node, *nodes[name].shape[1:]
                moved[name] = self.rows.enter(replaced(name, value, np.broadcast_to(0.0, shape)))
            elif name in edges:
                shape = len(self._frame.value.senders), *edges[name].shape[1:]
                moved[name] = replaced(name, value, np.broadcast_to(0.0, shape))[self.edges]
        return super().replace(**moved)


def by_node(halo: Halo, partition: Partition, x) -> Array:
    """(row, ...) of (node, ...), zero in rows without a node; outside of transformations."""
    x = np.asarray(x)

    def piece(part):
        nodes = partition.order[part * partition.size : (part + 1) * partition.size]
        return np.pad(x[nodes], ((0, partition.size - len(nodes)), *((0, 0),) * (x.ndim - 1)))

    return halo.divide(piece)


def on_all(halo: Halo, tree: Any) -> Any:
    """The arrays of a tree, each whole on every device."""
    return jax.device_put(tree, NamedSharding(halo.mesh, PartitionSpec()))

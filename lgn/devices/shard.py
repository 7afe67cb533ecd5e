"""Shard: a system with its nodes divided over devices, which moves like any other."""

from functools import cached_property
from typing import TypeVar

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from lgn import _arguments
from lgn.assembly.binding import known_tables
from lgn.assembly.terms import Term
from lgn.devices.partition import Partition
from lgn.devices.rows import DividedRows, numbers
from lgn.graphs.tables import RaggedStencil, Stencil
from lgn.mechanics.energy_flow import EnergyFlow
from lgn.mechanics.lagrangian import Lagrangian
from lgn.mechanics.operator import Operator
from lgn.mechanics.structures import Structure
from lgn.mechanics.system import offered
from lgn.solvers.conjugate_gradient import ConjugateGradient
from lgn.solvers.direct import BlockDiagonal

Kind = TypeVar("Kind", Lagrangian, EnergyFlow)


class Division:
    """Which device owns which nodes: part of the structure of a system, compared by content.

    Args:
        partition: of its graph.
        mesh: of devices.
        axis: of the mesh, with as many devices as the partition has parts.
    """

    def __init__(self, partition: Partition, mesh: Mesh, axis: str):
        self.partition, self.mesh, self.axis = partition, mesh, axis
        self._known = partition.order.tobytes(), mesh, axis
        self._hash = hash(self._known)

    @property
    def parts(self) -> int:
        return self.partition.parts

    @cached_property
    def rows(self) -> DividedRows:
        return DividedRows(self.partition, self.mesh, self.axis)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Division) and self._known == other._known)


def shard(system: Kind, mesh: Mesh, axis: str | None = None) -> Kind:
    """Divide the nodes of a system over devices: it is a `Lagrangian` or an `EnergyFlow` as before.

    Each device owns a range of nodes, in the graph's order or in reverse Cuthill-McKee's, whichever reads fewer nodes
    of others, with the elements whose slot 0 it owns. One acceleration sends the halo once to read it and once to add
    to it, and in conjugate gradients the same for each product, with two sums over all devices; a rate of an energy
    flow sends it once more, for what G reads. States go in and come out in the graph's order; between the steps of a
    rollout they stay where they are.

    M a = f is solved node by node where nodes are not coupled, else by conjugate gradients, also where one device
    would use a band.

    Args:
        system: a Lagrangian, or an `EnergyFlow` with a structure that is `local`, as all of lgn are.
        mesh: of devices, of one process or of several.
        axis: of the mesh, along which nodes are divided; by default its only one.

    Returns:
        The system; `system.whole` is the same on one device.

    Raises:
        ValueError: what is neither, a solver of the whole matrix, a structure that is not local, a mesh without that
            axis, more devices than leave each a node.

    Example:
        >>> import jax, jax.numpy as jnp, lgn
        >>> def string(q, v, features): return 0.5 * v[0, 0] ** 2 - 2.5 * (q[2, 0] - q[0, 0]) ** 2
        >>> L = lgn.Lagrangian(lgn.lattice((5,)), string)
        >>> divided = lgn.shard(L, jax.make_mesh((jax.device_count(),), ("nodes",)))
        >>> divided.acceleration(jnp.eye(5)[:, :1], jnp.zeros((5, 1)))[:, 0].tolist()
        [-10.0, 5.0, 0.0, 0.0, 5.0]
    """
    if not isinstance(system, Lagrangian | EnergyFlow):
        raise ValueError(
            f"shard: system is {_arguments.short(system)}; expected a Lagrangian or an EnergyFlow: other systems run "
            f"on one device, or with their samples divided, fit(..., mesh=mesh)"
        )
    stencils = [table for term in system.terms for table in _tables(term)]
    if isinstance(system, EnergyFlow):
        stencils.append(_read_by(system.structure))
    else:
        if not isinstance(system.solver, ConjugateGradient | BlockDiagonal | None):
            raise ValueError(
                f"shard: solver={system.solver} takes the whole matrix; make the system with solver=None or "
                f"lgn.ConjugateGradient(), which can be divided"
            )
        stencils += [table for term in system.dissipation.terms for table in _tables(term)]
    mesh, axis = along(mesh, axis)
    receivers = np.asarray(system.graph.receivers) if system.domain.features[1] else None
    partition = Partition(system.domain.size, mesh.shape[axis], stencils, receivers)
    other = jax.device_put(system.whole, NamedSharding(mesh, PartitionSpec()))
    other.domain.division = Division(partition, mesh, axis)
    return other


def along(mesh: Mesh, axis: str | None = None) -> tuple[Mesh, str]:
    """A mesh whose axes are left to the compiler, and the name of one axis. Raises ValueError for none or several."""
    _arguments.of_kind("mesh", mesh, Mesh, "jax.make_mesh((jax.device_count(),), ('devices',))")
    if axis is None and len(mesh.axis_names) != 1:
        raise ValueError(f"mesh has the axes {mesh.axis_names}; give one of a single axis, or say which: axis=...")
    axis = mesh.axis_names[0] if axis is None else axis
    if axis not in mesh.axis_names:
        raise ValueError(f"axis={axis!r}, but the mesh has {mesh.axis_names}; give one of them")
    return Mesh(mesh.devices, mesh.axis_names, axis_types=(AxisType.Auto,) * len(mesh.axis_names)), axis


def _tables(term: Term) -> tuple[Stencil, ...]:
    """None of them ragged; of all slots where it is not known which the density reads."""
    stencil = term.stencil
    return known_tables(term) or (stencil.padded if isinstance(stencil, RaggedStencil) else stencil,)


def _read_by(operator: Operator) -> Stencil:
    """For each node itself, then those that its row of G reads.

    Raises:
        ValueError: a structure that does not promise to read rows by its tables alone.
    """
    name = type(operator.given).__name__
    if not offered(operator.given, "local", Structure):
        raise ValueError(
            f"shard: structure={name} does not say which nodes a row of G reads; if these are the node itself and "
            f"those in its row of integer tables (node, ...), -1 for none, set local = True, else keep the flow on one "
            f"device"
        )
    n_node, leaves = operator.size, jax.tree.leaves(operator.tables)
    for leaf in leaves:
        if np.shape(leaf)[:1] != (n_node,):
            raise ValueError(
                f"shard: structure={name} is local, but has a table of shape {np.shape(leaf)}; expected ({n_node}, "
                f"...), a row for each node"
            )
    itself = np.arange(n_node)[:, None]
    read = [leaf.reshape(n_node, -1) for leaf in leaves if numbers(leaf)]
    index = np.concatenate([itself, *(np.where(nodes < 0, itself, nodes) for nodes in read)], 1).astype(np.int32)
    none = np.full(index.shape, -1, np.int32)
    return Stencil(index, np.ones(index.shape), none, n_node=n_node)

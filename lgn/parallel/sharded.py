"""Sharded: a Lagrangian whose nodes are divided over devices, which moves like any other."""

from dataclasses import dataclass
from typing import Any, overload

import jax
import numpy as np
from jax.sharding import Mesh

from lgn import _arguments, _arrays
from lgn.assembly import clamps
from lgn.assembly.domain import Field, State, check_fields
from lgn.graphs.features import clamped_nodes
from lgn.mechanics.diagnosis import checked
from lgn.mechanics.energy_flow import EnergyFlow
from lgn.mechanics.forcing import Forcing, check_dissipation
from lgn.mechanics.lagrangian import Lagrangian
from lgn.parallel.divided import Divided, evaluate, in_rows
from lgn.parallel.domain import DividedDomain, on_all
from lgn.parallel.forcing import divided_forcing
from lgn.parallel.functional import DividedFunctional, tables_of
from lgn.parallel.halo import Halo
from lgn.parallel.meshes import along
from lgn.parallel.partition import Partition
from lgn.parallel.rows import Rows
from lgn.parallel.sharded_flow import ShardedFlow
from lgn.solvers.conjugate_gradient import ConjugateGradient
from lgn.solvers.direct import BlockDiagonal
from lgn.solvers.solution import Solution


@overload
def shard(system: Lagrangian, mesh: Mesh, axis: str | None = None) -> "Sharded": ...


@overload
def shard(system: EnergyFlow, mesh: Mesh, axis: str | None = None) -> ShardedFlow: ...


def shard(system: Lagrangian | EnergyFlow, mesh: Mesh, axis: str | None = None) -> "Sharded | ShardedFlow":
    """The same system with its nodes divided over devices: `rollout` and `fit` take it like any other.

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
    if isinstance(system, EnergyFlow):
        return ShardedFlow(system, *along(mesh, axis))
    if not isinstance(system, Lagrangian):
        raise ValueError(
            f"shard: system is {_arguments.short(system)}; expected a Lagrangian or an EnergyFlow: other systems run "
            f"on one device, or with their samples divided, fit(..., mesh=mesh)"
        )
    if not isinstance(system.solver, ConjugateGradient | BlockDiagonal | None):
        raise ValueError(
            f"shard: solver={system.solver} takes the whole matrix; make the system with solver=None or "
            f"lgn.ConjugateGradient(), which can be divided"
        )
    return Sharded(system, *along(mesh, axis))


@dataclass(frozen=True)
class Either:
    """Node by node where nodes are not coupled, else conjugate gradients."""

    def __call__(self, mass, force) -> Solution:
        return (BlockDiagonal() if mass.pattern.diagonal else ConjugateGradient())(mass, force)


class Sharded(Divided):
    """A Lagrangian over devices, as `shard` makes it: the methods of `Lagrangian`, of states in the graph's order."""

    def __init__(self, system: Lagrangian, mesh: Mesh, axis: str):
        known = [term for functional in (system.functional, system.dissipation) for term in functional.terms]
        receivers = np.asarray(system.graph.receivers) if system.domain.features[1] else None
        tables = [table for term in known for table in tables_of(term)]
        partition = Partition(system.domain.size, mesh.shape[axis], tables, receivers)
        halo = Halo(partition, mesh, axis)
        self.rows = Rows(partition, halo)
        self.solver = system.solver
        inside = on_all(halo, jax.tree.map(lambda x: x, system.functional)), on_all(halo, system.dissipation)
        first = sum(len(tables_of(term)) for term in system.terms)
        self.inside = jax.tree.map(lambda x: x, system)
        self.inside.functional = DividedFunctional(inside[0], partition, halo, 0)
        if system.dissipation.terms:
            self.inside.dissipation = DividedFunctional(inside[1], partition, halo, first)
        self.inside.domain = DividedDomain(system.domain, partition, halo, self.rows)
        self.inside.forcing = divided_forcing(system.forcing, partition, halo, self.rows)
        self.inside.solver = system.solver or Either()

    @property
    def forcing(self) -> Forcing:
        """What acts from outside, in rows."""
        return self.inside.forcing

    @property
    def whole(self) -> Lagrangian:
        """The same on one device, with the parameters as they are now: to save, or for another graph by `on`."""
        own, forcing = self.inside, self.forcing.config()
        if forcing["force"] is not None and not callable(forcing["force"]):
            forcing["force"] = self.rows.leave(forcing["force"])
        given = forcing | {"density": own.functional.pairs, "dissipation": own.dissipation.pairs or None}
        given |= {"graph": self.domain.graph, "motion": self.domain.given_motion, "solver": self.solver}
        return Lagrangian(**self.gathered(given))

    __call__ = in_rows(Lagrangian.__call__)
    momentum = in_rows(Lagrangian.momentum)
    energy = in_rows(Lagrangian.energy)
    force = in_rows(Lagrangian.force)
    friction = in_rows(Lagrangian.friction)
    clamp_force = in_rows(Lagrangian.clamp_force)
    power = in_rows(Lagrangian.power)

    def solve(self, q: Field, v: Field, t: Any = 0.0) -> Solution:
        """The acceleration with its residual, status and condition."""
        self.check(q, v)
        found = evaluate(self, "solve", q, v, t)
        return found._replace(node=self.rows.node(found.node))

    def acceleration(self, q: Field, v: Field, t: Any = 0.0) -> Field:
        """a of M a = f, (node, dim). Raises SingularMassMatrix outside of transformations; inside, a singular M gives
        values that are not finite, and `solve` reports more."""
        return checked(self, self.solve(q, v, t), (q, v), t).value

    def rate(self, state: State, t: Any = 0.0) -> State:
        """dq/dt = v and dv/dt = a of a state (q, v)."""
        q, v = _arrays.fields(state, "q", "v")
        return v, self.solve(q, v, t).value

    def check(self, *state: Field) -> None:
        """Raises ValueError if (q, v) is not a state of this graph, or does not fit a stencil."""
        q, v = _arrays.fields(state, "q", "v")
        check_fields(self.rows.n_node, q=q, v=v)
        for functional in (self.inside.functional, self.inside.dissipation):
            functional.check(q, v)

    def check_start(self, q: Field, v: Field, t: Any = 0.0) -> None:
        """Raises ValueError, outside of transformations, if no motion may start here: see `Lagrangian.check_start`."""
        self.check(q, v)
        free = ~clamped_nodes(self.domain.frame)[:, None]
        if not free.all():
            clamps.check_moving(free, self.domain.given_motion, q, v, t)
        if self.inside.dissipation.terms:
            known = self.forcing.known_at(self.domain.features, t)
            check_dissipation(self.inside.dissipation, known, self.rows.enter(q), self.rows.enter(v))

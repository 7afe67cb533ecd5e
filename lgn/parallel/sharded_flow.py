"""ShardedFlow: an energy flow whose nodes are divided over devices, which moves like any other."""

import jax
import numpy as np
from jax.sharding import Mesh

from lgn import _arrays
from lgn.assembly.domain import Field, check_fields
from lgn.mechanics.energy_flow import EnergyFlow
from lgn.parallel.divided import Divided, in_rows
from lgn.parallel.domain import DividedDomain, on_all
from lgn.parallel.functional import DividedFunctional, tables_of
from lgn.parallel.halo import Halo
from lgn.parallel.operator import DividedOperator, stencil_of
from lgn.parallel.partition import Partition
from lgn.parallel.rows import Rows


class ShardedFlow(Divided):
    """An energy flow over devices, as `shard` makes it: the methods of `EnergyFlow`, of states in the graph's order."""

    def __init__(self, system: EnergyFlow, mesh: Mesh, axis: str):
        tables = [table for term in system.terms for table in tables_of(term)]
        receivers = np.asarray(system.graph.receivers) if system.domain.features[1] else None
        read = [*tables, stencil_of(system.structure)]
        partition = Partition(system.domain.size, mesh.shape[axis], read, receivers)
        halo = Halo(partition, mesh, axis)
        self.rows = Rows(partition, halo)
        self.inside = jax.tree.map(lambda x: x, system)
        self.inside.functional = DividedFunctional(on_all(halo, system.functional), partition, halo, 0)
        self.inside.structure = DividedOperator(system.structure, partition, halo, len(tables))
        self.inside.domain = DividedDomain(system.domain, partition, halo, self.rows)

    @property
    def structure(self) -> DividedOperator:
        """G, of rows."""
        return self.inside.structure

    @property
    def whole(self) -> EnergyFlow:
        """The same on one device, with the parameters as they are now: to save, or for another graph by `on`."""
        own = self.inside
        given = {"density": own.functional.pairs, "structure": own.structure.given, "discrete": own.discrete}
        return EnergyFlow(**self.gathered(given | {"graph": self.graph}))

    __call__ = in_rows(EnergyFlow.__call__)
    energy = in_rows(EnergyFlow.__call__)
    gradient = in_rows(EnergyFlow.gradient)
    rate = in_rows(EnergyFlow.rate)
    power = in_rows(EnergyFlow.power)

    def check(self, *state: Field) -> None:
        """Raises ValueError if (u,) is not a state of this graph, or does not fit a stencil."""
        (u,) = _arrays.fields(state, "u")
        check_fields(self.rows.n_node, u=u)
        self.inside.functional.check(u)

    def check_start(self, u: Field, t: float = 0.0) -> None:
        """Raises ValueError, outside of transformations, where G does not keep its promise along grad H at u."""
        self.inside.structure.check_along(self.rows.enter(self.gradient(u)))

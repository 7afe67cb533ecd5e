"""Forcing over devices: a force as rows, or as a function of the whole state, which it meets in the graph's order."""

from lgn.assembly.domain import Field
from lgn.mechanics.forcing import Forcing
from lgn.parallel.domain import by_node, on_all
from lgn.parallel.halo import Halo
from lgn.parallel.partition import Partition
from lgn.parallel.rows import Rows


class DividedForcing(Forcing):
    """A force that is a function of the whole state, in the graph's order."""

    def __init__(self, forcing: Forcing, rows: Rows):
        super().__init__(**forcing.config())
        self.rows = rows

    def __call__(self, q: Field, v: Field, t) -> Field:
        """F, in rows."""
        return self.rows.enter(super().__call__(self.rows.leave(q), self.rows.leave(v), t))

    def replace(self, values: dict) -> tuple[Forcing, dict]:
        """The same with the `control` from the values, and the remaining values."""
        forcing, others = super().replace(values)
        return (self, others) if forcing is self else (DividedForcing(forcing, self.rows), others)


def divided_forcing(forcing: Forcing, partition: Partition, halo: Halo, rows: Rows) -> Forcing:
    """What acts on rows."""
    if forcing.force is None:
        return on_all(halo, forcing)
    if callable(forcing.force):
        return DividedForcing(on_all(halo, forcing), rows)
    return Forcing(by_node(halo, partition, forcing.force), on_all(halo, forcing.control))

"""Parts: a density on one table of elements, with what each element reads; on a graph with hubs a term has several."""

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from lgn._pytrees import Static
from lgn.assembly.local import Features, gather, read, sources
from lgn.densities.density import Density
from lgn.graphs.tables import RaggedStencil, Stencil

LARGEST = 2**26  # numbers in the block of one element: 0.5 GB


@dataclass(frozen=True)
class Part:
    """A density on one table.

    Attributes:
        name: of the density, for messages.
        density: of one element.
        stencil: the table.
        local: fields and features of every element, (element, slot, ...) or (element, ...).
        read: which entries of them the density of one element depends on.
    """

    name: str
    density: Density
    stencil: Stencil
    local: tuple
    read: tuple

    @property
    def index(self) -> np.ndarray:
        """(element, slot) nodes."""
        return self.stencil.index

    def joined(self, field: int) -> tuple[tuple[int, ...], Static[np.ndarray]]:
        """Slots whose values of a field the density depends on, and (element, slot) the nodes in them: between these
        it has second derivatives.

        Raises:
            ValueError: so many that the block of one element would be too large.
        """
        slots = tuple(np.flatnonzero(self.read[field].any(1)).tolist())
        size = len(slots) * self.local[field].shape[2]
        if size**2 > LARGEST:
            raise ValueError(
                f"density {self.name} joins node {self.index[0, 0]} with its {len(slots) - 1} neighbours in a block of "
                f"{size} x {size} second derivatives, which is too large; let it read slot 0 alone (in velocities, a "
                f"MessageDensity with pairing=lgn.difference does), or move what is between two nodes to a term on "
                f"lgn.edge_stencil"
            )
        return slots, self.stencil.columns(slots)


def parts_of(density: Density, name: str, stencil: Stencil, features, state) -> list[Part]:
    """A density on a stencil. Where that is ragged: on a table for each group of nodes, if the density takes any number
    of slots in any order (its attribute `slots` is None), else on one table as wide as the last slot that it reads.

    Raises:
        ValueError: a density that is not scalar.
    """
    if not isinstance(stencil, RaggedStencil):
        tables = [(density, stencil)]
    elif getattr(density, "slots", stencil.slots) is None:
        tables = [(density, group) for group in stencil.groups]
    else:
        tables = [_as_wide_as_read(density, name, stencil, features, state)]
    sized = _sized(density) or tables[0][0] is not density  # looked at in full width
    return [
        Part(
            name,
            one,
            table,
            *gather(partial(_scalar, one, name), table, features, *state, name=f"density {name}", sized=sized),
        )
        for one, table in tables
    ]


def _as_wide_as_read(density, name, stencil: RaggedStencil, features, state) -> tuple[Density, Stencil]:
    """The density as a function of the first slots, all that it reads; the others it sees as zeros."""
    known = sources(stencil.first(1), features)
    needed = read(partial(_scalar, density, name), known, stencil.slots, state, f"density {name}", _sized(density))
    tables = [*needed[:-1], *(needed[-1][name] for name, source in known.items() if source.in_slots)]
    count = int(max(np.flatnonzero(x.reshape(len(x), -1).any(1)).max(initial=0) for x in tables)) + 1
    if count == stencil.slots:
        return density, stencil.padded

    def widen(x):
        return jnp.concatenate([x, jnp.zeros((stencil.slots - count, *x.shape[1:]), x.dtype)])

    @jax.jit  # the zeros are then never made
    def widened(*local):
        *fields, features = local
        whole = {name: widen(x) if known[name].in_slots else x for name, x in features.items()}
        return density(*map(widen, fields), Features(whole))

    return widened, stencil.first(count)


def _sized(density) -> bool:
    """Whether it knows its slots and degrees of freedom, which `Term.check` compares, so that it reads within them."""
    return hasattr(density, "dim")


def _scalar(density, name, *local):
    value = density(*local)
    shapes = [jnp.shape(x) for x in jax.tree.leaves(value)]
    if shapes != [()]:
        raise ValueError(f"density {name} returns shape {shapes}; expected one scalar: index or sum its result")
    if not jnp.issubdtype(jnp.result_type(value), jnp.floating):
        raise ValueError(
            f"density {name} returns {jnp.result_type(value)}; expected a real number: take its real part, or "
            f"give it a term that is no integer"
        )
    return value

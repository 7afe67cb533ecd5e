"""Parts: a density on one table of elements, with what each element reads; on a graph with hubs a term has several."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lgn.assembly import elements
from lgn.assembly.layout import Table
from lgn.assembly.local import Features, gather, read, sources
from lgn.assembly.moves import added, gathered
from lgn.densities.density import DensityLike, Expansion, as_density
from lgn.graphs.tables import RaggedStencil, Stencil

LARGEST = 2**26  # numbers in the block of one element: 0.5 GB


@dataclass(frozen=True)
class Part:
    """A density on one table.

    Attributes:
        name: of the density, for messages.
        density: of one element.
        stencil: the table, a `Stencil` or a `Table` of arrays.
        local: fields and features of every element, (element, slot, ...) or (element, ...).
        read: which entries of them the density of one element depends on.
    """

    name: str
    density: DensityLike
    stencil: Stencil | Table
    local: tuple
    read: tuple

    def gathered(self, x) -> jax.Array:
        """(element, slot, dim) of a field: what each slot reads."""
        return gathered(x, self.stencil)

    def add(self, sums: jax.Array, found: jax.Array) -> jax.Array:
        """Nodal sums (node, dim) with those of (element, slot, dim) values added: of the slots that the density reads,
        for in the others a derivative is zero, and a scatter takes longer than all else of a small density (measured).
        """
        read = np.flatnonzero(np.any([x.any(1) for x in self.read[:-1]], 0))
        return added(sums, self.stencil, found, read)

    def total(self, values) -> jax.Array:
        """The sum over elements."""
        return jnp.sum(values if self.stencil.real is None else jnp.where(self.stencil.real, values, 0.0))

    def joined(self, field: int) -> tuple[tuple[int, ...], Any]:
        """Slots whose values of a field the density depends on, and (element, slot) the nodes in them: between these
        it has second derivatives.

        Raises:
            ValueError: so many that the block of one element would be too large.
        """
        slots = tuple(np.flatnonzero(self.read[field].any(1)).tolist())
        size = len(slots) * self.local[field].shape[2]
        if size**2 > LARGEST:
            raise ValueError(
                f"density {self.name} joins node {self.stencil.index[0, 0]} with its {len(slots) - 1} neighbours in a "
                f"block of {size} x {size} second derivatives, which is too large; let it read slot 0 alone (in "
                f"velocities, a MessageDensity with pairing=lgn.difference does), or move what is between two nodes to "
                f"a term on lgn.edge_stencil"
            )
        return slots, self.stencil.columns(slots)

    def expand(self, *local) -> Expansion:
        """The expansion of its density on elements that read this, on its own or on those of several states; where the
        density reads no v, the force alone."""
        slots, _ = self.joined(1)
        if slots:
            return elements.expand(self.density, *local, slots=slots)
        force = elements.gradients(self.density, *local, field=0)
        return Expansion(force, *3 * (jnp.zeros_like(force),))


def known_tables(density: DensityLike, stencil: Stencil) -> tuple[Stencil, ...] | None:
    """The tables of a density on a stencil, as far as they do not depend on which slots it reads: its own, or where it
    is ragged one for each group of nodes, if the density takes any number of slots in any order (its attribute `slots`
    is None); None else."""
    if not isinstance(stencil, RaggedStencil):
        return (stencil,)
    return stencil.groups if as_density(density).slots is None else None


def tables_of(density: DensityLike, name: str, stencil: Stencil, features, state) -> list[tuple[Stencil, int | None]]:
    """The tables of a density on a stencil, each with the number of slots that the density sees where that is more:
    `known_tables`, else one as wide as the last slot that it reads.

    Raises:
        ValueError: a density that is not scalar.
    """
    if (whole := known_tables(density, stencil)) is not None:
        return [(table, None) for table in whole]
    assert isinstance(stencil, RaggedStencil)
    known = sources(stencil.first(1), features)
    needed = read(partial(_scalar, density, name), known, stencil.slots, state, f"density {name}", sized(density))
    tables = [*needed[:-1], *(needed[-1][name] for name, source in known.items() if source.in_slots)]
    count = int(max(np.flatnonzero(x.reshape(len(x), -1).any(1)).max(initial=0) for x in tables)) + 1
    return [(stencil.padded, None) if count == stencil.slots else (stencil.first(count), stencil.slots)]


def part_of(density: DensityLike, name: str, table: Stencil | Table, seen: int | None, features, state) -> Part:
    """A density on one table of `tables_of`; of slots beyond those of the table it sees zeros.

    Raises:
        ValueError: a density that is not scalar.
    """
    one = density if seen is None else _widened(density, seen - table.slots, sources(table, features))
    known = sized(density) or seen is not None  # looked at in full width
    scalar = partial(_scalar, one, name)
    return Part(name, one, table, *gather(scalar, table, features, *state, name=f"density {name}", sized=known))


def _widened(density, more: int, known) -> DensityLike:
    """The density as a function of the first slots."""

    def widen(x):
        return jnp.concatenate([x, jnp.zeros((more, *x.shape[1:]), x.dtype)])

    @jax.jit  # the zeros are then never made
    def widened(*local):
        *fields, features = local
        whole = {name: widen(x) if known[name].in_slots else x for name, x in features.items()}
        return density(*map(widen, fields), Features(whole))

    return widened


def sized(density) -> bool:
    """Whether it knows its slots and degrees of freedom, which `Term.check` compares, so that it reads within them."""
    return as_density(density).dim is not None


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

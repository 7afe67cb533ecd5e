"""Functional: densities summed over the elements of all devices, each on the one that owns its slot 0."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from lgn.assembly import elements
from lgn.assembly.domain import Field
from lgn.assembly.functional import Functional, assembled
from lgn.assembly.layout import Table
from lgn.assembly.parts import Part, part_of
from lgn.assembly.terms import Term
from lgn.graphs.tables import RaggedStencil, Stencil
from lgn.parallel.halo import Halo
from lgn.parallel.matrix import DividedMatrix
from lgn.parallel.partition import Partition


def tables_of(term: Term) -> list[Stencil]:
    """Tables of a term, none of them ragged: on a graph with hubs several, if the density takes any number of slots."""
    stencil = term.stencil
    if not isinstance(stencil, RaggedStencil):
        return [stencil]
    return list(stencil.groups) if getattr(term.density, "slots", stencil.slots) is None else [stencil.padded]


class DividedFunctional(Functional):
    """F(state) = sum over the elements of all devices of density(state_e, features_e), of states in rows.

    Args:
        functional: on one device.
        partition: of its graph.
        halo: the exchange.
        first: number of its first table in the partition.
    """

    def __init__(self, functional: Functional, partition: Partition, halo: Halo, first: int):
        self.terms, self.halo, self.joined = functional.terms, halo, None
        tables, self.owners = [], tuple(i for i, term in enumerate(self.terms) for _ in tables_of(term))
        for number in range(first, first + len(self.owners)):
            tables.append(_divided_table(partition, halo, number))
        self.tables = nnx.data(tables)

    def __call__(self, features, *state: Field) -> Float[Array, ""]:
        """F(state)."""

        def value(halo, parts, like):
            total = jnp.zeros((), like.dtype)
            for part in parts:
                total += part.total(elements.values(part.density, *part.local))
            return total

        return self._over(value, features, state, summed=True)

    def gradient(self, features, *state: Field, field: int) -> Field:
        """dF / d field, (row, dim)."""

        def slope(halo, parts, like):
            out = jnp.zeros_like(like)
            for part in parts:
                out = part.add(out, elements.gradients(part.density, *part.local, field=field))
            return halo.collect(out)[0]

        return self._over(slope, features, state)

    def expand(self, features, q: Field, v: Field, parts: Callable) -> tuple[DividedMatrix, tuple[Field, ...]]:
        """M = d2F/dv dv, and nodal sums of the (element, slot, dim) arrays that `parts` takes from an `Expansion`."""

        def derivatives(halo, found, like):
            found = list(found)
            tables, blocks, sums = assembled(found, (part.expand(*part.local) for part in found), like, parts)
            return tables, blocks, halo.collect(*sums)

        tables, blocks, sums = self._over(derivatives, features, (q, v))
        return DividedMatrix(self.halo, tables, blocks, q.shape[1], len(q)), sums

    def discrete_gradient(self, features, method, after, before):
        """Raises ValueError: no integrator of a divided system has discrete gradients."""
        raise ValueError(
            "DiscreteGradient: a system that is divided over devices has no discrete gradient; use lgn.Verlet(dt), "
            "lgn.ImplicitMidpoint(dt) or lgn.Variational(dt), or follow system.whole on one device"
        )

    def hessian(self, features, *state: Field, field: int):
        """Raises ValueError: no device has all rows."""
        raise ValueError(
            "a system that is divided over devices has no second derivatives of its state; ask system.whole"
        )

    def _over(self, body: Callable, features, state, summed: bool = False):
        """body(halo, parts, like) on every device, with local rows of the state."""
        nodes, edges, whole = features

        def local(halo, divided, same):
            (state, nodes, edges, tables), (whole, terms) = divided, same
            named = list(nodes)
            rows = halo.extend(*state, *(nodes[name].astype(state[0].dtype) for name in named))
            known = dict(zip(named, rows[len(state) :], strict=True)), edges, whole
            found = self._parts_on(tables, terms, known, rows[: len(state)])
            return body(halo, found, rows[0])

        return self.halo.over(local, (state, nodes, edges, self.tables), (whole, self.terms), summed)

    def _parts_on(self, tables: Sequence[Any], terms: Sequence[Term], features, state) -> Iterator[Part]:
        for number, table in zip(self.owners, tables, strict=True):
            yield part_of(terms[number].density, terms[number].name, table, None, features, state)


def _divided_table(partition: Partition, halo: Halo, number: int) -> Table:
    """A table of the partition over all devices."""
    stencil = partition.stencils[number]

    def spread(of_elements):
        return halo.divide(lambda part: of_elements[partition.elements(number, part)])

    def real(part):
        return np.arange(partition.counts[number]) < partition.owned(number, part)

    return Table(  # empty places have rows of their own, so that what they add is in nobody's way
        index=halo.divide(lambda part: partition.index(number, part)),
        adds=None,
        edge=halo.divide(lambda part: partition.edge(number, part)) if partition.reads_edges else None,
        known={name: spread(x) for name, x in stencil.known.items()},
        real=halo.divide(real),
        shapes=stencil.shapes,
    )

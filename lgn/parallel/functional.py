"""Functional: densities summed over the elements of all devices, each on the one that owns its slot 0."""

from collections.abc import Callable, Sequence
from typing import cast

import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from lgn.assembly.block_matrix import BlockMatrix
from lgn.assembly.domain import Field, State
from lgn.assembly.functional import Functional
from lgn.assembly.layout import Table
from lgn.assembly.parts import known_tables
from lgn.assembly.pattern import LaidOutPattern
from lgn.assembly.terms import LaidOutTerm, Term
from lgn.graphs.edges import single_node
from lgn.graphs.tables import RaggedStencil, Stencil
from lgn.parallel.halo import Halo
from lgn.parallel.matrix import DividedMatrix
from lgn.parallel.partition import Partition


def tables_of(term: Term) -> list[Stencil]:
    """Tables of a term, none of them ragged; of all slots where it is not known which the density reads."""
    whole = known_tables(term.density, term.stencil)
    return [cast(RaggedStencil, term.stencil).padded] if whole is None else list(whole)


class DividedFunctional(Functional):
    """F(state) = sum over the elements of all devices of density(state_e, features_e), of states in rows.

    Args:
        functional: on one device.
        partition: of its graph.
        halo: the exchange.
        first: number of its first table in the partition.
    """

    def __init__(self, functional: Functional, partition: Partition, halo: Halo, first: int):
        self.terms, self.halo = functional.terms, halo
        tables, self.owners = [], tuple(i for i, term in enumerate(self.terms) for _ in tables_of(term))
        for number in range(first, first + len(self.owners)):
            tables.append(_divided_table(partition, halo, number))
        self.tables = nnx.data(tables)

    def __call__(self, features, *state: Field) -> Float[Array, ""]:
        """F(state)."""
        return self._over(lambda halo, own, known, rows: own(known, *rows), features, state, summed=True)

    def gradient(self, features, *state: Field, field: int) -> Field:
        """dF / d field, (row, dim)."""

        def slope(halo, own, known, rows):
            return halo.collect(own.gradient(known, *rows, field=field))[0]

        return self._over(slope, features, state)

    def discrete_gradient(self, features, method, after: State, before: State) -> State:
        """grad-bar F (after, before) of every field, each (row, dim)."""

        def slopes(halo, own, known, rows):
            return halo.collect(*own.discrete_gradient(known, method, rows[: len(after)], rows[len(after) :]))

        return self._over(slopes, features, (*after, *before))

    def discrete_curvature(self, features, method, after: State, before: State) -> DividedMatrix:
        """d grad-bar F (after, before) / d after, of a functional of one field."""

        def blocks(halo, own, known, rows):
            return _in_parts(own.discrete_curvature(known, method, rows[:1], rows[1:]))

        return self._divided(after[0], *self._over(blocks, features, (*after, *before)))

    def expand(self, features, q: Field, v: Field, parts: Callable) -> tuple[DividedMatrix, tuple[Field, ...]]:
        """M = d2F/dv dv, and nodal sums of the (element, slot, dim) arrays that `parts` takes from an `Expansion`."""

        def derivatives(halo, own, known, rows):
            mass, sums = own.expand(known, *rows, parts)
            return _in_parts(mass), halo.collect(*sums)

        mass, sums = self._over(derivatives, features, (q, v))
        return self._divided(q, *mass), sums

    def hessian(self, features, *state: Field, field: int):
        """Raises ValueError: no device has all rows."""
        raise ValueError(
            "a system that is divided over devices has no second derivatives of its state; ask system.whole"
        )

    def _divided(self, x: Field, tables, blocks) -> DividedMatrix:
        """Of element blocks of the shape of a field."""
        return DividedMatrix(self.halo, tables, blocks, x.shape[1], len(x))

    def _over(self, body: Callable, features, fields: State, summed: bool = False):
        """body(halo, functional, features, rows) on every device: the functional of its own elements, with the features
        and the rows of the fields that these read."""
        nodes, edges, whole = features

        def local(halo, divided, same):
            (fields, nodes, edges, tables), (whole, terms) = divided, same
            named, (like, *_) = list(nodes), fields
            rows = halo.extend(*fields, *(nodes[name].astype(like.dtype) for name in named))
            known = dict(zip(named, rows[len(fields) :], strict=True)), edges, whole
            return body(halo, self._own(terms, tables, halo.rows), known, rows[: len(fields)])

        return self.halo.over(local, (fields, nodes, edges, self.tables), (whole, self.terms), summed)

    def _own(self, terms: Sequence[Term], tables: Sequence[Table], rows: int) -> Functional:
        """The functional of the elements of one device, whose nodes are its local rows."""
        own = Functional(single_node(), None)
        own.joined = LaidOutPattern(rows)
        own.terms = nnx.List(
            LaidOutTerm(terms[number].density, terms[number].name, table, None)
            for number, table in zip(self.owners, tables, strict=True)
        )
        return own


def _in_parts(matrix: BlockMatrix) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    """Tables and element blocks."""
    return matrix.pattern.indices, matrix.blocks


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
        runs=partition.runs(number),
    )

"""Functional: densities summed over the elements of a graph, with their derivatives, each element visited once."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import jraph
from flax import nnx
from jaxtyping import Array, Float

from lgn.assembly import elements
from lgn.assembly.binding import Bound, bound_terms
from lgn.assembly.domain import Field, State
from lgn.assembly.matrix import BlockMatrix, Pattern
from lgn.assembly.rows import Rows, nodes
from lgn.assembly.terms import Terms, terms_on
from lgn.densities.density import DensityLike, Expansion

DiscreteGradientOf = Callable  # (density, after, before, features) -> one array a field, for one element
Own = list[tuple[Bound, DensityLike, Any]]  # for each table of one device its density, and what its elements know


class Functional(nnx.Pytree):
    """F(state) = sum over elements of density(state_e, features_e).

    The features are passed with each call, so several functionals share those of one domain. What a user holds has its
    stencils as structure; each method binds it to rows, which is done once for each graph and shape of states.

    Args:
        graph: of the domain.
        density: one density on the node stencil, or a list of (density, stencil) terms; None for F = 0.
        name: of the argument, for messages.

    Raises:
        ValueError: a term that is not a pair.
    """

    def __init__(self, graph: jraph.GraphsTuple, density: Terms | None, name: str = "density"):
        self.terms = nnx.List(terms_on(graph, density, name))
        self.tables: Any = None  # once bound: a `Bound` for each table, the band of M where one is solved, and the rows
        self.band: Any = None
        self.rows: Any = None
        self.expansions: Sequence[Expansion] | None = None

    @property
    def density(self) -> DensityLike | list[DensityLike]:
        densities = [term.density for term in self.terms]
        return densities[0] if len(densities) == 1 else densities

    @property
    def name(self) -> str:
        return " + ".join(term.name for term in self.terms)

    @property
    def pairs(self) -> list[tuple]:
        """The terms as a list of (density, function that makes the stencil), or table where it was given as one."""
        return [(term.density, term.maker or term.stencil) for term in self.terms]

    @property
    def lasting(self) -> list[tuple]:
        """The same as a checkpoint keeps them: with tables in place of functions that are not lgn's."""
        return [(term.density, term.lasting) for term in self.terms]

    def bound(self, features, *state, rows: Rows | None = None) -> "Functional":
        """The same with its tables as data, on rows; itself, if it is bound.

        Args:
            features: of nodes, edges and graph; their shapes count.
            state: fields (row, dim), or their shapes and dtypes.
            rows: where states live, by default one for each node.
        """
        if self.tables is not None:
            return self
        rows = rows or nodes(len(state[0]))
        other = jax.tree.map(lambda x: x, self)
        tables = bound_terms(self.terms, features, *state, rows=rows)
        other.tables, other.rows = nnx.data(tables), nnx.data(rows)
        other.terms = nnx.List(term.bare for term in self.terms)
        return other

    def at(self, expansions: Sequence[Expansion]) -> "Functional":
        """The same, bound, where what its densities and their derivatives are on every element is known: for equations
        at that state the densities are not evaluated again."""
        other = jax.tree.map(lambda x: x, self)
        other.expansions = nnx.data(list(expansions))
        return other

    def check(self, *state: Field) -> None:
        """Raises ValueError if a density does not fit its stencil, or the state's fields and degrees of freedom."""
        if self.tables is None:
            for term in self.terms:
                term.check(state[0].shape[1], len(state))

    def __call__(self, features, *state: Field) -> Float[Array, ""]:
        """F(state)."""

        def total(rows, own: Own, fields):
            values = [elements.values(density, *_local(table, fields, known)) for table, density, known in own]
            return sum(table.total(x) for (table, *_), x in zip(own, values, strict=True))

        zero = jnp.zeros((), state[0].dtype)
        return self.bound(features, *state)._over(total, features, state, summed=True) if self.terms else zero

    def gradient(self, features, *state: Field, field: int) -> Field:
        """dF / d field, (node, dim)."""

        def slope(rows, own: Own, fields):
            out = jnp.zeros_like(fields[field])
            for table, density, known in own:
                out = table.add(out, elements.gradients(density, *_local(table, fields, known), field=field))
            return rows.collect(out)[0]

        zero = jnp.zeros_like(state[field])
        return self.bound(features, *state)._over(slope, features, state) if self.terms else zero

    def discrete_gradient(self, features, method: DiscreteGradientOf, after: State, before: State) -> State:
        """grad-bar F (after, before) of every field, with F(after) - F(before) = sum grad-bar F . (after - before)."""

        def slopes(rows, own: Own, fields):
            later, earlier = fields[: len(after)], fields[len(after) :]
            sums = tuple(jnp.zeros_like(x) for x in later)
            for table, density, known in own:
                one, other = (tuple(map(table.gathered, state)) for state in (later, earlier))
                found = elements.discrete_gradients(method, density, one, other, known)
                sums = tuple(table.add(x, more) for x, more in zip(sums, found, strict=True))
            return rows.collect(*sums)

        return self.bound(features, *after)._over(slopes, features, (*after, *before))

    def discrete_curvature(self, features, method, after: State, before: State) -> BlockMatrix:
        """d grad-bar F (after, before) / d after, of a functional of one field."""

        def blocks(rows, own: Own, fields):
            return tuple(
                elements.discrete_curvatures(
                    method, density, table.gathered(fields[0]), table.gathered(fields[1]), known, table.slots_read(0)
                )
                for table, density, known in own
                if table.slots_read(0)
            )

        bound = self.bound(features, *after)
        return bound.matrix(bound._over(blocks, features, (*after, *before)), after[0], field=0)

    def hessian(self, features, *state: Field, field: int) -> BlockMatrix:
        """d2F / d field d field."""
        bound = self.bound(features, *state)
        for table in bound.tables:
            table.check_block(field, state[field].shape[1])

        def blocks(rows, own: Own, fields):
            return tuple(
                elements.hessians(density, *_local(table, fields, known), field=field, slots=table.slots_read(field))
                for table, density, known in own
                if table.slots_read(field)
            )

        return bound.matrix(bound._over(blocks, features, state), state[field], field)

    def expand(self, features, q: Field, v: Field, parts: Callable) -> tuple[BlockMatrix, tuple[Field, ...]]:
        """M = d2F/dv dv, and nodal sums of the (element, slot, dim) arrays that `parts` takes from an `Expansion`."""

        def derivatives(rows, own: Own, fields):
            expansions = self.expansions or [
                expansion(table, density, *_local(table, fields, known)) for table, density, known in own
            ]
            sums: tuple = ()
            for (table, _, _), found in zip(own, expansions, strict=True):
                nodal = parts(found)
                sums = sums or tuple(jnp.zeros_like(fields[0]) for _ in nodal)
                sums = tuple(table.add(x, more) for x, more in zip(sums, nodal, strict=True))
            blocks = [found.mass for (table, *_), found in zip(own, expansions, strict=True) if table.slots_read(1)]
            return tuple(blocks), rows.collect(*sums)

        bound = self.bound(features, q, v)
        blocks, sums = bound._over(derivatives, features, (q, v))
        return bound.matrix(blocks, q, field=1), sums

    def local(self, features, *state: Field) -> list[tuple]:
        """What the elements of each table read: fields (element, slot, dim) and features; of a bound functional."""
        return self._over(
            lambda rows, own, fields: [_local(table, fields, known) for table, _, known in own], features, state
        )

    def _over(self, body: Callable, features, fields: State, summed: bool = False):
        """body(rows, own, fields) on every device: its tables, and the rows of the fields that their elements read."""
        of_nodes, edges, whole = features
        read = sorted({x for table in self.tables for x in of_nodes if table.reads(x)})

        def on_one(rows, divided, same):
            (fields, of_nodes, edges, tables), (whole, terms) = divided, same
            dtype, named = fields[0].dtype, [of_nodes[x].astype(fields[0].dtype) for x in read]
            local = rows.extend(*fields, *named)
            of_nodes = dict(zip(read, local[len(fields) :], strict=True))
            own = [
                (table, table.density(terms[table.term].density), table.features(of_nodes, edges, whole, dtype))
                for table in tables
            ]
            return body(rows, own, local[: len(fields)])

        divided = fields, {x: of_nodes[x] for x in read}, edges, self.tables
        return self.rows.over(on_one, divided, (whole, self.terms), summed)

    def matrix(self, blocks: tuple, x: Field, field: int) -> BlockMatrix:
        """The second derivatives with respect to a field like x, of a bound functional, as a matrix."""
        found = self.pattern if field == self._last else _pattern(self.tables, field, self.rows)
        return BlockMatrix(found, blocks, x.shape[1], self.rows)

    @property
    def pattern(self) -> Pattern:
        """The pattern of second derivatives with respect to the last field, of a bound functional."""
        known = not any(isinstance(table.index, jax.core.Tracer) for table in self.tables)
        found = (_kept_pattern if known else _pattern)(self.tables, self._last, self.rows)
        return found if self.band is None else found.with_band(self.band)

    def reads(self, *names: str) -> bool:
        """Whether a density of a bound functional depends on a feature of one of these names."""
        return any(table.reads(name) for table in self.tables for name in names)

    @property
    def _last(self) -> int:
        return len(self.tables[0].entries.value) - 2 if self.tables else 0


def expansion(table: Bound, density: DensityLike, *local) -> Expansion:
    """The expansion of a density on elements that read this, on those of its table or of several states; where the
    density reads no v, the force alone."""
    if slots := table.slots_read(1):
        return elements.expand(density, *local, slots=slots)
    force = elements.gradients(density, *local, field=0)
    return Expansion(force, *3 * (jnp.zeros_like(force),))


def _local(table: Bound, fields: State, known) -> tuple:
    return (*map(table.gathered, fields), known)


@lru_cache(maxsize=16)
def _kept_pattern(tables: tuple[Bound, ...], field: int, rows: Rows) -> Pattern:
    """Kept with its tables, for the order that solvers find in it."""
    with jax.ensure_compile_time_eval():
        return _pattern(tables, field, rows)


def _pattern(tables: Sequence[Bound], field: int, rows: Rows) -> Pattern:
    joined = [table for table in tables if table.slots_read(field)]
    indices = tuple(table.columns(field) for table in joined)
    return Pattern(rows.count, indices, tuple(table.distinct for table in joined), divided=rows.divided)

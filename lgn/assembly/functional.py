"""Functional: densities summed over a domain, with their derivatives, each element visited once."""

from collections.abc import Callable, Iterable, Sequence

import jax
import jax.numpy as jnp
import jraph
from flax import nnx
from jaxtyping import Array, Float

from lgn.assembly import elements
from lgn.assembly.block_matrix import BlockMatrix
from lgn.assembly.domain import Field, State
from lgn.assembly.parts import Part
from lgn.assembly.pattern import LaidOutPattern, pattern
from lgn.assembly.plans import Plan, plan
from lgn.assembly.terms import LaidOutTerm, Terms, terms_on
from lgn.densities.density import DensityLike

DiscreteGradientOf = Callable  # (density, after, before, features) -> one array a field, for one element


class Functional(nnx.Pytree):
    """F(state) = sum over elements of density(state_e, features_e).

    The features are passed with each call, so several functionals share those of one domain.

    Args:
        graph: of the domain.
        density: one density on the node stencil, or a list of (density, stencil) terms; None for F = 0.
        name: of the argument, for messages.

    Raises:
        ValueError: a term that is not a pair.
    """

    def __init__(self, graph: jraph.GraphsTuple, density: Terms | None, name: str = "density"):
        self.terms = nnx.List(terms_on(graph, density, name))
        self.joined: LaidOutPattern | None = None  # of a functional that is laid out: see `layouts`

    @property
    def density(self) -> DensityLike | list[DensityLike]:
        """The density, or the densities of the terms."""
        densities = [term.density for term in self.terms]
        return densities[0] if len(densities) == 1 else densities

    @property
    def name(self) -> str:
        """Of its densities, for representations."""
        return " + ".join(term.name for term in self.terms)

    @property
    def pairs(self) -> list[tuple]:
        """The terms as a list of (density, function that makes the stencil), or table where it was given as one."""
        return [(term.density, term.maker or term.stencil) for term in self.terms]

    @property
    def lasting(self) -> list[tuple]:
        """The same as a checkpoint keeps them: with tables in place of functions that are not lgn's."""
        return [(term.density, term.lasting) for term in self.terms]

    def laid_out(self, features, *state: Field, roomy: bool = False) -> tuple["Functional", Plan]:
        """The same with its tables as data, so that a program that takes it serves other graphs of the size; and the
        plan, of which a solver wants to know more. See `plan`."""
        found, other = plan(self, features, *state, roomy=roomy), jax.tree.map(lambda x: x, self)
        other.terms = nnx.List(
            LaidOutTerm(self.terms[number].density, self.terms[number].name, table, seen)
            for number, table, seen in found.tables
        )
        other.joined = LaidOutPattern(len(state[0]))
        return other, found

    def check(self, *state: Field) -> None:
        """Raises ValueError if a density does not fit its stencil, or the state's fields and degrees of freedom."""
        for term in self.terms:
            term.check(state[0].shape[1], len(state))

    def __call__(self, features, *state: Field) -> Float[Array, ""]:
        """F(state)."""
        return sum(
            (part.total(elements.values(part.density, *part.local)) for part in self.parts(features, *state)),
            jnp.zeros((), state[0].dtype),
        )

    def gradient(self, features, *state: Field, field: int) -> Field:
        """dF / d field, (node, dim)."""
        out = jnp.zeros_like(state[field])
        for part in self.parts(features, *state):
            out = part.add(out, elements.gradients(part.density, *part.local, field=field))
        return out

    def discrete_gradient(self, features, method: DiscreteGradientOf, after: State, before: State) -> State:
        """grad-bar F (after, before) of every field, with F(after) - F(before) = sum grad-bar F . (after - before)."""
        sums = tuple(jnp.zeros_like(x) for x in after)
        for part in self.parts(features, *after):
            *local, known = part.local
            earlier = tuple(part.gathered(x) for x in before)
            found = elements.discrete_gradients(method, part.density, tuple(local), earlier, known)
            sums = tuple(part.add(x, more) for x, more in zip(sums, found, strict=True))
        return sums

    def discrete_curvature(self, features, method, after: State, before: State) -> BlockMatrix:
        """d grad-bar F (after, before) / d after, of a functional of one field."""
        tables, blocks = [], []
        for part in self.parts(features, *after):
            local, known = part.local
            slots, table = part.joined(0)
            if slots:
                tables.append(table)
                earlier = part.gathered(before[0])
                blocks.append(elements.discrete_curvatures(method, part.density, local, earlier, known, slots))
        return self._matrix(after[0], tables, blocks)

    def hessian(self, features, *state: Field, field: int) -> BlockMatrix:
        """d2F / d field d field."""
        tables, blocks = [], []
        for part in self.parts(features, *state):
            slots, table = part.joined(field)
            if slots:
                tables.append(table)
                blocks.append(elements.hessians(part.density, *part.local, field=field, slots=slots))
        return self._matrix(state[field], tables, blocks)

    def expand(self, features, q: Field, v: Field, parts: Callable) -> tuple[BlockMatrix, tuple[Field, ...]]:
        """M = d2F/dv dv, and nodal sums of the (element, slot, dim) arrays that `parts` takes from an `Expansion`."""
        found = self.parts(features, q, v)
        return self.assemble(found, [part.expand(*part.local) for part in found], q, parts)

    def assemble(self, found: Sequence[Part], expansions, q: Field, parts: Callable) -> tuple[BlockMatrix, tuple]:
        """What `expand` gives, of expansions that are known."""
        tables, blocks, sums = assembled(found, expansions, q, parts)
        return self._matrix(q, tables, blocks), sums

    def _matrix(self, x: Field, tables, blocks) -> BlockMatrix:
        """Of element blocks of the shape of a field."""
        n_node, dim = x.shape
        found = pattern(n_node, *tables) if self.joined is None else self.joined.on(n_node, tuple(tables))
        return BlockMatrix(found, tuple(blocks), dim)

    def parts(self, features, *state) -> list[Part]:
        """Of all terms."""
        return [part for term in self.terms for part in term.parts(features, *state)]


def assembled(found: Sequence[Part], expansions: Iterable, like, parts: Callable) -> tuple[tuple, tuple, tuple]:
    """Tables and element blocks of M, and nodal sums, arrays like one, of what `parts` takes from each expansion."""
    sums: tuple = ()
    tables, blocks = [], []
    for part, expansion in zip(found, expansions, strict=True):
        slots, table = part.joined(1)
        if slots:
            tables.append(table)
            blocks.append(expansion.mass)
        nodal = parts(expansion)
        sums = sums or tuple(jnp.zeros_like(like) for _ in nodal)
        sums = tuple(part.add(x, more) for x, more in zip(sums, nodal, strict=True))
    return tuple(tables), tuple(blocks), sums

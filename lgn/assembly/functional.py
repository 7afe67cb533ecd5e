"""Functional: densities summed over a domain, with their derivatives, each element visited once."""

from collections.abc import Callable, Iterator

import jax.numpy as jnp
import jraph
from flax import nnx
from jaxtyping import Array, Float

from lgn.assembly import elements
from lgn.assembly.block_matrix import BlockMatrix, pattern
from lgn.assembly.domain import Field, State
from lgn.assembly.parts import Part
from lgn.assembly.terms import Terms, terms_on
from lgn.densities.density import Density

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

    @property
    def density(self) -> Density | list[Density]:
        """The density, or the densities of the terms."""
        densities = [term.density for term in self.terms]
        return densities[0] if len(densities) == 1 else densities

    @property
    def name(self) -> str:
        """Of its densities, for representations."""
        return " + ".join(term.name for term in self.terms)

    @property
    def pairs(self) -> list[tuple]:
        """The terms as a list of (density, stencil)."""
        return [(term.density, term.stencil) for term in self.terms]

    def check(self, *state: Field) -> None:
        """Raises ValueError if a density does not fit its stencil, or the state's fields and degrees of freedom."""
        for term in self.terms:
            term.check(state[0].shape[1], len(state))

    def __call__(self, features, *state: Field) -> Float[Array, ""]:
        """F(state)."""
        return sum(
            (jnp.sum(elements.values(part.density, *part.local)) for part in self._parts(features, *state)),
            jnp.zeros((), state[0].dtype),
        )

    def gradient(self, features, *state: Field, field: int) -> Field:
        """dF / d field, (node, dim)."""
        out = jnp.zeros_like(state[field])
        for part in self._parts(features, *state):
            out = out.at[part.index].add(elements.gradients(part.density, *part.local, field=field))
        return out

    def discrete_gradient(self, features, method: DiscreteGradientOf, after: State, before: State) -> State:
        """grad-bar F (after, before) of every field, with F(after) - F(before) = sum grad-bar F . (after - before)."""
        sums = tuple(jnp.zeros_like(x) for x in after)
        for part in self._parts(features, *after):
            *local, known = part.local
            earlier = tuple(x[part.index] for x in before)
            found = elements.discrete_gradients(method, part.density, tuple(local), earlier, known)
            sums = tuple(x.at[part.index].add(more) for x, more in zip(sums, found, strict=True))
        return sums

    def discrete_curvature(self, features, method, after: State, before: State) -> BlockMatrix:
        """d grad-bar F (after, before) / d after, of a functional of one field."""
        tables, blocks = [], []
        for part in self._parts(features, *after):
            local, known = part.local
            slots, table = part.joined(0)
            if slots:
                tables.append(table)
                earlier = before[0][part.index]
                blocks.append(elements.discrete_curvatures(method, part.density, local, earlier, known, slots))
        return BlockMatrix(pattern(len(after[0]), *tables), tuple(blocks), after[0].shape[1])

    def hessian(self, features, *state: Field, field: int) -> BlockMatrix:
        """d2F / d field d field."""
        tables, blocks = [], []
        for part in self._parts(features, *state):
            slots, table = part.joined(field)
            if slots:
                tables.append(table)
                blocks.append(elements.hessians(part.density, *part.local, field=field, slots=slots))
        return BlockMatrix(pattern(len(state[field]), *tables), tuple(blocks), state[field].shape[1])

    def expand(self, features, q: Field, v: Field, parts: Callable) -> tuple[BlockMatrix, tuple[Field, ...]]:
        """M = d2F/dv dv, and nodal sums of the (element, slot, dim) arrays that `parts` takes from an `Expansion`."""
        sums: tuple = ()
        tables, blocks = [], []
        for part in self._parts(features, q, v):
            slots, table = part.joined(1)
            if slots:
                expansion = elements.expand(part.density, *part.local, slots=slots)
                tables.append(table)
                blocks.append(expansion.mass)
            else:
                force = elements.gradients(part.density, *part.local, field=0)
                expansion = elements.Expansion(force, *3 * (jnp.zeros((), q.dtype),))
            found = parts(expansion)
            sums = sums or tuple(jnp.zeros_like(q) for _ in found)
            sums = tuple(x.at[part.index].add(more) for x, more in zip(sums, found, strict=True))
        return BlockMatrix(pattern(len(q), *tables), tuple(blocks), q.shape[1]), sums

    def _parts(self, features, *state) -> Iterator[Part]:
        """Of all terms."""
        return (part for term in self.terms for part in term.parts(features, *state))

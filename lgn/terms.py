"""Terms: a density on a stencil of a graph; a Lagrangian is a sum of them."""

from collections.abc import Callable, Sequence

import jax
import jax.extend
import jax.numpy as jnp
import jraph
import numpy as np
from flax import nnx

from lgn.densities import Density
from lgn.static import Static
from lgn.stencils import Stencil, node_stencil

Terms = Density | Sequence[tuple[Density, Stencil | Callable[[jraph.GraphsTuple], Stencil]]]


class Term(nnx.Pytree):
    """A density on a stencil."""

    def __init__(self, density: Density, stencil: Stencil):
        self.density = hold(density)
        self._stencil = Static(stencil)
        self.table = Static(stencil.index)

    @property
    def stencil(self) -> Stencil:
        return self._stencil.value

    @property
    def name(self) -> str:
        """Of the density, for messages."""
        return getattr(self.density, "__name__", type(self.density).__name__)

    def gather(self, features, q, v):
        """q, v and the dict of features, local to each element: (element, slot, ...)."""
        stencil = self.stencil
        nodes, edges = features
        local = {name: x.astype(q.dtype)[stencil.index] for name, x in nodes.items()}
        for name, x in edges.items():
            local[name] = jnp.concatenate([x, jnp.zeros_like(x[:1])]).astype(q.dtype)[stencil.edge]  # -1 reads the 0
        constant = {"mask": stencil.mask, **stencil.geometry}
        local |= {name: jnp.asarray(x, q.dtype) for name, x in constant.items()}
        return q[stencil.index], v[stencil.index], local

    def check(self, q) -> None:
        """Raises ValueError where density and stencil or state do not fit."""
        slots, dim = self.stencil.slots, q.shape[1]
        expected = (getattr(self.density, "slots", slots), getattr(self.density, "dim", dim))
        if expected != (slots, dim):
            raise ValueError(
                f"density {self.name} was made for (slots, dim) = {expected}, but its stencil has {slots} slots and "
                f"the state {dim} degrees of freedom a node; make it with slots={slots}, dim={dim}"
            )

    def reads_velocity(self, q, v, features) -> bool:
        """Whether the density's value depends on v: followed through its jaxpr, never guessed from numbers.

        Takes what `gather` gives. Raises ValueError where the density is not scalar."""
        one = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), (q, v, features))
        program = jax.make_jaxpr(lambda v, q, features: self.density(q, v, features))(one[1], one[0], one[2]).jaxpr
        shapes = [var.aval.shape for var in program.outvars]
        if shapes != [()]:
            raise ValueError(
                f"density {self.name} returns shape {shapes}; expected one scalar: index or sum its result"
            )
        dependent = {program.invars[0]}
        for equation in program.eqns:
            if any(not isinstance(x, jax.extend.core.Literal) and x in dependent for x in equation.invars):
                dependent.update(equation.outvars)
        return any(not isinstance(x, jax.extend.core.Literal) and x in dependent for x in program.outvars)


def terms_on(graph: jraph.GraphsTuple, density: Terms | None, name: str) -> list[Term]:
    """The terms that a density, or a list of (density, stencil), has on a graph; `name` is for messages."""
    if density is None:
        return []
    pairs = [(density, node_stencil)] if callable(density) else list(density)
    terms = []
    for pair in pairs:
        if not (isinstance(pair, tuple) and len(pair) == 2 and callable(pair[0])):
            raise ValueError(f"{name}: {pair!r} is not a term; give a density or a list of (density, stencil)")
        stencil = pair[1] if isinstance(pair[1], Stencil) else pair[1](graph)
        terms.append(Term(pair[0], stencil))
    return terms


def hold(value):
    """Attribute of a pytree: data where it holds arrays (module, array, Partial), else part of the structure."""
    arrays = any(isinstance(leaf, jax.Array | np.ndarray) for leaf in jax.tree.leaves(value))
    return nnx.data(value) if arrays else value

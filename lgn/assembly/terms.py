"""Terms: a density on a stencil of a graph; a functional is a sum of them."""

import inspect
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.extend
import jax.numpy as jnp
import jraph
from flax import nnx

from lgn._pytrees import Static, attribute
from lgn.data.trajectories import field_names
from lgn.densities.density import Density
from lgn.graphs.stencils import Stencil, node_stencil

Terms = Density | Sequence[tuple[Density, Stencil | Callable[[jraph.GraphsTuple], Stencil]]]


class Features(dict):
    """What an element knows besides the state; a missing name raises an error that lists those present."""

    def __missing__(self, name):
        known = ", ".join(sorted(self))
        raise ValueError(
            f"a density reads the feature {name!r}, but its elements know only {known}; give it to the graph: "
            f"lgn.with_features(graph, ...). `time` and `control` are known to dissipation and force alone"
        )


jax.tree_util.register_pytree_node(
    Features,
    lambda known: (tuple(known[name] for name in sorted(known)), tuple(sorted(known))),
    lambda names, values: Features(zip(names, values, strict=True)),
)


class Term(nnx.Pytree):
    """A density on a stencil."""

    def __init__(self, density: Density, stencil: Stencil):
        self.density = attribute(density)
        self._stencil = Static(stencil)
        self.table = Static(stencil.index)

    @property
    def stencil(self) -> Stencil:
        return self._stencil.value

    @property
    def name(self) -> str:
        """Of the density, for messages."""
        return getattr(self.density, "__name__", type(self.density).__name__)

    def gather(self, features, *state):
        """`gather` for the density. Raises ValueError where it is not scalar."""
        return gather(self._scalar, self.stencil, features, *state)

    def check(self, dim: int, fields: int = 2) -> None:
        """Raises ValueError where density and stencil or state do not fit."""
        taken = _field_count(self.density)
        if taken not in (None, fields):
            raise ValueError(
                f"density {self.name} takes {taken} fields and the features, but the state has {fields}; write it as "
                f"density({', '.join(field_names(fields))}, features)"
                + (", or read it by lgn.canonical(density)" if (taken, fields) == (2, 1) else "")
            )
        slots = self.stencil.slots
        expected = (getattr(self.density, "slots", slots), getattr(self.density, "dim", dim))
        if expected != (slots, dim):
            raise ValueError(
                f"density {self.name} was made for (slots, dim) = {expected}, but its stencil has {slots} slots and "
                f"the state {dim} degrees of freedom a node; make it with slots={slots}, dim={dim}"
            )

    def reads(self, field: int, *local) -> bool:
        """Whether the density's value depends on a field of the state: followed through its jaxpr, never guessed from
        numbers.

        Takes what `gather` gives. Raises ValueError where the density is not scalar."""
        one = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), local)
        return dependence(self._scalar, *one)[field]

    def _scalar(self, *local):
        value = self.density(*local)
        shapes = [jnp.shape(x) for x in jax.tree.leaves(value)]
        if shapes != [()]:
            raise ValueError(
                f"density {self.name} returns shape {shapes}; expected one scalar: index or sum its result"
            )
        return value


def gather(function: Callable, stencil: Stencil, features, *state):
    """The fields of a state and the features, local to each element: (element, slot, ...); those of the graph
    (element, ...).

    What the function does not read is zero: unread tables are then not part of the program."""
    dtype, slots, count = state[0].dtype, stencil.slots, len(stencil.index)
    nodes, edges, whole = features
    sources: dict = {name: ((slots, *x.shape[1:]), partial(_at_nodes, stencil, x)) for name, x in nodes.items()}
    sources |= {name: ((slots, *x.shape[1:]), partial(_at_edges, stencil, x)) for name, x in edges.items()}
    sources |= {name: (jnp.shape(x), partial(_everywhere, stencil, x)) for name, x in whole.items()}
    tables = {"mask": stencil.mask, **stencil.geometry}
    sources |= {name: (x.shape[1:], partial(jnp.asarray, x)) for name, x in tables.items()}
    one = [jax.ShapeDtypeStruct((slots, x.shape[1]), dtype) for x in state]
    known = Features({name: jax.ShapeDtypeStruct(shape, dtype) for name, (shape, _) in sources.items()})
    *_, read = dependence(function, *one, known)
    local = Features(
        {
            name: values().astype(dtype) if read[name] else jnp.zeros((count, *shape), dtype)
            for name, (shape, values) in sources.items()
        }
    )
    return *(x[stencil.index] for x in state), local


def dependence(function: Callable, *local):
    """Which of the fields and features a function's value depends on, as bools in their places."""
    program = jax.make_jaxpr(function)(*local).jaxpr
    needed = _variables(program.outvars)
    for equation in reversed(program.eqns):
        if needed & _variables(equation.outvars):
            needed |= _variables(equation.invars)
    return jax.tree.unflatten(jax.tree.structure(local), [var in needed for var in program.invars])


def _field_count(density) -> int | None:
    """How many fields a density takes besides the features; None where its signature does not say."""
    inputs: Any = getattr(density, "inputs", None)
    if hasattr(inputs, "fields"):
        return inputs.fields
    try:
        taken = inspect.signature(density).parameters.values()
    except (TypeError, ValueError):
        return None
    if any(p.kind is p.VAR_POSITIONAL for p in taken):
        return None
    return sum(p.default is p.empty and p.kind is not p.VAR_KEYWORD for p in taken) - 1


def _variables(places) -> set:
    return {x for x in places if not isinstance(x, jax.extend.core.Literal)}


def _at_nodes(stencil, x):
    return x[stencil.index]


def _at_edges(stencil, x):
    return jnp.concatenate([x, jnp.zeros_like(x[:1])])[stencil.edge]  # -1 reads the 0


def _everywhere(stencil, x):
    return jnp.broadcast_to(x, (len(stencil.index), *jnp.shape(x)))


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

"""Local: the fields of a state and the features as the elements of a stencil see them."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lgn import _traced
from lgn.assembly.dependence import dependence
from lgn.assembly.layout import Table
from lgn.assembly.moves import gathered
from lgn.graphs.tables import Stencil


class Features(dict):
    """What an element knows besides the state; a missing name raises an error that lists those present.

    `of_edges` names those that belong to edges.
    """

    def __init__(self, named, of_edges=()):
        super().__init__(named)
        self.of_edges = tuple(sorted(of_edges))

    def __missing__(self, name):
        known = ", ".join(sorted(self))
        raise ValueError(
            f"a density reads the feature {name!r}, but its elements know only {known}; give it to the graph: "
            f"lgn.with_features(graph, ...). `time` and `control` are known to dissipation and force alone"
        )


jax.tree_util.register_pytree_node(
    Features,
    lambda known: (tuple(known[name] for name in sorted(known)), (tuple(sorted(known)), known.of_edges)),
    lambda names, values: Features(zip(names[0], values, strict=True), names[1]),
)


class Source(NamedTuple):
    """A feature of every element: its shape in a slot, or in the element as a whole, its values, and whether it is one
    of edges."""

    in_slots: bool
    shape: tuple[int, ...]
    values: Callable[[], jax.Array | np.ndarray]
    of_edges: bool = False

    def of_element(self, slots: int) -> tuple[int, ...]:
        """Its shape in an element of so many slots."""
        return (slots, *self.shape) if self.in_slots else self.shape


def sources(stencil: Stencil | Table, features) -> dict[str, Source]:
    """The features that elements of a stencil know, by name."""
    nodes, edges, whole = features
    found = {name: Source(True, x.shape[1:], partial(_at_nodes, stencil, x)) for name, x in nodes.items()}
    found |= {name: Source(True, x.shape[1:], partial(_at_edges, stencil, x), True) for name, x in edges.items()}
    found |= {name: Source(False, jnp.shape(x), partial(_everywhere, stencil, x)) for name, x in whole.items()}
    known = stencil.known
    return found | {name: Source(bool(x), x[1:], partial(known.__getitem__, name)) for name, x in stencil.shapes}


def read(function: Callable, known: dict[str, Source], slots: int, state, name: str, sized: bool) -> tuple:
    """Which entries of its fields and features a function of an element of so many slots depends on.

    Raises:
        ValueError: a function, `name` in messages, that fails or, unless it is `sized`, reads beyond its arrays.
    """
    dtype = jnp.result_type(state[0])
    fields = [jax.ShapeDtypeStruct((slots, x.shape[1]), dtype) for x in state]
    shapes = {key: jax.ShapeDtypeStruct(source.of_element(slots), dtype) for key, source in known.items()}
    local = *fields, Features(shapes, _edges(known))
    if not sized:
        _traced.reads_within(name, function, *local)
    return _traced.said(name, partial(dependence, function), *local)


def gather(function: Callable, stencil: Stencil | Table, features, *state, name="function", sized=False) -> tuple:
    """The fields of a state and the features, local to each element: (element, slot, ...); those of the graph
    (element, ...). And which entries of them the function depends on, see `read`.

    What the function does not read is zero: unread tables are then not part of the program."""
    dtype, known = jnp.result_type(state[0]), sources(stencil, features)
    needed = read(function, known, stencil.slots, state, name, sized)

    def values(name, source):
        if needed[-1][name].any():
            return jnp.asarray(source.values()).astype(dtype)
        return jnp.zeros((len(stencil.index), *source.of_element(stencil.slots)), dtype)

    local = Features({name: values(name, source) for name, source in known.items()}, _edges(known))
    return (*(gathered(x, stencil) for x in state), local), needed


def _edges(known: dict[str, Source]) -> list[str]:
    return [name for name, source in known.items() if source.of_edges]


def _at_nodes(stencil, x):
    return x[stencil.index]


def _at_edges(stencil, x):
    return jnp.concatenate([x, jnp.zeros_like(x[:1])])[stencil.edge]  # -1 reads the 0


def _everywhere(stencil, x):
    return jnp.broadcast_to(x, (len(stencil.index), *jnp.shape(x)))

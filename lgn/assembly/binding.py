"""Binding: a density on the tables of a stencil, for states of one shape, found once for each graph and rows.

What the density reads, by its trace, decides which tables are arrays, and which slots second derivatives and sums have.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from lgn import _arguments
from lgn._pytrees import Static
from lgn.assembly.jaxprs import dependence
from lgn.assembly.matrix import slots_differ
from lgn.assembly.rows import ROWS, Rows, nodes
from lgn.densities.density import DensityLike, as_density
from lgn.graphs.tables import RaggedStencil, Stencil, bucket

LARGEST = 2**26  # numbers in the block of one element: 0.5 GB
NODES, EDGES, WHOLE, KNOWN = range(4)  # where a feature comes from


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
            f"lgn.with_features(graph, ...). `time` and `control`, where there is one, are known to L and friction"
        )


jax.tree_util.register_pytree_node(
    Features,
    lambda known: (tuple(known[name] for name in sorted(known)), (tuple(sorted(known)), known.of_edges)),
    lambda names, values: Features(zip(names[0], values, strict=True), names[1]),
)


class Source(NamedTuple):
    """A feature of elements: its name, where it comes from, whether each slot has one, and its shape there."""

    name: str
    origin: int
    in_slots: bool
    shape: tuple[int, ...]

    def of_element(self, slots: int) -> tuple[int, ...]:
        return (slots, *self.shape) if self.in_slots else self.shape


@jax.tree_util.register_dataclass
@dataclass(frozen=True, eq=False)
class Bound:
    """A density on one table of elements. The arrays are data; the rest is part of the program.

    Elements that fill a table up to a `bucket` repeat the last one, so that all values are finite, and add to rows
    beyond the last, where additions are dropped. An unfilled slot reads slot 0.
    """

    index: Array  # (element, slot) row that a slot reads
    adds: Array | None  # (element, slot) row that what a slot gives is added to, where that is another
    edge: Array | None  # (element, slot) edge between the slot's node and slot 0, -1 for none; None if it is not read
    known: dict[str, Array]  # mask and geometry by name, see `Stencil`, as far as the density reads them
    real: Array | None  # (element,) whether an element counts; None where all do
    runs: tuple | None = field(metadata={"static": True})  # see `Stencil`
    term: int = field(metadata={"static": True})  # its number
    name: str = field(metadata={"static": True})  # of the density, for messages
    sources: tuple[Source, ...] = field(metadata={"static": True})  # the features that its elements know
    entries: Static[tuple] = field(metadata={"static": True})  # of each field and feature bool, whether it is read
    distinct: bool = field(metadata={"static": True})  # whether the slots of every element read different rows
    seen: int | None = field(metadata={"static": True})  # slots that the density sees, if more: zeros

    @property
    def slots(self) -> int:
        return self.index.shape[1]

    @property
    def counts(self) -> np.ndarray:
        """(element,) bool: which elements count."""
        return np.ones(len(self.index), bool) if self.real is None else np.asarray(self.real)

    @property
    def mask(self) -> np.ndarray:
        """(element, slot) 1.0 where a slot is filled, as far as the density can tell."""
        return np.asarray(self.known.get("mask", np.ones(self.index.shape)))

    def reads(self, name: str) -> bool:
        return bool(np.any(self.entries.value[-1].get(name, False)))

    def slots_read(self, *fields: int) -> tuple[int, ...]:
        """Slots whose values of any of these fields the density depends on, by default of all fields."""
        chosen = [self.entries.value[i] for i in fields] or self.entries.value[:-1]
        return tuple(np.flatnonzero(np.any([x.any(1) for x in chosen], 0)).tolist())

    def columns(self, field: int) -> Array:
        """(element, slot) the rows that are joined by second derivatives with respect to a field."""
        slots = self.slots_read(field)
        target = self.index if self.adds is None else self.adds
        return target if len(slots) == self.slots else target[:, np.array(slots, int)]

    def density(self, given: DensityLike) -> DensityLike:
        return given if self.seen is None else _widened(given, self.seen - self.slots, self.sources)

    def gathered(self, x: Array) -> Array:
        """(element, slot, ...) of values on rows (row, ...). On a ring or a chain a slot reads one or two runs of rows,
        and slices are part of the arithmetic around them, where a gather or a scatter takes longer than all else of a
        small density (measured)."""
        if self.runs is None:
            return jnp.asarray(x).at[self.index].get(**ROWS)
        return jnp.stack([jnp.concatenate([x[a:b] for a, b in of_slot]) for of_slot in self.runs], 1)

    def add(self, sums: Array, found: Array) -> Array:
        """Sums on rows (row, ...) with (element, slot, ...) values added: of the slots that the density reads, for in
        the others a derivative is zero, and a scatter takes longer than all else of a small density (measured)."""
        slots = self.slots_read()
        if self.runs is None:
            target, every = self.index if self.adds is None else self.adds, len(slots) == self.slots
            chosen = np.array(slots, int)
            target, found = (target, found) if every else (target[:, chosen], found[:, chosen])
            return sums.at[target].add(found, **ROWS)
        for slot in slots:
            start = 0
            for a, b in self.runs[slot]:
                part = found[start : start + b - a, slot]
                sums += jnp.pad(part, [(a, len(sums) - b)] + [(0, 0)] * (part.ndim - 1))
                start += b - a
        return sums

    def total(self, values: Array) -> Array:
        return jnp.sum(values if self.real is None else jnp.where(self.real, values, 0.0))

    def features(self, nodes: dict, edges: dict, whole: dict, dtype) -> Features:
        """What every element knows; what the density does not read is zero, and then not part of the program."""
        count = len(self.index)
        values: dict[int, Callable] = {
            NODES: lambda name: nodes[name][self.index],
            EDGES: lambda name: jnp.concatenate([edges[name], jnp.zeros_like(edges[name][:1])])[self.edge],  # -1: the 0
            WHOLE: lambda name: jnp.broadcast_to(whole[name], (count, *jnp.shape(whole[name]))),
            KNOWN: self.known.__getitem__,
        }

        def one(source):
            if self.reads(source.name):
                return jnp.asarray(values[source.origin](source.name)).astype(dtype)
            return jnp.zeros((count, *source.of_element(self.slots)), dtype)

        return Features({source.name: one(source) for source in self.sources}, _of_edges(self.sources))

    def check_block(self, field: int, dim: int) -> None:
        """Raises ValueError where the block of second derivatives of one element would be too large."""
        slots = self.slots_read(field)
        size = len(slots) * dim
        if size**2 > LARGEST:
            raise ValueError(
                f"density {self.name} joins node {np.asarray(self.index)[0, 0]} with its {len(slots) - 1} neighbours "
                f"in a block of {size} x {size} second derivatives, which is too large; let it read slot 0 alone (in "
                f"velocities, a MessageDensity with pairing=lgn.difference does), or move what is between two nodes to "
                f"a term on lgn.edge_stencil"
            )


def bound_terms(terms: Sequence, features, *state, rows: Rows) -> tuple[Bound, ...]:
    """The terms bound to rows, by the shapes of their parameters, of the features and of the state alone; kept. Raises
    ValueError: a density that is not scalar, or reads what is not there; TypeError: one that cannot be hashed."""
    leaves, structure = jax.tree.flatten((list(terms), features))
    return _bound_terms(structure, _shapes(leaves), _shapes(state), rows)


@lru_cache(maxsize=16)  # of a graph of 10^6 nodes the tables take 100 MB
def _bound_terms(structure, leaves, state, rows: Rows) -> tuple[Bound, ...]:
    found: list[Bound] = []

    def look(leaves, state):
        terms, features = jax.tree.unflatten(structure, leaves)
        for number, term in enumerate(terms):
            for stencil, seen in tables_of(term, features, state, rows.divided):
                found.append(_bind(number, term, stencil, seen, features, state, rows))

    jax.eval_shape(look, *([jax.ShapeDtypeStruct(*x) for x in group] for group in (leaves, state)))
    return tuple(found)


def _bind(number, term, stencil: Stencil, seen, features, state, rows: Rows) -> Bound:
    sources = sources_of(stencil, features)
    density = term.density if seen is None else _widened(term.density, seen - stencil.slots, sources)
    sized = knows_size(term.density) or seen is not None  # looked at in full width
    entries = _read(partial(_scalar, density, term.name), f"density {term.name}", sources, stencil.slots, state, sized)
    regular = len(stencil.index) % rows.n_node == 0 or stencil.runs is not None  # as many nodes, as many elements
    bound = Bound(
        **rows.tables(stencil, _names(entries, features), regular),
        term=number,
        name=term.name,
        sources=sources,
        entries=Static(entries),
        distinct=slots_differ(stencil.index),  # an unfilled slot reads slot 0 again
        seen=seen,
    )
    bound.check_block(len(state) - 1, state[-1].shape[1])
    return bound


def local(function: Callable, name: str, stencil: Stencil, features, *state, sized: bool = False) -> tuple:
    """What a function (fields, features), such as a law of motion, reads on every element: fields (element, slot, dim)
    and features; what it does not read is zero. Raises ValueError as `_read` does."""
    sources = sources_of(stencil, features)
    entries = _read(function, name, sources, stencil.slots, state, sized)
    tables = nodes(len(state[0])).tables(stencil, _names(entries, features), exact=True)
    bound = Bound(**tables, term=0, name=name, sources=sources, entries=Static(entries), distinct=False, seen=None)
    of_nodes, edges, whole = features
    return *map(bound.gathered, state), bound.features(of_nodes, edges, whole, state[0].dtype)


def _names(entries, features) -> set[str]:
    read = {name for name, x in entries[-1].items() if x.any()}
    return read | ({"edge"} if read & set(features[1]) else set())


def tables_of(term, features, state, divided: bool) -> list[tuple[Stencil, int | None]]:
    """The tables of a term, each with the number of slots that the density sees where that is more.

    A ragged stencil has one for each group of nodes, if the density takes any number of slots in any order (its
    attribute `slots` is None), else one as wide as the last slot that it reads; divided over devices, as wide as all.
    """
    stencil, density = term.stencil, term.density
    if known := known_tables(term):
        return [(table if divided else _bucketed(table, density), None) for table in known]
    assert isinstance(stencil, RaggedStencil)
    if divided:
        return [(stencil.padded, None)]
    sources = sources_of(stencil.first(1), features)
    scalar = partial(_scalar, density, term.name)
    entries = _read(scalar, f"density {term.name}", sources, stencil.slots, state, knows_size(density))
    tables = [*entries[:-1], *(entries[-1][source.name] for source in sources if source.in_slots)]
    count = int(max(np.flatnonzero(x.reshape(len(x), -1).any(1)).max(initial=0) for x in tables)) + 1
    return [(stencil.padded, None) if count == stencil.slots else (stencil.first(count), stencil.slots)]


def known_tables(term) -> tuple[Stencil, ...]:
    """The tables of a term, as far as they do not depend on which slots its density reads; else none."""
    stencil = term.stencil
    if not isinstance(stencil, RaggedStencil):
        return (stencil,)
    return stencil.groups if takes_any(term.density) else ()


def _bucketed(stencil: Stencil, density) -> Stencil:
    """With as many unfilled slots more as fill up its table, for a density that takes any number; itself, if all of its
    slots are filled."""
    full = not takes_any(density) or stencil.mask.all()
    more = 0 if full else bucket(stencil.slots, parts=2, least=1) - stencil.slots
    if not more:
        return stencil

    def wide(x, value):
        return np.concatenate([x, np.broadcast_to(value, (len(x), more, *x.shape[2:]))], 1).astype(x.dtype)

    geometry = {name: x if x.ndim == 1 else wide(x, 0) for name, x in stencil.geometry.items()}
    index = wide(stencil.index, stencil.index[:, :1])
    return Stencil(index, wide(stencil.mask, 0), wide(stencil.edge, -1), geometry, stencil.n_node)


def takes_any(density) -> bool:
    """Whether it takes any number of slots, in any order."""
    return as_density(density).slots is None


def knows_size(density) -> bool:
    """Whether it knows its slots and degrees of freedom, which `Term.check` compares, so that it reads within them."""
    return as_density(density).dim is not None


def sources_of(stencil: Stencil, features) -> tuple[Source, ...]:
    """The features that elements of a stencil know."""
    nodes, edges, whole = features
    found = {name: Source(name, NODES, True, x.shape[1:]) for name, x in nodes.items()}
    found |= {name: Source(name, EDGES, True, x.shape[1:]) for name, x in edges.items()}
    found |= {name: Source(name, WHOLE, False, jnp.shape(x)) for name, x in whole.items()}
    known = {name: Source(name, KNOWN, x.ndim > 1, x.shape[2:]) for name, x in stencil.known.items()}
    return tuple((found | known).values())


def _of_edges(sources) -> list[str]:
    return [source.name for source in sources if source.origin == EDGES]


def _read(function: Callable, name: str, sources, slots: int, state, sized: bool) -> tuple:
    """Which entries of its fields and features a function of an element of so many slots depends on. Raises ValueError:
    a function, `name` in messages, that fails or, unless it is `sized`, reads beyond its arrays."""
    dtype = jnp.result_type(state[0])
    fields = [jax.ShapeDtypeStruct((slots, x.shape[1]), dtype) for x in state]
    shapes = {source.name: jax.ShapeDtypeStruct(source.of_element(slots), dtype) for source in sources}
    known = *fields, Features(shapes, _of_edges(sources))
    if not sized:
        _arguments.reads_within(name, function, *known)
    return _arguments.explained(name, partial(dependence, function), *known)


def _widened(density, more: int, sources) -> DensityLike:
    in_slots = {source.name: source.in_slots for source in sources}

    def widen(x):
        return jnp.concatenate([x, jnp.zeros((more, *x.shape[1:]), x.dtype)])

    @jax.jit  # the zeros are then never made
    def widened(*local):
        *fields, features = local
        whole = {name: widen(x) if in_slots[name] else x for name, x in features.items()}
        return density(*map(widen, fields), Features(whole))

    return widened


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


def _shapes(leaves) -> tuple:
    return tuple((np.shape(x), jnp.result_type(x)) for x in leaves)

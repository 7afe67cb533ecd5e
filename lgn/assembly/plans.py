"""Plans: how the terms of a functional are laid out as arguments of a program; found once for each graph."""

from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lgn._pytrees import Static
from lgn.assembly.layout import Table, table_of
from lgn.assembly.parts import part_of, tables_of
from lgn.assembly.pattern import Pattern, on_device, pattern


class Plan(NamedTuple):
    """Of a functional for states of one shape.

    Attributes:
        tables: for each table of each term the number of the term, the table, and the slots that its density sees
            where these are more.
        joined: the pattern of second derivatives by the last field.
        counts: elements of each table of that pattern, filled up.
    """

    tables: tuple[tuple[int, Table, int | None], ...]
    joined: Pattern
    counts: tuple[int, ...]


def plan(functional, features, *state) -> Plan:
    """The plan of a functional, by the shapes of its parameters, of the features and of the state alone.

    Raises:
        ValueError: a density that is not scalar, or reads what is not there.
        TypeError: a density that cannot be hashed.
    """
    leaves, structure = jax.tree.flatten((functional, features))
    return _plan(structure, _shapes(leaves), _shapes(state))


@lru_cache(maxsize=16)  # of a graph of 10^6 nodes a plan takes 100 MB
def _plan(structure, leaves, state) -> Plan:
    found: list[tuple[int, Any, int | None, bool, set[str]]] = []
    joined: list[tuple] = []

    def look(leaves, state):
        functional, features = jax.tree.unflatten(structure, leaves)
        for number, term in enumerate(functional.terms):
            for stencil, seen in tables_of(term.density, term.name, term.stencil, features, state):
                part = part_of(term.density, term.name, stencil, seen, features, state)
                joined.append((*part.joined(len(state) - 1), stencil.slots))
                read = {name for name, entries in part.read[-1].items() if entries.any()}
                read |= {"edge"} if read & set(features[1]) else set()
                found.append((number, stencil, seen, getattr(term.density, "slots", 0) is None, read))

    shapes = [[jax.ShapeDtypeStruct(*x) for x in group] for group in (leaves, state)]
    jax.eval_shape(look, *shapes)
    n_node = state[0][0][0]
    tables = [(number, table_of(stencil, n_node, free, read), seen) for number, stencil, seen, free, read in found]

    def look_again(leaves, state):
        functional, features = jax.tree.unflatten(structure, leaves)
        for i, (number, table, seen) in enumerate(tables):
            if (
                table.slots != joined[i][2]
            ):  # of a density that takes any number of slots: it reads as many as there are
                term, count = functional.terms[number], len(found[i][1].index)
                slots, _ = part_of(term.density, term.name, table, seen, features, state).joined(len(state) - 1)
                joined[i] = slots, Static(np.ascontiguousarray(table.index[:count, list(slots)])), table.slots

    jax.eval_shape(look_again, *shapes)
    coupled = [(one, len(laid.index)) for (slots, one, _), (_, laid, _) in zip(joined, tables, strict=True) if slots]
    return Plan(
        tuple((number, on_device(table), seen) for number, table, seen in tables),
        pattern(n_node, *(table for table, _ in coupled)),
        tuple(count for _, count in coupled),
    )


def _shapes(leaves) -> tuple:
    return tuple((np.shape(x), jnp.result_type(x)) for x in leaves)

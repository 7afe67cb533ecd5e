"""Plans: how the terms of a functional are laid out as arguments of a program; found once for each graph."""

from functools import lru_cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lgn._pytrees import Static
from lgn.assembly.layout import Table, table_of, widened
from lgn.assembly.parts import part_of, tables_of
from lgn.assembly.pattern import Pattern, on_device, pattern
from lgn.densities.density import as_density


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


def plan(functional, features, *state, roomy: bool = False) -> Plan:
    """The plan of a functional, by the shapes of its parameters, of the features and of the state alone; `roomy` where
    the state has rows for other numbers of nodes.

    Raises:
        ValueError: a density that is not scalar, or reads what is not there.
        TypeError: a density that cannot be hashed.
    """
    leaves, structure = jax.tree.flatten((functional, features))
    return _plan(structure, _shapes(leaves), _shapes(state), roomy)


@lru_cache(maxsize=16)  # of a graph of 10^6 nodes a plan takes 100 MB
def _plan(structure, leaves, state, roomy) -> Plan:
    tables: list[tuple[int, Table, int | None]] = []
    coupled: list[tuple[Static[np.ndarray], int]] = []
    n_node = state[0][0][0]

    def look(leaves, state):
        functional, features = jax.tree.unflatten(structure, leaves)
        for number, term in enumerate(functional.terms):
            any_slots = as_density(term.density).slots is None
            for stencil, seen in tables_of(term.density, term.name, term.stencil, features, state):
                stencil = widened(stencil) if any_slots else stencil
                part = part_of(term.density, term.name, stencil, seen, features, state)
                read = {name for name, entries in part.read[-1].items() if entries.any()}
                read |= {"edge"} if read & set(features[1]) else set()
                table = table_of(stencil, n_node, read, roomy)
                tables.append((number, on_device(table), seen))
                slots, joined = part.joined(len(state) - 1)
                if slots:
                    coupled.append((joined, len(table.index)))

    jax.eval_shape(look, *([jax.ShapeDtypeStruct(*x) for x in group] for group in (leaves, state)))
    joined, counts = zip(*coupled, strict=True) if coupled else ((), ())
    return Plan(tuple(tables), pattern(n_node, *joined), counts)


def _shapes(leaves) -> tuple:
    return tuple((np.shape(x), jnp.result_type(x)) for x in leaves)

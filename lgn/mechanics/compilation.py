"""Compilation: calls of a system's methods as programs, which are kept and shared by other graphs of the size."""

from collections.abc import Callable, Sequence
from functools import wraps
from inspect import signature
from typing import Any, TypeVar, cast
from weakref import WeakKeyDictionary

import jax
import jax.numpy as jnp
import numpy as np

from lgn import _arguments
from lgn.assembly.matrix import BlockMatrix
from lgn.assembly.rows import Rows, nodes

Method = TypeVar("Method", bound=Callable)


def compiled(method: Method) -> Method:
    """Compile a method (q, v, t), (u) or (state, t) of a system.

    The program takes the system bound to its rows: it serves other values of parameters and features, and other graphs
    of the size. Within another program it is called, and not traced anew. Functions of Python that a system holds are
    called once, as in `jax.jit`.
    """
    on_rows, parameters = jax.jit(method), signature(method)

    @jax.jit
    def from_nodes(system, *arguments, **named):
        rows = rows_of(system)
        return left(rows, on_rows(system, *entered(rows, arguments), **entered(rows, named)))

    @wraps(method)
    def call(self, *arguments, **named):
        if named:  # fields may be given by name
            given = parameters.bind(self, *arguments, **named)
            arguments, named = given.args[1:], given.kwargs
        if is_bound(self):
            return on_rows(self, *arguments, **named)
        fields = arguments[0] if arguments and isinstance(arguments[0], tuple | list) else arguments
        state = [x for x in fields if np.ndim(x)] if all(map(_fits, fields)) else []
        if not state:
            return method(self, *arguments, **named)  # which says what is wrong
        return from_nodes(bind(self, state), *arguments, **named)

    return cast(Method, call)


# by system the shapes of the state, the leaves and the structure that it was bound for, and the bound one
_known: WeakKeyDictionary[Any, tuple[tuple | None, Sequence, Any, Any]] = WeakKeyDictionary()


def bind(system, state):
    """The system bound to rows for states of these shapes, as programs take it; kept while nothing of it changes.
    Itself, if it is bound, or has nothing to bind. Raises ValueError for what is no state of the system."""
    if is_bound(system) or not hasattr(system, "on_rows"):
        return system
    if not all(map(_arguments.is_array, state)):
        system.check(*state)  # which says what is wrong
    leaves, structure = jax.tree.flatten(system)
    shapes = tuple((np.shape(x), jnp.result_type(x)) for x in state)
    of, before, layout, bound = _known.get(system, (None, (), None, None))
    unchanged = all(a is b and isinstance(a, jax.Array) for a, b in zip(leaves, before, strict=False))
    if of == shapes and unchanged and structure == layout:
        return bound
    bound = system.on_rows(*state)
    if not any(isinstance(x, jax.core.Tracer) for x in jax.tree.leaves((leaves, bound))):
        _known[system] = shapes, leaves, structure, bound
    return bound


def is_bound(system) -> bool:
    """Whether the states of a system are rows, as within a program."""
    return hasattr(system, "domain") and system.domain.bound


def rows_of(system) -> Rows:
    """Where the states of a system live in programs."""
    return system.domain.rows if hasattr(system, "domain") else nodes(0)


def entered(rows: Rows, tree: Any) -> Any:
    """A tree with its fields (node, dim) as rows."""
    return jax.tree.map(lambda x: rows.enter(x) if jnp.ndim(x) == 2 else x, tree)


def left(rows: Rows, found: Any) -> Any:
    """What a program found, in the order of the graph: every array (..., row, dim), and the number of a node."""
    if not rows.divided:
        return found

    def one(x):
        if isinstance(x, BlockMatrix):
            rows.undivided("a mass matrix")
        return x if jnp.ndim(x) < 2 else jnp.moveaxis(rows.leave(jnp.moveaxis(x, -2, 0)), 0, -2)

    out = jax.tree.map(one, found, is_leaf=lambda x: isinstance(x, BlockMatrix))
    return out._replace(node=rows.node(out.node)) if "node" in getattr(out, "_fields", ()) else out


def _fits(x) -> bool:
    """Whether it may be a field (node, dim), or a time."""
    return isinstance(x, int | float) or (_arguments.is_array(x) and x.ndim in (0, 2))

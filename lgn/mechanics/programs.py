"""Programs: calls of a system outside of transformations, compiled behind the call and kept for the next."""

from collections.abc import Callable
from functools import wraps
from typing import Any, NamedTuple, TypeVar, cast
from weakref import WeakKeyDictionary

import jax
import numpy as np

from lgn import _arguments, _arrays, _traced

Method = TypeVar("Method", bound=Callable)


def compiled(method: Method) -> Method:
    """A method (q, v, t), (u) or (state, t) of a system, as one program outside of transformations.

    The program takes the system, with its tables laid out, as an argument: it serves other values of parameters and
    features, and other graphs of the size. Functions of Python that a system holds are called once, as in `jax.jit`.
    """
    program = jax.jit(method)

    @wraps(method)
    def call(self, *arguments, **named):
        fields = arguments[0] if arguments and isinstance(arguments[0], tuple | list) else arguments
        state = [x for x in fields if np.ndim(x)] if all(map(_fits, fields)) else []
        if not state or _traced.transformed():
            return method(self, *arguments, **named)  # which says what is wrong, or is part of a program
        argument = as_argument(self, state)
        return left(
            program(argument, *entered(arguments, argument), **entered(named, argument)), len(state[0]), argument
        )

    return cast(Method, call)


class Known(NamedTuple):
    """A system as the argument of a program, and the leaves, the structure and the state that it was made for."""

    leaves: list
    structure: Any
    shapes: tuple
    argument: Any


_known: WeakKeyDictionary[Any, Known] = WeakKeyDictionary()


def as_argument(system, state, shared: bool = True):
    """The system as an argument of programs: laid out, where it can be; kept while nothing of it changes. In a bucket
    of nodes where that is `shared`, the system knows one, and no field is bound to its devices.

    Raises:
        ValueError: what is no state of the system.
    """
    if not hasattr(system, "laid_out"):
        return system
    leaves, structure = jax.tree.flatten(system)
    shared = shared and hasattr(system, "shared") and not any(getattr(x, "committed", False) for x in state)
    shapes = (*((np.shape(x), x.dtype) for x in state), shared)
    known = _known.get(system)
    if known and known.shapes == shapes and _same(leaves, known.leaves) and structure == known.structure:
        return known.argument
    argument = (system.shared if shared else system.laid_out)(*state)
    _known[system] = Known(leaves, structure, shapes, argument)
    return argument


def entered(state, argument):
    """A tree in which states have as many rows as the argument of the program: more are zero. Made in the memory of the
    host, where a new number of rows compiles nothing."""
    rows = rows_of(argument)
    return jax.tree.map(lambda x: x if np.ndim(x) != 2 or rows in (None, len(x)) else _arrays.filled(x, rows), state)


def left(found, count: int, argument):
    """What a program found, with as many nodes as the system has: of every array (..., node, dim)."""
    if rows_of(argument) in (None, count):
        return found
    return jax.tree.map(lambda x: jax.device_put(np.asarray(x)[..., :count, :]) if np.ndim(x) > 1 else x, found)


def rows_of(argument) -> int | None:
    """How many rows the states have that a program takes beside a system; None where nothing is filled up."""
    return argument.domain.size if hasattr(argument, "shared") else None


def _same(some, others) -> bool:
    """Whether leaves are the very same arrays, which nothing can have changed."""
    return all(a is b and isinstance(a, jax.Array) for a, b in zip(some, others, strict=False))


def _fits(x) -> bool:
    """Whether it may be a field (node, dim), or a time."""
    return isinstance(x, int | float) or (_arguments.is_array(x) and x.ndim in (0, 2))

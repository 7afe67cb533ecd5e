"""Traced: functions of users, which jax traces: what fails there is said in lgn's words, with the shapes given."""

from collections.abc import Callable

import jax
import numpy as np
from jax.extend.core import get_opaque_trace_state

from lgn import _arguments

# what jax raises where numpy or Python asks a traced value for its number
CONCRETE = (
    jax.errors.ConcretizationTypeError, jax.errors.NonConcreteBooleanIndexError, jax.errors.TracerArrayConversionError,
    jax.errors.TracerBoolConversionError, jax.errors.TracerIntegerConversionError,
)  # fmt: skip


def transformed() -> bool:
    """Whether jax transforms what is called now: by jit, grad, vmap or another, though nothing at hand be traced."""
    here = get_opaque_trace_state()
    with jax.core.eval_context():
        return here != get_opaque_trace_state()


def reads_within(name: str, function: Callable, *local) -> None:
    """Raises ValueError for an index beyond an array: numpy says so, where jax reads the last entry. Nothing is
    computed or compiled: what jax.numpy makes of the numpy arrays is traced. What numpy cannot do is no error here."""
    ones = jax.tree.map(lambda x: np.ones(np.shape(x), getattr(x, "dtype", float)), local)
    try:
        with np.errstate(all="ignore"):
            jax.eval_shape(lambda: function(*ones))
    except IndexError as error:
        raise ValueError(
            f"{name} reads beyond its arrays, {shapes(local)}: {error}; it may read as many rows as its stencil has "
            f"slots, and as many columns as the state has degrees of freedom a node"
        ) from error
    except Exception:
        pass  # jax alone knows, and says below


def said(name: str, function: Callable, *local):
    """function(*local), where an error that is not lgn's own says whose it is, and of what shapes.

    Raises:
        ValueError: numpy or Python where only jax.numpy can work, or whatever else fails.
    """
    try:
        return function(*local)
    except CONCRETE as error:
        raise ValueError(
            f"{name} uses numpy, or Python's if, float or int, where jax needs jax.numpy: write jnp.sin for np.sin, "
            f"jnp.where for if ({str(error).splitlines()[0]})"
        ) from error
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        if isinstance(error, ValueError) and _arguments.own(error):
            raise
        raise ValueError(
            f"{name} fails on {shapes(local)}: {error}; compare what it reads with these shapes"
        ) from error


def shapes(local) -> str:
    """Of the arrays of an element, for messages."""
    *fields, features = local if isinstance(local[-1], dict) else (*local, {})
    return ", ".join([str(np.shape(x)) for x in fields] + [f"{key} {np.shape(x)}" for key, x in features.items()])

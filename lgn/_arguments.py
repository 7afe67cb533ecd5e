"""Arguments: checks of what users hand over, functions included, so that a wrong call meets an error of lgn's own.

Each returns what it was given, checked, or raises ValueError: what was found, what was expected, what to do. All look
at types, shapes and numpy alone, so they are safe and cheap where jax traces.
"""

import operator
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import get_opaque_trace_state

# what jax raises where numpy or Python asks a traced value for its number
CONCRETE = (
    jax.errors.ConcretizationTypeError, jax.errors.NonConcreteBooleanIndexError, jax.errors.TracerArrayConversionError,
    jax.errors.TracerBoolConversionError, jax.errors.TracerIntegerConversionError,
)  # fmt: skip


def whole(name: str, value: Any, least: int = 1) -> int:
    """A whole number, `least` or more; a bool, 5.0 or "5" is none."""
    if not hasattr(value, "__index__") or isinstance(value, bool | np.bool) or operator.index(value) < least:
        raise ValueError(f"{name}={short(value)}; give a whole number, at least {least}")
    return operator.index(value)


def sizes(name: str, values: Any, least: int = 1) -> tuple[int, ...]:
    """Whole numbers, `least` or more, as a tuple."""
    if not listed(values):
        raise ValueError(f"{name}={values!r} is no sequence; give whole numbers in a tuple, such as ({values!r},)")
    return tuple(whole(f"{name}[{i}]", value, least) for i, value in enumerate(values))


def positive(name: str, value: Any, zero: bool = False) -> Any:
    """A finite number above zero, or with `zero` not below it; what jax traces is let through."""
    if isinstance(value, jax.core.Tracer):
        return value
    expected = "number that is finite and not negative" if zero else "positive number that is finite"
    if not real(value) or np.ndim(value) or not np.isfinite(value) or value < 0 or (value == 0 and not zero):
        raise ValueError(f"{name}={short(value)}; give a {expected}")
    return value


def flag(name: str, value: Any) -> bool:
    """A bool, not what Python would take for one: 'no' is true."""
    if not isinstance(value, bool | np.bool):
        raise ValueError(f"{name}={value!r}; expected a bool: give True or False")
    return bool(value)


def names(name: str, values: Any) -> tuple[str, ...]:
    """Distinct names; one string is not a sequence of them."""
    if not listed(values) or not all(isinstance(value, str) for value in values):
        raise ValueError(f"{name}={values!r}; expected a sequence of names: give ({values!r},) for one, () for none")
    if len(set(values)) < len(values):
        raise ValueError(f"{name}={values!r} holds a name twice; give each once")
    return tuple(values)


def named(name: str, values: Any) -> Mapping:
    """A mapping from names to values; none for None."""
    if values is not None and not (isinstance(values, Mapping) and all(isinstance(key, str) for key in values)):
        raise ValueError(f"{name}={short(values)}; expected a dict from names to arrays: give {{'mass': array}}")
    return values or {}


def called(name: str, value: Any, examples: str) -> Any:
    """What can be called and is no class: a class without parentheses is called with the wrong arguments later."""
    made(name, value, examples)
    if not callable(value):
        raise ValueError(f"{name}={short(value)} cannot be called; give {examples}")
    return value


def made(name: str, value: Any, examples: str) -> Any:
    """An object, not its class."""
    if isinstance(value, type):
        made_so = f"{value.__name__}(...)"
        raise ValueError(f"{name}={value.__name__} is a class, not an object; call it, {made_so}: {examples}")
    return value


def of_kind(name: str, value: Any, kinds: type | tuple[type, ...], examples: str) -> Any:
    """An object of one of these classes."""
    if not isinstance(value, kinds):
        expected = " or ".join(kind.__name__ for kind in (kinds if isinstance(kinds, tuple) else (kinds,)))
        raise ValueError(f"{name} is {short(value)}; expected {expected}: give {examples}")
    return value


def has(name: str, value: Any, members: Sequence[str], examples: str) -> Any:
    """An object with these attributes."""
    made(name, value, examples)
    if lacking := [member for member in members if not hasattr(value, member)]:
        raise ValueError(f"{name}={short(value)} has no {lacking[0]!r}; give {examples}")
    return value


def streams(caller: str, rngs: Any) -> Any:
    """Random streams of nnx, which draw the weights of a network."""
    from flax import nnx

    return of_kind(f"{caller}: rngs", rngs, nnx.Rngs, "rngs=nnx.Rngs(0), of flax")


def random_key(caller: str, key: Any) -> Any:
    """A single key of jax.random, typed or in the older form of two uint32."""
    typed = isinstance(key, jax.Array) and jnp.issubdtype(key.dtype, jax.dtypes.prng_key)
    if not (key.ndim == 0 if typed else is_array(key) and key.dtype == np.uint32 and key.ndim == 1):
        found = f"an array of keys, {key.shape}" if typed else short(key)
        raise ValueError(f"{caller}: key={found}; expected one key of jax.random: give jax.random.key(0)")
    return key


def drawn(caller: str, key: Any, **counts: Any) -> None:
    """Raises ValueError for what draws nothing: no key, or counts that are not whole numbers."""
    random_key(caller, key)
    for name, count in counts.items():
        whole(f"{caller}: {name}", count)


def path(caller: str, value: Any) -> Path:
    """A path of the file system."""
    if not isinstance(value, str | os.PathLike):
        raise ValueError(f"{caller}={short(value)}; expected a path: give a string or a pathlib.Path")
    return Path(value)


def transformed() -> bool:
    """Whether this call runs within a jax transformation (jit, grad, vmap ...), even if no argument is traced."""
    here = get_opaque_trace_state()
    with jax.core.eval_context():
        return here != get_opaque_trace_state()


def reads_within(name: str, function: Callable, *local) -> None:
    """Raise ValueError for an index beyond an array: numpy reports it where jax reads the last entry. Nothing is
    computed or compiled, and what numpy cannot do is no error here."""
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


def explained(name: str, function: Callable, *local):
    """Call function(*local), explaining errors that are not lgn's own: whose function, and of what shapes.

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
        if isinstance(error, ValueError) and own(error):
            raise
        seen = shapes(local)
        raise ValueError(f"{name} fails on {seen}: {error}; compare what it reads with these shapes") from error


def shapes(local) -> str:
    """Shapes of the arrays of an element, for messages."""
    *fields, features = local if isinstance(local[-1], dict) else (*local, {})
    return ", ".join([str(np.shape(x)) for x in fields] + [f"{key} {np.shape(x)}" for key, x in features.items()])


def listed(values: Any) -> bool:
    """Whether it is a sequence or an array with axes, and no string."""
    plain = isinstance(values, Iterable) and not isinstance(values, str | bytes | Mapping)
    return plain and getattr(values, "ndim", 1) != 0


def own(error: BaseException) -> bool:
    """Whether lgn raised an error, and not what it called."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_globals.get("__name__", "").startswith("lgn.")


def real(value: Any) -> bool:
    """Whether it holds real numbers: bool, integers or floating point."""
    try:
        return jnp.result_type(value if hasattr(value, "dtype") else np.asarray(value)).kind in "biuf"
    except (TypeError, ValueError):
        return False


def is_array(value: Any) -> bool:
    """Whether it is an array of jax or numpy, traced ones and shapes included, and no list, table or tensor."""
    return hasattr(value, "shape") and isinstance(getattr(value, "dtype", None), np.dtype)


def short(value: Any) -> str:
    """A value for a message: arrays by their shape."""
    if is_array(value):
        return f"an array of shape {value.shape} and dtype {value.dtype}"
    text = repr(value)
    return text if len(text) <= 60 and not callable(value) else f"a {type(value).__name__}"

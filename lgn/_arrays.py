"""Arrays: checks of states, data and tables that users hand over, safe where jax traces; see `_arguments`."""

import warnings
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lgn import _arguments

SINGLE = (
    "a float64 numpy array becomes float32, since jax is in single precision; for double precision call "
    'jax.config.update("jax_enable_x64", True) before anything else, or give x.astype(np.float32) to say that single '
    "is meant"
)


def above_rounding(name: str, tolerance: float, dtype: Any, share: float) -> None:
    """Raises ValueError for a tolerance below a share of the rounding of a dtype: it would never be met."""
    least = share * float(jnp.finfo(dtype).eps)
    if tolerance < least:
        raise ValueError(
            f"{name}={tolerance:g}, which {np.dtype(dtype)} cannot hold; give {least:.1g} or more, or states of "
            f'float64: jax.config.update("jax_enable_x64", True) first'
        )


def array(name: str, value: Any) -> np.ndarray:
    """A list, a table, an array of jax, or whatever turns into an array by `__array__`, as one of numpy."""
    try:
        return np.asarray(value)
    except Exception as error:  # rows of different length, a tensor that is not on this machine
        what = _arguments.short(value)
        raise ValueError(f"{name} is {what}, of which numpy makes no array ({error}); give one") from error


def reals(name: str, value: Any) -> np.ndarray:
    """Real numbers as numpy array of their own dtype, see `array`."""
    found = array(name, value)
    if found.dtype.kind not in "biuf":
        what = "None" if value is None else f"of dtype {found.dtype}"
        raise ValueError(f"{name} is {what}; expected real numbers: give a real array, x.real or x.astype(float)")
    return found


def numbers(name: str, value: Any) -> Any:
    """Real numbers: an array of jax or numpy as it is, traced ones too, all else by `reals`."""
    if not _arguments.is_array(value):
        return reals(name, value)
    if value.dtype.kind not in "biufV":  # V: bfloat16
        raise ValueError(f"{name} has dtype {value.dtype}; expected real numbers: give x.real or x.astype(float)")
    return value


def floats(name: str, value: Any) -> Any:
    """An array of jax or numpy in single or double precision as it is, all else by `reals` as numpy array.

    Says once where a float64 array of numpy is to become float32.
    """
    found = numbers(name, value)
    if found.dtype.kind in "biu":
        return np.asarray(found, float) if not isinstance(found, jax.Array) else found.astype(float)
    if found.dtype not in (np.float32, np.float64):
        raise ValueError(f"{name} has dtype {found.dtype}; expected float32 or float64: give x.astype(float)")
    narrowed(found)
    return found


def table(name: str, value: Any, shape: tuple[int, ...], whole: bool) -> np.ndarray:
    """A numpy table (element, slot) of that shape, of whole numbers or of any."""
    expected = f"a numpy array of integers (element, slot) = {shape}" if whole else f"a numpy array {shape}"
    if not isinstance(value, np.ndarray) or (whole and value.dtype.kind not in "iu") or len(shape) != 2:
        raise ValueError(
            f"{name} is {_arguments.short(value)}; expected {expected}, (element, slot): give np.asarray(..., int)"
        )
    if value.shape != shape:
        raise ValueError(f"{name} has shape {value.shape}; expected {expected}: give one entry for each slot")
    return value


def recorded(data: Any) -> Any:
    """Data of samples, a NamedTuple: states, rates and times by `floats`, and `features`, a dict, as arrays of numbers.

    Raises:
        ValueError: fields of different precision.
    """
    known = {name: x for name, x in data._asdict().items() if x is not None}
    found = {name: floats(f"data: {name}", known[name]) for name in ("q", "v", "a", "t", "dt") if name in known}
    dtypes = {name: x.dtype for name, x in found.items() if name in ("q", "v", "a")}
    alike(dtypes, "is", "give x.astype(float) of each")
    marks = [name for name in ("seen", "trial") if name in known and not _arguments.is_array(known[name])]
    found |= {name: array(f"data: {name}", known[name]) for name in marks}
    if "features" in known:
        pairs = _arguments.named("data: features", known["features"]).items()
        found["features"] = {name: numbers(f"data: features[{name!r}]", x) for name, x in pairs}
    return data._replace(**found)


def field(name: str, value: Any) -> None:
    """Raises ValueError for what is no array of jax or numpy in single or double precision, as a state has to be."""
    if not _arguments.is_array(value):
        kind = "None" if value is None else f"a {type(value).__name__}"
        raise ValueError(f"{name} is {kind}; expected an array of jax or numpy: give jnp.asarray(x, float)")
    if value.dtype not in (np.float32, np.float64):
        expected = "float32 or float64" if jnp.issubdtype(value.dtype, jnp.floating) else "floating point"
        raise ValueError(f"{name} has dtype {value.dtype}; expected {expected}: give x.astype(float)")
    narrowed(value)


def alike(found: Mapping[str, Any], verb: str, remedy: str) -> None:
    """Raises ValueError where what was found of several arrays, by their names, is not the same."""
    if len(set(found.values())) > 1:
        (first, x), *others = found.items()
        rest = ", ".join(f"{name} {y}" for name, y in others)
        raise ValueError(f"{first} {verb} {x} and {rest}; expected the same: {remedy}")


def narrowed(value: Any) -> None:
    """Warns where jax is to make a float64 array of numpy float32; the text is always the same, so it comes once."""
    if isinstance(value, np.ndarray) and value.dtype == np.float64 and jnp.result_type(float) == np.float32:
        warnings.warn(SINGLE, stacklevel=1)


def fields(state: Any, *names: str) -> Any:
    """A state of so many fields, each an array: a tuple, a list, or one array with a leading axis of fields."""
    expected = f"({', '.join(names)}{',' * (len(names) == 1)})"
    if _arguments.is_array(state) and len(state.shape) != 3:
        found = _arguments.short(state)
        raise ValueError(f"the state is {found}; expected a tuple of arrays {expected}: give {expected}")
    if not (_arguments.is_array(state) or isinstance(state, tuple | list)):
        raise ValueError(f"the state is a {type(state).__name__}; expected a tuple of arrays: give {expected}")
    if len(state) != len(names):
        raise ValueError(f"a state of {len(state)} fields; expected {len(names)}: give {expected}")
    return state


def finite(x, axes: tuple[int, ...]):
    """Whether all along these axes is finite: by numpy, which compiles nothing, except over several processes."""
    if isinstance(x, jax.Array) and not x.is_fully_addressable:
        return jnp.isfinite(x).all(axes)
    return np.isfinite(np.asarray(x)).all(axes)

"""Random draws: functions of `jax.random` whose programs compile in a seventh of the time, to the same bits."""

import inspect
import math
import os
from collections.abc import Callable
from functools import wraps

import jax
import numpy as np

from lgn import _arguments

# A draw runs once, so that compiling it is all that it costs: at the compiler's highest level threefry of a few
# thousand numbers takes 2.3 CPU seconds, at level 2 0.3. At level 0 the last bits are others (measured).
LEVEL = "xla_backend_optimization_level"
OPTIONS: dict[str, int] = {} if LEVEL in os.environ.get("XLA_FLAGS", "") else {LEVEL: 2}
FEW = 4096  # up to which a draw shares the program of the next power of two


def _by_number(key) -> bool:
    """Whether what is drawn for a place depends on the number of that place alone, and not on the shape."""
    kind = jax.random.key_impl(key) if jax.dtypes.issubdtype(key.dtype, jax.dtypes.prng_key) else "threefry2x32"
    return str(kind) == "threefry2x32" and jax.threefry_partitionable.value


def _quick(function: Callable) -> Callable:
    """A function of `jax.random`, with the same arguments.

    Example:
        >>> import jax
        >>> key = jax.random.key(0)
        >>> (normal(key, (3,)) == jax.random.normal(key, (3,))).all().item()
        True
    """
    program = jax.jit(function, static_argnames=("shape", "dtype"), compiler_options=OPTIONS)

    parameters = inspect.signature(function)

    @wraps(function)
    def draw(key, *arguments, **named):
        if _arguments.transformed():  # within a program of jax, whose options hold
            return function(key, *arguments, **named)
        given = parameters.bind(key, *arguments, **named).arguments
        shape = given.get("shape", ())
        count = math.prod(shape)
        if not 0 < count <= FEW or not _by_number(key):
            return program(**given)
        found = np.asarray(program(**given | {"shape": (2 ** (count - 1).bit_length(),)}))
        return jax.device_put(found[:count].reshape(shape))

    return draw


normal = _quick(jax.random.normal)
uniform = _quick(jax.random.uniform)
truncated_normal = _quick(jax.random.truncated_normal)

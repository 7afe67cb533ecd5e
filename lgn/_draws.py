"""Random draws: functions of `jax.random` whose programs compile in a seventh of the time, to the same bits."""

import os
from collections.abc import Callable
from functools import wraps

import jax

from lgn import _arguments

# A draw runs once, so that compiling it is all that it costs: at the compiler's highest level threefry of a few
# thousand numbers takes 2.3 CPU seconds, at level 2 0.3. At level 0 the last bits are others (measured).
LEVEL = "xla_backend_optimization_level"
OPTIONS: dict[str, int] = {} if LEVEL in os.environ.get("XLA_FLAGS", "") else {LEVEL: 2}


def _quick(function: Callable) -> Callable:
    """A function of `jax.random`, with the same arguments.

    Example:
        >>> import jax
        >>> key = jax.random.key(0)
        >>> (normal(key, (3,)) == jax.random.normal(key, (3,))).all().item()
        True
    """
    program = jax.jit(function, static_argnames=("shape", "dtype"), compiler_options=OPTIONS)

    @wraps(function)
    def draw(*arguments, **named):  # within a program of jax, whose options hold
        return (function if _arguments.transformed() else program)(*arguments, **named)

    return draw


normal = _quick(jax.random.normal)
uniform = _quick(jax.random.uniform)
truncated_normal = _quick(jax.random.truncated_normal)

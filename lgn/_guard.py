"""Guard: releases of jax that return wrong numbers are refused."""

from functools import cache

# The fault is the compiler's, so jaxlib's version decides: jax 0.10.2 on jaxlib 0.10.1 is right (measured).
# 0.10.2 fails tests/test_guard.py: from 16,385 rows of float64 and 32,769 of float32 on, it reads others. 0.11.0 and
# 0.11.1 pass it on two cores; they are refused because an earlier run met wrong numbers.
WRONG = ("0.10.2", "0.11.0", "0.11.1")


@cache
def check_jax() -> None:
    """Asked once a process, where a system is first made: a lookup, since nothing is to be compiled for it.

    Raises:
        RuntimeError: jaxlib is one of `WRONG`.
    """
    import jaxlib

    if jaxlib.__version__ in WRONG:
        raise RuntimeError(
            f"jaxlib {jaxlib.__version__} is installed, a release that returned wrong float64 numbers on CPU, "
            "silently, in compiled sums over many rows (jax issue 39103). "
            'Install another: pip install "jax==0.10.1" on Python 3.11, "jax==0.12.0.1" on Python 3.12 and 3.13.'
        )

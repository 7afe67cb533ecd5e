"""Guard: releases of jax that return wrong numbers are refused, by name or by the numbers that they return."""

import os
from functools import cache
from pathlib import Path

# The fault is the compiler's, so jaxlib's version decides: jax 0.10.2 on jaxlib 0.10.1 is right (measured).
# 0.10.2 fails tests/test_guard.py: from 16,385 rows of float64 and 32,769 of float32 on, it reads others. 0.11.0 and
# 0.11.1 pass it on two cores; they are refused because an earlier run met wrong numbers.
WRONG = ("0.10.2", "0.11.0", "0.11.1")
ROWS = 40_000


@cache
def check_jax() -> None:
    """Check the installed jaxlib once per process, when the first system is created.

    A release that is not named is tried: a program of jax issue 39103, which takes a tenth of a second, once for each
    jaxlib and kind of device. That it passed is an empty file in the user's cache folder, where one can be written.

    Raises:
        RuntimeError: jaxlib is one of `WRONG`, or returns wrong numbers here.
    """
    import jax
    import jaxlib

    version = jaxlib.__version__
    if version in WRONG:
        raise RuntimeError(_refusal(f"jaxlib {version} is installed, a release that returned"))
    folder = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / "lgn"
    passed = folder / f"jaxlib-{version}-{jax.default_backend()}-is-right"
    if os.path.exists(passed):  # unlike `Path.exists`, false where it may not look
        return
    if not all(multiplies_rightly(dtype) for dtype in ("float32", "float64")):
        raise RuntimeError(_refusal(f"jaxlib {version} is installed, which returns"))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        passed.touch()
    except OSError:  # it is tried again by the next process
        pass


def multiplies_rightly(dtype: str) -> bool:
    """Whether a compiled sum over many rows is exact, in whole numbers: the program of jax issue 39103."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    rows = np.zeros((ROWS, 3), dtype)
    rows[:, 0] = np.arange(ROWS) % 4096
    with jax.enable_x64(True), jax.ensure_compile_time_eval():
        squares = jax.jit(jax.vmap(lambda row: jnp.sum((jnp.eye(3, dtype=dtype) @ row) ** 2)))(rows)
        return bool((np.asarray(squares) == rows[:, 0] ** 2).all())


def _refusal(found: str) -> str:
    return (
        f"{found} wrong float64 numbers on CPU, silently, in compiled sums over many rows (jax issue 39103). "
        'Install another: pip install "jax==0.10.1" on Python 3.11, "jax==0.12.0.1" on Python 3.12 and 3.13.'
    )

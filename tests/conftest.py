"""Double precision, hypothesis runs that are the same every time, and shapes checked within the library.

Where users call, wrong input is to meet an error of lgn's own, so only modules behind those are checked.

Most of the time goes into tracing and compiling programs that run once. So they are compiled for speed of compilation,
and kept beside the environment, where the other worker, the processes that tests start and the next run find them. What
is set outside stands, so that `XLA_FLAGS= make test` tests the programs that users run.
"""

import contextlib
import ctypes
import gc
import os
import shutil
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

QUICK_TO_COMPILE = ["--xla_backend_optimization_level=0", "--xla_cpu_parallel_codegen_split_count=1"]
if version("jaxlib").startswith("0.10."):  # later ones do not know it, and an unknown flag ends the process
    QUICK_TO_COMPILE.append("--xla_cpu_use_fusion_emitters=false")
os.environ.setdefault("XLA_FLAGS", " ".join(QUICK_TO_COMPILE))
os.environ.setdefault("JAX_TRACEBACK_IN_LOCATIONS_LIMIT", "0")
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:  # the first process; workers and children inherit the folder
    folder = Path(sys.prefix if sys.prefix != sys.base_prefix else tempfile.gettempdir()) / "programs"
    if folder.exists() and sum(x.stat().st_size for x in folder.iterdir()) > 2**31:
        shutil.rmtree(folder, ignore_errors=True)  # programs of code that has changed since, mostly
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(folder)
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"

from jaxtyping import install_import_hook  # noqa: E402

DENSITIES = ["inputs", "network", "mlp", "message_passing", "pairs", "continuum", "positive"]
ASSEMBLY = ["matrix", "elements"]
INNER = ["learning.bfgs", "solvers", *(f"assembly.{name}" for name in ASSEMBLY)]
INNER += [f"densities.{name}" for name in DENSITIES]
install_import_hook([f"lgn.{name}" for name in INNER], "beartype.beartype")

import jax  # noqa: E402
import pytest  # noqa: E402
from hypothesis import settings  # noqa: E402

jax.config.update("jax_enable_x64", True)
settings.register_profile("lgn", deadline=None, max_examples=15, derandomize=True)
settings.load_profile("lgn")


def pytest_collection_finish():
    """What is imported stays: the collector of garbage need not look through it again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 10, 10)


ceiling = 2**30


def resident():
    """Bytes of memory that this process holds, or none where no such file tells."""
    pages = Path("/proc/self/statm")
    return int(pages.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if pages.exists() else 0


@pytest.fixture(autouse=True)
def a_gigabyte_of_programs():
    """Compiled programs, of two megabytes each, leave the memory before it is full, and come back from the disk."""
    global ceiling
    yield
    if resident() > ceiling:
        jax.clear_caches()
        gc.collect()
        with contextlib.suppress(AttributeError, OSError):  # of glibc, which would keep what is free
            ctypes.CDLL(None).malloc_trim(0)
        ceiling = max(2**30, resident() + 2**29)


@pytest.fixture
def interrupt(monkeypatch):
    """Ctrl-C in a phase of training when it has done so many steps, until `monkeypatch.undo()`."""

    def interrupted(kind, at):
        advance = kind.advance

        def stopping(phase, problem, state):
            if phase.done(state) == at:
                raise KeyboardInterrupt
            return advance(phase, problem, state)

        monkeypatch.setattr(kind, "advance", stopping)

    return interrupted

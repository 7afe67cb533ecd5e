"""Double precision, hypothesis runs that are the same every time, and shapes checked within the library.

Where users call, wrong input is to meet an error of lgn's own, so only modules behind those are checked.

Most of the time goes into tracing and compiling programs that run once. So they are compiled for speed of compilation,
and kept beside the environment, where the other worker, the processes that tests start and the next run find them. What
is set outside stands, so that `XLA_FLAGS= make test` tests the programs that users run.
"""

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


@pytest.fixture(autouse=True, scope="module")
def programs_of_one_module():
    """The programs of a module leave the memory with it: of all of them it would take 6 GB."""
    yield
    jax.clear_caches()
    gc.collect()


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

"""What documents show is run by `make docs`: blocks of pages, and the examples of docstrings."""

import doctest
import importlib
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

import lgn

ROOT = Path(__file__).parent.parent
MODULES = sorted(p.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".") for p in (ROOT / "lgn").rglob("*.py"))


def blocks(name):
    return re.findall(r"```python\n(.*?)```", (ROOT / name).read_text(), re.DOTALL)


@pytest.mark.documents
@pytest.mark.parametrize(
    "name", ["tutorial", "energies", "recording", "data", "continuing", "adjacency", "mesh", "speed", "devices"]
)
def test_document(name, capsys):
    exec(compile("\n".join(blocks(f"docs/{name}.md")), name, "exec"), {})


@pytest.mark.documents
def test_readme(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (example,) = blocks("README.md")
    assert len(example.strip().splitlines()) <= 15
    exec(compile(example, "README", "exec"), {})


@pytest.mark.documents
@pytest.mark.parametrize("name", [m for m in MODULES if not m.endswith("__init__")])
def test_docstrings(name):
    failures, _ = doctest.testmod(importlib.import_module(name))
    assert failures == 0


def test_every_public_name_loads_and_is_documented():
    for name in lgn.__all__:
        assert getattr(lgn, name).__doc__, name


def test_no_path_of_a_machine_in_the_documents():
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]:
        assert not re.search(r"/(home|root|tmp|work)/", path.read_text()), path
        for target in re.findall(r"\]\(([^)#]+)\)", path.read_text()):
            assert target.startswith("http") or (path.parent / target).exists(), target


def modules_after(code, *arguments):
    """What a new process has loaded at its end, run as `lgn` with arguments."""
    code = f"import atexit, sys\natexit.register(lambda: print(*sys.modules, file=sys.stderr))\n{code}"
    environment = {**os.environ, "COLUMNS": "80"}
    command = [sys.executable, "-c", code, *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return set(ended.stderr.split())


def test_import_loads_nothing_but_the_table_of_names():
    """Of other packages none, of lgn no module but the first one and that of its names."""
    loaded = modules_after("import lgn") - modules_after("")
    own = {name for name in loaded if name.split(".")[0] == "lgn"}
    assert "lgn" in own and own <= {"lgn", "lgn._names"}
    assert {name.split(".")[0] for name in loaded - own} <= sys.stdlib_module_names


def test_help_is_given_without_jax():
    code = "import runpy; sys.argv[0] = 'lgn'; runpy.run_module('lgn.cli', run_name='__main__')"
    loaded = modules_after(code, "--help")
    assert "tyro" in loaded, "the help was not made"
    assert not loaded & {"jax", "jaxlib", "flax", "jraph", "optax", "scipy", "matplotlib", "diffrax", "orbax"}


@pytest.mark.benchmark
def test_import_and_help_take_less_than_the_half_second_that_a_user_notices():
    code = "import time, jax, jraph, flax.nnx; t = time.perf_counter(); import lgn; print(time.perf_counter() - t)"
    load = lambda: subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout  # noqa: E731
    assert min(float(load()) for _ in range(3)) < 0.5

    def help_seconds():
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "lgn.cli", "--help"], check=True, capture_output=True)
        return time.perf_counter() - start

    assert min(help_seconds() for _ in range(3)) < 0.5

"""What README, tutorial and docstrings show is run."""

import doctest
import importlib
import os
import re
from pathlib import Path

import pytest

import lgn

ROOT = Path(__file__).parent.parent
MODULES = sorted(p.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".") for p in (ROOT / "lgn").rglob("*.py"))


def blocks(name):
    return re.findall(r"```python\n(.*?)```", (ROOT / name).read_text(), re.DOTALL)


@pytest.mark.parametrize("name", ["tutorial", "adjacency", "mesh"])
def test_document(name, capsys):
    exec(compile("\n".join(blocks(f"docs/{name}.md")), name, "exec"), {})


def test_readme(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (example,) = blocks("README.md")
    assert len(example.strip().splitlines()) <= 15
    exec(compile(example, "README", "exec"), {})


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


def test_imports_are_quick():
    """Loading the pieces costs less than the 0.5 s beside jax that a user notices; the command line needs no jax."""
    import subprocess
    import sys
    import time

    code = "import time, jax, jraph, flax.nnx; t = time.perf_counter(); import lgn; print(time.perf_counter() - t)"
    run = lambda: float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout)  # noqa: E731
    assert min(run() for _ in range(3)) < 0.5
    code = "import sys, lgn.cli; print('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"
    environment = {**os.environ, "COLUMNS": "80"}

    def help_seconds():
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "lgn.cli", "--help"], check=True, capture_output=True, env=environment)
        return time.perf_counter() - start

    assert min(help_seconds() for _ in range(3)) < 0.5

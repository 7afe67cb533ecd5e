"""The order of modules is the architecture: a module imports only from those above it."""

import ast
from pathlib import Path

import pytest

import lgn
from lgn import _names

ORDER = [
    "_names",
    "_guard",
    "static",
    "graphs",
    "adjacency",
    "networks",
    "cells",
    "meshes",
    "stencils",
    "densities",
    "forms",
    "message_passing",
    "continuum",
    "terms",
    "elements",
    "mass_matrix",
    "clamps",
    "solvers",
    "lagrangian",
    "trajectories",
    "systems",
    "steps",
    "variational",
    "integrators",
    "losses",
    "baselines",
    "diagnostics",
    "gauge",
    "bfgs",
    "checkpoint",
    "problem",
    "phases",
    "training",
    "plots",
    "runs",
    "cli",
]
ROOT = Path(lgn.__file__).parent
FILES = {path: path.relative_to(ROOT).parts[0].removesuffix(".py") for path in sorted(ROOT.rglob("*.py"))}
FILES = {path: module for path, module in FILES.items() if module != "__init__"}
by_file = pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))


def imported(tree):
    """Modules of lgn that a file imports, at its top or within functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
            yield from (name[1] if len(name) > 1 else "__init__" for name in names if name[0] == "lgn")
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            head, *rest = (node.module or "").split(".")
            if head == "lgn":
                yield from rest[:1] or [_names.MODULE.get(alias.name, alias.name).split(".")[0] for alias in node.names]


def test_every_module_has_its_place_in_the_order():
    assert FILES and set(FILES.values()) <= set(ORDER)


@by_file
def test_imports_only_from_modules_above(path):
    module = FILES[path]
    above = ORDER[: ORDER.index(module)] + ([module] if path.parent != ROOT else [])  # a package may import itself
    above += ["__init__"] * (module == ORDER[-1])  # below every other, `import lgn` closes no circle
    below = set(imported(ast.parse(path.read_text()))) - set(above)
    assert not below, f"{module} imports {sorted(below)}, which do not stand above it"


@by_file
def test_only_the_cli_prints_and_sets_global_options(path):
    if FILES[path] == "cli":
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            assert getattr(node.func, "id", "") != "print", f"line {node.lineno}: print"
        if isinstance(node, ast.Attribute):
            assert ast.unparse(node) != "jax.config", f"line {node.lineno}: jax.config"
        if isinstance(node, ast.ImportFrom) and node.module == "jax":
            assert "config" not in [alias.name for alias in node.names], f"line {node.lineno}: jax.config"

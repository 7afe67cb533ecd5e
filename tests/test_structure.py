"""The order of folders is the architecture: a room imports only from rooms above it, and the public table is one."""

import ast
from pathlib import Path

import pytest

import lgn
from lgn import _names

ORDER = [
    "_names",
    "_guard",
    "_arguments",
    "_arrays",
    "_backends",
    "_draws",
    "_pytrees",
    "graphs",
    "densities",
    "data",
    "systems",
    "assembly",
    "solvers",
    "mechanics",
    "devices",
    "motion",
    "checkpoint",
    "learning",
    "analysis",
    "harness",
    "recipes",
    "cli",
]
SHELL = ("cli",)  # what a user of the command line meets
ROOT = Path(lgn.__file__).parent
FILES = [path for path in sorted(ROOT.rglob("*.py")) if path.name != "__init__.py"]
TREES = {path: ast.parse(path.read_text()) for path in FILES}


def room(path):
    """Folder, or module at the top."""
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported(tree):
    """Modules of lgn that a file imports, at its top or within functions, as dotted names below lgn."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
            yield from (".".join(name[1:]) or "__init__" for name in names if name[0] == "lgn")
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            head, *rest = (node.module or "").split(".")
            if head == "lgn" and (ROOT / "/".join(rest)).is_dir():
                places = [".".join([*rest, alias.name]) for alias in node.names]
                yield from ({**_names.MODULE, **_names.MODULES}.get(place, place) for place in places)
            elif head == "lgn":
                yield ".".join(rest)


def test_every_room_has_its_place_in_the_order():
    assert FILES and {room(path) for path in FILES} <= set(ORDER)


def test_imports_only_from_rooms_above():
    for path, tree in TREES.items():
        own = room(path)
        above = ORDER[: ORDER.index(own) + (path.parent != ROOT)]  # a folder may import from itself
        above += ["__init__"] * (own in SHELL)  # below every other, `import lgn` closes no circle
        below = {name for name in imported(tree) if name.split(".")[0] not in above}
        assert not below, f"{path} imports {sorted(below)}, which do not stand above it"


def test_no_circle_of_files():
    """Also within a folder."""
    files = {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in FILES}
    arrows = {name: set(imported(TREES[path])) & set(files) for name, path in files.items()}
    while free := [name for name, targets in arrows.items() if not targets & set(arrows)]:
        for name in free:
            del arrows[name]
    assert not arrows, f"in a circle: {sorted(arrows)}"


def test_only_the_cli_prints_and_sets_global_options_at_import():
    for path, tree in TREES.items():
        inside = {id(x) for f in ast.walk(tree) if isinstance(f, ast.FunctionDef) for x in ast.walk(f)}
        for node in ast.walk(tree):
            where = f"{path}, line {getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.Call) and room(path) not in SHELL:
                assert getattr(node.func, "id", "") != "print", where
            if isinstance(node, ast.Attribute) and ast.unparse(node) == "jax.config":
                assert id(node) in inside and room(path) in ("cli", "harness"), where
            if isinstance(node, ast.ImportFrom) and node.module == "jax":
                assert "config" not in [alias.name for alias in node.names], where


def test_files_and_classes_stay_small():
    """A file is one concept and a class one thing; a longer one is two."""
    for path, tree in TREES.items():
        assert len(path.read_text().splitlines()) <= 400, path
        for node in ast.walk(tree):
            assert not isinstance(node, ast.ClassDef) or node.end_lineno - node.lineno < 400, (path, node.name)


def test_a_file_opens_with_one_line_that_says_what_it_is():
    for path, tree in TREES.items():
        assert ast.get_docstring(tree).splitlines()[0].endswith((".", ":")), path


def test_folders_have_empty_init_files():
    for path in ROOT.rglob("__init__.py"):
        assert path.parent == ROOT or not path.read_text() or path.parent.name == "systems", path


def test_the_stub_for_editors_is_the_table():
    assert (ROOT / "__init__.pyi").read_text() == _names.stub() and (ROOT / "py.typed").exists()
    assert lgn.__all__ == sorted(_names.MODULE)


def test_every_public_name_is_defined_where_the_table_says():
    for name, module in _names.MODULE.items():
        tree = ast.parse((ROOT / f"{module.replace('.', '/')}.py").read_text())
        assert name in {getattr(node, "name", None) for node in tree.body}, f"{name} in {module}"


def test_a_name_that_left_says_where_it_is():
    for name, place in _names.MOVED.items():
        assert name not in lgn.__all__ and name not in _names.MODULES
        module, _, last = place.rpartition(".")
        with pytest.raises(AttributeError, match=f"write: from {module} import {last}"):
            getattr(lgn, name)
        path = ROOT.parent / module.replace(".", "/")
        assert (path / f"{last}.py").exists() or last in {
            getattr(node, "name", None) for node in ast.parse(path.with_suffix(".py").read_text()).body
        }


def test_a_name_that_is_misspelt_meets_the_nearest():
    with pytest.raises(AttributeError, match=r"no attribute 'Lagrangean'; did you mean 'Lagrangian'\?"):
        _ = lgn.Lagrangean

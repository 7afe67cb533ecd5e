"""The site: pages are complete before they are built, and a page that fetches anything from elsewhere is found."""

import importlib
import inspect
import re
import sqlite3
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from lgn import _names
from lgn.harness import catalogue

pytest.importorskip("sphinx")
pytest.importorskip("latex2mathml")
DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture
def extension(monkeypatch):
    monkeypatch.syspath_prepend(str(DOCS))
    return lambda name: importlib.import_module(f"_extensions.{name}")


BAD = """<html><head>
<script src="https://cdn.example.org/mathjax.js"></script>
<link rel="stylesheet" href="//fonts.example.org/css"><link rel="preconnect" href="https://fonts.example.org">
<style>@import "https://a.example.org/x.css"; @font-face { src: url( 'http://b.example.org/x.woff2' ) }</style>
</head><body style="background: url(https://c.example.org/x.png)">
<img src="HTTPS://d.example.org/x.png" srcset="local.png 1x, https://e.example.org/x.png 2x">
<iframe src="//f.org/x"></iframe>
<svg><image href="https://g.example.org/x.png"/></svg>
<script type="module">import x from "https://h.example.org/x.js"; fetch("https://i.example.org/data")</script>
<meta http-equiv="refresh" content="0; url=https://j.example.org">
</body></html>"""
GOOD = """<html><head><link rel="stylesheet" href="_static/a.css"><link rel="canonical" href="https://example.org/">
<style>body { background: url("data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg'/%3E") }</style></head>
<body><a href="https://example.org">a link is followed by the reader</a> <code>&lt;img src="https://a.org"&gt;</code>
<math xmlns="http://www.w3.org/1998/Math/MathML"></math><img src="_images/a.png"><script src="a.js"></script></body>"""


def test_every_way_to_fetch_from_elsewhere_is_found(extension, tmp_path):
    addresses = extension("addresses")
    found = " ".join(addresses.outside(BAD, ".html")).lower()
    hosts = ["cdn.example", "//fonts", "https://fonts", *(f"//{x}.example" for x in "abcdeghij"), "//f.org"]
    assert [host for host in hosts if host not in found] == []
    assert addresses.outside(GOOD, ".html") == []
    assert addresses.outside('@import url("https://a.org/x.css"); a { src: url(//b.org/x) }', ".css") == [
        "https://a.org/x.css", "//b.org/x",
    ]  # fmt: skip
    assert addresses.outside('import("https://a.org/x.js")', ".js") == ["https://a.org/x.js"]
    with pytest.raises(ValueError, match="no page"):
        addresses.look(tmp_path)
    (tmp_path / "index.html").write_text(BAD)
    command = [sys.executable, str(DOCS / "_extensions" / "addresses.py"), str(tmp_path)]
    failed = subprocess.run(command, capture_output=True, text=True)
    assert failed.returncode == 1 and "cdn.example.org" in failed.stderr


def test_every_public_name_and_module_has_its_place_in_the_api(extension):
    pages = "\n".join(extension("api").pages().values())
    entries = re.findall(r"^\.\. auto\w+:: (\S+)$", pages, re.MULTILINE)
    assert sorted(entries) == sorted(set(entries))
    assert {f"lgn.{name}" for name in _names.MODULE} <= set(entries)
    assert {f"lgn.{place}" for place in _names.MODULES.values() if place != "systems"} <= set(entries)
    assert {f"lgn.systems.{path.stem}" for path in Path(_names.__file__).parent.glob("systems/[!_]*.py")} <= set(
        entries
    )


def test_a_docstring_is_read_as_plain_text(extension):
    text = ["|x| of a_ and 2 * b, `fit(*x)`:", "", "    M a = f,  a_ * b", "", "Args:", "    x: |x|."]
    extension("api").as_restructured_text(None, "function", "f", None, None, text)
    assert "\n".join(text).split("\n\n")[:3] == [
        r"\|x\| of a\_ and 2 \* b, ``fit(*x)``:", "::", "    M a = f,  a_ * b",
    ]  # fmt: skip
    assert r":param x: \|x\|." in text


@pytest.mark.parametrize("name", ["Lagrangian", "States", "fit"])
def test_a_signature_is_that_of_the_source(extension, name):
    found = _names.find(name)
    kind = "class" if inspect.isclass(found) else "function"
    arguments, _ = extension("api").as_written(None, kind, f"lgn.{name}", found, None, "(*args, **kwargs)", None)
    function = found.__init__ if name == "Lagrangian" else found
    names = [x for x in inspect.signature(function).parameters if x != "self"]
    assert not arguments.startswith("(self") and [x for x in names if not re.search(rf"[( *]{x}\b", arguments)] == []
    assert "jaxlib" not in arguments


@pytest.mark.parametrize(
    "text, target",
    [
        ("lgn.fit", "lgn.fit"), ("fit(...)", "lgn.fit"), ("Lagrangian.solve", "lgn.Lagrangian.solve"),
        ("diagnostics.drift", "lgn.analysis.diagnostics.drift"),
        ("runs", None), ("make docs", None), ("lgn run wave", None),
    ],
)  # fmt: skip
def test_code_that_is_a_public_name_is_linked(extension, text, target):
    assert extension("names").target_of(text) == target


def test_every_experiment_has_a_tile_with_its_figures(extension):
    gallery = extension("gallery")
    tiles = {entry.name: gallery.tile(entry).astext() for entry in catalogue.entries()}
    assert set(tiles) >= {path.stem for path in (DOCS.parent / "experiments").glob("*.py")}
    assert "published 0.434, here 1.1e-5; 50 s" in tiles["wave"] and "lgn run wave" in tiles["wave"]
    assert gallery.number(1170.0) == "1,170" and gallery.number(3.2e-12) == "3.2e-12"
    with pytest.raises(ValueError, match="no HEADLINE"):
        gallery.tile(catalogue.entries()[0]._replace(headline=None))


def test_equations_have_labels_of_their_own_and_references_meet_them():
    for page in DOCS.glob("*.md"):
        labels = re.findall(r"^\$\$ \(([\w-]+)\)$", page.read_text(), re.MULTILINE)
        assert len(labels) == len(set(labels))
        assert set(re.findall(r"\{eq\}`([\w-]+)`", page.read_text())) <= set(labels), page
    assert len(re.findall(r"^\$\$ \(", (DOCS / "theory.md").read_text(), re.MULTILINE)) >= 15


def test_every_page_is_named_on_the_start_page_and_stands_in_the_navigation():
    start = (DOCS / "index.md").read_text()
    navigation = "\n".join(re.findall(r"```\{toctree\}(.*?)```", start, re.DOTALL)).split()
    pages = {path.stem for path in DOCS.glob("*.md")} - {"index"}
    assert pages <= set(navigation) and {page for page in pages if f"]({page}.md" not in start} == set()
    notebooks = {path.stem for path in DOCS.glob("tutorials/*.py")}
    assert "tutorials/*" in navigation and {x for x in notebooks if f"](tutorials/{x}.py)" not in start} == set()


def test_the_cache_of_notebooks_has_its_tables_before_processes_share_it(extension, tmp_path):
    path = tmp_path / "cache"
    site = SimpleNamespace(mystnb_config=SimpleNamespace(execution_cache_path=str(path)))
    extension("notebooks").open_cache(None, site, [])
    with sqlite3.connect(path / "global.db") as database:
        assert ("settings",) in database.execute("select name from sqlite_master").fetchall()

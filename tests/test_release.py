"""Release: what a package says of itself agrees with what it is; `make wheel` builds it and tries it."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

import lgn

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PYTHONS = ("3.11", "3.12", "3.13")


def normal(name):
    """A name of a package as indices compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def test_the_version_stands_in_one_place_and_the_changelog_begins_with_it():
    assert "version" in PROJECT["dynamic"] and "version" not in PROJECT
    base = re.match(r"\d+\.\d+\.\d+", lgn.__version__)[0]
    assert re.search(r"^## (\S+)", (ROOT / "docs" / "CHANGELOG.md").read_text(), re.MULTILINE)[1] == base


def test_pythons_are_the_same_everywhere():
    assert tuple(re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))) == PYTHONS
    assert PROJECT["requires-python"] == f">={PYTHONS[0]},<3.{int(PYTHONS[-1][2:]) + 1}"
    assert sorted(path.name for path in (ROOT / "constraints").iterdir()) == [f"python{x}.txt" for x in PYTHONS]


@pytest.mark.parametrize("python", PYTHONS)
def test_every_package_has_a_version_and_no_address(python):
    lines = (ROOT / "constraints" / f"python{python}.txt").read_text().splitlines()
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+_]+", line) for line in lines)
    extras = PROJECT["optional-dependencies"]
    wanted = {re.match(r"[\w.-]+", x)[0] for part in [PROJECT["dependencies"], *extras.values()] for x in part}
    assert {normal(x) for x in wanted} - {"lgn"} <= {normal(line.partition("=")[0]) for line in lines}


def test_the_citation_has_what_its_format_asks_for():
    """https://github.com/citation-file-format/citation-file-format/blob/1.2.0/schema-guide.md"""
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["cff-version"] == "1.2.0" and citation["type"] == "software"
    assert citation["license"] == PROJECT["license"]
    names = {"name", "family-names", "given-names"}
    for work in (citation, *citation["references"]):
        assert work["title"] and work["authors"] and all(person.keys() <= names for person in work["authors"])
    assert citation["message"] and {work["type"] for work in citation["references"]} == {"article"}
    assert PROJECT["urls"]["Paper"] in {work["url"] for work in citation["references"]}
    assert [author["name"] for author in PROJECT["authors"]] == [author["name"] for author in citation["authors"]]


def test_addresses_are_absolute_and_who_types_is_told():
    assert all(address.startswith("https://") for address in PROJECT["urls"].values())
    assert (ROOT / "lgn" / "py.typed").exists() and "Typing :: Typed" in PROJECT["classifiers"]

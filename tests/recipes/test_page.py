"""The page of the command line: the settings that it shows are read, and its tables have every key."""

import re
from dataclasses import MISSING, fields
from pathlib import Path

import pytest

from lgn import cli
from lgn.recipes import models, recipe

PAGE = (Path(__file__).parents[2] / "docs" / "command-line.md").read_text()
SHOWN = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("text", SHOWN)
def test_settings_that_are_shown_are_settings(text, tmp_path):
    (tmp_path / "shown.toml").write_text(text)
    assert recipe.read(tmp_path / "shown.toml").friction == "linear"


def table(heading):
    """First cell -> second cell, of the table whose first column has this heading."""
    lines = PAGE[PAGE.index(f"\n| {heading} |") + 1 :].split("\n\n")[0].splitlines()[2:]
    return {line.split("|")[1].strip(' `"'): line.split("|")[2].strip(" `") for line in lines}


@pytest.mark.parametrize(("heading", "kind"), [("key", recipe.Recipe), ("key of `[graph]`", recipe.Graph)])
def test_every_key_is_explained_with_its_default(heading, kind):
    explained = table(heading)
    assert set(explained) | {"graph"} == {field.name for field in fields(kind)} | {"graph"}
    for field in fields(kind):
        if field.default not in (MISSING, None, (), "") and field.name in explained:
            shown = explained[field.name].strip('"').replace("[", "(").replace("]", ")")
            assert shown == str(field.default).lower(), field.name


def test_every_density_friction_graph_and_command_is_named():
    assert set(table("density")) == set(recipe.DENSITIES) == set(models.DENSITIES)
    assert all(f'`"{name}"`' in PAGE for name in (*recipe.GRAPHS, *recipe.FRICTIONS))
    assert all(f"| `lgn {name}" in PAGE for name in cli.COMMANDS)

"""Every tutorial runs as a script, and begins with a title."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "docs" / "tutorials"
NAMES = ["conservation", "friction", "learn_a_string", "million_nodes", "your_graph", "your_mesh", "your_recording"]


def test_the_seven_tutorials_are_there():
    assert sorted(path.stem for path in FOLDER.glob("*.py")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_begins_with_a_title_and_ends_with_what_to_change(name):
    cells = re.split(r"^# %%", (FOLDER / f"{name}.py").read_text(), flags=re.MULTILINE)
    assert cells[0] == "" and cells[1].startswith(" [markdown]\n# # ")
    assert cells[-1].startswith(" [markdown]\n# ## What to change for your data\n")
    assert 'jax.config.update("jax_enable_x64", True)' in cells[2]


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_to_pages_and_tutorials(name):
    for target in re.findall(r"\]\(([^)#]+)\)", (FOLDER / f"{name}.py").read_text()):
        assert target.startswith("http") or (FOLDER / target).exists(), target


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_runs(name, tmp_path):
    """The claims of a tutorial are its own assertions."""
    environment = {**os.environ, "MPLBACKEND": "Agg"}
    subprocess.run([sys.executable, FOLDER / f"{name}.py"], check=True, cwd=tmp_path, env=environment)

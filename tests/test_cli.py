"""Command line: what it continues must be trusted by name, and wrong folders end with a reason."""

import os
import sys

import jax.numpy as jnp
import pytest

import lgn
from lgn import cli, runs

MINE = """
import jax.numpy as jnp


def density(q, v, features):
    return 0.5 * jnp.sum(v**2) - 0.5 * jnp.sum(q**2)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A run whose density is in a module of one's own, beside it."""
    (tmp_path / "mine.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    import mine

    system = lgn.Lagrangian(lgn.single_node(), mine.density)
    runs.keep_motion(tmp_path, system, lgn.rollout(system, (jnp.ones((1, 1)), jnp.zeros((1, 1))), [0.0, 1.0]))
    yield tmp_path
    sys.modules.pop("mine", None)


def test_a_run_with_a_density_of_ones_own_is_continued_once_its_module_is_named(folder, capsys):
    command = {"folder": folder, "time": 0.5, "frames": 3}
    assert "'mine:density'" in cli.rollout(cli.Rollout(**command))
    assert "nowhere" in cli.rollout(cli.Rollout(**command, trusted=("nowhere",)))
    assert cli.rollout(cli.Rollout(**command, trusted=("mine",))) is None
    assert "energy drift" in capsys.readouterr().out
    assert "'mine:density'" in cli.info(cli.Info(folder))
    assert cli.info(cli.Info(folder, trusted=("mine",))) is None


def test_programs_are_kept_in_the_users_cache_unless_the_environment_says_otherwise(tmp_path, monkeypatch):
    for name in ("JAX_COMPILATION_CACHE_DIR", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "TF_CPP_MIN_LOG_LEVEL"):
        monkeypatch.setenv(name, "")  # so that it is put back
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    cli.keep_programs()
    assert os.environ["JAX_COMPILATION_CACHE_DIR"] == str(tmp_path / "lgn")
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "mine")
    cli.keep_programs()
    assert os.environ["JAX_COMPILATION_CACHE_DIR"] == "mine"

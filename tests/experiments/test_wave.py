"""The wave experiment and the command line, end to end on a short training."""

import json

import numpy as np
import pytest

from lgn import cli


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("wave")
    arguments = ["--quick", "--nodes-large", "200", "--end", "3", "--out", str(out)]
    assert cli.run("wave", tuple(arguments)) == 0
    return out


def test_folder_is_complete(folder):
    for name in ("config.json", "metrics.json", "metrics.csv", "environment.txt", "space_time.png", "energy.png"):
        assert (folder / name).stat().st_size > 0
    assert (folder / "string.gif").read_bytes()[:3] == b"GIF"
    assert (folder / "prior-0" / "metrics.csv").read_text().startswith("phase,step,loss")


def test_metrics_tell_what_was_learned(folder):
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["acceleration_l1_sum"] < 1.0  # 96 before training; the published model has 0.434
    assert metrics["parameters"] == 5 * 24 + 24 + 24 * 24 + 24 + 24 + 1
    assert (metrics["nodes_train"], metrics["nodes_test"]) == (10, 100)
    assert metrics["energy_drift_learned"] < 1e-6  # what the system conserves is its own energy, trained or not
    assert metrics["large_residual_max"] < 1e-12


def test_rollout_goes_on_where_the_experiment_ended(folder, capsys):
    assert cli.rollout(folder, time=2.0, frames=5) == 0
    assert "energy drift" in capsys.readouterr().out
    with np.load(folder / "state.npz") as before, np.load(folder / "rollout" / "trajectory.npz") as after:
        np.testing.assert_array_equal(after["q"][0], before["q"])
        np.testing.assert_allclose(after["t"], np.linspace(3, 5, 5))


def test_info_tells_versions_and_solver(folder, capsys):
    assert cli.info(folder) == 0
    said = capsys.readouterr().out
    assert "jax " in said and "solver=Banded()" in said and "parameters 769" in said

"""Short runs of the experiments: they finish and leave what they promise."""

import importlib
import json
from pathlib import Path

import pytest

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
METRICS = {
    "membrane": {"eigenfrequency_rel_max", "energy_drift_true"},
    "mesh": {"eigenfrequency_rel_max", "energy_drift_true"},
    "custom_graph": {"acceleration_rel_rms", "energy_drift_true"},
    "double_pendulum": {"acceleration_l1_sum", "energy_error_final_mean", "energy_error_max", "train_seconds"},
    "damped_pendulum": {
        "vector_field_mse",
        "friction_rel_error",
        "double_vector_field_mse",
        "double_friction_rel_error",
    },
    "relativistic": {"weighted_l1", "weighted_l1_physical", "train_seconds", "parameters"},
    "families": {"double_pendulum_lnn_acceleration_l1_sum", "relativistic_lnn_weighted_error", "claims"},
    "positions": {"acceleration_rel_rms", "ring_acceleration_rel_rms"},
}
STILL = {"relativistic", "families"}  # nothing of it moves in space


@pytest.mark.slow
@pytest.mark.parametrize("name", METRICS)
def test_quick_run_leaves_its_folder(name, tmp_path, monkeypatch):
    pytest.importorskip("skfem")
    monkeypatch.syspath_prepend(EXPERIMENTS)
    module = importlib.import_module(name)
    metrics = module.main(module.Config(out=tmp_path / "run", quick=True))
    assert METRICS[name] <= set(metrics) and metrics == json.loads((tmp_path / "run" / "metrics.json").read_text())
    left = {path.name for path in (tmp_path / "run").iterdir()}
    assert {"config.json", "environment.txt", "metrics.csv", "energy.png", "system", "state.npz"} <= left
    assert name in STILL or any(path.endswith(".gif") for path in left)

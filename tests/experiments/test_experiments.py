"""Experiments: each is found by its file, and a quick run leaves its figures, its folder and a motion that goes on."""

import json
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import jax
import pytest

from lgn import cli, protocol
from lgn.harness import catalogue

ROOT = Path(__file__).parents[2]
NAMES = sorted(path.stem for path in (ROOT / "experiments").glob("*.py"))
# Upper bounds of quick runs, five to ten times what they reach.
BOUNDS = {
    "wave": {"acceleration_l1_sum": 2.0, "rollout_rel_l2": 0.5, "energy_drift_true": 3e-3, "residual_max": 1e-12},
    "double_pendulum": {"acceleration_rel_rms": 0.8, "energy_error_max": 5.0, "energy_drift_learned": 1e-7},
    "relativistic": {"weighted_l1": 1e-2, "weighted_l1_physical": 2e-2},
    "damped_pendulum": {
        "vector_field_mse": 4e-3, "friction_rel_error": 1e-2, "double_vector_field_mse": 90.0,
        "double_friction_rel_error": 0.9,
    },
    "two_body": {
        "energy_mse": 1e-8, "three_body_energy_mse": 1e-4, "long_energy_drift": 1e-13, "long_momentum_drift": 1e-13,
    },
    "mass_spring": {"energy_mse": 3e-3, "energy_mse_denoised": 1e-4, "shooting_energy_mse": 2e-3},
    "pendulum": {"energy_mse": 0.2, "energy_mse_denoised": 3e-2, "true_energy_mse_denoised": 1e-4},
    "damped_spring": {"test_mse": 3e-4, "right_test_mse": 3e-4, "right_friction_rel_error": 1e-2},
    "families": {
        "double_pendulum_lnn_acceleration_rel_rms": 0.9, "double_pendulum_delan_own_energy_drift": 1e-6,
        "relativistic_hnn_momentum_weighted_error": 0.6, "relativistic_lnn_own_energy_drift": 1e-6,
    },
    "positions": {"acceleration_rel_rms": 0.8, "ring_acceleration_rel_rms": 0.2, "energy_distance": 5.0},
    "membrane": {"eigenfrequency_rel_max": 0.1, "energy_drift_true": 0.15, "rollout_rel_l2": 0.3},
    "mesh": {"eigenfrequency_rel_max": 0.03, "energy_drift_true": 0.03, "acceleration_rel_rms_spacing_0.15": 5e-3},
    "custom_graph": {"acceleration_rel_rms": 0.6, "energy_drift_learned": 1e-8},
    "guidance": {"optimiser_double_pendulum_error": 1.5, "optimiser_wave_error": 0.9},
    "conservation": {"double_pendulum_drift": 1e-10, "ring_drift": 1e-10},
    "scaling": {
        "implicit_kdv_bytes_per_node": 5000.0, "jit_eager_difference": 1e-11, "flop_floor_ratio_10000": 50.0,
        "over_floor_ring": 50.0, "other_graph_seconds": 60.0,
    },
    "pixel_pendulum": {
        "energy_mse": 6e-4, "amplitude_kept": 0.08, "lagrangian_energy_mse": 6e-4, "lagrangian_amplitude_kept": 0.08,
    },
    "scaling2d": {"iterations": 60, "seconds_per_node": 1e-4},
    "kdv": {"derivative_mse": 4.0, "state_mse": 6e-4, "mass_drift": 1e-12, "long_energy_drift": 1e-13},
    "cahn_hilliard": {"derivative_mse": 4.0, "state_mse": 4e-8, "mass_drift": 1e-13, "energy_rises": 1},
    "cahn_hilliard_2d": {"rollout_rel_l2": 0.6, "mass_drift": 1e-13, "energy_rises": 1, "dissipative_energy_rises": 1},
}  # fmt: skip
STILL = {"relativistic", "families", "scaling", "scaling2d", "guidance"}  # nothing of them moves in space
WITHOUT_SYSTEM = {"scaling", "scaling2d", "guidance"}  # what they measure is no one system
SMALL = {"wave": {"nodes_large": 200, "end": 20.0}}


@pytest.mark.parametrize("name", NAMES)
def test_every_file_is_an_experiment(name):
    pytest.importorskip("skfem")
    module = protocol.load(name)
    assert {"out", "quick"} <= set(module.Config.__dataclass_fields__)
    assert all(isinstance(figure, protocol.Figure) for figure in module.FIGURES.values())
    assert module.__doc__ and callable(module.main)


@pytest.mark.parametrize("name", NAMES)
def test_every_experiment_has_a_headline_that_can_be_read_without_it(name):
    pytest.importorskip("skfem")
    (entry,) = [entry for entry in catalogue.entries() if entry.name == name]
    module = protocol.load(name)
    assert entry.headline == module.HEADLINE and entry.figure == module.FIGURES.get(entry.headline.metric, entry.figure)
    assert entry.sentence.endswith(".") and module.__doc__.startswith(entry.sentence)
    assert not entry.figure.missed_by(entry.headline.reached)
    pages = "".join((ROOT / "docs" / f"{page}.md").read_text() for page in ("results", "training"))
    numbers = re.findall(r"\d[\d,]*(?:\.\d+)?(?:e-?\d+)?", pages)
    assert entry.headline.reached in {float(x.replace(",", "")) for x in numbers}
    assert entry.headline.metric in module.FIGURES or name == "guidance" or f"`{entry.headline.metric}`" in pages
    assert entry.headline.picture is None or (ROOT / "docs" / "images" / entry.headline.picture).exists()


def test_a_list_of_experiments_needs_no_jax():
    code = "import sys; from lgn.harness import catalogue; catalogue.entries(); print('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"


def test_a_file_that_states_nothing_is_listed_by_its_name(toy):
    (entry,) = [entry for entry in catalogue.entries() if entry.name == "toy"]
    assert entry.headline is None and entry.figure == catalogue.Figure()


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in NAMES if name != "real_pendulum"])  # its data are made up elsewhere
def test_quick_run(name, tmp_path):
    pytest.importorskip("skfem")
    module = protocol.load(name)
    metrics = module.main(module.Config(out=tmp_path, quick=True, **SMALL.get(name, {})))
    assert metrics == json.loads((tmp_path / "metrics.json").read_text())
    for figure, bound in BOUNDS[name].items():
        assert metrics[figure] < bound, figure
    left = {path.name for path in tmp_path.iterdir()}
    assert {"config.json", "metrics.csv", "environment.txt", "report.html"} <= left and any(
        x.endswith(".png") for x in left
    )
    assert (name in STILL) != any(x.endswith(".gif") for x in left)
    if name not in WITHOUT_SYSTEM:
        assert cli.rollout(tmp_path, time=0.1, frames=3) == 0
        assert (tmp_path / "rollout" / "trajectory.npz").exists() and (tmp_path / "rollout" / "rollout.png").exists()


TOY = '''
"""A toy: a mass on a spring whose Lagrangian is known."""
from dataclasses import dataclass
from pathlib import Path

import jax.numpy as jnp
import numpy as np

import lgn
from experiments.support import models
from lgn import protocol
from lgn.systems import mass_spring

FIGURES = {"energy_drift": protocol.Figure(1e-3, 1e-6), "speed": protocol.Figure(asked=2, at_least=True)}


@dataclass(frozen=True)
class Config:
    out: Path = Path("runs/toy")
    quick: bool = False
    seeds: int = 3


def main(config):
    folder = protocol.begin(config)
    system = lgn.Lagrangian(lgn.single_node(), mass_spring.density)
    motion = lgn.rollout(system, (np.ones((1, 1)), np.zeros((1, 1))), np.linspace(0, 1, 11))
    train, examine = lambda seed: seed, lambda seed: ({"energy_drift": 1e-9 * (1 + seed), "speed": 1.0}, motion)
    rows, shown = protocol.over_seeds(range(config.seeds), train, examine)
    metrics = protocol.summary(rows)
    return protocol.finish(folder, "toy", FIGURES, metrics, rows, lambda: None, (system, shown[0][1]))
'''


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """A folder of one's own with an experiment in it; those of the project stay in reach."""
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "toy.py").write_text(textwrap.dedent(TOY))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_new_file_is_found_run_collected_and_continued(toy, capsys):
    assert {"toy", *NAMES} <= set(protocol.experiments())
    assert cli.run("toy", ("--quick", "--seeds", "2")) == 0
    metrics = json.loads((toy / "runs" / "toy" / "metrics.json").read_text())
    parts = {name: metrics.pop(name) for name in list(metrics) if name.startswith("part_")}
    assert set(parts) == {f"part_{part}_seconds{x}" for part in ("training", "motion") for x in ("", "_worst")}
    assert metrics == {
        "energy_drift": pytest.approx(1.5e-9), "energy_drift_worst": pytest.approx(2e-9), "speed": 1.0,
        "speed_worst": 1.0,
    }  # fmt: skip
    capsys.readouterr()
    assert cli.collect() == 0
    table = capsys.readouterr().out
    for cell in ("toy", "energy_drift", "0.001", "<= 1e-06", "1.5e-09 (worst 2e-09)", ">= 2"):
        assert cell in table
    assert cli.rollout(toy / "runs" / "toy", time=0.5, frames=3) == 0


def test_nothing_to_collect_is_an_error(tmp_path):
    with pytest.raises(cli.Mistake, match=r"holds no NAME/metrics\.json"):
        cli.collect(tmp_path)


def test_an_unknown_experiment_names_those_that_there_are():
    with pytest.raises(ValueError, match=r"no experiment 'wve'; there are: .*wave"):
        protocol.load("wve")


@pytest.mark.parametrize(
    ("figure", "value", "missed"),
    [
        (protocol.Figure(asked=1.0), 1.1, True),
        (protocol.Figure(asked=1.0), 1.0, False),
        (protocol.Figure(asked=1.0, at_least=True), 0.9, True),
        (protocol.Figure(asked=1.0), None, False),
        (protocol.Figure(published=1.0), 2.0, False),
        (protocol.Figure(asked=1.0), float("nan"), True),
    ],
)
def test_what_misses_is_known(figure, value, missed):
    assert figure.missed_by(value) == missed


def test_a_process_of_its_own_starts_without_the_options_of_this_one():
    assert jax.config.jax_enable_x64
    assert protocol.in_own_process(precision) == "float32"


def precision() -> str:
    return str(jax.numpy.zeros(1).dtype)

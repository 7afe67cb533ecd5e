"""The experiment on a measured pendulum, on made-up data of the same format and, where they are, on the real ones."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from lgn import protocol
from lgn.systems import real_pendulum

ROOT = Path(__file__).parents[2]
MEASURED = ROOT.parent / "shared" / "data" / "schmidt_lipson"
SCALE, VISCOUS = 1.05, 0.012


@pytest.fixture(scope="module")
def experiment():
    return protocol.load("real_pendulum")


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory):
    """q'' = -1.3 sin q - 0.012 q', tracked with noise, a velocity that reads too little, and two gaps."""

    def rate(t, state):
        return state[1], -1.3 * np.sin(state[0]) - VISCOUS * state[1]

    t = 5 + np.arange(400) / 6
    found = solve_ivp(rate, (t[0], t[-1]), [1.2, 0.9], t_eval=t, rtol=1e-10, atol=1e-10)
    rows = np.stack([0 * t, t, found.y[0], rate(t, found.y)[1] / SCALE, found.y[1] / SCALE], 1)
    rows[:, 2:] += np.random.default_rng(0).normal(scale=5e-3, size=(len(t), 3))
    rows = np.delete(rows, [40, 120, 121], axis=0)
    folder = tmp_path_factory.mktemp("data")
    np.savetxt(folder / "real_pend_a_1.txt", rows, header="o a w^", comments="% ", newline="\r\n")
    return folder


def test_learns_motion_scale_and_friction_of_synthetic_data(experiment, synthetic, tmp_path):
    metrics = experiment.main(experiment.Config(data=synthetic, out=tmp_path / "run", quick=True))
    assert metrics == json.loads((tmp_path / "run" / "metrics.json").read_text())
    left = {path.name for path in (tmp_path / "run").iterdir()}
    expected = {"config.json", "environment.txt", "metrics.csv", "energy.png", "pendulum.gif", "system", "state.npz"}
    assert expected <= left
    assert metrics["gaps"] == 2 and metrics["rows_train"] == 317 and metrics["rows_test"] == 80
    assert metrics["velocity_scale"] == pytest.approx(SCALE, rel=0.01)
    drag = metrics["friction_viscous"] * 0.8 + metrics["friction_dry"]  # the two are alike at the speeds of the motion
    assert drag == pytest.approx(VISCOUS * 0.8, rel=0.15)
    assert metrics["angle_mse"] < 1e-3 and metrics["energy_mse"] < 1e-3
    # What is left is noise, and the dq/dt that the velocity does not show.
    shift = np.mean(((SCALE - 1) * real_pendulum.read(synthetic).v[317:]) ** 2)
    assert metrics["velocity_mse"] == pytest.approx(shift, rel=0.2)
    assert metrics["acceleration_mse"] < 4 * 5e-3**2


@pytest.mark.slow
def test_learns_the_measured_motion(experiment, tmp_path):
    if not MEASURED.is_dir():
        pytest.skip("no measured motion in ../shared/data/schmidt_lipson, which the project does not ship")
    metrics = experiment.main(experiment.Config(data=MEASURED, out=tmp_path / "run", quick=True))
    assert (metrics["rows_train"], metrics["rows_test"], metrics["gaps"]) == (444, 112, 10)
    assert metrics["energy_mse"] < 1.4e-2  # the published HNN, after a longer training
    assert metrics["derivative_mse"] < 2.19e-3
    assert metrics["friction_viscous"] > 0 and metrics["friction_dry"] > 0


def test_rows_of_a_gap_belong_to_no_piece(synthetic):
    rows = real_pendulum.read(synthetic)
    pieces, accelerated = real_pendulum.training_data(rows, 1.0, 30)
    assert len(accelerated.q) == len(rows.t)
    t = np.asarray(pieces.t)[:, None] + np.arange(30) / 6
    assert np.abs(t[..., None] - (5 + np.array([40, 120, 121]) / 6)).min() > 0.1
    np.testing.assert_allclose(np.asarray(pieces.q)[:, -1, 0, 0], np.interp(t[:, -1], rows.t, rows.q))


@pytest.mark.parametrize(
    "content", [None, "% o v\n1 2 3 4\n2 3 4 5\n", "% o a w\n0 2 0 0 0\n0 1 0 0 0\n", "no numbers\n"]
)
def test_data_that_are_not_there_or_not_such_are_told_how_to_get(experiment, tmp_path, content):
    if content is not None:
        (tmp_path / "real_pend_a_1.txt").write_text(content)
    with pytest.raises(SystemExit, match=r"(?s)--data .*real_pend_a_1.txt from the supplement.*trial, t, angle"):
        experiment.main(experiment.Config(data=tmp_path, out=tmp_path / "run"))


def test_the_library_raises_what_the_experiment_tells(tmp_path):
    with pytest.raises(FileNotFoundError, match="no measured motion there; give --data FOLDER"):
        real_pendulum.read(tmp_path)
    (tmp_path / real_pendulum.FILE).write_text("0 1 2\n")
    with pytest.raises(ValueError, match="3 columns"):
        real_pendulum.read(tmp_path)


def test_without_data_nothing_is_written(experiment, tmp_path):
    with pytest.raises(SystemExit, match="give --data FOLDER"):
        experiment.main(experiment.Config(out=tmp_path / "run"))
    assert not (tmp_path / "run").exists()

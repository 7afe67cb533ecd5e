"""From the recording of a damped pendulum to its forecast by the command line alone; the truth is scipy's."""

import json
import time

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import lgn
from lgn import cli

FRICTION, GRAVITY = 0.2, 9.81  # per second; of a rod of one metre
TIMES = np.arange(1201) / 60
KNOWN = round(0.8 * len(TIMES))
SETTINGS = (
    'file = "pendulum.csv"\npositions = ["angle"]\nangles = ["angle"]\nfriction = "linear"\nwindows = [64, 256]\n'
)


def angles(t):
    """Of the pendulum that was let go at two radians."""
    rate = lambda t, y: (y[1], -GRAVITY * np.sin(y[0]) - FRICTION * y[1])  # noqa: E731
    return solve_ivp(rate, (0, t[-1]), (2.0, 0.0), t_eval=t, rtol=1e-10, atol=1e-12).y[0]


def record(path, seed):
    """Noise of a hundredth of the largest swing; of a twentieth of all frames, half have no row and half no angle."""
    rng = np.random.default_rng(seed)
    true = angles(TIMES)
    seen, rows = rng.random(len(TIMES)) > 0.05, ["t [s],angle [rad]"]
    for i, angle in enumerate(true + 0.01 * np.abs(true).max() * rng.normal(size=len(TIMES))):
        if seen[i] or i % 2:
            rows.append(f"{TIMES[i]:.3f},{f'{angle:.4f}' if seen[i] else ''}")
    path.write_text("\n".join(rows) + "\n")


def command(*arguments):
    with pytest.raises(SystemExit) as ended:
        cli.main([str(x) for x in arguments])
    assert ended.value.code == 0


def error(found, begin):
    """Relative, of the forecast from a row on."""
    true = angles(TIMES)[begin:]
    return np.linalg.norm(found[-len(true) :] - true) / np.linalg.norm(true)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "pendulum.toml").write_text(SETTINGS)
    return tmp_path


def test_a_recording_becomes_a_forecast_that_goes_on(folder, capsys):
    """A short training: bounds are those of a quick look."""
    record(folder / "pendulum.csv", 0)
    (folder / "pendulum.toml").write_text(SETTINGS + "steps = 60\n")
    command("fit", folder / "pendulum.toml")
    said, run = capsys.readouterr().out, folder / "runs" / "pendulum"
    assert "20% held out" in said and "friction 0." in said and f"lgn rollout {run}" in said
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["friction_angle"] == pytest.approx(FRICTION, rel=0.1) and metrics["held_out_error"] < 0.5
    forecast = lgn.read(run / "forecast.csv")
    assert forecast.names == ("angle",) and forecast.units["angle"] == "rad"
    np.testing.assert_allclose(forecast.t, TIMES[KNOWN:], atol=1e-3)
    assert {"settings.toml", "config.json", "environment.txt", "forecast.png", "metrics.csv", "report.html"} <= {
        path.name for path in run.iterdir()
    }
    command("info", run)
    command("report", run)
    command("rollout", run, "--time", 2, "--frames", 61)
    with np.load(run / "rollout" / "trajectory.npz") as after:
        np.testing.assert_allclose(after["t"][[0, -1]], [20, 22], atol=1e-3)
        np.testing.assert_allclose(after["q"][0, 0, 0], forecast.q[-1, 0, 0], rtol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10, 15))
def test_friction_and_forecast_are_within_three_per_cent_of_the_truth(seed, folder):
    """Over seeds of noise and gaps that nothing was chosen by; from the recording to the continued motion."""
    record(folder / "pendulum.csv", seed)
    begun = time.perf_counter()
    command("fit", folder / "pendulum.toml")
    command("rollout", folder / "runs" / "pendulum", "--time", 2)
    taken = time.perf_counter() - begun
    found = json.loads((folder / "runs" / "pendulum" / "metrics.json").read_text())["friction_angle"]
    off = error(lgn.read(folder / "runs" / "pendulum" / "forecast.csv").q[:, 0, 0], KNOWN)
    print(
        f"noise seed {seed}: friction off by {found / FRICTION - 1:+.2%}, held-out forecast by {off:.2%}, {taken:.0f} s"
    )
    assert found == pytest.approx(FRICTION, rel=0.03)
    assert off < 0.03
    assert taken < 180


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (SETTINGS.replace('"angle"', '"angel"'), ", did you mean 'angle'? There is t, angle"),
        (SETTINGS + 'fricton = "dry"', "unknown key 'fricton'; did you mean 'friction'?"),
        (SETTINGS.replace("pendulum.csv", "pendulum.h6"), "known endings"),
    ],
)
def test_a_mistake_ends_with_what_to_do(folder, capsys, text, words):
    record(folder / "pendulum.csv", 0)
    (folder / "pendulum.toml").write_text(text)
    with pytest.raises(SystemExit) as ended:
        cli.main(["fit", str(folder / "pendulum.toml")])
    assert ended.value.code == 2 and words in capsys.readouterr().err

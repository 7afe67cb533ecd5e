"""Recordings and settings that no model is learned from: `lgn fit` ends with a fix and status 2, before training."""

import numpy as np
import pytest

import lgn
from lgn import cli
from lgn.recipes import forecast, loading, recipe
from lgn.recipes.forecast import Forecast
from lgn.recipes.loading import even

T = np.arange(60) / 10
FEW = "width = [2]\nwindows = [8]\nsteps = 1\n"
ONE, TWO = 'positions = ["x"]\n' + FEW, 'positions = ["x", "y"]\n' + FEW
GRAPH = '[graph]\nkind = "chain"\n'


def table(**columns):
    rows = zip(*columns.values(), strict=True)
    return "\n".join([",".join(columns), *(",".join(map(str, row)) for row in rows)]) + "\n"


SWING = table(t=T, x=np.cos(T), y=np.sin(T), z=np.cos(T))


@pytest.fixture
def fit(tmp_path, monkeypatch, capsys):
    """(text of the recording, of the settings) -> exit status, and what was said."""
    monkeypatch.chdir(tmp_path)

    def run(recording, settings):
        (tmp_path / "a.csv").write_text(recording)
        (tmp_path / "a.toml").write_text('file = "a.csv"\n' + settings)
        with pytest.raises(SystemExit) as ended:
            cli.main(["fit", "a.toml"])
        return ended.value.code, capsys.readouterr().err

    return run


@pytest.mark.parametrize(
    ("recording", "settings", "words"),
    [
        ("t,x\n0,1\n", ONE, "no trial has 2 rows"),
        (table(t=[*T, 1e9], x=[*np.cos(T), 0]), ONE, "a gap from t = 5.9 to 1e+09"),
        (table(t=T, x=1 + 0 * T), ONE, "x: does not change in the rows to learn from"),
        (table(t=T, x=np.cos(T), y=1 + 0 * T), TWO, "y: does not change"),
        (SWING, 'positions = ["x", "x"]\n' + FEW + GRAPH, "positions: 'x' stands there twice"),
        (SWING, ONE + 'velocities = ["x"]\n', "velocities: 'x' stands there twice"),
        (SWING, 'positions = ["x", "z"]\n' + FEW + GRAPH, "no two nodes that an edge joins were seen at one time"),
        (table(t=T, x=np.cos(T), v=0 * T), ONE + 'velocities = ["v"]', "leave velocities = [...] out"),
        (table(t=T, x=[""] * 60), ONE, "nothing was seen in any row"),
        (SWING, TWO + GRAPH + "clamped = [0, 0]", "graph: clamped=[0, 0]; give each node once"),
        (SWING, ONE + 'density = "continuum"', "density='continuum' needs positions; give a mesh or a lattice"),
        (SWING, ONE + 'density = "site_and_edge"', "density='site_and_edge' needs a graph with edges"),
        (SWING, TWO + 'out = "a.csv"', "cannot be the folder of the run"),
        (SWING, TWO + 'out = "a.csv/b"', "cannot be the folder of the run"),
    ],
)  # fmt: skip
def test_a_mistake_ends_before_any_training(recording, settings, words, fit, monkeypatch):
    monkeypatch.setattr("lgn.recipes.learning.fit", lambda *_, **__: pytest.fail("was trained"))
    status, said = fit(recording, settings)
    assert status == 2 and words in said


def test_edges_that_are_none(fit, tmp_path):
    (tmp_path / "edges.csv").write_text("from,to\n")
    status, said = fit(SWING, TWO + '[graph]\nkind = "edges"\nfile = "edges.csv"')
    assert status == 2 and "has no rows; give two node numbers a row" in said


def test_a_velocity_has_a_unit_of_its_own(tmp_path):
    """Angles in degrees beside rates in rad/s, as a gyroscope writes them."""
    recording = table(**{"t": T, "x [deg]": 90 * np.cos(T), "w [rad/s]": -np.pi / 2 * np.sin(T)})
    rows = load(tmp_path, recording, f'velocities = ["w"]\nangles = ["x"]\n{ONE}').rows
    np.testing.assert_allclose(rows.q[:, 0, 0], np.pi / 2 * np.cos(T))
    np.testing.assert_allclose(rows.v[:, 0, 0], -np.pi / 2 * np.sin(T))


def test_a_forecast_keeps_the_numbers_of_the_trials(tmp_path):
    """Trial 7 stands before trial 3: the picture shows one of them, measured and forecast."""
    loaded = load(tmp_path, table(trial=[7] * 60 + [3] * 60, t=[*T, *T], x=[*np.cos(T), *np.sin(T)]), ONE)
    parts = [part[47:] for part in loaded.rows.trials()]
    motions = [Motion(loaded.rows.t[part], loaded.rows.q[part]) for part in parts]
    motion = forecast.predicted(loaded, Forecast(motions, [part[1:] for part in parts]))
    for number in (3, 7):
        measured, ahead = (x.q[x.trial == number][-12:] for x in (loaded.recording, motion))
        np.testing.assert_array_equal(measured, ahead)
    measured, ahead = forecast.last_trial(loaded.recording, motion)
    np.testing.assert_array_equal(loaded.recording.q[measured][-12:], motion.q[ahead])


class Motion:
    """As much of a trajectory as a forecast is made of."""

    def __init__(self, t, q):
        self.t, self.q, self.state = t, q, (q, 0 * q)


def load(tmp_path, recording, settings):
    (tmp_path / "a.csv").write_text(recording)
    (tmp_path / "a.toml").write_text('file = "a.csv"\n' + settings)
    return loading.load(recipe.read(tmp_path / "a.toml"), tmp_path)


@pytest.mark.parametrize("name", ["ring.h5", "ring.nc"])
def test_fields_are_of_all_nodes(tmp_path, name):
    q = np.cos(T)[:, None, None] * np.array([1.0, 2.0, 3.0])[:, None]
    lgn.write(tmp_path / name, lgn.Recording(T, q))
    ring = 'angles = ["q"]\n' + FEW + '[graph]\nkind = "ring"\n'
    (tmp_path / "a.toml").write_text(f'file = "{name}"\npositions = ["q"]\n{ring}')
    np.testing.assert_array_equal(loading.load(recipe.read(tmp_path / "a.toml"), tmp_path).rows.q, q)
    lgn.write(tmp_path / name, lgn.Recording(T, np.stack([q, q], -1)[..., 0, :]))
    with pytest.raises(ValueError, match=r"no field|no variable|have 2 components a node; give fields of one"):
        loading.load(recipe.read(tmp_path / "a.toml"), tmp_path)


def test_rows_in_which_nothing_was_seen_are_no_rows(tmp_path):
    """Every other row is empty, the end, and a whole trial: the step is that of what was seen, and so is the end."""
    x = [str(value) if i % 2 == 0 and i < 40 else "" for i, value in enumerate(np.cos(T))]
    rows = load(tmp_path, table(trial=[1] * 60 + [2] * 60, t=[*T, *T], x=[*x, *[""] * 60]), ONE).rows
    assert rows.dt == pytest.approx(0.2) and rows.seen.all() and set(rows.trial) == {1}
    np.testing.assert_allclose(rows.t, T[:40:2], atol=1e-12)


def test_a_row_at_least_is_held_out(tmp_path):
    loaded = load(tmp_path, SWING, ONE + "held_out = 0.001")
    assert np.flatnonzero(~loaded.known).tolist() == [59]


def test_a_gap_is_no_reason_to_give_up():
    rows = even(np.array([0.0, 1, 2, 50, 51]), np.zeros((5, 1, 1)))
    assert len(rows.t) == 52 and rows.seen.sum() == 5

"""Recipes: a file of settings is read whole or not at all, and says what is wrong with it."""

import numpy as np
import pytest

import lgn
from lgn.recipes import loading, models, recipe
from lgn.recipes.loading import even
from lgn.recipes.recipe import Graph, Recipe

LEAST = 'file = "swing.csv"\npositions = ["angle"]\n'
SWING = "t [s],angle [deg],other\n" + "".join(f"{i / 10:.1f},{90 * np.cos(i / 3):.3f},{i}\n" for i in range(60))


@pytest.fixture
def written(tmp_path):
    """text -> path of the settings, beside a recording."""
    (tmp_path / "swing.csv").write_text(SWING)

    def write(text):
        (tmp_path / "swing.toml").write_text(text)
        return tmp_path / "swing.toml"

    return write


def test_the_least_that_is_needed(written):
    found = recipe.read(written(LEAST))
    assert found == Recipe(file="swing.csv", positions=("angle",)) and found.grid == [["angle"]]


def test_every_key(written):
    found = recipe.read(
        written(
            'file = "a.csv"\npositions = [["x", "y"], ["z", "w"]]\nvelocities = ["vx", "vy"]\ntime = "time"\n'
            'trial = "run"\nunits = { time = "ms" }\nangles = ["y"]\ndensity = "structured"\nfriction = "dry"\n'
            'width = [4]\nwindows = [16]\nsteps = 3\nseeds = 2\nheld_out = 0.5\nout = "there"\n'
            '[graph]\nkind = "chain"\nclamped = [0, 3]\n'
        )
    )
    assert found.grid == [["x", "y"], ["z", "w"]] and found.graph == Graph("chain", clamped=(0, 3))
    assert found.held_out == 0.5 and found.units == {"time": "ms"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "file is missing; it has no default"),
        ('file = "x"', "positions is missing"),
        ("file = ", "is no file of settings"),
        (LEAST + 'dnesity = "mlp"', "unknown key 'dnesity'; did you mean 'density'? There are: file, positions"),
        (LEAST + "[graph]\nkindd = 'ring'", "unknown key 'graph.kindd'; did you mean 'kind'?"),
        (LEAST + 'density = "potentail"', "density='potentail' is not known; did you mean 'potential'? There are:"),
        (LEAST + 'friction = "wet"', "friction='wet' is not known. There are: none, linear"),
        (LEAST + "[graph]\nkind = 'rings'", "graph: kind='rings' is not known; did you mean 'ring'?"),
        (LEAST + "steps = 2.5", "steps=2.5; expected a whole number"),
        (LEAST + "steps = true", "steps=True; expected a whole number"),
        (LEAST + "steps = 0", "steps=0; give a whole number, at least 1"),
        (LEAST + "windows = 32", "windows=32; expected a list, each a whole number: write [...]"),
        (LEAST + "windows = [32, 'x']", "windows[1]='x'; expected a whole number"),
        (LEAST + "windows = [4]", "windows[0]=4; give a whole number, at least 8"),
        (LEAST + "windows = [64, 32]", "give lengths that grow"),
        (LEAST + "width = []", "width is empty"),
        (LEAST + "held_out = 1", "held_out=1; give a share above 0 and up to 0.5"),
        (LEAST + "graph = 'ring'", "graph='ring'; expected a table: write [graph] and its keys below"),
        (LEAST + "units = { t = 1 }", "expected a table of texts"),
        (LEAST + "angles = ['angel']", "angles: 'angel' is none of positions; did you mean 'angle'?"),
        (LEAST + "[graph]\nkind = 'lattice'", "a lattice, and it alone, has one"),
        (LEAST + "[graph]\nkind = 'mesh'", "edges and meshes, and they alone, have one"),
    ],
)  # fmt: skip
def test_wrong_settings(written, text, words):
    with pytest.raises(ValueError) as refused:
        recipe.read(written(text))
    assert words in str(refused.value) and "swing.toml" in str(refused.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('file = "swing.csv"\npositions = ["angel"]', ", did you mean 'angle'? There is t, angle"),
        ('file = "none.csv"\npositions = ["angle"]', "none.csv does not exist"),
        ('file = "swing.toml"\npositions = ["angle"]', "ends with '.toml'; known endings"),
        (LEAST + 'units = { angle = "rad" }', "gives 'angle' in 'deg', and units= says 'rad'"),
        (LEAST + "windows = [64]", "a trial has 48 rows to learn from"),
        (LEAST + "[graph]\nkind = 'lattice'\nshape = [2, 2]", "lattice has 4 nodes; positions have 1, and 0 are"),
        (LEAST + "[graph]\nkind = 'chain'\nclamped = [7]", "holds 7"),
        (LEAST + "[graph]\nkind = 'edges'\nfile = 'none.csv'", "is no file of edges"),
        (LEAST + "[graph]\nkind = 'edges'\nfile = 'swing.csv'", "is no file of edges"),
    ],
)  # fmt: skip
def test_settings_that_do_not_fit_their_files(written, text, words):
    path = written(text)
    with pytest.raises((ValueError, OSError)) as refused:
        loading.load(recipe.read(path), path.parent)
    assert words in str(refused.value)


def test_angles_in_degrees_are_learned_in_radians(written):
    path = written(LEAST + 'angles = ["angle"]')
    loaded = loading.load(recipe.read(path), path.parent)
    np.testing.assert_allclose(loaded.rows.q[:, 0, 0], np.pi / 2 * np.cos(np.arange(60) / 3), atol=1e-4)
    assert loaded.known.sum() == 48 and not loaded.known[48:].any()


def test_clamped_nodes_rest_where_no_column_is(written):
    path = written('file = "swing.csv"\npositions = ["angle", "other"]\n[graph]\nkind = "chain"\nclamped = [0, 3]')
    rows = loading.load(recipe.read(path), path.parent).rows
    assert rows.q.shape == (60, 4, 1) and not rows.q[:, [0, 3]].any() and rows.seen.all()
    np.testing.assert_array_equal(rows.q[:, 2, 0], np.arange(60))


def test_edges_from_a_file(tmp_path):
    (tmp_path / "edges.csv").write_text("from,to\n0,1\n1,2\n2,1\n")
    graph = models.graph_of(Graph("edges", file="edges.csv"), 3, tmp_path)
    assert set(zip(graph.senders.tolist(), graph.receivers.tolist(), strict=True)) == {(0, 1), (1, 0), (1, 2), (2, 1)}
    assert graph.senders.size == 4


def test_rows_that_are_missing_are_times_at_which_nothing_was_seen():
    """Times of a camera of 30 frames a second, rounded to a millisecond, over 1000 frames, a fifth of them lost."""
    kept = np.random.default_rng(0).random(1000) < 0.8
    kept[[0, -1]] = True
    t = np.round(np.arange(1000) / 30, 3)
    rows = even(t[kept], np.arange(1000.0)[kept, None, None])
    assert rows.dt == pytest.approx(1 / 30, rel=1e-5)
    np.testing.assert_array_equal(rows.seen[:, 0], kept)
    np.testing.assert_allclose(rows.t, np.arange(1000) / 30, atol=1e-3)
    np.testing.assert_array_equal(rows.q[kept, 0, 0], np.flatnonzero(kept))


def test_each_trial_has_its_own_start():
    rows = even([0, 1, 3, 10, 11], np.zeros((5, 1, 1)), trial=["b", "b", "b", "a", "a"])
    assert rows.t.tolist() == [10, 11, 0, 1, 2, 3] and rows.trial.tolist() == ["a", "a", "b", "b", "b", "b"]


def test_uneven_times_are_refused():
    with pytest.raises(ValueError, match=r"times are not even: t = 2\.4 is 0\.32 steps of 1 off"):
        even([0.0, 1.0, 2.4, 3.0, 4.0], np.zeros((5, 1, 1)))


@pytest.mark.parametrize(
    ("density", "friction"), [*((density, "dry") for density in recipe.DENSITIES), ("potential", "none")]
)
def test_every_density_and_friction_makes_a_system_that_moves(density, friction):
    graph = lgn.lattice((4,), periodic=False)
    q = np.random.default_rng(0).normal(size=(1, 8, 4, 1))
    settings = Recipe("x", tuple("abcd"), density=density, friction=friction, graph=Graph("chain"))
    system = models.system_of(settings, graph, lgn.Windows(q, np.array([0.1])), 0)
    assert np.isfinite(system.acceleration(q[0, 0], q[0, 1])).all()
    assert (float(system.power(q[0, 0], q[0, 1])) < 0) == (friction == "dry")

"""What is accepted: data in other forms, forces by the names of their arguments, densities that only jax can read."""

import subprocess
import sys
import warnings
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import lgn
from lgn.systems import wave

RING = lgn.lattice((5,))
ONE = lgn.single_node()
START = [[1.0]], [[0.0]]


class Table:
    """Data of another library: no array, but it turns into one. A frame of pandas, a tensor of torch on the CPU."""

    def __init__(self, values):
        self.values = np.asarray(values)
        self.shape, self.ndim, self.dtype = self.values.shape, self.values.ndim, "float64"

    def __len__(self):
        return len(self.values)

    def __array__(self, dtype=None, copy=None):
        return self.values


def oscillator(q, v, features):
    return 0.5 * v[0, 0] ** 2 - 0.5 * q[0, 0] ** 2


BEAD = lgn.Lagrangian(ONE, oscillator)


@pytest.mark.parametrize("form", [np.asarray, list, Table, partial(jnp.asarray, dtype=float)])
def test_states_of_a_motion_in_any_form(form):
    q, v = (form(x) for x in START)
    motion = lgn.rollout(BEAD, (q, v), [0.0, np.pi], lgn.Verlet(0.01))
    np.testing.assert_allclose(motion.q[-1], -1.0, atol=1e-4)
    assert motion.q.dtype == motion.v.dtype == float


def test_data_in_any_form_trains_alike():
    """Lists, tables and whole numbers are the same data as arrays."""
    data = wave.sample(jax.random.key(0), 6, 5)
    whole = data._replace(q=jnp.round(data.q))
    forms = [whole, whole._replace(q=whole.q.astype(int), v=data.v.tolist(), a=Table(data.a))]
    system = lgn.Lagrangian(RING, lgn.MLPDensity(3, 1, (2,), rngs=nnx.Rngs(0)))
    found = [lgn.fit(system, x, key=jax.random.PRNGKey(0), phases=[lgn.QuasiNewton(2)]) for x in forms]
    assert found[0].history == found[1].history


def test_windows_and_graphs_of_tables():
    t = 0.1 * np.arange(5)
    pieces = lgn.windows(Table(t), Table(np.cos(t)[:, None, None]), length=3)
    np.testing.assert_array_equal(pieces.q, lgn.windows(t, np.cos(t)[:, None, None], length=3).q)
    points = Table([[0.0], [1.0], [3.0]])
    graph = lgn.with_features(lgn.nearest_neighbours(points, 1), {"m": Table([1.0, 2.0, 3.0])})
    assert graph.nodes["m"].tolist() == [1.0, 2.0, 3.0]


FORCES = {
    "of the state": (lambda q, v: 1.0 + 0 * q, 1.0),
    "a default": (lambda q, v, k=3.0: k + 0 * q, 3.0),
    "the time": (lambda q, v, t: t + 0 * q, 2.0),
    "the time, with a default": (lambda q, v, time=7.0: time + 0 * q, 2.0),
    "no name for the time": (lambda q, v, _, u: u + 0 * q, 5.0),
    "the control": (lambda q, v, t, control: control + t + 0 * q, 7.0),
    "by keyword": (lambda q, v, *, k=4.0: k + 0 * q, 4.0),
    "a partial": (partial(lambda q, v, strength: strength + 0 * q, strength=6.0), 6.0),
    "a time that is bound": (partial(lambda q, v, t: t + 0 * q, t=9.0), 9.0),
}


@pytest.mark.parametrize(("force", "expected"), FORCES.values(), ids=FORCES)
def test_a_force_takes_what_its_arguments_are_called(force, expected):
    """Time is 2 and the control 5; a free unit mass accelerates as the force says."""
    L = lgn.Lagrangian(ONE, lgn.kinetic_energy, force=force, control=5.0)
    np.testing.assert_allclose(L.acceleration(*np.zeros((2, 1, 1)), 2.0), expected)


def test_densities_that_only_jax_can_read():
    """`q.at` is no method of numpy; the reads within bounds of the others give no warning of numpy's."""

    def moved(q, v, features):
        return 0.5 * jnp.sum(v[0] ** 2) - 0.5 * jnp.sum(q.at[1:].set(0.0) ** 2)

    def newton(q, v, features):
        return 0.5 * jnp.sum(v[0] ** 2) + 1 / (q[1, 0] - q[0, 0]) - np.pi * q[-1, 0] / features["mask"][1]

    q = jnp.asarray(np.random.default_rng(0).normal(size=(5, 1)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_allclose(lgn.Lagrangian(RING, moved).acceleration(q, 0 * q), -q, atol=1e-12)
        assert np.isfinite(lgn.Lagrangian(RING, newton).acceleration(q, 0 * q)).all()


def test_a_time_that_jax_traces_reaches_force_and_control():
    L = lgn.Lagrangian(ONE, lgn.kinetic_energy, force=lambda q, v, t, u: u + 0 * q, control=jnp.cos)
    found = jax.jit(lambda t: L.acceleration(*np.zeros((2, 1, 1)), t))(0.5)
    np.testing.assert_allclose(found, np.cos(0.5), rtol=1e-12)


def test_a_feature_may_be_traced_and_differ_between_samples():
    graph = lgn.with_features(ONE, graph_features={"g": 9.8})
    fall = lgn.Lagrangian(graph, lambda q, v, features: 0.5 * v[0, 0] ** 2 - features["g"] * q[0, 0])
    found = jax.jit(jax.vmap(lambda g: fall.replace(g=g).acceleration(*np.zeros((2, 1, 1)))))(np.arange(3.0))
    np.testing.assert_allclose(found[:, 0, 0], [0.0, -1.0, -2.0])


SINGLE = """
import sys
import numpy as np
import lgn

def oscillator(q, v, features): return 0.5 * v[0, 0] ** 2 - 0.5 * q[0, 0] ** 2

BEAD = lgn.Lagrangian(lgn.single_node(), oscillator)
START = np.ones((1, 1)), np.zeros((1, 1))
for kind in (np.float32, np.float64):
    for _ in range(2):
        state = tuple(x.astype(kind) for x in START)
        BEAD.acceleration(*state)
        lgn.States(*(np.ones((2, 1, 1), kind),) * 3).check()
        lgn.rollout(BEAD, state, [0.0, 0.1], lgn.Verlet(0.1))
    print(kind.__name__, file=sys.stderr)
assert not {"pandas", "torch"} & set(sys.modules)
"""


def test_single_precision_of_double_data_is_said_once():
    """With the line that turns double precision on, and not at all for data that are single. Neither pandas nor torch
    is imported to look at data."""
    said = subprocess.run([sys.executable, "-c", SINGLE], check=True, capture_output=True, text=True).stderr
    single, double = said.split("float32\n", 1)
    assert "UserWarning" not in single and double.count("UserWarning") == 1
    assert 'jax.config.update("jax_enable_x64", True)' in double

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import lgn
from lgn.mechanics.structures import Scaled

OWN = partial(lgn.node_stencil, hops=0)
SMALL = lgn.from_adjacency(np.eye(2)[::-1], node_features={"mass": np.ones(2)})
LARGE = lgn.clamp(lgn.from_adjacency(np.ones((4, 4)) - np.eye(4), node_features={"mass": np.arange(1.0, 5.0)}), [3])


def state(seed=0):
    q, v = np.random.default_rng(seed).normal(size=(2, 4, 1))
    return jnp.asarray(q), jnp.asarray(v).at[3].set(0.0)


def mass(q, v, features):
    return 0.5 * features["mass"][0] * v[0, 0] ** 2


def oil(q, v, features):
    return 0.1 * features["control"] * v[0, 0] ** 2


def rub(q, v, features):
    return 0.2 * (v[1, 0] - v[0, 0]) ** 2


def spring(seed=0):
    return lgn.PairDensity(1, (3,), features=("weight",), feature_size=1, rngs=nnx.Rngs(seed))


def through(graph, **features):
    """A stencil of the user's own."""
    return lgn.edge_stencil(graph)


def test_terms_friction_control_clamps_and_features_are_those_of_the_system_made_anew():
    learned = spring()
    terms, friction = [(mass, OWN), (learned, lambda graph: lgn.edge_stencil(graph))], [(oil, OWN), (rub, through)]
    settings = {"control": jnp.cos, "solver": lgn.Dense()}
    L = lgn.Lagrangian(SMALL, terms, dissipation=friction, force=np.ones((2, 1)), **settings)
    push = np.full((4, 1), 0.3)
    moved, anew = L.on(LARGE, force=push), lgn.Lagrangian(LARGE, terms, dissipation=friction, force=push, **settings)
    assert jax.tree.structure(moved) == jax.tree.structure(anew)
    np.testing.assert_array_equal(moved.acceleration(*state(), 0.4), anew.acceleration(*state(), 0.4))
    assert moved.solver_for(1) == lgn.Dense()
    assert L.on(LARGE, force=None, solver=None).solver_for(1) != lgn.Dense()
    assert moved.on(SMALL, force=np.ones((2, 1))).acceleration(*(x[:2] for x in state())).shape == (2, 1)


def test_parameters_are_those_that_the_system_has_now():
    L = lgn.Lagrangian(lgn.lattice((4,)), lgn.MLPDensity(3, 1, (3,), rngs=nnx.Rngs(0)))
    trained = jax.tree.map(lambda x: x + 0.1, L)
    q, v = np.random.default_rng(0).normal(size=(2, 7, 1))
    expected = lgn.Lagrangian(lgn.lattice((7,)), trained.density).acceleration(q, v)
    np.testing.assert_array_equal(trained.on(lgn.lattice((7,))).acceleration(q, v), expected)
    assert not np.allclose(L.on(lgn.lattice((7,))).acceleration(q, v), expected)


def test_a_motion_of_clamped_nodes_is_that_of_the_new_graph():
    def drive(t):
        return jnp.sin(t) * np.ones((4, 1))

    L = lgn.Lagrangian(SMALL, [(mass, OWN), (spring(), lgn.edge_stencil)])
    q, v = (x.at[3].set(start) for x, start in zip(state(), (0.0, 1.0), strict=True))
    driven = L.on(LARGE, motion=drive)
    driven.check_start(q, v)
    np.testing.assert_allclose(driven.acceleration(q, v, 1.0)[3], -np.sin(1.0), rtol=1e-12)
    assert driven.on(LARGE, motion=None).acceleration(q, v)[3] == 0


def test_an_energy_flow_keeps_its_structure_and_its_discrete_gradient():
    def wave(u, features):
        return 0.5 * (u[2, 0] - u[0, 0]) ** 2

    structure = lgn.FirstDifference() + Scaled(lgn.Laplacian(), 0.5)
    flow = lgn.EnergyFlow(lgn.lattice((5,)), wave, structure=structure, discrete=lgn.MeanValue())
    other, u = flow.on(lgn.lattice((8,), spacing=0.5)), np.random.default_rng(0).normal(size=(8, 1))
    anew = lgn.EnergyFlow(lgn.lattice((8,), spacing=0.5), wave, structure=structure)
    np.testing.assert_array_equal(other.rate((u,))[0], anew.rate((u,))[0])
    assert other.discrete == lgn.MeanValue()
    relaxing = flow.on(lgn.lattice((8,)), structure=lgn.Relaxation())
    assert relaxing.power(u) < 0


def test_a_law_goes_along():
    model = lgn.Baseline(SMALL, lambda q, v, features: (v, -features["mass"] * q))
    q, v = state()
    expected = -LARGE.nodes["mass"][:, None] * q
    np.testing.assert_allclose(model.on(LARGE).acceleration(q, v), expected.at[3].set(0.0), rtol=1e-12)


def test_a_system_that_was_saved_knows_how_lgn_makes_its_stencils(tmp_path):
    terms = [(lgn.kinetic_energy, OWN), (spring(), lgn.edge_stencil)]
    L = lgn.Lagrangian(SMALL, terms)
    lgn.save(tmp_path / "L", L)
    loaded = lgn.load(tmp_path / "L")
    np.testing.assert_array_equal(loaded.on(LARGE).acceleration(*state()), L.on(LARGE).acceleration(*state()))
    own = lgn.Lagrangian(SMALL, [(lgn.kinetic_energy, lambda graph: lgn.node_stencil(graph, hops=0))])
    lgn.save(tmp_path / "own", own)  # no name of lgn's: kept as a table
    with pytest.raises(ValueError, match="term 0 of density, kinetic_energy, is a table of the old graph"):
        lgn.load(tmp_path / "own").on(LARGE)
    assert own.on(LARGE).acceleration(*state()).shape == (4, 1)


def test_functions_of_another_name_are_of_another_structure():
    """Tables of two makers may be equal on one graph and differ on the next."""

    def of(stencil):
        return jax.tree.structure(lgn.Lagrangian(SMALL, [(lgn.kinetic_energy, stencil)]))

    near, far = (partial(lgn.node_stencil, hops=hops) for hops in (1, 2))  # the same on two nodes
    assert of(near) != of(far) and of(near) == of(partial(lgn.node_stencil, hops=1))
    assert len({of(lambda graph: lgn.node_stencil(graph)) for _ in range(2)}) == 1


def terms(**settings):
    return lgn.Lagrangian(SMALL, [(mass, lgn.node_stencil(SMALL))], **settings)


BALL = lgn.Lagrangian(SMALL, mass)
RUB = lgn.Lagrangian(SMALL, mass, dissipation=[(oil, lgn.node_stencil(SMALL))], control=1.0)
FORCED = lgn.Lagrangian(SMALL, mass, force=lambda q, v: q)
DRIVEN = lgn.Lagrangian(lgn.clamp(SMALL, [0]), mass, motion=lambda t: np.zeros((2, 1)))
BAND = lgn.Lagrangian(SMALL, [(mass, OWN), (rub, lgn.edge_stencil)], solver=lgn.BlockDiagonal())
WRONG = {
    "table": (lambda: terms().on(LARGE), "term 0 of density, mass, is a table.*lgn.node_stencil.*density="),
    "table of friction": (lambda: RUB.on(LARGE), "term 0 of dissipation, oil, is a table.*dissipation="),
    "force": (lambda: FORCED.on(LARGE), "has a force.*force=None"),
    "motion": (lambda: DRIVEN.on(LARGE), "has a motion.*motion=None"),
    "force of the old graph": (
        lambda: BALL.on(LARGE, force=np.ones((2, 1))).acceleration(*state()),
        r"force has shape \(2, 1\)",
    ),
    "motion without clamps": (lambda: BALL.on(SMALL, motion=jnp.sin), "no node is clamped"),
    "of another class": (lambda: BALL.on(LARGE, structure=lgn.Laplacian()), "Lagrangian has no argument 'structure'"),
    "solver of another pattern": (lambda: BAND.on(LARGE).acceleration(*state()), "couples nodes"),
    "features that are read": (
        lambda: BALL.on(lgn.from_adjacency(np.ones((4, 4)) - np.eye(4))).acceleration(*state()),
        "'mass'",
    ),
    "no lattice": (
        lambda: lgn.EnergyFlow(lgn.lattice((5,)), mass, structure=lgn.FirstDifference()).on(SMALL),
        "FirstDifference",
    ),
}


@pytest.mark.parametrize("call, words", WRONG.values(), ids=WRONG)
def test_what_cannot_be_carried_is_said(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_terms_that_are_given_again_need_no_function():
    L = terms(force=np.ones((2, 1)))
    again = [(term.density, lgn.node_stencil) for term in L.terms]
    assert L.on(LARGE, density=again, force=None).graph is not None
    assert L.on(LARGE, density=again, force=None).on(SMALL).terms[0].maker is lgn.node_stencil

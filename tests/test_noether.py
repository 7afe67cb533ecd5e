"""Quantities of a motion: which are constant follows from the symmetries of the density, and not from one motion."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import lgn
from lgn.analysis.noether import quantities
from lgn.systems import n_body

T = np.linspace(0, 1, 3)


def names(system, *shape, held=()):
    """What is found at states that no motion joins, for a law is one at every state."""
    count = 1 if isinstance(system, lgn.EnergyFlow) else 2
    state = tuple(jax.random.normal(jax.random.key(0), (count, 3, *shape)).at[:, :, list(held)].set(0))
    energy = jnp.stack([system.energy(*(x[i] for x in state)) for i in range(3)])
    return {x.name: x.constant for x in quantities(system, lgn.Trajectory(T, state, energy, np.zeros(3)))}


def kinetic(q, v, features):
    return 0.5 * jnp.sum(v[0] ** 2)


def spring(q, v, features):
    return -0.5 * jnp.sum((q[1] - q[0]) ** 2)


def skew(q, v, features):
    """It sees no shift, but directions."""
    return -0.5 * (q[1, 0] - q[0, 0]) ** 4 - (q[1, 1] - q[0, 1]) ** 2


def gravity(q, v, features):
    return -9.8 * q[0, 1]


def drag(q, v, features):
    return 0.1 * jnp.sum(v[0] ** 2)


PATH = lgn.from_edges(3, [0, 1, 1, 2], [1, 0, 2, 1])
FREE = [(kinetic, lgn.node_stencil), (spring, lgn.edge_stencil)]
CASES = {
    "springs": (FREE, {}, {"energy", "momentum x", "momentum y", "angular momentum"}),
    "springs with directions": (
        [(kinetic, lgn.node_stencil), (skew, lgn.edge_stencil)], {}, {"energy", "momentum x", "momentum y"},
    ),
    "falling": ([*FREE, (gravity, lgn.node_stencil)], {}, {"energy", "momentum x"}),
    "with friction": (FREE, {"dissipation": drag}, set()),
    "pushed inside": (FREE, {"force": np.array([[1.0, 0], [-1, 0], [0, 0]])}, {"momentum x", "momentum y"}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_lagrangian_keeps_what_its_symmetries_say(name):
    terms, settings, constant = CASES[name]
    system = lgn.Lagrangian(PATH, terms, **settings)
    found = names(system, 3, 2)
    assert {x for x in found if found[x]} == constant
    assert "energy" in found


def test_what_is_constant_by_law_is_constant_along_a_motion_and_what_is_not_changes():
    (terms, *_), (_, friction, _) = CASES["springs"], CASES["with friction"]
    start = tuple(np.random.default_rng(0).normal(size=(2, 3, 2)))
    for settings, number, least, most in (({}, 4, 0, 1e-6), (friction, 1, 1e-3, 1)):  # the midpoint keeps a quadratic
        system = lgn.Lagrangian(PATH, terms, **settings)
        found = quantities(system, lgn.rollout(system, start, T, lgn.ImplicitMidpoint(0.01)))
        assert len(found) == number and all(least <= x.change.max() < most for x in found), found


def test_a_clamp_takes_momentum_and_keeps_energy():
    assert set(names(lgn.Lagrangian(lgn.clamp(PATH, [0]), FREE), 3, 2)) == {"energy"}


def test_angular_momentum_about_a_clamp_at_the_origin():
    """A chain of springs that hangs on it: turning it changes nothing."""
    system = lgn.Lagrangian(lgn.clamp(PATH, [0]), FREE)
    assert set(names(system, 3, 2, held=[0])) == {"energy", "angular momentum"}


def test_what_a_motion_keeps_by_chance_is_no_law():
    """A pulse that is odd about the middle has total momentum zero all the time, though the walls take any other."""

    def string(q, v, features):
        return 0.5 * v[0, 0] ** 2 - 0.5 * (q[2, 0] - q[0, 0]) ** 2 - 0.5 * q[0, 0] ** 2

    system = lgn.Lagrangian(lgn.lattice((6,)), string)
    q = jnp.array([1.0, 2, 3, -3, -2, -1])[:, None]
    motion = lgn.rollout(system, (q, 0 * q), T, lgn.ImplicitMidpoint(0.1))
    assert np.abs(lgn.diagnostics.momentum(system, motion)).max() < 1e-12
    assert {x.name for x in quantities(system, motion)} == {"energy"}


def test_flows_keep_sums_and_momenta():
    def well(u, features):
        return 0.5 * u[0, 0] ** 2 + 0.25 * u[0, 0] ** 4

    graph = lgn.lattice((6,))
    assert names(lgn.EnergyFlow(graph, well, structure=lgn.FirstDifference()), 6, 1) == {
        "energy": True, "sum of u": True,
    }  # fmt: skip
    assert names(lgn.EnergyFlow(graph, well, structure=lgn.Laplacian()), 6, 1) == {"energy": False, "sum of u": True}
    graph = n_body.complete_graph(2)
    bodies = lgn.EnergyFlow(graph, n_body.terms(), structure=lgn.Symplectic())
    expected = dict.fromkeys(("energy", "momentum x", "momentum y", "angular momentum"), True)
    assert names(bodies, 2, 4) == expected


def test_a_law_without_energy_has_no_quantities():
    law = lgn.NeuralODE(1, hidden=(4,), rngs=nnx.Rngs(0))
    assert names(lgn.Baseline(lgn.single_node(), law), 1, 1) == {}


def test_what_is_no_motion_is_told():
    L = lgn.Lagrangian(lgn.single_node(), kinetic)
    with pytest.raises(ValueError, match=r"quantities: motion is 3; expected Trajectory"):
        quantities(L, 3)

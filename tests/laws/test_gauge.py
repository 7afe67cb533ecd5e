import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given
from hypothesis import strategies as st

import lgn
from lgn.analysis.gauge import GaugeDistance
from lgn.densities.normal_form import mean_mass

SHAPES = st.sampled_from([(2, 2), (3, 1)])
SEEDS = st.integers(0, 10**6)
SCALES = st.floats(0.1, 10) | st.floats(-10, -0.1)


def normal(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape))


def field_of(w, q, v, features):
    kinetic = jnp.sum((2 + jnp.sin(w[0] * q)) * v**2) + w[1] * jnp.sum(v) ** 2 + 0.02 * jnp.sum(v**4)
    potential = w[3] * jnp.sum(jnp.cos(q)) + w[4] * jnp.sum(q) ** 4
    return kinetic + v.ravel() @ (w[2] * jnp.roll(q.ravel(), 1) ** 2 + q[0, 0]) - potential


def moved_of(density, a, b, w, q, v, features):
    def F(q):
        x = w[:, : q.size] @ q.ravel()
        return x[0] + 0.3 * x[1] ** 2 + 0.1 * x[2] ** 4

    return a * density(q, v, features) + b + jax.jvp(F, (q,), (v,))[1]


def field(seed):
    """Coupled masses that depend on q, a vector potential of curl that is not zero, and a potential."""
    return jax.tree_util.Partial(field_of, jnp.asarray(np.random.default_rng(seed).uniform(0.2, 1.0, 5)))


def moved_by(density, a, b, seed):
    """a l + b + dF/dt with a random polynomial F of degree four."""
    return jax.tree_util.Partial(moved_of, density, jnp.asarray(a), jnp.asarray(b), normal(seed, 3, 6))


# Numbers are arguments, so that one compiled program serves all examples.
form_of = jax.jit(lgn.normal_form, static_argnames="points")
value_of = jax.jit(lambda density, q, v: density(q, v, {}))
acceleration_of = jax.jit(lambda L, q, v: L.acceleration(q, v))
radial_of = jax.jit(lambda density, q, q_0: jnp.sum((q - q_0) * jax.grad(density, argnums=1)(q, jnp.zeros_like(q), {})))
mass_of = jax.jit(mean_mass)


def oscillator(q, v, features):
    return 0.5 * v[0, 0] ** 2 - 0.5 * q[0, 0] ** 2


def oscillator_of_squared_energy(q, v, features):
    """v times the integral of dE^2/dv / v^2 over v: another Lagrangian of a = -q, of energy E^2."""
    x, u = q[0, 0], v[0, 0]
    return u**4 / 12 + x**2 * u**2 / 2 - x**4 / 4


def single(density):
    return lgn.Lagrangian(lgn.single_node(), density)


# -- Distance --------------------------------------------------------------------------------------------------------


@given(shape=SHAPES, a=SCALES, b=st.floats(-5, 5), seed=SEEDS)
def test_no_distance_between_lagrangians_of_one_gauge_class(shape, a, b, seed):
    (slots, dim), graph = shape, lgn.lattice((5,))
    stencil = lgn.edge_stencil if slots == 2 else lgn.node_stencil
    density = field(seed)
    system, reference = (lgn.Lagrangian(graph, [(d, stencil)]) for d in (moved_by(density, a, b, seed), density))
    q, v = (normal(seed + i, 3, int(graph.n_node[0]), dim) for i in range(2))
    found = lgn.gauge_distance(system, reference, q, v)
    np.testing.assert_allclose(found, GaugeDistance(a, 0, 0, 0), rtol=1e-12, atol=1e-12)


def test_distance_of_another_lagrangian_of_the_same_motion():
    """By hand: M = q^2 + v^2 = 1, 2, 3 against 1, f = -q M against -q, E^2 against E = 0.5, 1, 1.5."""
    q, v = np.ones((3, 1, 1)), jnp.sqrt(jnp.arange(3.0)).reshape(3, 1, 1)
    system, reference = single(oscillator_of_squared_energy), single(oscillator)
    for L in (system, reference):
        np.testing.assert_allclose(jax.jit(jax.vmap(L.acceleration))(q, v), -q, rtol=1e-14)
    found = lgn.gauge_distance(system, reference, q, v)
    np.testing.assert_allclose(found, (2, 6**-0.5, 6**-0.5, 48**-0.5), rtol=1e-13)


def test_distance_of_a_wrong_force():
    """By hand: a spring of 1.5 in place of 1, so E = 0.75, 2 against 0.5, 2 at q = 1, 0 and v = 0, 2."""
    wrong = lambda q, v, features: oscillator(q, v, features) - 0.25 * q[0, 0] ** 2  # noqa: E731
    q, v = jnp.asarray([1.0, 0.0]).reshape(2, 1, 1), jnp.asarray([0.0, 2.0]).reshape(2, 1, 1)
    np.testing.assert_allclose(lgn.gauge_distance(single(wrong), single(oscillator), q, v), (1, 0, 0.5, 1 / 6))


def test_dissipation_force_and_clamped_nodes_stay_out():
    graph, density = lgn.clamp(lgn.lattice((6,), periodic=False), [0, 5]), field(3)
    ends = graph._replace(nodes={**graph.nodes, "end": jnp.asarray([1.0, 0, 0, 0, 0, 1])})
    heavy = lambda q, v, features: density(q, v, features) + features["end"][0] * v[0, 0] ** 2  # noqa: E731
    friction = lambda q, v, features: 0.1 * v[0, 0] ** 2  # noqa: E731
    system = lgn.Lagrangian(ends, heavy, dissipation=friction, force=lambda q, v: jnp.sin(q))
    inner = jnp.asarray([0.0, 1, 1, 1, 1, 0])[:, None]
    q, v = normal(0, 4, 6, 1), normal(1, 4, 6, 1) * inner
    found = lgn.gauge_distance(system, lgn.Lagrangian(graph, density), q, v)
    np.testing.assert_allclose(found, (1, 0, 0, 0), atol=1e-12)


def test_distance_needs_samples():
    with pytest.raises(ValueError, match=r"q has shape \(1, 1\).*\(sample, node, dim\)"):
        lgn.gauge_distance(single(oscillator), single(oscillator), np.ones((1, 1)), np.ones((1, 1)))


# -- Normal form -----------------------------------------------------------------------------------------------------


@given(shape=SHAPES, a=SCALES, b=st.floats(-5, 5), seed=SEEDS)
def test_all_of_a_gauge_class_have_one_normal_form(shape, a, b, seed):
    q_0, v_0, q, v = (normal(seed + i, *shape) for i in range(4))
    density = field(seed)
    one, two = (form_of(d, q_0, v_0) for d in (density, moved_by(density, a, b, seed)))
    value, other, again = (value_of(d, q, v) for d in (one, two, form_of(one, q_0, v_0)))
    np.testing.assert_allclose(other, value, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(again, value, rtol=1e-9, atol=1e-9)


@given(shape=SHAPES, seed=SEEDS)
def test_what_a_normal_form_fixes(shape, seed):
    q_0, v_0, q = (normal(seed + i, *shape) for i in range(3))
    density = form_of(field(seed), q_0, v_0)
    assert abs(value_of(density, q_0, v_0)) < 1e-12
    assert abs(radial_of(density, q, q_0)) < 1e-9
    np.testing.assert_allclose(mass_of(density, q_0, v_0), 1, rtol=1e-12)


@given(case=st.sampled_from([((1, 2), 8), ((3, 1), 1)]), seed=SEEDS)
def test_a_normal_form_moves_alike_on_one_node_and_on_a_ring(case, seed):
    """With any number of points: what is subtracted is the derivative of some F, radial or not."""
    shape, points = case
    graph, density = lgn.single_node() if shape[0] == 1 else lgn.lattice((5,)), field(seed)
    q, v = (normal(seed + i, int(graph.n_node[0]), shape[1]) for i in range(2))
    form = form_of(density, normal(seed + 2, *shape), points=points)
    one, two = (acceleration_of(lgn.Lagrangian(graph, d), q, v) for d in (density, form))
    np.testing.assert_allclose(two, one, rtol=1e-9, atol=1e-9)


def test_lagrangian_of_two_terms_in_the_radial_gauge():
    """On a graph, about all nodes at one place: sum of (q - q_0) . p(q, 0) is zero, and M has mean diagonal one."""
    graph, place = lgn.lattice((6,)), jnp.asarray([0.3, -0.2])
    L = lgn.Lagrangian(graph, [(field(1), lgn.node_stencil), (field(2), lgn.edge_stencil)])
    rest = [jnp.tile(place, (term.stencil.slots, 1)) for term in L.terms]
    scale = sum(mass_of(term.density, x, 0 * x) for term, x in zip(L.terms, rest, strict=True))
    forms = [form_of(term.density, x, scale=scale) for term, x in zip(L.terms, rest, strict=True)]
    radial = lgn.Lagrangian(graph, [(d, term.stencil) for d, term in zip(forms, L.terms, strict=True)])
    q, v = normal(5, 6, 2), normal(6, 6, 2)
    away, start = q - place, jnp.tile(place, (6, 1))
    along, none = (jnp.sum(away * jax.jit(system.momentum)(q, 0 * v)) for system in (L, radial))
    assert abs(along) > 0.1 and abs(none) < 1e-10
    mass, _ = jax.jit(radial.equation)(start, 0 * v)
    np.testing.assert_allclose(mass.sparse().diagonal().mean(), 1, rtol=1e-12)
    np.testing.assert_allclose(lgn.gauge_distance(radial, L, q[None], v[None])[:3], (1 / scale, 0, 0), atol=1e-12)


def test_features_enter_the_gauge():
    """A vector potential B q and an offset that the features give are pure gauge in one dimension."""
    charged = lambda q, v, features: oscillator(q, v, {}) + features["B"] * q[0, 0] * v[0, 0] + features["B"]  # noqa: E731
    density = lgn.normal_form(charged, np.zeros((1, 1)), features={"B": jnp.asarray(2.0)})
    q, v = normal(0, 1, 1), normal(1, 1, 1)
    for B in (0.0, 3.0):
        np.testing.assert_allclose(density(q, v, {"B": jnp.asarray(B)}), oscillator(q, v, {}), rtol=1e-12)


def test_parameters_stay_those_of_the_density_within():
    """Under jit, vmap and grad; a gradient against a central difference along itself."""
    network = lgn.MLPDensity(2, 2, (6,), rngs=nnx.Rngs(0))
    density = form_of(network, np.zeros((2, 2)))
    graph, parameters, rest = nnx.split(density, nnx.Param, ...)
    assert jax.tree.structure(parameters["density"]) == jax.tree.structure(nnx.state(network, nnx.Param))
    q, v = normal(0, 7, 2, 2), normal(1, 7, 2, 2)

    @jax.jit
    def total(parameters):
        density = nnx.merge(graph, parameters, rest)
        return jnp.sum(jax.vmap(lambda q, v: density(q, v, {}))(q, v))

    gradient = jax.jit(jax.grad(total))(parameters)
    ahead, back = (total(jax.tree.map(lambda x, g, h=h: x + h * g, parameters, gradient)) for h in (1e-5, -1e-5))
    square = sum(jnp.sum(g**2) for g in jax.tree.leaves(gradient))
    np.testing.assert_allclose((ahead - back) / 2e-5, square, rtol=1e-6)
    assert value_of(density, q[0].astype("float32"), v[0].astype("float32")).dtype == "float32"


def test_more_points_come_closer_to_the_radial_gauge():
    """dl/dv = sin 3q, F = (1 - cos 3q) / 3: the rule of n points is exact to degree 2 n - 1."""
    wave = lambda q, v, features: oscillator(q, v, {}) + jnp.sin(3 * q[0, 0]) * v[0, 0]  # noqa: E731
    q, origin = np.full((1, 1), 1.5), np.zeros((1, 1))
    error = [abs(radial_of(lgn.normal_form(wave, origin, points=n), q, origin)) for n in (1, 4, 16)]
    assert error[0] > 0.1 > 1e-2 > error[1] > 1e-6 > 1e-13 > error[2], error


def test_a_normal_form_is_saved_and_loaded(tmp_path):
    density = lgn.normal_form(lgn.MLPDensity(3, 1, (6,), rngs=nnx.Rngs(0)), normal(2, 3, 1))
    L = lgn.Lagrangian(lgn.lattice((5,)), density)
    lgn.save(tmp_path / "L", L)
    q, v = normal(0, 5, 1), normal(1, 5, 1)
    run = jax.jit(lambda L: L(q, v))
    np.testing.assert_array_equal(run(lgn.load(tmp_path / "L")), run(L))


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({}, "scale=0.0; expected a number that is not zero"),
        ({"scale": np.nan}, "scale=nan"),
        ({"scale": 1.0, "points": 0}, "points=0; give a whole number, at least 1"),
        ({"scale": 1.0, "v": np.zeros((2, 1))}, r"v \(2, 1\); expected \(slot, dim\) of both"),
    ],
)
def test_errors(arguments, message):
    quartic = lambda q, v, features: v[0, 0] ** 4  # noqa: E731
    with pytest.raises(ValueError, match=message):
        lgn.normal_form(quartic, np.zeros((1, 1)), **arguments)
    assert lgn.normal_form(quartic, np.zeros((1, 1)), np.ones((1, 1))).scale == 12

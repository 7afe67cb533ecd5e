"""Forms: what they promise for all parameters, on elements and on graphs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given
from hypothesis import strategies as st
from jax.flatten_util import ravel_pytree

import lgn
from lgn.assembly import elements

LAWS = {"viscous": lgn.half_square, "dry": lgn.Dry(0.3), "turbulent": lgn.cubic}
by_law = pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)


def form(slots=2, dim=2, hidden=(4,), **named):
    return lgn.PositiveForm(slots, dim, hidden, rngs=nnx.Rngs(0), **named)


def structured(slots=2, dim=2, hidden=(4,), **named):
    return lgn.StructuredDensity(slots, dim, hidden, rngs=nnx.Rngs(0), **named)


def at_random(system, seed, scale=1.0):
    """The system with normal parameters of a standard deviation."""
    definition, parameters, rest = nnx.split(system, nnx.Param, ...)
    x, unravel = ravel_pytree(parameters)
    return nnx.merge(definition, unravel(scale * jax.random.normal(jax.random.key(seed), x.shape)), rest)


PAIRS = np.array([[0, 1], [1, 2], [1, 3], [3, 4]])  # nodes of 1 to 3 neighbours: padded stencils
GRAPHS = {
    "irregular": (lgn.from_edges(5, *np.concatenate([PAIRS, PAIRS[:, ::-1]]).T), lgn.node_stencil),
    "edges": (lgn.lattice((5,)), lgn.edge_stencil),
}
on_graphs = pytest.mark.parametrize("graph, stencil", GRAPHS.values(), ids=GRAPHS)


def system_on(graph, stencil, laws=None, **named):
    """A density and frictions of all laws on one stencil, two degrees of freedom."""
    slots = stencil(graph).slots
    frictions = [(form(slots, law=law, **named), stencil) for law in laws or LAWS.values()]
    return lgn.Lagrangian(graph, [(structured(slots, **named), stencil)], dissipation=frictions)


ANY_MATRIX = form(1, 2, ())


@nnx.jit
def mass_of(density, q, v, features):
    return jax.hessian(density, 1)(q, v, features)


# the mass matrix


@pytest.mark.parametrize("kinetic_hidden", [(4,), ()])
def test_mass_is_positive_definite_at_1000_parameters_and_states(kinetic_hidden):
    density = structured(2, 2, kinetic_hidden=kinetic_hidden, angles=(1,))

    def mass(seed):
        q, v = jax.random.normal(jax.random.key(~seed), (2, 2, 2))
        return jax.hessian(at_random(density, seed), 1)(q, v, {}).reshape(4, 4)

    eigenvalues = np.linalg.eigvalsh(jax.jit(jax.vmap(mass))(jnp.arange(1000)))
    assert eigenvalues.min() > 0
    assert eigenvalues.min() < 0.1 * eigenvalues.max()  # and no multiple of the identity


@on_graphs
def test_on_a_graph_mass_is_positive_definite_and_power_never_positive(graph, stencil):
    L = system_on(graph, stencil, angles=(1,))

    @jax.jit
    @jax.vmap
    def look(seed):
        q, v = jax.random.normal(jax.random.key(~seed), (2, 5, 2))
        system = at_random(L, seed, 1 + 9 * (seed % 7) / 6)
        mass = jax.hessian(lambda v: at_random(L, seed)(q, v.reshape(5, 2)))(v.ravel())
        return mass, system.power(q, v)

    mass, power = look(np.arange(500))
    assert np.linalg.eigvalsh(mass).min() > 0
    assert (power <= 0).all() and power.max() < 0


@given(st.floats(0.01, 100), st.floats(0.01, 100), st.floats(-0.99, 0.99))
def test_constants_make_any_matrix_of_two_degrees_of_freedom(a, b, correlation):
    m12 = correlation * np.sqrt(a * b)
    c = np.array([a, b - m12**2 / a])
    raw = c + np.log(-np.expm1(-c)) - np.log(np.e - 1)  # softplus and its shift, inverted
    ANY_MATRIX.constants[...] = jnp.array([*raw, m12 / a])
    found = mass_of(ANY_MATRIX, np.zeros((1, 2)), np.ones((1, 2)), {})
    np.testing.assert_allclose(found.reshape(2, 2), [[a, m12], [m12, b]], rtol=1e-12, atol=1e-12)


def test_at_the_start_it_is_the_size_times_the_identity():
    kinetic = form(2, 2, (), size=(3.0, 0.5))
    q, v = np.random.default_rng(0).normal(size=(2, 2, 2))
    expected = np.diag([3.0, 0.5, 3.0, 0.5])
    np.testing.assert_allclose(mass_of(kinetic, q, v, {}).reshape(4, 4), expected, atol=1e-14)
    learned = mass_of(structured(2, 2, (8,), mass=2.0), q, v, {}).reshape(4, 4)
    np.testing.assert_allclose(learned, 2 * np.eye(4), atol=0.2)


def test_units_of_velocity_change_the_parameters_but_not_the_family():
    """With c per dof in its units, B in scaled velocities: the value is that of unit scales in scaled velocities."""
    scale = np.array([0.01, 30.0])
    units = {"v_scale": tuple(scale), "size": tuple(scale**-2)}
    plain, scaled = (jax.jit(at_random(form(2, 2, **x), 1)) for x in ({}, units))
    q, v = np.random.default_rng(0).normal(size=(2, 2, 2))
    np.testing.assert_allclose(scaled(q, v * scale, {}), plain(q, v, {}), rtol=1e-12)


# dissipation


@by_law
def test_form_is_positive_and_takes_power(law):
    template = form(law=law)

    @jax.jit
    @jax.vmap
    def look(seed, scale):
        friction = at_random(template, seed, scale)
        q, v = jax.random.normal(jax.random.key(~seed), (2, 2, 2))
        value, slope = jax.value_and_grad(friction, 1)(q, v, {})
        return value, friction(q, 0 * v, {}), jnp.sum(v * slope), jnp.sum(jnp.abs(v * slope))

    value, at_rest, power, size = look(np.arange(1000), np.geomspace(0.1, 10, 1000))
    assert (value >= 0).all() and (at_rest == 0).all() and (power >= -1e-13 * size).all()


def test_energy_never_rises_in_a_long_motion():
    L = at_random(system_on(*GRAPHS["edges"], [LAWS["dry"]], angles=(1,)), 3, 0.3)
    q, v = np.random.default_rng(4).normal(size=(2, 5, 2))
    motion = lgn.rollout(L, (q, v), np.linspace(0, 40, 401), lgn.Adaptive(1e-8, 1e-8))
    lost = motion.energy[0] - motion.energy[-1]
    assert np.diff(motion.energy).max() < 1e-6 * lost
    assert lost > 0.1 * jnp.abs(motion.energy[0])


@by_law
def test_friction_decelerates_as_its_law_says(law):
    v = np.array([-2.0, -0.1, 0.0, 1e-4, 0.5, 7.0])
    expected = {"viscous": v, "turbulent": v * np.abs(v), "dry": 0.3 * v / np.hypot(0.3, v)}
    (name,) = (name for name, known in LAWS.items() if known is law)
    friction, q = form(1, 1, (), law=law, size=0.5), np.zeros((1, 1))
    found = jax.jit(jax.vmap(lambda v: jax.grad(friction, 1)(q, v.reshape(1, 1), {})))(v)
    np.testing.assert_allclose(found.ravel(), 0.5 * expected[name], rtol=1e-12, atol=1e-15)


def test_dry_friction_keeps_its_digits_at_small_speeds():
    np.testing.assert_allclose(lgn.Dry(1.0)(jnp.asarray(1e-9)), 0.5e-18, rtol=1e-12)


# expansions and symmetries


@pytest.mark.parametrize(
    "density",
    [
        structured(2, 2, angles=(1,)),
        structured(2, 2, kinetic_hidden=(), relative=True, features=("k",), feature_size=2),
        form(2, 2, law=lgn.Dry(0.5), relative=True),
    ],
)
def test_expansion_is_that_of_the_hessian(density):
    density = at_random(density, 5)
    q, v, k = jax.random.normal(jax.random.key(6), (3, 3, 2, 2))
    features = {"k": k[..., 0], "mask": jnp.array([[1.0, 1], [1, 0], [1, 1]])}

    @jax.vmap
    def dense(q, v, features):
        force, momentum = jax.grad(density, (0, 1))(q, v, features)
        mixed = jax.jacfwd(jax.grad(density, 1))(q, v, features)
        return force, momentum, jax.hessian(density, 1)(q, v, features), jnp.tensordot(mixed, v, 2)

    found = jax.jit(lambda *x: elements.expand(density, *x))(q, v, features)
    for a, b in zip(found, jax.jit(dense)(q, v, features), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize("make", [form, structured])
def test_what_stands_in_an_unfilled_slot_does_not_matter(make, relative):
    density, features = at_random(make(3, 2, relative=relative), 7), {"mask": np.array([1.0, 0, 1])}
    q, v = np.random.default_rng(8).normal(size=(2, 3, 2))
    look = jax.jit(jax.value_and_grad(density, (0, 1)))
    value, _ = look(q, v, features)
    assert abs(value - look(q, v, {"mask": np.ones(3)})[0]) > 1e-3  # filled, it did
    q[1], v[1] = 50.0, -70.0
    again, slopes = look(q, v, features)
    assert again == value and all((x[1] == 0).all() for x in slopes)


@on_graphs
def test_differences_conserve_total_momentum(graph, stencil):
    slots, alone = stencil(graph).slots, lgn.node_stencil(graph, hops=0)
    friction = [(at_random(form(slots, law=lgn.Dry(0.3), relative=True), 11), stencil)]
    L = lgn.Lagrangian(graph, [(at_random(structured(slots, relative=True), 12), stencil)])
    rubbing = lgn.Lagrangian(graph, [(lgn.kinetic_energy, alone)], dissipation=friction)
    q, v = np.random.default_rng(13).normal(size=(2, 5, 2))
    for rate in (jax.jit(jax.grad(L))(q, v), jax.jit(rubbing.force)(q, v)):
        assert np.abs(rate).max() > 0.1
        np.testing.assert_allclose(np.sum(rate, 0), 0, atol=1e-12 * np.abs(rate).max())
    together = np.broadcast_to([0.3, -2.0], v.shape)
    np.testing.assert_allclose(jax.jit(rubbing.force)(q, together), 0, atol=1e-14)  # nothing moves against anything


# checkpoints and errors


def test_checkpoint_brings_everything_back(tmp_path):
    graph, known = lgn.lattice((5,), periodic=False), {"features": ("mask",), "feature_size": 3}
    density = structured(3, 2, kinetic_hidden=(), mass=(2.0, 1.0), angles=(1,), activation=jnp.tanh, **known)
    frictions = [
        form(3, 2, law=lgn.Dry(0.3), relative=True, **known),
        form(3, 2, (), law=lgn.cubic, size=0.1, v_scale=(1.0, 5.0)),
        form(3, 2, size=(1.0, 2.0), angles=(0,)),
    ]
    terms = [(friction, lgn.node_stencil) for friction in frictions]
    L = at_random(lgn.Lagrangian(graph, density, dissipation=terms), 15)
    lgn.save(tmp_path / "a", L)
    loaded = lgn.load(tmp_path / "a")
    assert jax.tree.structure(loaded) == jax.tree.structure(L)
    for a, b in zip(jax.tree.leaves(loaded), jax.tree.leaves(L), strict=True):
        np.testing.assert_array_equal(a, b)


def absolute(s):
    return jnp.abs(s)


@pytest.mark.parametrize(
    "wrong, message",
    [
        (lambda: form(hidden=(4, 0)), r"PositiveForm: hidden\[1\]=0.*at least 1"),
        (lambda: form(1, relative=True), "no slot to compare with"),
        (lambda: form(size=0.0), "size=0.0; give a positive number"),
        (lambda: form(activation=jax.nn.relu), "no second derivative"),
        (lambda: form(law=jnp.cosh), "expected 0"),
        (lambda: form(law=jnp.sinh), "expected 0"),
        (lambda: form(law=absolute), "law=absolute is 0 with slopes .* round its kink"),
        (lambda: form(law=lambda s: 1 - jnp.cos(s)), "give a convex law"),
        (lambda: form(law=lambda s: 0.0 * s), "not all zero"),
        (lambda: lgn.Dry(0.0), "speed=0.0; give a positive number"),
        (lambda: structured(hidden=()), r"StructuredDensity: hidden=\(\)"),
        (lambda: structured(1, relative=True), "relative=True with slots=1"),
    ],
)
def test_bad_input(wrong, message):
    with pytest.raises(ValueError, match=message):
        wrong()

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
from flax import nnx

import lgn
from lgn._backends import BACKENDS
from lgn.assembly import elements
from lgn.densities.density import as_density
from lgn.densities.network import derivatives, fast_softplus

MASSES = {"number": lambda: 1.7, "parameter": lambda: nnx.Param(jnp.array(0.6)), "none": lambda: None}


def unit_normal(layer, layers):
    """Kernels of order one everywhere, so that the network matters beside the prior."""
    return nnx.initializers.variance_scaling(2.0, "fan_in", "normal")


def make(slots=3, dim=1, hidden=(5, 4), **named):
    return lgn.MLPDensity(slots, dim, hidden, initializer=unit_normal, rngs=nnx.Rngs(3), **named)


def batch(slots, dim, elements=4, dtype=float):
    q, v, k = np.random.default_rng(0).normal(size=(3, elements, slots, dim)).astype(dtype)
    return q, v, {"k": k[..., 0]}


CASES = [
    # activation, slots, dim, hidden, mass, scales, features
    (jax.nn.softplus, 3, 1, (5, 4), "parameter", {"q_scale": 0.3, "v_scale": 2.0}, {}),
    (jax.nn.softplus, 2, 2, (5, 4, 3), "none", {"q_scale": (0.5, 3.0), "v_scale": (2.0, 0.7)}, {}),
    (jax.nn.tanh, 2, 2, (5,), "parameter", {}, {"features": ("k",), "feature_size": 2}),
    (jax.nn.swish, 3, 1, (5, 4, 3), "number", {"q_scale": 2.0}, {"features": ("k",), "feature_size": 3}),
    (jax.nn.softplus, 3, 2, (5, 4), "number", {"q_scale": (0.5, 3.0)}, {"relative": True}),
    (jax.nn.softplus, 1, 3, (5, 4), "number", {"q_scale": (0.5, 3.0, 1.0)}, {"angles": (2, 0)}),
    (
        jax.nn.softplus,
        3,
        2,
        (5,),
        "none",
        {},
        {"angles": (1,), "relative": True, "features": ("k",), "feature_size": 3},
    ),
]


def test_features_are_divided_by_their_scale():
    features = {"k": jnp.array([3.0, 5.0])}
    scaled = jax.jit(make(1, 1, features=("k",), feature_size=2, feature_scale=(3.0, 5.0)))
    plain = jax.jit(make(1, 1, features=("k",), feature_size=2))
    q, v = np.ones((2, 1, 1))
    np.testing.assert_allclose(scaled(q, v, features), plain(q, v, {"k": np.ones(2)}), rtol=1e-13)


@pytest.mark.parametrize("activation, slots, dim, hidden, mass, scales, features", CASES)
def test_closed_form_expansion_is_that_of_automatic_differentiation(
    activation, slots, dim, hidden, mass, scales, features
):
    density = make(slots, dim, hidden, activation=activation, mass=MASSES[mass](), **scales, **features)
    arguments = batch(slots, dim)

    @jax.jit
    def by_hessian(q, v, features):
        force, momentum = jax.grad(density, (0, 1))(q, v, features)
        mixed = jax.jacfwd(jax.grad(density, 1), 0)(q, v, features)
        return force, momentum, jax.hessian(density, 1)(q, v, features), jnp.tensordot(mixed, v, 2)

    closed = jax.jit(density.expand)(*arguments)
    for name, a, b in zip(closed._fields, closed, jax.jit(jax.vmap(by_hessian))(*arguments), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-12, rtol=1e-12, err_msg=name)
    assert np.abs(closed.convection).max() > 1e-3  # the mixed term is put to the test


def test_value_is_that_of_the_formula_in_numpy():
    density = make(2, 2, (5, 4), mass=1.7, q_scale=(0.5, 3.0), v_scale=2.0, features=("k",), feature_size=2)
    q, v, features = (np.asarray(x[0]) for x in (*batch(2, 2)[:2], batch(2, 2)[2]["k"]))
    *hidden, last = [(np.asarray(layer.kernel[...]), np.asarray(layer.bias[...])) for layer in density.layers]

    def network(q, v):
        x = np.concatenate([(q / [0.5, 3.0]).ravel(), v.ravel() / 2.0, features])
        for kernel, bias in hidden:
            x = np.log1p(np.exp(x @ kernel + bias))
        return (x @ last[0] + last[1])[0]

    expected = network(q, v) - network(0 * q, 0 * v) + 0.5 * 1.7 * (v[0] @ v[0])
    np.testing.assert_allclose(jax.jit(density)(q, v, {"k": features}), expected, rtol=1e-13)


@pytest.mark.parametrize(
    ("density", "stencil"),
    [
        (lambda rngs: lgn.MLPDensity(5, 2, angles=(1,), features=("k",), feature_size=5, rngs=rngs), lgn.node_stencil),
        (lambda rngs: lgn.MLPDensity(5, 2, fields=1, rngs=rngs), lgn.node_stencil),
        (lambda rngs: lgn.PairDensity(2, features=("k",), feature_size=1, rngs=rngs), lgn.edge_stencil),
        (lambda rngs: lgn.PairDensity(2, pairing=lgn.invariants, rngs=rngs), lgn.edge_stencil),
        (lambda rngs: lgn.MessageDensity(2, features=("k",), feature_size=1, rngs=rngs), lgn.node_stencil),
        (lambda rngs: lgn.StructuredDensity(5, 2, rngs=rngs), lgn.node_stencil),
        (lambda rngs: lgn.Continuum(lgn.FieldMLP(2, 2, rngs=rngs)), lgn.cell_stencil),
    ],
    ids=["mlp", "mlp of u", "pair", "invariants", "message", "structured", "continuum"],
)
def test_a_field_at_rest_has_no_energy(density, stencil):
    graph = lgn.with_features(lgn.lattice((3, 4)), {"k": np.linspace(1, 2, 12)})
    learned = density(nnx.Rngs(0, params=1))
    one = getattr(learned.inputs, "fields", 2) == 1
    system = lgn.EnergyFlow(graph, learned, structure=lgn.Symplectic()) if one else None
    system = system or lgn.Lagrangian(graph, [(learned, stencil)])
    rest, moved = np.zeros((12, 2)), np.random.default_rng(0).normal(size=(2, 12, 2))
    assert abs(system.energy(*(rest,) * (2 - one))) < 1e-14 < abs(system.energy(*moved[: 2 - one]))


def test_a_class_states_what_a_function_carries_as_attributes():
    def springs(q, v, features):
        return 0.5 * v[0, 0] ** 2 - 0.25 * jnp.sum(features["mask"] * (q[:, 0] - q[0, 0]) ** 2)

    class Springs(lgn.Density):
        slots = None

        def __call__(self, q, v, features):
            return springs(q, v, features)

    plain = as_density(springs)
    assert (plain.name, plain.fields, plain.slots, plain.dim) == ("springs", 2, ..., None)
    assert plain.expand(*batch(3, 1)) is None
    springs.slots = None  # type: ignore[attr-defined]
    assert as_density(springs).slots is None and as_density(Springs()).fields == 2 and Springs().config() == {}
    star = lgn.from_edges(4, [0, 1, 0, 2, 0, 3], [1, 0, 2, 0, 3, 0])
    q, v = np.random.default_rng(0).normal(size=(2, 4, 1))
    found = [lgn.Lagrangian(star, density).acceleration(q, v) for density in (springs, Springs())]
    np.testing.assert_array_equal(*found)


def test_relative_density_does_not_see_a_shift():
    density = make(3, 2, (5, 4), relative=True)
    q, v, features = batch(3, 2)
    value = jax.jit(jax.vmap(density))
    found, shifted = value(q, v, features), value(q + np.array([3.0, -2.0]), v, features)
    np.testing.assert_allclose(found, shifted, rtol=1e-13)
    np.testing.assert_allclose(np.sum(jax.jit(density.expand)(q, v, features).force, 1), 0, atol=1e-14)


def test_softplus_of_the_closed_form_is_exact_to_rounding_and_has_the_logistic_slope():
    z = np.concatenate([np.linspace(-40, 40, 1001), [0.0, -800.0, 800.0]])
    value, slope = jax.jvp(fast_softplus, (jnp.asarray(z),), (np.ones(z.size),))
    np.testing.assert_allclose(value, np.logaddexp(0, z), rtol=1e-14)
    np.testing.assert_allclose(slope, scipy.special.expit(z), rtol=1e-13, atol=1e-300)
    value, slope, bend = (np.asarray(x) for x in derivatives(jax.nn.softplus, jnp.asarray(z)))
    np.testing.assert_allclose(value, np.logaddexp(0, z), rtol=1e-14)
    np.testing.assert_allclose(slope, scipy.special.expit(z), rtol=1e-14, atol=1e-300)
    np.testing.assert_allclose(bend, scipy.special.expit(z) * scipy.special.expit(-z), rtol=1e-14, atol=1e-300)


@pytest.mark.parametrize("n", [BACKENDS["cpu"].piece + extra for extra in (1, 3457)])
def test_pieces_of_a_long_batch_are_put_together_in_order(n):
    density = make(2, 1, (4,))
    q, v, features = batch(2, 1, elements=n)
    whole = jax.jit(jax.vmap(density))(q, v, features)
    np.testing.assert_allclose(elements.values(density, q, v, features), whole, rtol=1e-13, atol=1e-15)
    mass = jax.jit(lambda *a: elements.expand(density, *a).mass)(q, v, features)
    np.testing.assert_allclose(mass, jax.jit(density.expand)(q, v, features).mass, atol=1e-13)


def test_pieces_without_a_rest_take_no_copy_of_what_they_give():
    density, gives = make(2, 1, (4,)), (4 + 2) * 8  # bytes of the mass and of the force of one element

    def copied(n):
        program = jax.jit(lambda *a: elements.expand(density, *a)[::2]).lower(*batch(2, 1, elements=n)).compile()
        return program.memory_analysis().temp_size_in_bytes / n > gives

    # both take four pieces by the size alone, which divide neither; 10010 = 5 * 2002
    assert (copied(10_010), copied(10_007)) == (False, True)


def test_prior_makes_a_new_density_almost_half_m_v_squared():
    density = lgn.MLPDensity(3, 1, mass=2.5, rngs=nnx.Rngs(0))
    mass = jax.jit(density.expand)(*batch(3, 1)).mass[:, :, 0, :, 0]
    np.testing.assert_allclose(mass, np.broadcast_to(np.diag([2.5, 0, 0]), (4, 3, 3)), atol=0.05)


def test_only_a_parameter_mass_is_a_leaf():
    count = {name: len(jax.tree.leaves(make(mass=mass()))) for name, mass in MASSES.items()}
    assert count == {"number": 6, "parameter": 7, "none": 6}


def test_a_parameter_mass_has_the_gradient_half_v_squared():
    density = make(mass=nnx.Param(jnp.array(0.6)))
    q, v, _ = (x[0] if not isinstance(x, dict) else x for x in batch(3, 1))
    gradient = jax.jit(jax.grad(lambda d: d(q, v, {})))(density)
    np.testing.assert_allclose(gradient.mass[...], 0.5 * v[0, 0] ** 2, rtol=1e-13)


def test_dtype_follows_the_state():
    density = make(mass=nnx.Param(jnp.array(0.6)))
    arguments = batch(3, 1, dtype=jnp.float32)
    assert jax.eval_shape(density, *(x[0] for x in arguments[:2]), {}).dtype == jnp.float32
    assert {x.dtype for x in jax.eval_shape(density.expand, *arguments)} == {jnp.dtype("float32")}


@pytest.mark.parametrize("layer, shape, std", [(0, (4, 100), 0.22), (1, (100, 100), 0.058), (2, (100, 100), 0.116),
                                               (3, (100, 1), 10.0)])  # fmt: skip
def test_lnn_initializer_has_the_published_standard_deviations(layer, shape, std):
    """Cranmer et al. 2020, appendix C, for 100 nodes and 4 layers."""
    keys = jax.random.split(jax.random.key(layer), 20_000 // max(200, np.prod(shape)) * 2)
    kernels = jax.vmap(lambda key: lgn.lnn_initializer(layer, 4)(key, shape, jnp.float64))(keys)
    np.testing.assert_allclose(kernels.std(), std, rtol=0.03)  # of 2e4 or more numbers: 0.5 % at one sigma
    assert abs(kernels.mean()) < 0.03 * std


def test_initializer_is_told_layer_and_layers():
    asked = []

    def spy(layer, layers):
        asked.append((layer, layers))
        return nnx.initializers.zeros

    lgn.MLPDensity(3, 1, (5, 4), initializer=spy, rngs=nnx.Rngs(0))
    assert asked == [(0, 3), (1, 3), (2, 3)]


def kinked(x):
    return jnp.abs(x)


ERRORS = {
    "relu": (dict(activation=jax.nn.relu), "activation=relu has no second derivative.*softplus"),
    "leaky relu": (dict(activation=jax.nn.leaky_relu), "no second derivative"),
    "absolute value": (dict(activation=kinked), "activation=kinked has no second derivative"),
    "identity": (dict(activation=lambda x: x), "no second derivative"),
    "no slot": (dict(slots=0), "slots=0.*at least 1"),
    "no degree of freedom": (dict(dim=0), "dim=0.*at least 1"),
    "no hidden layer": (dict(hidden=()), r"hidden=\(\).*at least 1"),
    "an empty layer": (dict(hidden=(5, 0)), r"hidden\[1\]=0.*at least 1"),
    "scale not finite": (dict(v_scale=np.inf), "v_scale=inf.*positive"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_error_names_the_argument_and_the_fix(name):
    arguments, message = ERRORS[name]
    with pytest.raises(ValueError, match=message):
        make(**arguments)

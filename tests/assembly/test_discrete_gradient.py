"""Discrete gradients: H(u') - H(u) = <g, u' - u>, g(u, u) = grad H(u), g(u', u) = g(u, u')."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from flax import nnx
from hypothesis import given
from hypothesis import strategies as st

import lgn
from lgn.assembly import discrete_slopes as slopes

AUTOMATIC = lgn.Automatic()
DISTANCES = [3.0, 0.1, 1e-2, 1e-3, 1e-6, 1e-9, 0.0]
ELEMENTS = 12


def fields(seed, *shape, count=1, dtype=float):
    keys = jax.random.split(jax.random.key(seed), count)
    return tuple(jax.random.normal(key, (ELEMENTS, *shape), dtype) for key in keys)


def worst_defect(method, density, features):
    """(after, before) -> worst |H(u') - H(u) - <g, u' - u>| over max(|H|, 1) + sum |g (u' - u)|."""

    def one(after, before):
        g = method(density, after, before, features)
        work = [x * (a - b) for x, a, b in zip(g, after, before, strict=True)]
        start, total = density(*before, features), sum(jnp.sum(x) for x in work)
        scale = jnp.maximum(1, abs(start)) + sum(jnp.sum(abs(x)) for x in work)
        return abs(density(*after, features) - start - total) / scale

    return jax.jit(lambda after, before: jnp.max(jax.vmap(one)(after, before)))


def obeys_the_laws(density, state, features, bound=1e-13, distances=DISTANCES, tight=1e-12):
    defect = worst_defect(AUTOMATIC, density, features)
    gradient = jax.jit(jax.vmap(lambda after, before: AUTOMATIC(density, after, before, features)))
    exact = jax.vmap(lambda *u: jax.grad(density, tuple(range(len(u))))(*u, features))(*state)
    for distance in distances:
        after = tuple(x + distance * jnp.roll(x, 1, 0) for x in state)
        assert defect(after, state) < bound
        for g, back in zip(gradient(after, state), gradient(state, after), strict=True):
            np.testing.assert_allclose(g, back, rtol=tight, atol=tight * max(1, jnp.max(abs(g))))
    for g, expected in zip(gradient(state, state), exact, strict=True):
        np.testing.assert_allclose(g, expected, rtol=tight, atol=tight)


FUNCTIONS = {
    "abs": abs,
    "arctan": jnp.arctan,
    "cbrt": lambda x: jnp.cbrt(1 + x * x),
    "celu": jax.nn.celu,
    "clip": lambda x: jnp.clip(x, -1, 1),
    "cos": jnp.cos,
    "cubes": lambda x: x**3 / (2 + x**2) ** 2,
    "elu": jax.nn.elu,
    "erf": jax.scipy.special.erf,
    "exp": jnp.exp,
    "exponent of the state": lambda x: (1 + x**2) ** jnp.sin(x),
    "gelu": jax.nn.gelu,
    "gelu by erf": lambda x: jax.nn.gelu(x, approximate=False),
    "guarded square root": lambda x: jnp.where(x == 0, 0, jnp.sqrt(jnp.where(x == 0, 1, x**2))),
    "log": lambda x: jnp.log(1 + x**2),
    "log1p": lambda x: jnp.log1p(x**2),
    "log_sigmoid": jax.nn.log_sigmoid,
    "logaddexp": lambda x: jnp.logaddexp(x, x[::-1]),
    "maximum": lambda x: jnp.maximum(x, x[::-1]),
    "mish": jax.nn.mish,
    "negative power": lambda x: (1 + x**2) ** -2,
    "power": lambda x: (1 + x**2) ** 1.7,
    "reciprocal square root": lambda x: jax.lax.rsqrt(1 + x**2),
    "relu": jax.nn.relu,
    "selu": jax.nn.selu,
    "sigmoid": jax.nn.sigmoid,
    "sin": jnp.sin,
    "sinh": jnp.sinh,
    "softplus": jax.nn.softplus,
    "square as a power": lambda x: x**2.0,
    "squareplus": jax.nn.squareplus,
    "swish": jax.nn.swish,
    "tanh": jnp.tanh,
}
MASK = jnp.asarray([[True], [False], [True]])
SHAPES = {
    "einsum": lambda u: jnp.einsum("ij,kj->ik", u, u),
    "indices": lambda u: jnp.concatenate([u[::2] * u[1], jnp.zeros((1, 2)).at[0].set(u[2] * u[0])]),
    "mask": lambda u: jnp.where(MASK, u, u[0]) * u,
    "norms": lambda u: jnp.linalg.norm(u, axis=1),
    "split": lambda u: jnp.split(u, 3)[1] * jnp.stack([u[0], u[2]]),
}


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
def test_laws_of_elementwise_functions(function):
    kernel = np.random.default_rng(1).normal(size=(2, 2))

    def density(u, features):
        return jnp.sum(function(u @ kernel) ** 2) + jnp.sum(u * function(u))

    obeys_the_laws(density, fields(0, 3, 2), {})


@pytest.mark.parametrize("function", SHAPES.values(), ids=SHAPES)
def test_laws_of_linear_operations_and_products(function):
    obeys_the_laws(lambda u, features: jnp.sum(jnp.sin(function(u)) * function(u)), fields(0, 3, 2), {})


STEPS = st.lists(st.sampled_from(sorted(FUNCTIONS)), min_size=1, max_size=4)


@given(STEPS, st.sampled_from(["add", "multiply", "divide"]), st.sampled_from(DISTANCES), st.integers(0, 99))
def test_identity_of_random_compositions(names, last, distance, seed):
    def density(u, features):
        x = u
        for name in names:
            x = jnp.tanh(FUNCTIONS[name](x)) + u[::-1]
        y = 2 + jnp.sin(u)
        return jnp.sum(getattr(jnp, last)(x, y))

    (before,) = fields(seed, 3, 2)
    after = before + distance * before[::-1]
    assert worst_defect(AUTOMATIC, density, {})((after,), (before,)) < 1e-13


CLOSED = {
    "exp": slopes.exp,
    "expm1": lambda *x: slopes.exp(*x, shift=1),
    "sin": slopes.sin,
    "cos": slopes.cos,
    "tanh": slopes.tanh,
    "log": slopes.log,
    "log1p": lambda *x: slopes.log(*x, shift=2),
    "softplus": slopes.softplus,
    "logistic": slopes.logistic,
    "erf": lambda *x: slopes.measured(jax.scipy.special.erf, *x),
}
IN_JAX = {"softplus": jax.nn.softplus, "logistic": jax.nn.sigmoid, "erf": jax.scipy.special.erf}
IN_MPMATH = {"softplus": lambda x: mpmath.log1p(mpmath.exp(x)), "logistic": lambda x: 1 / (1 + mpmath.exp(-x))}


@pytest.mark.parametrize("name", CLOSED)
def test_slopes_against_forty_digits(name):
    function, exact = IN_JAX.get(name, getattr(jnp, name, None)), IN_MPMATH.get(name, getattr(mpmath, name, None))
    b = np.array([0.3, 0.7, 1.6, 2.9])
    for distance in 10.0 ** np.arange(-12, 1):
        a = b + distance
        got = CLOSED[name](a, b, function(a), function(b))
        with mpmath.workdps(60):
            pairs = [(mpmath.mpf(x), mpmath.mpf(y)) for x, y in zip(a, b, strict=True)]
            expected = [float((exact(x) - exact(y)) / (x - y)) for x, y in pairs]
        # beyond the threshold a quotient of values to rounding
        np.testing.assert_allclose(got, expected, rtol=1e-14, atol=3e-16 * np.max(abs(function(a))) / 0.01)


def energy(density):
    """Of a Lagrangian density: v . dl/dv - l."""
    return lambda q, v, known: jnp.sum(v * jax.grad(density, argnums=1)(q, v, known)) - density(q, v, known)


NEIGHBOURS = {"mask": jnp.asarray([True, True, False])}
CELL = {"shape": jnp.full(4, 0.25), "shape_gradient": jnp.asarray(np.eye(4)[:, :2]), "measure": jnp.asarray(0.5)}
BIG = {"initializer": lgn.lecun_normal, "rngs": nnx.Rngs(0)}
SMALL = BIG | {"hidden": (6,)}
DENSITIES = {
    "softplus": (lgn.MLPDensity(3, 2, (8, 8), **BIG), 3, {}),
    "tanh": (lgn.MLPDensity(3, 2, (8, 8), activation=jnp.tanh, angles=(1,), **BIG), 3, {}),
    "gelu": (lgn.MLPDensity(3, 2, (8, 8), activation=jax.nn.gelu, relative=True, **BIG), 3, {}),
    "pair": (lgn.PairDensity(2, pairing=lgn.invariants, **SMALL), 2, {}),
    "message": (lgn.MessageDensity(2, **SMALL), 3, NEIGHBOURS),
    "continuum": (lgn.Continuum(lgn.FieldMLP(dim=2, space=2, **SMALL)), 4, CELL),
    "structured": (lgn.StructuredDensity(slots=2, dim=2, angles=(0,), **SMALL), 2, {}),
    "dry friction": (lgn.PositiveForm(slots=1, dim=2, law=lgn.Dry(0.1)), 1, {}),
}


@pytest.mark.parametrize("name", [*DENSITIES, "energy of softplus", "energy of message", "energy of structured"])
def test_laws_of_learned_densities(name):
    density, slots, features = DENSITIES[name.removeprefix("energy of ")]
    obeys_the_laws(density if name in DENSITIES else energy(density), fields(0, slots, 2, count=2), features)


def test_laws_in_float32():
    density, slots, features = DENSITIES["softplus"]
    state = fields(0, slots, 2, count=2, dtype=jnp.float32)
    obeys_the_laws(density, state, features, 5e-6, [3.0, 1e-1, 1e-2, 0.0], 1e-5)


@pytest.mark.parametrize("method", [AUTOMATIC, lgn.MeanValue(2), lgn.Gonzalez()])
@pytest.mark.parametrize("distance", [1.0, 1e-9, 0.0])
def test_derivatives_by_parameters_are_finite_and_those_of_the_difference(method, distance):
    """d/dp <g, u' - u> = d/dp (H(u') - H(u)), and where u' = u, d/dp <g, w> = d/dp <grad H, w>."""
    (u,), (w,) = fields(0, 2, 2), fields(1, 2, 2)

    def density(p):
        def value(u, features):
            x = jax.nn.softplus(u @ p) + jax.nn.elu(u @ p[0]) * jnp.tanh(p[1] @ u) - jnp.abs(u[0, 0] * p[0, 0])
            return jnp.sum(x * jnp.sqrt(1 + x**2)) + jnp.linalg.norm(u - u[0] + p[0, 1])

        return value

    after = u + distance * w

    def along(p, direction):
        return jax.vmap(lambda a, b, d: jnp.vdot(method(density(p), (a,), (b,), {})[0], d))(after, u, direction).sum()

    def exactly(p):
        value = density(p)
        if distance > 1e-6:
            return jnp.sum(jax.vmap(lambda a, b: value(a, {}) - value(b, {}))(after, u)) / distance
        return jax.vmap(lambda b, d: jnp.vdot(jax.grad(value)(b, {}), d))(u, w).sum()

    p = jnp.asarray([[0.5, 1.2], [-0.7, 0.4]])
    got = jax.jit(jax.grad(along))(p, w)
    assert jnp.isfinite(got).all()
    if distance == 1.0 and isinstance(method, lgn.MeanValue):
        return  # it is not exact
    round_off = 1e-13 / distance if distance and isinstance(method, lgn.Gonzalez) else 1e-6
    np.testing.assert_allclose(got, jax.grad(exactly)(p), rtol=1e-7, atol=round_off)


@pytest.mark.parametrize("points", [1, 2, 3])
def test_mean_value_is_exact_for_polynomials_up_to_twice_its_points(points):
    before, after = fields(0, 2, 2), fields(1, 2, 2)

    def density(u, features):
        return jnp.sum(u[0]) ** (2 * points) + u[1, 0] ** (2 * points - 1) * u[0, 1]

    def beyond(u, features):
        return jnp.sum(u ** (2 * points + 1))

    assert worst_defect(lgn.MeanValue(points), density, {})(after, before) < 1e-14
    assert worst_defect(lgn.MeanValue(points), beyond, {})(after, before) > 1e-6


def test_gonzalez_obeys_the_identity_for_two_fields():
    density, slots, features = DENSITIES["structured"]
    before, defect = fields(0, slots, 2, count=2), worst_defect(lgn.Gonzalez(), density, features)
    for distance in DISTANCES:
        assert defect(tuple(x + distance * jnp.roll(x, 1, 0) for x in before), before) < 1e-14


def branch(u):
    return jnp.sum(jnp.where(u > 0, 1.0, -1.0))


NO_RULE = {
    "sort": lambda u: jnp.sum(jnp.sort(u, 0) ** 2),
    "scan": lambda u: jax.lax.scan(lambda c, x: (c + x**2, None), np.zeros(2), u)[0].sum(),
    "while": lambda u: jax.lax.while_loop(lambda x: jnp.sum(x) < 1, lambda x: 2 * x, u).sum(),
    "cond": lambda u: jax.lax.cond(u[0, 0] > 0, jnp.sum, jnp.max, u),
    "reduce_max": lambda u: jnp.max(u),
    "argmax": lambda u: u[jnp.argmax(u[:, 0]), 0],
    "sign": lambda u: jnp.sum(jnp.sign(u)),
    "floor": lambda u: jnp.sum(jnp.floor(u)),
    "select_n": branch,
    "convert_element_type": lambda u: jnp.sum((u > 0).astype(float)),
}


@pytest.mark.parametrize("name", NO_RULE)
def test_an_operation_without_a_rule_is_named(name):
    u = np.ones((3, 2))
    with pytest.raises(ValueError, match=rf"the operation {name} .* use MeanValue\(points\) or Gonzalez\(\)"):
        AUTOMATIC(lambda u, features: NO_RULE[name](u), (u,), (2 * u,), {})


def test_mean_value_needs_a_point():
    with pytest.raises(ValueError, match="points=0; give a whole number, at least 1"):
        lgn.MeanValue(0)


def test_a_density_that_does_not_depend_on_a_field_has_no_gradient_in_it():
    u = np.ones((2, 1))
    g_u, g_v = AUTOMATIC(lambda u, v, features: jnp.sum(u) * features["k"], (u, u), (2 * u, 3 * u), {"k": 3})
    assert g_u.tolist() == [[3.0], [3.0]] and g_v.tolist() == [[0.0], [0.0]]
    (g,) = AUTOMATIC(lambda u, features: features["k"], (u,), (2 * u,), {"k": jnp.asarray(3.0)})
    assert g.tolist() == [[0.0], [0.0]]


def test_functions_are_recognised_by_what_they_do_and_not_by_name():
    @jax.custom_jvp
    def logaddexp(x, y):
        return x**2 + y

    logaddexp.defjvp(lambda primals, tangents: (logaddexp(*primals), 2 * primals[0] * tangents[0] + tangents[1]))
    u = np.full((1, 1), 2.0)
    (g,) = AUTOMATIC(lambda u, features: jnp.sum(logaddexp(u, 1.0)), (u,), (3 * u,), {})
    assert g.tolist() == [[8.0]]

    def by_softplus(u):
        return AUTOMATIC(lambda u, features: jnp.sum(jax.nn.softplus(u)), (u,), (2 * u,), {})

    assert "log1p" not in str(jax.make_jaxpr(by_softplus)(u)), "softplus has a rule of its own, with a faster value"


@pytest.mark.parametrize("activation", [jax.nn.softplus, jnp.tanh])
def test_work_is_at_most_twice_that_of_a_gradient_and_linear_in_elements(activation):
    kernels = [np.random.default_rng(i).normal(size=shape) for i, shape in enumerate([(3, 24), (24, 24), (24, 1)])]

    def density(u, features):
        x = u.ravel()
        for kernel in kernels[:-1]:
            x = activation(x @ kernel)
        return (x @ kernels[-1])[0]

    def products(function, count):
        """Multiplications in products of matrices, the work that grows with the square of the width."""
        u = np.ones((count, 3, 1))
        return sum(_multiplications(x) for x in _flat(jax.make_jaxpr(jax.vmap(function))(u, u).eqns))

    def discrete(a, b):
        return AUTOMATIC(density, (a,), (b,), {})[0]

    assert products(discrete, 100) <= 2 * products(lambda a, b: jax.grad(density)(a, {}), 100)
    assert products(discrete, 200) <= 2 * products(discrete, 100)


def _multiplications(equation):
    (contracted, _), _ = equation.params["dimension_numbers"]
    return equation.outvars[0].aval.size * np.prod([equation.invars[0].aval.shape[i] for i in contracted])


def _flat(equations):
    """All products of matrices, those of inner functions too."""
    for equation in equations:
        if equation.primitive.name == "dot_general":
            yield equation
        for inner in equation.params.values():
            yield from _flat(getattr(inner, "eqns", ()))

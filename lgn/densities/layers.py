"""Layers: affine layers with an activation between, their initialisers, and derivatives of activations."""

import inspect
import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from lgn import _arguments

Activation = Callable[[Array], Array]
Initializer = Callable[[int, int], nnx.Initializer]


def dense_layers(sizes: Sequence[int], initializer: Initializer, rngs: nnx.Rngs | None) -> nnx.List:
    """Affine layers from sizes[0] inputs to sizes[-1] outputs, in the default floating dtype.

    Raises:
        ValueError: random streams or an initialiser that are none.
    """
    streams = _arguments.streams("network", rngs)
    _check_initializer(initializer)
    count, dtype = len(sizes) - 1, jnp.result_type(float)
    return nnx.List(
        nnx.Linear(a, b, kernel_init=initializer(i, count), param_dtype=dtype, rngs=streams)
        for i, (a, b) in enumerate(zip(sizes[:-1], sizes[1:], strict=True))
    )


def weights(layers: nnx.List, dtype) -> list[tuple[Array, Array]]:
    """Kernel and bias of each layer."""
    return [(layer.kernel[...].astype(dtype), layer.bias[...].astype(dtype)) for layer in layers]


def perceptron(layers: nnx.List, activation, x: Float[Array, " input"]) -> Float[Array, " output"]:
    """Affine layers with activations in between."""
    *hidden, (kernel, bias) = weights(layers, x.dtype)
    for inner_kernel, inner_bias in hidden:
        x = activation(x @ inner_kernel + inner_bias)
    return x @ kernel + bias


def _check_initializer(initializer) -> None:
    """Raises ValueError for an initialiser of one layer, where that of any layer is meant."""
    examples = "lgn.small_output, lgn.lecun_normal or a function (layer, layers) -> nnx initialiser"
    _arguments.called("initializer", initializer, examples)
    taken = [p for p in inspect.signature(initializer).parameters.values() if p.default is p.empty]
    if callable(initializer) and [p.name for p in taken[:2]] == ["key", "shape"]:
        raise ValueError(f"initializer takes (key, shape), as that of one layer does; expected {examples}, not called")


def check_mass(name: str, mass) -> None:
    """Raises ValueError for a kinetic prior that is no positive number, no `nnx.Param` and not None."""
    if not (mass is None or isinstance(mass, nnx.Variable)):
        _arguments.positive(f"{name}: the prior, an nnx.Param, None for no prior, or a number, is mass", mass)


def prior_mass(mass, dtype) -> Array:
    """The kinetic prior as an array: fixed, learned or zero."""
    return jnp.asarray(mass[...] if isinstance(mass, nnx.Variable) else mass or 0.0, dtype)


def small_output(layer: int, layers: int) -> nnx.Initializer:
    """LeCun normal kernels, the last one a hundred times smaller: the density starts as little more than its prior."""
    return nnx.initializers.variance_scaling(1e-4 if layer == layers - 1 else 1.0, "fan_in", "normal")


def lecun_normal(layer: int, layers: int) -> nnx.Initializer:
    """LeCun normal kernels in every layer: for a network that is the whole density."""
    return nnx.initializers.lecun_normal()


def lnn_initializer(layer: int, layers: int) -> nnx.Initializer:
    """Initialiser of Cranmer et al. 2020, appendix C: normal of standard deviation

        n^(-1/2) * {2.2 first layer; 0.58 i hidden layer i = 1, 2, ...; n output layer}, n = max(fan in, fan out).

    Fitted there for two coordinates and softplus.

    Example:
        >>> import jax, lgn
        >>> f"{lgn.lnn_initializer(1, 4)(jax.random.key(0), (100, 100)).std():.2f}"
        '0.06'
    """

    def initialise(key, shape, dtype=jnp.float32, out_sharding=None):
        n = max(shape)
        factor = 2.2 if layer == 0 else n if layer == layers - 1 else 0.58 * layer
        return factor / np.sqrt(n) * jax.random.normal(key, shape, dtype)

    return initialise


def check_smooth(activation) -> None:
    """Raises ValueError for a piecewise linear activation: without curvature the mass matrix would be zero."""
    check_activation(activation)
    second = jax.vmap(jax.grad(jax.grad(activation)))(jnp.linspace(-1.05, 1.05, 8))
    if not (jnp.isfinite(second).all() and jnp.any(jnp.abs(second) > 1e-6)):
        name = getattr(activation, "__name__", activation)
        raise ValueError(
            f"activation={name} has no second derivative, so that the mass matrix would be zero; "
            f"use softplus, tanh, swish or another smooth function"
        )


def check_activation(activation) -> None:
    """Raises ValueError for what is no elementwise function of jax."""
    _arguments.called("activation", activation, "jax.nn.softplus, jnp.tanh or another elementwise function of jax")
    name = getattr(activation, "__name__", activation)
    try:
        shape = jax.eval_shape(activation, jax.ShapeDtypeStruct((2, 3), jnp.result_type(float))).shape
    except Exception as error:
        raise ValueError(
            f"activation={name} fails on a jax array ({error}); give one of jax, such as jnp.tanh"
        ) from error
    if shape != (2, 3):
        raise ValueError(f"activation={name} makes shape {shape} of (2, 3); give an elementwise function: jnp.tanh")


def derivatives(activation, z):
    """Value, slope and second derivative of an elementwise function."""
    if activation is jax.nn.softplus:
        return softplus_derivatives(z)

    def value_and_slope(z):
        return jax.jvp(activation, (z,), (jnp.ones_like(z),))

    (value, slope), (_, bend) = jax.jvp(value_and_slope, (z,), (jnp.ones_like(z),))
    return value, slope, bend


@jax.custom_jvp
def softplus_derivatives(z):
    """log(1 + exp z), its slope and its second derivative, to rounding, with one exponential x = exp(-|z|).

    log(1 + x) = log c + 2 artanh((1 + x - c) / (1 + x + c)) with c = 1, or sqrt 2 where x is above sqrt 2 - 1: both
    ratios are below 0.18, which takes 10 terms. jnp.log1p takes ten times as long on a CPU, where it was a third of an
    acceleration, and separate functions half as long again (measured).
    """
    x = jnp.exp(-jnp.abs(z))
    large = x > math.sqrt(2) - 1
    ratio = jnp.where(large, x + (1 - math.sqrt(2)), x) / jnp.where(large, x + (1 + math.sqrt(2)), x + 2)
    series = jnp.zeros_like(z)
    for k in reversed(range(10)):
        series = series * ratio**2 + 1 / (2 * k + 1)
    value = jnp.maximum(z, 0) + jnp.where(large, math.log(2) / 2, 0.0) + 2 * ratio * series
    inverse = 1 / (1 + x)
    return value, jnp.where(z >= 0, inverse, x * inverse), x * inverse**2


@softplus_derivatives.defjvp
def _of_softplus_derivatives(primals, tangents):
    (z,), (change,) = primals, tangents
    value, slope, bend = softplus_derivatives(z)
    return (value, slope, bend), (slope * change, bend * change, bend * (1 - 2 * slope) * change)


@jax.custom_jvp
def fast_softplus(z):
    """log(1 + exp z) by log(1 + x) = 2 artanh(x / (2 + x)), x = exp(-|z|), to rounding, of operations that discrete
    gradients recognise."""
    x = jnp.exp(-jnp.abs(z))
    ratio = x / (2 + x)  # at most 1/3: 17 terms
    series = jnp.zeros_like(z)
    for k in reversed(range(17)):
        series = series * ratio**2 + 1 / (2 * k + 1)
    return jnp.maximum(z, 0) + 2 * ratio * series


fast_softplus.defjvps(lambda tangent, _, z: jax.nn.sigmoid(z) * tangent)

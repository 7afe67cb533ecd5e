"""Network: what learned densities are made of: layers, initialisers, activations, and derivatives in closed form."""

import inspect
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from lgn import _arguments, _draws
from lgn.densities.density import config_of
from lgn.densities.inputs import Inputs, widths_of

Activation = Callable[[Array], Array]
Initializer = Callable[[int, int], nnx.Initializer]
SMOOTH = jax.nn.softplus, jnp.tanh, jax.nn.tanh, jax.nn.swish  # of which it need not be asked


class Network(nnx.Module):
    """What learned densities share: the settings of their networks, a kinetic prior, and a value that is zero at rest.

    Args:
        hidden: widths of the hidden layers.
        activation: function with a continuous second derivative.
        inputs: what the network sees.
        mass: kinetic prior m: a number, an `nnx.Param` to learn it, or None for the network alone.
        least: how many hidden layers there are at least.

    Raises:
        ValueError: no widths, an activation without second derivative, a mass that is not positive.
    """

    config = config_of

    def __init__(
        self,
        hidden: Sequence[int],
        activation: Activation,
        inputs: Inputs,
        mass: float | nnx.Param | None = None,
        *,
        least: int = 1,
    ):
        name = type(self).__name__
        self.hidden = widths_of(name, hidden, least)
        check_smooth(activation)
        if not (mass is None or isinstance(mass, nnx.Variable)):
            _arguments.positive(f"{name}: the prior, an nnx.Param, None for no prior, or a number, is mass", mass)
        self.dim, self.activation, self.inputs = inputs.dim, activation, inputs
        self.mass: Any = mass

    def prior(self, dtype) -> Array:
        """The kinetic prior m as an array: fixed, learned or zero."""
        return jnp.asarray(self.mass[...] if isinstance(self.mass, nnx.Variable) else self.mass or 0.0, dtype)

    def kinetic_prior(self, v: Float[Array | np.ndarray, "..."]) -> Float[Array, ""]:
        """0.5 m |v|^2, the prior of the velocity of one node, or of a field at one point."""
        return 0.5 * self.prior(v.dtype) * jnp.sum(v**2)

    def above_rest(self, layers: Sequence, seen: Float[Array, " input"], at_rest: Float[Array, " input"]) -> Array:
        """Output of a network less that for what it sees at rest, so that a field at rest has no energy. It is a
        constant that no derivative by the state computes."""
        return (perceptron(layers, self.activation, seen) - perceptron(layers, self.activation, at_rest))[0]


def at_rest(*local) -> tuple:
    """q = 0, v = 0 or u = 0 with the same features."""
    *state, features = local
    return *map(jnp.zeros_like, state), features


def dense_layers(sizes: Sequence[int], initializer: Initializer, rngs: nnx.Rngs | None) -> nnx.List:
    """Affine layers from sizes[0] inputs to sizes[-1] outputs, in the default floating dtype.

    Raises:
        ValueError: random streams or an initialiser that are none.
    """
    streams = _arguments.streams("network", rngs)
    _check_initializer(initializer)
    count, dtype = len(sizes) - 1, jnp.result_type(float)
    return nnx.List(
        nnx.Linear(a, b, kernel_init=initializer(i, count), bias_init=_zeros, param_dtype=dtype, rngs=streams)
        for i, (a, b) in enumerate(zip(sizes[:-1], sizes[1:], strict=True))
    )


def _zeros(key, shape, dtype=jnp.float32, out_sharding=None) -> Array:
    """Zeros of numpy, which take no program."""
    return jax.device_put(np.zeros(shape, dtype))


def weights(layers: Sequence, dtype) -> list[tuple[Array, Array]]:
    """Kernel and bias of each layer."""
    return [(layer.kernel[...].astype(dtype), layer.bias[...].astype(dtype)) for layer in layers]


def perceptron(layers: Sequence, activation, x: Float[Array, " input"]) -> Float[Array, " output"]:
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
    if [p.name for p in taken[:2]] == ["key", "shape"]:
        raise ValueError(f"initializer takes (key, shape), as that of one layer does; expected {examples}, not called")


def small_output(layer: int, layers: int) -> nnx.Initializer:
    """LeCun normal kernels, the last one a hundred times smaller: the density starts as little more than its prior."""
    return _scaled(_draws.normal, 1e-4 if layer == layers - 1 else 1.0)


def lecun_normal(layer: int, layers: int) -> nnx.Initializer:
    """LeCun normal kernels in every layer: for a network that is the whole density."""
    return _scaled(partial(_draws.truncated_normal, lower=-2, upper=2), 1.0, 0.87962566103423978)


def _scaled(draw: Callable, variance: float, deviation: float = 1.0) -> nnx.Initializer:
    """Kernels (inputs, outputs) of draws of a deviation, scaled to variance / inputs, as `variance_scaling` of jax."""

    def initialise(key, shape, dtype=jnp.float32, out_sharding=None):
        size = np.sqrt(np.asarray(variance / math.prod(shape[:-1]), dtype)) / np.asarray(deviation, dtype)
        drawn = draw(key, shape=shape, dtype=dtype)
        return drawn * size if _arguments.transformed() else jax.device_put(np.asarray(drawn) * size)

    return initialise


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
        return factor / np.sqrt(n) * _draws.normal(key, shape, dtype)

    return initialise


def check_smooth(activation) -> None:
    """Raises ValueError for a piecewise linear activation: without curvature the mass matrix would be zero."""
    check_activation(activation)
    if activation in SMOOTH:
        return
    with jax.ensure_compile_time_eval():
        second = np.asarray(jax.jit(jax.vmap(jax.grad(jax.grad(activation))))(np.linspace(-1.05, 1.05, 8)))
    if not (np.isfinite(second).all() and (np.abs(second) > 1e-6).any()):
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


class Curvature(NamedTuple):
    """Derivatives of sensitivity . y, for the last units y of a network."""

    first: Float[Array, "... unit"]  # by the inputs of the first activation
    second: Float[Array, "... tangent tangent"]
    mixed: Float[Array, "... tangent"]  # along a tangent and the direction


class Passed(NamedTuple):
    """A network, passed forward: its last units and their derivatives."""

    value: Float[Array, "... unit"]
    tangents: Float[Array, "... tangent unit"]
    along: Float[Array, "... unit"]  # along the direction
    back: Callable[[Array], Curvature]  # of sensitivity (..., unit)


def forward(
    activation: Activation,
    start: Float[Array, "... unit"],
    tangents: Float[Array, "... tangent unit"],
    along: Float[Array, "... unit"],
    layers: Sequence[tuple[Array, Array]],
) -> Passed:
    """A network from the inputs z_1 of its first activation, which are affine in what it sees, to its last activation.

    With z_l the input of activation s in layer l, delta_l = dy/ds(z_l) and J_l = dz_l along the tangents:

        second = sum_l J_l^T diag(delta_l s''(z_l)) J_l,

    and mixed is the same with the right J_l replaced by dz_l along the direction. One product with each kernel forward,
    one back and one a tangent: half of what forward-over-reverse differentiation takes. `start` is z_1, `tangents` and
    `along` are dz_1; tangents that all share are (tangent, unit). `layers` stand between the activations.
    """
    value, slope, bend = derivatives(activation, start)
    passed: list[tuple] = [(None, tangents, along, slope, bend)]
    for kernel, bias in layers:
        tangents, along = _through(slope, tangents, kernel), (slope * along) @ kernel
        value, slope, bend = derivatives(activation, value @ kernel + bias)
        passed.append((kernel, tangents, along, slope, bend))

    def back(sensitivity) -> Curvature:
        second, mixed = jnp.zeros((), start.dtype), jnp.zeros((), start.dtype)
        for kernel, tangents, along, slope, bend in reversed(passed):
            curvature = sensitivity * bend
            second += _gram(curvature, tangents)
            mixed += _contract(curvature * along, tangents)
            first = sensitivity * slope
            sensitivity = first if kernel is None else first @ kernel.T
        return Curvature(first, second, mixed)

    return Passed(value, slope[..., None, :] * tangents, slope * along, back)


def _through(slope, tangents, kernel):
    """(slope * tangent) @ kernel for each tangent; one product of the slopes while all share them."""
    if tangents.ndim > 2:
        return (slope[..., None, :] * tangents) @ kernel
    shared = tangents.T[:, :, None] * kernel[:, None]
    return (slope @ shared.reshape(len(kernel), -1)).reshape(*slope.shape[:-1], *shared.shape[1:])


def _gram(weights, tangents):
    """Sum over units of weights times two tangents, (..., tangent, tangent), each two once."""
    count = tangents.shape[-2]
    rows = [_contract(weights, tangents[..., i, None, :] * tangents[..., : i + 1, :]) for i in range(count)]
    lower = jnp.stack([jnp.pad(row, [(0, 0)] * (row.ndim - 1) + [(0, count - row.shape[-1])]) for row in rows], -2)
    return lower + lower.mT * ~np.eye(count, dtype=bool)


def _contract(weights, tangents):
    """Sum over units of weights (..., unit) times tangents, as a product with a matrix or a vector, because XLA does
    not vectorise sums along rows."""
    if tangents.ndim > 2:
        return (weights[..., None, :] * tangents) @ jnp.ones(tangents.shape[-1], tangents.dtype)
    return weights @ tangents.T

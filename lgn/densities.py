"""Densities: local functions l(q, v, features) -> scalar. `MLPDensity` is learned; any plain function is one too."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

Density = Callable[[Float[Array, "slot dim"], Float[Array, "slot dim"], dict[str, Array]], Float[Array, ""]]
Initializer = Callable[[int, int], nnx.Initializer]


class Expansion(NamedTuple):
    """What the equation of motion needs of a density on a batch of elements.

    Attributes:
        force: dl/dq, (element, slot, dim).
        momentum: dl/dv, (element, slot, dim).
        mass: d2l/dv dv, (element, slot, dim, slot, dim).
        convection: (d2l/dv dq) v, (element, slot, dim).
    """

    force: Float[Array, "element slot dim"]
    momentum: Float[Array, "element slot dim"]
    mass: Float[Array, "element slot dim slot dim"]
    convection: Float[Array, "element slot dim"]


class MLPDensity(nnx.Module):
    """Multilayer perceptron on the values of a stencil, beside a kinetic prior on slot 0.

        l(q, v) = 0.5 m |v_0|^2 + MLP(q / q_scale, v / v_scale, features)

    With the prior and a small network the mass matrix starts near m times the identity: positive definite.

    Args:
        slots: nodes that an element reads.
        dim: values a node carries.
        hidden: widths of the hidden layers.
        activation: function with a continuous second derivative.
        mass: kinetic prior m: a number, an `nnx.Param` to learn it, or None for the network alone.
        q_scale: typical size of q, one number or one for each degree of freedom.
        v_scale: the same for v.
        features: names of the features that are inputs too.
        feature_size: how many numbers these features are together.
        feature_scale: their typical size, one number or one for each of them.
        relative: whether q enters as differences to slot 0: then a shift of all nodes moves nothing, and total
            momentum is conserved exactly.
        angles: degrees of freedom that are angles: they enter as sine and cosine, unscaled, so that l has period 2 pi.
        initializer: (layer, layers) -> nnx initialiser of its kernel; default `small_output`, see `lnn_initializer`.
        rngs: random streams.

    Raises:
        ValueError: sizes that are not positive, scales of the wrong length, an activation without second derivative.

    Example:
        >>> import jax.numpy as jnp, lgn
        >>> from flax import nnx
        >>> density = lgn.MLPDensity(slots=3, dim=1, hidden=(24, 24), rngs=nnx.Rngs(0))
        >>> density(jnp.zeros((3, 1)), jnp.ones((3, 1)), {}).shape
        ()
    """

    def __init__(
        self,
        slots: int,
        dim: int,
        hidden: Sequence[int] = (24, 24),
        *,
        activation: Callable[[Array], Array] = jax.nn.softplus,
        mass: float | nnx.Param | None = 1.0,
        q_scale: float | Sequence[float] = 1.0,
        v_scale: float | Sequence[float] = 1.0,
        features: Sequence[str] = (),
        feature_size: int = 0,
        feature_scale: float | Sequence[float] = 1.0,
        relative: bool = False,
        angles: Sequence[int] = (),
        initializer: Initializer | None = None,
        rngs: nnx.Rngs,
    ):
        if relative and slots < 2:
            raise ValueError(
                f"MLPDensity: relative=True with slots={slots}: no slot to compare with; use relative=False"
            )
        if min(slots, dim, len(hidden), *hidden) < 1:
            raise ValueError(f"MLPDensity: slots={slots}, dim={dim}, hidden={tuple(hidden)}; each must be at least 1")
        if bool(features) != bool(feature_size):
            raise ValueError(f"MLPDensity: features={tuple(features)} with feature_size={feature_size}; give both")
        check_smooth(activation)
        self.slots, self.dim, self.hidden, self.activation = slots, dim, tuple(hidden), activation
        self.mass, self.features, self.feature_size, self.relative = mass, tuple(features), feature_size, relative
        self.q_scale, self.v_scale = scale_of("q_scale", q_scale, dim), scale_of("v_scale", v_scale, dim)
        self.feature_scale = scale_of("feature_scale", feature_scale, max(1, feature_size))
        self.angles = angles_of(angles, dim)
        self._places = (slots - relative) * (dim + len(self.angles))  # inputs that q makes
        sizes = (self._places + slots * dim + feature_size, *hidden, 1)
        self.layers = dense_layers(sizes, initializer or small_output, rngs)

    def __call__(self, q, v, features) -> Float[Array, ""]:
        value = perceptron(self.layers, self.activation, self._inputs(q, v, features))[0]
        return value + 0.5 * prior_mass(self.mass, v.dtype) * jnp.sum(v[0] ** 2)

    def expand(self, q, v, features) -> Expansion:
        """The `Expansion` of a batch of elements, in closed form.

        With z_l the input of activation s in layer l, delta_l = dl/ds(z_l) and J_l = dz_l/dv:

            d2l/dv dv = sum_l J_l^T diag(delta_l s''(z_l)) J_l,

        and (d2l/dv dq) v is the same with the right J_l replaced by (dz_l/dq) v. One product with each kernel
        forward, one back and one a tangent: half of what forward-over-reverse differentiation takes.
        """
        *hidden, (output, _) = weights(self.layers, q.dtype)
        batch, width = len(q), self.slots * self.dim
        from_place, from_v = self._split(hidden[0][0])
        velocity = v.reshape(batch, width)
        _, shift = jax.jvp(jax.vmap(self._place), (q,), (v,))
        _, pull_back = jax.vjp(jax.vmap(self._place), q)

        x = jax.vmap(self._inputs)(q, v, features)
        basis, along = from_v[None], shift @ from_place  # dz/dv, at first the same for all elements, and (dz/dq) v
        layers: list[tuple] = []
        for kernel, bias in hidden:
            if layers:
                slope = layers[-1][3]
                basis, along = _through(slope, basis, kernel), (slope * along) @ kernel
            x, slope, bend = _derivatives(self.activation, x @ kernel + bias)
            layers.append((kernel, basis, along, slope, bend))

        prior = prior_mass(self.mass, q.dtype) * np.repeat(np.arange(self.slots) == 0, self.dim)
        mass, convection = jnp.diag(prior), jnp.zeros((), q.dtype)
        sensitivity = output[:, 0]
        for kernel, basis, along, slope, bend in reversed(layers):
            curvature = sensitivity * bend
            mass += jnp.stack([_contract(curvature, basis[:, i, None] * basis) for i in range(width)], 1)
            convection += _contract(curvature * along, basis)
            first = sensitivity * slope
            sensitivity = first @ kernel.T

        nodal = (batch, self.slots, self.dim)
        return Expansion(
            force=pull_back(first @ from_place.T)[0],
            momentum=(first @ from_v.T + prior * velocity).reshape(nodal),
            mass=mass.reshape(*nodal, self.slots, self.dim),
            convection=convection.reshape(nodal),
        )

    def config(self) -> dict:
        """Arguments that make a density of this shape again."""
        names = ("slots", "dim", "hidden", "activation", "mass", "q_scale", "v_scale", "features", "feature_size")
        return {name: getattr(self, name) for name in (*names, "feature_scale", "relative", "angles")}

    def _inputs(self, q, v, features):
        named = [jnp.ravel(features[name]).astype(q.dtype) for name in self.features]
        known = [jnp.concatenate(named) / jnp.asarray(self.feature_scale, q.dtype)] if named else []
        return jnp.concatenate([self._place(q), jnp.ravel(v / jnp.asarray(self.v_scale, v.dtype)), *known])

    def _place(self, q):
        """What the network sees of q."""
        return jnp.ravel(coordinates(q[1:] - q[0] if self.relative else q, self.q_scale, self.angles))

    def _split(self, kernel):
        """Rows of the first kernel that `_place` meets, and those that v meets, with its scale taken in."""
        rows = kernel[self._places : self._places + self.slots * self.dim].reshape(self.slots, self.dim, -1)
        v_rows = rows / jnp.asarray(self.v_scale, kernel.dtype)[:, None]
        return kernel[: self._places], v_rows.reshape(-1, kernel.shape[1])


def dense_layers(sizes: Sequence[int], initializer: Initializer, rngs: nnx.Rngs) -> nnx.List:
    """Affine layers from sizes[0] inputs to sizes[-1] outputs, in the default floating dtype."""
    count, dtype = len(sizes) - 1, jnp.result_type(float)
    return nnx.List(
        nnx.Linear(a, b, kernel_init=initializer(i, count), param_dtype=dtype, rngs=rngs)
        for i, (a, b) in enumerate(zip(sizes[:-1], sizes[1:], strict=True))
    )


def weights(layers: nnx.List, dtype) -> list[tuple[Array, Array]]:
    """Kernel and bias of each layer."""
    return [(layer.kernel[...].astype(dtype), layer.bias[...].astype(dtype)) for layer in layers]


def perceptron(layers: nnx.List, activation, x: Float[Array, " input"]) -> Float[Array, " output"]:
    """Affine layers with an activation between each two."""
    *hidden, (kernel, bias) = weights(layers, x.dtype)
    for inner_kernel, inner_bias in hidden:
        x = activation(x @ inner_kernel + inner_bias)
    return x @ kernel + bias


def prior_mass(mass, dtype) -> Array:
    """The kinetic prior as an array: given, learned or none."""
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


def scale_of(name: str, value, dim: int) -> tuple[float, ...]:
    """One positive scale for each degree of freedom."""
    values = np.broadcast_to(value, (dim,)) if np.ndim(value) == 0 else np.asarray(value)
    if values.shape != (dim,) or not (np.isfinite(values).all() and (values > 0).all()):
        raise ValueError(f"{name}={value}; give a positive number, or one for each of {dim}")
    return tuple(float(x) for x in values)


def angles_of(angles, dim: int) -> tuple[int, ...]:
    """The degrees of freedom that are angles, ascending."""
    given = tuple(int(i) for i in angles)
    if len(set(given)) != len(given) or not set(given) <= set(range(dim)):
        raise ValueError(f"angles={angles}; give distinct degrees of freedom out of 0 to {dim - 1}")
    return tuple(sorted(given))


def coordinates(q: Float[Array, "slot dim"], scale, angles: tuple[int, ...]) -> Float[Array, "slot coordinate"]:
    """q over its scale, and in the place of each angle its cosine, with the sines of the angles at the end."""
    if not angles:
        return q / jnp.asarray(scale, q.dtype)
    turning = np.isin(np.arange(q.shape[1]), angles)
    straight = jnp.where(turning, jnp.cos(q), q / jnp.asarray(scale, q.dtype))
    return jnp.concatenate([straight, jnp.sin(q[:, np.array(angles)])], 1)


def check_smooth(activation) -> None:
    """Raises ValueError: a piecewise linear activation has no curvature: its mass matrix would be zero."""
    second = jax.vmap(jax.grad(jax.grad(activation)))(jnp.linspace(-1.05, 1.05, 8))
    if not (jnp.isfinite(second).all() and jnp.any(jnp.abs(second) > 1e-6)):
        name = getattr(activation, "__name__", activation)
        raise ValueError(
            f"activation={name} has no second derivative, so that the mass matrix would be zero; "
            f"use softplus, tanh, swish or another smooth function"
        )


def _through(slope, basis, kernel):
    """(slope * tangent) @ kernel for each tangent of the basis; one product of the slopes while all elements share it.

    Shapes: slope (element, unit), basis (element or 1, tangent, unit), kernel (unit, next)."""
    if len(basis) == len(slope):
        return (slope[:, None] * basis) @ kernel
    shared = basis[0].T[:, :, None] * kernel[:, None]
    return (slope @ shared.reshape(len(kernel), -1)).reshape(len(slope), *shared.shape[1:])


def _contract(weights, basis):
    """Sum over units of weights (element, unit) times basis (element or 1, tangent, unit), as a product with a matrix
    or a vector, for XLA does not vectorise sums along rows."""
    if len(basis) == len(weights):
        return (weights[:, None] * basis) @ jnp.ones(basis.shape[-1], basis.dtype)
    return weights @ basis[0].T


def _derivatives(activation, z):
    """Value, slope and second derivative of an elementwise function."""
    if activation is jax.nn.softplus:
        slope = jax.nn.sigmoid(z)
        return _softplus(z), slope, slope * (1 - slope)

    def value_and_slope(z):
        return jax.jvp(activation, (z,), (jnp.ones_like(z),))

    (value, slope), (_, bend) = jax.jvp(value_and_slope, (z,), (jnp.ones_like(z),))
    return value, slope, bend


@jax.custom_jvp
def _softplus(z):
    """log(1 + exp z) by log(1 + x) = 2 artanh(x / (2 + x)), x = exp(-|z|), to rounding.

    jnp.log1p takes ten times as long on a CPU, where it was a third of an acceleration (measured).
    """
    x = jnp.exp(-jnp.abs(z))
    ratio = x / (2 + x)  # at most 1/3: 17 terms
    series = jnp.zeros_like(z)
    for k in reversed(range(17)):
        series = series * ratio**2 + 1 / (2 * k + 1)
    return jnp.maximum(z, 0) + 2 * ratio * series


_softplus.defjvps(lambda tangent, _, z: jax.nn.sigmoid(z) * tangent)

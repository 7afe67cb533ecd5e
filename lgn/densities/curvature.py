"""Curvature: a network with its first and second derivatives along tangents, in one pass forward and one back."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from lgn.densities.layers import Activation, derivatives


class Curvature(NamedTuple):
    """Derivatives of sensitivity . y, for the last units y of a network.

    Attributes:
        first: by the inputs of the first activation, (..., unit).
        second: twice along tangents, (..., tangent, tangent).
        mixed: along a tangent and the direction, (..., tangent).
    """

    first: Float[Array, "... unit"]
    second: Float[Array, "... tangent tangent"]
    mixed: Float[Array, "... tangent"]


class Passed(NamedTuple):
    """A network, passed forward.

    Attributes:
        value: its last units y, (..., unit).
        tangents: their derivative along each tangent, (..., tangent, unit).
        along: along the direction, (..., unit).
        back: sensitivity (..., unit) -> `Curvature`.
    """

    value: Float[Array, "... unit"]
    tangents: Float[Array, "... tangent unit"]
    along: Float[Array, "... unit"]
    back: Callable[[Array], Curvature]


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
    one back and one a tangent: half of what forward-over-reverse differentiation takes.

    Args:
        activation: of each layer.
        start: z_1.
        tangents: dz_1 along each tangent; (tangent, unit) where all share them.
        along: dz_1 along the direction.
        layers: (kernel, bias) between the activations.
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

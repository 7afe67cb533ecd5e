"""Pairings: what a network sees of the states of two nodes; it is what makes a density symmetric.

`both_states` sees all, `difference` and `distance` see what a spring sees, `inverse_distance` and `log_distance` what a
force between points sees (infinite at no distance: for `PairDensity`, since a `MessageDensity` pairs a node with itself
too), `invariants` all that no rotation changes.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array

from lgn import _arguments

Pairing = Callable[[Array, Array, Array, Array], Array]


def both_states(q0, v0, q1, v1) -> Array:
    """q0, v0, q1, v1: everything."""
    return jnp.concatenate([q0, v0, q1, v1])


def difference(q0, v0, q1, v1) -> Array:
    """q1 - q0: total momentum is conserved, and no velocity is read."""
    return q1 - q0


def distance(q0, v0, q1, v1) -> Array:
    """|q1 - q0|^2, for q in space: a central force, total and angular momentum are conserved."""
    return jnp.sum((q1 - q0) ** 2, keepdims=True)


def log_distance(q0, v0, q1, v1) -> Array:
    """log |q1 - q0|, for q in space: a central force over many scales, undefined where the nodes meet.

    Example:
        >>> import jax.numpy as jnp, lgn
        >>> q0, q1, v = jnp.zeros(2), jnp.array([3.0, 4.0]), jnp.zeros(2)
        >>> lgn.log_distance(q0, v, q1, v).round(3).tolist(), lgn.inverse_distance(q0, v, q1, v).round(3).tolist()
        ([1.609], [0.2])
    """
    return 0.5 * jnp.log(distance(q0, v0, q1, v1))


def inverse_distance(q0, v0, q1, v1) -> Array:
    """1 / |q1 - q0|, for q in space: a central force that falls off, and grows without limit where the nodes meet."""
    return 1 / jnp.sqrt(distance(q0, v0, q1, v1))


def invariants(q0, v0, q1, v1) -> Array:
    """Scalar products of r = q1 - q0, v0 and v1, for q in space: all that neither shift nor rotation changes."""
    vectors = jnp.stack([q1 - q0, v0, v1])
    return (vectors @ vectors.T)[jnp.triu_indices(3)]


def size_of(pairing, inputs) -> int:
    """Length of what a pairing makes of two states."""
    _arguments.called("pairing", pairing, "lgn.difference, lgn.distance or a function (q0, v0, q1, v1) -> vector")
    q, v = (jax.ShapeDtypeStruct((n,), jnp.result_type(float)) for n in (inputs.coordinates, inputs.moving))
    try:
        shape = jax.eval_shape(pairing, q, v, q, v).shape
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"pairing {getattr(pairing, '__name__', pairing)} takes no (q0, v0, q1, v1) with q of "
            f"{inputs.coordinates} numbers and v of {inputs.moving} ({error}); angles make two numbers of one"
        ) from error
    if len(shape) != 1:
        raise ValueError(f"pairing {getattr(pairing, '__name__', pairing)} returns shape {shape}; expected a vector")
    return shape[0]

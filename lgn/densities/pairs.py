"""Pairs: what a network sees of two nodes by a pairing, (q0, v0, q1, v1) of (dim,) scaled values each -> vector.

Pairings infinite at no distance are for `PairDensity`: a `MessageDensity` pairs a node with itself too.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from lgn import _arguments
from lgn.densities.density import Expansion
from lgn.densities.inputs import Inputs
from lgn.densities.network import Activation, Passed, forward

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


class Seen(NamedTuple):
    """What is seen in a batch of elements, and its derivatives; `both`: velocities of the near, then the far end."""

    value: Float[Array, "element pair seen"]
    slopes: Float[Array, "... both seen"]  # by velocities; without leading axes where they depend on no state
    along: Float[Array, "element pair seen"]  # for dq = v

    def through(self, activation: Activation, layers: Sequence[tuple[Array, Array]], known) -> tuple[Passed, Array]:
        """A network of this and of what is known, (element, pair, known), along these velocities; and the rows of its
        first kernel that are for this."""
        (kernel, bias), *later = layers
        start = jnp.concatenate([self.value, known], -1) @ kernel + bias
        rows = kernel[: self.value.shape[-1]]
        return forward(activation, start, self.slopes @ rows, self.along @ rows, later), rows


class Weighed(NamedTuple):
    """Derivatives of a weighted sum of what is seen."""

    force: Float[Array, "element slot dim"]  # by q
    momentum: Float[Array, "element slot dim"]  # by v
    second: Float[Array, "element pair both both"]  # twice by the velocities of both ends
    mixed: Float[Array, "element pair both"]  # by one of them, and for dq = v


class Pairs:
    """A pairing on pairs of slots of an element, given by the slots of their near and of their far ends."""

    def __init__(self, pairing: Pairing, inputs: Inputs, near, far):
        self.pairing, self.inputs, self.near, self.far = pairing, inputs, np.array(near, int), np.array(far, int)

    def __call__(
        self, q: Float[Array | np.ndarray, "slot dim"], v: Float[Array | np.ndarray, "slot rate"]
    ) -> Float[Array, "pair seen"]:
        """What is seen in one element."""
        return jax.vmap(self.pairing)(*self._states(q, v))

    def seen(self, q: Float[Array, "element slot dim"], v: Float[Array, "element slot dim"]) -> Seen | None:
        """That of a batch; None where the pairing reads no velocity."""
        states, shift = self._moving(q, v)
        slopes = _constant(self._slopes, states)
        if slopes is not None and not slopes.any():
            return None
        value, along = jax.jvp(_of_pairs(self.pairing), states, shift)
        return Seen(value, _of_pairs(self._slopes)(*states) if slopes is None else jnp.asarray(slopes), along)

    def back(self, q, v, weights: Float[Array, "element pair seen"]) -> Weighed:
        """Derivatives of weights . seen."""
        _, pull_back = jax.vjp(jax.vmap(self), q, v)
        return Weighed(*pull_back(weights), *_of_pairs(self._bends)(weights, *self._moving(q, v)))

    def _states(self, q, v):
        """Place and speed of the near, then of the far ends, (pair, ...) each."""
        origin, speed = q[self.near] if self.inputs.relative else 0.0, self.inputs.speed(v)
        near, far = (self.inputs.coordinate(q[end] - origin) for end in (self.near, self.far))
        return near, speed[self.near], far, speed[self.far]

    def _moving(self, q, v):
        """`_states` of a batch, and how they change for dq = v."""
        return jax.jvp(lambda q: jax.vmap(self._states)(q, v), (q,), (v,))

    def _slopes(self, near, speed, far, other):
        """(2 dim, seen) of one pair, by v."""
        slopes = jax.jacfwd(lambda speeds: self.pairing(near, speeds[0], far, speeds[1]))(jnp.stack([speed, other]))
        return jnp.moveaxis(slopes, 0, -1).reshape(-1, len(slopes)) / self._scale(slopes.dtype)

    def _bends(self, weights, states, shift):
        """Second and mixed derivatives of weights . pairing of one pair."""

        def slope(*state):
            return self._slopes(*state) @ weights

        second = jnp.concatenate(jax.jacfwd(slope, (1, 3))(*states), 1) / self._scale(weights.dtype)[:, 0]
        still = jnp.zeros_like(states[1])
        return second, jax.jvp(slope, states, (shift[0], still, shift[2], still))[1]

    def _scale(self, dtype):
        return jnp.tile(jnp.asarray(self.inputs.v_scale, dtype), 2)[:, None]


def _of_pairs(function: Callable) -> Callable:
    """Of one pair, for all pairs of a batch."""
    return jax.vmap(jax.vmap(function))


def _constant(function: Callable, states) -> np.ndarray | None:
    """The value of a function of one pair's states, where it depends on none of them."""
    with jax.ensure_compile_time_eval():
        examples = [jnp.ones((2, *x.shape[2:]), x.dtype) for x in states]
        try:
            return np.asarray(jax.vmap(function, out_axes=None)(*examples))
        except ValueError:  # what depends on them has an axis for them
            return None


def without_velocities(density, q, v, features) -> Expansion:
    """The `Expansion` of a density that reads no velocity beside its prior on slot 0, without the prior's mass."""
    force, momentum = jax.vmap(jax.grad(density, (0, 1)))(q, v, features)
    return Expansion(force, momentum, jnp.zeros((*v.shape, *v.shape[1:]), v.dtype), jnp.zeros_like(v))


def spread(at_ends: Float[Array, "element pair both ..."]) -> Float[Array, "element all ..."]:
    """Sums at the slots: the near end, slot 0 of every pair, then the far ends, slots 1, 2, ..."""
    near, far = jnp.split(at_ends, 2, 2)
    return jnp.concatenate([near.sum(1), far.reshape(len(far), -1, *far.shape[3:])], 1)


def spread_twice(at_ends: Float[Array, "element pair both both"]) -> Float[Array, "element all all"]:
    """(element, slot dim, slot dim): two far ends meet only where they are one."""
    count, pairs, dim = *at_ends.shape[:2], at_ends.shape[2] // 2
    near, far = spread(at_ends[..., :dim]), at_ends[..., dim:]
    across = far[:, :, :dim].swapaxes(1, 2).reshape(count, dim, pairs * dim)
    apart = jnp.eye(pairs, dtype=far.dtype)[:, None, :, None] * far[:, :, dim:, None]
    rest = jnp.concatenate([across, apart.reshape(count, pairs * dim, pairs * dim)], 1)
    return jnp.concatenate([near, rest], 2)


def centre(at_ends: Float[Array, "element 1 both ..."], slots: int) -> Float[Array, "element all ..."]:
    """The same of the pair of slot 0 with itself: both ends are there."""
    near, far = jnp.split(at_ends[:, 0], 2, 1)
    return jnp.pad(near + far, [(0, 0), (0, (slots - 1) * near.shape[1])] + [(0, 0)] * (near.ndim - 2))


def centre_twice(at_ends: Float[Array, "element 1 both both"], slots: int) -> Float[Array, "element all all"]:
    """The same of a matrix."""
    near, far = jnp.split(centre(at_ends, slots), 2, 2)
    return jnp.pad(near + far, [(0, 0), (0, 0), (0, (slots - 1) * near.shape[2])])

"""Loss: the base class of losses, with every member that `fit` asks for and its default, and the errors they share.

A loss is a function (system, data) -> scalar > 0, relative to the size of what it compares, so that its root is a
relative error. A plain function is one: `as_loss` reads it as a `Loss`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lgn import _arguments
from lgn.data.samples import States, Windows

Data = States | Windows
LossLike = Callable[[Any, Any], jax.Array]  # a `Loss`, or a function (system, data)
Error = Callable[..., jax.Array]  # (found, exact, counted) -> scalar; `counted` says which entries, None for all
FEWEST = 10  # samples, of which a share can be held out


class Loss:
    """Base class of losses. Only `__call__` must be written; evaluate the system at all samples by `samples.on_samples`
    or `samples.at_states`, so that they may be divided over devices.

    Example:
        >>> import jax, jax.numpy as jnp, lgn
        >>> from flax import nnx
        >>> from lgn.learning.loss import Loss
        >>> from lgn.learning.samples import at_states
        >>> from lgn.systems import wave
        >>> class Quartic(Loss):
        ...     def __call__(self, system, data):
        ...         a = at_states(lambda system, state, t: system.acceleration(*state, t), system, data)
        ...         return jnp.mean((a - data.a) ** 4) / jnp.mean(data.a**4)
        >>> L = lgn.Lagrangian(lgn.lattice((5,)), lgn.MLPDensity(3, 1, (4,), rngs=nnx.Rngs(0)))
        >>> bool(Quartic()(L, wave.sample(jax.random.key(0), 20, 5)) > 0)  # and lgn.fit(..., loss=Quartic())
        True
    """

    def __call__(self, system: Any, data: Any) -> jax.Array:
        """Loss of a system on data, a scalar > 0 that jax can differentiate."""
        raise NotImplementedError(f"{type(self).__name__} has no __call__(system, data) -> scalar; write it")

    def check(self, system: Any, data: Any) -> None:
        """Raises ValueError, before anything is traced, if the system cannot be trained on these data."""

    def judge(self, data: Any) -> "LossLike | None":
        """Loss of held-out data of this kind, None where they cannot judge: of states itself; of pieces of a motion
        none, since a loss that compares single steps of noisy states rewards a model that fits the noise."""
        return self if isinstance(data, States) else None

    def hold_out(self, data: Any, share: float, key: jax.Array) -> tuple[Any, Any] | None:
        """Data to train on, and those that judge; None where there are too few. Whole trials, where the data tell them
        apart; else of states a random share, of pieces of one motion those in the middle of its time, with others on
        either side, of which those that overlap them are left out.

        Args:
            data: all samples.
            share: of them to hold out, between 0 and 1.
            key: of the draw.
        """
        count = len(data.q)
        kept: Any = None
        if data.trial is not None and len(np.unique(data.trial)) > 1:
            names = jax.random.permutation(key, np.unique(data.trial))
            held = np.isin(data.trial, names[: max(1, round(share * len(names)))])
        elif count < FEWEST:
            return None
        elif isinstance(data, States):
            held = np.isin(np.arange(count), jax.random.permutation(key, count)[: round(share * count)])
        else:
            begin = np.arange(count, dtype=float) if data.t is None else np.asarray(data.t)
            span = 0.0 if data.t is None else np.asarray(data.dt) * (data.q.shape[1] - 1)
            first = (count - round(share * count)) // 2
            low, high = np.sort(begin)[[first, first + round(share * count) - 1]]
            held = (begin >= low) & (begin <= high)
            kept = (begin + span < low) | (begin > (begin + span)[held].max())
        kept = ~held if kept is None else kept
        if not kept.any() or not held.any():
            return None
        return _pick(data, kept), _pick(data, held)

    def mark(self, system: Any) -> Any:
        """Trained system, which may note how it was trained."""
        return system


@dataclass(frozen=True)
class Plain(Loss):
    """Function read as a `Loss`."""

    function: LossLike

    def __call__(self, system, data) -> jax.Array:
        return self.function(system, data)

    def judge(self, data: Any) -> LossLike | None:
        return self.function if isinstance(data, States) else None


def _pick(data, which):
    return jax.tree.map(lambda x: x[np.flatnonzero(which)], data)


def as_loss(loss: LossLike) -> Loss:
    """Loss with every member: itself, or a function as `Plain`."""
    return loss if isinstance(loss, Loss) else Plain(loss)


def relative(found, exact, counted=None) -> jax.Array:
    """Mean squared error relative to the mean square."""
    if counted is None:
        return jnp.mean((found - exact) ** 2) / jnp.mean(exact**2)
    return jnp.sum(counted * (found - exact) ** 2) / jnp.sum(counted * exact**2)


@dataclass(frozen=True)
class Huber:
    """Robust error: the square of a difference r that is small, in proportion to |r| beyond `width`, so that values
    that are far off, such as a tracker's slips, do not outweigh all others:

        sum of 2 w^2 (sqrt(1 + (r / w)^2) - 1) / sum of exact^2,    w = width * root mean square of the exact values.

    Smooth, as a quasi-Newton method needs it. Every loss takes it as its `error`.

    Args:
        width: where a difference begins to count as an outlier, relative to the size of what is compared; about the
            relative noise of the good values (docs/training.md).

    Raises:
        ValueError: a width that is not positive.

    Source: Charbonnier et al. 1997, IEEE Trans. Image Process. 6, 298 (the smooth form of Huber 1964).

    Example:
        >>> import functools, jax.numpy as jnp, lgn
        >>> robust = functools.partial(lgn.acceleration_loss, error=lgn.Huber(0.1))  # a loss for `fit`
        >>> found, exact = jnp.ones((1, 2, 1)), jnp.array([[[1.0], [101.0]]])
        >>> bool(lgn.Huber(0.1)(found, exact) < 0.2)  # 1 / 5 and less of the mean square, which is 0.98
        True
    """

    width: float

    def __post_init__(self):
        _arguments.positive("Huber: width", self.width)

    def __call__(self, found, exact, counted=None) -> jax.Array:
        counted = jnp.ones_like(exact) if counted is None else counted * jnp.ones_like(exact)
        square = jnp.sum(counted * exact**2)
        width = self.width * jnp.sqrt(square / jnp.sum(counted))
        reached = jnp.sqrt(1 + ((found - exact) / width) ** 2) - 1
        return jnp.sum(counted * 2 * width**2 * reached) / square

"""Penalty: a loss beside the size of the weights, for data with noise or few data."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from flax import nnx

from lgn import _arguments
from lgn.learning.losses import Loss, acceleration_loss
from lgn.learning.shooting import Start


@dataclass(frozen=True)
class WeightPenalty:
    """loss + strength * (sum of the squares of all kernels), the parameters that are matrices;
    the starts of `Shooting` are none.

    Held-out data are judged by the loss alone. Measured beside other remedies in docs/training.md.

    Args:
        strength: in the unit of the loss, which is relative; of the order of the square of the relative noise over the
            number of weights.
        loss: of the data.

    Raises:
        ValueError: a strength that is negative or not finite.

    Example:
        >>> import jax, lgn
        >>> from flax import nnx
        >>> from lgn.systems import wave
        >>> L = lgn.Lagrangian(lgn.lattice((5,)), lgn.MLPDensity(3, 1, (4,), rngs=nnx.Rngs(0)))
        >>> data = wave.sample(jax.random.key(0), 20, 5)
        >>> bool(lgn.WeightPenalty(1e-3)(L, data) > lgn.acceleration_loss(L, data))
        True
    """

    strength: float
    loss: Loss = acceleration_loss

    def __post_init__(self):
        _arguments.positive("WeightPenalty: strength", self.strength, zero=True)
        _arguments.called("WeightPenalty: loss", self.loss, "lgn.acceleration_loss or another loss")

    def __call__(self, system, data) -> jax.Array:
        weights = nnx.state(system, nnx.All(nnx.Param, nnx.Not(Start)))
        kernels = [x for x in jax.tree.leaves(weights) if x.ndim > 1]
        return self.loss(system, data) + self.strength * sum((jnp.sum(x**2) for x in kernels), jnp.zeros(()))

    @property
    def alone(self) -> Loss:
        """The loss without the penalty, by which held-out data are judged."""
        return self.loss

    def mark(self, system):
        """As the loss marks it."""
        return getattr(self.loss, "mark", lambda system: system)(system)

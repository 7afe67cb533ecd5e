"""Validation: early stopping on held-out data."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lgn import _arguments
from lgn.learning.loss import LossLike, as_loss

SHARE = 0.2  # of the data, held out by default
PATIENCE = 100  # steps without improvement that are always granted
PARTED = 1.2  # held-out loss at the end over its least, from where on a user is warned
FEW, SMALL = 9.0, 0.01  # held-out loss over that of training, and relative error, from where on data are too few


class Split(NamedTuple):
    """Data to train on, and those that judge.

    Attributes:
        train: data to train on.
        held: data that judge, or None.
        judge: their loss.
        share: of the data that was held out and is trained on in the end; 0 where others judge.
    """

    train: Any
    held: Any = None
    judge: LossLike | None = None
    share: float = 0.0


def split(data: Any, loss: LossLike, validation: Any, key: jax.Array) -> Split:
    """Data to train on and those that judge, as the loss says by `judge` and `hold_out`; arguments as of `fit`.

    Raises:
        ValueError: a share that is not between 0 and 1.
    """
    if validation is None:
        return Split(data)
    if hasattr(validation, "check"):
        return Split(data, jax.tree.map(jnp.asarray, validation.check()), as_loss(loss).judge(validation) or loss)
    if not isinstance(validation, float) or not 0 < validation < 1:
        raise ValueError(
            f"fit: validation={_arguments.short(validation)}; give a share between 0 and 1, data, or None for none"
        )
    judge = as_loss(loss).judge(data)
    parts = None if judge is None else as_loss(judge).hold_out(data, validation, key)
    return Split(data) if parts is None else Split(*parts, judge, validation)


class Best(NamedTuple):
    """Parameters of least held-out loss in a phase; arrays, for a run keeps them.

    Attributes:
        x: (p,) parameters.
        value: held-out loss there.
        loss: training loss there.
        step: of the phase.
        latest: held-out loss at the last step that was judged.
        last: that step.
    """

    x: np.ndarray
    value: np.ndarray
    loss: np.ndarray
    step: np.ndarray
    latest: np.ndarray
    last: np.ndarray

    def see(self, x, value, step: int, loss: float) -> "Best":
        """The better of these parameters and x, whose held-out loss is `value` at a step where that of training is
        `loss`."""
        if value < self.value or not np.isfinite(self.value):
            return Best(np.array(x), value, np.array(loss), np.array(step), value, np.array(step))
        return self._replace(latest=value, last=np.array(step))

    @property
    def noise(self) -> float:
        """Relative noise of what was measured, as far as held-out data tell: s^2 is the mean of the two losses, for
        that of training falls as far below s^2 as the held-out one, to first order, stays above. What the model cannot
        express counts as noise too."""
        return float(np.sqrt((self.value + self.loss) / 2))

    def due(self, step: int) -> bool:
        """Whether to judge: so seldom that it costs little, so often that the best step is known to a twentieth."""
        return step - int(self.last) > step // 20

    def over(self, step: int, steps: int) -> bool:
        """Whether the patience of 2 * best step + max(PATIENCE, steps // 10) is exhausted."""
        return bool(np.isfinite(self.value)) and step > 2 * int(self.step) + max(PATIENCE, steps // 10)

    def verdict(self) -> str:
        """Warning of what speaks against the training; empty for nothing."""
        least, latest, own = np.sqrt([self.value, self.latest, self.loss])
        if self.latest > PARTED * self.value and self.last - self.step >= max(PATIENCE, int(self.step)) / 2:
            return (
                f"fit: the relative error of held-out data was least, {least:.2g}, at step {int(self.step)}, with "
                f"{own:.2g} on the training data; later steps fitted these better and raised it to {latest:.2g}. The "
                f"parameters of that step are kept; the noise of the data is about {self.noise:.1g}. More data help, "
                f"or a smaller network, lgn.WeightPenalty, or lgn.Huber against outliers: docs/training.md"
            )
        if self.value > FEW * self.loss and least > SMALL:
            return (
                f"fit: the relative error is {least:.2g} on held-out data and {own:.2g} on the training data, which do "
                f"not determine the model; more data help, a smaller network, or one that knows more: shifts "
                f"(relative=True), angles, mirror images, features"
            )
        return ""


def untrained(x, held_out: float | None = None) -> Best:
    """Best parameters before any step, of which the held-out loss may be known."""
    value, unknown = np.array(np.nan if held_out is None else held_out), np.array(np.nan)
    return Best(np.array(x), value, unknown, np.array(0), value, np.array(0))

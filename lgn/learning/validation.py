"""Validation: part of the data is held out, and says how long training teaches something."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lgn import _arguments
from lgn.data.samples import States
from lgn.learning.losses import Loss
from lgn.learning.problem import Problem

SHARE = 0.2  # of the data, held out by default
FEWEST = 10  # samples, of which a share can be held out
PATIENCE = 100  # steps without improvement that are always granted
PARTED = 1.2  # held-out loss at the end over its least, from where on a user is warned
FEW, SMALL = 9.0, 0.01  # held-out loss over that of training, and relative error, from where on data are too few


class Split(NamedTuple):
    """What is trained on, and what judges it.

    Attributes:
        train: data to train on.
        held: data that judge, or None.
        judge: their loss.
        share: of the data that was held out and is trained on in the end; 0 where others judge.
    """

    train: Any
    held: Any = None
    judge: Loss | None = None
    share: float = 0.0


def split(data: Any, loss: Loss, validation: Any, key: jax.Array) -> Split:
    """The data apart from those that judge.

    Args:
        data: all that `fit` was given.
        loss: of the training, or what it is `alone`, without a penalty. Its `judge(data)`, if it has one, is the loss
            of the held-out data, None where they cannot judge; the `hold_out(data, share)` of that loss splits data of
            which it needs all samples.
        validation: a share of the data, other data, or None.
        key: of the draw.

    Raises:
        ValueError: a share that is not between 0 and 1.
    """
    if validation is None:
        return Split(data)
    if hasattr(validation, "check"):
        return Split(data, jax.tree.map(jnp.asarray, validation.check()), _judge(loss, validation) or loss)
    if not isinstance(validation, float) or not 0 < validation < 1:
        raise ValueError(
            f"fit: validation={_arguments.short(validation)}; give a share between 0 and 1, data, or None for none"
        )
    judge = _judge(loss, data)
    own = getattr(judge, "hold_out", _hold_out(key))
    parts = None if judge is None else own(data, validation)
    if parts is None:
        return Split(data)
    train, held = parts
    return Split(train, held, judge, validation)


def _judge(loss: Loss, data) -> Loss | None:
    """The loss of held-out data. Of states any loss judges; of pieces of a motion one that says so, since one that
    compares single steps of noisy states rewards a model that fits the noise."""
    alone = getattr(loss, "alone", loss)
    own = getattr(alone, "judge", None)
    if own is not None:
        return own(data)
    return alone if isinstance(data, States) else None


def _hold_out(key) -> Callable:
    """Of data of several trials whole trials; else of states a random share, of pieces of one motion those in the
    middle of its time, with others on either side, of which those that overlap them are left out."""

    def parts(data, share):
        count = len(data.q)
        if data.trial is not None and len(np.unique(data.trial)) > 1:
            names = jax.random.permutation(key, np.unique(data.trial))
            held = np.isin(data.trial, names[: max(1, round(share * len(names)))])
            kept = ~held
        elif count < FEWEST:
            return None
        elif isinstance(data, States):
            held = np.isin(np.arange(count), jax.random.permutation(key, count)[: round(share * count)])
            kept = ~held
        else:
            begin = np.arange(count, dtype=float) if data.t is None else np.asarray(data.t)
            span = 0.0 if data.t is None else np.asarray(data.dt) * (data.q.shape[1] - 1)
            first = (count - round(share * count)) // 2
            low, high = np.sort(begin)[[first, first + round(share * count) - 1]]
            held = (begin >= low) & (begin <= high)
            kept = (begin + span < low) | (begin > (begin + span)[held].max())
        return (_pick(data, kept), _pick(data, held)) if kept.any() and held.any() else None

    return parts


def _pick(data, which):
    return jax.tree.map(lambda x: x[np.flatnonzero(which)], data)


def repeated(data, count: int):
    """Samples again and again, up to a count: of the same shapes as others, they need no program of their own. The mean
    over them changes little, or not at all where they fit the count."""
    return jax.tree.map(lambda x: x[np.resize(np.arange(len(x)), count)], data)


class Best(NamedTuple):
    """The parameters of least held-out loss in a phase; arrays, for a run keeps them.

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
        """Whether as many steps again, and a tenth of all or `PATIENCE` more, have brought nothing."""
        return bool(np.isfinite(self.value)) and step > 2 * int(self.step) + max(PATIENCE, steps // 10)

    def verdict(self) -> str:
        """What speaks against the training, or nothing."""
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


class Watch:
    """The held-out loss along a training; where nothing is held out it is NaN, and the latest parameters are the best.

    Args:
        problem: on the held-out data, or None.
    """

    def __init__(self, problem: Problem | None):
        self._problem = problem

    def start(self, x) -> Best:
        """With x as the best so far."""
        value = self._value(x)
        return untrained(x)._replace(value=value, latest=value)

    def see(self, best: Best, x, step: int, loss: float) -> tuple[Best, float]:
        """The better of the two, and the held-out loss at x."""
        if self._problem is None:
            return best._replace(x=np.array(x)), np.nan
        value = self._value(x)
        if value < best.value or not np.isfinite(best.value):
            best = Best(np.array(x), value, np.array(loss), np.array(step), value, np.array(step))
        return best._replace(latest=value, last=np.array(step)), float(value)

    def _value(self, x) -> np.ndarray:
        return np.array(np.nan if self._problem is None else self._problem.value(x))


def untrained(x) -> Best:
    """Before anything was judged."""
    unknown = np.array(np.nan)
    return Best(np.array(x), unknown, unknown, np.array(0), unknown, np.array(0))

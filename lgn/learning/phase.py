"""Phase: the base class of what improves parameters step by step, with every member that `fit` asks for."""

from typing import Any, NamedTuple

import numpy as np

from lgn.learning.loss import LossLike
from lgn.learning.problem import Problem


class Row(NamedTuple):
    """One line of the history.

    Attributes:
        phase: name of the phase.
        step: steps of the phase so far.
        loss: what the phase lowers.
        held_out: loss of the held-out data, NaN where they were not judged.
    """

    phase: str
    step: int
    loss: float
    held_out: float = np.nan


class Phase:
    """Base class of phases. `fit` calls `start` once, and `advance` until `finished`.

    A new phase gives `name`, `steps`, `state`, `start` and `advance`. Its state is a NamedTuple of arrays, and of dicts
    of arrays, that holds all that the phase decides by: a killed run resumes from it and ends at the same numbers. The
    other members read `x` and `step` of the state.

    Attributes:
        name: name in the history.
        steps: most steps that it takes.
        state: type of its states.
        objective: function of (system, data) that it lowers in place of the loss, which then is not judged; or None.
        target: relative error of held-out data, the root of their loss, at which it ends; 0 for none.
        batch: samples a step; None for all of them.

    Example:
        >>> import jax, lgn, numpy as np
        >>> from flax import nnx
        >>> from lgn.learning.phase import Phase, Row
        >>> from lgn.systems import wave
        >>> from typing import NamedTuple
        >>> class Place(NamedTuple):
        ...     x: np.ndarray
        ...     step: np.ndarray
        >>> class Descent(Phase):
        ...     name, steps, state = "descent", 5, Place
        ...     def start(self, problem, x, key): return Place(x, np.array(0))
        ...     def advance(self, problem, state):
        ...         value, gradient = problem.log_and_gradient(None)(state.x)
        ...         state = Place(state.x - 1e-3 * gradient, state.step + 1)
        ...         return state, [Row(self.name, int(state.step), float(np.exp(value)))]
        >>> L = lgn.Lagrangian(lgn.lattice((5,)), lgn.MLPDensity(3, 1, (4,), rngs=nnx.Rngs(0)))
        >>> data, key = wave.sample(jax.random.key(0), 20, 5), jax.random.key(1)
        >>> [row.step for row in lgn.fit(L, data, key=key, phases=[Descent()], validation=None).history]
        [1, 2, 3, 4, 5]
    """

    name: str
    steps: int
    state: type
    objective: LossLike | None = None
    target: float = 0.0
    batch: int | None = None

    def start(self, problem: Problem, x: np.ndarray, key) -> Any:
        """State at parameters x, (p,); `key` of jax.random."""
        raise NotImplementedError(f"{type(self).__name__} has no start(problem, x, key) -> state; write it")

    def move(self, problem: Problem, state: Any, x: np.ndarray) -> Any:
        """State at parameters x of a problem of a little more data, at step 0, with what the state has learned: by
        default nothing."""
        return self.start(problem, x, None)

    def advance(self, problem: Problem, state: Any) -> tuple[Any, list[Row]]:
        """Next state, and rows for the history."""
        raise NotImplementedError(f"{type(self).__name__} has no advance(problem, state) -> state, rows; write it")

    def finished(self, state: Any) -> bool:
        """Whether to go on to the next phase: after all steps."""
        return self.done(state) >= self.steps

    def done(self, state: Any) -> int:
        """Steps so far."""
        return int(state.step)

    def healthy(self, state: Any) -> bool:
        """Whether all is finite; training ends where it is not."""
        return bool(np.isfinite(self.parameters(state)).all())

    def parameters(self, state: Any) -> np.ndarray:
        """Last finite x, (p,)."""
        return state.x

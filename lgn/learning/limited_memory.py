"""Limited memory: the phase of training by optax's L-BFGS, whose line search asks for the loss itself."""

from dataclasses import dataclass
from functools import cache
from typing import ClassVar, NamedTuple

import jax.numpy as jnp
import numpy as np
import optax

from lgn import _arguments
from lgn.learning.phase import Row
from lgn.learning.phases import pack, unpack
from lgn.learning.problem import Problem


class _LimitedMemoryState(NamedTuple):
    x: np.ndarray
    optimizer: dict[str, np.ndarray]
    step: np.ndarray
    broken: np.ndarray


@dataclass(frozen=True)
class LimitedMemory:
    """Full batch: L-BFGS of optax with its zoom line search, on the logarithm of the loss.

    Its memory grows with `memory` times the parameters, that of `QuasiNewton` with their square: it is for networks
    too large for that one, which ends lower (docs/training.md). `Minibatch` cannot take it, for the line search needs
    the value and the function besides the gradient.

    Args:
        steps: iterations.
        memory: differences of parameters and of gradients that the inverse Hessian is estimated from.
        name: in the history.

    Example:
        >>> import jax, lgn
        >>> from flax import nnx
        >>> from lgn.systems import wave
        >>> L = lgn.Lagrangian(lgn.lattice((5,)), lgn.MLPDensity(3, 1, (4,), rngs=nnx.Rngs(0)))
        >>> data = wave.sample(jax.random.key(0), 20, 5)
        >>> result = lgn.fit(L, data, key=jax.random.key(1), phases=[lgn.LimitedMemory(steps=20)])
        >>> result.history[-1].loss < result.history[0].loss
        True
    """

    steps: int = 2000
    memory: int = 20
    name: str = "limited-memory"
    state: ClassVar[type] = _LimitedMemoryState

    def __post_init__(self):
        _arguments.whole("LimitedMemory: steps", self.steps)
        _arguments.whole("LimitedMemory: memory", self.memory)

    def start(self, problem: Problem, x, key):
        """Optimiser state at x."""
        return _LimitedMemoryState(x, pack(_lbfgs(self.memory).init(jnp.asarray(x))), np.array(0), np.array(0))

    def move(self, problem: Problem, state, x):
        """From the start, for the memory is of another function."""
        return self.start(problem, x, None)

    def advance(self, problem: Problem, state):
        """One iteration; if the loss or the parameters become non-finite, the last good ones stay and the phase
        ends."""
        optimizer = _lbfgs(self.memory)
        kept = unpack(optimizer, state.x, state.optimizer)
        x, following, value = problem.search(optimizer)(jnp.asarray(state.x), kept)
        if not (np.isfinite(x).all() and np.isfinite(value)):
            return state._replace(broken=np.array(1)), []
        state = state._replace(x=np.asarray(x), optimizer=pack(following), step=state.step + 1)
        return state, [Row(self.name, int(state.step), float(np.exp(value)))]

    def finished(self, state) -> bool:
        """Whether all steps are done, or one failed."""
        return bool(state.broken) or self.done(state) >= self.steps

    def done(self, state) -> int:
        """Iterations so far."""
        return int(state.step)

    def healthy(self, state) -> bool:
        """Whether every step stayed finite."""
        return not state.broken

    def parameters(self, state):
        """The last finite x."""
        return state.x


@cache
def _lbfgs(memory: int) -> optax.GradientTransformationExtraArgs:
    """One object for each memory: a problem keeps the program that it compiled for it."""
    return optax.lbfgs(memory_size=memory)

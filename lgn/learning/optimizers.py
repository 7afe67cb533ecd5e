"""Optimizers: the phases of training, BFGS, L-BFGS and stochastic gradients, and those that `fit` takes by default."""

from dataclasses import dataclass
from functools import cache, lru_cache, partial
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from lgn import _arguments
from lgn.assembly import elements
from lgn.data.samples import Windows
from lgn.densities.density import DensityLike, kinetic_energy
from lgn.learning import bfgs
from lgn.learning.loss import Data, LossLike
from lgn.learning.phase import Phase, Row
from lgn.learning.problem import Problem
from lgn.mechanics.compilation import bind
from lgn.mechanics.system import offered, require


@dataclass(frozen=True)
class QuasiNewton(Phase):
    """Full batch: dense BFGS on the logarithm of the objective, which keeps its scale over many decades.

    Args:
        steps: most iterations.
        tolerance: stop once the square root of the objective falls below this, or rounding prevents progress.
        objective: function of (system, data); by default the loss of the problem.
        name: in the history.
        target: stop once the relative error of held-out data, the root of their loss, falls to this; 0 for never.

    Raises:
        ValueError: steps that are not whole, a tolerance that is not positive, an objective that is no function, a
            negative target, or one beside an objective, which is not judged.
    """

    steps: int = 2000
    tolerance: float = 1e-12
    objective: LossLike | None = None
    name: str = "quasi-newton"
    target: float = 0.0
    state: ClassVar[type] = bfgs.Iterate

    def __post_init__(self):
        _arguments.whole("QuasiNewton: steps", self.steps)
        _arguments.positive("QuasiNewton: tolerance", self.tolerance)
        _arguments.positive("QuasiNewton: target", self.target, zero=True)
        if self.objective is not None:
            if self.target:
                raise ValueError(
                    f"QuasiNewton: target={self.target} beside an objective, but held-out data judge the loss alone; "
                    f"give tolerance, which the objective reaches"
                )
            known = "a function (system, data) -> scalar, or a loss"
            _arguments.called("QuasiNewton: objective", self.objective, known)

    def start(self, problem: Problem, x, key):
        """State of BFGS at x."""
        return bfgs.start(problem.log_and_gradient(self.objective), x)

    def move(self, problem: Problem, state, x):
        """State of BFGS at x with the same inverse Hessian."""
        return bfgs.move(problem.log_and_gradient(self.objective), state, x)

    def advance(self, problem: Problem, state):
        """One iteration."""
        state = bfgs.step(problem.log_and_gradient(self.objective), state)
        return state, [Row(self.name, int(state.step), float(np.exp(state.value)))]

    def finished(self, state) -> bool:
        """Whether it is done, or cannot improve further."""
        return bool(state.stuck) or self.done(state) >= self.steps or state.value <= 2 * np.log(self.tolerance)

    def healthy(self, state) -> bool:
        """Whether it started from finite numbers; every step keeps them finite."""
        return bool(np.isfinite(state.value) and np.isfinite(state.gradient).all())


def pretrain(target: DensityLike = kinetic_energy, steps: int = 300, tolerance: float = 1e-2) -> QuasiNewton:
    """Pretraining, the phase that starts from a known Lagrangian: value, gradient and Hessian of the density on the
    elements of the data become those of `target`. A network with random weights makes M singular somewhere; this one
    starts regular. With a kinetic prior and a small network there is nothing to do, and it ends at once.

    Args:
        target: density on the stencil of the first term; further terms are left as they are.
        steps: most iterations.
        tolerance: relative error at which it is done.
    """
    _arguments.called("pretrain: target", target, "a density, a function (q, v, features) -> scalar")
    return QuasiNewton(steps, tolerance, partial(_mismatch, target), "pretrain")


class DescentState(NamedTuple):
    """State of a phase by an optimiser of optax.

    Attributes:
        x: (p,) parameters, the last finite ones.
        optimizer: leaves of the optimiser's state by number.
        key: data of a key of jax.random, from which samples are drawn; of full batches 0.
        step: steps done.
        broken: 1 once a step has left the finite numbers.
    """

    x: np.ndarray
    optimizer: dict[str, np.ndarray]
    key: np.ndarray
    step: np.ndarray
    broken: np.ndarray


class Descent(Phase):
    """Base class of phases by an optimiser of optax: where a step is not finite, the last good parameters stay, and the
    phase ends."""

    state = DescentState

    def rule(self) -> Any:
        """Optimiser of optax."""
        raise NotImplementedError(f"{type(self).__name__} has no rule() -> optimiser; write it")

    def start(self, problem: Problem, x, key):
        """State of the optimiser at x."""
        drawn = np.array(0) if self.batch is None else np.asarray(jax.random.key_data(key))
        return DescentState(x, _numbered(self.rule().init(jnp.asarray(x))), drawn, np.array(0), np.array(0))

    def left(self, state) -> tuple:
        """Parameters and state of the optimiser, as the last step left them."""
        kept = [state.optimizer[str(i)] for i in range(len(state.optimizer))]
        return jnp.asarray(state.x), jax.tree.unflatten(_structure(self.rule(), len(state.x)), kept)

    def moved(self, state, x, optimizer, count: int, values, loss: float):
        """State after `count` steps to x, on which `values` were seen, and its row of the history."""
        if not (np.isfinite(x).all() and np.isfinite(values).all()):
            return state._replace(broken=np.array(1)), []
        state = state._replace(x=np.asarray(x), optimizer=_numbered(optimizer), step=state.step + count)
        return state, [Row(self.name, int(state.step), loss)]

    def finished(self, state) -> bool:
        """Whether all steps are done, or one failed."""
        return bool(state.broken) or self.done(state) >= self.steps

    def healthy(self, state) -> bool:
        """Whether every step stayed finite."""
        return not state.broken


@dataclass(frozen=True)
class Minibatch(Descent):
    """Stochastic gradients by an optax optimiser, scanned in chunks; for data too large for one batch.

    Args:
        optimizer: any optax transformation.
        steps: gradient steps.
        batch: samples a step.
        chunk: steps between two lines of the history.

    Raises:
        ValueError: what is no optimiser, numbers that are not whole.
    """

    optimizer: optax.GradientTransformation
    steps: int
    batch: int
    chunk: int = 100
    name: str = "minibatch"

    def __post_init__(self):
        known = "optax.adam(1e-3) or another of optax"
        _arguments.has("Minibatch: optimizer", self.optimizer, ("init", "update"), known)
        for name in ("steps", "batch", "chunk"):
            _arguments.whole(f"Minibatch: {name}", getattr(self, name))

    def rule(self):
        """Optimiser that was given."""
        return self.optimizer

    def move(self, problem: Problem, state, x):
        """State of the optimiser as it is, at x; other samples are drawn."""
        return state._replace(x=x, key=np.asarray(jax.random.key_data(_drawn(state))), step=np.array(0))

    def advance(self, problem: Problem, state):
        """A chunk of steps."""
        count = min(self.chunk, self.steps - int(state.step))
        scan = problem.scan_minibatches(self.optimizer, self.batch)
        x, optimizer, losses = scan(*self.left(state), _drawn(state), count)
        return self.moved(state, x, optimizer, count, losses, float(jnp.mean(losses)))


@dataclass(frozen=True)
class LimitedMemory(Descent):
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

    def __post_init__(self):
        _arguments.whole("LimitedMemory: steps", self.steps)
        _arguments.whole("LimitedMemory: memory", self.memory)

    def rule(self):
        """L-BFGS, one object for each memory."""
        return _lbfgs(self.memory)

    def advance(self, problem: Problem, state):
        """One iteration."""
        x, optimizer, value = problem.search(self.rule())(*self.left(state))
        return self.moved(state, x, optimizer, 1, value, float(np.exp(value)))


@cache
def _lbfgs(memory: int) -> optax.GradientTransformationExtraArgs:
    """One object for each memory: a problem keeps the program that it compiled for it."""
    return optax.lbfgs(memory_size=memory)


def default_phases(system, data: Data) -> tuple[Phase, ...]:
    """Pretraining of a Lagrangian; Adam on minibatches of 20,000 elements, if the data hold more; then BFGS."""
    phases: list[Phase] = [pretrain()] if offered(system, "equation") is not None else []
    if len(data.q) > (batch := max(1, 20_000 // data.q.shape[1])):
        phases.append(Minibatch(optax.adam(optax.cosine_decay_schedule(1e-3, 5000)), 5000, batch))
    return (*phases, QuasiNewton())


def _numbered(state) -> dict[str, np.ndarray]:
    """Leaves of an optimiser's state by number, as a checkpoint keeps them."""
    return {str(i): np.asarray(leaf) for i, leaf in enumerate(jax.tree.leaves(state))}


def _drawn(state: DescentState):
    """Key of the samples of the next steps."""
    return jax.random.fold_in(jax.random.wrap_key_data(jnp.asarray(state.key)), int(state.step))


@lru_cache
def _structure(optimizer: optax.GradientTransformation, size: int):
    """Structure of a state, kept because finding it costs more than an iteration on a small problem."""
    return jax.tree.structure(jax.eval_shape(optimizer.init, jax.ShapeDtypeStruct((size,), float)))


def _mismatch(target, system, data):
    """Mean squared difference of the expansions of the first term and of `target`, relative to those of `target`."""
    require(system, "equation", "pretrain", "only a Lagrangian starts from another: leave that phase out")
    term = system.terms[0]
    states = data.q, data.v
    if isinstance(data, Windows):  # from the first two positions of each piece
        (before, after), dt = (data.q[:, 0], data.q[:, 1]), data.dt[:, None, None]
        states = (before + after) / 2, (after - before) / dt
    bound = bind(system, [x[0] for x in states])
    local = jax.vmap(lambda q, v: bound.functional.local(bound.known_at(0.0), q, v)[0])(*states)
    local = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:])[:2000], local)
    wanted, found = (elements.expand(density, *local) for density in (target, term.density))
    difference = sum(jnp.mean((a - b) ** 2) for a, b in zip(wanted, found, strict=True))
    return difference / sum(jnp.mean(a**2) for a in wanted)

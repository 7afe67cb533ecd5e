"""Phases of training: each improves the parameters of a problem step by step.

A phase is an object with `start(problem, x, key)`, `advance(problem, state)`, `finished(state)`, `done(state)`,
`healthy(state)`, `parameters(state)`, and `state`, the NamedTuple of arrays in which it keeps all that it decides by:
a killed run goes on from it to the same numbers.
"""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from lgn import bfgs, elements
from lgn.densities import Density
from lgn.losses import Data, Loss
from lgn.problem import Problem
from lgn.trajectories import Windows


class Row(NamedTuple):
    """One line of the history."""

    phase: str
    step: int
    loss: float


def kinetic_energy(q, v, features):
    """0.5 |v|^2 of slot 0: the Lagrangian of free unit masses."""
    return 0.5 * jnp.sum(v[0] ** 2)


@dataclass(frozen=True)
class QuasiNewton:
    """Full batch: dense BFGS on the logarithm of the objective, which keeps its scale over many decades.

    Args:
        steps: most iterations.
        tolerance: square root of the objective at which it is done.
        objective: function of (system, data); by default the loss of the problem.
        name: in the history.
    """

    steps: int = 2000
    tolerance: float = 1e-12
    objective: Loss | None = None
    name: str = "quasi-newton"
    state: ClassVar[type] = bfgs.State

    def start(self, problem: Problem, x, key):
        """BFGS state at x."""
        return bfgs.start(problem.log_and_gradient(self.objective), x)

    def advance(self, problem: Problem, state):
        """One iteration."""
        state = bfgs.step(problem.log_and_gradient(self.objective), state)
        return state, [Row(self.name, int(state.step), float(np.exp(state.value)))]

    def finished(self, state) -> bool:
        """Whether it is done, or can do no more."""
        return bool(state.stuck) or self.done(state) >= self.steps or state.value <= 2 * np.log(self.tolerance)

    def done(self, state) -> int:
        """Iterations so far."""
        return int(state.step)

    def healthy(self, state) -> bool:
        """Whether it began at finite numbers; no step leaves them."""
        return bool(np.isfinite(state.value) and np.isfinite(state.gradient).all())

    def parameters(self, state):
        """x of the last finite state."""
        return state.x


def match(target: Density = kinetic_energy, steps: int = 300, tolerance: float = 1e-2) -> QuasiNewton:
    """The phase that starts from a known Lagrangian: value, gradient and Hessian of the density on the elements of the
    data become those of `target`. A network with random weights makes M singular somewhere; this one starts regular.
    With a kinetic prior and a small network there is nothing to do, and it ends at once.

    Args:
        target: density on the stencil of the first term; further terms are left as they are.
        steps: most iterations.
        tolerance: relative error at which it is done.
    """
    return QuasiNewton(steps, tolerance, partial(_mismatch, target), "match")


class _MinibatchState(NamedTuple):
    x: np.ndarray
    optimizer: dict[str, np.ndarray]
    key: np.ndarray
    step: np.ndarray
    broken: np.ndarray


@dataclass(frozen=True)
class Minibatch:
    """Stochastic gradients by an optax optimiser, scanned in chunks; for data too large for one batch.

    Args:
        optimizer: any optax transformation.
        steps: gradient steps.
        batch: samples a step.
        chunk: steps between two lines of the history.
    """

    optimizer: optax.GradientTransformation
    steps: int
    batch: int
    chunk: int = 100
    name: str = "minibatch"
    state: ClassVar[type] = _MinibatchState

    def start(self, problem: Problem, x, key):
        """Optimiser state at x."""
        leaves = jax.tree.leaves(self.optimizer.init(jnp.asarray(x)))
        optimizer = {str(i): np.asarray(leaf) for i, leaf in enumerate(leaves)}
        return _MinibatchState(x, optimizer, np.asarray(jax.random.key_data(key)), np.array(0), np.array(0))

    def advance(self, problem: Problem, state):
        """A chunk of steps; if the parameters leave finite numbers, the last good ones stay and the phase ends."""
        structure = jax.tree.structure(self.optimizer.init(jnp.asarray(state.x)))
        optimizer = jax.tree.unflatten(structure, [state.optimizer[str(i)] for i in range(len(state.optimizer))])
        key = jax.random.fold_in(jax.random.wrap_key_data(jnp.asarray(state.key)), int(state.step))
        count = min(self.chunk, self.steps - int(state.step))
        scan = problem.scan_minibatches(self.optimizer, self.batch)
        x, optimizer, losses = scan(jnp.asarray(state.x), optimizer, key, count)
        if not (np.isfinite(x).all() and np.isfinite(losses).all()):
            return state._replace(broken=np.array(1)), []
        leaves = {str(i): np.asarray(leaf) for i, leaf in enumerate(jax.tree.leaves(optimizer))}
        state = state._replace(x=np.asarray(x), optimizer=leaves, step=state.step + count)
        return state, [Row(self.name, int(state.step), float(jnp.mean(losses)))]

    def finished(self, state) -> bool:
        """Whether all steps are done, or one failed."""
        return bool(state.broken) or self.done(state) >= self.steps

    def done(self, state) -> int:
        """Steps so far."""
        return int(state.step)

    def healthy(self, state) -> bool:
        """Whether every step stayed finite."""
        return not state.broken

    def parameters(self, state):
        """The last finite x."""
        return state.x


Phase = QuasiNewton | Minibatch


def default_phases(system, data: Data) -> tuple[Phase, ...]:
    """Start regular, where the system has a density; if the data hold more than 20,000 elements, Adam on minibatches of
    that size; then BFGS."""
    samples, elements_each = len(data.q), data.q.shape[1]
    batch = max(1, 20_000 // elements_each)
    middle: tuple[Phase, ...] = ()
    if samples > batch:
        middle = (Minibatch(optax.adam(optax.cosine_decay_schedule(1e-3, 5000)), 5000, batch),)
    first = (match(),) if hasattr(system, "terms") else ()
    return (*first, *middle, QuasiNewton())


def _mismatch(target, system, data):
    """Mean squared difference of the expansions of the first term and of `target`, relative to those of `target`."""
    term = system.terms[0]
    states = jax.vmap(_middle)(data.q, data.dt) if isinstance(data, Windows) else (data.q, data.v)
    local = jax.vmap(lambda q, v: term.gather(system.features, q, v))(*states)
    local = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:])[:2000], local)
    wanted, found = (elements.expand(density, *local) for density in (target, term.density))
    difference = sum(jnp.mean((a - b) ** 2) for a, b in zip(wanted, found, strict=True))
    return difference / sum(jnp.mean(a**2) for a in wanted)


def _middle(q, dt):
    """A state of a piece of trajectory, from its first two positions."""
    return (q[0] + q[1]) / 2, (q[1] - q[0]) / dt

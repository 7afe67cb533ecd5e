"""Trainings: what `guidance.py` measures: one training of a system, by a clock, and its error on fresh states."""

import functools
import time
import warnings
from collections import namedtuple
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

import lgn
from lgn import diagnostics, protocol
from lgn.systems import double_pendulum, relativistic, wave

PENDULUM, WAVE, PARTICLE = "double pendulum", "wave", "relativistic particle"
ENDLESS = 10**6  # steps, where time is the limit
STEP = 0.01  # between two states of a piece of trajectory


System = namedtuple("System", "graph sample states density")  # sample(key, count); arguments of `MLPDensity`


@dataclass(frozen=True)
class Case:
    """One training: what is changed of the base setting."""

    system: str  # name in SYSTEMS
    density: tuple = ()  # changed arguments of `MLPDensity`, as pairs
    phases: tuple = ()  # one after the other; where there is a limit each takes the same share of it
    loss: Callable = lgn.acceleration_loss
    states: int | None = None  # how many are learned from, by default those of the system
    data: Callable | None = None  # (key, count) -> data, by default the states of the system
    limit: float = np.inf  # seconds of the processor
    x64: bool = True  # whether double precision
    seeds: int | None = None  # how many, if not those of the question

    def changed(self, **density) -> "Case":
        """With other arguments of `MLPDensity`."""
        return replace(self, density=(*self.density, *density.items()))


class Result(NamedTuple):
    """One seed of a case; `curve` holds (seconds, error on fresh states) along the training."""

    error: float
    training_error: float
    steps: int
    seconds: float
    parameters: int
    stopped: str
    curve: list


def pieces(key, count):
    """Three states, STEP apart, of exact trajectories of the double pendulum from each random state."""
    states = double_pendulum.sample(key, count)
    exact = lgn.Lagrangian(lgn.single_node(count=count), double_pendulum.density)
    motion = lgn.rollout(exact, [x[:, 0] for x in states[:2]], STEP * np.arange(3), lgn.Adaptive(1e-11, 1e-11))
    q, v = (jnp.swapaxes(x, 0, 1)[:, :, None] for x in (motion.q, motion.v))
    return lgn.Windows(q, np.full(count, STEP), v)


_pendulum = {"slots": 1, "dim": 2, "hidden": (32, 32), "mass": 0.02, "v_scale": 5.0, "angles": (0, 1)}
_wave = {"slots": 3, "dim": 1, "hidden": (16, 16), "relative": True, "mass": 1.0}
_particle = {"slots": 1, "dim": 1, "hidden": (32, 32), "q_scale": 10.0, "features": ("g",), "feature_size": 1}
_particle |= {"mass": None, "initializer": lgn.lecun_normal}
SYSTEMS = {
    PENDULUM: System(lgn.single_node(), double_pendulum.sample, 2000, _pendulum),
    WAVE: System(lgn.lattice((10,)), partial(wave.sample, n_node=10), 100, _wave),
    PARTICLE: System(lgn.single_node({"g": np.ones(1)}), relativistic.particles, 2000, _particle),
}


class LimitedMemory:
    """Phase: L-BFGS of optax with its zoom line search, full batch, on the logarithm of the loss.

    `Minibatch` cannot take it: the line search wants the value and the function besides the gradient."""

    name, steps = "L-BFGS", ENDLESS

    def start(self, problem, x, key):
        self.optimizer = optax.lbfgs(memory_size=20)

        @jax.jit
        def step(x, state, data):
            def value(x):
                return jnp.log(problem.loss(problem.system_at(x), data))

            found, gradient = optax.value_and_grad_from_state(value)(x, state=state)
            updates, state = self.optimizer.update(gradient, state, x, value=found, grad=gradient, value_fn=value)
            return optax.apply_updates(x, updates), state, found

        self.step = step
        return jax.tree.map(np.asarray, (x, self.optimizer.init(jnp.asarray(x)), 0, 0.0))

    def advance(self, problem, state):
        x, optimizer, count, _ = state
        x, optimizer, value = self.step(x, optimizer, problem.data)
        return (x, optimizer, count + 1, value), [lgn.phases.Row(self.name, int(count) + 1, float(np.exp(value)))]

    def finished(self, state):
        return False

    def done(self, state):
        return state[2]

    def healthy(self, state):
        return bool(np.isfinite(state[3]))

    def parameters(self, state):
        return np.asarray(state[0])


class Clock:
    """Seconds of the processor since training began, compilation left out, and the errors seen on the way."""

    def __init__(self, system: str, limit: float):
        self.system, self.limit, self.seconds, self.curve, self.mark = system, limit, 0.0, [], 0.05

    def look(self, trained) -> None:
        """Keeps the error on fresh states, each time that half as many seconds again have passed."""
        if np.isfinite(self.limit) and self.seconds >= min(self.mark, self.limit):
            self.mark = 1.5 * self.seconds
            self.curve.append((self.seconds, fresh_error(self.system, trained)))


class Timed:
    """A phase by a clock, which it ends at its share of the limit."""

    def __init__(self, phase, clock: Clock, share: float):
        self.phase, self.clock, self.until = phase, clock, share * clock.limit
        self.name, self.steps, self.steps_done = phase.name, phase.steps, 0
        self.done, self.healthy, self.parameters = phase.done, phase.healthy, phase.parameters

    def start(self, problem, x, key):
        """Its state; two steps from a copy of it, which compile, come before the clock starts."""
        state = self.phase.start(problem, x, key)
        if self.phase.healthy(state):
            state_after, _ = self.phase.advance(problem, jax.tree.map(np.copy, state))
            self.phase.advance(problem, state_after)
        return state

    def advance(self, problem, state):
        begin = time.process_time()
        state, rows = self.phase.advance(problem, state)
        self.clock.seconds += time.process_time() - begin
        self.steps_done = int(self.phase.done(state))
        self.clock.look(problem.system_at(jnp.asarray(self.phase.parameters(state))))
        return state, rows

    def finished(self, state):
        return self.phase.finished(state) or self.clock.seconds >= self.until


@functools.cache
def train(case: Case, seed: int) -> Result:
    """Trains from one seed; in single precision by a process of its own, where jax never saw double."""
    return trained(case, seed) if case.x64 else protocol.in_own_process(trained, case, seed)


def trained(case: Case, seed: int) -> Result:
    """Trains in the precision of this process."""
    graph, sample, count, settings = SYSTEMS[case.system]
    data_key, fit_key = jax.random.split(jax.random.key(seed))
    data = (case.data or sample)(data_key, case.states or count)
    clock = Clock(case.system, case.limit)
    phases = [Timed(phase, clock, (i + 1) / len(case.phases)) for i, phase in enumerate(case.phases)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # what it says is kept
        density = lgn.MLPDensity(**settings | dict(case.density), rngs=nnx.Rngs(seed))
        fit = lgn.fit(lgn.Lagrangian(graph, density), data, key=fit_key, phases=phases, loss=case.loss)
    error, steps = fresh_error(case.system, fit.system), sum(phase.steps_done for phase in phases)
    learned = float(np.sqrt(fit.history[-1].loss)) if fit.history else np.nan
    curve, parameters = [*clock.curve, (clock.seconds, error)], diagnostics.parameters(fit.system)
    return Result(error, learned, steps, clock.seconds, parameters, fit.stopped, curve)


@functools.cache
def fresh_states(system: str):
    """States that no training saw."""
    return SYSTEMS[system].sample(jax.random.key(10_000), 1000 if system == WAVE else 5000)


def fresh_error(system: str, trained) -> float:
    """Root mean square error of the acceleration over its root mean square, on fresh states."""
    return diagnostics.acceleration_errors(trained, fresh_states(system))["acceleration_rel_rms"]

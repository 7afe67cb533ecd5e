"""Trainings: what `guidance.py` measures: one training of a system, by a clock, and its error on fresh states."""

import functools
import warnings
from collections import namedtuple
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import jax
import numpy as np
from flax import nnx

import lgn
from experiments.support import models
from experiments.support.clock import Clock, Timed
from lgn import diagnostics, protocol
from lgn.systems import wave

PENDULUM, WAVE, PARTICLE = "double pendulum", "wave", "relativistic particle"
ENDLESS = 10**6  # steps, where time is the limit

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
    validation: float | None = None  # share that is held out

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


def known(name: str, **prior) -> System:
    """A system of `models`, with a network of two times 32."""
    case = models.CASES[name]
    density = {"slots": 1, "hidden": (32, 32), **case.settings, **case.lnn, **prior}
    return System(case.graph, case.data, 2000, density)


_wave = {"slots": 3, "dim": 1, "hidden": (16, 16), "relative": True, "mass": 1.0}
SYSTEMS = {
    PENDULUM: known("double_pendulum", mass=0.02),
    WAVE: System(lgn.lattice((10,)), partial(wave.sample, n_node=10), 100, _wave),
    PARTICLE: known("relativistic"),
}


def pieces(key, count):
    """Three states of exact trajectories of the double pendulum from each random state, see `models.pieces`."""
    return models.pieces(models.CASES["double_pendulum"], SYSTEMS[PENDULUM].sample(key, count))


@functools.cache
def train(case: Case, seed: int) -> Result:
    """Trains from one seed; in single precision by a process of its own, where jax never saw double."""
    return trained(case, seed) if case.x64 else protocol.in_own_process(trained, case, seed)


def trained(case: Case, seed: int) -> Result:
    """Trains in the precision of this process."""
    graph, sample, count, settings = SYSTEMS[case.system]
    states = partial(case.data or sample, count=case.states or count)
    clock = Clock(case.limit, partial(fresh_error, case.system))
    phases = [Timed(phase, clock, (i + 1) / len(case.phases)) for i, phase in enumerate(case.phases)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # what it says is kept
        density = lgn.MLPDensity(**settings | dict(case.density), rngs=nnx.Rngs(seed))
        settings = {"phases": phases, "loss": case.loss, "validation": case.validation}
        fit = protocol.learn(lgn.Lagrangian(graph, density), states, seed, **settings)
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

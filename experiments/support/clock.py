"""Clock: trainings that end by the seconds of the processor, and what is measured on the way."""

import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from lgn.learning.phase import Phase
from lgn.learning.problem import Problem


class Clock:
    """Seconds of the processor since training began, compilation left out, and what was measured on the way.

    Args:
        limit: seconds that the training has; without one nothing is measured.
        measure: system -> number, asked each time that half as many seconds again have passed, off the clock.

    Attributes:
        seconds: so far.
        curve: (seconds, number) of each time.
    """

    def __init__(self, limit: float = np.inf, measure: Callable = lambda system: np.nan):
        self.limit, self.measure, self.seconds, self.mark = limit, measure, 0.0, 0.05
        self.curve: list[tuple[float, float]] = []

    def look(self, system) -> None:
        """Measures a system, if it is time."""
        if np.isfinite(self.limit) and self.seconds >= min(self.mark, self.limit):
            self.mark = 1.5 * self.seconds
            self.curve.append((self.seconds, self.measure(system)))


class Timed(Phase):
    """Phase of training that ends at its share of a clock's limit; a resumed run has a new clock.

    Args:
        phase: what runs.
        clock: that of all phases of the training.
        share: of the clock's limit, at which this phase ends.
    """

    def __init__(self, phase: Phase, clock: Clock, share: float = 1.0):
        self.phase, self.clock, self.until = phase, clock, share * clock.limit
        self.name, self.steps, self.state, self.steps_done = phase.name, phase.steps, phase.state, 0
        self.objective, self.target, self.batch = phase.objective, phase.target, phase.batch

    def start(self, problem: Problem, x, key):
        """Its state; two steps from a copy of it, which compile, come before the clock starts."""
        state = self.phase.start(problem, x, key)
        if self.phase.healthy(state):
            state_after, _ = self.phase.advance(problem, jax.tree.map(np.copy, state))
            self.phase.advance(problem, state_after)
        return state

    def move(self, problem: Problem, state, x):
        """That of the phase."""
        return self.phase.move(problem, state, x)

    def advance(self, problem: Problem, state):
        """A step of the phase by the clock, which then looks at the system."""
        before, begin = int(self.phase.done(state)), time.process_time()
        state, rows = self.phase.advance(problem, state)
        self.clock.seconds += time.process_time() - begin
        self.steps_done += int(self.phase.done(state)) - before
        self.clock.look(problem.system_at(jnp.asarray(self.phase.parameters(state))))
        return state, rows

    def finished(self, state) -> bool:
        """Whether the phase is, or its time is over."""
        return self.phase.finished(state) or self.clock.seconds >= self.until

    def done(self, state) -> int:
        """Steps of the phase so far."""
        return self.phase.done(state)

    def healthy(self, state) -> bool:
        """Whether all is finite, as the phase says."""
        return self.phase.healthy(state)

    def parameters(self, state) -> np.ndarray:
        """Last finite x, as the phase says."""
        return self.phase.parameters(state)

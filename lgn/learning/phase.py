"""Phase: what `fit` asks of whatever improves parameters step by step."""

from typing import Any, NamedTuple, Protocol

import numpy as np

from lgn.learning.problem import Problem


class Row(NamedTuple):
    """One line of the history."""

    phase: str
    step: int
    loss: float
    held_out: float = np.nan


class Phase(Protocol):
    """What `fit` asks of a phase; any object with these methods is one.

    `state` is the type of what `start` and `advance` return, a NamedTuple of arrays, and dicts of arrays, that holds
    all that the phase decides by: a killed run resumes from it and ends at the same numbers.
    """

    @property
    def name(self) -> str:
        """In the history."""

    @property
    def steps(self) -> int:
        """The most that it takes."""

    @property
    def state(self) -> Any:
        """Type of its states."""

    def start(self, problem: Problem, x, key) -> Any:
        """Its state at parameters x."""

    def move(self, problem: Problem, state, x) -> Any:
        """Its state at parameters x of a problem of a little more data, at step 0, with what the state has learned."""

    def advance(self, problem: Problem, state) -> tuple[Any, list[Row]]:
        """The next state, and what the history shall say."""

    def finished(self, state) -> bool:
        """Whether to go on to the next phase."""

    def done(self, state) -> int:
        """Steps so far."""

    def healthy(self, state) -> bool:
        """Whether all is finite; training ends where it is not."""

    def parameters(self, state) -> Any:
        """The last finite x."""

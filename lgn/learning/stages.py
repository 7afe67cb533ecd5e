"""Stages: the phases of a training on the data to train on, and the last one again where the held-out data join."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lgn.learning.phase import Phase, Row
from lgn.learning.problem import Problem
from lgn.learning.validation import Best, Split, Watch, repeated


@dataclass(frozen=True)
class Stage:
    """A phase on a problem, with what watches over it.

    Args:
        name: in the history.
        phase: what improves the parameters.
        problem: on which data.
        watch: judges the parameters along the way.
        share: of its steps that the phase may take; for the stage in which held-out data join, by how much these add to
            the data: each sample is then seen as often as by the best parameters.
        joins: whether it is that stage.
    """

    name: str
    phase: Phase
    problem: Problem
    watch: Watch
    share: float = 1.0
    joins: bool = False

    def begin(self, before: Any, best: Best, key) -> tuple[Any, Best]:
        """Its state at the best parameters so far, from the state of the stage before."""
        if self.joins:
            return self.phase.move(self.problem, before, best.x), best
        return self.phase.start(self.problem, best.x, key), self.watch.start(best.x)

    def advance(self, state, best: Best) -> tuple[Any, Best, list[Row]]:
        """The next state, the best parameters by then, and rows for the history."""
        state, rows = self.phase.advance(self.problem, state)
        rows, done = [row._replace(phase=self.name) for row in rows], self.phase.done(state)
        if best.due(done) or not self.goes_on(state, best):
            loss = rows[-1].loss if rows else float(best.loss)
            best, held_out = self.watch.see(best, self.phase.parameters(state), done, loss)
            rows[-1:] = [row._replace(held_out=held_out) for row in rows[-1:]]
        return state, best, rows

    def goes_on(self, state, best: Best) -> bool:
        """Whether anything is left to gain."""
        done = self.phase.done(state)
        ended = self.phase.finished(state) or done >= self.most(best) or best.over(done, self.phase.steps)
        reached = bool(best.value <= getattr(self.phase, "target", 0.0) ** 2)
        return self.phase.healthy(state) and not (ended or reached)

    def most(self, best: Best) -> int:
        """Steps that it may take."""
        return round(self.share * (int(best.step) if self.joins else self.phase.steps))


def stages(whole: Problem, phases: Sequence[Phase], parts: Split) -> list[Stage]:
    """What `fit` runs, one after the other. A phase with an objective of its own is not judged: on its way there the
    loss may rise. Where all phases take all samples at once, the program that trains judges too, on as many samples;
    more samples than these have a program of their own, of the loss alone."""
    alike, held = not any(hasattr(phase, "batch") for phase in phases), parts.held
    count = len(parts.train.q)
    more = held is not None and len(held.q) > count
    if held is not None and alike and not more:
        held = repeated(held, count)
    problem, nobody = whole.on(parts.train), Watch(None)
    judge = nobody if held is None else Watch(whole.on(held, parts.judge, apart=more))
    found = [Stage(phase.name, phase, problem, nobody if has_objective(phase) else judge) for phase in phases]
    if found and parts.share:
        name, last, rest = f"{phases[-1].name}, all data", phases[-1], 1 - parts.share
        found[-1] = Stage(last.name, last, problem, judge, rest)
        found.append(Stage(name, last, whole, nobody, parts.share / rest, joins=True))
    return found


def has_objective(phase: Phase) -> bool:
    """Whether a phase improves something else than the loss."""
    return getattr(phase, "objective", None) is not None

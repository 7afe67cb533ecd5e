"""Training: `fit` runs phases one after the other, keeps them and resumes."""

import csv
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lgn.checkpoint.jobs import Checkpoints, fingerprint
from lgn.learning.losses import Loss, default_loss
from lgn.learning.phases import Phase, Row, default_phases
from lgn.learning.problem import Problem


class FitResult(NamedTuple):
    """What `fit` returns.

    Attributes:
        system: with the trained parameters.
        history: one `Row` for each recorded step.
        stopped: empty, or why training ended early.
        seconds: of training, those before an interruption included.
    """

    system: Any
    history: list[Row]
    stopped: str
    seconds: float


def fit(
    system,
    data: Any,
    *,
    key: jax.Array,
    phases: Sequence[Phase] | None = None,
    loss: Loss | None = None,
    folder: str | Path | None = None,
    checkpoint_seconds: float = 10.0,
) -> FitResult:
    """Trains the `nnx.Param` of a system.

    With a folder, `metrics.csv` and checkpoints are kept there: the same call after a kill at any moment resumes from
    the last checkpoint, to the same numbers as an uninterrupted run. Same key, same csv. A terminal shows progress.

    Args:
        system: a Lagrangian, or any system with `nnx.Param` and what the loss needs.
        data: `States` with their accelerations, or `Windows`, pieces of trajectories, as the loss requires; or
            any pytree of samples that has `q` and `check()`, such as `Clips`.
        key: of jax.random.
        phases: run one after the other; by default `default_phases(system, data)`.
        loss: (system, data) -> scalar > 0, by default that of `default_loss(data)`. Its `mark(system)`, if it has one,
            says in the system how it was trained.
        folder: where to keep the run.
        checkpoint_seconds: least time between two checkpoints.

    Returns:
        FitResult. A loss that is not finite ends training: the last good parameters are kept, and `stopped` and a
        warning say what went singular.

    Raises:
        ValueError: data of wrong shapes or not finite, a system without parameters, a folder with another run.

    Example:
        >>> import jax, lgn
        >>> from flax import nnx
        >>> from lgn.systems import wave
        >>> L = lgn.Lagrangian(lgn.lattice((5,)), lgn.MLPDensity(3, 1, (4,), rngs=nnx.Rngs(0)))
        >>> data = wave.sample(jax.random.key(0), 20, 5)
        >>> result = lgn.fit(L, data, key=jax.random.key(1), phases=[lgn.QuasiNewton(steps=5)])
        >>> len(result.history)
        5
    """
    data = jax.tree.map(jnp.asarray, data.check())
    loss = loss or default_loss(data)
    phases = tuple(phases) if phases is not None else default_phases(system, data)
    problem = Problem(system, data, loss)
    if problem.x.size == 0:
        raise ValueError("fit: the system has no nnx.Param to train; give it a learned density such as MLPDensity")
    record = _Record(folder, problem, phases, key, checkpoint_seconds) if folder is not None else None
    number, state, history, before = record.restore() if record else (0, None, [], 0.0)
    start = time.perf_counter() - before
    x, stopped = problem.x, ""
    with _progress() as bar:
        for i, phase in enumerate(phases[number:], number):
            if state is None:
                state = phase.start(problem, x, jax.random.fold_in(key, i))
            task = bar.add_task(phase.name, total=phase.steps, error=np.nan)
            while phase.healthy(state) and not phase.finished(state):
                state, rows = phase.advance(problem, state)
                history += rows
                bar.update(task, completed=phase.done(state), error=np.sqrt(history[-1].loss) if history else np.nan)
                if record:
                    record.keep(i, state, history, time.perf_counter() - start)
            x = phase.parameters(state)
            if record:
                record.keep(i, state, history, time.perf_counter() - start, now=True)
            if not phase.healthy(state):
                stopped = f"{phase.name} stopped at step {phase.done(state)}: {problem.diagnose(x)}"
                warnings.warn(stopped, RuntimeWarning, stacklevel=2)
                break
            state = None
    trained, mark = problem.system_at(jnp.asarray(x)), getattr(loss, "mark", lambda system: system)
    return FitResult(mark(trained), history, stopped, time.perf_counter() - start)


class _Record:
    """The folder of a run: `metrics.csv`, and checkpoints of (phase, state, history)."""

    def __init__(self, folder, problem, phases, key, seconds):
        self.folder, self.phases = Path(folder), phases
        names = [f"{phase.name} {phase.steps}" for phase in phases]
        identity = fingerprint([problem.x, *jax.tree.leaves(problem.data), jax.random.key_data(key)], names)
        self.checkpoints = Checkpoints(self.folder / "checkpoints", identity, seconds)

    def restore(self):
        """(phase, state, history, seconds) where the run was left, or its beginning."""
        kept = self.checkpoints.restore()
        if kept is None:
            return 0, None, [], 0.0
        number, names = int(kept["phase"]), [phase.name for phase in self.phases]
        history = [Row(names[int(p)], int(step), float(loss)) for p, step, loss in kept["history"][1:]]
        return number, self.phases[number].state(**kept["state"]), history, float(kept["seconds"])

    def keep(self, number, state, history, seconds, now=False):
        """Write, if a checkpoint is due."""
        if not (now or self.checkpoints.due()):
            return
        names = [phase.name for phase in self.phases]
        rows = np.array([(-1, -1, -1), *((names.index(row.phase), row.step, row.loss) for row in history)], float)
        self.checkpoints.keep(
            {"phase": np.array(number), "state": state._asdict(), "history": rows, "seconds": np.array(seconds)}
        )
        with open(self.folder / "metrics.csv", "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(Row._fields)
            writer.writerows(history)


def _progress():
    """A bar with the relative error, the rate and the time left; silent without a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("relative error {task.fields[error]:.2e}"),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )

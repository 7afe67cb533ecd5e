"""Training: `fit` runs phases one after the other, keeps them and resumes."""

import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from lgn import _arguments
from lgn.checkpoint.files import write_whole
from lgn.checkpoint.identity import releases
from lgn.checkpoint.jobs import Checkpoints
from lgn.devices.processes import answering
from lgn.devices.samples import divided_samples
from lgn.learning.loggers import CSVRows, Loggers
from lgn.learning.loss import LossLike
from lgn.learning.losses import default_loss
from lgn.learning.optimizers import default_phases
from lgn.learning.phase import Phase, Row
from lgn.learning.problem import Problem
from lgn.learning.validation import SHARE, Best, Split, split, untrained
from lgn.mechanics.system import offered


class FitResult(NamedTuple):
    """Result of `fit`.

    Attributes:
        system: with the trained parameters.
        history: one `Row` for each recorded step.
        stopped: empty, or why training ended early, or what held-out data say against it.
        seconds: of training, those before an interruption included.
        held_out: relative error of the held-out data before they joined the others, the root of their loss; NaN where
            nothing was held out. With noise in what is compared it is not below that noise.
        noise: estimate of the relative noise of what is compared, what the model cannot express included; see `Best`.
    """

    system: Any
    history: list[Row]
    stopped: str
    seconds: float
    held_out: float = np.nan
    noise: float = np.nan


def fit(
    system,
    data: Any,
    *,
    key: jax.Array,
    phases: Sequence[Phase] | None = None,
    loss: LossLike | None = None,
    validation: Any = SHARE,
    folder: str | Path | None = None,
    checkpoint_seconds: float = 10.0,
    mesh: Mesh | None = None,
    on_row: Callable[[Row], Any] | None = None,
) -> FitResult:
    """Train the `nnx.Param` of a system.

    With a folder, `metrics.csv` and checkpoints are kept there: the same call after a kill at any moment resumes from
    the last checkpoint, to the same numbers as an uninterrupted run, and of a finished run it returns the result. Any
    other call is refused, with what differs. Same key, same csv. A terminal shows progress.

    Part of the data is held out and judges every step: training ends when they have long not gained, at the parameters
    where they were best; then they join the others for a last share of the steps. Held out are whole trials, where the
    data tell them apart (`trial`); of independent states a random share; of pieces of one motion those in the middle;
    for `ShootingLoss` the end of each piece. Single steps do not judge, as `DiscreteLoss` and `variational_loss`
    compare them: where states are noisy, they reward a model that fits the noise. A loss of pieces says by its
    `judge` whether it does; `lgn.learning.loss.Loss` states all that a loss may say.

    Args:
        system: a Lagrangian, or any system with `nnx.Param` and what the loss needs.
        data: `States` with their accelerations, or `Windows`, pieces of trajectories, as the loss requires; or
            any pytree of samples that has `q` and `check()`.
        key: of jax.random.
        phases: run one after the other; by default `default_phases(system, data)`. A new one derives from
            `lgn.learning.phase.Phase`.
        loss: (system, data) -> scalar > 0, by default that of `default_loss(data)`.
        validation: the share of the data to hold out; or other data that judge, and are not trained on; or None. Fewer
            than 10 samples are all trained on. A last phase with an objective of its own is not judged.
        folder: where to keep the run.
        checkpoint_seconds: least time between two checkpoints.
        mesh: of devices, over which the samples are divided; what is found is the same but for rounding, and a run may
            go on over other devices. To divide the nodes of large graphs instead, give a system from `shard`.
        on_row: a function of a `Row`, called for each row of the history as it is recorded, and for those that the
            folder held already first, so that a call that goes on tells all: `print`, or of `lgn.learning.loggers`
            `CSVRows(path)`, `JSONRows(path)`, `TensorBoardRows(folder)`, several as `Loggers(...)`. It does not decide
            the result: a run may go on with another. What it raises ends the training; the checkpoints stand. Of
            several processes the first calls it.

    Returns:
        FitResult. `stopped` and a warning say what went singular where a loss is not finite, and by how much errors of
        held-out and of training data parted; the best parameters are kept.

    Raises:
        ValueError: data of wrong shapes or not finite, a system without parameters; a mesh of several axes, or beside a
            system from `shard`.
        ProcessLost: another process of the same training died; the checkpoints stand.
        CheckpointError: a folder with another run, with no whole state, in use by another process, or that cannot be
            written; something that decides the result and has no content to compare, such as a lock.

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
    _arguments.made("fit: system", system, "lgn.Lagrangian(graph, density) or another with parameters")
    _check_arguments(data, key, phases, loss, folder, checkpoint_seconds, on_row)
    left = f"The checkpoints in {folder} stand" if folder is not None else "Without folder= nothing was kept"
    with divided_samples(system, mesh), answering(f"{left}; the same call, of as many processes as you like, goes on."):
        return _fit(system, data, key, phases, loss, validation, folder, checkpoint_seconds, on_row)


def _fit(system, data, key, phases, loss, validation, folder, checkpoint_seconds, on_row) -> FitResult:
    """Result of `fit`, whose arguments are of the right kind."""
    data = jax.tree.map(jnp.asarray, data.check())
    loss = loss or default_loss(data)
    phases = tuple(phases) if phases is not None else default_phases(system, data)
    judged = bool(phases) and phases[-1].objective is None
    parts = split(data, loss, validation if judged else None, jax.random.fold_in(key, len(phases)))
    problem = Problem(system, data, loss)
    if problem.x.size == 0:
        raise ValueError("fit: the system has no nnx.Param to train; give it a learned density such as MLPDensity")
    run = stages(problem, phases, parts)
    record = None
    if folder is not None:
        decides = {"system": offered(system, "whole"), "data": data, "loss": loss, "key": key, "phases": phases}
        record = Record(folder, run, decides | {"validation": validation}, checkpoint_seconds)
    stopped = ""
    with _progress() as bar, record or nullcontext(), ExitStack() as stack:
        kept = record.restore() if record else None
        first = on_row is not None and jax.process_index() == 0  # of several that train together the first one tells
        tell = stack.enter_context(Loggers(*[on_row] * first))  # once it is known that the folder holds this run
        number, state, best, history, before = kept or (0, None, untrained(problem.x), [], 0.0)
        begun = time.perf_counter() - before
        tell(*history)
        for i, stage in enumerate(run[number:], number):
            if state is None or i > number:
                state, best = stage.begin(state, best, jax.random.fold_in(key, i))
            phase, task = stage.phase, bar.add_task(stage.name, total=stage.most(best), error=np.nan)
            while stage.goes_on(state, best):
                state, best, rows = stage.advance(state, best)
                history += rows
                bar.update(task, completed=phase.done(state), error=np.sqrt(history[-1].loss) if history else np.nan)
                if record:
                    record.keep(i, state, best, history, time.perf_counter() - begun)
                tell(*rows)
            ended = stage is run[-1] or not phase.healthy(state)
            if record:
                record.keep(i, state, best, history, time.perf_counter() - begun, now=True, done=ended)
            if not phase.healthy(state):
                found = stage.problem.diagnose(phase.parameters(state))
                stopped = f"{stage.name} stopped at step {phase.done(state)}: {found}"
                break
    if stopped := stopped or best.verdict():
        warnings.warn(stopped, RuntimeWarning, stacklevel=3)
    trained, seconds = problem.loss.mark(problem.system_at(jnp.asarray(best.x))), time.perf_counter() - begun
    return FitResult(trained, history, stopped, seconds, float(np.sqrt(best.value)), best.noise)


@dataclass(frozen=True)
class Stage:
    """Phase on a problem, judged along the way.

    Args:
        name: in the history.
        phase: what improves the parameters.
        problem: of the data to train on.
        judge: problem of held-out data; without one the latest parameters are the best.
        share: of its steps that the phase may take; where held-out data join, by how much these add to the data: each
            sample is then seen as often as by the best parameters.
        joins: whether held-out data join.
    """

    name: str
    phase: Phase
    problem: Problem
    judge: Problem | None = None
    share: float = 1.0
    joins: bool = False

    def begin(self, before: Any, best: Best, key) -> tuple[Any, Best]:
        """State at the best parameters so far, from the state of the stage before, and these parameters judged."""
        if self.joins:
            return self.phase.move(self.problem, before, best.x), best
        held_out = None if self.judge is None else self.judge.value(best.x)
        return self.phase.start(self.problem, best.x, key), untrained(best.x, held_out)

    def advance(self, state, best: Best) -> tuple[Any, Best, list[Row]]:
        """Next state, best parameters by then, and rows for the history."""
        state, rows = self.phase.advance(self.problem, state)
        rows, done = [row._replace(phase=self.name) for row in rows], self.phase.done(state)
        if best.due(done) or not self.goes_on(state, best):
            x = self.phase.parameters(state)
            if self.judge is None:
                return state, best._replace(x=np.array(x)), rows
            held_out = self.judge.value(x)
            best = best.see(x, np.array(held_out), done, rows[-1].loss if rows else float(best.loss))
            rows[-1:] = [row._replace(held_out=held_out) for row in rows[-1:]]
        return state, best, rows

    def goes_on(self, state, best: Best) -> bool:
        """Whether anything is left to gain."""
        done = self.phase.done(state)
        ended = self.phase.finished(state) or done >= self.most(best) or best.over(done, self.phase.steps)
        return self.phase.healthy(state) and not (ended or bool(best.value <= self.phase.target**2))

    def most(self, best: Best) -> int:
        """Steps that it may take."""
        return round(self.share * (int(best.step) if self.joins else self.phase.steps))


def stages(whole: Problem, phases: Sequence[Phase], parts: Split) -> list[Stage]:
    """Phases on the data to train on, and the last one again where the held-out data join.

    A phase with an objective of its own is not judged: on its way there the loss may rise. Where all phases take all
    samples at once, the program that trains judges too, on as many samples: held-out ones are repeated, by which their
    mean changes little; more samples than these have a program of their own, of the loss alone."""
    held, count, judge = parts.held, len(parts.train.q), None
    if held is not None:
        more = len(held.q) > count
        if not more and all(phase.batch is None for phase in phases):
            held = jax.tree.map(lambda x: x[np.resize(np.arange(len(x)), count)], held)
        judge = whole.on(held, parts.judge, apart=more)
    problem = whole.on(parts.train)
    found = [Stage(x.name, x, problem, judge if x.objective is None else None) for x in phases]
    if found and parts.share:
        last, rest = phases[-1], 1 - parts.share
        found[-1] = Stage(last.name, last, problem, judge, rest)
        found.append(Stage(f"{last.name}, all data", last, whole, None, parts.share / rest, joins=True))
    return found


class Record:
    """Folder of a run: `metrics.csv`, and checkpoints of (stage, state, best parameters, history). A context, in
    which it is alone. `named` is all that decides the result: what differs from the run in the folder is refused."""

    def __init__(self, folder: str | Path, run: Sequence[Stage], named: dict[str, Any], seconds: float):
        self.folder, self.run = Path(folder), run
        own = {"precision": str(jnp.result_type(float)), f"releases ({releases()})": None}
        self.checkpoints = Checkpoints(self.folder / "checkpoints", named | own, seconds, jax.process_index() == 0)

    def __enter__(self) -> "Record":
        return self

    def __exit__(self, *error) -> None:
        self.checkpoints.close()

    def restore(self):
        """Stage, state, best parameters, history and seconds where the run was left, or None at its beginning."""
        kept = self.checkpoints.restore()
        if kept is None:
            return None
        number = int(kept["stage"])
        history = [  # NaN is one object: rows that nobody judged are equal
            Row(self.run[int(i)].name, int(step), float(loss), np.nan if np.isnan(held_out) else float(held_out))
            for i, step, loss, held_out in kept["history"]
        ]
        state, best = self.run[number].phase.state(**kept["state"]), Best(**kept["best"])
        return number, state, best, history, float(kept["seconds"])

    def keep(self, number, state, best, history, seconds, now=False, done=False):
        """Write, if a checkpoint is due, or now; `done` with the last one of the run."""
        if self.checkpoints.done or not self.checkpoints.writes or not (now or self.checkpoints.due()):
            return
        write_whole(
            self.folder / "metrics.csv", CSVRows.text(history).encode()
        )  # before the state that says it is done
        names = [stage.name for stage in self.run]
        rows = np.array([(names.index(row.phase), *row[1:]) for row in history], float).reshape(-1, len(Row._fields))
        kept = {"stage": np.array(number), "history": rows, "seconds": np.array(seconds)}
        self.checkpoints.keep(kept | {"state": state._asdict(), "best": best._asdict()}, done)


def _check_arguments(data, key, phases, loss, folder, seconds, on_row) -> None:
    """Raises ValueError for arguments of `fit` of the wrong kind, before anything is traced."""
    _arguments.has("fit: data", data, ("q", "check"), "lgn.States(q, v, a), or lgn.windows(t, q, v, length=...)")
    _arguments.random_key("fit", key)
    if loss is not None:
        _arguments.called("fit: loss", loss, "lgn.acceleration_loss, lgn.RolloutLoss(integrator, dt) or another")
    if folder is not None:
        _arguments.path("fit: folder", folder)
    _arguments.positive("fit: checkpoint_seconds", seconds, zero=True)
    if on_row is not None:
        known = "a function of a row, such as print, or of lgn.learning.loggers CSVRows(path); of several Loggers(...)"
        _arguments.called("fit: on_row", on_row, known)
    if phases is None:
        return
    if not isinstance(phases, list | tuple):
        raise ValueError(f"fit: phases={phases!r:.60}; expected a list of phases: give [lgn.QuasiNewton()]")
    known = "lgn.pretrain(), lgn.QuasiNewton(), lgn.LimitedMemory() or lgn.Minibatch(optimizer, steps, batch)"
    for i, phase in enumerate(phases):
        _arguments.made(f"fit: phases[{i}]", phase, known)
        _arguments.of_kind(f"fit: phases[{i}]", phase, Phase, f"{known}, or one derived from lgn.learning.phase.Phase")


def _progress():
    """Progress bar with the relative error, the rate and the time left; silent without a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    console, error = Console(stderr=True), "relative error {task.fields[error]:.2e}"
    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), error, "left", TimeRemainingColumn())
    return Progress(*columns, console=console, disable=not console.is_terminal)

"""Training: `fit` runs phases one after the other, keeps them and resumes."""

import time
import warnings
from collections.abc import Sequence
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from lgn import _arguments
from lgn.learning.following import Follower, followers_of
from lgn.learning.losses import Loss, default_loss
from lgn.learning.phase import Phase, Row
from lgn.learning.phases import default_phases
from lgn.learning.problem import Problem
from lgn.learning.record import Record
from lgn.learning.stages import has_objective, stages
from lgn.learning.validation import SHARE, split, untrained
from lgn.parallel.processes import answering
from lgn.parallel.samples import divided_samples


class FitResult(NamedTuple):
    """What `fit` returns.

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
    loss: Loss | None = None,
    validation: Any = SHARE,
    folder: str | Path | None = None,
    checkpoint_seconds: float = 10.0,
    mesh: Mesh | None = None,
    on_row: Follower | None = None,
) -> FitResult:
    """Trains the `nnx.Param` of a system.

    With a folder, `metrics.csv` and checkpoints are kept there: the same call after a kill at any moment resumes from
    the last checkpoint, to the same numbers as an uninterrupted run, and of a finished run it returns the result. Any
    other call is refused, with what differs. Same key, same csv. A terminal shows progress.

    Part of the data is held out and judges every step: training ends when they have long not gained, at the parameters
    where they were best; then they join the others for a last share of the steps. Held out are whole trials, where the
    data tell them apart (`trial`); of independent states a random share; of pieces of one motion those in the middle;
    for `ShootingLoss` the end of each piece. Single steps do not judge, as `DiscreteLoss` and `variational_loss`
    compare them: where states are noisy, they reward a model that fits the noise. A loss of pieces judges by its
    `judge(data)`.

    Args:
        system: a Lagrangian, or any system with `nnx.Param` and what the loss needs.
        data: `States` with their accelerations, or `Windows`, pieces of trajectories, as the loss requires; or
            any pytree of samples that has `q` and `check()`.
        key: of jax.random.
        phases: run one after the other; by default `default_phases(system, data)`.
        loss: (system, data) -> scalar > 0, by default that of `default_loss(data)`. Its `mark(system)`, if it has one,
            says in the system how it was trained.
        validation: the share of the data to hold out; or other data that judge, and are not trained on; or None. Fewer
            than 10 samples are all trained on. A last phase with an objective of its own is not judged.
        folder: where to keep the run.
        checkpoint_seconds: least time between two checkpoints.
        mesh: of devices, over which the samples are divided; what is found is the same but for rounding, and a run may
            go on over other devices. To divide the nodes of large graphs instead, give a system from `shard`.
        on_row: a function of a `Row`, called for each row of the history as it is recorded, and for those that the
            folder held already first, so that a call that goes on tells all: `print`, `CSVRows(path)`,
            `JSONRows(path)`, `TensorBoardRows(folder)`, or several as `Followers(...)`. It does not decide the result:
            a run may go on with another. What it raises ends the training; the checkpoints stand. Of several processes
            the first calls it.

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
    """The same, with arguments of the right kind."""
    data = jax.tree.map(jnp.asarray, data.check())
    loss = loss or default_loss(data)
    phases = tuple(phases) if phases is not None else default_phases(system, data)
    judged = bool(phases) and not has_objective(phases[-1])
    parts = split(data, loss, validation if judged else None, jax.random.fold_in(key, len(phases)))
    problem = Problem(system, data, loss)
    if problem.x.size == 0:
        raise ValueError("fit: the system has no nnx.Param to train; give it a learned density such as MLPDensity")
    run = stages(problem, phases, parts)
    decides = {
        "system": getattr(system, "whole", system),
        "data": data,
        "loss": loss,
        "key": key,
        "phases": phases,
        "validation": validation,
    }
    record = Record(folder, run, decides, checkpoint_seconds) if folder is not None else None
    stopped = ""
    with _progress() as bar, record or nullcontext(), ExitStack() as stack:
        kept = record.restore() if record else None
        followers = stack.enter_context(followers_of(on_row))  # once it is known that the folder holds this run
        number, state, best, history, before = kept or (0, None, untrained(problem.x), [], 0.0)
        begun = time.perf_counter() - before
        followers.tell(history)
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
                followers.tell(rows)
            ended = stage is run[-1] or not phase.healthy(state)
            if record:
                record.keep(i, state, best, history, time.perf_counter() - begun, now=True, done=ended)
            if not phase.healthy(state):
                found = stage.problem.diagnose(phase.parameters(state))
                stopped = f"{stage.name} stopped at step {phase.done(state)}: {found}"
                break
    stopped = stopped or best.verdict()
    if stopped:
        warnings.warn(stopped, RuntimeWarning, stacklevel=3)
    trained, mark = problem.system_at(jnp.asarray(best.x)), getattr(loss, "mark", lambda system: system)
    return FitResult(
        mark(trained), history, stopped, time.perf_counter() - begun, float(np.sqrt(best.value)), best.noise
    )


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
        _arguments.called(
            "fit: on_row",
            on_row,
            "a function of a row, such as print or lgn.CSVRows(path); of several lgn.Followers(...)",
        )
    if phases is None:
        return
    if not isinstance(phases, list | tuple):
        raise ValueError(f"fit: phases={phases!r:.60}; expected a list of phases: give [lgn.QuasiNewton()]")
    for i, phase in enumerate(phases):
        known = "lgn.pretrain(), lgn.QuasiNewton(), lgn.LimitedMemory() or lgn.Minibatch(optimizer, steps, batch)"
        _arguments.has(f"fit: phases[{i}]", phase, ("start", "advance", "finished", "parameters"), known)


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

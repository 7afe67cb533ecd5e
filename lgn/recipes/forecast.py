"""Forecast: the motion of what was learned over the held-out end of each trial, and the run directory of `lgn fit`."""

import shutil
from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from lgn.analysis import plots
from lgn.analysis.diagnostics import parameters, split_friction
from lgn.data.exchange import write
from lgn.data.recording import Recording
from lgn.data.samples import Trajectory
from lgn.graphs.features import clamped_nodes
from lgn.harness import reports, runs
from lgn.harness.catalogue import number
from lgn.motion.rollout import rollout
from lgn.recipes.learning import Learned, learn
from lgn.recipes.loading import Even, Loaded
from lgn.recipes.recipe import Recipe

SHOWN = 4  # columns in the picture


class Forecast(NamedTuple):
    """Motions of the trials, from the last row of each that was trained on.

    Attributes:
        motions: one of each trial.
        rows: of the recording that they stand at, without the first.
    """

    motions: list[Trajectory]
    rows: list[np.ndarray]

    def along(self, whole: Even) -> np.ndarray:
        """q at the rows of the recording, (time, node, dim), NaN where nothing was forecast."""
        q = np.full(whole.q.shape, np.nan)
        for motion, rows in zip(self.motions, self.rows, strict=True):
            q[rows] = motion.q[1:]
        return q


def over_seeds(recipe: Recipe, loaded: Loaded) -> tuple[Learned, Forecast, list[dict]]:
    """The system of the least loss over the seeds of a recipe, and its forecast; the metrics of every seed.

    Raises:
        MotionStopped: a learned motion does not go on to the end.
    """
    kept: list[tuple[Learned, Forecast]] = []
    table: list[dict] = []
    for seed in range(recipe.seeds):
        learned = learn(recipe, loaded.rows, loaded.known, loaded.graph, seed)
        found, loss = forecast(learned, loaded), learned.fit.history[-1].loss
        if not table or loss < min(row["loss"] for row in table):
            kept = [(learned, found)]
        table.append({"seed": seed, "loss": loss, **metrics(recipe, learned, loaded, found)})
    return *kept[0], table


def forecast(learned: Learned, loaded: Loaded) -> Forecast:
    """Roll out each trial from its last known row, in the state that the training found there.

    Raises:
        MotionStopped: the learned motion does not go on to the end.
    """
    motions, places = [], []
    for part in loaded.rows.trials():
        last = int(part[np.isfinite(learned.states[0][part]).all((1, 2))][-1])
        start = tuple(jnp.asarray(x[last]) for x in learned.states)
        later = part[part >= last]
        motions.append(rollout(learned.system, start, loaded.rows.t[later]))
        places.append(later[1:])
    return Forecast(motions, places)


def metrics(recipe: Recipe, learned: Learned, loaded: Loaded, found: Forecast) -> dict[str, float]:
    """Metrics of a forecast: `held_out_error`, relative to the root mean square of what was seen; `noise`, what the
    model leaves unexplained, relative to the training rows; c of a linear friction, dv/dt = ... - c v [1/time]."""
    rows, moving = loaded.rows, ~clamped_nodes(loaded.graph)
    judged = (rows.seen & ~loaded.known[:, None] & moving)[..., None] & np.isfinite(rows.q)
    off, size = (np.where(judged, x, 0.0) for x in (found.along(rows) - rows.q, rows.q))
    measured: dict[str, float] = {
        "held_out_error": float(np.sqrt(np.sum(off**2) / np.sum(size**2))),
        "held_out_rows": int((~loaded.known).sum()),
        "noise": float(np.sqrt(learned.fit.history[-1].loss)),
        "train_seconds": learned.fit.seconds,
        "parameters": parameters(learned.system),
    }
    if recipe.friction == "linear":  # of each degree of freedom of the first moving node, at its mean position
        node, q = int(np.argmax(moving)), jnp.asarray(np.nanmean(rows.q, 0))[None]
        for i, name in enumerate(recipe.grid[0]):
            v = jnp.zeros_like(q).at[..., i].set(1.0)
            measured[f"friction_{name}"] = -float(split_friction(learned.system, q, v)[1][0, node, i])
    return measured


def keep(
    out: Path, settings: Path, recipe: Recipe, loaded: Loaded, learned: Learned, found: Forecast, table: list
) -> None:
    """Write the run directory: config.json, environment.txt, the settings, metrics, the system and its last state,
    forecast.csv, which `lgn.read` reads, forecast.png and report.html. Raises OSError where it cannot be written."""
    runs.begin(out, recipe)
    shutil.copyfile(settings, out / "settings.toml")
    kept = min(table, key=lambda row: row["loss"])
    runs.write_metrics(out, kept, table)
    runs.keep_motion(out, learned.system, found.motions[-1])
    write(out / "forecast.csv", motion := predicted(loaded, found))
    _draw(out / "forecast.png", recipe, loaded, learned, motion)
    reports.keep(out, out.name, [[name, "", "", number(value), False] for name, value in kept.items()])
    reports.keep_quantities(out, learned.system, found.motions[-1])
    reports.write(out)


def predicted(loaded: Loaded, found: Forecast) -> Recording:
    """Forecast in the columns and units of the recording."""
    rows, moving = np.concatenate(found.rows), ~clamped_nodes(loaded.graph)
    q, v = (
        np.concatenate([np.asarray(x)[1:] for x in parts])[:, moving] / radians
        for parts, radians in zip(zip(*(m.state for m in found.motions), strict=True), loaded.radians, strict=True)
    )
    trial = None if loaded.recording.trial is None else loaded.rows.trial[rows]
    return loaded.recording._replace(t=loaded.rows.t[rows], q=q, v=v, seen=None, trial=trial)


def last_trial(recording: Recording, motion: Recording) -> list[np.ndarray]:
    """Masks (time,) of the rows of both in the last trial of the forecast."""
    last = None if motion.trial is None else motion.trial[-1]
    return [np.ones(len(x.t), bool) if x.trial is None else x.trial == last for x in (recording, motion)]


def _draw(path: Path, recipe: Recipe, loaded: Loaded, learned: Learned, motion: Recording) -> None:
    """Picture of the last trial, measured and forecast, and of the training."""
    recording, names = loaded.recording, [name for row in recipe.grid for name in row]
    last, later = last_trial(recording, motion)
    shown = min(SHOWN, len(names))
    with plots.picture(path, 1, shown + 1, size=(4.5 * (shown + 1), 3.6)) as axes:
        for i, ax in enumerate(axes[:-1]):
            measured, ahead = (
                np.asarray(x.q)[part].reshape(part.sum(), -1)[:, i] for x, part in ((recording, last), (motion, later))
            )
            ax.plot(recording.t[last], measured, ".", color="0.6", markersize=3, label="measured")
            ax.plot(motion.t[later], ahead, color="C3", label="forecast")
            ax.axvline(motion.t[later][0], color="0.8", zorder=0)
            ax.set(title=names[i], xlabel=" ".join(["t", *recording.units.get("t", "").split()]))
            ax.legend(frameon=False)
        plots.history(axes[-1], learned.fit.history)

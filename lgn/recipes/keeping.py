"""Keeping: the folder that `lgn fit` leaves, from which the motion goes on."""

import shutil
from pathlib import Path

import numpy as np

from lgn.analysis import plots
from lgn.data.exchange import write
from lgn.data.recording import Recording
from lgn.graphs.features import clamped_nodes
from lgn.harness import reports, runs
from lgn.harness.catalogue import number
from lgn.recipes.forecast import Forecast
from lgn.recipes.learning import Learned
from lgn.recipes.loading import Loaded
from lgn.recipes.recipe import Recipe

SHOWN = 4  # columns in the picture


def keep(
    out: Path, settings: Path, recipe: Recipe, loaded: Loaded, learned: Learned, found: Forecast, table: list
) -> None:
    """Writes config.json, environment.txt and the settings; metrics of every seed and of the one that is kept; the
    system and its last state; forecast.csv, which `lgn.read` reads, forecast.png, and all of it on one page,
    report.html.

    Raises:
        OSError: the folder cannot be written.
    """
    runs.begin(out, recipe)
    shutil.copyfile(settings, out / "settings.toml")
    kept = min(table, key=lambda row: row["loss"])
    runs.write_metrics(out, kept, table)
    runs.keep_motion(out, learned.system, found.motions[-1])
    motion = predicted(loaded, found)
    write(out / "forecast.csv", motion)
    _draw(out / "forecast.png", recipe, loaded, learned, motion)
    reports.keep(out, out.name, [[name, "", "", number(value), False] for name, value in kept.items()])
    reports.keep_quantities(out, learned.system, found.motions[-1])
    reports.write(out)


def predicted(loaded: Loaded, found: Forecast) -> Recording:
    """The forecast in the columns and units of the recording."""
    rows, moving = np.concatenate(found.rows), ~clamped_nodes(loaded.graph)
    q, v = (
        np.concatenate([np.asarray(x)[1:] for x in parts])[:, moving] / radians
        for parts, radians in zip(zip(*(m.state for m in found.motions), strict=True), loaded.radians, strict=True)
    )
    trial = None if loaded.recording.trial is None else loaded.rows.trial[rows]
    return loaded.recording._replace(t=loaded.rows.t[rows], q=q, v=v, seen=None, trial=trial)


def last_trial(recording: Recording, motion: Recording) -> list[np.ndarray]:
    """The rows of both in the trial that the forecast ends with, (time,) bool."""
    number = None if motion.trial is None else motion.trial[-1]
    return [np.ones(len(x.t), bool) if x.trial is None else x.trial == number for x in (recording, motion)]


def _draw(path: Path, recipe: Recipe, loaded: Loaded, learned: Learned, motion: Recording) -> None:
    """The last trial: what was measured, and the forecast of its end; the training."""
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

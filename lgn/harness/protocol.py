"""Protocol: what experiments share around their own training: run directory, seeds, figures, pictures, table.

An experiment is a file of the folder `experiments` with FIGURES, the figures that were published and are asked;
HEADLINE, the one that it is shown by; Config, a frozen dataclass with `out`, `quick` and its own settings; train,
examine, draw; and main(config) -> metrics.
"""

import os
import sys
import time
from collections.abc import Callable, Iterable
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import numpy as np

from lgn.harness import reports, runs
from lgn.harness.catalogue import Figure, Figures, experiments, folders, number
from lgn.harness.catalogue import Headline as Headline
from lgn.learning.training import FitResult, fit


def begin(config, packages: Iterable[str] = ()) -> Path:
    """Start an experiment: double precision, pictures without a screen, the run directory `config.out`."""
    prepare()
    return runs.begin(config.out, config, tuple(packages))


def prepare() -> None:
    """Double precision, and pictures without a screen."""
    import matplotlib

    use_float64()
    matplotlib.use("agg")


def use_float64() -> None:
    """Switch to double precision: for experiments to choose, never for the library."""
    jax.config.update("jax_enable_x64", True)


def learn(system, sample: Callable, seed: int, folder: Path | None = None, **settings) -> FitResult:
    """Fit a system to sample(key) -> data, the keys of data and training derived from the seed.

    An experiment measures its errors on fresh data, so by default it trains on all that it has.

    Args:
        system: what is trained.
        sample: key -> data.
        seed: of both keys.
        folder: where to keep the training.
        settings: further arguments of `lgn.fit`, such as its phases and its loss.
    """
    data_key, fit_key = jax.random.split(jax.random.key(seed))
    return fit(system, sample(data_key), key=fit_key, folder=folder, **{"validation": None, **settings})


def over_seeds(seeds: Iterable[int], train: Callable, examine: Callable) -> tuple[list[dict], list[tuple]]:
    """Train by train(seed) -> fit and examine by examine(fit) -> (metrics, what is drawn), for every seed.

    Returns:
        rows, the metrics with their seed and the seconds of both parts, data and compilation included; and (fit, what
        is drawn) of every seed.
    """
    rows, shown = [], []
    for seed in seeds:
        begun = time.perf_counter()
        fit = train(seed)
        trained = time.perf_counter()
        metrics, drawn = examine(fit)
        parts = {"part_training_seconds": trained - begun, "part_motion_seconds": time.perf_counter() - trained}
        rows.append({"seed": seed, **metrics, **parts})
        shown.append((fit, drawn))
    return rows, shown


def summary(rows: list[dict], prefix: str = "") -> dict:
    """Summary of the rows: the median of each number, and `_worst`, the largest, of more than one row.

    Example:
        >>> from lgn.harness.protocol import summary
        >>> summary([{"seed": 0, "error": 1.0, "nodes": 5}, {"seed": 1, "error": 3.0, "nodes": 5}])
        {'error': 2.0, 'error_worst': 3.0, 'nodes': 5}
    """
    metrics = {}
    for name, first in rows[0].items():
        if name != "seed":
            values = [row[name] for row in rows]
            metrics[prefix + name] = float(np.median(values)) if isinstance(first, float) else first
            if len(rows) > 1 and isinstance(first, float):
                metrics[f"{prefix}{name}_worst"] = float(np.max(values))
    return metrics


def finish(
    folder: Path, title: str, figures: Figures, metrics: dict, rows: list[dict], draw: Callable, motion=None, shown=None
) -> dict:
    """Finish a run: write the metrics, keep the motion, draw, show the table and write `report.html`. A failing picture
    loses nothing.

    Args:
        folder: of the run; `title` and `figures` are those of its table.
        metrics: for metrics.json, and returned; `rows` are for metrics.csv.
        draw: () -> None, writes the pictures.
        motion: (system, trajectory) that `lgn rollout` continues, if anything moves.
        shown: what the table shows, if not the metrics.
    """
    lines = _compare(metrics if shown is None else shown, figures)
    runs.write_metrics(folder, metrics, rows)
    reports.keep(folder, title, lines)
    if motion is not None:
        runs.keep_motion(folder, *motion)
        reports.keep_quantities(folder, *motion)
    begun = time.perf_counter()
    draw()
    taken = time.perf_counter() - begun
    pictures = sorted(path.name for path in folder.iterdir() if path.suffix in (".png", ".gif"))
    caption = f"pictures in {folder}: {', '.join(pictures)}, drawn in {taken:.1f} s"
    _show(title, lines, caption=f"{caption}, and all of it in {reports.write(folder).name}")
    return metrics


def collect(folder: Path) -> int:
    """Show the figures of all finished experiments, folder/NAME/metrics.json or NAME-...; return their number."""
    known, lines, count = experiments(), [], 0
    for path in sorted(folder.glob("*/metrics.json")):
        name = path.parent.name.partition("-")[0]
        if name in known:
            figures, count = load(name).FIGURES, count + 1
            compared = _compare(reports.read_json(path, dict), figures)
            lines += [[path.parent.name, *line] for line in compared if line[0] in {*figures, "train_seconds"}]
    if count:
        _show("published, asked and reached", lines, "experiment")
    return count


def load(name: str) -> ModuleType:
    """Import an experiment, which finds others as `experiments.NAME`.

    Raises:
        ValueError: no such experiment; names those that there are.
    """
    known = experiments()
    if name not in known:
        raise ValueError(f"no experiment {name!r}; there are: {', '.join(sorted(known)) or 'none here'}")
    _register(folders())
    return import_module(f"experiments.{name}")


def in_own_process(function: Callable, *arguments) -> Any:
    """Call function(*arguments) in a fresh process, where jax starts anew: for other precision, memory or cores."""
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    with ProcessPoolExecutor(1, get_context("spawn"), _register, (folders(),)) as pool:
        return pool.submit(function, *arguments).result()


def on_one_core(function: Callable, *arguments) -> Any:
    """Call `in_own_process` on one core from its start, since XLA sizes its thread pool once; None where the operating
    system cannot."""
    if not hasattr(os, "sched_setaffinity"):
        return None
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})  # the child inherits it
    try:
        return in_own_process(function, *arguments)
    finally:
        os.sched_setaffinity(0, cores)


def _register(folders: list[Path]) -> None:
    """Make `experiments` a package of these folders, first match first."""
    package = sys.modules.setdefault("experiments", module_from_spec(ModuleSpec("experiments", None, is_package=True)))
    package.__path__ = [str(folder) for folder in folders]


def _compare(metrics: dict, figures: Figures) -> list[list]:
    """Lines [metric, published, asked, reached, missed], the worst of the seeds beside their median."""
    lines = []
    for name, value in metrics.items():
        if name.endswith("_worst"):
            continue
        figure, worst = figures.get(name, Figure()), metrics.get(f"{name}_worst")
        reached = number(value) + ("" if worst is None else f" (worst {number(worst)})")
        lines.append([name, number(figure.published), figure.demand, reached, bool(figure.missed_by(value))])
    return lines


def _show(title: str, lines: list[list], *first: str, caption: str | None = None) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(*first, "metric", "published", "asked", "reached", title=title, caption=caption)
    for *cells, reached, missed in lines:
        table.add_row(*cells, f"[red]{reached}" if missed else reached)
    Console(width=120).print(table)

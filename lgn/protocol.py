"""Protocol: what every experiment does around its own training: folder, seeds, figures, pictures, table.

An experiment is a file of the folder `experiments` with FIGURES, the figures that were published and are asked; Config,
a frozen dataclass with `out`, `quick` and its own settings; train, examine, draw; and main(config) -> metrics.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterable
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import module_from_spec
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import jax
import numpy as np

from lgn import runs
from lgn.learning.training import FitResult, fit


class Figure(NamedTuple):
    """What a metric is compared with: the figure of the paper, and the bound that is asked here, upper or lower."""

    published: float | None = None
    asked: float | None = None
    at_least: bool = False

    @property
    def demand(self) -> str:
        """What is asked, in words."""
        return "" if self.asked is None else f"{'>=' if self.at_least else '<='} {number(self.asked)}"

    def missed_by(self, value) -> bool:
        """Whether a value is not what is asked.

        Example:
            >>> from lgn.protocol import Figure
            >>> Figure(asked=40, at_least=True).missed_by(39.0), Figure(asked=0.1).missed_by(0.01)
            (True, False)
        """
        if self.asked is None or value is None:
            return False
        return not (value >= self.asked if self.at_least else value <= self.asked)


Figures = dict[str, Figure]


def begin(config, packages: Iterable[str] = ()) -> Path:
    """Double precision, pictures without a screen, and the folder `config.out`, see `runs.begin`."""
    import matplotlib

    use_float64()
    matplotlib.use("agg")
    return runs.begin(config.out, config, tuple(packages))


def use_float64() -> None:
    """Double precision for all that follows: an experiment's to choose, never the library's."""
    jax.config.update("jax_enable_x64", True)


def learn(system, sample: Callable, seed: int, folder: Path | None = None, **settings) -> FitResult:
    """`lgn.fit` of a system to sample(key) -> data; the key of the data and that of the training come from the seed.

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
    """Trains by train(seed) -> fit and examines by examine(fit) -> (metrics, what is drawn), for every seed.

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
    """Median over the rows of each number, and `_worst`, the largest, where there is more than one row.

    Example:
        >>> from lgn.protocol import summary
        >>> summary([{"seed": 0, "error": 1.0, "nodes": 5}, {"seed": 1, "error": 3.0, "nodes": 5}])
        {'error': 2.0, 'error_worst': 3.0, 'nodes': 5}
    """
    metrics = {}
    for name, first in rows[0].items():
        values = [row[name] for row in rows]
        if name == "seed":
            continue
        metrics[prefix + name] = float(np.median(values)) if isinstance(first, float) else first
        if len(rows) > 1 and isinstance(first, float):
            metrics[f"{prefix}{name}_worst"] = float(np.max(values))
    return metrics


def finish(
    folder: Path, title: str, figures: Figures, metrics: dict, rows: list[dict], draw: Callable, motion=None, shown=None
) -> dict:
    """Writes the metrics, keeps the motion, draws, shows the table; a picture that fails loses nothing.

    Args:
        folder: of the run; `title` and `figures` are those of its table.
        metrics: for metrics.json, and returned; `rows` are for metrics.csv.
        draw: () -> None, writes the pictures.
        motion: (system, trajectory) that `lgn rollout` continues, if anything moves.
        shown: what the table shows, if not the metrics.
    """
    runs.write_metrics(folder, metrics, rows)
    if motion is not None:
        runs.keep_motion(folder, *motion)
    begun = time.perf_counter()
    draw()
    taken = time.perf_counter() - begun
    pictures = sorted(path.name for path in folder.iterdir() if path.suffix in (".png", ".gif"))
    caption = f"pictures in {folder}: {', '.join(pictures)}, drawn in {taken:.1f} s"
    _show(title, _compare(metrics if shown is None else shown, figures), caption=caption)
    return metrics


def collect(folder: Path) -> int:
    """Shows the figures of all finished experiments, folder/NAME/metrics.json or folder/NAME-...; returns how many."""
    known, lines, count = experiments(), [], 0
    for path in sorted(folder.glob("*/metrics.json")):
        name = path.parent.name.partition("-")[0]
        if name in known:
            figures, count = load(name).FIGURES, count + 1
            compared = _compare(json.loads(path.read_text()), figures)
            lines += [[path.parent.name, *line] for line in compared if line[0] in {*figures, "train_seconds"}]
    _show("published, asked and reached", lines, "experiment")
    return count


def experiments() -> dict[str, Path]:
    """Name and file of every experiment: of the current folder, of the checkout, of the installed package."""
    return {path.stem: path for folder in reversed(_folders()) for path in sorted(folder.glob("*.py"))}


def load(name: str) -> ModuleType:
    """The module of an experiment, which finds others as `experiments.NAME`.

    Raises:
        ValueError: no such experiment; names those that there are.
    """
    known = experiments()
    if name not in known:
        raise ValueError(f"no experiment {name!r}; there are: {', '.join(sorted(known)) or 'none here'}")
    _register(_folders())
    return import_module(f"experiments.{name}")


def in_own_process(function: Callable, *arguments) -> Any:
    """function(*arguments) of a fresh process, where jax starts anew: for another precision, memory or cores."""
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    with ProcessPoolExecutor(1, get_context("spawn"), _register, (_folders(),)) as pool:
        return pool.submit(function, *arguments).result()


def on_one_core(function: Callable, *arguments) -> Any:
    """`in_own_process` with one core from its start, for XLA sizes its pool of threads once; None where the operating
    system cannot."""
    if not hasattr(os, "sched_setaffinity"):
        return None
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})  # the child inherits it
    try:
        return in_own_process(function, *arguments)
    finally:
        os.sched_setaffinity(0, cores)


def number(value) -> str:
    """Three digits; nothing for None."""
    return "" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)


def _folders() -> list[Path]:
    package = Path(__file__).parent
    candidates = [Path.cwd() / "experiments", package.parent / "experiments", package / "experiments"]
    return [folder for folder in candidates if folder.is_dir()]


def _register(folders: list[Path]) -> None:
    """Makes `experiments` a package of these folders; the first that has a module gives it."""
    package = sys.modules.setdefault("experiments", module_from_spec(ModuleSpec("experiments", None, is_package=True)))
    package.__path__ = [str(folder) for folder in folders]


def _compare(metrics: dict, figures: Figures) -> list[list[str]]:
    """[metric, published, asked, reached] of each, the worst of the seeds beside their median."""
    lines = []
    for name, value in metrics.items():
        if name.endswith("_worst"):
            continue
        figure, worst = figures.get(name, Figure()), metrics.get(f"{name}_worst")
        reached = number(value) + ("" if worst is None else f" (worst {number(worst)})")
        red = "[red]" if figure.missed_by(value) else ""
        lines.append([name, number(figure.published), figure.demand, red + reached])
    return lines


def _show(title: str, lines: list[list[str]], *first: str, caption: str | None = None) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(*first, "metric", "published", "asked", "reached", title=title, caption=caption)
    for line in lines:
        table.add_row(*line)
    Console(width=120).print(table)

"""lgn fit: a model of your own recording, as a file of settings says."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from lgn.commands.folders import check_out
from lgn.commands.mistakes import as_mistakes


@dataclass(frozen=True)
class Fit:
    """Learn from a recording what a file of settings says, forecast its held-out end, and keep the run."""

    settings: tyro.conf.Positional[Path]
    """A TOML file: docs/command-line.md has one, and every key."""

    def __call__(self) -> int:
        from lgn.recipes.recipe import read

        with as_mistakes(ValueError):
            recipe = read(self.settings)
        import matplotlib

        from lgn.harness import protocol
        from lgn.recipes.keeping import keep
        from lgn.recipes.loading import load

        protocol.use_float64()
        matplotlib.use("agg")
        with as_mistakes(ValueError, OSError, ImportError):
            loaded = load(recipe, self.settings.parent)
        _say_what_was_read(recipe, loaded)
        out = check_out(self.settings.parent / (recipe.out or f"runs/{self.settings.stem}"))
        learned, found, table = _learned(recipe, loaded)
        with as_mistakes(OSError):
            keep(out, self.settings, recipe, loaded, learned, found, table)
        _say_what_was_found(loaded, learned, min(table, key=lambda row: row["loss"]))
        print(f"wrote {out}: report.html, forecast.csv, forecast.png, metrics.json; go on with: lgn rollout {out}")
        return 0


def _learned(recipe: Any, loaded: Any) -> tuple:
    """Trains for each seed; that of the least loss, its forecast, and a row of each."""
    import lgn
    from lgn.recipes.forecast import forecast, metrics
    from lgn.recipes.learning import learn

    kept, table = None, []
    for seed in range(recipe.seeds):
        with warnings.catch_warnings(), as_mistakes(lgn.MotionStopped):
            warnings.simplefilter("ignore", RuntimeWarning)  # the result says the same, and is printed
            learned = learn(recipe, loaded.rows, loaded.known, loaded.graph, seed)
            found = forecast(learned, loaded)
        table.append({"seed": seed, "loss": learned.fit.history[-1].loss, **metrics(recipe, learned, loaded, found)})
        if kept is None or table[-1]["loss"] < kept[0].fit.history[-1].loss:
            kept = learned, found
    return *kept, table


def _say_what_was_read(recipe: Any, loaded: Any) -> None:
    rows, unit = loaded.rows, loaded.recording.units.get("t", "")
    count, step = len(rows.trials()), f"{rows.dt:.4g} {unit}".rstrip()
    print(
        f"read {recipe.file}: {len(loaded.recording.t)} rows of {count} trial{'s' * (count > 1)}, "
        f"{step} apart; {1 - rows.seen.mean():.1%} not seen; {(~loaded.known).mean():.0%} held out"
    )


def _say_what_was_found(loaded: Any, learned: Any, metrics: dict) -> None:
    unit = loaded.recording.units.get("t", "unit of time")
    print(f"learned {learned.system}")
    print(
        f"held-out error {metrics['held_out_error']:.3g}: of the forecast of {metrics['held_out_rows']} rows, relative"
    )
    print(f"noise {metrics['noise']:.2g}: relative to what was learned from; no model is below it")
    for name, value in metrics.items():
        if name.startswith("friction_"):
            print(
                f"friction {value:.4g} per {unit}: c of d2x/dt2 = ... - c dx/dt, x = {name.removeprefix('friction_')}"
            )
    if learned.fit.stopped:
        print(f"note: {learned.fit.stopped}")

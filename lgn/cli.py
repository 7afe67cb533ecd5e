"""Command line: every command a function of its arguments, and the table of them. Heavy imports wait for a command.

A command returns its exit status. What the user can put right is a `Mistake`, told in one message without a traceback;
any other error keeps its own.
"""

import importlib
import os
import shutil
import sys
import tempfile
import textwrap
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import tyro

from lgn._names import nearest
from lgn.harness import catalogue

LINE = "{:18}{:>8}{:>11}{:>10}  {}"
OVERVIEW = """\
lgn: Lagrangian graph networks. Learn the Lagrangian of a small system, run it on any graph.

  lgn list                  the experiments: what each does, its time, the published figure and ours
  lgn run wave --quick      run one; what follows its name is passed on: lgn run wave --help
  lgn fit pendulum.toml     learn from your own recording, without writing Python: docs/command-line.md
  lgn rollout runs/wave     continue the motion of a run
  lgn report runs/wave      write the page of a run, report.html
  lgn info runs/wave        versions, devices and the system in a run directory
  lgn collect               the figures of all finished runs
  lgn compare OLD NEW       what takes longer than in an earlier run of scaling

lgn COMMAND --help says more. lgn --tyro-print-completion bash (or zsh) prints what completes them in a shell."""


class Mistake(Exception):
    """A mistake of the user: exit status 2; its text says what was found, what was expected and what to do."""


@contextmanager
def as_mistakes(*kinds: type[Exception]) -> Iterator[None]:
    """Turns errors of these kinds, raised where the input of a user is read, into a `Mistake` of the same text."""
    try:
        yield
    except kinds as error:
        raise Mistake(str(error)) from error


def show_list() -> int:
    """List the experiments: what each does, how long it takes, the published figure and ours."""
    with as_mistakes(SyntaxError):
        entries = catalogue.entries()
    if not entries:
        raise Mistake("no experiments here; run it where a folder `experiments` is, or install lgn again")
    print(LINE.format("lgn run", "time", "published", "ours", "figure"))
    width = min(110, shutil.get_terminal_size().columns)
    for entry in entries:
        metric, reached, seconds, _ = entry.headline or ("", None, None, None)
        figures = map(catalogue.number, (entry.figure.published, reached))
        print(LINE.format(entry.name, _duration(seconds), *figures, metric).rstrip())
        print(textwrap.fill(entry.sentence, width, initial_indent="    ", subsequent_indent="    "))
    return 0


def run(name: tyro.conf.Positional[str], settings: tyro.conf.Suppress[tuple[str, ...]] = ()) -> int:
    """Run an experiment by name; what follows the name is passed on to it (`lgn run wave --help`).

    Args:
        name: As `lgn list` shows it.
        settings: Arguments of the experiment.
    """
    module_name, known = name.replace("-", "_"), catalogue.experiments()
    if module_name not in known:
        listed = ", ".join(sorted(known)) or "none"
        raise Mistake(f"no experiment {name!r}{nearest(module_name, known)} There are: {listed}")
    from lgn.harness import protocol

    module = protocol.load(module_name)
    module.main(tyro.cli(module.Config, prog=f"lgn run {module_name}", args=settings))
    return 0


def fit(settings: tyro.conf.Positional[Path]) -> int:
    """Learn from a recording as a settings file says, forecast its held-out end, and keep the run.

    Args:
        settings: TOML file; docs/command-line.md shows one and explains every key.
    """
    from lgn.recipes.recipe import read

    with as_mistakes(ValueError):
        recipe = read(settings)
    import lgn
    from lgn.harness import protocol
    from lgn.recipes.forecast import keep, over_seeds
    from lgn.recipes.loading import load

    protocol.prepare()
    with as_mistakes(ValueError, OSError, ImportError):
        loaded = load(recipe, settings.parent)
    _say_what_was_read(recipe, loaded)
    out = check_out(settings.parent / (recipe.out or f"runs/{settings.stem}"))
    with warnings.catch_warnings(), as_mistakes(lgn.MotionStopped):
        warnings.simplefilter("ignore", RuntimeWarning)  # the result says the same, and is printed
        learned, found, table = over_seeds(recipe, loaded)
    with as_mistakes(OSError):
        keep(out, settings, recipe, loaded, learned, found, table)
    _say_what_was_found(loaded, learned, min(table, key=lambda row: row["loss"]))
    print(f"wrote {out}: report.html, forecast.csv, forecast.png, metrics.json; go on with: lgn rollout {out}")
    return 0


def rollout(
    folder: tyro.conf.Positional[Path],
    time: float = 50.0,
    frames: int = 101,
    out: Path | None = None,
    trusted: tuple[str, ...] = (),
) -> int:
    """Continue the motion that an experiment or `lgn fit` kept.

    Args:
        folder: Run directory, e.g. runs/wave.
        time: Additional simulated time.
        frames: Number of states to keep.
        out: Output directory; by default FOLDER/rollout.
        trusted: Modules of your own that the system is made of; a checkpoint imports nothing by itself.
    """
    if not 0 < time < float("inf") or frames < 2:
        raise Mistake(f"time={time}, frames={frames}; expected a positive time and 2 frames or more")
    settings = {"folder": folder, "time": time, "frames": frames, "out": out, "trusted": trusted}
    import numpy as np

    import lgn
    from lgn.analysis import diagnostics, plots
    from lgn.data.fields import field_names
    from lgn.harness import protocol, runs

    protocol.prepare()
    with as_mistakes(lgn.CheckpointError):
        system, state, start = runs.continue_from(check_folder(folder), _modules(trusted))
    out = check_out(out or folder / "rollout")
    with as_mistakes(lgn.MotionStopped):
        motion = lgn.rollout(system, state, np.linspace(start, start + time, frames))
    with as_mistakes(OSError):
        runs.begin(out, settings)
    names = (*field_names(len(motion.state)), "t", "energy", "residual")
    np.savez(out / "trajectory.npz", **{name: np.asarray(getattr(motion, name)) for name in names})  # type: ignore[arg-type]
    energy = diagnostics.relative_energy(system, motion)
    metrics = {"energy_drift": diagnostics.drift(energy), "residual_max": float(motion.residual.max())}
    metrics |= {"nodes": motion.state[0].shape[1], "start": start, "end": start + time}

    def draw():
        with plots.picture(out / "rollout.png", 1, 2, size=(10, 4)) as axes:
            plots.space_time(axes[0], motion.t, motion.state[0][..., 0], "first degree of freedom")
            plots.energy(axes[1], motion.t, {"learned energy": energy})

    title = f"{folder.resolve().name}, continued"
    protocol.finish(out, title, {}, metrics, [metrics], draw, (system, motion))
    print(system)
    print(f"t = {start:g} to {start + time:g}: energy drift {metrics['energy_drift']:.1e}, ", end="")
    print(f"largest residual {float(motion.residual.max()):.1e}")
    print(f"wrote {out}/trajectory.npz, {out}/rollout.png and the state to go on from")
    return 0


def report(folder: tyro.conf.Positional[Path]) -> int:
    """Write report.html of a run: one page with its pictures, figures, conserved quantities and versions.

    Args:
        folder: Run directory, e.g. runs/wave.
    """
    check_folder(folder)
    from lgn.harness import reports

    with as_mistakes(ValueError):
        print(f"wrote {reports.write(folder)}")
    return 0


def info(folder: tyro.conf.Positional[Path | None] = None, trusted: tuple[str, ...] = ()) -> int:
    """Show versions, devices and the solvers of several graphs; with a run directory, its system and solver.

    Args:
        folder: Run directory, e.g. runs/wave.
        trusted: Modules of your own that the system is made of; a checkpoint imports nothing by itself.
    """
    if folder is not None:
        check_folder(folder)
    import jax

    import lgn
    from lgn.analysis import diagnostics
    from lgn.harness import protocol, runs
    from lgn.solvers.choice import solver_table

    protocol.prepare()
    for package in runs.PACKAGES:
        print(runs.package_version(package))
    print("devices", ", ".join(str(device) for device in jax.devices()))
    if folder is None:
        print("\n".join(["", *solver_table()]))
        return 0
    with as_mistakes(lgn.CheckpointError):
        system = lgn.load(folder / "system", trusted=_modules(trusted))
    print(system)
    print("parameters", diagnostics.parameters(system))
    return 0


def collect(folder: tyro.conf.Positional[Path] = Path("runs")) -> int:
    """Show the figures of all finished experiments in one table: published, asked, reached.

    Args:
        folder: Directory of run directories: NAME/metrics.json, or NAME-anything/metrics.json.
    """
    from lgn.harness import protocol

    with as_mistakes(ValueError):
        count = protocol.collect(folder)
    if not count:
        raise Mistake(f"{folder} holds no NAME/metrics.json of an experiment; see `lgn run NAME`")
    return 0


def compare(before: tyro.conf.Positional[Path], after: tyro.conf.Positional[Path]) -> int:
    """Show what takes more than 20 % longer than in an earlier run of scaling; exit status 1 if anything does.

    Args:
        before: The benchmark.json of the earlier run.
        after: The benchmark.json of the later run.
    """
    from lgn.harness import timing

    with as_mistakes(ValueError):
        old, new = timing.figures(before), timing.figures(after)
        slower = timing.regressions(old, new)
    if slower:
        counted = f"lgn compare: {len(slower)} of {len(new)} figures are more than 20 % worse"
        print(counted, *slower, sep="\n", file=sys.stderr)
        return 1
    print(f"none of {len(old.keys() & new.keys())} figures is more than 20 % worse")
    return 0


COMMANDS: dict[str, Callable[..., int]] = {"list": show_list}
COMMANDS |= {each.__name__: each for each in (run, fit, rollout, report, info, collect, compare)}


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the command `lgn`.

    Exit status: 0, 1 where a comparison fails, 2 for a mistake of the user, 130 for an interruption.
    """
    keep_programs()
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if not arguments:
        print(OVERVIEW)
        return
    try:
        status = _called(arguments)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever reads has seen enough: `lgn list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    except Mistake as mistake:
        print(f"lgn {arguments[0]}: {mistake}", file=sys.stderr)
        status = 2
    except KeyboardInterrupt:
        print(f"lgn {arguments[0]}: interrupted; the same command begins again", file=sys.stderr, flush=True)
        sys.stdout.flush()
        os._exit(130)  # 128 + SIGINT, as shells say it; an orderly end crashes in programs that jax is compiling
    sys.exit(status)


def keep_programs() -> None:
    """Keep compiled programs between runs in the user's cache folder, unless the environment says otherwise.

    Called before jax is imported. jaxlib 0.10 calls the tuning of programs that it loads an unknown feature of the
    machine, in lines of 3,000 characters, which the log level leaves out.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(cache / "lgn"))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def check_folder(folder: Path) -> Path:
    """A run directory as it is, or a `Mistake` that names one beside it that is spelt alike."""
    if not folder.is_dir():
        what = "is a file, not the folder of a run" if folder.exists() else "does not exist"
        hint = nearest(str(folder), map(str, folder.parent.glob("*/")))
        raise Mistake(f"{folder} {what}{hint} Give the folder that a run left, such as runs/wave")
    return folder


def check_out(out: Path) -> Path:
    """An output directory, made and found writable before a command works for minutes; what is in it stays."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=out).close()
    except OSError as error:
        raise Mistake(f"{out} cannot be the folder of the run ({error}); give another as `out`") from error
    return out


def _called(arguments: list[str]) -> int:
    first, *rest = arguments
    if not first.startswith("-") and first not in COMMANDS:
        raise Mistake(f"no such command{nearest(first, COMMANDS)} There are: {', '.join(COMMANDS)}")
    if first == "run" and rest and not rest[0].startswith("-"):
        return run(rest[0], tuple(rest[1:]))
    about = "Lagrangian graph networks."
    return tyro.extras.subcommand_cli_from_dict(COMMANDS, prog="lgn", description=about, args=arguments)


def _modules(names: tuple[str, ...]) -> list[ModuleType]:
    if names and "" not in sys.path:
        sys.path.insert(0, "")  # as `python -m` has it
    with as_mistakes(ImportError):
        return [importlib.import_module(name) for name in names]


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.2g} min" if seconds < 3600 else f"{seconds / 3600:.2g} h"


def _say_what_was_read(recipe: Any, loaded: Any) -> None:
    rows, unit = loaded.rows, loaded.recording.units.get("t", "")
    count, step = len(rows.trials()), f"{rows.dt:.4g} {unit}".rstrip()
    print(
        f"read {recipe.file}: {len(loaded.recording.t)} rows of {count} trial{'s' * (count > 1)}, "
        f"{step} apart; {1 - rows.seen.mean():.1%} not seen; {(~loaded.known).mean():.0%} held out"
    )


def _say_what_was_found(loaded: Any, learned: Any, metrics: dict) -> None:
    unit = loaded.recording.units.get("t", "unit of time")
    error, rows = metrics["held_out_error"], metrics["held_out_rows"]
    print(f"learned {learned.system}")
    print(f"held-out error {error:.3g}: of the forecast of {rows} rows, relative")
    print(f"noise {metrics['noise']:.2g}: relative to what was learned from; no model is below it")
    for name, value in metrics.items():
        if name.startswith("friction_"):
            x = name.removeprefix("friction_")
            print(f"friction {value:.4g} per {unit}: c of d2x/dt2 = ... - c dx/dt, x = {x}")
    if learned.fit.stopped:
        print(f"note: {learned.fit.stopped}")


if __name__ == "__main__":
    main()

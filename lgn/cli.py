"""Command line: lgn run, lgn collect, lgn compare, lgn rollout, lgn info. Heavy imports wait for a command."""

import importlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass(frozen=True)
class Run:
    """Run an experiment by name; what follows the name is passed on to it (`lgn run wave --help`)."""

    name: str


@dataclass(frozen=True)
class Collect:
    """Show the figures of all finished experiments in one table: published, asked, reached."""

    folder: tyro.conf.Positional[Path] = Path("runs")
    """It holds NAME/metrics.json, or NAME-anything/metrics.json."""


@dataclass(frozen=True)
class Compare:
    """Show what takes more than 20 % longer than in an earlier run of scaling; exits with 1 if anything does."""

    before: tyro.conf.Positional[Path]
    """The benchmark.json of the earlier run."""
    after: tyro.conf.Positional[Path]
    """That of the later one."""


@dataclass(frozen=True)
class Rollout:
    """Continue the motion that an experiment left in its folder."""

    folder: Path
    time: float = 50.0
    """How much longer."""
    frames: int = 101
    """States to keep."""
    out: Path | None = None
    """Where to write; by default FOLDER/rollout."""
    trusted: tuple[str, ...] = ()
    """Modules of your own that the system is made of; a checkpoint imports nothing by itself."""


@dataclass(frozen=True)
class Info:
    """Show versions, devices and the solvers of several graphs; with a folder, the system in it and its solver."""

    folder: tyro.conf.Positional[Path | None] = None
    trusted: tuple[str, ...] = ()
    """Modules of your own that the system is made of; a checkpoint imports nothing by itself."""


def main() -> None:
    """Entry point of the command `lgn`."""
    keep_programs()
    arguments = sys.argv[1:]
    if arguments[:1] == ["run"] and len(arguments) > 1 and not arguments[1].startswith("-"):
        sys.exit(run(arguments[1], arguments[2:]))
    command = tyro.cli(
        Annotated[Run, tyro.conf.subcommand("run")]
        | Annotated[Collect, tyro.conf.subcommand("collect")]
        | Annotated[Compare, tyro.conf.subcommand("compare")]
        | Annotated[Rollout, tyro.conf.subcommand("rollout")]
        | Annotated[Info, tyro.conf.subcommand("info")],
        prog="lgn",
        description="Lagrangian graph networks.",
        config=(tyro.conf.PositionalRequiredArgs,),
    )
    if isinstance(command, Run):
        sys.exit(run(command.name, []))
    if isinstance(command, Collect):
        sys.exit(collect(command))
    if isinstance(command, Compare):
        sys.exit(compare(command))
    sys.exit(rollout(command) if isinstance(command, Rollout) else info(command))


def keep_programs() -> None:
    """Lets jax keep compiled programs between runs in the user's cache folder, unless the environment says otherwise;
    asked before jax is imported. jaxlib 0.10 calls the tuning of programs that it loads an unknown feature of the
    machine, in lines of 3,000 characters, which the log level leaves out."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(cache / "lgn"))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def run(name: str, arguments: list[str]) -> str | None:
    """Runs an experiment with the arguments; returns an error message or None."""
    from lgn import protocol

    try:
        module = protocol.load(name)
    except ValueError as error:
        return f"lgn run: {error}"
    module.main(tyro.cli(module.Config, prog=f"lgn run {name}", args=arguments))
    return None


def collect(command: Collect) -> str | None:
    """Shows the figures of the experiments in a folder."""
    from lgn import protocol

    if not protocol.collect(command.folder):
        return f"lgn collect: {command.folder} holds no NAME/metrics.json of an experiment; see `lgn run NAME`"
    return None


def compare(command: Compare) -> str | None:
    """Shows what takes longer than before, as the message with which the command fails."""
    from lgn import comparison

    try:
        before, after = (comparison.figures(path) for path in (command.before, command.after))
        slower = comparison.regressions(before, after)
    except ValueError as error:
        return f"lgn compare: {error}"
    if slower:
        return "\n".join(
            [f"lgn compare: {len(slower)} of {len(after)} figures are more than 20 % worse", *map(str, slower)]
        )
    print(f"none of {len(before.keys() & after.keys())} figures is more than 20 % worse")
    return None


def rollout(command: Rollout) -> str | None:
    """Continues the motion, writes trajectory.npz and pictures."""
    import matplotlib
    import numpy as np

    import lgn
    from lgn import diagnostics, plots, protocol, runs
    from lgn.data.trajectories import field_names

    protocol.use_float64()
    matplotlib.use("agg")
    if command.time <= 0 or command.frames < 2:
        return (
            f"lgn rollout: time={command.time}, frames={command.frames}; expected a positive time and 2 frames or more"
        )
    try:
        system, state, start = runs.continue_from(command.folder, _modules(command.trusted))
    except (lgn.CheckpointError, ImportError) as error:
        return f"lgn rollout: {error}"
    motion = lgn.rollout(system, state, np.linspace(start, start + command.time, command.frames))
    out = command.out or command.folder / "rollout"
    out.mkdir(parents=True, exist_ok=True)
    measured = {name: getattr(motion, name) for name in (*field_names(len(motion.state)), "t", "energy", "residual")}
    np.savez(out / "trajectory.npz", **{name: np.asarray(x) for name, x in measured.items()})  # type: ignore[arg-type]
    runs.keep_motion(out, system, motion)
    with plots.picture(out / "rollout.png", 1, 2, size=(10, 4)) as axes:
        plots.space_time(axes[0], motion.t, motion.state[0][..., 0], "first degree of freedom")
        plots.energy(axes[1], motion.t, {"learned energy": motion.energy})
    print(f"{system}")
    print(f"t = {start:g} to {start + command.time:g}: energy drift {diagnostics.drift(motion.energy):.1e}, ", end="")
    print(f"largest residual {float(motion.residual.max()):.1e}")
    print(f"wrote {out}/trajectory.npz, {out}/rollout.png and the state to go on from")
    return None


def info(command: Info) -> str | None:
    """Prints versions and devices, and the system of a folder or a table of graphs with their solvers."""
    import jax

    import lgn
    from lgn import diagnostics, protocol, runs
    from lgn.solvers.choice import solver_table

    protocol.use_float64()
    for package in runs.PACKAGES:
        print(runs.package_version(package))
    print("devices", ", ".join(str(device) for device in jax.devices()))
    if command.folder is None:
        print("\n".join(["", *solver_table()]))
        return None
    try:
        system = lgn.load(command.folder / "system", trusted=_modules(command.trusted))
    except (lgn.CheckpointError, ImportError) as error:
        return f"lgn info: {error}"
    print(system)
    print("parameters", diagnostics.parameters(system))
    return None


def _modules(names: tuple[str, ...]) -> list:
    """The modules that the user names, of the current folder too."""
    if names and "" not in sys.path:
        sys.path.insert(0, "")  # as `python -m` has it
    return [importlib.import_module(name) for name in names]


if __name__ == "__main__":
    main()

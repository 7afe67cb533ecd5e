"""Command line: lgn run NAME, lgn collect, lgn rollout DIR, lgn info. Heavy imports wait until a command is chosen."""

import importlib
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
    arguments = sys.argv[1:]
    if arguments[:1] == ["run"] and len(arguments) > 1 and not arguments[1].startswith("-"):
        sys.exit(run(arguments[1], arguments[2:]))
    command = tyro.cli(
        Annotated[Run, tyro.conf.subcommand("run")]
        | Annotated[Collect, tyro.conf.subcommand("collect")]
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
    sys.exit(rollout(command) if isinstance(command, Rollout) else info(command))


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

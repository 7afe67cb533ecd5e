"""Command line: lgn run NAME, lgn rollout DIR, lgn info. Heavy imports wait until a command is chosen."""

import importlib.util
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
class Rollout:
    """Continue the motion that an experiment left in its folder."""

    folder: Path
    time: float = 50.0
    """How much longer."""
    frames: int = 101
    """States to keep."""
    out: Path | None = None
    """Where to write; by default FOLDER/rollout."""


@dataclass(frozen=True)
class Info:
    """Tell versions and devices; with a folder, also the system in it and its solver."""

    folder: tyro.conf.Positional[Path | None] = None


def main() -> None:
    """Entry point of the command `lgn`."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["run"] and len(arguments) > 1 and not arguments[1].startswith("-"):
        sys.exit(run(arguments[1], arguments[2:]))
    command = tyro.cli(
        Annotated[Run, tyro.conf.subcommand("run")]
        | Annotated[Rollout, tyro.conf.subcommand("rollout")]
        | Annotated[Info, tyro.conf.subcommand("info")],
        prog="lgn",
        description="Lagrangian graph networks.",
        config=(tyro.conf.PositionalRequiredArgs,),
    )
    if isinstance(command, Run):
        sys.exit(run(command.name, []))
    sys.exit(rollout(command) if isinstance(command, Rollout) else info(command))


def run(name: str, arguments: list[str]) -> str | None:
    """Runs experiments/NAME.py of the checkout with the arguments; returns an error message or None."""
    folders = [Path.cwd() / "experiments", Path(__file__).parent.parent / "experiments"]
    found = [folder / f"{name}.py" for folder in folders if (folder / f"{name}.py").exists()]
    if not found:
        known = sorted({path.stem for folder in folders for path in folder.glob("*.py")})
        return f"lgn run: no experiment {name!r}; there are: {', '.join(known) or 'none here, run it in a checkout'}"
    specification = importlib.util.spec_from_file_location(name, found[0])
    assert specification and specification.loader
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module
    specification.loader.exec_module(module)
    module.main(tyro.cli(module.Config, prog=f"lgn run {name}", args=arguments))
    return None


def rollout(command: Rollout) -> str | None:
    """Continues the motion, writes trajectory.npz and pictures."""
    _use_float64()
    import matplotlib
    import numpy as np

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    import lgn
    from lgn import diagnostics, plots, runs

    if command.time <= 0 or command.frames < 2:
        return (
            f"lgn rollout: time={command.time}, frames={command.frames}; expected a positive time and 2 frames or more"
        )
    try:
        system, state, start = runs.continue_from(command.folder)
    except lgn.CheckpointError as error:
        return f"lgn rollout: {error}"
    motion = lgn.rollout(system, state, np.linspace(start, start + command.time, command.frames))
    out = command.out or command.folder / "rollout"
    out.mkdir(parents=True, exist_ok=True)
    np.savez(out / "trajectory.npz", **{name: np.asarray(x) for name, x in motion._asdict().items()})  # type: ignore[arg-type]
    runs.keep_motion(out, system, motion)
    figure, axes = plt.subplots(1, 2, figsize=(10, 4), dpi=110, layout="constrained")
    plots.space_time(axes[0], motion.t, motion.q[..., 0], "first degree of freedom")
    plots.energy(axes[1], motion.t, {"learned energy": motion.energy})
    figure.savefig(out / "rollout.png")
    print(f"{system}")
    print(f"t = {start:g} to {start + command.time:g}: energy drift {diagnostics.drift(motion.energy):.1e}, ", end="")
    print(f"largest residual {float(motion.residual.max()):.1e}")
    print(f"wrote {out}/trajectory.npz, {out}/rollout.png and the state to go on from")
    return None


def info(command: Info) -> str | None:
    """Prints versions and devices, and the system of a folder."""
    _use_float64()
    import jax

    import lgn
    from lgn import runs

    for package in runs.PACKAGES:
        print(runs.package_version(package))
    print("devices", ", ".join(str(device) for device in jax.devices()))
    if command.folder is not None:
        try:
            system = lgn.load(command.folder / "system")
        except lgn.CheckpointError as error:
            return f"lgn info: {error}"
        print(system)
        print("parameters", sum(x.size for x in jax.tree.leaves(system)))
    return None


def _use_float64() -> None:
    import jax

    jax.config.update("jax_enable_x64", True)


if __name__ == "__main__":
    main()

"""Command line: what `lgn` alone says, and the table of commands. Heavy imports wait for a command."""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import tyro

from lgn._spelling import nearest
from lgn.commands.collect import Collect
from lgn.commands.compare import Compare
from lgn.commands.fit import Fit
from lgn.commands.info import Info
from lgn.commands.list import List
from lgn.commands.mistakes import Mistake
from lgn.commands.report import Report
from lgn.commands.rollout import Rollout
from lgn.commands.run import Run

COMMANDS: dict[str, Callable[..., Callable[[], int]]] = {
    "list": List,
    "run": Run,
    "fit": Fit,
    "rollout": Rollout,
    "report": Report,
    "info": Info,
    "collect": Collect,
    "compare": Compare,
}
OVERVIEW = """\
lgn: Lagrangian graph networks. Learn the Lagrangian of a small system, run it on any graph.

  lgn list                  the experiments: what each does, its time, the published figure and ours
  lgn run wave --quick      run one; what follows its name is passed on: lgn run wave --help
  lgn fit pendulum.toml     learn from your own recording, without writing Python: docs/command-line.md
  lgn rollout runs/wave     go on with the motion that a run left
  lgn report runs/wave      write the page of a run, report.html
  lgn info runs/wave        versions, devices and the system in a folder
  lgn collect               the figures of all finished runs
  lgn compare OLD NEW       what takes longer than in an earlier run of scaling

lgn COMMAND --help says more. lgn --tyro-print-completion bash (or zsh) prints what completes them in a shell."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the command `lgn`; ends with exit status 0, 1 where a comparison fails, 2 for a mistake of the
    user, or 130 for an interruption."""
    keep_programs()
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if not arguments:
        print(OVERVIEW)
        return
    try:
        status = _parsed(arguments)()
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


def _parsed(arguments: list[str]) -> Callable[[], int]:
    """The command that the arguments say."""
    first, *rest = arguments
    if not first.startswith("-") and first not in COMMANDS:
        raise Mistake(f"no such command{nearest(first, COMMANDS)} There are: {', '.join(COMMANDS)}")
    if first == "run" and rest and not rest[0].startswith("-"):
        return Run(rest[0], tuple(rest[1:]))
    return tyro.extras.subcommand_cli_from_dict(
        COMMANDS, prog="lgn", description="Lagrangian graph networks.", args=arguments
    )


def keep_programs() -> None:
    """Lets jax keep compiled programs between runs in the user's cache folder, unless the environment says otherwise;
    asked before jax is imported. jaxlib 0.10 calls the tuning of programs that it loads an unknown feature of the
    machine, in lines of 3,000 characters, which the log level leaves out."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(cache / "lgn"))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


if __name__ == "__main__":
    main()

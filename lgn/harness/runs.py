"""Runs: the run directory of an experiment, from which its motion can be continued."""

import csv
import io
import json
import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from lgn.checkpoint.files import CheckpointError, read_archive, write_archive, write_whole
from lgn.checkpoint.systems import load, save
from lgn.data.fields import field_names
from lgn.data.samples import Trajectory

PACKAGES = ["lgn", "jax", "jaxlib", "flax", "jraph", "optax", "diffrax", "numpy", "scipy"]


def begin(folder: str | Path, config, packages: Sequence[str] = ()) -> Path:
    """Makes the folder and writes `config.json` (a dataclass, or a dict) and `environment.txt`, with more packages."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    settings = config if isinstance(config, dict) else asdict(config)
    _write_json(folder / "config.json", {key: str(x) if isinstance(x, Path) else x for key, x in settings.items()})
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    lines = [f"python {platform.python_version()}", f"machine {platform.machine()}, {cores} cores"]
    lines += map(package_version, [*PACKAGES, *packages])
    (folder / "environment.txt").write_text("\n".join(lines) + "\n")
    return folder


def write_metrics(folder: Path, metrics: dict, rows: list[dict]) -> None:
    """`metrics.json`, and `metrics.csv` with one line a row."""
    _write_json(folder / "metrics.json", metrics)
    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, fieldnames=list(dict.fromkeys(key for row in rows for key in row)))
    writer.writeheader()
    writer.writerows(rows)
    write_whole(folder / "metrics.csv", table.getvalue().encode())


def keep_motion(folder: Path, system, trajectory: Trajectory) -> None:
    """Save the system and its last state, from which `continue_from` resumes."""
    save(folder / "system", system)
    fields = dict(zip(field_names(len(trajectory.state)), trajectory.state, strict=True))
    last = {"t": trajectory.t[-1], **{name: x[-1] for name, x in fields.items()}}
    write_archive(folder / "state.npz", {"state": list(fields)}, {name: np.asarray(x) for name, x in last.items()})


def continue_from(folder: str | Path, trusted: Iterable = ()):
    """(system, state, t) as `keep_motion` left them; `trusted` as in `lgn.load`.

    Raises:
        CheckpointError: the folder holds no such run, or one that is damaged.
    """
    folder = Path(folder)
    if not (folder / "state.npz").exists():
        raise CheckpointError(f"{folder} holds no state.npz: it is not the folder of a finished experiment")
    try:
        content, arrays = read_archive(folder / "state.npz")
    except (OSError, ValueError) as error:
        if (folder / "system").exists():
            load(folder / "system", trusted=trusted)  # says so where another version wrote both
        raise CheckpointError(
            f"{folder / 'state.npz'} is damaged ({error}); bring it back from a copy, or run the experiment again"
        ) from error
    state = tuple(arrays[name] for name in content["state"])
    return load(folder / "system", trusted=trusted), state, float(arrays["t"])


def package_version(name: str) -> str:
    """Name and version of an installed package."""
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return f"{name} not installed"


def _write_json(path: Path, content: dict) -> None:
    write_whole(path, (json.dumps(content, indent=2) + "\n").encode())

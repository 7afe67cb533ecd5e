"""One table of the figures of every experiment that left its folder: published, asked, reached.

python experiments/collect.py                       # reads runs/NAME/metrics.json
"""

import importlib
import json
from dataclasses import dataclass
from pathlib import Path

import tyro
from report import demand, number
from rich.console import Console

NAMES = [
    "wave", "double_pendulum", "relativistic", "damped_pendulum", "families", "real_pendulum", "positions", "membrane",
    "mesh", "custom_graph", "scaling", "scaling2d",
]  # fmt: skip


@dataclass(frozen=True)
class Config:
    """Where to look."""

    folder: Path = Path("runs")


def main(config: Config) -> list[str]:
    """Prints the table and writes it to figures.md in the folder; returns its lines."""
    lines = ["| experiment | figure | published | asked | reached |", "|---|---|---|---|---|"]
    for name in NAMES:
        path = config.folder / name / "metrics.json"
        if path.exists():
            lines += rows(name, json.loads(path.read_text()))
    (config.folder / "figures.md").write_text("\n".join(lines) + "\n")
    Console(width=120).print("\n".join(lines), markup=False)
    return lines


def rows(name: str, metrics: dict) -> list[str]:
    """One line for each metric for which a number was published or asked, and for the time of training."""
    module = importlib.import_module(name)
    published = getattr(module, "PUBLISHED", {})
    asked = {key: x for key, x in getattr(module, "ASKED", {}).items() if not isinstance(x, dict)}
    lines = []
    for key, value in metrics.items():
        if key in published or key in asked or key == "train_seconds":
            bound = " ".join(number(x) for x in demand(asked.get(key)) if x is not None)
            worst = metrics.get(f"{key}_worst")
            reached = number(value) + ("" if worst is None else f" (worst of the seeds {number(worst)})")
            lines.append(f"| {name} | `{key}` | {number(published.get(key))} | {bound} | {reached} |")
    return lines


if __name__ == "__main__":
    main(tyro.cli(Config))

"""The table that an experiment prints: what was published, what is asked, what was reached."""

from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table


def show(title: str, metrics: dict, asked: dict, folder: Path, published: dict | None = None) -> None:
    """One line a metric; a figure that misses what is asked, a (sign, bound) or plainly an upper bound, is red."""
    published = published or {}
    table = Table("metric", *(["published"] if published else []), "asked", "reached", title=title)
    for name, value in metrics.items():
        sign, bound = demand(asked.get(name))
        cells = [name, *([number(published.get(name))] if published else []), f"{sign} {number(bound)}"]
        missed = None not in (value, bound) and not (value >= bound if sign == ">=" else value <= bound)
        table.add_row(*cells, f"[red]{number(value)}" if missed else number(value))
    console = Console(width=110)
    console.print(table)
    console.print("pictures:", *sorted(str(path) for path in folder.iterdir() if path.suffix in (".png", ".gif")))


def summary(rows: list[dict], prefix: str = "") -> dict:
    """Median over the rows of each number, and `_worst`, the largest, where there is more than one row."""
    metrics = {}
    for name, first in rows[0].items():
        values = [row[name] for row in rows]
        if name == "seed":
            continue
        metrics[prefix + name] = float(np.median(values)) if isinstance(first, float) else first
        if len(rows) > 1 and isinstance(first, float):
            metrics[f"{prefix}{name}_worst"] = float(np.max(values))
    return metrics


def demand(asked) -> tuple[str, float | None]:
    """("<=" or ">=", bound) of a pair or of a plain upper bound; nothing for None."""
    return ("", None) if asked is None else asked if isinstance(asked, tuple) else ("<=", asked)


def number(value) -> str:
    """Three digits; nothing for None."""
    return "" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)

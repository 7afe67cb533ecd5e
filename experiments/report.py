"""The table that an experiment prints: what was published, what is asked, what was reached."""

from pathlib import Path

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


def demand(asked) -> tuple[str, float | None]:
    """("<=" or ">=", bound) of a pair or of a plain upper bound; nothing for None."""
    return ("", None) if asked is None else asked if isinstance(asked, tuple) else ("<=", asked)


def number(value) -> str:
    """Three digits; nothing for None."""
    return "" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)

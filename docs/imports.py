"""Draws the rooms of the library, folders and modules at the top, and who imports whom: docs/images/imports.png.

python docs/imports.py
"""

import ast
from pathlib import Path

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
import numpy as np

ROOT = Path(__file__).parents[1]
DOWN, UP = "#0072B2", "#D55E00"


def room(dotted: str) -> str:
    """Folder, or module at the top, of a module below lgn."""
    return dotted.split(".")[0]


def imports(file: Path) -> set[str]:
    """Rooms that a file imports, in functions too."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "lgn":
            rest = node.module.split(".")[1:]
            found |= {room(rest[0])} if rest else {alias.name for alias in node.names}
    return found


def arrows() -> dict[str, set[str]]:
    """For every room the others that it imports."""
    found: dict[str, set[str]] = {}
    for file in sorted((ROOT / "lgn").rglob("*.py")):
        own = room(".".join(file.relative_to(ROOT / "lgn").with_suffix("").parts))
        if own != "__init__":
            found.setdefault(own, set()).update(imports(file) - {own})
    return {own: targets & set(found) for own, targets in found.items()}


def floors(found: dict[str, set[str]]) -> dict[str, int]:
    """The floor of every room: one above the highest that it imports; fails on a circle."""
    floor: dict[str, int] = {}
    while left := [own for own in found if own not in floor]:
        ready = [own for own in left if found[own] <= set(floor)]
        assert ready, f"a circle: {left}"
        floor |= {own: 1 + max((floor[x] for x in found[own]), default=-1) for own in ready}
    return floor


def main() -> None:
    """Draws a floor a row, the foundations below; an arrow points at what is imported."""
    found = arrows()
    floor = floors(found)
    rows = [sorted(own for own in found if floor[own] == level) for level in range(max(floor.values()) + 1)]
    place = {own: (x - (len(row) - 1) / 2, y) for y, row in enumerate(rows) for x, own in enumerate(row)}
    figure, ax = plt.subplots(figsize=(9, 9), dpi=110, layout="constrained")
    for own, targets in found.items():
        for target in targets:
            ends = np.array([place[own], place[target]])
            style = {"arrowstyle": "-|>", "color": UP if ends[1, 1] >= ends[0, 1] else DOWN, "alpha": 0.35, "lw": 1}
            bend = {"connectionstyle": f"arc3,rad={0.08 if ends[0, 0] == ends[1, 0] else 0.02}"}
            ax.annotate("", ends[1], ends[0], arrowprops={**style, **bend, "shrinkA": 14, "shrinkB": 14})
    for own, (x, y) in place.items():
        box = {"boxstyle": "round,pad=0.4", "fc": "#ffffff", "ec": "#555555"}
        folder = (ROOT / "lgn" / own).is_dir()
        ax.text(x, y, f"{own}/" if folder else own, ha="center", va="center", fontsize=11, bbox=box)
    ax.set(xlim=(-3.5, 3.5), ylim=(-0.6, len(rows) - 0.4))
    ax.axis("off")
    figure.savefig(ROOT / "docs" / "images" / "imports.png")


if __name__ == "__main__":
    main()

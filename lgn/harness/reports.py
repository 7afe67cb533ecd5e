"""Reports: a run as one self-contained page, `report.html`; its template stands beside this file.

The page is made of what lies in the folder of a run: `metrics.json`, and where they are there `report.json` (title,
command, table), pictures, `quantities.npz` (along the motion), `config.json` and `environment.txt`.
"""

import base64
import io
import json
import shlex
import sys
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from lgn.analysis import plots
from lgn.analysis.noether import Quantity, quantities
from lgn.checkpoint.files import write_whole
from lgn.data.samples import Trajectory
from lgn.harness.catalogue import number

HEAD = ("metric", "published", "asked", "reached")
KINDS = {".png": "png", ".gif": "gif", ".jpg": "jpeg", ".jpeg": "jpeg"}
PAGE = Path(__file__).with_name("report.html")


def keep(folder: Path, title: str, table: Sequence[Sequence[Any]]) -> None:
    """Write `report.json`, what the page shows besides the metrics, with the command of this process.

    Args:
        folder: run directory.
        title: title of the page.
        table: a line for each figure: the texts of metric, published, asked, reached, and whether it missed the target.
    """
    content = {"title": title, "command": _command(), "table": [list(line) for line in table]}
    write_whole(folder / "report.json", (json.dumps(content, indent=2) + "\n").encode())


def keep_quantities(folder: Path, system, motion: Trajectory) -> None:
    """Write `quantities.npz`, what is drawn along a motion: times, residuals of the solves, the energy and the other
    conserved quantities (`lgn.analysis.noether`)."""
    found, content = quantities(system, motion), io.BytesIO()
    arrays = {"t": motion.t, "residual": motion.residual}
    arrays |= {name: np.asarray([getattr(x, name) for x in found]) for name in Quantity._fields}
    np.savez(content, **{name: np.asarray(x) for name, x in arrays.items()})  # type: ignore[arg-type]
    write_whole(folder / "quantities.npz", content.getvalue())


def write(folder: str | Path) -> Path:
    """Write `report.html` of a run directory and return its path.

    Raises:
        ValueError: no folder of a run, or a file in it that is damaged.
        CheckpointError: the page cannot be written.
    """
    folder = Path(folder)
    if not (folder / "metrics.json").is_file():
        raise ValueError(
            f"{folder} holds no metrics.json, so that there is nothing to report; give the folder of a finished "
            f"experiment or rollout, such as runs/wave"
        )
    metrics = read_json(folder / "metrics.json", dict)
    said = read_json(folder / "report.json", dict) if (folder / "report.json").exists() else {}
    table = said.get("table", [[name, "", "", number(value), False] for name, value in metrics.items()])
    command = f"<pre>{escape(str(said['command']))}</pre>" if "command" in said else ""
    parts = [command, _figures(folder, table), _pictures(folder), _along(folder), _settings(folder)]
    title, body = escape(str(said.get("title", folder.resolve().name))), "\n".join(filter(None, parts))
    write_whole(folder / "report.html", Template(PAGE.read_text()).substitute(title=title, body=body).encode())
    return folder / "report.html"


def _command() -> str:
    """Command line as the user typed it, without the folders of programs."""
    program = Path(sys.argv[0])
    if program.parts[-2:] == ("lgn", "cli.py"):  # python -m lgn.cli
        program = Path("lgn")
    return shlex.join([*["python"] * (program.suffix == ".py"), program.name, *sys.argv[1:]])


def _figures(folder: Path, table) -> str:
    if not isinstance(table, list) or not all(isinstance(line, list) and len(line) == len(HEAD) + 1 for line in table):
        raise ValueError(f"{folder / 'report.json'} is damaged: its table has a line without five entries")
    asked, missed = sum(bool(line[2]) for line in table), sum(bool(line[-1]) for line in table)
    verdict = f"<p>{asked - missed} of {asked} figures reach what is asked.</p>" if asked else ""
    columns = [i for i in range(len(HEAD)) if any(line[i] for line in table)]
    lines = [([line[i] for i in columns], line[-1]) for line in table]
    return _section("Figures", verdict, _table([HEAD[i] for i in columns], lines))


def _pictures(folder: Path) -> str:
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in KINDS and path.is_file())
    captions = [path.stem.replace("_", " ").capitalize() for path in paths]
    found = [_figure(KINDS[x.suffix.lower()], x.read_bytes(), y) for x, y in zip(paths, captions, strict=True)]
    return _section("Pictures", *found)


def _along(folder: Path) -> str:
    path = folder / "quantities.npz"
    if not path.exists():
        return ""
    try:
        with np.load(path) as kept:
            found = [Quantity(*x) for x in zip(*(kept[name] for name in Quantity._fields), strict=True)]
            t, residual = kept["t"], kept["residual"]
    except Exception as error:  # whatever numpy's readers raise at bytes that no `savez` wrote
        raise ValueError(f"{path} is damaged ({error}); run the experiment again, or remove the file") from error
    laws = ["constant" if x.constant else "changes" for x in found]
    ends = [(f"{x.values[0]:.3g}", f"{x.values[-1]:.3g}", f"{x.change.max():.1e}") for x in found]
    lines = [([x.name, law, *end], False) for x, law, end in zip(found, laws, ends, strict=True)]
    head = ("quantity", "by law", "first", "last", "change")
    conserved = [
        "<p>The change is the largest along the motion, relative to the sum of the sizes of what the nodes contribute. "
        "Whether a quantity is constant by law was asked of the system, at random states beside the motion.</p>",
        _table(head, lines),
        _drawn(t, {x.name: x.change for x in found}, "change", "Change of each quantity along the motion."),
    ]
    largest = (
        f"<p>Largest residual |M a - f| / |f| of the solves at the states that were kept: {residual.max():.1e}.</p>"
    )
    solved = [largest]
    if residual.any():
        solved.append(_drawn(t, {"residual": residual}, "|M a - f| / |f|", "Residual of the solve at each state."))
    return _section("Conserved quantities", *conserved * bool(found)) + _section("Residuals", *solved)


def _settings(folder: Path) -> str:
    config, environment = folder / "config.json", folder / "environment.txt"
    found = ""
    if config.exists():
        known = read_json(config, dict).items()
        lines = [([name, json.dumps(x) if isinstance(x, list | dict) else str(x)], False) for name, x in known]
        found += _section("Settings", _table(("setting", "value"), lines))
    if environment.exists():
        found += _section("Environment", f"<pre>{escape(environment.read_text(errors='replace').strip())}</pre>")
    return found


def _section(title: str, *content: str) -> str:
    return f"<h2>{escape(title)}</h2>\n" + "\n".join(content) if any(content) else ""


def _table(head: Sequence[str], lines: Iterable[tuple[Sequence[Any], bool]]) -> str:
    """HTML table; the last entry of a line may be marked as missed."""
    top = "".join(f"<th>{escape(name)}</th>" for name in head)
    rows = []
    for cells, missed in lines:
        first, *others = (escape(str(x)).replace("_", "_<wbr>") for x in cells)
        *others, last = others or [""]
        between = "".join(f"<td><span>{x}</span></td>" for x in others)
        mark = ' class="missed" title="misses what is asked"' if missed else ""
        words = " ".join(f"<span>{word}</span>" for word in last.split(" "))
        rows.append(f"<tr><td>{first}</td>{between}<td{mark}>{words}</td></tr>")
    body = "\n".join(rows)
    return f'<div class="wide"><table>\n<thead><tr>{top}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table></div>'


def _figure(kind: str, content: bytes, caption: str) -> str:
    text, coded = escape(caption), base64.b64encode(content).decode()
    return f'<figure><img src="data:image/{kind};base64,{coded}" alt="{text}"><figcaption>{text}</figcaption></figure>'


def _drawn(t, series: dict[str, np.ndarray], label: str, caption: str) -> str:
    """Embedded picture of lines against time on a logarithmic axis."""
    content = io.BytesIO()
    with plots.canvas(size=(8, 3.6)) as ax:
        plots.errors(ax, t, series, "", label).figure.savefig(content, format="png")
    return _figure("png", content.getvalue(), caption)


def read_json(path: Path, kind: type) -> Any:
    """Read a JSON file of a run; ValueError where it is damaged or of another kind."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} is damaged ({error}); run the experiment again, or bring it from a copy") from error
    if not isinstance(found, kind):
        raise ValueError(f"{path} holds a {type(found).__name__}; expected an object, as an experiment writes it")
    return found

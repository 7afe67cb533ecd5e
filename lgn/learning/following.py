"""Following: what is told of every row of a training while it runs, and the files that it may go to.

A follower is a function of a row. `fit` calls it for every row of the history in order; in a folder that holds part of
the run already, first for the rows that are there. So a file that is written anew for each call holds every row once.
"""

import csv
import io
import json
import re
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

import jax
import numpy as np

from lgn import _arguments
from lgn.learning.phase import Row

BOARD_SUFFIX = ".lgn"


class Follower(Protocol):
    """What `fit` takes as `on_row`: any function of a row. One that is a context too is entered before the first row
    and left after the last, also where training stops by an error."""

    def __call__(self, row: Row) -> Any:
        """Told once of each row."""


class Followers:
    """Several followers as one.

    Args:
        followers: told of each row in this order.

    Raises:
        ValueError: one that cannot be called.

    Example:
        >>> import lgn
        >>> seen, steps = [], []
        >>> both = lgn.Followers(seen.append, lambda row: steps.append(row.step))
        >>> both(lgn.Row("quasi-newton", 1, 0.5))
        >>> len(seen), steps
        (1, [1])
    """

    def __init__(self, *followers: Follower):
        for i, follower in enumerate(followers):
            _arguments.called(f"Followers: number {i}", follower, "a function of a row, such as print")
        self.followers = followers
        self._entered = ExitStack()

    def __enter__(self) -> "Followers":
        with ExitStack() as stack:  # of which those that were entered are left where a later one fails
            for follower in self.followers:
                if hasattr(follower, "__enter__"):
                    stack.enter_context(follower)  # type: ignore[arg-type]
            self._entered = stack.pop_all()
        return self

    def __exit__(self, *error) -> None:
        self._entered.__exit__(*error)

    def __call__(self, row: Row) -> None:
        for follower in self.followers:
            follower(row)

    def tell(self, rows: Iterable[Row]) -> None:
        """Each row after the other."""
        for row in rows:
            self(row)


def followers_of(on_row: Follower | None) -> Followers:
    """Who is told in this process: of several that train together the first one tells."""
    return Followers() if on_row is None or jax.process_index() != 0 else Followers(on_row)


class _Lines:
    """A file of lines, begun anew for each training, whole after every row.

    Args:
        caller: whose file it is, for errors.
        path: of the file.
        line: row -> text.
        head: of the file.
    """

    def __init__(self, caller: str, path: str | Path, line: Callable[[Row], str], head: str = ""):
        self.path, self.line, self.head = _arguments.path(f"{caller}: path", path), line, head

    def __enter__(self):
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(self.head, newline="")
        return self

    def __exit__(self, *error) -> None:
        """Every line was written."""

    def __call__(self, row: Row) -> None:
        with open(self.path, "a", newline="") as file:
            file.write(self.line(row))


class CSVRows(_Lines):
    """Writes a table with the columns phase, step, loss and held_out, as `metrics.csv` in the folder of a run.

    Args:
        path: of the file, which is begun anew for each training.

    Raises:
        ValueError: what is no path.

    Example:
        >>> import pathlib, tempfile, lgn
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "rows.csv"
        >>> with lgn.CSVRows(path) as follow:
        ...     follow(lgn.Row("quasi-newton", 1, 0.5))
        >>> path.read_text().split()
        ['phase,step,loss,held_out', 'quasi-newton,1,0.5,nan']
    """

    def __init__(self, path: str | Path):
        super().__init__("CSVRows", path, lambda row: _as_csv([row]), _as_csv([Row._fields]))

    @classmethod
    def table(cls, rows: Iterable[Row]) -> bytes:
        """The whole file of these rows."""
        return _as_csv([Row._fields, *rows]).encode()


class JSONRows(_Lines):
    """Writes one JSON object a line, `{"phase": ..., "step": ..., "loss": ..., "held_out": ...}`; a number that is not
    finite, such as a held-out loss where nothing was judged, is null.

    Args:
        path: of the file, which is begun anew for each training.

    Raises:
        ValueError: what is no path.

    Example:
        >>> import pathlib, tempfile, lgn
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "rows.jsonl"
        >>> with lgn.JSONRows(path) as follow:
        ...     follow(lgn.Row("quasi-newton", 1, 0.5))
        >>> path.read_text()
        '{"phase": "quasi-newton", "step": 1, "loss": 0.5, "held_out": null}\\n'
    """

    def __init__(self, path: str | Path):
        super().__init__("JSONRows", path, _as_json)


class TensorBoardRows:
    """Writes event files for TensorBoard, the loss and the held-out loss of each phase against its step, in
    series such as `quasi-newton/loss`; what a name of a series cannot hold is a dash.

    Args:
        folder: of the event files; those that an earlier training left there are replaced.

    Raises:
        ValueError: what is no path.
        ImportError: without tensorboardX, which is the extra `board` of lgn.

    Example:
        >>> import pathlib, tempfile, lgn
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> with lgn.TensorBoardRows(folder) as follow:
        ...     follow(lgn.Row("quasi-newton", 1, 0.5))
        >>> len(list(folder.glob("events.out.tfevents.*")))
        1
    """

    def __init__(self, folder: str | Path):
        self.folder = _arguments.path("TensorBoardRows: folder", folder)
        try:
            import tensorboardX
        except ImportError as error:
            raise ImportError(
                "TensorBoardRows needs tensorboardX, which is not installed; it is the extra `board`: "
                'pip install "lgn[board]"'
            ) from error
        self._open = tensorboardX.SummaryWriter
        self._writer: Any = None

    def __enter__(self) -> "TensorBoardRows":
        for earlier in self.folder.glob(f"events.out.tfevents.*{BOARD_SUFFIX}"):
            earlier.unlink()
        self._writer = self._open(str(self.folder), filename_suffix=BOARD_SUFFIX)
        return self

    def __exit__(self, *error) -> None:
        self._writer.close()

    def __call__(self, row: Row) -> None:
        phase = re.sub(r"[^-.\w]+", "-", row.phase)
        for name in ("loss", "held_out"):
            if np.isfinite(value := getattr(row, name)):
                self._writer.add_scalar(f"{phase}/{name}", value, row.step)


def _as_csv(rows: Iterable[Iterable]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue()


def _as_json(row: Row) -> str:
    known = {name: x if isinstance(x, str) or np.isfinite(x) else None for name, x in row._asdict().items()}
    return json.dumps(known, allow_nan=False) + "\n"

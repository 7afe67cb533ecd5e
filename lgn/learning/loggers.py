"""Loggers: functions of a `Row`, which `fit` calls for every row of the history in order, and files of these rows.

In a folder that holds part of a run those rows come first: a file that is begun anew by each call holds all once.
"""

import csv
import io
import json
import re
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from lgn import _arguments
from lgn.learning.phase import Row

BOARD_SUFFIX = ".lgn"


class Loggers:
    """Several loggers as one.

    Args:
        loggers: functions of a row, told in this order. One that is a context too is entered before the first row and
            left after the last, also where training stops by an error.

    Raises:
        ValueError: one that cannot be called.

    Example:
        >>> import lgn
        >>> from lgn.learning.loggers import Loggers
        >>> seen, steps = [], []
        >>> Loggers(seen.append, lambda row: steps.append(row.step))(lgn.Row("quasi-newton", 1, 0.5))
        >>> len(seen), steps
        (1, [1])
    """

    def __init__(self, *loggers: Callable[[Row], Any]):
        for i, logger in enumerate(loggers):
            _arguments.called(f"Loggers: number {i}", logger, "a function of a row, such as print")
        self.loggers, self._entered = loggers, ExitStack()

    def __enter__(self) -> "Loggers":
        with ExitStack() as stack:  # of which those that were entered are left where a later one fails
            for logger in self.loggers:
                if isinstance(logger, AbstractContextManager):
                    stack.enter_context(logger)
            self._entered = stack.pop_all()
        return self

    def __exit__(self, *error) -> None:
        self._entered.__exit__(*error)

    def __call__(self, *rows: Row) -> None:
        for row in rows:
            for logger in self.loggers:
                logger(row)


class _Lines:
    """File of lines, begun anew for each training, whole after every row."""

    def __init__(self, path: str | Path):
        self.path = _arguments.path(f"{type(self).__name__}: path", path)

    def __enter__(self):
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(self.text([]), newline="")
        return self

    def __exit__(self, *error) -> None:
        """Nothing is left to write."""

    def __call__(self, row: Row) -> None:
        with open(self.path, "a", newline="") as file:
            file.write(self.text([row], head=False))

    @staticmethod
    def text(rows: Iterable[Row], head: bool = True) -> str:
        """Lines of these rows; with the head, the whole file."""
        raise NotImplementedError


class CSVRows(_Lines):
    """Table with the columns phase, step, loss and held_out, as `metrics.csv` in the folder of a run.

    Args:
        path: of the file, begun anew for each training.

    Raises:
        ValueError: what is no path.

    Example:
        >>> import pathlib, tempfile, lgn
        >>> from lgn.learning.loggers import CSVRows
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "rows.csv"
        >>> with CSVRows(path) as log:
        ...     log(lgn.Row("quasi-newton", 1, 0.5))
        >>> path.read_text().split()
        ['phase,step,loss,held_out', 'quasi-newton,1,0.5,nan']
    """

    @staticmethod
    def text(rows: Iterable[Row], head: bool = True) -> str:
        """Lines of these rows; with the head, the whole file."""
        lines = io.StringIO(newline="")
        csv.writer(lines).writerows([Row._fields, *rows] if head else rows)
        return lines.getvalue()


class JSONRows(_Lines):
    """One JSON object a line, `{"phase": ..., "step": ..., "loss": ..., "held_out": ...}`; a number that is not finite,
    such as a held-out loss where nothing was judged, is null. Else as `CSVRows`."""

    @staticmethod
    def text(rows: Iterable[Row], head: bool = True) -> str:
        """Lines of these rows; there is no head."""
        known = ({k: x if isinstance(x, str) or np.isfinite(x) else None for k, x in r._asdict().items()} for r in rows)
        return "".join(json.dumps(row, allow_nan=False) + "\n" for row in known)


class TensorBoardRows:
    """Event files for TensorBoard: losses of each phase against its step, in series such as `quasi-newton/loss`; what a
    name of a series cannot hold is a dash.

    Args:
        folder: of the event files; those that an earlier training left there are replaced.

    Raises:
        ValueError: what is no path.
        ImportError: without tensorboardX, which is the extra `board` of lgn.

    Example:
        >>> import pathlib, tempfile, lgn
        >>> from lgn.learning.loggers import TensorBoardRows
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> with TensorBoardRows(folder) as log:
        ...     log(lgn.Row("quasi-newton", 1, 0.5))
        >>> len(list(folder.glob("events.out.tfevents.*")))
        1
    """

    def __init__(self, folder: str | Path):
        self.folder = _arguments.path("TensorBoardRows: folder", folder)
        try:
            import tensorboardX
        except ImportError as error:
            why = 'TensorBoardRows needs tensorboardX, which is the extra `board`: pip install "lgn[board]"'
            raise ImportError(why) from error
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
        for name, value in (("loss", row.loss), ("held_out", row.held_out)):
            if np.isfinite(value):
                self._writer.add_scalar(f"{phase}/{name}", value, row.step)

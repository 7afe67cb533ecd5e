"""lgn report: the page of a run."""

from dataclasses import dataclass
from pathlib import Path

import tyro

from lgn.commands.folders import check_folder
from lgn.commands.mistakes import as_mistakes


@dataclass(frozen=True)
class Report:
    """Write report.html of a run: one page with its pictures, figures, conserved quantities and versions."""

    folder: tyro.conf.Positional[Path]
    """That a run left, such as runs/wave."""

    def __call__(self) -> int:
        folder = check_folder(self.folder)
        from lgn.harness import reports

        with as_mistakes(ValueError):
            print(f"wrote {reports.write(folder)}")
        return 0

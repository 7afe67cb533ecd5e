"""lgn collect: the figures of all finished runs."""

from dataclasses import dataclass
from pathlib import Path

import tyro

from lgn.commands.mistakes import Mistake, as_mistakes


@dataclass(frozen=True)
class Collect:
    """Show the figures of all finished experiments in one table: published, asked, reached."""

    folder: tyro.conf.Positional[Path] = Path("runs")
    """It holds NAME/metrics.json, or NAME-anything/metrics.json."""

    def __call__(self) -> int:
        from lgn.harness import protocol

        with as_mistakes(ValueError):
            count = protocol.collect(self.folder)
        if not count:
            raise Mistake(f"{self.folder} holds no NAME/metrics.json of an experiment; see `lgn run NAME`")
        return 0

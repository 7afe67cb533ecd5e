"""Record: the folder of a run, with its metrics and the checkpoints from which it goes on."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lgn.checkpoint.files import write_whole
from lgn.checkpoint.identity import releases
from lgn.checkpoint.jobs import Checkpoints
from lgn.learning.following import CSVRows
from lgn.learning.phase import Row
from lgn.learning.stages import Stage
from lgn.learning.validation import Best


class Record:
    """The folder of a run: `metrics.csv`, and checkpoints of (stage, state, best parameters, history). A context, in
    which it is alone.

    Args:
        folder: of the run.
        run: its stages.
        named: all that decides the result, by name; what differs from the run in the folder is named in the refusal.
        seconds: least time between two checkpoints.

    Raises:
        CheckpointError: something named whose content cannot be read.
    """

    def __init__(self, folder: str | Path, run: Sequence[Stage], named: dict[str, Any], seconds: float):
        self.folder, self.run = Path(folder), run
        own = {"precision": str(jnp.result_type(float)), f"releases ({releases()})": None}
        self.checkpoints = Checkpoints(self.folder / "checkpoints", named | own, seconds, jax.process_index() == 0)

    def __enter__(self) -> "Record":
        return self

    def __exit__(self, *error) -> None:
        self.checkpoints.close()

    def restore(self):
        """(stage, state, best, history, seconds) where the run was left, or None at its beginning."""
        kept = self.checkpoints.restore()
        if kept is None:
            return None
        number, names = int(kept["stage"]), [stage.name for stage in self.run]
        history = [_row(names[int(p)], int(step), *map(float, rest)) for p, step, *rest in kept["history"]]
        state, best = self.run[number].phase.state(**kept["state"]), Best(**kept["best"])
        return number, state, best, history, float(kept["seconds"])

    def keep(self, number, state, best, history, seconds, now=False, done=False):
        """Write, if a checkpoint is due, or now; `done` with the last one of the run."""
        if self.checkpoints.done or not self.checkpoints.writes or not (now or self.checkpoints.due()):
            return
        write_whole(self.folder / "metrics.csv", CSVRows.table(history))  # before the state that says it is done
        names = [stage.name for stage in self.run]
        rows = np.array([(names.index(row.phase), *row[1:]) for row in history], float).reshape(-1, len(Row._fields))
        kept = {"stage": np.array(number), "history": rows, "seconds": np.array(seconds)}
        self.checkpoints.keep(kept | {"state": state._asdict(), "best": best._asdict()}, done)


def _row(phase, step, loss, held_out) -> Row:
    """A row as it was: NaN is one object, so that rows that were judged by nobody are equal."""
    return Row(phase, step, loss, np.nan if np.isnan(held_out) else held_out)

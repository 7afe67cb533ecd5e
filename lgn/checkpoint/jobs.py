"""Jobs: the last states of a running training on disk; a kill at any moment leaves an intact one."""

import hashlib
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lgn.checkpoint.describe import CheckpointError
from lgn.checkpoint.systems import quiet

FORMAT = 1


class Checkpoints:
    """The last two states of a job; a kill at any moment leaves an intact one.

    Args:
        folder: made when needed.
        identity: of the job; a folder that holds another one is rejected.
        seconds: least time between two.
    """

    def __init__(self, folder: Path, identity: str, seconds: float):
        import orbax.checkpoint as ocp

        options = ocp.CheckpointManagerOptions(max_to_keep=2, enable_async_checkpointing=False)
        self._ocp, self._identity, self._seconds, self._last = ocp, identity, seconds, time.monotonic()
        with quiet():
            self._manager = ocp.CheckpointManager(Path(folder).absolute(), options=options)

    def due(self) -> bool:
        """Whether the next one is due."""
        return time.monotonic() - self._last >= self._seconds

    def keep(self, state: dict[str, Any]) -> None:
        """Write the state, a tree of dicts of arrays."""
        args = self._ocp.args
        number = (self._manager.latest_step() or 0) + 1
        content = {"identity": self._identity, "format": FORMAT}
        with quiet():
            self._manager.save(
                number, args=args.Composite(state=args.StandardSave(state), job=args.JsonSave(content)), force=True
            )
        self._last = time.monotonic()

    def restore(self) -> dict[str, Any] | None:
        """The last intact state, or None.

        Raises:
            CheckpointError: the folder holds another job.
        """
        number = self._manager.latest_step()
        if number is None:
            return None
        args = self._ocp.args
        with quiet():
            found = self._manager.restore(
                number, args=args.Composite(state=args.StandardRestore(), job=args.JsonRestore())
            )
        if found["job"] != {"identity": self._identity, "format": FORMAT}:
            raise CheckpointError(
                f"{self._manager.directory.parent} holds another run: other data, parameters, key, phases or format; "
                f"give another folder, or remove it"
            )
        return found["state"]


def fingerprint(arrays: Sequence, names: Sequence[str]) -> str:
    """Digest of arrays and names."""
    content = hashlib.blake2b(json.dumps(list(names)).encode(), digest_size=16)
    for array in arrays:
        content.update(np.ascontiguousarray(array).data)
    return content.hexdigest()

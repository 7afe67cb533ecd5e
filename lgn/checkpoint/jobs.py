"""Jobs: the last states of a running training on disk; a kill at any moment leaves an intact one."""

import contextlib
import hashlib
import json
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from lgn.checkpoint.files import UNFINISHED, CheckpointError, Lock, read_archive, write_archive, write_whole
from lgn.checkpoint.identity import difference, outline

KEPT = 2
SUFFIX = ".state"


class Checkpoints:
    """The last two states of a job; a kill at any moment leaves an intact one. Close it when the job ends.

    Args:
        folder: made when needed.
        named: all that decides what the job finds, by name; a folder that holds another job is refused.
        seconds: least time between two.
        writes: whether this process writes; of several on one job, that share a file system, one does.

    Raises:
        CheckpointError: something named whose content cannot be read.
    """

    def __init__(self, folder: Path, named: dict[str, Any], seconds: float, writes: bool = True):
        self.writes = writes
        self._folder, self._seconds, self._last = Path(folder).absolute(), seconds, time.monotonic()
        self._outline = outline(named)
        self._identity = hashlib.blake2b(json.dumps([self._outline[x] for x in named]).encode()).hexdigest()[:32]
        self._lock: Lock | None = None
        self._whole: list[int] = []
        self.done = False

    def due(self) -> bool:
        """Whether the next one is due."""
        return time.monotonic() - self._last >= self._seconds

    def restore(self) -> dict[str, Any] | None:
        """The last intact state, or None. Of a job that is done nothing is written, not even a lock.

        Raises:
            CheckpointError: another job, no whole state, another process that writes, or this one cannot.
        """
        number, content, damage = self._newest()
        if self.writes and not content["done"]:
            self._lock = Lock(self._folder)
            for left in self._folder.glob(f".*{UNFINISHED}"):
                with contextlib.suppress(OSError):
                    left.unlink()
            number, content, damage = self._newest()  # what another process may have kept until it let go
            if not number:
                write_whole(self._folder / "run.json", json.dumps(self._outline, indent=1).encode())
        for name, reason in damage:
            warnings.warn(
                f"{self._folder / name} is damaged ({reason}); the state before it, {number}{SUFFIX}, is whole: the "
                f"run goes on from there, to the same numbers",
                RuntimeWarning,
                stacklevel=4,
            )
        if not number:
            return None
        self._whole, self.done = [number], content["done"]
        return content["state"]

    def keep(self, state: dict[str, Any], done: bool = False) -> None:
        """Write the state, a tree of dicts of arrays; of a job that is done already nothing is written.

        Raises:
            CheckpointError: it cannot be written; the one before is whole.
        """
        if self.done or not self.writes:
            return
        number = max(self._numbers(), default=0) + 1
        arrays: dict[str, np.ndarray] = {}
        content = {"identity": self._identity, "done": done, "state": _packed(state, "state", arrays)}
        write_archive(self._folder / f"{number}{SUFFIX}", content, arrays)
        self._whole, self.done = [*self._whole, number][-KEPT:], done
        for old in set(self._numbers()) - set(self._whole):
            with contextlib.suppress(OSError):  # a folder in its place, which is not ours
                (self._folder / f"{old}{SUFFIX}").unlink()
        self._last = time.monotonic()

    def close(self) -> None:
        """Let others write in the folder."""
        if self._lock:
            self._lock.release()

    def _numbers(self) -> list[int]:
        """Of the states in the folder, whole or not."""
        names = [x.name.removesuffix(SUFFIX) for x in self._folder.glob(f"*{SUFFIX}")]
        return sorted(int(name) for name in names if name.isdecimal())

    def _newest(self) -> tuple[int, dict[str, Any], list[tuple[str, str]]]:
        """Number and content of the last whole state, 0 where there is none; the damaged ones after it, with why."""
        damage = []
        for number in reversed(self._numbers()):
            path = self._folder / f"{number}{SUFFIX}"
            try:
                content, arrays = read_archive(path)
            except CheckpointError:
                raise
            except (OSError, ValueError) as error:
                damage.append((path.name, str(error)))
                continue
            self._compare(content["identity"])
            return number, content | {"state": _unpacked(content["state"], arrays)}, damage
        if damage:
            raise CheckpointError(
                f"{self._folder}: no state is whole ({'; '.join(': '.join(x) for x in damage)}); bring one back from a "
                f"copy, or remove the folder to begin anew"
            )
        if any(x.name.isdecimal() for x in self._folder.glob("*")):
            raise CheckpointError(
                f"{self._folder} holds a run that an earlier lgn began; let that one end it, or give another folder"
            )
        return 0, {"done": False}, damage

    def _compare(self, identity):
        if identity != self._identity:
            try:
                before = json.loads((self._folder / "run.json").read_text())
                names = difference(before, self._outline)
            except (OSError, ValueError, AttributeError, TypeError):
                names = []
            what = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
            raise CheckpointError(
                f"{self._folder.parent} holds another run: it differs in {what or 'what run.json would say'}; make "
                f"the same call to go on with it, give another folder for this one, or remove it"
            )


def _packed(tree, path: str, arrays: dict[str, np.ndarray]):
    """The tree with names in place of its arrays, which are added under these."""
    if isinstance(tree, dict):
        return {name: _packed(x, f"{path}/{name}", arrays) for name, x in tree.items()}
    arrays[path] = np.asarray(tree)
    if arrays[path].dtype.hasobject:
        raise CheckpointError(f"a phase keeps {tree!r} in its state; expected arrays, and dicts of arrays")
    return path


def _unpacked(tree, arrays):
    """The tree that `_packed` was given."""
    return {name: _unpacked(x, arrays) for name, x in tree.items()} if isinstance(tree, dict) else arrays[tree]

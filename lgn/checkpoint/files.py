"""Files: written whole or not at all, and a folder that one process at a time writes in."""

import contextlib
import os
import warnings
from pathlib import Path

from lgn.checkpoint.describe import CheckpointError

UNFINISHED = ".new"  # how the name of a file ends that is being written


def write_whole(path: Path, *content: bytes) -> None:
    """Puts a file with this content in place of the one that was there; a kill, a full disk or Ctrl-C leave that one.

    Raises:
        CheckpointError: it could not be written.
    """
    fresh = path.with_name(f".{path.name}.{os.getpid()}{UNFINISHED}")
    try:
        with open(fresh, "wb") as file:
            for part in content:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, path)
    except OSError as error:
        raise not_written(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            fresh.unlink(missing_ok=True)


class Lock:
    """A folder, made where it is needed, that no other process writes in; a process that is killed leaves no lock.

    Args:
        folder: which.

    Raises:
        CheckpointError: another process holds it, or it cannot be written in.
    """

    def __init__(self, folder: Path):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = open(folder / "lock", "a+")  # noqa: SIM115
        except OSError as error:
            raise not_written(folder, error) from error
        try:
            self._take(folder)
        except BaseException:
            self._file.close()
            raise

    def _take(self, folder):
        try:
            import fcntl
        except ImportError:  # a system without advisory locks: nothing is promised there
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._file.seek(0)
            raise CheckpointError(
                f"{folder} is written by another process (number {self._file.read().strip() or 'unknown'}); wait until "
                f"it ends, or give another folder"
            ) from error
        except OSError as error:
            warnings.warn(
                f"{folder} cannot be locked ({error.strerror}): see to it that no other process runs this job",
                RuntimeWarning,
                stacklevel=2,
            )
        with contextlib.suppress(OSError):  # a full disk: the number is only for a message
            os.ftruncate(self._file.fileno(), 0)
            os.write(self._file.fileno(), str(os.getpid()).encode())

    def release(self) -> None:
        """Others may write."""
        self._file.close()


def not_written(path: Path, error: OSError) -> BaseException:
    """The error that says which file or folder could not be written, why, and what to do; Ctrl-C, where that made
    closing a file fail."""
    if isinstance(error.__context__, KeyboardInterrupt):
        return error.__context__
    return CheckpointError(
        f"{path} cannot be written ({error.strerror or error}); what was kept before is whole. Free space, or ask for "
        f"the right to write there, and make the same call again, or give another folder"
    )

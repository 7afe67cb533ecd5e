"""Files: archives of arrays, written whole or not at all, and a folder that one process at a time writes in.

An archive is an `.npz` file: `content`, a line of JSON, beside the arrays that it names, and as comment of the zip
format a checksum over everything before it. `numpy.load` reads it; nothing in it is ever run.
"""

import contextlib
import hashlib
import io
import json
import os
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

FORMAT = 4
DIGITS = 64  # of a checksum
UNFINISHED = ".new"  # how the name of a file ends that is being written


class CheckpointError(ValueError):
    """A checkpoint that cannot be written or read; the message says why."""


def write_archive(path: Path, content: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    """Put an archive in place of the one that was there, see `write_whole`; raises CheckpointError where it could not
    be written, or an array holds Python objects."""
    if odd := [name for name, x in arrays.items() if x.dtype.hasobject]:
        raise CheckpointError(f"save: {odd[0]!r} is an array of Python objects; expected numbers or text")
    dtypes = {name: x.dtype.name for name, x in arrays.items() if x.dtype.kind == "V"}  # bfloat16, numpy's is void
    text = json.dumps({"format": FORMAT, "dtypes": dtypes, **content})
    buffer = io.BytesIO()
    np.savez(buffer, content=np.array(text), **arrays)  # type: ignore[arg-type]
    with zipfile.ZipFile(buffer, "a") as file:
        file.comment = bytes(DIGITS)
    body = buffer.getbuffer()[:-DIGITS]
    write_whole(path, body, _checksum(body))


def read_archive(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Content and arrays of an archive, once it matches its checksum.

    Raises:
        OSError, ValueError: it is not whole.
        CheckpointError: it is of another format.
    """
    found = path.read_bytes()
    if found[DIGITS : DIGITS + 1] == b"\n" and _checksum(memoryview(found)[DIGITS + 1 :]) == found[:DIGITS]:
        raise another_format(path, 2)
    if _checksum(memoryview(found)[:-DIGITS]) != found[-DIGITS:]:
        raise ValueError("its checksum differs" if found else "it is empty")
    with np.load(io.BytesIO(found), allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    content = json.loads(str(arrays.pop("content")))
    if content["format"] != FORMAT:
        raise another_format(path, content["format"])
    return content, arrays | {name: arrays[name].view(np.dtype(named)) for name, named in content["dtypes"].items()}


def another_format(path: Path, found: Any) -> CheckpointError:
    """The error of an archive that another version wrote."""
    return CheckpointError(
        f"{path} has format {found} and this lgn reads {FORMAT}; load it with the version that wrote it, or train anew "
        f"in another folder"
    )


def write_whole(path: Path, *content: bytes | memoryview) -> None:
    """Put a file with this content in place of the one that was there; a kill, a full disk or Ctrl-C leave that one.
    Raises CheckpointError where it could not be written."""
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


def not_written(path: Path, error: OSError) -> BaseException:
    """The error that says which file or folder could not be written, why, and what to do; Ctrl-C, where that made
    closing a file fail."""
    if isinstance(error.__context__, KeyboardInterrupt):
        return error.__context__
    return CheckpointError(
        f"{path} cannot be written ({error.strerror or error}); what was kept before is whole. Free space, or ask for "
        f"the right to write there, and make the same call again, or give another folder"
    )


class Lock:
    """A folder, made where it is needed, that no other process writes in; a process that is killed leaves no lock.

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
        """Let others write."""
        self._file.close()


def _checksum(content) -> bytes:
    return hashlib.blake2b(content, digest_size=DIGITS // 2).hexdigest().encode()

"""Fingerprints: digests by content of what decides a result, the same in every process."""

import functools
import hashlib
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from flax import nnx

from lgn.checkpoint.contents import PACKAGES, Parts, parts_of
from lgn.checkpoint.describe import CheckpointError

DEPTH, WIDTH = 12, 64  # an outline goes no deeper, and not into more parts


def fingerprint(value) -> str:
    """Digest of a value by content: equal in another process that makes the same value, another for any other.

    Raises:
        CheckpointError: something whose content cannot be read, such as a lock, an open file or a traced array.
    """
    return _Reader().digest(value, "value").hex()


def outline(named: dict[str, Any]) -> dict[str, str]:
    """Digests of named values, of their parts under `name.attribute` or `name[item]`, and so on.

    Raises:
        CheckpointError: as `fingerprint`, with the name of what cannot be read.
    """
    reader, lines = _Reader(), {}

    def walk(name, value, depth):
        lines[name] = reader.digest(value, name).hex()
        parts = [] if callable(value) and not _opens(value) else reader.parts(value)
        if depth < DEPTH and len(parts) <= WIDTH:
            for label, part in parts:
                if label:
                    walk(name + label, part, depth + 1)

    for name, value in named.items():
        walk(name, value, 0)
    return lines


def difference(before: dict[str, str], now: dict[str, str]) -> list[str]:
    """The innermost names whose digests differ between two outlines, or that only one of them has; the outer ones
    first."""
    names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    inner = [name for name in names if not any(other.startswith((f"{name}.", f"{name}[")) for other in names)]
    return sorted(inner, key=lambda name: name.count(".") + name.count("["))


def releases() -> str:
    """Of Python and of the packages that compute."""
    found = [f"python {sys.version_info.major}.{sys.version_info.minor}"]
    for name in PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:  # lgn, run from a folder
            continue
    return ", ".join(found)


class _Reader:
    """Digests of values; each is read once, and a value within itself is known by how far up it stands."""

    def __init__(self):
        self._known: dict[int, tuple[Any, bytes, Parts]] = {}  # the value too: its number is its own while it lives
        self._open: dict[int, int] = {}

    def digest(self, value, path: str) -> bytes:
        number = id(value)
        if number in self._known:
            return self._known[number][1]
        if number in self._open:
            return f"up {len(self._open) - self._open[number]}".encode()
        self._open[number] = len(self._open)
        try:
            tag, parts = parts_of(value)
            found = [(label.encode(), self.digest(part, path + label)) for label, part in parts]
        except CheckpointError:
            raise
        except RecursionError as error:
            raise CheckpointError(f"{path} is nested too deeply to be compared with another call's") from error
        except Exception as error:
            raise CheckpointError(
                f"{path} is a {type(value).__module__}.{type(value).__qualname__}, whose content cannot be read "
                f"({error}), so that another call could not be told from this one; use functions, dataclasses, arrays "
                f"and numbers, or leave out the folder"
            ) from error
        finally:
            del self._open[number]
        content = hashlib.blake2b(tag.encode(), digest_size=16)
        for label, part in sorted(found):
            content.update(b"%d %s %d %s" % (len(label), label, len(part), part))
        self._known[number] = value, content.digest(), parts
        return content.digest()

    def parts(self, value) -> Parts:
        """Of a value that was read."""
        return self._known[id(value)][2]


def _opens(value) -> bool:
    """Whether an outline names the parts of something that can be called: of objects, not of functions or classes."""
    known = isinstance(value, nnx.Pytree | functools.partial) or hasattr(value, "__dataclass_fields__")
    return known and not isinstance(value, type)

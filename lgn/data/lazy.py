"""Lazy: an array in a file of which nothing is read but the rows that are asked for."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from lgn import _arrays

BYTES = 2**26  # in memory at a time, of what is written in pieces
Runs = Sequence[tuple[int, int]]  # (start, stop) of rows that stand together


class Lazy:
    """Rows (time, node, dim) in a file. `x[rows]`, rows a slice or an array of numbers, reads them and nothing else.

    The file is opened for each reading, so nothing stays open; `np.asarray(x)` reads all.

    Args:
        shape: (time, node, dim).
        dtype: of the file.
        read: runs of rows -> these rows, one run after the other.

    Example:
        >>> import numpy as np
        >>> from lgn.data.lazy import Lazy
        >>> numbers = np.arange(10)[:, None, None]
        >>> x = Lazy(numbers.shape, numbers.dtype, lambda runs: np.concatenate([numbers[slice(*run)] for run in runs]))
        >>> x[np.array([[7, 8], [1, 2]])][..., 0, 0].tolist()
        [[7, 8], [1, 2]]
    """

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype, read: Callable[[Runs], np.ndarray]):
        self.shape, self.dtype, self.read = shape, dtype, read

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __getitem__(self, rows: Any) -> np.ndarray:
        if isinstance(rows, tuple):
            first, *rest = rows
            found = self[slice(None) if first is Ellipsis else first]
            return found[rows] if first is Ellipsis else found[*[slice(None)] * (found.ndim - self.ndim + 1), *rest]
        if isinstance(rows, slice) and rows.step in (None, 1):
            start, stop, _ = rows.indices(len(self))
            return self.read([(start, max(start, stop))])
        numbers = np.arange(len(self))[rows]
        distinct, place = np.unique(numbers, return_inverse=True)
        starts = np.flatnonzero(np.diff(distinct, prepend=-2) > 1)
        runs = (
            [(int(run[0]), int(run[-1]) + 1) for run in np.split(distinct, starts[1:])] if distinct.size else [(0, 0)]
        )
        return self.read(runs)[place.reshape(numbers.shape)]

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        return self[:].astype(dtype or self.dtype, copy=False)

    def __repr__(self) -> str:
        return f"Lazy(shape={self.shape}, dtype={self.dtype})"


def numbers_of(name: str, x: Any) -> Any:
    """Real numbers as numpy array, and as they are where they lie in a file."""
    return x if isinstance(x, Lazy) else _arrays.reals(name, x)


def pieces(x: Any, rows: int | None = None) -> list[tuple[int, int]]:
    """(start, stop) of runs of rows that fit memory; `rows` of them rather than all."""
    count = len(x) if rows is None else rows
    step = max(1, BYTES // max(1, int(np.prod(x.shape[1:])) * x.dtype.itemsize))
    return [(start, min(start + step, count)) for start in range(0, count, step)]


class Source(NamedTuple):
    """One field of a file, of trials of equal length.

    Attributes:
        read: (trial, start, stop), ... -> (stop - start, node, components) of each, in order.
        components: numbers at a node.
        dtype: of the file.
    """

    read: Callable[[Sequence[tuple[int, int, int]]], Iterable[np.ndarray]]
    components: int
    dtype: np.dtype


def stacked(sources: Sequence[Source], trials: int, times: int, nodes: int) -> Lazy:
    """Fields side by side as rows (trial * time, node, dim), one trial after the other."""
    shape = (trials * times, nodes, sum(source.components for source in sources))
    dtype = np.result_type(*(source.dtype for source in sources))

    def read(runs):
        parts = [
            (trial, max(start - trial * times, 0), min(stop - trial * times, times))
            for start, stop in runs
            for trial in range(start // times, -(-stop // times))
        ]
        found = np.empty((sum(stop - start for start, stop in runs), *shape[1:]), dtype)
        first = 0
        for source in sources:
            at, last = 0, first + source.components
            for part in source.read(parts):
                found[at : at + len(part), :, first:last] = part
                at += len(part)
            first = last
        return found

    return Lazy(shape, dtype, read)


def chained(parts: Sequence[Any]) -> Lazy:
    """Arrays (time, node, dim) of one shape after the first axis, in memory or not, one after the other."""
    ends = np.cumsum([len(part) for part in parts]).tolist()
    begins = [0, *ends[:-1]]
    dtype = np.result_type(*(part.dtype for part in parts))

    def read(runs):
        pieces = [
            part[max(start, begin) - begin : min(stop, end) - begin]
            for start, stop in runs
            for part, begin, end in zip(parts, begins, ends, strict=True)
            if (start < end and stop > begin) or start == stop == begin
        ]
        return np.concatenate(pieces).astype(dtype, copy=False)

    return Lazy((ends[-1], *parts[0].shape[1:]), dtype, read)

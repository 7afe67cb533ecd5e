"""Pytrees: what belongs to the program, such as numpy tables, and what is data."""

import hashlib
from typing import Generic, TypeVar

import jax
import numpy as np
from flax import nnx

T = TypeVar("T")
PIECE = 2**24  # bytes that are hashed at once


class Static(Generic[T]):
    """Holds a value whose numpy arrays are compared by content, so that it can be pytree metadata.

    Two systems built twice on the same graph then share one compiled program and one tree structure.
    """

    __slots__ = ("_digest", "value")

    def __init__(self, value: T):
        self.value = value
        self._digest: bytes | None = None

    @property
    def digest(self) -> bytes:
        if self._digest is None:
            tables = self.value.tables() if hasattr(self.value, "tables") else self.value
            leaves, structure = jax.tree.flatten(tables)
            content = hashlib.blake2b(repr(structure).encode(), digest_size=16)
            for leaf in leaves:
                array = np.asarray(leaf)
                content.update(f"{array.dtype}{array.shape}".encode())
                for piece in np.array_split(np.atleast_1d(array), 1 + array.nbytes // PIECE):
                    content.update(np.ascontiguousarray(piece).data)  # a view of one row is copied here
            self._digest = content.digest()
        return self._digest

    def __hash__(self) -> int:
        return int.from_bytes(self.digest[:8])

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Static) and self.digest == other.digest)

    def __repr__(self) -> str:
        return f"Static({type(self.value).__name__})"


def attribute(value):
    """Attribute of a pytree: data if it holds arrays (module, array, Partial), else structure."""
    arrays = any(isinstance(leaf, jax.Array | np.ndarray) for leaf in jax.tree.leaves(value))
    return nnx.data(value) if arrays else value

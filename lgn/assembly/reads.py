"""Reads: the gradient of a density by the entries that it reads, each a variable of its own.

The derivative of x[2, 0] is an array of zeros with one entry, and that of a density a sum of such arrays. XLA makes
each of them, which took half of a step of a small density (measured). As a stack of the entries' derivatives none is
made.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Literal, jaxpr_as_fun

Bounds = tuple[slice, slice]
MOST = 128  # entries up to which a line of the program for each is compiled in good time


@dataclass(frozen=True)
class Apart:
    """A traced function of matrices, among others, as a function of what it reads of them.

    Attributes:
        traced: of the other arguments, and then of each read.
        shapes: of the matrices, with their dtypes.
        reads: of each the number of the matrix, and the slice, or None for a matrix that is not read by slices alone,
            or by more than `MOST` entries together.
    """

    traced: ClosedJaxpr
    shapes: tuple[jax.ShapeDtypeStruct, ...]
    reads: tuple[tuple[int, Bounds | None], ...]

    def split(self, matrices) -> list[jax.Array]:
        """What is read of matrices, which may have leading axes."""
        return [matrices[i] if of is None else matrices[i][(..., *of)] for i, of in self.reads]

    def together(self, slopes) -> tuple[jax.Array, ...]:
        """Derivatives by the matrices, of those by the reads."""
        found: list[list] = [[] for _ in self.shapes]
        for (number, of), slope in zip(self.reads, slopes, strict=True):
            found[number].append((of, slope))
        return tuple(_sum(like, parts) for like, parts in zip(self.shapes, found, strict=True))


def apart(traced: ClosedJaxpr, places: Sequence[int]) -> Apart:
    """A traced function apart in those of its arguments."""
    fields = [traced.jaxpr.invars[i] for i in places]
    others = [x for i, x in enumerate(traced.jaxpr.invars) if i not in places]
    slicing, variables = [], []
    reads: list[tuple[int, Bounds | None]] = []
    for number, field in enumerate(fields):
        users = [x for x in traced.eqns if any(y is field for y in x.invars if not isinstance(y, Literal))]
        entries = sum(x.outvars[0].aval.size for x in users)
        if entries <= MOST and all(x.primitive.name == "slice" and not x.params["strides"] for x in users):
            slicing += users
            reads += [(number, _bounds(x)) for x in users]
            variables += [x.outvars[0] for x in users]
        else:
            reads.append((number, None))
            variables.append(field)
    names = traced.jaxpr.debug_info.with_unknown_names()
    rest = [x for x in traced.eqns if not any(x is y for y in slicing)]
    program = traced.jaxpr.replace(eqns=rest, invars=[*others, *variables], debug_info=names)
    shapes = tuple(jax.ShapeDtypeStruct(x.aval.shape, x.aval.dtype) for x in fields)
    return Apart(ClosedJaxpr(program, traced.consts), shapes, tuple(reads))


def gradient(function: Callable, argnums: Sequence[int]) -> Callable:
    """`jax.grad(function, argnums)`, with respect to matrices.

    Example:
        >>> import jax.numpy as jnp
        >>> from lgn.assembly.reads import gradient
        >>> def spring(x, stiffness): return 0.5 * stiffness * (x[2, 0] - x[0, 0]) ** 2
        >>> (slope,) = gradient(spring, (0,))(jnp.array([[0.0], [5.0], [1.0]]), 2.0)
        >>> slope[:, 0].tolist()
        [-2.0, 0.0, 2.0]
    """

    def of(*local):
        first = np.cumsum([0, *(len(jax.tree.leaves(x)) for x in local)])
        traced = jax.make_jaxpr(lambda *local: function(*local))(*local)  # of one function jax keeps the first trace
        found = apart(traced, [int(first[i]) for i in argnums])
        others = jax.tree.leaves([x for i, x in enumerate(local) if i not in argnums])
        evaluate = jaxpr_as_fun(found.traced)
        slopes = jax.grad(lambda reads: evaluate(*others, *reads)[0])(found.split([local[i] for i in argnums]))
        return found.together(slopes)

    return of


def _bounds(equation) -> Bounds:
    rows, columns = map(slice, equation.params["start_indices"], equation.params["limit_indices"])
    return rows, columns


def _sum(like, parts) -> jax.Array:
    """Of the parts of a matrix, entry by entry; a part without a slice is all of it."""
    if parts and parts[0][0] is None:
        return parts[0][1]
    sums: dict[tuple[int, int], jax.Array] = {}
    for (row, column), part in parts:
        for i in range(row.start, row.stop):
            for j in range(column.start, column.stop):
                entry = part[i - row.start, j - column.start]
                sums[i, j] = sums[i, j] + entry if (i, j) in sums else entry
    none, (rows, columns) = jnp.zeros((), like.dtype), like.shape
    return jnp.stack([jnp.stack([sums.get((i, j), none) for j in range(columns)]) for i in range(rows)])

"""Reads: the gradient of a density by the entries that it reads, each a variable of its own.

The derivative of x[2, 0] is an array of zeros with one entry, and that of a density a sum of such arrays. XLA makes each
of them, which took half of a step of a small density (measured). As a stack of the entries' derivatives none is made.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Literal, jaxpr_as_fun


def gradient(function: Callable, argnums: Sequence[int], most: int) -> Callable:
    """`jax.grad(function, argnums)`, with respect to matrices; by entries where the function reads these by slices
    alone, such as x[2, 0] or x[1:], and they have at most so many.

    Example:
        >>> import jax.numpy as jnp
        >>> from lgn.assembly.reads import gradient
        >>> def spring(x, stiffness): return 0.5 * stiffness * (x[2, 0] - x[0, 0]) ** 2
        >>> (slope,) = gradient(spring, (0,), most=10)(jnp.array([[0.0], [5.0], [1.0]]), 2.0)
        >>> slope[:, 0].tolist()
        [-2.0, 0.0, 2.0]
    """

    def by_entries(*local):
        traced = jax.make_jaxpr(function)(*local)
        places = np.cumsum([0, *(len(jax.tree.leaves(x)) for x in local)])
        fields = {traced.jaxpr.invars[places[i]]: local[i] for i in argnums}
        found = _slices(traced, fields)
        if found is None or any(x.size > most for x in fields.values()):
            return jax.grad(function, argnums)(*local)
        reads = [equation.outvars[0] for equation in found]
        rest = traced.jaxpr.replace(
            eqns=[x for x in traced.jaxpr.eqns if x not in found],
            invars=[*traced.jaxpr.invars, *reads],
            debug_info=traced.jaxpr.debug_info.with_unknown_names(),
        )
        evaluate, leaves = jaxpr_as_fun(ClosedJaxpr(rest, traced.consts)), jax.tree.leaves(local)
        values = [fields[x.invars[0]][_bounds(x)] for x in found]
        slopes = jax.grad(lambda values: evaluate(*leaves, *values)[0])(values)
        return tuple(
            _together(value, [(_bounds(x), slope) for x, slope in zip(found, slopes, strict=True) if x.invars[0] is of])
            for of, value in fields.items()
        )

    return by_entries


def _slices(traced: ClosedJaxpr, fields) -> list | None:
    """The equations that slice the fields; None if others read them too."""
    reading = [x for x in traced.eqns if any(not isinstance(y, Literal) and y in fields for y in x.invars)]
    return reading if all(x.primitive.name == "slice" and not x.params["strides"] for x in reading) else None


def _bounds(equation) -> tuple[slice, ...]:
    return tuple(map(slice, equation.params["start_indices"], equation.params["limit_indices"]))


def _together(like, parts) -> jax.Array:
    """Sums of the parts of a matrix, entry by entry."""
    sums: dict[tuple[int, int], jax.Array] = {}
    for (rows, columns), part in parts:
        for i in range(rows.start, rows.stop):
            for j in range(columns.start, columns.stop):
                entry = part[i - rows.start, j - columns.start]
                sums[i, j] = sums[i, j] + entry if (i, j) in sums else entry
    none = jnp.zeros((), like.dtype)
    return jnp.stack([jnp.stack([sums.get((i, j), none) for j in range(like.shape[1])]) for i in range(like.shape[0])])

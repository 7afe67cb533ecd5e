"""Jaxprs: which entries of its arguments a traced function reads, and its gradient by those entries alone.

The derivative of x[2, 0] is an array of zeros with one entry, and that of a density a sum of such arrays. XLA makes
each of them, which took half of a step of a small density (measured); of a stack of the entries' derivatives none.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal, jaxpr_as_fun

Bounds = tuple[slice, slice]
MOST = 128  # entries up to which a line of the program for each is compiled in good time
CALLS = ("jit", "pjit", "closed_call", "core_call", "remat2", "checkpoint", "custom_jvp_call", "custom_vjp_call")
ELEMENTWISE = frozenset([
    "abs", "acos", "acosh", "add", "add_any", "and", "asin", "asinh", "atan", "atan2", "atanh", "cbrt", "ceil", "clamp",
    "convert_element_type", "copy", "copy_p", "cos", "cosh", "digamma", "div", "eq", "erf", "erf_inv", "erfc", "exp",
    "exp2", "expm1", "floor", "ge", "gt", "integer_pow", "is_finite", "le", "lgamma", "log", "log1p", "logistic", "lt",
    "max", "min", "mul", "name", "ne", "neg", "nextafter", "not", "or", "pow", "reduce_precision", "rem", "round",
    "rsqrt", "select_n", "sign", "sin", "sinh", "sqrt", "square", "stop_gradient", "sub", "tan", "tanh", "xor",
])  # fmt: skip
REDUCTIONS = frozenset([
    "argmax", "argmin", "reduce_and", "reduce_max", "reduce_min", "reduce_or", "reduce_prod", "reduce_sum",
])  # fmt: skip


def dependence(function: Callable, *local):
    """Which entries of arrays, or of their shapes, a function's value depends on: bool arrays in their places, found
    backwards from the value. What moves entries in an unknown way needs all: a dependence is never missed.

    Example:
        >>> import jax.numpy as jnp
        >>> from lgn.assembly.jaxprs import dependence
        >>> def density(q, v): return jnp.sum(v[0] ** 2) - jnp.sum((q[1:, 0] - q[0, 0]) ** 2)
        >>> q, v = dependence(density, jnp.ones((3, 2)), jnp.ones((3, 2)))
        >>> q.tolist()
        [[True, False], [True, False], [True, False]]
        >>> v.tolist()
        [[True, True], [False, False], [False, False]]
    """
    traced = jax.make_jaxpr(function)(*local)
    whole = [np.ones(x.aval.shape, bool) for x in traced.jaxpr.outvars]
    return jax.tree.unflatten(jax.tree.structure(local), _follow(traced.jaxpr, traced.consts, whole))


def _follow(program: Jaxpr, constants, results: list) -> list[np.ndarray]:
    """What the needed entries of a program's results make needed of its arguments."""
    known = _integers(program, constants)
    needed: dict = {}

    def need(variable, entries):
        if not isinstance(variable, Literal):
            needed[variable] = needed[variable] | entries if variable in needed else entries

    def of(variable):
        return needed.get(variable, np.zeros(variable.aval.shape, bool))

    for variable, entries in zip(program.outvars, results, strict=True):
        need(variable, entries)
    for equation in reversed(program.eqns):
        found = [of(x) for x in equation.outvars]
        if any(x.any() for x in found):
            for operand, entries in zip(equation.invars, _needed(equation, found, known), strict=True):
                need(operand, entries)
    return [of(x) for x in program.invars]


def _needed(equation, results: list, known: dict) -> list[np.ndarray]:
    """Which entries of the operands of one equation its needed results are made of."""
    name, shapes = equation.primitive.name, [x.aval.shape for x in equation.invars]
    if name in CALLS:
        (inner,) = (x for x in equation.params.values() if isinstance(x, ClosedJaxpr | Jaxpr))
        return _follow(inner, (), results) if isinstance(inner, Jaxpr) else _follow(inner.jaxpr, inner.consts, results)
    if name in ELEMENTWISE:
        return [_summed(results[0], shape) for shape in shapes]
    if name in REDUCTIONS:
        kept = np.expand_dims(results[0], tuple(equation.params["axes"]))
        return [np.broadcast_to(kept, shape) for shape in shapes]
    if name in MOVES:
        found = MOVES[name](equation, results[0], shapes, known)
        if found is not None:
            return found
    return [np.ones(shape, bool) for shape in shapes]


def _summed(result, shape) -> np.ndarray:
    """Needed entries of an operand that is broadcast to the result, by repeating scalars and axes of length 1."""
    if len(shape) != result.ndim:
        return np.full(shape, result.any())
    return result.any(tuple(i for i, n in enumerate(shape) if n != result.shape[i]), keepdims=True).reshape(shape)


def _slice(equation, result, shapes, known):
    bounds = (equation.params[name] for name in ("start_indices", "limit_indices", "strides"))
    out = np.zeros(shapes[0], bool)
    out[tuple(slice(*axis) for axis in zip(*(x or (None,) * result.ndim for x in bounds), strict=True))] = result
    return [out]


def _broadcast(equation, result, shapes, known):
    axes = equation.params["broadcast_dimensions"]
    kept = result.any(tuple(i for i in range(result.ndim) if i not in axes))
    return [_summed(kept, shapes[0]), *(np.ones(shape, bool) for shape in shapes[1:])]


def _concatenate(equation, result, shapes, known):
    axis = equation.params["dimension"]
    return np.split(result, np.cumsum([shape[axis] for shape in shapes])[:-1], axis)


def _pad(equation, result, shapes, known):
    sides = equation.params["padding_config"]
    if any(min(low, high, inner) < 0 or inner for low, high, inner in sides):
        return None
    inside = tuple(slice(low, low + n) for (low, _, _), n in zip(sides, shapes[0], strict=True))
    return [result[inside], np.full(shapes[1], result.any())]


def _gather(equation, result, shapes, known):
    """By indices that are known: the operand's entries are numbered, and gathered."""
    indices = [_value(x, known) for x in equation.invars[1:]]
    if any(x is None for x in indices):
        return None
    numbers = np.arange(np.prod(shapes[0], dtype=int)).reshape(shapes[0])
    with jax.ensure_compile_time_eval():
        params = {**equation.params, **({"fill_value": -1} if "fill_value" in equation.params else {})}
        source = np.asarray(equation.primitive.bind(jnp.asarray(numbers), *indices, **params))
    out = np.zeros(numbers.size, bool)
    read = source[result]
    out[read[read >= 0]] = True
    return [out.reshape(shapes[0]), *(np.ones(shape, bool) for shape in shapes[1:])]


def _product(equation, result, shapes, known):
    """The rows and columns of the needed entries of a product, over all that is contracted."""
    contracted, batch = equation.params["dimension_numbers"]
    free = [[i for i in range(len(s)) if i not in (*c, *b)] for s, c, b in zip(shapes, contracted, batch, strict=True)]
    middle = len(batch[0]) + len(free[0])
    others = range(middle, result.ndim), range(len(batch[0]), middle)
    out = []
    for shape, *axes, other in zip(shapes, batch, free, contracted, others, strict=True):
        kept = result.any(tuple(other))
        kept = kept.reshape(kept.shape + (1,) * len(axes[2]))
        out.append(np.broadcast_to(kept.transpose(np.argsort(np.concatenate(axes))), shape))
    return out


MOVES: dict[str, Callable] = {
    "broadcast_in_dim": _broadcast,
    "concatenate": _concatenate,
    "dot_general": _product,
    "dynamic_slice": _gather,
    "expand_dims": lambda equation, result, shapes, known: [result.reshape(shapes[0])],
    "gather": _gather,
    "pad": _pad,
    "reshape": lambda equation, result, shapes, known: [result.reshape(shapes[0])],
    "rev": lambda equation, result, shapes, known: [np.flip(result, equation.params["dimensions"])],
    "slice": _slice,
    "squeeze": lambda equation, result, shapes, known: [result.reshape(shapes[0])],
    "stack": lambda equation, result, shapes, known: list(np.moveaxis(result, equation.params["axis"], 0)),
    "transpose": lambda equation, result, shapes, known: [result.transpose(np.argsort(equation.params["permutation"]))],
}


def _integers(program: Jaxpr, constants) -> dict:
    """Values of the variables that are whole numbers and follow from constants alone, as indices do."""
    known = dict(zip(program.constvars, constants, strict=False))
    known = {x: value for x, value in known.items() if _whole(x) and not isinstance(value, jax.core.Tracer)}
    for equation in program.eqns:
        operands = [_value(x, known) for x in equation.invars]
        single = not equation.primitive.multiple_results and _whole(equation.outvars[0])
        if single and operands and all(x is not None for x in operands):
            with jax.ensure_compile_time_eval():
                known[equation.outvars[0]] = equation.primitive.bind(*operands, **equation.params)
    return known


def _value(operand, known):
    return operand.val if isinstance(operand, Literal) else known.get(operand)


def _whole(variable) -> bool:
    return variable.aval.dtype.kind in "bui"


@dataclass(frozen=True)
class Apart:
    """A traced function of matrices, among others, as a function of what it reads of them.

    A read is the number of the matrix, and the slice, or None for a matrix that is not read by slices alone, or by more
    than `MOST` entries together.
    """

    traced: ClosedJaxpr  # of the other arguments, and then of each read
    shapes: tuple[jax.ShapeDtypeStruct, ...]  # of the matrices
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
        >>> from lgn.assembly.jaxprs import gradient
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

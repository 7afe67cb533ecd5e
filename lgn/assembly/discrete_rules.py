"""Discrete rules: how the difference of an operation's results depends on the differences of its arguments, exactly.

For y = f(x) a linear map from dx = x_after - x_before to dy = f(x_after) - f(x_before), which tends to the derivative
as dx tends to 0. All are symmetric in after and before, and differentiable in both, also where they are equal.

Source: the discrete chain and product rules of Matsubara, Ishikawa, Yaguchi 2020, arXiv 1905.08604, section 3.2.
"""

from collections.abc import Callable
from functools import partial, reduce
from operator import add
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from lgn.assembly import discrete_slopes as slopes
from lgn.densities.network import fast_softplus


class Pair(NamedTuple):
    """A value that depends on the state: (2, ...) after and before, and their difference as a linear function of that
    of the state; a predicate has none."""

    both: Array
    step: Any

    @property
    def difference(self) -> Array:
        return self.both[0] - self.both[1]


Value = Array | Pair


class Operation(NamedTuple):
    """A primitive with its parameters, as a function of its operands."""

    apply: Callable
    parameters: dict[str, Any]


Rule = Callable[[Operation, list[Value], Array], Array]  # operation, its operands, its value in both states -> step


def states(x: Value) -> tuple[Array, Array]:
    """After and before."""
    return (x.both[0], x.both[1]) if isinstance(x, Pair) else (x, x)


def mean(x: Value) -> Array:
    """Of after and before."""
    return (x.both[0] + x.both[1]) / 2 if isinstance(x, Pair) else x


def over_states(function: Callable, *operands: Value):
    """Values of a function in both states at once: a product with a matrix remains one product."""
    axes = [0 if isinstance(x, Pair) else None for x in operands]
    return jax.vmap(function, axes)(*(x.both if isinstance(x, Pair) else x for x in operands))


def combined(*terms: tuple[Array, Value]) -> Array:
    """Sum of weight times step over the operands that have one."""
    return reduce(add, [weight * x.step for weight, x in terms if isinstance(x, Pair)])


# --- Linear operations, products, selections ---


def linear(operation, operands, both):
    """dy = f(dx), taken as the derivative, which is the same at all states."""
    moving = [i for i, x in enumerate(operands) if isinstance(x, Pair)]

    def function(*values):
        known = dict(zip(moving, values, strict=True))
        return operation.apply(*(known.get(i, x) for i, x in enumerate(operands)))

    return jax.jvp(function, [operands[i].both[0] for i in moving], [operands[i].step for i in moving])[1]


def product(operation, operands, both):
    """d(x y) = mean(y) dx + mean(x) dy."""
    x, y = operands
    left = [operation.apply(x.step, mean(y))] if isinstance(x, Pair) else []
    right = [operation.apply(mean(x), y.step)] if isinstance(y, Pair) else []
    return reduce(add, left + right)


def quotient(operation, operands, both):
    """d(x / y) = mean(1 / y) dx - mean(x) dy / (y_after y_before)."""
    x, y = operands
    after, before = states(y)
    return combined(((1 / after + 1 / before) / 2, x), (-mean(x) / (after * before), y))


def power(operation, operands, both):
    """x^y as a function of x alone, or else as exp(y log x)."""
    x, y = operands
    if not isinstance(y, Pair):
        return elementwise(partial(slopes.measured, lambda x: operation.apply(x, y)))(operation, [x], both)
    logs = jax.tree.map(jnp.log, states(x))
    outer = slopes.exp(*(p * q for p, q in zip(states(y), logs, strict=True)), *both)
    return combined((outer * mean(y) * slopes.log(*states(x), *logs), x), (outer * (logs[0] + logs[1]) / 2, y))


def larger(sign: int) -> Rule:
    """max and min by (x + y +- |x - y|) / 2."""

    def rule(operation, operands, both):
        x, y = operands
        after, before = (p - q for p, q in zip(states(x), states(y), strict=True))
        tilt = sign * slopes.absolute(after, before, abs(after), abs(before))
        return combined(((1 + tilt) / 2, x), ((1 - tilt) / 2, y))

    return rule


def selection(operation, operands, both):
    """dy = dx of the operand that both states select; where they select differently, across a kink, the largest dx in
    proportion to y_after - y_before."""
    which, *cases = operands
    if not isinstance(which, Pair):
        return linear(operation, operands, both)
    chosen, chosen_before = states(which)
    sizes = [abs(x.difference) if isinstance(x, Pair) else jnp.zeros_like(x) for x in cases]
    largest, top = jnp.argmax(jnp.stack(sizes), 0), reduce(jnp.maximum, sizes)
    same = (chosen == chosen_before) | (top == 0)

    def weight(i, x):
        moved = jnp.where(same | (largest != i), 1, x.difference)
        return jnp.where(same, chosen == i, jnp.where(largest == i, (both[0] - both[1]) / moved, 0))

    return combined(*((weight(i, x), x) for i, x in enumerate(cases) if isinstance(x, Pair)))


def elementwise(slope: slopes.Slope) -> Rule:
    """dy = slope(after, before) dx."""

    def rule(operation, operands, both):
        (x,) = operands
        return slope(*states(x), *both) * x.step

    return rule


def integer_power(operation, operands, both):
    """a^n - b^n = (a - b) sum_i a^(n-1-i) b^i, and 1/p - 1/q = -(p - q) / (p q)."""
    n, (x,) = operation.parameters["y"], operands
    a, b = states(x)
    terms, factor = jnp.ones_like(a), jnp.ones_like(a)
    for _ in range(abs(n) - 1):
        factor = factor * b
        terms = terms * a + factor
    return (terms if n > 0 else -terms * both[0] * both[1]) * x.step


def any_function(operation, operands, both):
    """An elementwise function without a closed slope."""
    return elementwise(partial(slopes.measured, operation.apply))(operation, operands, both)


LINEAR = [
    "add", "add_any", "broadcast_in_dim", "concatenate", "convert_element_type", "copy", "copy_p", "cumsum",
    "device_put", "dynamic_slice", "dynamic_update_slice", "expand_dims", "gather", "name", "neg", "pad",
    "reduce_precision", "reduce_sum", "reduce_window_sum", "reshape", "rev", "scatter", "scatter-add",
    "sharding_constraint", "slice", "split", "squeeze", "stack", "sub", "tile", "transpose", "unstack",
]  # fmt: skip
MEASURED = [
    "acos", "acosh", "asin", "asinh", "atan", "atanh", "cosh", "digamma", "erf", "erf_inv", "erfc", "exp2", "lgamma",
    "sinh", "tan",
]  # fmt: skip
PREDICATES = ["convert_element_type", "eq", "ne", "lt", "le", "gt", "ge", "is_finite", "and", "or", "xor", "not"]
RULES: dict[str, Rule] = {
    **dict.fromkeys(LINEAR, linear),
    **dict.fromkeys(MEASURED, any_function),
    **dict.fromkeys(["mul", "dot_general", "conv_general_dilated"], product),
    "div": quotient,
    "pow": power,
    "integer_pow": integer_power,
    "max": larger(1),
    "min": larger(-1),
    "select_n": selection,
    "abs": elementwise(slopes.absolute),
    "cbrt": elementwise(lambda a, b, fa, fb: 1 / (fa * fa + fa * fb + fb * fb)),
    "cos": elementwise(slopes.cos),
    "exp": elementwise(slopes.exp),
    "expm1": elementwise(partial(slopes.exp, shift=1)),
    "log": elementwise(slopes.log),
    "log1p": elementwise(partial(slopes.log, shift=2)),
    "logistic": elementwise(slopes.logistic),
    "rsqrt": elementwise(lambda a, b, fa, fb: -((fa * fb) ** 2) / (fa + fb)),
    "sin": elementwise(slopes.sin),
    "sqrt": elementwise(lambda a, b, fa, fb: 1 / (fa + fb)),
    "square": elementwise(lambda a, b, fa, fb: a + b),
    "tanh": elementwise(slopes.tanh),
}


# --- Functions that have a rule as a whole, faster than that of their parts ---


def logaddexp(operands: list[Value]) -> Pair:
    """log(e^x + e^y) = y + softplus(x - y), whose value is taken from the fast series."""
    x, y = operands
    z = over_states(jnp.subtract, x, y)
    values = fast_softplus(z)
    slope = slopes.softplus(*z, *values)
    return Pair(over_states(jnp.add, Pair(values, None), y), combined((slope, x), (1 - slope, y)))


def softplus(operands: list[Value]) -> Pair:
    """log(1 + e^x)."""
    (x,) = operands
    return logaddexp([x, jnp.zeros((), mean(x).dtype)])


WHOLE: dict[Callable, Callable[[list[Value]], Pair]] = {jnp.logaddexp: logaddexp, fast_softplus: softplus}

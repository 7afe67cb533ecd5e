"""Discrete gradients: what makes a difference of energies exactly the product of a gradient with a step.

    H(u') - H(u) = <g, u' - u>,    g(u, u) = grad H(u),    g(u', u) = g(u, u')

Where du/dt = G grad H with G antisymmetric, the step u' - u = dt G g then keeps H whatever dt.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal

from lgn import _arguments
from lgn.assembly.discrete_rules import PREDICATES, RULES, WHOLE, Operation, Pair, over_states
from lgn.assembly.jaxprs import CALLS, apart, gradient

Fields = tuple[jax.Array, ...]
DERIVED = ("custom_jvp_call", "custom_vjp_call")  # calls of functions with derivatives of their own


@dataclass(frozen=True)
class Automatic:
    """The discrete gradient of any density by its operations: the identity to round-off, for all steps.

    The density is traced, and every operation in it replaced by its discrete rule (`discrete_rules`): the result is
    linear in the step, and its transpose is the gradient. Costs about two gradients.

    Raises:
        ValueError: an operation without a rule (a sort, a loop, the sign of a state); the message names it.

    Source: Matsubara, Ishikawa, Yaguchi 2020, arXiv 1905.08604.

    Example:
        >>> import jax.numpy as jnp, lgn
        >>> def quartic(u, features): return jnp.sum(u**4) / 4
        >>> after, before = (jnp.full((1, 1), x) for x in (2.0, 1.0))
        >>> (gradient,) = lgn.Automatic()(quartic, (after,), (before,), {})
        >>> gradient.tolist()  # (16 - 1) / 4
        [[3.75]]
    """

    def __call__(self, density: Callable[..., jax.Array], after: Fields, before: Fields, features) -> Fields:
        """One array for each field of an element, each (slot, dim)."""
        _arguments.called("density", density, "a function of the fields and the features")
        found = apart(jax.make_jaxpr(lambda *state: density(*state, features))(*after), range(len(after)))
        both = found.split([jnp.stack(states) for states in zip(after, before, strict=True)])

        def difference(*steps):
            (value,) = _evaluate(found.traced, list(map(Pair, both, steps)))
            return value.step if isinstance(value, Pair) else jnp.zeros_like(value)

        shapes = [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in found.split(after)]
        slopes = jax.linear_transpose(difference, *shapes)(jnp.ones((), found.traced.out_avals[0].dtype))
        return found.together(slopes)


@dataclass(frozen=True)
class MeanValue:
    """The gradient averaged along the segment from before to after, by Gauss-Legendre quadrature.

        g = sum_k w_k grad H(u + c_k (u' - u))

    The identity holds to round-off for polynomials of degree 2 points, otherwise to order |u' - u|^(2 points + 1).
    Costs `points` gradients, and has the cheapest derivatives: for training.

    Args:
        points: of the quadrature.

    Raises:
        ValueError: points below 1.

    Source: average vector field of Quispel, McLaren 2008, doi 10.1088/1751-8113/41/4/045206.

    Example:
        >>> import jax.numpy as jnp, lgn
        >>> def quartic(u, features): return jnp.sum(u**4) / 4
        >>> after, before = (jnp.full((1, 1), x) for x in (2.0, 1.0))
        >>> (gradient,) = lgn.MeanValue(points=2)(quartic, (after,), (before,), {})
        >>> round(float(gradient[0, 0]), 12)
        3.75
    """

    points: int = 2

    def __post_init__(self):
        _arguments.whole("MeanValue: points", self.points)

    def __call__(self, density: Callable[..., jax.Array], after: Fields, before: Fields, features) -> Fields:
        """One array for each field of an element, each (slot, dim)."""
        places, weights = np.polynomial.legendre.leggauss(self.points)
        gradient = _gradient(density, len(after), features)

        def at(place):
            return gradient(*(b + place.astype(b.dtype) * (a - b) for a, b in zip(after, before, strict=True)))

        sampled = jax.vmap(at)(jnp.asarray((1 + places) / 2))
        return jax.tree.map(lambda g: jnp.tensordot(jnp.asarray(weights / 2, g.dtype), g, 1), sampled)


@dataclass(frozen=True)
class Gonzalez:
    """The gradient at the midpoint, corrected along the step.

        g = grad H(m) + (H(u') - H(u) - <grad H(m), d>) d / |d|^2,    m = (u + u') / 2,  d = u' - u

    The identity holds for any density; for small steps the correction is round-off of H over |d|.

    Source: Gonzalez 1996, doi 10.1007/BF02440162.

    Example:
        >>> import jax.numpy as jnp, lgn
        >>> def quartic(u, features): return jnp.sum(u**4) / 4
        >>> after, before = (jnp.full((1, 1), x) for x in (2.0, 1.0))
        >>> (gradient,) = lgn.Gonzalez()(quartic, (after,), (before,), {})
        >>> round(float(gradient[0, 0]), 12)
        3.75
    """

    def __call__(self, density: Callable[..., jax.Array], after: Fields, before: Fields, features) -> Fields:
        """One array for each field of an element, each (slot, dim)."""
        steps = [a - b for a, b in zip(after, before, strict=True)]
        middle = _gradient(density, len(after), features)(*(b + d / 2 for b, d in zip(before, steps, strict=True)))
        missing = density(*after, features) - density(*before, features)
        missing -= sum(jnp.vdot(g, d) for g, d in zip(middle, steps, strict=True))
        square = sum(jnp.vdot(d, d) for d in steps)
        share = jnp.where(square == 0, 0, missing / jnp.where(square == 0, 1, square))
        return tuple(g + share * d for g, d in zip(middle, steps, strict=True))


def _gradient(density, fields: int, features) -> Callable:
    _arguments.called("density", density, "a function of the fields and the features")
    return gradient(lambda *state: density(*state, features), range(fields))


def _evaluate(traced: ClosedJaxpr, arguments: list) -> list:
    """Results of a traced function; a `Pair` where they depend on the state."""
    known = dict(zip(traced.jaxpr.constvars, traced.consts, strict=True))
    known |= dict(zip(traced.jaxpr.invars, arguments, strict=True))

    def read(variable):
        return variable.val if isinstance(variable, Literal) else known[variable]

    for equation in traced.jaxpr.eqns:
        results = _results(equation, [read(x) for x in equation.invars])
        known.update(zip(equation.outvars, results, strict=True))
    return [read(x) for x in traced.jaxpr.outvars]


def _results(equation, operands: list) -> list:
    """Of one equation: constant, entered, a predicate, or by its rule."""
    primitive, name = equation.primitive, equation.primitive.name
    apply = partial(primitive.bind, **primitive.get_bind_params(equation.params))
    listed = (lambda x: x) if primitive.multiple_results else (lambda x: [x])
    if not any(isinstance(x, Pair) for x in operands):
        return listed(apply(*operands))
    if name in CALLS:
        whole = _whole(str(_inner(equation)), tuple(map(_aval, equation.invars))) if name in DERIVED else None
        return [whole(operands)] if whole else _evaluate(_inner(equation), operands)
    if name in PREDICATES and not jnp.issubdtype(equation.outvars[0].aval.dtype, jnp.inexact):
        return [Pair(over_states(apply, *operands), None)]
    _check(name, operands)
    both = over_states(apply, *operands)
    return list(map(Pair, listed(both), listed(RULES[name](Operation(apply, equation.params), operands, both))))


def _inner(equation) -> ClosedJaxpr:
    """The function that an equation calls once."""
    (inner,) = (x for x in equation.params.values() if isinstance(x, ClosedJaxpr | Jaxpr))
    return ClosedJaxpr(inner, ()) if isinstance(inner, Jaxpr) else inner


@lru_cache(maxsize=1024)
def _whole(inner: str, avals: tuple) -> Callable | None:
    """The rule of a function that has one as a whole: it is recognised by its operations, for names say nothing."""
    for function, rule in WHOLE.items():
        try:
            equations = jax.make_jaxpr(function)(*avals).eqns
        except TypeError:  # it takes another number of arguments
            continue
        if any(inner == str(_inner(x)) for x in equations if x.primitive.name in CALLS):
            return rule
    return None


def _aval(variable):
    return jax.ShapeDtypeStruct(variable.aval.shape, variable.aval.dtype, weak_type=variable.aval.weak_type)


def _check(name: str, operands: list) -> None:
    """Raises ValueError: no rule, or one that has no use for a predicate of the state."""
    values = [x for x in operands[name == "select_n" :] if isinstance(x, Pair)]
    if name not in RULES or not values or any(x.step is None for x in values):
        raise ValueError(
            f"Automatic: the operation {name} of values that depend on the state has no discrete rule; "
            f"use MeanValue(points) or Gonzalez()"
        )

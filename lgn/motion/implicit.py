"""Implicit equations of a step: a fixed point, or Newton's method, matrix-free where the unknowns are many."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.flatten_util import ravel_pytree

DENSE = 100  # unknowns up to which the derivative is formed and factored
CONTRACTS = 0.25  # an iteration that gains less than this is not worth its evaluation (measured)
INNER = 1e-4  # relative accuracy of a step of many unknowns: each iteration then gains four digits


def fixed_point(image: Callable, guess: Any, tolerance: float, limit: int) -> Any:
    """x of x = image(x), a tree of arrays, by iteration until its changes are below a tolerance, absolute and relative;
    NaN if `limit` iterations do not find it. Its derivative is that of the implicit function, by a similar iteration.
    """

    def solve(_, x):
        return _iterate(image, x, tolerance, limit)

    def solve_tangent(without, right):
        """x of x - J x = right, where `without` is 1 - J."""

        def repeat(without, right):
            def image(x):
                return jax.tree.map(lambda x, y, r: x - y + r, x, without(x), right)

            return _iterate(image, right, tolerance, limit)

        return lax.custom_linear_solve(without, right, repeat, repeat)

    return lax.custom_root(lambda x: jax.tree.map(jnp.subtract, x, image(x)), guess, solve, solve_tangent)


def _iterate(image, x, tolerance, limit):
    tolerance = _reachable(tolerance, x)

    def far(x, y):
        return ~(_excess(jax.tree.map(jnp.subtract, x, y), y, tolerance) <= 0)

    def again(state):
        x, _, count = state
        following = image(x)
        return following, far(x, following), count + 1

    x, unsolved, _ = lax.while_loop(lambda state: state[1] & (state[2] < limit), again, (x, jnp.array(True), 0))
    return jax.tree.map(lambda x: jnp.where(unsolved, jnp.nan, x), x)


def newton(equation: Callable, guess: Any, tolerance: float, limit: int) -> Any:
    """x of f(x) = 0, where equation(x) gives f(x) and () -> (change -> f'(x) change), as `fixed_point` finds it: by
    x - f(x) while that contracts, which takes no derivative, else by Newton's method. An x whose f no longer falls,
    with a change below the root of the tolerance, has converged to rounding.
    """
    tolerance = _reachable(tolerance, guess)

    def solve(_, x):
        def again(state):
            x, contracts, before, _, count = state
            residual, derivative = equation(x)
            size = _largest(jax.tree.map(jnp.abs, residual))
            near = _excess(residual, x, 10 * tolerance) <= 0
            contracts &= near | (size < CONTRACTS * before)
            change = lax.cond(contracts, lambda f: f, lambda f: linear_solve(derivative(), f), residual)
            at_rounding = (size > 0.5 * before) & (near | (_excess(change, x, tolerance**0.5) <= 0))
            excess = jnp.where(at_rounding, 0.0, _excess(change, x, tolerance))
            return jax.tree.map(jnp.subtract, x, change), contracts, size, excess, count + 1

        def unfinished(state):
            *_, excess, count = state
            return (excess > 0) & jnp.isfinite(excess) & (count < limit)

        far = jnp.asarray(jnp.inf, jnp.result_type(*jax.tree.leaves(guess)))
        x, *_, excess, _ = lax.while_loop(unfinished, again, (x, jnp.array(True), far, jnp.ones_like(far), 0))
        return jax.tree.map(lambda x: jnp.where(excess <= 0, x, jnp.nan), x)

    def solve_tangent(derivative, right):
        return lax.custom_linear_solve(derivative, right, _exactly, _exactly)

    return lax.custom_root(lambda x: equation(x)[0], guess, solve, solve_tangent)


def linear_solve(linear: Callable, right: Any, accuracy: float = INNER) -> Any:
    """x of linear(x) = right: dense for few unknowns, else by stabilised biconjugate gradients."""
    size = sum(x.size for x in jax.tree.leaves(right))
    if size > DENSE:  # by fields: side by side, rows that are divided over devices would move
        return jax.scipy.sparse.linalg.bicgstab(linear, right, tol=accuracy, maxiter=size)[0]
    flat, unravel = ravel_pytree(right)

    def product(x):
        return ravel_pytree(linear(unravel(x)))[0]

    return unravel(jnp.linalg.solve(jax.vmap(product, out_axes=1)(jnp.eye(size, dtype=flat.dtype)), flat))


def _exactly(linear, right):
    return linear_solve(linear, right, 1e-12)


def _reachable(tolerance, x) -> float:
    """The tolerance, but no less than 10 machine epsilons."""
    return max(tolerance, 10 * float(jnp.finfo(jnp.result_type(*jax.tree.leaves(x))).eps))


def _excess(change, x, tolerance):
    """How far a change of x is above the tolerance."""
    return _largest(jax.tree.map(lambda d, x: jnp.abs(d) - tolerance * (1 + jnp.abs(x)), change, x))


def _largest(tree):
    return jnp.max(jnp.stack([jnp.max(x) for x in jax.tree.leaves(tree)]))

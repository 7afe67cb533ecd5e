"""Dense BFGS with a strong Wolfe line search, one step at a time, so that a run can be kept and resumed.

The inverse Hessian is updated by its rank-2 form, O(p^2); the line search is scipy's. Only a dense matrix and a Wolfe
search reach 1e-7 and below in relative error here: L-BFGS, and Armijo backtracking, stop near 1e-3 (measured).
"""

import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.linalg.blas import dsymv, dsyr2
from scipy.optimize import line_search

ValueAndGradient = Callable[[np.ndarray], tuple[float, np.ndarray]]


class State(NamedTuple):
    """Where the iteration stands; arrays only.

    Attributes:
        x: (p,) parameters.
        value: f(x).
        gradient: (p,).
        inverse: (p, p) inverse Hessian estimate, its upper triangle.
        previous: f before the last step, which sizes the next trial step.
        step: iterations done.
        fresh: 1 while `inverse` is the identity.
        stuck: 1 when a search along the steepest descent found nothing either.
    """

    x: np.ndarray
    value: np.ndarray
    gradient: np.ndarray
    inverse: np.ndarray
    previous: np.ndarray
    step: np.ndarray
    fresh: np.ndarray
    stuck: np.ndarray


def start(function: ValueAndGradient, x: np.ndarray) -> State:
    """At x, with the identity for the inverse Hessian."""
    value, gradient = function(x)
    return _restart(
        State(x, np.asarray(value), gradient, np.zeros(()), np.zeros(()), np.array(0), np.array(1), np.array(0))
    )


def step(function: ValueAndGradient, state: State) -> State:
    """One iteration; a failed line search starts again from the steepest descent, once.

    The inverse Hessian is updated in place, for a copy of it costs more than all the rest: `state` is used up.
    """
    cache: dict[bytes, tuple[float, np.ndarray]] = {}

    def evaluate(x):
        key = x.tobytes()
        if key not in cache:
            cache.clear()
            cache[key] = function(x)
        return cache[key]

    x, gradient = state.x, state.gradient
    inverse = np.asfortranarray(state.inverse)  # as BLAS stores it: no copy, but after a restore
    direction = -dsymv(1.0, inverse, gradient)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # a failed search is handled below
        length, *_ = line_search(
            lambda x: evaluate(x)[0],
            lambda x: evaluate(x)[1],
            x,
            direction,
            gradient,
            float(state.value),
            float(state.previous),
            c2=0.9,
            maxiter=20,
        )
    moved = None if length is None else length * direction
    value, following = (np.nan, gradient) if moved is None else evaluate(x + moved)
    change = following - gradient
    if moved is None or not (np.isfinite(value) and np.isfinite(following).all() and moved @ change > 0):
        return state._replace(stuck=np.array(1)) if state.fresh else _restart(state)

    curvature = moved @ change
    if state.fresh:
        inverse = inverse * (curvature / (change @ change))  # the size of the Hessian along the first step
    image = dsymv(1.0, inverse, change)
    # H + (1 + y.Hy / s.y) s s^T / s.y - (Hy s^T + s (Hy)^T) / s.y, as one symmetric product of rank 2
    partner = ((1 + change @ image / curvature) / 2 * moved - image) / curvature
    inverse = dsyr2(1.0, moved, partner, a=inverse, overwrite_a=True)
    return State(
        x + moved, np.asarray(value), following, inverse, state.value, state.step + 1, np.array(0), np.array(0)
    )


def _restart(state: State) -> State:
    guess = state.value + np.linalg.norm(state.gradient) / 2
    return state._replace(inverse=np.eye(state.x.size, order="F"), previous=np.asarray(guess), fresh=np.array(1))

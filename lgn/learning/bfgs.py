"""Dense BFGS with a strong Wolfe line search, one step at a time: a run can be saved and resumed.

The inverse Hessian is updated by its rank-2 form, O(p^2); the line search is scipy's. Only a dense matrix and a Wolfe
search reach 1e-7 and below in relative error here: L-BFGS, and Armijo backtracking, stop near 1e-3 (measured).

BLAS has one thread here. Its threads wait for each other by spinning: where other work has a core, the three products
of an iteration take 48 ms in place of 0.4 (769 parameters, two cores, measured).
"""

import warnings
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
from scipy.linalg.blas import dsymv, dsyr2
from scipy.optimize import line_search
from threadpoolctl import ThreadpoolController

TRIES = 6
ValueAndGradient = Callable[[np.ndarray], tuple[float, np.ndarray]]


class Iterate(NamedTuple):
    """State of the iteration; arrays only.

    Attributes:
        x: (p,) parameters.
        value: f(x).
        gradient: (p,).
        inverse: (p, p) inverse Hessian estimate, its upper triangle.
        previous: f before the last step, which sizes the next trial step.
        step: iterations done.
        fresh: 0, or, while `inverse` is the identity, the number of the next trial along the steepest descent.
        stuck: 1 when none of these trials found anything lower.
    """

    x: np.ndarray
    value: np.ndarray
    gradient: np.ndarray
    inverse: np.ndarray
    previous: np.ndarray
    step: np.ndarray
    fresh: np.ndarray
    stuck: np.ndarray


def start(function: ValueAndGradient, x: np.ndarray) -> Iterate:
    """Iterate at x, with the identity for the inverse Hessian."""
    value, gradient = function(x)
    none, first = np.zeros(()), np.array(1)
    return _restart(Iterate(x, np.asarray(value), gradient, none, none, np.array(0), first, np.array(0)))


def move(function: ValueAndGradient, state: Iterate, x: np.ndarray) -> Iterate:
    """Iterate at x, of a function that differs a little from that of the state, with its inverse Hessian."""
    value, gradient = function(x)
    none = np.array(0)
    moved = state._replace(x=x, value=np.asarray(value), gradient=gradient, step=none, fresh=none, stuck=none)
    if state.fresh:  # the Hessian is not known
        return _restart(moved)
    downhill = gradient @ _product(np.asfortranarray(state.inverse), gradient)
    return moved._replace(previous=np.asarray(value + downhill))  # the first trial step is then the whole one


def step(function: ValueAndGradient, state: Iterate) -> Iterate:
    """One iteration. Where no point meets Wolfe's conditions the lowest that was seen is taken, if the curvature on the
    way there is positive; else the iteration starts again from the steepest descent, with shorter and shorter trials.

    The inverse Hessian is updated in place, because a copy costs more than all the rest: `state` is consumed.
    """
    inverse = np.asfortranarray(state.inverse)  # as BLAS stores it: no copy, but after a restore
    moved, value, following = _search(function, state, -_product(inverse, state.gradient))
    change = following - state.gradient
    curvature = moved @ change
    if not curvature > 0:
        tries = int(state.fresh)
        return state._replace(stuck=np.array(1)) if tries == TRIES else _restart(state, tries)

    if state.fresh:
        inverse = inverse * (curvature / (change @ change))  # the size of the Hessian along the first step
    image = _product(inverse, change)
    # H + (1 + y.Hy / s.y) s s^T / s.y - (Hy s^T + s (Hy)^T) / s.y, as one symmetric product of rank 2
    partner = ((1 + change @ image / curvature) / 2 * moved - image) / curvature
    with _one_thread():
        inverse = dsyr2(1.0, moved, partner, a=inverse, overwrite_a=True)
    return Iterate(
        state.x + moved, np.asarray(value), following, inverse, state.value, state.step + 1, np.array(0), np.array(0)
    )


def _product(inverse, x):
    """Product H x."""
    with _one_thread():
        return dsymv(1.0, inverse, x)


def _one_thread():
    """Context in which BLAS has one thread."""
    return _threads().limit(limits=1, user_api="blas")


@cache
def _threads() -> ThreadpoolController:
    """Kept, because looking for the libraries takes longer than a product."""
    return ThreadpoolController()


def _search(function, state, direction):
    """(step, value, gradient) that the line search ends with; no step if it found nothing lower and finite."""
    seen: dict[bytes, tuple[float, np.ndarray]] = {}

    def evaluate(x):
        key = x.tobytes()
        if key not in seen:
            seen[key] = function(x)
        return seen[key]

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # a failed search is handled below
        length, *_ = line_search(
            lambda x: evaluate(x)[0],
            lambda x: evaluate(x)[1],
            state.x,
            direction,
            state.gradient,
            float(state.value),
            float(state.previous),
            c2=0.9,
            maxiter=20,
        )
    lower = [(value, key) for key, (value, _) in seen.items() if value < state.value]
    if length is not None:
        x = state.x + length * direction
    elif lower:
        x = np.frombuffer(min(lower)[1])
    else:
        return np.zeros_like(state.x), state.value, state.gradient
    value, gradient = evaluate(x)
    good = np.isfinite(value) and np.isfinite(gradient).all()
    return (x - state.x if good else np.zeros_like(x)), value, gradient


def _restart(state: Iterate, tries: int = 0) -> Iterate:
    """From the identity; the first trial lowers f by half the gradient's length to first order, each later one by
    a hundredth of that before."""
    guess = state.value + np.linalg.norm(state.gradient) / 2 * 0.01**tries
    fresh = np.array(tries + 1)
    return state._replace(inverse=np.eye(state.x.size, order="F"), previous=np.asarray(guess), fresh=fresh)

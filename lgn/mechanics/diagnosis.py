"""Diagnosis: what is not finite where the equation of motion has no solution, so that an error names its cause."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lgn.data.fields import field_names
from lgn.mechanics.system import offered
from lgn.solvers.solution import SINGULAR, SingularMassMatrix, Solution


def first_not_finite(system, state, t=0.0) -> str | None:
    """Says which of the time, the state, the leaves of the system, and then of what follows from them (control, motion,
    force, friction, mass matrix, the rest of f, or the rate), is the first that is not finite, and where; None if all
    are finite. Outside of transformations."""
    for name, x in _named(system, state, t):
        wrong = ~np.isfinite(np.asarray(x))
        if wrong.any():
            place = f" at node {np.argwhere(wrong)[0, 0]}" if np.shape(x) == np.shape(state[0]) else ""
            return f"{name} is not finite{place}"
    return None


def why_no_rate(system, state, t=0.0) -> str | None:
    """Why a system has no rate at a state: what is not finite, or that L is linear in v; None for another reason."""
    return first_not_finite(system, state, t) or _first_order(system, state, t)


def _first_order(system, state, t) -> str | None:
    """Where L is linear in v, M is zero, but dL/dv is not."""
    if (balance := offered(system, "momentum_balance")) is None:
        return None
    mass, momentum, _ = balance(*state, t)
    if any(np.any(block) for block in mass.blocks) or not np.any(momentum):
        return None
    return (
        "L is linear in v, so that d2L/dv dv is zero and the motion is of first order in time; a kinetic term would "
        "make it another system. Write it as lgn.EnergyFlow(graph, H, structure=G) with H = v . dL/dv - L, a density "
        "of u = q alone, and G the inverse of dp_j/dq_i - dp_i/dq_j, p = dL/dv: lgn.Symplectic() for pairs (q, p)"
    )


def checked(system, solution: Solution, state, t) -> Solution:
    """The solution, if it is one; see `Solution.check`. What is not finite is named before M is called singular. Within
    a transformation, which knows no numbers yet, as it is."""
    if isinstance(solution.status, jax.core.Tracer):
        return solution
    if int(solution.status) == SINGULAR and (cause := why_no_rate(system, state, t)):
        raise SingularMassMatrix(f"M a = f has no finite solution: {cause}")
    return solution.check()


def _named(system, state, t) -> Iterator[tuple[str, Any]]:
    """Each with its name; what is made of others after them."""
    yield "the time t", t
    yield from zip(field_names(len(state)), state, strict=True)
    for path, leaf in jax.tree_util.tree_flatten_with_path(system)[0]:
        if jnp.issubdtype(jnp.result_type(leaf), jnp.inexact):
            yield f"the leaf /{jax.tree_util.keystr(path, simple=True, separator='/')} of the system", leaf
    yield from offered(system, "intermediates")(state, t)

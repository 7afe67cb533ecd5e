"""Layouts: a Lagrangian with its tables as data, and the solver that its pattern asks for."""

import jax
from flax import nnx

from lgn.assembly.plans import Plan, plan
from lgn.graphs.tables import bucket
from lgn.solvers.banded import Banded
from lgn.solvers.choice import Solver, default_solver


def laid_out(system, *state):
    """The same Lagrangian with its tables as data: one program serves all graphs of the size.

    Tables are filled up to a `bucket`, so that the number of edges, of clamps and of unfilled slots may differ a
    little; the number of nodes may not.

    Raises:
        ValueError: what is no state of the system.
    """
    system.check(*state)
    q, v = state
    features = system.domain.features
    functional, found = system.functional.laid_out(features, q, v)
    pattern, counts = _constrained(system.domain, found)
    solver = system.solver or default_solver(pattern, q.shape[1])
    functional.joined = nnx.data(pattern.laid_out(q.shape[1], counts, isinstance(solver, Banded)))
    known = jax.eval_shape(lambda features: system.forcing.known_at(features, 0.0), features)
    other = jax.tree.map(lambda x: x, system)
    other.functional, other.solver, other.domain = functional, solver, system.domain.laid_out()
    other.dissipation = system.dissipation.laid_out(known, q, v)[0]
    return other


def solver_of(system, dim: int) -> Solver:
    """Of M a = f, for states of `dim` degrees of freedom per node."""
    if system.solver is not None:
        return system.solver
    state = jax.ShapeDtypeStruct((system.domain.size, dim), float)
    found = plan(system.functional, system.domain.features, state, state)
    return default_solver(_constrained(system.domain, found)[0], dim)


def solver_name(system) -> str:
    """For representations."""
    try:
        return str(solver_of(system, getattr(system.terms[0].density, "dim", 1)))
    except (TypeError, ValueError, IndexError):  # a plain function of more than one degree of freedom
        return "chosen by the state's shape"


def _constrained(domain, found: Plan):
    """The pattern of M with the rows of its clamps, and the numbers of elements."""
    if not domain.clamped:
        return found.joined, found.counts
    return found.joined.extended(domain.held[:, None]), (*found.counts, bucket(len(domain.held)))

"""Layouts: a Lagrangian with its tables as data, and the solver that its pattern asks for."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array

from lgn.assembly.plans import Plan, plan
from lgn.graphs.tables import EXACT, RaggedStencil, bucket, step
from lgn.solvers.banded import Banded
from lgn.solvers.choice import Solver, default_solver


def laid_out(system, *state, rows: int | None = None):
    """The same Lagrangian with its tables as data: one program serves all graphs of the size.

    Tables are filled up to a `bucket`, so that the number of edges, of clamps and of unfilled slots may differ a
    little. With `rows`, those of the states that the program takes, the number of nodes may too: rows beyond the nodes
    rest, and no element reads them.

    Raises:
        ValueError: what is no state of the system.
    """
    system.check(*state)
    q, v = (jax.ShapeDtypeStruct((rows or len(x), x.shape[1]), jnp.result_type(x)) for x in state)
    features, domain, roomy = system.domain.features, system.domain.laid_out(rows), rows is not None
    functional, found = system.functional.laid_out(features, q, v, roomy=roomy)
    pattern, counts = _constrained(domain if roomy else system.domain, found)
    solver = solver_of(system, q.shape[1]) if roomy else system.solver or default_solver(pattern, q.shape[1])
    functional.joined = nnx.data(pattern.laid_out(q.shape[1], counts, isinstance(solver, Banded)))
    known = jax.eval_shape(lambda features: system.forcing.known_at(features, 0.0), features)
    other = jax.tree.map(lambda x: x, system)
    other.functional, other.solver, other.domain = functional, solver, domain
    other.dissipation = system.dissipation.laid_out(known, q, v, roomy=roomy)[0]
    other.forcing = system.forcing.laid_out(rows)
    return other


def shared(system, *state):
    """`laid_out` in a bucket of nodes, where graphs of about the size would be other programs without: not on lattices
    and other regular graphs, nor where the number of nodes is written into the program anyway."""
    system.check(*state)
    return laid_out(system, *state, rows=_rows(system, state[0].shape[1]))


def _rows(system, dim: int) -> int | None:
    """Rows of a bucket that holds the nodes; None without one."""
    stencils = [term.stencil for part in (system.functional, system.dissipation) for term in part.terms]
    size, force = system.domain.size, system.forcing.force
    if step(size, least=1) == 1 or system.domain.motion is not None or not (force is None or isinstance(force, Array)):
        return None
    if any(isinstance(stencil, RaggedStencil) or len(stencil.index) > EXACT for stencil in stencils):
        return None
    if system.domain.lattice or all(stencil.runs is not None for stencil in stencils):
        return None
    solver = solver_of(system, dim)  # one that is not ours may sum over all rows
    return bucket(size, least=1) if isinstance(solver, Solver) and not isinstance(solver, Banded) else None


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
    return found.joined.extended(np.asarray(domain.held)[:, None]), (*found.counts, bucket(len(domain.held)))

"""Conjugate gradients, matrix-free on the element blocks."""

from dataclasses import dataclass

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from lgn import _arguments, _arrays
from lgn.assembly.matrix import BlockMatrix
from lgn.solvers.direct import solve_blocks
from lgn.solvers.solution import NOT_CONVERGED, SINGULAR, Solution, Solver, report


@dataclass(frozen=True)
class ConjugateGradient(Solver):
    """Matrix-free conjugate gradients on the element blocks, preconditioned by the block of each node.

    A direction of negative curvature ends it: a matrix that is not positive definite is reported, not inverted.

    Args:
        tolerance: on |M a - f| / |f|; by default 1e-12, or 10 machine epsilons where that is more.
        limit: most iterations.
    Raises ValueError: a tolerance that is not positive, or below the rounding of the state; a limit that is not whole.
    """

    tolerance: float | None = None
    limit: int = 1000

    def __post_init__(self):
        if self.tolerance is not None:
            _arguments.positive("ConjugateGradient: tolerance", self.tolerance)
        _arguments.whole("ConjugateGradient: limit", self.limit)

    def solve(self, mass: BlockMatrix, force: Float[Array, "node dim"]) -> Solution:
        tolerance = self.tolerance or max(1e-12, 10 * float(jnp.finfo(force.dtype).eps))
        _arrays.above_rounding("ConjugateGradient: tolerance", tolerance, force.dtype, 1.0)
        blocks = lax.stop_gradient(mass.diagonal())

        def solve(multiply, right):
            return _conjugate_gradient(multiply, right, lambda r: solve_blocks(blocks, r), tolerance, self.limit)

        value, (count, curved) = lax.custom_linear_solve(lambda x: mass @ x, force, solve, symmetric=True, has_aux=True)
        pivots = blocks[..., 0] if mass.dim == 1 else jnp.linalg.eigvalsh(blocks)
        found = report(mass, force, value, pivots, jnp.argmin(jnp.abs(pivots)) // mass.dim)
        stuck = curved | ~(found.residual <= 10 * tolerance)
        status = jnp.where(found.status == SINGULAR, SINGULAR, jnp.where(stuck, NOT_CONVERGED, found.status))
        return found._replace(status=status, iterations=count)


def _conjugate_gradient(multiply, right, precondition, tolerance, limit):
    """Returns x and (iterations, whether a direction of curvature <= 0 was met)."""
    goal = tolerance * jnp.linalg.norm(right)

    def going(state):
        _, r, _, _, count, curved = state
        return (jnp.linalg.norm(r) > goal) & (count < limit) & ~curved

    def step(state):
        x, r, p, rz, count, _ = state
        product = multiply(p)
        curvature = jnp.sum(p * product)
        length = rz / jnp.where(curvature > 0, curvature, 1.0)
        x, r = x + length * p, r - length * product
        z = precondition(r)
        following = jnp.sum(r * z)
        return x, r, z + following / rz * p, following, count + 1, ~((curvature > 0) & (rz > 0))

    z = precondition(right)
    start = (jnp.zeros_like(right), right, z, jnp.sum(right * z), jnp.zeros((), int), jnp.array(False))
    x, *_, count, curved = lax.while_loop(going, step, start)
    return x, (count, curved)

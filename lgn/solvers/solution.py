"""Solution: the contract of solvers of M a = f, what they find, and whether to trust it."""

from typing import ClassVar, NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from lgn import _arguments
from lgn.assembly.matrix import BlockMatrix

SOLVED, INDEFINITE, SINGULAR, NOT_CONVERGED = range(4)


class SingularMassMatrix(ArithmeticError):
    """M a = f has no solution: M has no inverse, the solver reached its limit, or a value is not finite."""


class Solution(NamedTuple):
    """What a solver found.

    Attributes:
        value: a, (node, dim).
        residual: |M a - f| / |f|, a pure number.
        status: 0 solved; 1 solved, but M is not positive definite; 2 M is singular; 3 not converged.
        node: where M is worst conditioned (smallest pivot).
        condition: largest over smallest pivot, a pure number; it depends on the units where degrees of freedom differ
            in theirs.
        iterations: of an iterative solver, else 0.
    """

    value: Float[Array, "node dim"]
    residual: Float[Array, ""]
    status: Int[Array, ""]
    node: Int[Array, ""]
    condition: Float[Array, ""]
    iterations: Int[Array, ""]

    def check(self) -> "Solution":
        """Itself, if solved; outside of transformations. Raises SingularMassMatrix where M is singular, the iteration
        did not converge, or M or f is not finite."""
        status = int(self.status)
        if status == SINGULAR and not self.condition >= 1 / (10 * jnp.finfo(self.value.dtype).eps):
            raise SingularMassMatrix(
                f"M a = f has no finite solution, though the pivots of M that are finite are in the ratio "
                f"{float(self.condition):.1e}: M or f is not finite, so look for the first of q, v, t, the features, "
                f"the parameters and the forces that is not"
            )
        if status in (SINGULAR, NOT_CONVERGED):
            what = "is singular" if status == SINGULAR else "was not inverted: conjugate gradients did not converge"
            raise SingularMassMatrix(
                f"the mass matrix d2L/dv dv {what}, worst at node {int(self.node)}, with pivots in the ratio "
                f"{float(self.condition):.1e} and residual {float(self.residual):.1e}. Give the density a kinetic "
                f"prior (MLPDensity(mass=1.0)) or a term 0.5 m v^2 on every node; a matrix that is not definite needs "
                f"solver=lgn.Banded() or lgn.Dense()"
            )
        return self


class Solver:
    """Base class of solvers of M a = f: `solve` must be written, and reports by `report`. A function (M, f) -> Solution
    is a solver too.

    Attributes:
        reads_band: whether it calls `M.band()`, whose table is laid out for it.

    Example:
        >>> import jax.numpy as jnp, lgn
        >>> from lgn.solvers.solution import Solver, report
        >>> class Lumped(Solver):  # the rows of M summed into its diagonal
        ...     def solve(self, mass, force):
        ...         pivots = mass @ jnp.ones_like(force)
        ...         return report(mass, force, force / pivots, pivots, jnp.argmin(jnp.abs(pivots)))
        >>> q = jnp.zeros((4, 1))
        >>> L = lgn.Lagrangian(lgn.lattice((4,)), lgn.kinetic_energy, force=q + 2, solver=Lumped())
        >>> L.acceleration(q, q).ravel().tolist()
        [2.0, 2.0, 2.0, 2.0]
    """

    reads_band: ClassVar[bool] = False

    def __call__(self, mass: BlockMatrix, force: Float[Array, "node dim"]) -> Solution:
        """Solve M a = f. Args: mass: M, such as the first of `L.equation(q, v)`; force: f, (node, dim). Raises
        ValueError for what is no such equation."""
        _arguments.of_kind("mass", mass, BlockMatrix, "the first of L.equation(q, v)")
        if force.shape != (expected := (mass.pattern.n_node, mass.dim)):
            raise ValueError(f"f has shape {force.shape}; expected (node, dim) = {expected} of M a = f")
        return self.solve(mass, force)

    def solve(self, mass: BlockMatrix, force: Float[Array, "node dim"]) -> Solution:
        """The solution of an equation that was checked."""
        raise NotImplementedError(f"{type(self).__name__} has no solve(mass, force) -> Solution; write it")


def report(mass, force, value, pivots, node) -> Solution:
    """The `Solution` by its pivots, whose signs and sizes show definiteness and condition, and by M a - f.

    Args:
        mass, force, value: M, f and a of M a = f.
        pivots: of M in any order and shape, or its eigenvalues.
        node: where the least pivot is.
    """
    mass, force, found = lax.stop_gradient((mass, force, value))
    size, away = (jnp.sqrt(jnp.sum(x * x)) for x in (force, mass @ found - force))
    residual = away / lax.select(size > 0, size, jnp.ones_like(size))
    magnitude = jnp.abs(pivots)
    largest, least = (jnp.where(jnp.isnan(magnitude), x, magnitude) for x in (-jnp.inf, jnp.inf))  # after a zero pivot
    condition = jnp.max(largest) / jnp.min(least)
    singular = ~(condition < 1 / (10 * jnp.finfo(force.dtype).eps)) | ~jnp.all(jnp.isfinite(found))
    status = jnp.where(singular, SINGULAR, jnp.where(jnp.all(pivots > 0), SOLVED, INDEFINITE))
    return Solution(value, residual, status, node, condition, jnp.zeros((), int))

"""Solution: what a solver found, and whether to trust it."""

from typing import NamedTuple

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
        residual: |M a - f| / |f|.
        status: 0 solved; 1 solved, but M is not positive definite; 2 M is singular; 3 not converged.
        node: where M is worst conditioned (smallest pivot).
        condition: largest over smallest pivot.
        iterations: of an iterative solver.
    """

    value: Float[Array, "node dim"]
    residual: Float[Array, ""]
    status: Int[Array, ""]
    node: Int[Array, ""]
    condition: Float[Array, ""]
    iterations: Int[Array, ""]

    def check(self) -> "Solution":
        """Itself, if solved; outside of transformations.

        Raises:
            SingularMassMatrix: M is singular, the iteration did not converge, or M or f is not finite.
        """
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


def check_equation(mass: BlockMatrix, force) -> None:
    """Raises ValueError for what is no M a = f."""
    _arguments.of_kind("mass", mass, BlockMatrix, "the first of L.equation(q, v)")
    if force.shape != (mass.pattern.n_node, mass.dim):
        raise ValueError(
            f"f has shape {force.shape}; expected (node, dim) = {(mass.pattern.n_node, mass.dim)} of M a = f"
        )


def report(mass, force, value, pivots, node) -> Solution:
    """Signs and sizes of the pivots show definiteness and condition; M a - f gives the residual."""
    mass, force, found = lax.stop_gradient((mass, force, value))
    size = jnp.linalg.norm(force)
    residual = jnp.linalg.norm(mass @ found - force) / jnp.where(size > 0, size, 1.0)
    magnitude = jnp.abs(pivots)
    condition = jnp.nanmax(magnitude) / jnp.nanmin(magnitude)  # pivots after a zero one are NaN
    singular = ~(condition < 1 / (10 * jnp.finfo(force.dtype).eps)) | ~jnp.all(jnp.isfinite(found))
    status = jnp.where(singular, SINGULAR, jnp.where(jnp.all(pivots > 0), SOLVED, INDEFINITE))
    return Solution(value, residual, status, node, condition, jnp.zeros((), int))

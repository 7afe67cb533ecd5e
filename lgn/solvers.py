"""Solvers of M a = f. Each is a callable object, (mass, force) -> Solution; differentiated by one more solve."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.custom_batching
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

from lgn.mass_matrix import MassMatrix, Pattern, inverse

# Nodes from which a batch is solved one system after the other: a long one fills the cache by itself (measured).
LONG = 2000
SOLVED, INDEFINITE, SINGULAR, NOT_CONVERGED = range(4)


class SingularMassMatrix(ArithmeticError):
    """The mass matrix has no inverse, or the solver met its limit."""


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
            SingularMassMatrix: M is singular, or the iteration did not converge.
        """
        status = int(self.status)
        if status in (SINGULAR, NOT_CONVERGED):
            what = "is singular" if status == SINGULAR else "was not inverted: conjugate gradients did not converge"
            raise SingularMassMatrix(
                f"the mass matrix d2L/dv dv {what}, worst at node {int(self.node)}, with pivots in the ratio "
                f"{float(self.condition):.1e} and residual {float(self.residual):.1e}. Give the density a kinetic "
                f"prior (MLPDensity(mass=1.0)) or a term 0.5 m v^2 on every node; a matrix that is not definite needs "
                f"solver=lgn.Banded() or lgn.Dense()"
            )
        return self


@dataclass(frozen=True)
class Dense:
    """LU of the full matrix: the reference, for small graphs."""

    def __call__(self, mass: MassMatrix, force: Float[Array, "node dim"]) -> Solution:
        matrix = mass.dense()
        value = jnp.linalg.solve(matrix, force.reshape(-1)).reshape(force.shape)
        values, vectors = jnp.linalg.eigh(lax.stop_gradient(matrix))
        worst = jnp.argmax(jnp.abs(vectors[:, jnp.argmin(jnp.abs(values))])) // mass.dim
        return _report(mass, force, value, values, worst)


@dataclass(frozen=True)
class BlockDiagonal:
    """One dim x dim block a node, for Lagrangians whose velocities are not coupled along edges."""

    def __call__(self, mass: MassMatrix, force: Float[Array, "node dim"]) -> Solution:
        if not mass.pattern.diagonal:
            raise ValueError(
                "BlockDiagonal: the mass matrix couples nodes; use solver=lgn.Banded() or ConjugateGradient()"
            )
        blocks = mass.diagonal()
        value = _solve_blocks(blocks, force)
        pivots = lax.stop_gradient(blocks[..., 0] if mass.dim == 1 else jnp.linalg.eigvalsh(blocks))
        return _report(mass, force, value, pivots, jnp.argmin(jnp.abs(pivots)) // mass.dim)


@dataclass(frozen=True)
class Banded:
    """LDL^T of the band, linear in the number of nodes: chains, rings, narrow strips, trees.

    Without pivoting it is backward stable when M is positive definite; when it is not, one step of refinement follows.
    """

    def __call__(self, mass: MassMatrix, force: Float[Array, "node dim"]) -> Solution:
        if mass.pattern.diagonal:
            return BlockDiagonal()(mass, force)
        order = mass.pattern.order
        natural = bool((order == np.arange(order.size)).all())
        right = force if natural else force[order]
        found, inverses = solve_band(mass.band(), right.reshape(-1))
        pivots = 1 / inverses
        value = found.reshape(force.shape) if natural else found.reshape(force.shape)[inverse(order)]
        return _report(mass, force, value, pivots, jnp.asarray(order)[jnp.nanargmin(jnp.abs(pivots)) // mass.dim])


@dataclass(frozen=True)
class ConjugateGradient:
    """Matrix-free conjugate gradients on the element blocks, preconditioned by the block of each node.

    A direction of negative curvature ends it: a matrix that is not positive definite is reported, not inverted.

    Args:
        tolerance: on |M a - f| / |f|; by default 1e-12, or 10 machine epsilons where that is more.
        limit: most iterations.
    """

    tolerance: float | None = None
    limit: int = 1000

    def __call__(self, mass: MassMatrix, force: Float[Array, "node dim"]) -> Solution:
        tolerance = self.tolerance or max(1e-12, 10 * float(jnp.finfo(force.dtype).eps))
        blocks = lax.stop_gradient(mass.diagonal())

        def solve(multiply, right):
            return _conjugate_gradient(multiply, right, lambda r: _solve_blocks(blocks, r), tolerance, self.limit)

        value, (count, curved) = lax.custom_linear_solve(lambda x: mass @ x, force, solve, symmetric=True, has_aux=True)
        pivots = blocks[..., 0] if mass.dim == 1 else jnp.linalg.eigvalsh(blocks)
        found = _report(mass, force, value, pivots, jnp.argmin(jnp.abs(pivots)) // mass.dim)
        stuck = curved | ~(found.residual <= 10 * tolerance)
        status = jnp.where(found.status == SINGULAR, SINGULAR, jnp.where(stuck, NOT_CONVERGED, found.status))
        return found._replace(status=status, iterations=count)


Solver = Dense | BlockDiagonal | Banded | ConjugateGradient


def default_solver(pattern: Pattern, dim: int) -> Solver:
    """The cheapest solver by `estimated_costs`.

    Args:
        pattern: of the mass matrix.
        dim: degrees of freedom of a node.
    """
    costs = estimated_costs(pattern, dim)
    return min(costs, key=lambda solver: costs[solver])


def estimated_costs(pattern: Pattern, dim: int) -> dict[Solver, int]:
    """Multiplications that one solve takes, by each solver that fits the pattern.

    Banded: for each row a sequential step, which takes as long as 20, and the square of the width. Conjugate gradients:
    20 iterations with a product of the element blocks, whose gathers take as long as 3 multiplications more.

    Example:
        >>> import lgn
        >>> from lgn.mass_matrix import pattern
        >>> from lgn.static import Static
        >>> string = pattern(100, Static(lgn.node_stencil(lgn.lattice((100,))).index))
        >>> {str(solver): cost for solver, cost in lgn.estimated_costs(string, dim=1).items()}
        {'Banded()': 3600, 'ConjugateGradient(tolerance=None, limit=1000)': 72000}
    """
    if pattern.n_node == 1 or pattern.diagonal:
        return {BlockDiagonal(): pattern.n_node * dim**3}
    width = (pattern.half_bandwidth + 1) * dim - 1
    product = sum(index.size * index.shape[1] for index in pattern.indices) * dim**2
    return {Banded(): pattern.n_node * dim * (20 + width**2), ConjugateGradient(): 20 * 4 * product}


def solve_band(band: Float[Array, "diagonal row"], right: Float[Array, " row"]) -> tuple[Array, Array]:
    """x of M x = right and 1 / pivots, for a symmetric M in lower band storage; its derivative is one more solve."""
    factor: Callable = _factor
    substitute: Callable = _substitute
    if len(right) >= LONG:
        factor, substitute = (jax.custom_batching.sequential_vmap(function) for function in (factor, substitute))
    lowest, *factors = factor(lax.stop_gradient(band))

    def solve(multiply, right):
        def refine(state):
            x, _ = state
            return x + substitute(factors, right - multiply(x)), False

        start = substitute(factors, right), lowest < 0
        return lax.while_loop(lambda state: state[1], refine, start)[0]

    return lax.custom_linear_solve(lambda x: _multiply_band(band, x), right, solve, symmetric=True), factors[0]


def _report(mass, force, value, pivots, node) -> Solution:
    """Signs and sizes of pivots tell definiteness and condition; M a - f tells the rest."""
    mass, force, found = lax.stop_gradient((mass, force, value))
    size = jnp.linalg.norm(force)
    residual = jnp.linalg.norm(mass @ found - force) / jnp.where(size > 0, size, 1.0)
    magnitude = jnp.abs(pivots)
    condition = jnp.nanmax(magnitude) / jnp.nanmin(magnitude)  # pivots after a zero one are NaN
    singular = ~(condition < 1 / (10 * jnp.finfo(force.dtype).eps)) | ~jnp.all(jnp.isfinite(found))
    status = jnp.where(singular, SINGULAR, jnp.where(jnp.all(pivots > 0), SOLVED, INDEFINITE))
    return Solution(value, residual, status, node, condition, jnp.zeros((), int))


def _solve_blocks(blocks, right):
    if blocks.shape[-1] == 1:
        return right / blocks[..., 0]
    return jnp.linalg.solve(blocks, right[..., None])[..., 0]


def _factor(band):
    """M = L D L^T by columns: the least entry of 1/D, all of 1/D (row,), then for each diagonal below the main one its
    part of L, (row,).

    The scan carries what earlier columns leave on the next `width` ones. Scalars are fastest while XLA keeps the whole
    step in registers, up to width 3; beyond, one small matrix is. To return D takes 4 times as long as 1/D, and what
    can be done within a scan is, for a vector operation beside it wakes a second thread (measured).
    """
    step, update, columns = _by_scalars(band) if len(band) <= 4 else _by_matrix(band)

    def with_lowest(state, column):
        update, lowest = state
        update, (inverse, *lower) = step(update, column)
        return (update, jnp.minimum(lowest, inverse)), (inverse, *lower)

    (_, lowest), (inverses, *lower) = lax.scan(with_lowest, (update, jnp.asarray(jnp.inf, band.dtype)), columns)
    return lowest, inverses, *(lower if len(band) <= 4 else lower[0].T)


def _by_scalars(band):
    """Step, start and columns of the elimination."""
    zero = jnp.zeros((), band.dtype)

    def step(update, column):  # update[a][b] belongs to row j + a + b of column j + a
        pivot, *below = (x + y for x, y in zip(column, (*update[0], zero), strict=True))
        inverse = 1 / pivot
        lower = [x * inverse for x in below]
        shifted = [(*row, zero) for row in (*update[1:], ())]
        update = tuple(
            tuple(old - lower[a] * new for old, new in zip(row, below[a:], strict=True))
            for a, row in enumerate(shifted)
        )
        return update, (inverse, *lower)

    width = len(band) - 1
    return step, tuple((zero,) * (width - a) for a in range(width)), tuple(band)


def _by_matrix(band):
    """Step, start and columns of the elimination."""

    def step(update, column):
        column = column + jnp.pad(update[:, 0], (0, 1))
        below = column[1:]
        inverse = 1 / column[0]
        lower = below * inverse
        return jnp.pad(update[1:, 1:], ((0, 1), (0, 1))) - lower[:, None] * below[None], (inverse, lower)

    width = len(band) - 1
    return step, jnp.zeros((width, width), band.dtype), band.T


def _substitute(factors, right):
    """Solve L D L^T x = right; scalars carry what the known entries add to the next ones."""
    inverses, *columns = factors
    zeros = (jnp.zeros((), right.dtype),) * len(columns)

    def forward(ahead, row):
        value, *below = row
        value = value + ahead[0]
        return tuple(a - b * value for a, b in zip((*ahead[1:], 0.0), below, strict=True)), value

    def backward(known, row):
        value, inverse, *below = row
        value = value * inverse - sum(b * x for b, x in zip(below, known, strict=True))
        return (value, *known[:-1]), value

    _, found = lax.scan(forward, zeros, (right, *columns))
    return lax.scan(backward, zeros, (found, inverses, *columns), reverse=True)[1]


def _multiply_band(band, x):
    """Product of a symmetric matrix in lower band storage and a vector."""
    out = band[0] * x
    for k in range(1, len(band)):
        below = band[k, : x.size - k]
        out = out.at[k:].add(below * x[:-k]).at[:-k].add(below * x[k:])
    return out


def _conjugate_gradient(multiply, right, precondition, tolerance, limit):
    """Returns x and (iterations, whether a direction of curvature <= 0 was met)."""
    goal = tolerance * jnp.linalg.norm(right)

    def inner(a, b):
        return jnp.sum(a * b)

    def going(state):
        _, r, _, _, count, curved = state
        return (jnp.linalg.norm(r) > goal) & (count < limit) & ~curved

    def step(state):
        x, r, p, rz, count, _ = state
        product = multiply(p)
        curvature = inner(p, product)
        length = rz / jnp.where(curvature > 0, curvature, 1.0)
        x, r = x + length * p, r - length * product
        z = precondition(r)
        following = inner(r, z)
        return x, r, z + following / rz * p, following, count + 1, ~((curvature > 0) & (rz > 0))

    z = precondition(right)
    start = (jnp.zeros_like(right), right, z, inner(right, z), jnp.zeros((), int), jnp.array(False))
    x, *_, count, curved = lax.while_loop(going, step, start)
    return x, (count, curved)

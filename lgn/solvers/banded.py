"""Banded: LDL^T of a symmetric band, linear in the number of nodes."""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.custom_batching
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from lgn.assembly.matrix import BlockMatrix
from lgn.solvers.direct import BlockDiagonal
from lgn.solvers.solution import Solution, Solver, report

# Nodes from which a batch is solved one system after the other: a long one fills the cache by itself (measured).
LONG = 2000


@dataclass(frozen=True)
class Banded(Solver):
    """LDL^T of the band, linear in the number of nodes: chains, rings, narrow strips, trees.

    Without pivoting it is backward stable when M is positive definite; when it is not, one step of refinement follows.
    """

    reads_band = True

    def solve(self, mass: BlockMatrix, force: Float[Array, "node dim"]) -> Solution:
        if mass.pattern.diagonal:
            return BlockDiagonal()(mass, force)
        mass.rows.undivided("a mass matrix")
        band = mass.pattern.band(mass.dim)
        right = force if band.natural else force[band.order]
        found, inverses = solve_band(mass.band(), right.reshape(-1))
        pivots = 1 / inverses
        value = found.reshape(force.shape) if band.natural else found.reshape(force.shape)[band.place]
        return report(mass, force, value, pivots, jnp.asarray(band.order)[jnp.nanargmin(jnp.abs(pivots)) // mass.dim])


def solve_band(band: Float[Array, "diagonal row"], right: Float[Array, " row"]) -> tuple[Array, Array]:
    """x of M x = right and 1 / pivots, for a symmetric M in lower band storage; its derivative is one more solve."""
    factor: Callable = _factor
    substitute: Callable = _substitute
    if len(right) >= LONG:
        factor, substitute = (jax.custom_batching.sequential_vmap(function) for function in (factor, substitute))
    lowest, *factors = factor(lax.stop_gradient(band))

    def solve(multiply, right):
        def correct(state):  # once, and once more where M is not positive: a second copy would double the program
            x, rest, passes = state
            x = x + substitute(factors, rest)
            return x, lax.cond(passes > 1, lambda: right - multiply(x), lambda: rest), passes - 1

        start = jnp.zeros_like(right), right, jnp.where(lowest < 0, 2, 1)
        return lax.while_loop(lambda state: state[2] > 0, correct, start)[0]

    return lax.custom_linear_solve(lambda x: _multiply_band(band, x), right, solve, symmetric=True), factors[0]


def _factor(band):
    """M = L D L^T by columns: the least entry of 1/D, all of 1/D (row,), then for each diagonal below the main one its
    part of L, (row,).

    The scan carries what earlier columns leave on the next `width` ones. Scalars are fastest while XLA keeps the whole
    step in registers, up to width 3; beyond, one small matrix is. Returning D takes 4 times as long as 1/D, and what
    can be done within a scan is, because a vector operation outside wakes a second thread (measured).
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
        out = out + jnp.pad(below * x[:-k], (k, 0)) + jnp.pad(below * x[k:], (0, k))
    return out

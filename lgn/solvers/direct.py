"""Direct solvers: the whole matrix, or the block of each node."""

from dataclasses import dataclass

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from lgn.assembly.matrix import BlockMatrix
from lgn.solvers.solution import Solution, Solver, report


@dataclass(frozen=True)
class Dense(Solver):
    """LU of the full matrix: the reference, for small graphs."""

    def solve(self, mass: BlockMatrix, force: Float[Array, "node dim"]) -> Solution:
        matrix = mass.dense()
        value = jnp.linalg.solve(matrix, force.reshape(-1)).reshape(force.shape)
        values, vectors = jnp.linalg.eigh(lax.stop_gradient(matrix))
        worst = jnp.argmax(jnp.abs(vectors[:, jnp.argmin(jnp.abs(values))])) // mass.dim
        return report(mass, force, value, values, worst)


@dataclass(frozen=True)
class BlockDiagonal(Solver):
    """One dim x dim block a node, for Lagrangians whose velocities are not coupled along edges."""

    def solve(self, mass: BlockMatrix, force: Float[Array, "node dim"]) -> Solution:
        if not mass.pattern.diagonal:
            raise ValueError("BlockDiagonal: M couples nodes; use solver=lgn.Banded() or ConjugateGradient()")
        blocks = mass.diagonal()
        value = solve_blocks(blocks, force)
        pivots = _eigenvalues(lax.stop_gradient(blocks))
        return report(mass, force, value, pivots, jnp.argmin(jnp.abs(pivots)) // mass.dim)


def _eigenvalues(blocks):
    """Of each block, (node, dim); up to 2 x 2 by formula."""
    if blocks.shape[-1] == 1:
        return blocks[..., 0]
    if blocks.shape[-1] > 2:
        return jnp.linalg.eigvalsh(blocks)
    a, b, d = blocks[..., 0, 0], blocks[..., 1, 0], blocks[..., 1, 1]
    middle, half = (a + d) / 2, jnp.hypot((a - d) / 2, b)
    return jnp.stack([middle - half, middle + half], -1)


def solve_blocks(blocks, right):
    """x of B x = right for each node, B (node, dim, dim) symmetric: up to 3 x 3 by elimination written out, because
    LAPACK takes 20 times as long for many small matrices (measured)."""
    dim = blocks.shape[-1]
    if dim == 1:
        return right / blocks[..., 0]
    if dim > 3:
        return jnp.linalg.solve(blocks, right[..., None])[..., 0]
    entries = [[lax.stop_gradient(blocks[..., i, j]) for j in range(dim)] for i in range(dim)]

    def solve(_, right):
        return jnp.stack(_eliminate(entries, [right[..., i] for i in range(dim)]), -1)

    def multiply(x):
        return jnp.stack([sum(blocks[..., i, j] * x[..., j] for j in range(dim)) for i in range(dim)], -1)

    return lax.custom_linear_solve(multiply, right, solve, symmetric=True)


def _eliminate(rows, right):
    """Unknowns, by elimination with the largest pivot of each column: without it the error grows as the square of the
    condition. rows[i][j] and right[i] are arrays over all matrices."""
    (top, *others), (value, *values) = rows, right
    for i, row in enumerate(others):
        larger = jnp.abs(row[0]) > jnp.abs(top[0])
        others[i], top = ([jnp.where(larger, a, b) for a, b in zip(*x, strict=True)] for x in ((top, row), (row, top)))
        values[i], value = jnp.where(larger, value, values[i]), jnp.where(larger, values[i], value)
    inverse = 1 / top[0]
    factors = [row[0] * inverse for row in others]
    smaller = [
        [a - factor * b for a, b in zip(row[1:], top[1:], strict=True)]
        for row, factor in zip(others, factors, strict=True)
    ]
    rest = [a - factor * value for a, factor in zip(values, factors, strict=True)]
    found = _eliminate(smaller, rest) if rest else []
    return [(value - sum(a * x for a, x in zip(top[1:], found, strict=True))) * inverse, *found]

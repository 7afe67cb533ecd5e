"""Direct solvers: the whole matrix, or the block of each node."""

from dataclasses import dataclass

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from lgn.assembly.block_matrix import BlockMatrix
from lgn.solvers.solution import Solution, check_equation, report


@dataclass(frozen=True)
class Dense:
    """LU of the full matrix: the reference, for small graphs."""

    def __call__(self, mass: BlockMatrix, force: Float[Array, "node dim"]) -> Solution:
        check_equation(mass, force)
        matrix = mass.dense()
        value = jnp.linalg.solve(matrix, force.reshape(-1)).reshape(force.shape)
        values, vectors = jnp.linalg.eigh(lax.stop_gradient(matrix))
        worst = jnp.argmax(jnp.abs(vectors[:, jnp.argmin(jnp.abs(values))])) // mass.dim
        return report(mass, force, value, values, worst)


@dataclass(frozen=True)
class BlockDiagonal:
    """One dim x dim block a node, for Lagrangians whose velocities are not coupled along edges."""

    def __call__(self, mass: BlockMatrix, force: Float[Array, "node dim"]) -> Solution:
        check_equation(mass, force)
        if not mass.pattern.diagonal:
            raise ValueError(
                "BlockDiagonal: the mass matrix couples nodes; use solver=lgn.Banded() or ConjugateGradient()"
            )
        blocks = mass.diagonal()
        value = solve_blocks(blocks, force)
        pivots = lax.stop_gradient(blocks[..., 0] if mass.dim == 1 else jnp.linalg.eigvalsh(blocks))
        return report(mass, force, value, pivots, jnp.argmin(jnp.abs(pivots)) // mass.dim)


def solve_blocks(blocks, right):
    """x of B x = right for each node, B (node, dim, dim)."""
    if blocks.shape[-1] == 1:
        return right / blocks[..., 0]
    return jnp.linalg.solve(blocks, right[..., None])[..., 0]

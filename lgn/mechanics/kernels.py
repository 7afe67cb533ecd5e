"""Kernels: structures of lattices that are learned, as weights of the nodes around a node."""

from collections.abc import Sequence
from functools import reduce
from itertools import product

import jax
import jax.numpy as jnp
import jraph
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from lgn import _arguments, _draws
from lgn.assembly.domain import Field
from lgn.densities.density import config_of
from lgn.mechanics.differences import lattice_stencil, weighted
from lgn.mechanics.structures import combines


class FreeKernel(nnx.Module):
    """Any weights: what they conserve or dissipate is reported, not promised.

    Args:
        shape: of the weights, an odd number along each axis.
        scale: typical size of a weight, such as 1 / dx^2.
        rngs: random streams.

    Raises:
        ValueError: a shape that is even, a scale that is not positive.
    """

    conserves, dissipates = False, False
    config = config_of

    def __init__(self, shape: Sequence[int], *, scale: float = 1.0, rngs: nnx.Rngs):
        self.shape, self.scale = _odd(shape), _positive(scale)
        self.free = nnx.Param(_start(self.shape, rngs))

    def weights(self) -> Float[Array, "..."]:
        """w."""
        return self.scale * self.free[...]


class ConservingKernel(FreeKernel):
    """Antisymmetric weights, w(x) = -w(-x): energy is constant, whatever is learned. Arguments: see `FreeKernel`."""

    conserves, dissipates = True, False

    def weights(self) -> Float[Array, "..."]:
        """w."""
        free = self.free[...]
        return 0.5 * self.scale * (free - jnp.flip(free))


class DissipativeKernel(nnx.Module):
    """Negative semi-definite weights whose sum is zero: energy never rises and the sum of u is constant, whatever is
    learned,

        w(x) = -sum_k sum_y A_k(y) A_k(x + y),    sum_y A_k(y) = 0.

    Args: see `FreeKernel`.

    Raises:
        ValueError: a shape that is even or has a single entry, a scale that is not positive.
    """

    conserves, dissipates = False, True
    config = config_of

    def __init__(self, shape: Sequence[int], *, scale: float = 1.0, rngs: nnx.Rngs):
        self.shape, self.scale = _odd(shape), _positive(scale)
        factor = tuple((n + 1) // 2 for n in self.shape)
        if np.prod(factor) < 2:
            raise ValueError(f"DissipativeKernel: shape={self.shape} has no weights that sum to zero; give 3 or more")
        self.factors = nnx.Param(_start((int(np.prod(factor)) - 1, *factor), rngs))

    def weights(self) -> Float[Array, "..."]:
        """w."""
        free = self.factors[...]
        axes = tuple(range(1, free.ndim))
        factors = free - free.mean(axes, keepdims=True)
        square = jax.vmap(lambda a: jax.scipy.signal.convolve(a, jnp.flip(a), method="direct"))(factors)
        return -self.scale * square.sum(0)


Kernel = FreeKernel | ConservingKernel | DissipativeKernel


@combines
class LearnedStructure(nnx.Pytree):
    """A structure of a lattice that is the same around every node: (G x)_i = sum_o w(o) x_{i + o}, for every degree of
    freedom; beyond an open end x counts as zero.

    In G grad H only the product is determined by a motion: compare kernels over their centre.

    Args:
        kernel: `FreeKernel`, `ConservingKernel` or `DissipativeKernel`, of as many axes as the lattice.

    Raises:
        ValueError: a graph that is not a lattice of as many axes; with a `DissipativeKernel`, one with open ends.

    Source: Matsubara, Ishikawa, Yaguchi 2020, arXiv 1905.08604, learn a free one.

    Example:
        >>> import lgn
        >>> from flax import nnx
        >>> kernel = lgn.DissipativeKernel((3, 3), rngs=nnx.Rngs(0))
        >>> def quadratic(u, features): return 0.5 * u[0, 0] ** 2
        >>> flow = lgn.EnergyFlow(lgn.lattice((6, 6)), quadratic, structure=lgn.LearnedStructure(kernel))
        >>> flow.structure.check(dim=1).largest < 1e-12
        True
    """

    local = True
    config = config_of

    def __init__(self, kernel: Kernel):
        _arguments.of_kind("kernel", kernel, (FreeKernel, DissipativeKernel), "lgn.ConservingKernel((3,), rngs=...)")
        self.kernel = kernel

    @property
    def conserves(self) -> bool:
        """As the kernel promises."""
        return self.kernel.conserves

    @property
    def dissipates(self) -> bool:
        """As the kernel promises."""
        return self.kernel.dissipates

    def tables(self, graph: jraph.GraphsTuple):
        """Nodes that each row of G reads, -1 beyond an open end."""
        index, offset, mask = lattice_stencil(graph, "LearnedStructure")
        shape, axes = self.kernel.shape, offset.shape[2]
        if len(shape) != axes:
            raise ValueError(
                f"LearnedStructure: kernel of shape {shape} on a lattice of {axes} axes; give {axes} sizes"
            )
        sides = np.where(mask, index, -1)[:, 1 : 2 * axes + 1]
        if self.dissipates and (sides < 0).any():
            raise ValueError(
                "DissipativeKernel: the lattice has open ends, where its sum would not be zero; make it periodic"
            )
        columns = [_nodes_at(sides, steps) for steps in product(*(range(-(n // 2), n // 2 + 1) for n in shape))]
        return np.stack(columns, 1)

    def apply(self, tables, x: Field) -> Field:
        """G x."""
        weights = self.kernel.weights().ravel().astype(x.dtype)
        return weighted((tables, weights * (tables >= 0)), x)


def _nodes_at(sides, steps) -> np.ndarray:
    """(node,) the node that many steps away along each axis, -1 beyond an open end; sides (node, -x, +x, -y, ...)."""
    beyond = np.append(sides, np.full((1, sides.shape[1]), -1), 0)  # from -1 a step leads to -1
    path = [2 * axis + (step > 0) for axis, step in enumerate(steps) for _ in range(abs(step))]
    return reduce(lambda nodes, side: beyond[nodes, side], path, np.arange(len(sides)))


def _start(shape, rngs) -> Array:
    _arguments.streams("kernel", rngs)
    return _draws.normal(rngs.params(), shape, jnp.result_type(float)) / np.sqrt(np.prod(shape))


def _odd(shape) -> tuple[int, ...]:
    sizes = _arguments.sizes("kernel: shape", shape)
    if not sizes or any(n % 2 == 0 for n in sizes):
        raise ValueError(f"kernel of shape={sizes}; give an odd number along each axis, so that it has a centre")
    return sizes


def _positive(scale) -> float:
    return float(_arguments.positive("kernel: scale", scale))

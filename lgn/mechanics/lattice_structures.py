"""Lattice structures: differences and kernels learned or given, as weights of the neighbours of each node."""

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
from lgn.graphs.stencils import cell_stencil, node_stencil
from lgn.mechanics.structures import Structure

Table = tuple[np.ndarray, np.ndarray]  # nodes that a row of G reads, and their weights, both (node, slot)


class FirstDifference(Structure):
    """Central first difference along an axis of a lattice: (G x)_i = (x_{i+1} - x_{i-1}) / (2 dx). It conserves.

    Beyond an open end x counts as zero, which keeps G antisymmetric.

    Args:
        axis: of the lattice.

    Raises:
        ValueError: a graph that is not a lattice with that axis.

    Example:
        >>> import jax.numpy as jnp, lgn
        >>> def kdv(u, features): return u[0, 0] ** 3 - 0.5 * (u[2, 0] - u[0, 0]) ** 2
        >>> flow = lgn.EnergyFlow(lgn.lattice((5,)), kdv, structure=lgn.FirstDifference())
        >>> flow.rate((jnp.eye(5)[:, :1],))[0][:, 0].tolist()
        [0.0, -0.5, -0.5, 0.5, 0.5]
    """

    conserves, local = True, True

    def __init__(self, axis: int = 0):
        self.axis = _arguments.whole("FirstDifference: axis", axis, least=0)

    def tables(self, graph) -> Table:
        index, offset, mask = _lattice_stencil(graph, "FirstDifference")
        if 2 * self.axis + 2 >= index.shape[1] or self.axis >= offset.shape[2]:
            raise ValueError(f"FirstDifference: axis={self.axis} of a lattice of {offset.shape[2]} axes")
        sides = slice(1 + 2 * self.axis, 3 + 2 * self.axis)
        return index[:, sides], 0.5 / np.where(mask[:, sides], offset[:, sides, self.axis], np.inf)

    def apply(self, tables: Table, x: Field) -> Field:
        return _weighted(tables, x)


class Laplacian(Structure):
    """Second difference, which dissipates: on a lattice (G x)_i = sum over axes (x_+ - 2 x_i + x_-) / dx^2, with no
    flow through open ends; on any other graph (G x)_i = sum over neighbours w_ij (x_j - x_i); on a mesh of linear
    finite elements G = -M^-1 K M^-1, with M the node measures and K the stiffness, for an H that is an integral.

    Args:
        weight: name of a symmetric edge feature w of the graph, to use instead.

    Raises:
        ValueError: weights that the graph lacks.

    Example:
        >>> import jax.numpy as jnp, lgn
        >>> flow = lgn.EnergyFlow(lgn.lattice((4,)), lambda u, features: 0.5 * u[0, 0] ** 2, structure=lgn.Laplacian())
        >>> flow.rate((jnp.eye(4)[:, :1],))[0][:, 0].tolist()
        [-2.0, 1.0, 0.0, 1.0]
    """

    dissipates, local = True, True

    def __init__(self, weight: str | None = None):
        if not (weight is None or isinstance(weight, str)):
            raise ValueError(f"Laplacian: weight={weight!r}; give the name of an edge feature")
        self.weight = weight

    def tables(self, graph) -> Table:
        if self.weight is None and "cells" in graph.globals:
            return _finite_elements(graph)
        table = node_stencil(graph)
        sides = np.ones(table.mask[:, 1:].shape)
        if self.weight is not None:
            if self.weight not in graph.edges:
                raise ValueError(f"Laplacian: weight={self.weight!r}, but the edges have only {sorted(graph.edges)}")
            sides = np.asarray(graph.edges[self.weight]).reshape(-1)[table.edge[:, 1:]]
        elif "slot" in graph.edges:
            offset = table.geometry["offset"][:, 1:]
            straight = np.count_nonzero(offset, axis=2) == 1
            sides = np.where(straight, 1 / np.where(straight, (offset**2).sum(2), 1), 0.0)
        sides = np.where(table.mask[:, 1:] > 0, sides, 0.0)
        return table.index, np.concatenate([-sides.sum(1, keepdims=True), sides], 1)

    def apply(self, tables: Table, x: Field) -> Field:
        return _weighted(tables, x)


def _weighted(tables, x: Field) -> Field:
    """Sum over slots of weight (node, slot) times x at index (node, slot)."""
    index, weights = tables
    return jnp.einsum("ns,nsd->nd", jnp.asarray(weights, x.dtype), x[index])


def _lattice_stencil(graph: jraph.GraphsTuple, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Index, offset and mask of the node stencil of a lattice. Raises ValueError for any other graph."""
    if "slot" not in graph.edges:
        raise ValueError(f"{name} needs a lattice, whose neighbours stand in order: lgn.lattice(shape, spacing)")
    table = node_stencil(graph)
    return table.index, table.geometry["offset"], table.mask > 0


def _finite_elements(graph: jraph.GraphsTuple) -> Table:
    """-M^-1 K M^-1, with K_ij the integral of grad N_i . grad N_j; rows of different length are padded with zeros."""
    from scipy.sparse import coo_matrix

    cells, measure = cell_stencil(graph), np.asarray(graph.nodes["measure"])
    slopes = cells.geometry["shape_gradient"]
    blocks = np.einsum("e,esx,etx->est", cells.geometry["measure"], slopes, slopes)
    rows, columns = np.broadcast_arrays(cells.index[:, :, None], cells.index[:, None, :])
    matrix = coo_matrix((blocks.ravel(), (rows.ravel(), columns.ravel())), 2 * measure.shape).tocsr()
    length = np.diff(matrix.indptr)
    filled = np.arange(length.max()) < length[:, None]
    index, weights = np.repeat(np.arange(len(measure))[:, None], length.max(), 1), np.zeros(filled.shape)
    index[filled], weights[filled] = matrix.indices, matrix.data
    return index, -weights / measure[:, None] / measure[index]


class Kernel(nnx.Module):
    """Base class of kernels: learned weights w(o) of the nodes at the offsets o around a node, alike for all nodes.

    Attributes:
        conserves: promises w(o) = -w(-o).
        dissipates: promises negative semi-definite weights whose sum is zero.

    Args:
        shape: number of weights along each axis, odd.
        scale: typical size of a weight, such as 1 / dx^2, in the unit of G.
        rngs: random streams.

    Raises:
        ValueError: a shape that is even, a scale that is not positive.
    """

    conserves: bool = False
    dissipates: bool = False
    config = config_of

    def __init__(self, shape: Sequence[int], *, scale: float = 1.0, rngs: nnx.Rngs):
        self.shape = _arguments.sizes("kernel: shape", shape)
        if not self.shape or any(n % 2 == 0 for n in self.shape):
            raise ValueError(f"kernel of shape={self.shape}; give an odd number along each axis, which has a centre")
        self.scale = float(_arguments.positive("kernel: scale", scale))
        _arguments.streams("kernel", rngs)
        drawn = self.drawn()
        self.free = nnx.Param(_draws.normal(rngs.params(), drawn, jnp.result_type(float)) / np.sqrt(np.prod(drawn)))

    def drawn(self) -> tuple[int, ...]:
        """Shape of the parameters."""
        return self.shape

    def weights(self) -> Float[Array, "..."]:
        """Weights w, of the kernel's shape."""
        return self.scale * self.free[...]


class FreeKernel(Kernel):
    """Any weights: what they conserve or dissipate is reported, not promised. Arguments: see `Kernel`."""


class ConservingKernel(Kernel):
    """Antisymmetric weights, w(o) = -w(-o): energy is constant, whatever is learned. Arguments: see `Kernel`."""

    conserves = True

    def weights(self) -> Float[Array, "..."]:
        free = self.free[...]
        return 0.5 * self.scale * (free - jnp.flip(free))


class DissipativeKernel(Kernel):
    """Negative semi-definite weights whose sum is zero: energy never rises and the sum of u is constant, whatever is
    learned,

        w(x) = -sum_k sum_y A_k(y) A_k(x + y),    sum_y A_k(y) = 0,

    where the A_k are `free` less their means. Arguments: see `Kernel`; a shape of a single entry is an error too.
    """

    dissipates = True

    def drawn(self) -> tuple[int, ...]:
        """Shape of the factors A_k: (k, half of each axis)."""
        factor = tuple((n + 1) // 2 for n in self.shape)
        if np.prod(factor) < 2:
            raise ValueError(f"DissipativeKernel: shape={self.shape} has no weights that sum to zero; give 3 or more")
        return (int(np.prod(factor)) - 1, *factor)

    def weights(self) -> Float[Array, "..."]:
        free = self.free[...]
        factors = free - free.mean(tuple(range(1, free.ndim)), keepdims=True)
        square = jax.vmap(lambda a: jax.scipy.signal.convolve(a, jnp.flip(a), method="direct"))(factors)
        return -self.scale * square.sum(0)


class LearnedStructure(Structure):
    """Learned structure of a lattice, the same around every node: (G x)_i = sum_o w(o) x_{i + o}, for every degree of
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

    def __init__(self, kernel: Kernel):
        _arguments.of_kind("kernel", kernel, Kernel, "lgn.ConservingKernel((3,), rngs=...)")
        self.kernel, self.conserves, self.dissipates = kernel, kernel.conserves, kernel.dissipates

    def tables(self, graph: jraph.GraphsTuple) -> np.ndarray:
        """Nodes that each row of G reads, -1 beyond an open end."""
        index, offset, mask = _lattice_stencil(graph, "LearnedStructure")
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
        beyond = np.append(sides, np.full((1, 2 * axes), -1), 0)  # from -1 a step leads to -1

        def nodes_at(steps):
            """(node,) the nodes so many steps away along each axis, by way of -x, +x, -y, ..."""
            path = [2 * axis + (step > 0) for axis, step in enumerate(steps) for _ in range(abs(step))]
            return reduce(lambda nodes, side: beyond[nodes, side], path, np.arange(len(sides)))

        return np.stack([nodes_at(x) for x in product(*(range(-(n // 2), n // 2 + 1) for n in shape))], 1)

    def apply(self, tables: np.ndarray, x: Field) -> Field:
        weights = self.kernel.weights().ravel().astype(x.dtype)
        return _weighted((tables, weights * (tables >= 0)), x)

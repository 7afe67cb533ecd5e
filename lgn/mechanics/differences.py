"""Differences: the structures of fields on lattices, graphs and meshes, as weights of neighbours."""

import jax.numpy as jnp
import jraph
import numpy as np
from flax import nnx

from lgn import _arguments
from lgn.assembly.domain import Field
from lgn.densities.density import config_of
from lgn.graphs.stencils import cell_stencil, node_stencil
from lgn.mechanics.structures import combines

Table = tuple[np.ndarray, np.ndarray]  # nodes that a row of G reads, and their weights, both (node, slot)


@combines
class FirstDifference(nnx.Pytree):
    """The central first difference along an axis of a lattice: (G x)_i = (x_{i+1} - x_{i-1}) / (2 dx). It conserves.

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

    conserves, dissipates, local = True, False, True
    config = config_of

    def __init__(self, axis: int = 0):
        self.axis = _arguments.whole("FirstDifference: axis", axis, least=0)

    def tables(self, graph):
        """Nodes and weights of the two neighbours."""
        index, offset, mask = lattice_stencil(graph, "FirstDifference")
        if not 0 <= 2 * self.axis + 2 < index.shape[1] or self.axis >= offset.shape[2]:
            raise ValueError(f"FirstDifference: axis={self.axis} of a lattice of {offset.shape[2]} axes")
        sides = slice(1 + 2 * self.axis, 3 + 2 * self.axis)
        step = np.where(mask[:, sides], offset[:, sides, self.axis], np.inf)
        return index[:, sides], 0.5 / step

    def apply(self, tables, x: Field) -> Field:
        """G x."""
        return weighted(tables, x)


@combines
class Laplacian(nnx.Pytree):
    """The second difference, which dissipates: on a lattice (G x)_i = sum over axes (x_+ - 2 x_i + x_-) / dx^2, with no
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

    conserves, dissipates, local = False, True, True
    config = config_of

    def __init__(self, weight: str | None = None):
        if not (weight is None or isinstance(weight, str)):
            raise ValueError(f"Laplacian: weight={weight!r}; give the name of an edge feature")
        self.weight = weight

    def tables(self, graph):
        """Nodes and weights of the node and its neighbours."""
        table = node_stencil(graph)
        filled = table.mask[:, 1:] > 0
        if self.weight is None and "cells" in graph.globals:
            return _finite_elements(graph)
        if self.weight is not None:
            if self.weight not in graph.edges:
                raise ValueError(f"Laplacian: weight={self.weight!r}, but the edges have only {sorted(graph.edges)}")
            sides = np.asarray(graph.edges[self.weight]).reshape(-1)[table.edge[:, 1:]]
        elif "slot" in graph.edges:
            offset = table.geometry["offset"][:, 1:]
            straight = np.count_nonzero(offset, axis=2) == 1
            sides = np.where(straight, 1 / np.where(straight, (offset**2).sum(2), 1), 0.0)
        else:
            sides = np.ones(filled.shape)
        sides = np.where(filled, sides, 0.0)
        return table.index, np.concatenate([-sides.sum(1, keepdims=True), sides], 1)

    def apply(self, tables, x: Field) -> Field:
        """G x."""
        return weighted(tables, x)


def weighted(tables, x: Field) -> Field:
    """Sum over slots of weight (node, slot) times x at index (node, slot)."""
    index, weights = tables
    return jnp.einsum("ns,nsd->nd", jnp.asarray(weights, x.dtype), x[index])


def lattice_stencil(graph: jraph.GraphsTuple, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
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
    index = np.repeat(np.arange(len(measure))[:, None], length.max(), 1)
    weights = np.zeros(index.shape)
    index[filled], weights[filled] = matrix.indices, matrix.data
    return index, -weights / measure[:, None] / measure[index]

"""Operator: a structure on a graph, with its transpose, its pseudo-inverse, and what it keeps of its promise."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jraph
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from lgn import _arguments
from lgn._pytrees import Static, attribute
from lgn.assembly.domain import Field
from lgn.assembly.rows import Rows, nodes
from lgn.graphs.features import check_graph, node_count
from lgn.mechanics.structures import Structure, check_structure
from lgn.mechanics.system import offered

DENSE = 4000  # unknowns up to which a matrix is formed


class StructureReport(NamedTuple):
    """Properties of a structure on a graph.

    Attributes:
        antisymmetry_error: |G + G^T| / |G|, zero where energy is conserved.
        symmetry_error: |G - G^T| / |G|.
        largest: largest eigenvalue of (G + G^T) / 2, not positive where energy never rises.
        row_sum: largest |sum_j G_ij| over the largest |G_ij|, zero where the sum of u is constant for a symmetric or
            antisymmetric G.
        spectrum: eigenvalues of G, by their real parts.
    """

    antisymmetry_error: float
    symmetry_error: float
    largest: float
    row_sum: float
    spectrum: np.ndarray


class Operator(nnx.Pytree):
    """G on the states of a graph: callable on (node, dim).

    Args:
        structure: any `Structure`, which is kept as `given`.
        graph: where it acts.

    Raises:
        ValueError: a structure without what the protocol asks for; a graph on which it has no meaning.
    """

    def __init__(self, structure: Structure, graph: jraph.GraphsTuple):
        self.given = attribute(check_structure("structure", structure))
        self._tables: Any = Static(structure.tables(check_graph(graph)))  # on rows the tables themselves, as data
        self.size = node_count(graph)
        self.rows = nnx.data(nodes(self.size))

    @property
    def tables(self) -> Any:
        """Tables that the structure needs of the graph."""
        return self._tables.value if isinstance(self._tables, Static) else self._tables

    def __call__(self, x: Field) -> Field:
        """G x. Args: x: (node, dim). Raises ValueError for an x of another graph, which gathers would clamp."""
        if len(x.shape) != 2 or len(x) != self.size:
            raise ValueError(f"G x: x has shape {x.shape}; expected (node, dim) = ({self.size}, ...)")

        def apply(rows, divided, given):
            x, tables = divided
            if jax.tree.leaves(tables):
                (x,) = rows.extend(x)
            return given.apply(tables, x)[: rows.size]

        return self.rows.over(apply, (x, self.tables), self.given)

    def on_rows(self, rows: Rows, x: Field) -> "Operator":
        """The same on rows, with its tables as data, so that a program that takes it serves other graphs of the size;
        itself, where G does more with its tables than arrays of jax allow."""
        if not rows.divided:
            try:
                jax.eval_shape(self.given.apply, self.tables, x)
            except Exception:  # functions of users
                return self
            if not all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(self.tables)):
                return self
        other = jax.tree.map(lambda x: x, self)
        other._tables, other.rows, other.size = nnx.data(_by_row(rows, self._tables)), nnx.data(rows), rows.count
        return other

    def adjoint(self, x: Field) -> Field:
        """Transpose, G^T x. Args: x: (node, dim). Raises ValueError as G x does."""
        return jax.linear_transpose(self, jax.ShapeDtypeStruct(x.shape, x.dtype))(x)[0]

    def matrix(self, dim: int | None = None) -> Float[Array, "row column"]:
        """Dense matrix of G; rows by node, then degree of freedom. Args: dim: degrees of freedom a node, by default the
        fewest that G takes. Raises ValueError for a graph too large for a matrix."""
        dim = int(offered(self.given, "least", Structure)) if dim is None else _arguments.whole("dim", dim)
        size = self.size * dim
        if size > DENSE:
            raise ValueError(f"a matrix of {size} rows is too large (over {DENSE}); use a smaller graph of the kind")
        basis = jnp.eye(size).reshape(size, self.size, dim)
        return jax.vmap(self)(basis).reshape(size, size).T

    def pseudo_inverse(self, dim: int | None = None) -> Callable[[Field], Field]:
        """Pseudo-inverse G^+, a pytree that maps (node, dim) to the same, with mu = G^+ du/dt the gradient of least
        norm that makes du/dt; found once, by a decomposition. Args: dim: see `matrix`. Raises ValueError for a graph
        too large for a matrix: train on a smaller one."""
        inverse = np.linalg.pinv(np.asarray(self.matrix(dim)), rcond=1e-10)
        return jax.tree_util.Partial(_times, jnp.asarray(inverse))

    def check(self, dim: int | None = None) -> StructureReport:
        """Measure what G is on its matrix. Args: dim: see `matrix`. Raises ValueError where G is not what the structure
        promises, and for a graph too large for a matrix."""
        G = np.asarray(self.matrix(dim))
        size, spectrum = np.linalg.norm(G) or 1.0, np.linalg.eigvals(G)
        report = StructureReport(
            antisymmetry_error=float(np.linalg.norm(G + G.T) / size),
            symmetry_error=float(np.linalg.norm(G - G.T) / size),
            largest=float(np.linalg.eigvalsh((G + G.T) / 2).max()),
            row_sum=float(np.abs(G.sum(1)).max() / (np.abs(G).max() or 1.0)),
            spectrum=spectrum[np.argsort(spectrum.real)],
        )
        rounding = 1e3 * float(np.finfo(G.dtype).eps)
        if self.given.conserves and report.antisymmetry_error > rounding:
            raise ValueError(self._broken(f"|G + G^T| / |G| = {report.antisymmetry_error:.1e}"))
        if self.given.dissipates and report.largest > rounding * size:
            raise ValueError(self._broken(f"x . G x = {report.largest:.1e} |x|^2 for some x"))
        return report

    def check_along(self, x: Field) -> None:
        """Check, outside of transformations, that x . G x is what the structure promises: one product, for graphs of
        any size. Args: x: (node, dim). Raises ValueError where it is not."""
        image = self(x)
        power, size = float(jnp.sum(x * image)), float(jnp.linalg.norm(x) * jnp.linalg.norm(image))
        given, most = self.given, 1e3 * float(jnp.finfo(x.dtype).eps) * size
        if (given.conserves and abs(power) > most) or (given.dissipates and power > most):
            raise ValueError(self._broken(f"x . G x = {power / (size or 1.0):.1e} |x| |G x| for an x"))

    def _broken(self, found: str) -> str:
        promise, remedy = "that energy never rises", "its symmetric part negative semi-definite, or set dissipates"
        if self.given.conserves:
            promise, remedy = "to conserve energy", "it antisymmetric, or set conserves"
        return f"{type(self.given).__name__} promises {promise}, but {found}; make {remedy} = False"


@lru_cache(maxsize=16)
def _by_row(rows: Rows, tables: Static) -> Any:
    """The tables of a structure on rows; kept."""
    return rows.by_row(tables.value)


def _times(matrix: Array, x: Field) -> Field:
    return (matrix.astype(x.dtype) @ x.ravel()).reshape(x.shape)

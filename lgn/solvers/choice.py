"""Choice: the cheapest solver of M a = f for a pattern, by estimated cost."""

import numpy as np

from lgn import _arguments
from lgn._backends import Backend, backend
from lgn._pytrees import Static
from lgn.assembly.matrix import Pattern, pattern
from lgn.graphs.edges import from_edges, single_node
from lgn.graphs.lattices import lattice
from lgn.graphs.stencils import node_stencil
from lgn.solvers.banded import Banded
from lgn.solvers.conjugate_gradient import ConjugateGradient
from lgn.solvers.direct import BlockDiagonal
from lgn.solvers.solution import Solver


def default_solver(pattern: Pattern, dim: int, on: Backend | None = None) -> Solver:
    """The cheapest solver by `estimated_costs`, of the same arguments."""
    costs = estimated_costs(pattern, dim, on)
    return min(costs, key=lambda solver: costs[solver])


def estimated_costs(pattern: Pattern, dim: int, on: Backend | None = None) -> dict[Solver, int]:
    """Multiplications that one solve takes, by each solver that fits the pattern.

    Banded: for each row one sequential step, which takes as long as 20 on a CPU and as thousands on a GPU, and the
    square of the width. Conjugate gradients: 20 iterations with a product of the element blocks, whose gathers cost 3
    more multiplications, and with some kernels to launch on a GPU.

    Args:
        pattern: of M.
        dim: degrees of freedom of a node.
        on: the kind of device, by default that on which jax runs.
    """
    _arguments.of_kind("pattern", pattern, Pattern, "matrix.pattern of a BlockMatrix")
    _arguments.whole("dim", dim)
    if on is not None:
        _arguments.of_kind("on", on, Backend, "a row of lgn._backends.BACKENDS, or None for the device of jax")
    if pattern.n_node == 1 or pattern.diagonal:
        return {BlockDiagonal(): pattern.n_node * dim**3}
    on, product = on or backend(), sum(index.size * index.shape[1] for index in pattern.indices) * dim**2
    iterative: dict[Solver, int] = {ConjugateGradient(): 20 * (on.iteration + 4 * product)}
    if pattern.divided:
        return iterative
    width = (pattern.half_bandwidth + 1) * dim - 1
    return {Banded(): pattern.n_node * dim * (on.row + width**2), **iterative}


def solver_table() -> list[str]:
    """Lines: for graphs of several kinds, the estimated cost of each solver and the one that is chosen."""
    parent = np.arange(999) // 2  # of nodes 1 to 999
    graphs = {
        "single node": single_node(),
        "chain of 1000": lattice((1000,), periodic=False),
        "ring of 1000": lattice((1000,)),
        "strip of 4 x 1000": lattice((4, 1000), periodic=False),
        "lattice of 64 x 64": lattice((64, 64)),
        "binary tree of 1000": from_edges(1000, np.r_[parent, 1:1000], np.r_[1:1000, parent]),
    }
    lines = [
        "Solver of M a = f where a density reads the velocities of a node and its neighbours: the one of the least",
        "estimated cost, in multiplications a node. A density that reads only v[0] gives BlockDiagonal on every graph.",
        "",
        f"{'graph':<24} {'half-bandwidth':>14} {'Banded':>10} {'ConjugateGradient':>18}  solver",
    ]
    for name, graph in graphs.items():
        n_node = int(graph.n_node[0])
        joined = pattern(n_node, Static(node_stencil(graph).index))
        costs = {type(solver).__name__: f"{x / n_node:.0f}" for solver, x in estimated_costs(joined, 1).items()}
        banded, iterative = costs.get("Banded", ""), costs.get("ConjugateGradient", "")
        chosen = type(default_solver(joined, 1)).__name__
        lines.append(f"{name:<24} {joined.half_bandwidth:>14} {banded:>10} {iterative:>18}  {chosen}")
    return lines

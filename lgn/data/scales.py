"""Scales: typical sizes found in data, and densities made to them."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jraph
import numpy as np
from flax import nnx

from lgn import _arguments
from lgn.data.trajectories import States, Windows
from lgn.densities.message_passing import PairDensity
from lgn.densities.mlp import MLPDensity
from lgn.densities.pairings import difference
from lgn.graphs.stencils import edge_stencil, node_stencil
from lgn.graphs.tables import Stencil


def scales(data: States | Windows, stencil: Stencil | None = None) -> dict[str, Any]:
    """The root mean squares of q and v of each degree of freedom, as the settings `q_scale` and `v_scale` of a learned
    density; of first order in time that of u as `q_scale`.

    Args:
        data: to learn from; of positions alone, v is their difference over time.
        stencil: of a density that sees differences to slot 0 (`relative=True`, or the pairing `difference`): q_scale is
            then that of these differences, which on a fine grid are much smaller than q.

    Raises:
        ValueError: a degree of freedom that is zero throughout, a stencil of another graph.

    Example:
        >>> import numpy as np, lgn
        >>> from flax import nnx
        >>> q = np.array([[[3.0], [4.0], [5.0]]])
        >>> data, chain = lgn.States(q, 0.1 * q, q), lgn.lattice((3,), periodic=False)
        >>> density = lgn.MLPDensity(3, 1, **lgn.scales(data), rngs=nnx.Rngs(0))
        >>> lgn.scales(data, lgn.edge_stencil(chain))["q_scale"]
        (1.0,)
    """
    _arguments.of_kind("scales: data", data, (States, Windows), "lgn.States(q, v, a) or lgn.windows(t, q, length=...)")
    if stencil is not None:
        _arguments.of_kind("scales: stencil", stencil, Stencil, "lgn.edge_stencil(graph)")
    data = data.check()
    in_part = isinstance(data, Windows) and data.seen is not None
    q = np.where(np.asarray(data.seen)[..., None], data.q, np.nan) if in_part else np.asarray(data.q)
    found = {"q_scale": _size("q", q if stencil is None else _differences(q, stencil))}
    if isinstance(data, States):
        return found if data.a is None else found | {"v_scale": _size("v", np.asarray(data.v))}
    v = np.diff(q, axis=1) / np.asarray(data.dt)[:, None, None, None] if data.v is None else np.asarray(data.v)
    return found | {"v_scale": _size("v", np.where(np.isfinite(q[:, -v.shape[1] :]), v, np.nan))}


def site_and_edge(
    graph: jraph.GraphsTuple,
    data: States | Windows,
    hidden: Sequence[int] = (16, 16),
    *,
    rngs: nnx.Rngs,
    mass: float | nnx.Param | None = 1.0,
    **settings: Any,
) -> list[tuple[MLPDensity | PairDensity, Callable]]:
    """A learned Lagrangian as the sum of one density on each node and one on each edge, each to its own scale:

        L = sum over nodes of (m |v|^2 / 2 + MLP(q, v)) + sum over edges of MLP(q_1 - q_0) + MLP(q_0 - q_1).

    One network for both must resolve q and the differences of neighbours at once; on fine grids, where these are much
    smaller, it learns neither well. M is diagonal. Works on any graph, and on others of the same kind.

    Args:
        graph: that the data are of.
        data: to learn from; their sizes are the scales.
        hidden: widths of the hidden layers of both.
        rngs: random streams.
        mass: kinetic prior m, see `MLPDensity`.
        settings: further ones of both densities, such as `activation`.

    Returns:
        Terms, for `Lagrangian(graph, terms)`.

    Example:
        >>> import jax, lgn
        >>> from flax import nnx
        >>> from lgn.systems import wave
        >>> data, graph = wave.sample(jax.random.key(0), 20, 10), lgn.lattice((10,))
        >>> L = lgn.Lagrangian(graph, lgn.site_and_edge(graph, data, rngs=nnx.Rngs(0)))
        >>> L.solver_for(dim=1)
        BlockDiagonal()
    """
    edges, found = edge_stencil(graph), scales(data)
    dim = int(np.shape(data.q)[-1])
    site = MLPDensity(1, dim, hidden, mass=mass, rngs=rngs, **(found | settings))
    edge = PairDensity(dim, hidden, pairing=difference, rngs=rngs, **(scales(data, edges) | settings))
    return [(site, partial(node_stencil, hops=0)), (edge, edge_stencil)]


def _size(name, x) -> tuple[float, ...]:
    """Root mean square of each degree of freedom, (..., dim)."""
    found = np.sqrt(np.nanmean(x.reshape(-1, x.shape[-1]) ** 2, axis=0))
    if not (found > 0).all():
        raise ValueError(
            f"scales: {name} of degree of freedom {int(np.argmin(found > 0))} is zero throughout, which gives it no "
            f"size; set {name}_scale by hand"
        )
    return tuple(float(size) for size in found)


def _differences(q, stencil) -> np.ndarray:
    """q of every filled slot but the first minus q of slot 0, (..., dim)."""
    if stencil.index.max(initial=0) >= q.shape[-2]:
        raise ValueError(
            f"scales: the stencil reads node {stencil.index.max()}, and the data have {q.shape[-2]} nodes; give that "
            f"of their graph"
        )
    element, slot = np.nonzero(stencil.mask[:, 1:])
    near, far = stencil.index[element, 0], stencil.index[element, slot + 1]
    return q[..., far, :] - q[..., near, :]

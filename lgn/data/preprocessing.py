"""Preprocessing of recordings and samples: units of rates, derivatives, noise, pairs of states and typical sizes."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import jraph
import numpy as np
from flax import nnx
from jaxtyping import Array, Float
from scipy.interpolate import CubicSpline

from lgn import _arguments, _arrays
from lgn.data.samples import States, Windows
from lgn.densities.message_passing import PairDensity
from lgn.densities.mlp import MLPDensity
from lgn.densities.pairs import difference
from lgn.graphs.stencils import edge_stencil, node_stencil
from lgn.graphs.tables import Stencil


def rate_unit(t, x, rate, tolerance: float = 0.01) -> float:
    """Unit c of a recorded rate, dx/dt = c rate, by least squares of

        x_2 - x_0 = c dt/3 (rate_0 + 4 rate_1 + rate_2),    x(t + dt) - x(t - dt) by Simpson's integral of the rate,

    over all successive rows of even steps. Trackers that smooth record rates that are too small by a constant, and some
    have units of time of their own; noise on single values averages out.

    Args:
        t: (time,) increasing.
        x: (time, ...).
        rate: (time, ...), of x, in its own unit.
        tolerance: relative, of two successive steps that count as even.

    Raises:
        ValueError: shapes that differ, no three rows of even steps, a rate that is zero throughout.

    Example:
        >>> import numpy as np, lgn
        >>> t = np.linspace(0, 3, 31)
        >>> round(lgn.rate_unit(t, np.sin(t), 0.5 * np.cos(t)), 4)
        2.0
    """
    given = {"t": t, "x": x, "rate": rate}
    t, x, rate = (_arrays.reals(f"rate_unit: {name}", values).astype(float) for name, values in given.items())
    _arguments.positive("rate_unit: tolerance", tolerance)
    if t.ndim != 1 or x.shape != rate.shape or x.shape[:1] != t.shape:
        raise ValueError(
            f"rate_unit: t has shape {t.shape}, x {x.shape} and rate {rate.shape}; expected (time,), and (time, ...) "
            f"of both"
        )
    steps = np.diff(t)
    even = (steps[1:] > 0) & (np.abs(steps[1:] / np.where(steps[:-1] > 0, steps[:-1], np.nan) - 1) <= tolerance)
    if not even.any():
        raise ValueError(f"rate_unit: no three successive times with even steps within {tolerance:g}; sort the times")
    simpson = (rate[:-2] + 4 * rate[1:-1] + rate[2:])[even].reshape(even.sum(), -1) * (steps[1:][even] / 3)[:, None]
    if not simpson.any():
        raise ValueError("rate_unit: the rate is zero throughout, so that its unit cannot be found")
    change = (x[2:] - x[:-2])[even].reshape(even.sum(), -1)
    return float(np.sum(simpson * change) / np.sum(simpson**2))


FIRST = np.array([-1, 9, -45, 0, 45, -9, 1]) / 60
SECOND = np.array([2, -27, 270, -490, 270, -27, 2]) / 180
REACH = len(FIRST) // 2  # times at either end that have no derivative


def differences(q: Float[Array, "*batch time dim"], dt) -> tuple[Array, Array, Array]:
    """q, dq/dt and d2q/dt2 by central differences of order 6, each (..., time - 6, dim).

    Relative errors are (frequency dt)^6 / 140 and / 560. Noise on q is amplified by 1.5 / dt and 5.5 / dt^2.

    Args:
        q: sampled evenly along `time`.
        dt: time between two samples, a number or one for each of the batch.

    Raises:
        ValueError: fewer than 7 times.

    Example:
        >>> import jax.numpy as jnp
        >>> from lgn.data.preprocessing import differences
        >>> q, v, a = differences(jnp.sin(0.1 * jnp.arange(9.0))[:, None], 0.1)
        >>> bool(abs(a + q).max() < 1e-4)
        True
    """
    times, size = q.shape[-2], len(FIRST)
    if times < size:
        raise ValueError(f"differences: {times} times; expected {size} or more")
    pieces = jnp.stack([q[..., i : i + times - size + 1, :] for i in range(size)])
    dt = jnp.asarray(dt)[..., None, None]
    return pieces[REACH], jnp.tensordot(FIRST, pieces, 1) / dt, jnp.tensordot(SECOND, pieces, 1) / dt**2


def integrated(t, u, rate) -> np.ndarray:
    """States without their noise, where it falls on u alone and du/dt is exact: the integral of the rate,

        w(t) = integral of rate from t_0 to t + c,    c such that the mean of u - w over each trajectory is zero.

    Noise of standard deviation s on n states leaves an error of s / sqrt(n), the same at all times of a trajectory,
    beside that of the integral of a cubic spline, of the order of dt^4.

    Args:
        t: (time,) increasing; steps may differ.
        u: (trajectory, time, node, dim), with noise.
        rate: (trajectory, time, node, dim), du/dt without noise.

    Returns:
        w, (trajectory, time, node, dim), in the dtype of u.

    Raises:
        ValueError: shapes that differ, times that do not increase, values that are not finite.

    Example:
        >>> import numpy as np, lgn
        >>> t = np.linspace(0, 1, 11)
        >>> path = np.sin(t)[None, :, None, None]
        >>> noisy = path + 0.1 * np.resize([1, -1], (1, 11, 1, 1)) * (t < 1)[None, :, None, None]
        >>> w = lgn.integrated(t, noisy, np.cos(t)[None, :, None, None])
        >>> bool(abs(w - path).max() < 1e-5)
        True
    """
    t = _arrays.reals("integrated: t", t).astype(float)
    u, rate = (np.asarray(_arrays.floats(f"integrated: {name}", x)) for name, x in (("u", u), ("rate", rate)))
    check_trajectories("integrated", t, u=u, rate=rate)
    path = CubicSpline(t, rate, axis=1).antiderivative()(t)
    return (path + np.mean(u - path, axis=1, keepdims=True)).astype(u.dtype)


def check_trajectories(caller: str, t, **fields) -> None:
    """Raises ValueError: fields that are not (trajectory, time, node, dim) of the times t, or values not finite."""
    shape = np.shape(next(iter(fields.values())))
    if t.ndim != 1 or len(t) < 2 or not np.isfinite(t).all() or not (np.diff(t) > 0).all():
        raise ValueError(f"{caller}: t has shape {t.shape}; expected 2 or more finite times (time,) that increase")
    for name, x in fields.items():
        if x.ndim != 4 or x.shape != shape or x.shape[1] != len(t) or 0 in x.shape:
            raise ValueError(
                f"{caller}: {name} has shape {x.shape} and t {t.shape}; expected (trajectory, time, node, dim), the "
                f"same for {' and '.join(fields)}; give one trajectory as {name}[None]"
            )
        wrong = np.argwhere(~np.isfinite(x))
        if wrong.size:
            raise ValueError(
                f"{caller}: {name} is not finite at (trajectory, time, node, dim) = {tuple(map(int, wrong[0]))}, and "
                f"in {len(wrong)} places in all; leave these trajectories out: "
                f"{name}[np.isfinite({name}).all((1, 2, 3))]"
            )


def sample_pairs(key: jax.Array, t, u, count: int, by_rate: float = 0.5) -> Windows:
    """Random pairs of successive states of trajectories that share their times; a pair may be drawn again.

    A share `by_rate` of them is drawn in proportion to |(u' - u) / dt|^2, the others evenly. Motions that relax are
    fast for a short time only: evenly drawn, hardly a pair would show it.

    Args:
        key: of the draws.
        t: (time,) increasing, evenly spaced.
        u: (trajectory, time, node, dim).
        count: how many pairs.
        by_rate: between 0 and 1.

    Returns:
        Windows of length 2: `.state` = (u,) with u (count, 2, node, dim), and dt and t of each, (count,).

    Raises:
        ValueError: times that do not increase or unequal steps between them, other shapes, values that are not finite,
            a count below 1, `by_rate` outside [0, 1], a share by rate of states that never change.

    Example:
        >>> import jax, numpy as np, lgn
        >>> u = np.exp(-np.arange(6.0))[None, :, None, None]
        >>> pairs = lgn.sample_pairs(jax.random.key(0), np.arange(6.0), u, count=8)
        >>> pairs.state[0].shape, pairs.dt.shape
        ((8, 2, 1, 1), (8,))
    """
    _arguments.random_key("sample_pairs", key)
    t, u = _arrays.reals("sample_pairs: t", t).astype(float), _arrays.reals("sample_pairs: u", u)
    check_trajectories("sample_pairs", t, u=u)
    steps = np.diff(t)
    uneven = np.abs(steps / steps[0] - 1) > 0.01
    if uneven.any():
        at = int(np.argmax(uneven))
        raise ValueError(
            f"sample_pairs: a step of {steps[at]:g} at t[{at}] = {t[at]:g}, where the first is {steps[0]:g}; "
            f"interpolate u at equal steps, or give the part with equal ones: t[:{at + 1}], u[:, :{at + 1}]"
        )
    _arguments.whole("sample_pairs: count", count)
    if not (_arguments.real(by_rate) and np.ndim(by_rate) == 0 and 0 <= by_rate <= 1):
        raise ValueError(f"sample_pairs: by_rate={by_rate!r}; give a share between 0 and 1")
    fast = round(by_rate * count)
    speeds = np.mean((np.diff(u, axis=1) / steps[:, None, None]) ** 2, (2, 3), dtype=float)  # (trajectory, pair)
    if fast and not speeds.any():
        raise ValueError("sample_pairs: u never changes, so no pair can be drawn by rate; give by_rate=0")
    of_rate, of_all = jax.random.split(key)
    total = np.cumsum(speeds)
    first = np.searchsorted(total, np.asarray(jax.random.uniform(of_rate, (fast,))) * total[-1], side="right")
    others = np.asarray(jax.random.randint(of_all, (count - fast,), 0, speeds.size))
    trajectory, time = np.unravel_index(np.concatenate([first, others]), speeds.shape)
    return Windows(u[trajectory[:, None], time[:, None] + np.arange(2)], steps[time], None, t[time]).check()


def scales(data: States | Windows, stencil: Stencil | None = None) -> dict[str, Any]:
    """Root mean squares of q and v of each degree of freedom, as the settings `q_scale` and `v_scale` of a learned
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

"""Pairs: two successive states, drawn where the motion is fast and where it is not."""

import jax
import numpy as np

from lgn import _arguments, _arrays
from lgn.data.denoise import check_trajectories
from lgn.data.trajectories import Windows


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
    trajectory, time = _draw(key, _speeds(u, steps), count, round(by_rate * count))
    return Windows(u[trajectory[:, None], time[:, None] + np.arange(2)], steps[time], None, t[time]).check()


def _speeds(u, steps) -> np.ndarray:
    """(trajectory, pair) mean square of (u' - u) / dt."""
    return np.mean((np.diff(u, axis=1) / steps[:, None, None]) ** 2, (2, 3), dtype=float)


def _draw(key, speeds, count, fast) -> tuple[np.ndarray, ...]:
    """Trajectory and time of each pair, the first `fast` of them in proportion to the speeds."""
    if fast and not speeds.any():
        raise ValueError("sample_pairs: u never changes, so no pair can be drawn by rate; give by_rate=0")
    by_rate, evenly = jax.random.split(key)
    total = np.cumsum(speeds)
    at = np.asarray(jax.random.uniform(by_rate, (fast,))) * total[-1]
    first = np.searchsorted(total, at, side="right")
    others = np.asarray(jax.random.randint(evenly, (count - fast,), 0, speeds.size))
    return np.unravel_index(np.concatenate([first, others]), speeds.shape)

"""Denoise: states of trajectories whose rates are known better than the states themselves."""

import numpy as np
from scipy.interpolate import CubicSpline

from lgn import _arrays


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

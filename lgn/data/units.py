"""Units: the constant by which recorded rates differ from the rate of what was recorded."""

import numpy as np

from lgn import _arguments, _arrays


def rate_unit(t, x, rate, tolerance: float = 0.01) -> float:
    """c of dx/dt = c rate, by least squares of x(t + dt) - x(t - dt) and Simpson's integral of the rate,

        x_2 - x_0 = c dt/3 (rate_0 + 4 rate_1 + rate_2),

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

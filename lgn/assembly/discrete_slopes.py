"""Discrete slopes of elementwise functions: f(a) - f(b) = slope (a - b), without cancellation where a is near b.

    slope = (f(a) - f(b)) / (a - b)

loses as many digits as a and b share; there each function has a series in a - b, with coefficients that algebra finds
in f(a) and f(b) themselves. All slopes are symmetric in a and b, tend to f' and have finite derivatives at a = b.
"""

from collections.abc import Callable
from functools import reduce

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

Slope = Callable[[Array, Array, Array, Array], Array]  # a, b, f(a), f(b)
GAUSS, WEIGHTS = (x.tolist() for x in np.polynomial.legendre.leggauss(3))


def threshold(dtype) -> float:
    """Differences below which a series is nearer than the quotient, for a function that changes over lengths of 1:
    there the round-off of the quotient, eps / d, meets a remainder of d^6."""
    return 2 * float(jnp.finfo(dtype).eps) ** (1 / 7)


def quotient_or(series: Callable, d, fa, fb):
    """series(d) for a small d, otherwise (f(a) - f(b)) / d. Each sees harmless values where the other is taken, so
    that derivatives stay finite."""
    near = abs(d) < threshold(d.dtype)
    return jnp.where(near, series(jnp.where(near, d, 0)), (fa - fb) / jnp.where(near, 1, d))


def polynomial(*coefficients: float) -> Callable:
    """Of the square of its argument, from the constant up."""

    def value(x):
        square = x * x
        return reduce(lambda total, c: total * square + c, reversed(coefficients))

    return value


tanh_over = polynomial(1, -1 / 3, 2 / 15, -17 / 315)  # tanh(x) / x and so on, for small x
artanh_over = polynomial(1, 1 / 3, 1 / 5, 1 / 7, 1 / 9)
sin_over = polynomial(1, -1 / 6, 1 / 120, -1 / 5040)


def tanh(a, b, fa, fb):
    """tanh a - tanh b = tanh(a - b) (1 - tanh a tanh b)."""
    return quotient_or(lambda d: tanh_over(d) * (1 - fa * fb), a - b, fa, fb)


def logistic(a, b, fa, fb):
    """s(a) - s(b) = tanh((a - b) / 2) (s(a) + s(b) - 2 s(a) s(b))."""
    return quotient_or(lambda d: tanh_over(d / 2) * (0.5 * (fa + fb) - fa * fb), a - b, fa, fb)


def exp(a, b, fa, fb, shift=0):
    """e^a - e^b = tanh((a - b) / 2) (e^a + e^b); with shift 1 of e^x - 1."""
    return quotient_or(lambda d: tanh_over(d / 2) * ((fa + fb) / 2 + shift), a - b, fa, fb)


def sin(a, b, fa, fb):
    """sin a - sin b = 2 cos((a + b) / 2) sin((a - b) / 2)."""
    return quotient_or(lambda d: sin_over(d / 2) * jnp.cos((a + b) / 2), a - b, fa, fb)


def cos(a, b, fa, fb):
    """cos a - cos b = -2 sin((a + b) / 2) sin((a - b) / 2)."""
    return quotient_or(lambda d: -sin_over(d / 2) * jnp.sin((a + b) / 2), a - b, fa, fb)


def log(a, b, fa, fb, shift=0):
    """log a - log b = 2 artanh((a - b) / (a + b)); with shift 2 of log(1 + x)."""
    total = a + b + shift
    ratio = (a - b) / total
    return 2 / total * quotient_or(artanh_over, ratio, fa / 2, fb / 2)


def absolute(a, b, fa, fb):
    """|a| - |b| = (a^2 - b^2) / (|a| + |b|)."""
    total = fa + fb
    return jnp.where(total == 0, 0, (a + b) / jnp.where(total == 0, 1, total))


def softplus(a, b, fa, fb):
    """Midpoint series of f(x) = log(1 + e^x): f' + f''' d^2 / 24 + f''''' d^4 / 1920, f' the logistic function."""
    s = jax.nn.sigmoid((a + b) / 2)
    w = s * (1 - s)

    def series(d):
        return s + d**2 / 24 * w * (1 - 2 * s) * (1 + d**2 / 80 * (1 - 12 * w))

    return quotient_or(series, a - b, fa, fb)


def measured(function, a, b, fa, fb):
    """Of any function: three Gauss points of its derivative, where they give f(a) - f(b) to round-off; elsewhere, for
    large differences, across a kink or beside a pole, the quotient."""
    d = a - b
    near = abs(d) < threshold(d.dtype)
    middle, half = jnp.where(near, (a + b) / 2, a), jnp.where(near, d / 2, 0)

    def slope(x):
        return jax.jvp(function, (x,), (jnp.ones_like(x),))[1]

    series = sum(w / 2 * slope(middle + x * half) for x, w in zip(GAUSS, WEIGHTS, strict=True))
    round_off = 64 * jnp.finfo(d.dtype).eps * (abs(fa) + abs(fb) + abs(series) * (abs(a) + abs(b)))
    fits = near & (abs(series * d - (fa - fb)) <= round_off)
    return jnp.where(fits, series, (fa - fb) / jnp.where(fits, 1, d))

"""Signals: what was measured beside a motion, such as the force that drove it, as a function of time."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from lgn import _arguments, _arrays
from lgn.densities.density import config_of


@dataclass(frozen=True)
class Held:
    """Each value until the next, as converters of digital signals hold it."""

    def __call__(self, ts: Float[Array, " time"], values: Float[Array, "time ..."]) -> "Steps":
        """Path through the values. Args: ts: (time,); values: (time, ...)."""
        return Steps(ts, values)


@dataclass(frozen=True)
class Linear:
    """Straight lines between the values: `diffrax.LinearInterpolation`."""

    def __call__(self, ts: Float[Array, " time"], values: Float[Array, "time ..."]) -> Any:
        """Path through the values. Args: ts: (time,); values: (time, ...)."""
        import diffrax

        return diffrax.LinearInterpolation(ts, values)


@dataclass(frozen=True)
class Cubic:
    """Cubics whose slope at each time is that of the parabola through three values, so that the slope is continuous:
    `diffrax.CubicInterpolation`."""

    def __call__(self, ts: Float[Array, " time"], values: Float[Array, "time ..."]) -> Any:
        """Path through the values. Args: ts: (time,); values: (time, ...)."""
        import diffrax

        h = jnp.diff(ts).reshape(-1, *(1,) * (values.ndim - 1))
        secant = jnp.diff(values, axis=0) / h
        inner = (h[1:] * secant[:-1] + h[:-1] * secant[1:]) / (h[1:] + h[:-1])
        ends = (2 * secant[0] - inner[0], 2 * secant[-1] - inner[-1]) if len(inner) else (secant[0], secant[0])
        slope = jnp.concatenate([ends[0][None], inner, ends[1][None]])
        square, cube = (3 * secant - 2 * slope[:-1] - slope[1:]) / h, (slope[1:] + slope[:-1] - 2 * secant) / h**2
        return diffrax.CubicInterpolation(ts, (cube, square, slope[:-1], values[:-1]))


class Steps(NamedTuple):
    """Path of `Held`."""

    ts: Float[Array, " time"]
    values: Float[Array, "time ..."]

    def evaluate(self, t) -> Float[Array, "..."]:
        """Value of the last time that t has reached. Args: t: time."""
        t = t + 4 * jnp.finfo(self.ts.dtype).eps * jnp.abs(t)  # steps that add up to a time have reached it
        return self.values[jnp.clip(jnp.searchsorted(self.ts, t, side="right") - 1, 0, len(self.ts) - 1)]


class Signal(nnx.Pytree):
    """Values along time as a function of time, signal(t): a control, the motion of a clamp, what drives a flow.

    A pytree: another signal of the same number of times is no other program, and a checkpoint keeps it.

    Args:
        t: (time,), increasing, in the unit of the times of the system.
        values: (time, ...).
        interpolation: `lgn.Linear()` by default, `lgn.Held()`, `lgn.Cubic()`, or any (ts, values) -> path whose
            `evaluate(t)` is the value, hashable.

    Raises:
        ValueError: times that do not increase, values of another number or that are not finite.

    Example:
        >>> import lgn
        >>> ramp = lgn.Signal([0.0, 1.0, 3.0], [0.0, 2.0, 0.0])
        >>> float(ramp(2.0))
        1.0
        >>> float(lgn.Signal([0.0, 1.0, 3.0], [0.0, 2.0, 0.0], lgn.Held())(2.0))
        2.0
    """

    def __init__(self, t: Any, values: Any, interpolation: Callable = Linear()):
        t, values = (_arrays.floats(f"Signal: {name}", x) for name, x in (("t", t), ("values", values)))
        if t.ndim != 1 or len(t) < 2 or values.ndim < 1 or len(values) != len(t):
            raise ValueError(
                f"Signal: t has shape {t.shape} and values {values.shape}; expected (time,) and (time, ...), at least "
                f"two times"
            )
        self.t, self.values = (nnx.data(jnp.asarray(x)) for x in (t, values))
        self.interpolation = _arguments.called("Signal: interpolation", interpolation, "lgn.Linear() or lgn.Held()")
        if isinstance(self.t, jax.core.Tracer):
            return
        if not (np.diff(self.t) > 0).all():
            at = int(np.argmin(np.diff(self.t) > 0))
            raise ValueError(
                f"Signal: t goes from {t[at]} to {t[at + 1]} after {at}; expected times that increase, also in "
                f"{self.t.dtype}"
            )
        if not isinstance(self.values, jax.core.Tracer) and not np.isfinite(self.values).all():
            wrong = int(np.argwhere(~np.isfinite(self.values))[0, 0])
            raise ValueError(
                f"Signal: values are not finite at t = {t[wrong]}; leave these times out, and it is interpolated there"
            )

    config = config_of

    def __call__(self, t) -> Float[Array, "..."]:
        """Value at a time. Args: t: time, within those of the signal."""
        return self.interpolation(self.t, self.values).evaluate(jnp.asarray(t, self.t.dtype))

    def check_covers(self, name: str, ts) -> None:
        """Raises ValueError where times lie before the first or after the last of the signal, where nothing is known.
        Args: name: of the signal; ts: (time,)."""
        slack = 1e-6 * float(self.t[-1] - self.t[0])
        if ts[0] < self.t[0] - slack or ts[-1] > self.t[-1] + slack:
            raise ValueError(
                f"{name} is known from t = {float(self.t[0]):g} to {float(self.t[-1]):g}, and the motion goes from "
                f"{float(ts[0]):g} to {float(ts[-1]):g}; give a signal of these times, or fewer times"
            )

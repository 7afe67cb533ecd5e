"""Integrators: what one is, and the two that are a dozen lines, velocity Verlet and the implicit midpoint rule."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from lgn import _arguments
from lgn.assembly.domain import State
from lgn.mechanics.system import System, require
from lgn.motion.implicit import fixed_point


class Integrator:
    """A way from a state to the states at later times; hashable, so that an equal one shares its programs.

    `FixedSteps` is the base of those with equal steps. Any function (system, state, ts) -> states at ts serves
    `rollout` too: it gets its ts as numpy, and other times are another program.
    """

    def __call__(self, system: Any, state: State, ts) -> State:
        """The states at ts, each field (time, node, dim); the last time may be repeated, and ts be traced."""
        raise NotImplementedError(f"{type(self).__name__}(system, state, ts): the states at ts")

    def measured(self, system: Any, state: State, ts, measure: Callable) -> tuple[State, Any]:
        """The states at ts, and measure(state, t) of each, zeros where a time is repeated."""
        states = jax.tree.map(lambda x, start: x.at[0].set(start), self(system, state, ts), state)
        new, ts = jnp.diff(ts, prepend=-jnp.inf) > 0, jnp.asarray(ts)
        return states, lax.map(lambda moment: _unless_repeated(measure, *moment), (new, states, ts))

    def remedy(self, system: Any, state: State, t) -> str:
        """What to do where steps from a state at t are too large."""
        return "take smaller steps (dt, max_steps)"

    def beyond(self, system: Any, state: State, t) -> str:
        """The limit of stability that the steps from a state are beyond, in words; empty where none is known."""
        return ""

    def stopped(self, state: State) -> str:
        """Why it gave the motion up, as far as a state that is not finite shows; empty if it did not."""
        return ""


class FixedSteps(Integrator):
    """Equal steps no longer than dt: `start`, `step` and `state` say what a step is, the rest is written here.

    Derive your own from it, as a frozen dataclass; `rollout` takes other times by the same program.

    Attributes:
        dt: largest step; each interval of ts is cut into equal steps no longer than that.
        opening: steps of no length that complete what `start` gives.

    Example:
        >>> import dataclasses, jax, jax.numpy as jnp, lgn
        >>> from lgn.motion.integrators import FixedSteps
        >>> @dataclasses.dataclass(frozen=True)
        ... class Euler(FixedSteps):
        ...     dt: float
        ...     def step(self, system, carry, t, dt):
        ...         return jax.tree.map(lambda x, f: x + dt * f, carry, system.rate(carry, t))
        >>> def free(q, v, features): return 0.5 * v[0, 0] ** 2
        >>> L = lgn.Lagrangian(lgn.single_node(), free)
        >>> lgn.rollout(L, (jnp.zeros((1, 1)), jnp.ones((1, 1))), [0.0, 1.0, 2.0], Euler(0.5)).q[:, 0, 0].tolist()
        [0.0, 1.0, 2.0]
    """

    dt: float
    opening: ClassVar[int] = 0

    def start(self, system: Any, state: State, t) -> Any:
        """What is carried from step to step, a tree of arrays, at the first time; the state, unless it is more."""
        return state

    def step(self, system: Any, carry: Any, t, dt) -> Any:
        """The same at t + dt."""
        raise NotImplementedError(f"{type(self).__name__}.step(system, carry, t, dt): what is carried, at t + dt")

    def state(self, system: Any, carry: Any, t) -> State:
        """The state of what is carried, at the time t of a kept state."""
        return carry

    def __call__(self, system: Any, state: State, ts) -> State:
        """The states at ts, each field (time, node, dim); only these are kept.

        Every interval is cut into the same number of equal steps, the least for which none is longer than dt; one of no
        length, which pads ts, into none. Where ts is traced, so is that number: a program for any times, without a
        reverse derivative.
        """
        if isinstance(ts, jax.core.Tracer):
            return self._at_any(system, state, ts)
        count = int(_count(ts, self.dt, np))
        carry = self.start(system, state, ts[0])
        for _ in range(self.opening):
            carry = self.step(system, carry, ts[0], 0.0)

        def interval(carry, ends):
            carry = self._steps(system, carry, ends[0], (ends[1] - ends[0]) / count, count)
            return carry, self.state(system, carry, ends[1])

        later = lax.scan(interval, carry, (ts[:-1], ts[1:]))[1]
        return jax.tree.map(lambda a, b: jnp.concatenate([a[None], b]), state, later)

    def _at_any(self, system, state, ts) -> State:
        """At traced times. The first interval is one of no length, so that what opens a motion is a step of the loop:
        one copy less of the equation to compile."""
        count = _count(ts, self.dt, jnp)

        def interval(carry, ends):
            t, end, first = ends
            dt = (end - t) / count
            carry = self._steps(system, carry, t, dt, jnp.where(dt > 0, count, first * self.opening))
            found = self.state(system, carry, end)
            return carry, jax.tree.map(lambda x, known: jnp.where(first, known, x), found, state)

        moments = jnp.concatenate([ts[:1], ts[:-1]]), ts, np.arange(len(ts)) == 0
        return lax.scan(interval, self.start(system, state, ts[0]), moments)[1]

    def _steps(self, system, carry, t, dt, count):
        return lax.fori_loop(0, count, lambda i, carry: self.step(system, carry, t + i * dt, dt), carry)

    def remedy(self, system: Any, state: State, t) -> str:
        """Half of dt, and what it is beyond."""
        beyond = self.beyond(system, state, t)
        since = f" since dt={self.dt:g} is beyond {beyond}" if beyond else ""
        return f"take smaller steps: dt={self.dt / 2:g} for {self.dt:g}{since}"


class ImplicitSteps(FixedSteps):
    """Equal steps of which each is an equation, solved to a tolerance in up to `limit` iterations."""

    tolerance: float
    limit: int

    def __post_init__(self):
        name = type(self).__name__
        _arguments.positive(f"{name}: dt", self.dt)
        _arguments.positive(f"{name}: tolerance", self.tolerance)
        _arguments.whole(f"{name}: limit", self.limit)


def _unless_repeated(measure: Callable, new, state: State, t) -> Any:
    nothing = jax.eval_shape(measure, state, t)
    return lax.cond(new, measure, lambda *_: jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), nothing), state, t)


def _count(ts, dt: float, xp):
    """Steps of each interval, the least for which none is longer than dt."""
    return xp.maximum(1, xp.ceil(xp.max(xp.diff(ts), initial=0.0) / dt - 1e-9).astype(int))


@dataclass(frozen=True)
class ImplicitMidpoint(ImplicitSteps):
    """Fixed steps y' = y + dt f((y + y') / 2): order 2, symmetric in time, exact for quadratic invariants.

    Args:
        dt: largest step; each interval of ts is cut into equal steps no longer than that.
        tolerance: of the fixed-point iteration for y', which converges for dt below 2 / (highest frequency); no less
            than 10 machine epsilons are asked for.
        limit: most iterations of it.

    Raises:
        ValueError: a dt or a tolerance that is not positive, a limit that is not whole.
    """

    dt: float
    tolerance: float = 1e-12
    limit: int = 100

    def step(self, system: System, carry: State, t, dt) -> State:
        """y' by a fixed point, from an explicit Euler step."""

        def image(guess):
            middle = jax.tree.map(lambda a, b: (a + b) / 2, carry, guess)
            return jax.tree.map(lambda x, r: x + dt * r, carry, system.rate(middle, t + dt / 2))

        guess = jax.tree.map(lambda x, r: x + dt * r, carry, system.rate(carry, t))
        return fixed_point(image, guess, self.tolerance, self.limit)


@dataclass(frozen=True)
class Verlet(FixedSteps):
    """Fixed steps of velocity Verlet, one acceleration a step: q' = q + dt v + dt^2 a / 2, v' = v + dt (a + a') / 2.

    Order 2, explicit, stable for dt below 2 / (highest frequency); symplectic where a does not depend on v,
    nearly so where the mass matrix is nearly constant. a' is taken at v + dt a, which keeps order 2 in any case.

    Args:
        dt: largest step; each interval of ts is cut into equal steps no longer than that.

    Raises:
        ValueError: a dt that is not positive.
    """

    dt: float
    opening: ClassVar[int] = 1

    def __post_init__(self):
        _arguments.positive("Verlet: dt", self.dt)

    def start(self, system: System, state: State, t):
        """q, v and a, which the first step finds."""
        _acceleration(system)  # a state of one field goes no further
        return *state, jnp.zeros_like(state[0])

    def step(self, system: System, carry, t, dt):
        """q', v' and a'."""
        q, v, a = carry
        q, guess = q + dt * v + 0.5 * dt**2 * a, v + dt * a
        following = _acceleration(system)(q, guess, t + dt)
        return q, v + 0.5 * dt * (a + following), following

    def state(self, system: System, carry, t) -> State:
        """q and v."""
        return carry[:2]

    def beyond(self, system: System, state: State, t) -> str:
        """2 / (highest frequency)."""
        omega = float(_frequency(system, *state, t))
        limit = f"the stability limit of Verlet, 2 / (highest frequency) = {2 / omega:.3g}" if omega else ""
        return limit if self.dt * omega > 2 else ""


def _acceleration(system):
    return require(system, "acceleration", "Verlet", "use Adaptive() or ImplicitMidpoint(dt)")


@jax.jit
def _frequency(system, q, v, t):
    """The highest frequency omega of small changes of q, omega^2 the largest eigenvalue of M^-1 K, by power iteration:
    from below where that is symmetric, so that steps within the limit are not blamed."""

    def again(change, _):
        change = change / jnp.linalg.norm(change)
        response = jax.jvp(lambda q: system.acceleration(q, v, t), (q,), (change,))[1]
        return response, jnp.linalg.norm(response)

    change = jnp.cos(1.0 + 2.7 * jnp.arange(q.size, dtype=q.dtype) ** 2).reshape(q.shape)
    return jnp.sqrt(lax.scan(again, change, length=200)[1][-1])

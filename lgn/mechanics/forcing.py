"""Forcing: what acts on a Lagrangian from outside: a force F, a control u, and friction that takes energy."""

import inspect
from collections.abc import Callable
from typing import Any, ClassVar, Self

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array

from lgn import _arguments, _arrays
from lgn._pytrees import attribute
from lgn.assembly.domain import Field
from lgn.assembly.functional import Functional
from lgn.assembly.rows import Rows, nodes
from lgn.densities.density import config_of

Force = Array | Callable[..., Field] | None
Control = Array | Callable[[Array], Array] | None
NAMES = ("t", "time"), ("u", "control")  # of the third and of the fourth argument of a force


class Driver(nnx.Pytree):
    """Base of what acts on a system from outside, an array of nodes or a function of the whole state, and its control.

    Attributes:
        name: of what acts, the first argument of the constructor and the attribute that holds it.
        control: u, an array, or a function u(t) that returns one.
    """

    name: ClassVar[str]

    def __init__(self, acting, control: Control):
        setattr(self, self.name, _given(self.name, acting))
        self.control = _given("control", control)
        self.rows: Rows | None = None  # of states, where these are divided

    config = config_of

    def on_rows(self, rows: Rows) -> Self:
        """The same on rows: an array as rows, a function as one that meets the whole state in the graph's order."""
        other, acting = jax.tree.map(lambda x: x, self), getattr(self, self.name)
        if callable(acting):
            other.rows = nnx.data(rows) if rows.divided else None
        elif acting is not None:
            setattr(other, self.name, nnx.data(rows.enter(acting)))
        return other

    def controlled(self, control: Control) -> Self:
        """The same with another control."""
        return type(self)(getattr(self, self.name), control)

    def at(self, t):
        """Control u(t)."""
        return _arguments.explained("control", self.control, t) if callable(self.control) else self.control


class Forcing(Driver):
    """F(q, v, t, u) and u(t).

    Args:
        force: an array (node, dim), or a function F(q, v), F(q, v, t) or F(q, v, t, u); None for no force. A third
            argument is the time if it is called t, time or _, a fourth the control if it is called u, control or _;
            every other needs a default, or a value by `functools.partial`, which then stands.
        control: u, an array, or a function u(t) that returns one.

    Raises:
        ValueError: a force of other arguments, of a control that is not given, or of values that are not (node, dim).
    """

    name = "force"
    force: Any

    def __init__(self, force: Force = None, control: Control = None):
        super().__init__(force, control)
        self._taken = _count_arguments(force) if callable(force) else 0

    def __call__(self, q: Field, v: Field, t) -> Field:
        """Force F, (node, dim)."""
        if self.force is None:
            return jnp.zeros_like(q)
        rows, force, expected = self.rows or nodes(len(q)), self.force, q.shape
        if callable(force):
            known = (rows.leave(q), rows.leave(v), t, self.at(t))[: self._taken]
            if self._taken == 4 and self.control is None:
                raise ValueError(
                    "force(q, v, t, u) reads the control u, but control is None; give control=u(t), or an lgn.Signal, "
                    "to the system, to `replace` or to `rollout`"
                )
            _arguments.reads_within("force", force, *known)
            force, expected = _arguments.explained("force", force, *known), known[0].shape
        if jnp.shape(force) != expected:  # broadcasting would push every node
            raise ValueError(
                f"force has shape {jnp.shape(force)}; expected that of q, (node, dim) = {expected}: give one for each "
                f"node, such as force * jnp.ones_like(q)"
            )
        return rows.enter(force) if callable(self.force) else force.astype(q.dtype)

    def known_at(self, features, t):
        """Features of nodes, edges and graph, with `time` and `control`, which L and friction may read."""
        nodes, edges, whole = features
        moment = {"time": t} if (control := self.at(t)) is None else {"time": t, "control": control}
        return nodes, edges, {**whole, **moment}


class Port(Driver):
    """What drives a flow from outside, B(u) w(t): the energy H changes by grad H . B w.

    Args:
        port: B, an array (node, dim, input), or (node, dim) of a single input without an axis; or a function B(u) of
            the whole state that returns one, such as a module with parameters; None for nothing.
        control: w, an array (input,), a function w(t) that returns one, or an `lgn.Signal`.

    Raises:
        ValueError: a control that is not given, or a B that does not fit it.
    """

    name = "port"
    port: Any

    def __init__(self, port: Array | Callable[..., Array] | None = None, control: Control = None):
        super().__init__(port, control)

    def __call__(self, u: Field, t) -> Field:
        """B(u) w(t), (node, dim), in the unit of u over time."""
        if self.port is None:
            return jnp.zeros_like(u)
        rows, port = self.rows or nodes(len(u)), self.port
        if self.control is None:
            raise ValueError("port: B(u) w(t) needs w, but control is None; give control=w(t), or an lgn.Signal")
        w, whole = jnp.asarray(self.at(t), u.dtype), rows.leave(u) if callable(port) else u
        expected, found = (
            (*whole.shape, *w.shape),
            _arguments.explained("port", port, whole) if callable(port) else port,
        )
        if jnp.shape(found) != expected:
            raise ValueError(
                f"port has shape {jnp.shape(found)} and the control {w.shape}; expected (node, dim) and the axes of "
                f"the control, {expected}"
            )
        driven = jnp.tensordot(found.astype(u.dtype), w, w.ndim)
        return rows.enter(driven) if callable(port) else driven


def check_dissipation(dissipation: Functional, features, q: Field, v: Field) -> None:
    """Raises ValueError unless R >= 0 and v . dR/dv >= 0, at this state and at one that moves in every degree of
    freedom."""
    for velocity in (v, np.cos(1.0 + np.arange(v.size)).reshape(v.shape).astype(v.dtype)):
        found, taken = map(float, _taken(dissipation, features, q, velocity))
        if min(found, taken) < 0:
            raise ValueError(
                f"dissipation: R = {found:.3g} and v . dR/dv = {taken:.3g} at v = {np.ravel(velocity)[:4]}; "
                f"neither may be negative, since friction cannot add energy; lgn.PositiveForm never is"
            )


@jax.jit  # one program in place of its forty operations
def _taken(dissipation, features, q, v):
    """R and v . dR/dv."""
    return dissipation(features, q, v), jnp.sum(v * dissipation.gradient(features, q, v, field=1))


def _given(name, value):
    """A function or a parameter as it is, all else as an array of real numbers."""
    if value is None or callable(value):
        return attribute(_arguments.made(name, value, "a function, or an array"))
    found = _arrays.numbers(name, value)
    return attribute(value if isinstance(value, nnx.Variable) else jnp.asarray(found))


def _count_arguments(force) -> int:
    """How many of (q, v, t, u) a force takes: told by the names of its third and fourth argument."""
    taken = list(inspect.signature(force).parameters.values())
    places = [p for p in taken if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    expected = "expected force(q, v), force(q, v, t) or force(q, v, t, u)"
    if len(places) < 2 or any(p.kind is p.VAR_POSITIONAL for p in taken):
        found = ", ".join(map(str, taken))
        raise ValueError(f"force({found}) takes {len(places)} arguments by position; {expected}")
    count = 2
    for place, known in zip(places[2:], NAMES, strict=False):
        if place.name.strip("_") not in (*known, ""):
            break
        count += 1
    for other in [p for p in taken if p not in places[:count] and p.kind is not p.VAR_KEYWORD]:
        if other.default is other.empty:
            raise ValueError(
                f"force takes the argument {other.name!r}; {expected}: call the third t or time and the fourth u or "
                f"control, and give every other a default, or a value by functools.partial"
            )
    return count

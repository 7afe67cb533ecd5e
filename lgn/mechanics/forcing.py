"""Forcing: what acts on a Lagrangian from outside: a force F, a control u, and friction that takes energy."""

import inspect
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array

from lgn._pytrees import attribute
from lgn.assembly.domain import Field
from lgn.assembly.functional import Functional


class Forcing(nnx.Pytree):
    """F(q, v, t, u) and u(t).

    Args:
        force: an array (node, dim), or a function F(q, v), F(q, v, t) or F(q, v, t, u); None for no force.
        control: u, an array, or a function u(t) that returns one.

    Raises:
        ValueError: a force of another number of arguments, or of a control that is not given.

    Example:
        >>> import jax.numpy as jnp, lgn
        >>> def ball(q, v, features): return 1.5 * v[0, 0] ** 2
        >>> L = lgn.Lagrangian(lgn.single_node(), ball, force=lambda q, v, t, u: u * jnp.ones_like(q), control=jnp.cos)
        >>> round(L.acceleration(jnp.zeros((1, 1)), jnp.zeros((1, 1)), t=0.0).item(), 4)
        0.3333
    """

    def __init__(
        self,
        force: Array | Callable[..., Field] | None = None,
        control: Array | Callable[[Array], Array] | None = None,
    ):
        self.force = attribute(jnp.asarray(force) if isinstance(force, np.ndarray) else force)
        self.control = attribute(control if control is None or callable(control) else jnp.asarray(control))
        self._taken = _count_arguments(force) if callable(force) else 0
        if self._taken == 4 and control is None:
            raise ValueError("force(q, v, t, u) reads the control u, but control is None; give control=u(t)")

    def config(self) -> dict:
        """Arguments that make it again."""
        return {"force": self.force, "control": self.control}

    def replace(self, values: dict) -> tuple["Forcing", dict]:
        """The same with the `control` from the values, and the remaining values."""
        if "control" not in values:
            return self, values
        others = {name: x for name, x in values.items() if name != "control"}
        return Forcing(self.force, values["control"]), others

    def __call__(self, q: Field, v: Field, t) -> Field:
        """F."""
        if self.force is None:
            return jnp.zeros_like(q)
        if not callable(self.force):
            return self.force.astype(q.dtype)
        return self.force(*(q, v, t, self.at(t))[: self._taken])

    def at(self, t):
        """u(t)."""
        return self.control(t) if callable(self.control) else self.control

    def known_at(self, features, t):
        """Features of nodes, edges and graph, with `time` and `control`, which friction may read."""
        nodes, edges, whole = features
        control = self.at(t)
        moment = {"time": t} if control is None else {"time": t, "control": control}
        return nodes, edges, {**whole, **moment}


def check_dissipation(dissipation: Functional, features, q: Field, v: Field) -> None:
    """Raises ValueError unless R >= 0 and v . dR/dv >= 0, at this state and at one that moves in every degree of
    freedom."""
    for velocity in (v, jnp.cos(1.0 + jnp.arange(v.size, dtype=v.dtype)).reshape(v.shape)):
        found = float(dissipation(features, q, velocity))
        taken = float(jnp.sum(velocity * dissipation.gradient(features, q, velocity, field=1)))
        if min(found, taken) < 0:
            raise ValueError(
                f"dissipation: R = {found:.3g} and v . dR/dv = {taken:.3g} at v = {np.ravel(velocity)[:4]}; "
                f"neither may be negative, since friction cannot add energy; lgn.PositiveForm never is"
            )


def _count_arguments(force) -> int:
    count = len(inspect.signature(force).parameters)
    if count not in (2, 3, 4):
        raise ValueError(f"force takes {count} arguments; expected force(q, v), force(q, v, t) or force(q, v, t, u)")
    return count

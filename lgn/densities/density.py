"""Density: a local function l(q, v, features) -> scalar, its expansion, and the arguments that make it again."""

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Density = Callable[..., Float[Array, ""]]  # (q, v, features), or (u, features) of one field
RANDOM = ("rngs", "initializer")  # arguments that matter only where random weights are drawn


class Expansion(NamedTuple):
    """What the equation of motion needs of a density on a batch of elements.

    Attributes:
        force: dl/dq, (element, slot, dim).
        momentum: dl/dv, (element, slot, dim).
        mass: d2l/dv dv, (element, slot, dim, slot, dim).
        convection: (d2l/dv dq) v, (element, slot, dim).
    """

    force: Float[Array, "element slot dim"]
    momentum: Float[Array, "element slot dim"]
    mass: Float[Array, "element slot dim slot dim"]
    convection: Float[Array, "element slot dim"]


def kinetic_energy(q, v, features):
    """0.5 |v|^2 of slot 0: the Lagrangian of free unit masses."""
    return 0.5 * jnp.sum(v[0] ** 2)


def energy_density(density: Density) -> Density:
    """v . dl/dv - l, the energy of a density l(q, v)."""

    def energy(q, v, features):
        value, momentum = jax.value_and_grad(density, argnums=1)(q, v, features)
        return jnp.sum(v * momentum) - value

    return energy


def config_of(self) -> dict[str, Any]:
    """The arguments that make an object of this shape again: those named by its constructor, read from attributes of
    the same names, and for `**inputs` the settings of its `Inputs`. Random streams and initialisers are left out.

    Raises:
        ValueError: an argument without an attribute of its name.

    Example:
        >>> import lgn
        >>> class Spring:
        ...     config = lgn.config_of
        ...     def __init__(self, stiffness):
        ...         self.stiffness = stiffness
        >>> Spring(2.0).config()
        {'stiffness': 2.0}
    """
    taken = list(inspect.signature(type(self).__init__).parameters.values())[1:]
    kept = [p.name for p in taken if p.kind is not p.VAR_KEYWORD and p.name not in RANDOM]
    if lacking := [name for name in kept if not hasattr(self, name)]:
        raise ValueError(
            f"config_of: {type(self).__name__} has no attribute {lacking[0]!r} of its argument of that name; set "
            f"self.{lacking[0]} = {lacking[0]}, or write a config() of your own"
        )
    named = {name: getattr(self, name) for name in kept}
    return named | (self.inputs.settings() if any(p.kind is p.VAR_KEYWORD for p in taken) else {})

"""Density: a local function l(q, v, features) -> scalar, and all that lgn asks of one."""

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from lgn._pytrees import attribute

DensityLike = Callable[..., Float[Array, ""]]  # a `Density`, or a function (q, v, features) or (u, features)
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


class Density(nnx.Module):
    """Base class of densities: a local function of the values at a few nodes, which a functional sums over a graph.

        l(q, v, features) of second order in time,    h(u, features) of first order

    with q, v, u (slot, dim) and `features` a dict of (slot, ...) arrays, one of which is the `mask` of filled slots.
    Only `__call__` must be written. A plain function is a density too: lgn reads it as one by `as_density`, with the
    members below where the function carries attributes of these names, and the defaults where it does not.

    Attributes:
        slots: nodes that an element reads: a number; `...` for as many as the stencil has; None for any number of
            them in any order, the empty ones told by the mask.
        dim: values a node carries; None for any number.
        inputs: the `Inputs` of a network, None of what has none.

    Example:
        >>> import jax.numpy as jnp, lgn
        >>> class Spring(lgn.Density):
        ...     def __init__(self, stiffness): self.stiffness = stiffness
        ...     def __call__(self, q, v, features):
        ...         return 0.5 * v[0, 0] ** 2 - 0.5 * self.stiffness * (q[2, 0] - q[0, 0]) ** 2
        >>> L = lgn.Lagrangian(lgn.lattice((4,)), Spring(2.0))
        >>> L.acceleration(jnp.eye(4)[:, :1], jnp.zeros((4, 1))).ravel().tolist()
        [-4.0, 2.0, 0.0, 2.0]
        >>> L.density.config()
        {'stiffness': 2.0}
    """

    slots: Any = ...
    dim: Any = None
    inputs: Any = None

    config = config_of

    def __init__(self):
        """A density without arguments, whose `config` is empty."""

    def __call__(self, *local) -> Float[Array, ""]:
        """The density of one element; `local` is (q, v, features) or (u, features)."""
        raise NotImplementedError(f"{self.name} has no __call__(q, v, features) -> scalar; write it")

    @property
    def name(self) -> str:
        """Name for messages."""
        return type(self).__name__

    @property
    def fields(self) -> int | None:
        """How many fields it takes beside the features: 2 for (q, v), 1 for u, None where its signature does not
        say."""
        return _fields(self, self.inputs)

    def expand(self, q, v, features) -> Expansion | None:
        """Closed form of all derivatives of a batch of elements, where there is one that is quicker than automatic
        differentiation.

        Args:
            q: (element, slot, dim).
            v: (element, slot, dim).
            features: name to (element, ...) array.
        """
        return None

    def seen(self, *local, read=None) -> Float[Array, "row value"]:
        """What it sees of one element, by which elements of a motion are compared with those of training.

        Args:
            local: (q, v, features) or (u, features).
            read: for each field (slot, dim) bool, the entries that it depends on; by default all.
        """
        *state, _ = local
        if self.inputs is not None and self.inputs.slots == len(state[0]):
            return self.inputs(*local)[None]
        used = [np.ones(x.shape, bool) for x in state] if read is None else read
        return jnp.concatenate([x[which] for x, which in zip(state, used, strict=False)])[None]

    def rows(self, mask: np.ndarray) -> np.ndarray:
        """(element, row) bool: which rows of `seen` are of slots that are filled.

        Args:
            mask: (element, slot), 1 where a slot is filled.
        """
        return np.ones((len(mask), 1), bool)


class Plain(Density):
    """A function, or any other thing that can be called, read as a `Density`."""

    def __init__(self, function: DensityLike):
        self.function = attribute(function)
        for member in ("slots", "dim", "inputs"):
            if hasattr(function, member):
                setattr(self, member, getattr(function, member))

    def __call__(self, *local) -> Float[Array, ""]:
        return self.function(*local)

    @property
    def name(self) -> str:
        return getattr(self.function, "__name__", type(self.function).__name__)

    @property
    def fields(self) -> int | None:
        return _fields(self.function, self.inputs)

    def expand(self, q, v, features) -> Expansion | None:
        closed = getattr(self.function, "expand", None)
        return None if closed is None else closed(q, v, features)


def as_density(density: DensityLike) -> Density:
    """A density with every member: itself, or a function as `Plain`.

    Example:
        >>> from lgn.densities.density import as_density
        >>> def spring(q, v, features): return -0.5 * (q[1, 0] - q[0, 0]) ** 2
        >>> as_density(spring).name, as_density(spring).fields, as_density(spring).dim
        ('spring', 2, None)
    """
    return density if isinstance(density, Density) else Plain(density)


def _fields(function, inputs) -> int | None:
    if hasattr(inputs, "fields"):
        return inputs.fields
    try:
        taken = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    if any(p.kind is p.VAR_POSITIONAL for p in taken):
        return None
    return sum(p.default is p.empty and p.kind is not p.VAR_KEYWORD for p in taken) - 1


def kinetic_energy(q, v, features):
    """0.5 |v|^2 of slot 0: the Lagrangian of free unit masses."""
    return 0.5 * jnp.sum(v[0] ** 2)


def energy_density(density: DensityLike) -> DensityLike:
    """v . dl/dv - l, the energy of a density l(q, v)."""

    def energy(q, v, features):
        value, momentum = jax.value_and_grad(density, argnums=1)(q, v, features)
        return jnp.sum(v * momentum) - value

    return energy

"""System: what integrators, losses and checkpoints ask of whatever moves."""

from typing import Any, Protocol, runtime_checkable

from jaxtyping import Array, Float

from lgn import _arguments
from lgn.assembly.domain import State


@runtime_checkable
class System(Protocol):
    """Anything that moves: a pytree with a rate, an energy, a check of its states, and a way to make it again.

    A state is a tuple of (node, dim) arrays: (q, v) of second order in time, (u,) of first. What only some systems
    have, such as `acceleration` or `momentum_balance`, is asked for only by the integrators and losses that need it.
    """

    def rate(self, state: State, t: Any = 0.0) -> State:
        """d state / dt, of the same shapes."""

    def energy(self, *state: Any) -> Float[Array, ""]:
        """What is conserved where nothing drives or damps."""

    def check(self, *state: Any) -> None:
        """Raises ValueError if this is not a state of the system."""

    def config(self) -> dict[str, Any]:
        """The arguments that make a system of this shape again."""


def check_system(system: Any) -> Any:
    """Itself, if it moves. Raises ValueError else."""
    examples = "lgn.Lagrangian(graph, density), lgn.EnergyFlow, lgn.Baseline, or an object with rate, energy and check"
    return _arguments.has("system", system, ("rate", "energy", "check"), examples)


def require(system: Any, name: str, asked_by: str, remedy: str) -> Any:
    """The attribute of a system that not every system has.

    Raises:
        ValueError: the system lacks it; says who asked and what to do.
    """
    found = getattr(system, name, None)
    if found is None:
        raise ValueError(f"{asked_by} needs `{name}` of the system, which {type(system).__name__} lacks; {remedy}")
    return found

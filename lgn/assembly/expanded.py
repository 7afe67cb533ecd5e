"""Expanded: a functional whose expansions at one state are known."""

from collections.abc import Callable, Sequence

from flax import nnx

from lgn.assembly.functional import Functional
from lgn.densities.density import Expansion


class Expanded(nnx.Pytree):
    """A functional with what its densities and their derivatives are on every element at one state, for equations at
    that state: the densities are not evaluated again.

    Args:
        functional: a sum of densities.
        expansions: of its parts, in their order.
    """

    def __init__(self, functional: Functional, expansions: Sequence[Expansion]):
        self.functional = functional
        self.expansions = nnx.data(list(expansions))

    def check(self, *state) -> None:
        """That of the functional."""
        self.functional.check(*state)

    def expand(self, features, q, v, parts: Callable):
        """`Functional.expand` at that state."""
        functional = self.functional
        return functional.assemble(functional.parts(features, q, v), self.expansions, q, parts)

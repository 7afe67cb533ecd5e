"""Divided: a system whose states are rows over devices, asked and answering in the graph's order."""

from collections.abc import Callable
from functools import partial, wraps
from inspect import signature
from typing import Any, Self, TypeVar, cast

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array

from lgn.parallel.domain import DividedDomain
from lgn.parallel.rows import Rows

Method = TypeVar("Method", bound=Callable)


class Divided(nnx.Pytree):
    """What is the same of every system that `shard` makes.

    Attributes:
        inside: the system of states in rows, on which integrators run; see `Rows`.
        rows: the way there and back.
    """

    inside: Any
    rows: Rows

    @property
    def graph(self):
        """The graph in its own order, with its features as they are now."""
        return self.domain.graph

    @property
    def domain(self) -> DividedDomain:
        """The graph with its features in rows, and its clamps."""
        return self.inside.domain

    @property
    def driven(self) -> bool:
        """Whether the energy may rise."""
        return self.inside.driven

    @property
    def canonical(self) -> bool:
        """Whether the state is u = (q, p)."""
        return self.inside.canonical

    @property
    def density(self):
        """The density, or the densities of the terms."""
        return self.inside.density

    @property
    def terms(self) -> list:
        """The terms, on the whole graph."""
        return self.inside.terms

    def replace(self, **values: Array) -> Self:
        """The same with other values, in the graph's order, of its features: see `Domain.replace`."""
        other = jax.tree.map(lambda x: x, self)
        other.inside = self.inside.replace(**values)
        return other

    def gathered(self, tree: Any) -> Any:
        """A tree with its arrays on one device."""
        whole = NamedSharding(self.rows.sharding.mesh, PartitionSpec())

        def one(x):
            return jnp.asarray(np.asarray(jax.device_put(x, whole))) if isinstance(x, jax.Array) else x

        return jax.tree.map(one, tree)

    def __repr__(self) -> str:
        divided = self.rows.sharding
        devices = divided.mesh.shape[divided.spec[0]]
        return (
            f"{type(self).__name__}({self.rows.n_node} nodes over {devices} devices, "
            f"density={self.inside.functional.name})"
        )

    __str__ = __repr__


def in_rows(method: Method) -> Method:
    """A method of a system as one of the divided: of the system in rows, with states in the graph's order."""
    parameters = signature(method)

    @wraps(method)
    def call(self, *arguments, **named):
        given = parameters.bind(self, *arguments, **named).args[1:] if named else arguments
        self.check(*(x for x in jax.tree.leaves(given) if np.ndim(x)))
        return evaluate(self, method.__name__, *given)

    return cast(Method, call)


@partial(jax.jit, static_argnames="method")
def evaluate(system: Divided, method: str, *arguments):
    """A method of the system in rows, of states in the graph's order."""
    rows = system.rows
    entered = jax.tree.map(lambda x: rows.enter(x) if jnp.ndim(x) == 2 else x, arguments)
    return rows.leave_all(getattr(system.inside, method)(*entered))

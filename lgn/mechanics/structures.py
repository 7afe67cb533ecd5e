"""Structures: linear maps G on (node, dim) that turn the gradient of an energy into a motion, du/dt = G grad H."""

from collections.abc import Sequence
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import jraph
import numpy as np
from flax import nnx

from lgn import _arguments
from lgn._pytrees import attribute
from lgn.assembly.domain import Field
from lgn.densities.density import config_of


class Structure(Protocol):
    """What an `EnergyFlow` asks of G; any object with these is a structure.

    `conserves` promises G^T = -G, `dissipates` that x . G x <= 0: `Operator.check` compares G with them. `least`, if it
    has one, is the fewest degrees of freedom that it takes, by default 1. `local`, if it is true, promises that all
    tables are (node, ...) and that G x at a node reads x there and at the nodes in its row of the tables of integers,
    -1 for none: `shard` divides such a structure over devices.
    """

    conserves: bool
    dissipates: bool

    def tables(self, graph: jraph.GraphsTuple) -> Any:
        """What G needs of a graph: numpy arrays in any tree. Raises ValueError where G has no meaning there."""

    def apply(self, tables: Any, x: Field) -> Field:
        """G x."""

    def config(self) -> dict[str, Any]:
        """The arguments that make it again."""


def check_structure(name: str, structure: Any) -> Structure:
    """Itself, if it is one. Raises ValueError else."""
    members = ("tables", "apply", "conserves", "dissipates")
    known = "lgn.Symplectic(), lgn.FirstDifference(), lgn.Laplacian() or another"
    return _arguments.has(name, structure, members, f"{known}, or an object with {', '.join(members)}")


def combines(cls):
    """Gives a structure the algebra of linear maps: A + B, 2.0 * A, -A."""
    cls.__add__ = lambda self, other: Sum([self, other])
    cls.__rmul__ = lambda self, factor: Scaled(self, factor)
    cls.__neg__ = lambda self: Scaled(self, -1.0)
    return cls


@combines
class Scaled(nnx.Pytree):
    """A structure times a number, which `c * A` and `-A` make; c may be an `nnx.Param`.

    Raises:
        ValueError: what is no structure or no number; a factor that is negative or learned, for a structure that
            dissipates.

    Example:
        >>> import jax.numpy as jnp, lgn
        >>> def kdv(u, features): return 0.5 * (u[2, 0] - u[0, 0]) ** 2 - u[0, 0] ** 3
        >>> flow = lgn.EnergyFlow(lgn.lattice((5,)), kdv, structure=-lgn.FirstDifference())
        >>> flow.rate((jnp.eye(5)[:, :1],))[0][1:, 0].tolist()
        [-0.5, -0.5, 0.5, 0.5]
    """

    config = config_of

    def __init__(self, structure: Structure, factor: float | nnx.Param):
        check_structure("structure", structure)
        if not isinstance(factor, nnx.Param | jax.core.Tracer) and not (
            _arguments.real(factor) and np.ndim(factor) == 0 and np.isfinite(factor)
        ):
            raise ValueError(f"Scaled: factor={factor!r}; give a finite number, or an nnx.Param of one")
        unsure = isinstance(factor, nnx.Param) or factor < 0
        if structure.dissipates and unsure:
            raise ValueError(
                f"factor {factor} of {type(structure).__name__}, which dissipates: energy could rise; give a number "
                f"that is not negative, or turn the sign of H round"
            )
        self.structure, self.factor = nnx.data(structure), attribute(factor)

    @property
    def least(self) -> int:
        """As the structure."""
        return getattr(self.structure, "least", 1)

    @property
    def local(self) -> bool:
        """As the structure."""
        return getattr(self.structure, "local", False)

    @property
    def conserves(self) -> bool:
        """As the structure."""
        return self.structure.conserves

    @property
    def dissipates(self) -> bool:
        """As the structure."""
        return self.structure.dissipates

    def tables(self, graph):
        """As the structure."""
        return self.structure.tables(graph)

    def apply(self, tables, x: Field) -> Field:
        """c G x."""
        factor = self.factor.get_value() if isinstance(self.factor, nnx.Param) else self.factor
        return jnp.asarray(factor, x.dtype) * self.structure.apply(tables, x)


@combines
class Sum(nnx.Pytree):
    """The sum of structures, which `A + B` makes.

    Raises:
        ValueError: no structure, or what is none.

    Example:
        >>> import jax.numpy as jnp, lgn
        >>> both = lgn.FirstDifference() + lgn.Laplacian()
        >>> flow = lgn.EnergyFlow(lgn.lattice((4,)), lambda u, features: 0.5 * u[0, 0] ** 2, structure=both)
        >>> flow.rate((jnp.eye(4)[:, :1],))[0][:, 0].tolist()
        [-2.0, 0.5, 0.0, 1.5]
    """

    config = config_of

    def __init__(self, parts: Sequence[Structure]):
        if not isinstance(parts, list | tuple) or not parts:
            raise ValueError(f"Sum: parts={parts!r}; give a list of one structure or more")
        self.parts = nnx.data([check_structure("Sum: a part", part) for part in parts])

    @property
    def least(self) -> int:
        """The most of the fewest degrees of freedom that each takes."""
        return max(getattr(part, "least", 1) for part in self.parts)

    @property
    def local(self) -> bool:
        """Whether all are."""
        return all(getattr(part, "local", False) for part in self.parts)

    @property
    def conserves(self) -> bool:
        """Whether all do."""
        return all(part.conserves for part in self.parts)

    @property
    def dissipates(self) -> bool:
        """Whether each conserves or dissipates, and not all conserve."""
        return not self.conserves and all(part.conserves or part.dissipates for part in self.parts)

    def tables(self, graph):
        """Those of all."""
        return tuple(part.tables(graph) for part in self.parts)

    def apply(self, tables, x: Field) -> Field:
        """G x."""
        parts = (part.apply(own, x) for part, own in zip(self.parts, tables, strict=True))
        return sum(parts, jnp.zeros_like(x))

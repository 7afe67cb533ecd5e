"""Structures: linear maps G on (node, dim) that turn the gradient of an energy into a motion, du/dt = G grad H."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import jraph
import numpy as np
from flax import nnx
from jaxtyping import Array

from lgn import _arguments, _arrays
from lgn._pytrees import attribute
from lgn.assembly.domain import Field
from lgn.densities.density import config_of
from lgn.densities.transformed import halves
from lgn.mechanics.system import offered


class Structure(nnx.Pytree):
    """Base class of structures G, with the algebra of linear maps: A + B, 2.0 * A, -A.

    A new one gives `apply`, mostly `tables`, and says what it keeps. Any other object with `tables`, `apply`,
    `conserves` and `dissipates` is a structure too, and gets the defaults of the rest.

    Attributes:
        conserves: promises G^T = -G, so that energy is constant. `Operator.check` compares G with the promises.
        dissipates: promises x . G x <= 0, so that energy never rises.
        least: the fewest degrees of freedom that it takes.
        local: promises that all tables are (node, ...) and that G x at a node reads x there and at the nodes in its row
            of the tables of integers, -1 for none: `shard` divides such a structure over devices.
        canonical: whether u = (q, p), by Hamilton's equations.

    Example:
        >>> import jax.numpy as jnp, lgn
        >>> class Turn(lgn.Structure):
        ...     conserves, least = True, 2
        ...     def apply(self, tables, x): return jnp.stack([x[:, 1], -x[:, 0]], 1)
        >>> flow = lgn.EnergyFlow(lgn.single_node(), lambda u, features: 0.5 * jnp.sum(u**2), structure=2.0 * Turn())
        >>> flow.rate((jnp.array([[1.0, 3.0]]),))[0].tolist()
        [[6.0, -2.0]]
    """

    conserves: bool = False
    dissipates: bool = False
    least: int = 1
    local: bool = False
    canonical: bool = False
    config = config_of

    def __init__(self):
        """A structure without arguments."""

    def tables(self, graph: jraph.GraphsTuple) -> Any:
        """Tables that G needs of a graph: numpy arrays in any tree. Raises ValueError where G has no meaning there."""
        return ()

    @abstractmethod
    def apply(self, tables: Any, x: Field) -> Field:
        """G x, (node, dim), by the `tables` of the graph of x."""

    def __add__(self, other: "Structure") -> "Sum":
        return Sum([self, other])

    def __rmul__(self, factor: float | nnx.Param) -> "Scaled":
        return Scaled(self, factor)

    def __neg__(self) -> "Scaled":
        return Scaled(self, -1.0)


def check_structure(name: str, structure: Any) -> Structure:
    """Check that an object is a structure, and return it. Raises ValueError else."""
    members = ("tables", "apply", "conserves", "dissipates")
    known = "lgn.Symplectic(), lgn.FirstDifference(), lgn.Laplacian() or another"
    return _arguments.has(name, structure, members, f"{known}, or an object with {', '.join(members)}")


class Scaled(Structure):
    """A structure times a number, which `c * A` and `-A` make; c may be an `nnx.Param`.

    Raises:
        ValueError: what is no structure or no number; a factor that is negative or learned, for a structure that
            dissipates.
    """

    def __init__(self, structure: Structure, factor: float | nnx.Param):
        check_structure("structure", structure)
        if not isinstance(factor, nnx.Param | jax.core.Tracer) and not (
            _arguments.real(factor) and np.ndim(factor) == 0 and np.isfinite(factor)
        ):
            raise ValueError(f"Scaled: factor={factor!r}; give a finite number, or an nnx.Param of one")
        if structure.dissipates and (isinstance(factor, nnx.Param) or factor < 0):
            raise ValueError(
                f"factor {factor} of {type(structure).__name__}, which dissipates: energy could rise; give a number "
                f"that is not negative, or turn the sign of H round"
            )
        self.structure, self.factor = nnx.data(structure), attribute(factor)
        self.conserves, self.dissipates = structure.conserves, structure.dissipates
        self.least, self.local = (offered(structure, name, Structure) for name in ("least", "local"))

    def tables(self, graph):
        return self.structure.tables(graph)

    def apply(self, tables, x: Field) -> Field:
        factor = self.factor.get_value() if isinstance(self.factor, nnx.Param) else self.factor
        return jnp.asarray(factor, x.dtype) * self.structure.apply(tables, x)


class Sum(Structure):
    """Sum of structures, which `A + B` makes.

    Raises:
        ValueError: no structure, or what is none.
    """

    def __init__(self, parts: Sequence[Structure]):
        if not isinstance(parts, list | tuple) or not parts:
            raise ValueError(f"Sum: parts={parts!r}; give a list of one structure or more")
        self.parts = nnx.data([check_structure("Sum: a part", part) for part in parts])
        self.conserves = all(part.conserves for part in parts)
        self.dissipates = not self.conserves and all(part.conserves or part.dissipates for part in parts)
        self.least = max(offered(part, "least", Structure) for part in parts)
        self.local = all(offered(part, "local", Structure) for part in parts)

    def tables(self, graph):
        return tuple(part.tables(graph) for part in self.parts)

    def apply(self, tables, x: Field) -> Field:
        parts = (part.apply(own, x) for part, own in zip(self.parts, tables, strict=True))
        return sum(parts, jnp.zeros_like(x))


class Symplectic(Structure):
    """Hamilton's equations on every node, dq/dt = dH/dp, dp/dt = -dH/dq of u = (q, p): G = [[0, 1], [-1, 0]]. It
    conserves.

    Example:
        >>> import jax.numpy as jnp, lgn
        >>> def spring(u, features): return u[0, 0] ** 2 + u[0, 1] ** 2
        >>> flow = lgn.EnergyFlow(lgn.single_node(), spring, structure=lgn.Symplectic())
        >>> flow.rate((jnp.array([[1.0, 3.0]]),))[0].tolist()
        [[6.0, -2.0]]
    """

    conserves, canonical, least, local = True, True, 2, True

    def apply(self, tables, x: Field) -> Field:
        by_q, by_p = halves(x)
        return jnp.concatenate([by_p, -by_q], 1)


class Relaxation(Structure):
    """du/dt = -r dH/du on every node, r >= 0: a gradient flow, down the energy. Allen and Cahn's equation, heat.

    Args:
        r: friction, a number or one for each degree of freedom that it rubs; an `nnx.Param` is learned, as the square
            of what is trained, so that it stays positive.

    Raises:
        ValueError: an r that is negative or not finite; another number of r than of degrees of freedom.

    Example:
        >>> import jax.numpy as jnp, lgn
        >>> def well(u, features): return 0.25 * (u[0, 0] ** 2 - 1) ** 2
        >>> flow = lgn.EnergyFlow(lgn.single_node(), well, structure=lgn.Relaxation(1.0))
        >>> motion = lgn.rollout(flow, jnp.array([[0.1]]), [0.0, 20.0])
        >>> round(float(motion.u[1, 0, 0]), 4)
        1.0
    """

    dissipates, local = True, True

    def __init__(self, r: float | Array | nnx.Param = 1.0):
        given = r.get_value() if isinstance(r, nnx.Param) else r
        value = jnp.asarray(_arrays.numbers("r", given), jnp.result_type(float))
        if not (jnp.isfinite(value).all() and (value >= 0).all()):
            raise ValueError(f"r={value}; expected a friction that is not negative")
        self._known = attribute(nnx.Param(jnp.sqrt(value)) if isinstance(r, nnx.Param) else np.asarray(value))
        self.least = value.size * type(self).least  # degrees of freedom of u for each r

    @property
    def r(self) -> Array:
        """Friction."""
        known = self._known
        return jnp.square(known[...]) if isinstance(known, nnx.Param) else jnp.asarray(known)

    def config(self) -> dict:
        """Arguments that make it again."""
        return {"r": nnx.Param(self.r) if isinstance(self._known, nnx.Param) else self.r}

    def apply(self, tables, x: Field) -> Field:
        return -self._rubbed(x)

    def _rubbed(self, x: Field) -> Field:
        """r x, of as many columns as there are r."""
        if self.r.size not in (1, x.shape[1]):
            raise ValueError(f"r has shape {self.r.shape}, but there are {x.shape[1]} values a node; give one for each")
        return self.r.astype(x.dtype) * x


class Damped(Relaxation):
    """`Symplectic` with friction: dp/dt = -dH/dq - r dH/dp, r >= 0. Energy falls by dH/dp . r dH/dp.

    Args:
        r: friction, a number or one for each p, given or learned as in `Relaxation`.

    Raises:
        ValueError: a friction that is negative or not finite.

    Source: Zhong, Dey, Chakraborty 2020, arXiv 2002.08860.

    Example:
        >>> import jax.numpy as jnp, lgn
        >>> def spring(u, features): return u[0, 0] ** 2 + u[0, 1] ** 2
        >>> flow = lgn.EnergyFlow(lgn.single_node(), spring, structure=lgn.Damped(0.5))
        >>> flow.rate((jnp.array([[1.0, 3.0]]),))[0].tolist()
        [[6.0, -5.0]]
    """

    canonical, least = True, 2

    def apply(self, tables, x: Field) -> Field:
        by_q, by_p = halves(x)
        return jnp.concatenate([by_p, -by_q - self._rubbed(by_p)], 1)

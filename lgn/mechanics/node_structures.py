"""Structures of a node alone: Hamilton's equations, friction, relaxation."""

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from lgn import _arrays
from lgn._pytrees import attribute
from lgn.assembly.domain import Field
from lgn.densities.density import config_of
from lgn.mechanics.structures import combines


@combines
class Symplectic(nnx.Pytree):
    """dq/dt = dH/dp, dp/dt = -dH/dq on every node, for u = (q, p): G = [[0, 1], [-1, 0]]. Energy is constant.

    Source: Hamilton's equations.

    Example:
        >>> import jax.numpy as jnp, lgn
        >>> def spring(u, features): return u[0, 0] ** 2 + u[0, 1] ** 2
        >>> flow = lgn.EnergyFlow(lgn.single_node(), spring, structure=lgn.Symplectic())
        >>> flow.rate((jnp.array([[1.0, 3.0]]),))[0].tolist()
        [[6.0, -2.0]]
    """

    conserves, dissipates, least, local = True, False, 2, True
    config = config_of

    def __init__(self):
        pass

    def tables(self, graph):
        """None."""
        return ()

    def apply(self, tables, x: Field) -> Field:
        """(x_p, -x_q)."""
        by_q, by_p = _halves(x)
        return jnp.concatenate([by_p, -by_q], 1)


@combines
class Damped(nnx.Pytree):
    """`Symplectic` with friction: dp/dt = -dH/dq - r dH/dp, r >= 0. Energy falls by dH/dp . r dH/dp.

    Args:
        r: friction, a number or one for each p; an `nnx.Param` is learned, as the square of what is trained, so that it
            stays positive.

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

    conserves, dissipates, local = False, True, True

    @property
    def least(self) -> int:
        """Degrees of freedom of u: q and p for each r."""
        return 2 * self.r.size

    def __init__(self, r: float | Array | nnx.Param):
        self.friction = nnx.data(Friction(r))

    @property
    def r(self) -> Array:
        """The friction."""
        return self.friction.value

    def config(self) -> dict:
        """The arguments that make it again."""
        return {"r": self.friction.argument}

    def tables(self, graph):
        """None."""
        return ()

    def apply(self, tables, x: Field) -> Field:
        """(x_p, -x_q - r x_p)."""
        by_q, by_p = _halves(x)
        return jnp.concatenate([by_p, -by_q - self.friction(by_p)], 1)


@combines
class Relaxation(nnx.Pytree):
    """du/dt = -r dH/du on every node, r >= 0: a gradient flow, down the energy. Allen and Cahn's equation, heat.

    Args:
        r: a number, or one for each degree of freedom; an `nnx.Param` is learned, see `Damped`.

    Raises:
        ValueError: an r that is negative or not finite.

    Example:
        >>> import jax.numpy as jnp, lgn
        >>> def well(u, features): return 0.25 * (u[0, 0] ** 2 - 1) ** 2
        >>> flow = lgn.EnergyFlow(lgn.single_node(), well, structure=lgn.Relaxation(1.0))
        >>> motion = lgn.rollout(flow, jnp.array([[0.1]]), [0.0, 20.0])
        >>> round(float(motion.u[1, 0, 0]), 4)
        1.0
    """

    conserves, dissipates, local = False, True, True

    def __init__(self, r: float | Array | nnx.Param = 1.0):
        self.friction = nnx.data(Friction(r))

    @property
    def r(self) -> Array:
        """The friction."""
        return self.friction.value

    @property
    def least(self) -> int:
        """Degrees of freedom of u: one for each r."""
        return self.r.size

    def config(self) -> dict:
        """The arguments that make it again."""
        return {"r": self.friction.argument}

    def tables(self, graph):
        """None."""
        return ()

    def apply(self, tables, x: Field) -> Field:
        """-r x."""
        return -self.friction(x)


class Friction(nnx.Pytree):
    """x -> r x with r >= 0, given, or learned as the square of what is trained.

    Args:
        r: see `Damped`.

    Raises:
        ValueError: an r that is negative or not finite; another number of r than of columns of x.
    """

    def __init__(self, r: float | Array | nnx.Param):
        given = r.get_value() if isinstance(r, nnx.Param) else r
        value = jnp.asarray(_arrays.numbers("r", given), jnp.result_type(float))
        if not (jnp.isfinite(value).all() and (value >= 0).all()):
            raise ValueError(f"r={value}; expected a friction that is not negative")
        self._known = attribute(nnx.Param(jnp.sqrt(value)) if isinstance(r, nnx.Param) else np.asarray(value))

    @property
    def value(self) -> Array:
        """r."""
        known = self._known
        return jnp.square(known[...]) if isinstance(known, nnx.Param) else jnp.asarray(known)

    @property
    def argument(self) -> Array | nnx.Param:
        """What makes it again."""
        return nnx.Param(self.value) if isinstance(self._known, nnx.Param) else self.value

    def __call__(self, x: Field) -> Field:
        if self.value.size not in (1, x.shape[1]):
            raise ValueError(
                f"r has shape {self.value.shape}, but there are {x.shape[1]} values a node; give one for each"
            )
        return self.value.astype(x.dtype) * x


def _halves(x: Float[Array, "node two_dim"]) -> tuple[Array, Array]:
    if x.shape[1] % 2:
        raise ValueError(f"u carries {x.shape[1]} values a node; u = (q, p) has an even number: as many p as q")
    return x[:, : x.shape[1] // 2], x[:, x.shape[1] // 2 :]

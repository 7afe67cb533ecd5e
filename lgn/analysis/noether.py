"""Noether: quantities of a motion along time, and which of them its system keeps constant by law.

Whether a symmetry holds is asked of the system, at states drawn at random near the motion, and not of the motion, which
may keep a quantity by chance: Q is constant by law where grad Q . d state / dt is zero, beside the sum of the sizes of
its terms, at all of them.
"""

from collections.abc import Callable, Mapping
from functools import partial
from itertools import combinations
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lgn import _arguments
from lgn.analysis.diagnostics import energy_size
from lgn.data.samples import Trajectory
from lgn.densities.transformed import halves
from lgn.mechanics.system import offered

STATES = 3  # drawn at random
OfNodes = Callable[..., jax.Array]
PART = 0.1  # by how much of the spread of the motion they are off it


class Quantity(NamedTuple):
    """A number that a motion carries.

    Attributes:
        name: in words.
        values: (time,).
        size: to compare changes with, the largest sum over the nodes of the sizes of what each contributes; of an
            energy `diagnostics.energy_size`.
        constant: whether the system keeps it by law.
    """

    name: str
    values: np.ndarray
    size: float
    constant: bool

    @property
    def change(self) -> np.ndarray:
        """Change since the first time relative to `size`, (time,)."""
        return np.abs(self.values - self.values[0]) / (self.size or 1.0)


def quantities(system, motion: Trajectory) -> list[Quantity]:
    """The energy of a motion, and the momenta, sums and angular momenta that its system keeps by law.

    Args:
        system: a Lagrangian, an EnergyFlow, or any other, of which the energy alone is known.
        motion: of it.

    Returns:
        The energy, whether it is constant or not, unless the system has none; then, of those that are constant, the
        sum over nodes of each component of p = dL/dv, or of u; and of two or three components the angular momenta
        q x p, of a Lagrangian or of u = (q, p).

    Raises:
        ValueError: what is no motion.

    Example:
        >>> import jax.numpy as jnp, lgn, numpy as np
        >>> from lgn.analysis.noether import quantities
        >>> def string(q, v, features): return 0.5 * v[0, 0] ** 2 - 0.5 * (q[2, 0] - q[0, 0]) ** 2
        >>> L = lgn.Lagrangian(lgn.lattice((5,)), string)
        >>> motion = lgn.rollout(L, (jnp.eye(5)[:, :1], jnp.zeros((5, 1))), np.linspace(0, 1, 5))
        >>> [(x.name, x.constant) for x in quantities(L, motion)]
        [('energy', True), ('momentum', True)]
    """
    _arguments.of_kind("quantities: motion", motion, Trajectory, "what lgn.rollout returns")
    asked = {"energy": lambda *state: system.energy(*state)[None], **_candidates(system, motion.state)}
    kept, values, sizes = _kept(system, motion, list(asked.values())), *_along(motion.state, list(asked.values()))
    largest = [energy_size(system, motion), *sizes.max(0).tolist()[1:]]
    found = [Quantity(*x) for x in zip(asked, values.T, largest, kept, strict=True)]
    return [x for x in found if np.isfinite(x.values).all() and (x.constant or x.name == "energy")]


def _candidates(system, state) -> Mapping[str, OfNodes]:
    """Candidates for conserved quantities, by name: the contribution of each node, (node,)."""
    pair: Callable[..., tuple]
    if (momentum := offered(system, "momentum")) is not None:
        pair, name = lambda q, v: (q, momentum(q, v)), "momentum"
    elif offered(system, "canonical"):
        pair, name = halves, "momentum"
    elif len(state) == 1:
        pair, name = lambda u: (None, u), "sum of u"
    else:
        return {}
    q, p = jax.eval_shape(pair, *(x[0] for x in state))
    dim = p.shape[1]
    found = {f"{name}{_axes(dim, i)}": lambda *state, i=i: pair(*state)[1][:, i] for i in range(dim)}
    planes = combinations(range(dim), 2) if q is not None and dim in (2, 3) else ()
    label = "angular momentum" + "{}" * (dim == 3)
    return found | {label.format(_axes(dim, *plane)): partial(_turn, pair, *plane) for plane in planes}


def _turn(pair, i, j, *state):
    q, p = pair(*state)
    return q[:, i] * p[:, j] - q[:, j] * p[:, i]


def _axes(dim: int, *which: int) -> str:
    """Label of components: letters for vectors in space, else numbers; empty for scalars."""
    return "" if dim == 1 else " " + "".join("xyz"[i] if dim <= 3 else str(i) for i in which)


def _along(state, asked: list[OfNodes]) -> tuple[np.ndarray, np.ndarray]:
    """Sums over the nodes, (time, quantity), and the sums of absolute values."""

    def sums(state):
        each = [of_nodes(*state) for of_nodes in asked]
        return jnp.stack([jnp.sum(x) for x in each]), jnp.stack([jnp.sum(jnp.abs(x)) for x in each])

    values, sizes = jax.jit(lambda state: jax.lax.map(sums, state))(state)
    return np.asarray(values), np.asarray(sizes)


def _kept(system, motion: Trajectory, asked: list[OfNodes]) -> list[bool]:
    """Flags of the quantities that the system conserves."""

    @jax.jit
    def changes(system, state, t):
        rate = system.rate(state, t)
        found = []
        for of_nodes in asked:
            slopes = jax.grad(lambda state, of_nodes=of_nodes: jnp.sum(of_nodes(*state)))(state)
            terms = jnp.concatenate([jnp.ravel(a * b) for a, b in zip(slopes, rate, strict=True)])
            found.append(jnp.abs(jnp.sum(terms)) <= jnp.sqrt(jnp.finfo(terms.dtype).eps) * jnp.sum(jnp.abs(terms)))
        return jnp.stack(found)

    rng = np.random.default_rng(0)
    free = offered(system, "free")
    picked = np.linspace(0, len(motion.t) - 1, STATES).astype(int)

    def near(x, i):
        off = PART * np.std(x) * rng.normal(size=x.shape[1:])
        return jnp.asarray(np.where(free, x[i] + off, x[i]), motion.state[0].dtype)

    fields = [np.asarray(x) for x in motion.state]
    held = [changes(system, tuple(near(x, i) for x in fields), float(motion.t[i])) for i in picked]
    return np.all(held, axis=0).tolist()

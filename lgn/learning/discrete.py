"""DiscreteLoss: learns an energy from pairs of snapshots, without a solver, by the law of a discrete gradient."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp

from lgn import _arguments
from lgn.assembly.discrete_gradient import MeanValue
from lgn.data.samples import Windows
from lgn.learning.errors import Error, relative
from lgn.learning.losses import expect, total, whole
from lgn.learning.samples import on_samples
from lgn.mechanics.system import offered, require


@dataclass(frozen=True, eq=False)
class DiscreteLoss:
    """Mean square of (u' - u) / dt - G grad-bar H(u', u) over successive states, relative to that of (u' - u) / dt; the
    sum over the fields of a state.

    `MeanValue(2)` costs least in training; a motion may then use `Automatic()`, which conserves H exactly.

    Args:
        gradient: the discrete gradient that is trained.
        weight: a linear map of (node, dim) by which both sides are compared, such as G^+,
            `flow.structure.pseudo_inverse(dim)`: the potential form, which compares grad-bar H with G^+ du/dt and is
            needed where G is stiff, for its largest eigenvalues would outweigh all others.
        error: how the two sides are compared; two states count where all nodes were seen in both.

    Raises:
        ValueError: data of other fields than the system's, a system without an energy of densities.

    Source: Matsubara, Ishikawa, Yaguchi 2020, arXiv 1905.08604, section 3.3.

    Example:
        >>> import jax.numpy as jnp, lgn, numpy as np
        >>> def spring(u, features): return u[0, 0] ** 2 + u[0, 1] ** 2
        >>> flow = lgn.EnergyFlow(lgn.single_node(), spring, structure=lgn.Symplectic())
        >>> t = 0.05 * np.arange(9)
        >>> pairs = lgn.windows(t, np.stack([np.cos(2 * t), -np.sin(2 * t)], 1)[:, None], length=2)
        >>> bool(lgn.DiscreteLoss()(flow, pairs) < 1e-5)
        True
    """

    gradient: Any = field(default_factory=lambda: MeanValue(2))
    weight: Callable | None = None
    error: Error = relative

    def __post_init__(self):
        _arguments.called("gradient", self.gradient, "lgn.Automatic(), lgn.MeanValue() or lgn.Gonzalez()")
        if self.weight is not None:
            _arguments.called("weight", self.weight, "a function of (node, dim)")

    def __call__(self, system, data: Windows) -> jax.Array:
        expect(data, Windows, "DiscreteLoss")
        remedy = "give an EnergyFlow or a Lagrangian, or use RolloutLoss"
        require(system, "discrete_rate", "DiscreteLoss", remedy)
        weigh = self.weight or (lambda x: x)

        def sides(system, state, t, dt):
            """Both sides of the law, each field (interval, node, dim)."""

            def one(before, after, t):
                found = system.discrete_rate(self.gradient, after, before, t + dt / 2)[0]
                seen = jax.tree.map(lambda a, b: (a - b) / dt, after, before)
                return jax.tree.map(weigh, (found, seen))

            times = t + dt * jnp.arange(len(state[0]) - 1)
            return jax.vmap(one)(tuple(x[:-1] for x in state), tuple(x[1:] for x in state), times)

        found, seen = on_samples(sides, system, data, data.dt)
        return total(self.error, found, seen, whole(data, 2))

    def mark(self, system):
        """The system that was trained, which knows by which discrete gradient."""
        return offered(system, "trained_by")(self.gradient)

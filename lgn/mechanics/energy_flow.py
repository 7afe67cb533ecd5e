"""EnergyFlow: an energy H summed over a graph, and the motion du/dt = G grad H that follows from it."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import jraph
from jaxtyping import Array, Float

from lgn import _arguments, _arrays
from lgn.assembly.domain import Domain, Field, State
from lgn.assembly.functional import Functional
from lgn.assembly.terms import Terms
from lgn.mechanics.compilation import bind, compiled
from lgn.mechanics.forcing import Control, Port
from lgn.mechanics.operator import Operator
from lgn.mechanics.structures import Structure
from lgn.mechanics.system import System, offered


class EnergyFlow(System):
    """H(u) = sum over elements of density(u_e, features_e), and its motion

        du/dt = G grad H(u).

    Energy is constant where G is antisymmetric, and never rises where G is negative semi-definite; in discrete time
    the integrator `DiscreteGradient` keeps both laws exactly. A Hamiltonian system is an energy flow of u = (q, p) with
    `Symplectic()`. A pytree whose leaves are the parameters of densities and structure, and the user's features.

    Methods take u, (node, dim), or the state (u,); the time t is not read. Units are those of the density and of G:
    with H in J and t in s, grad H is in J per unit of u and dH/dt in W.

    Args:
        graph: nodes and edges; nodes that `clamp` holds keep their u: their rows and columns of G are zero.
        density: density(u, features) on the node stencil, or a list of (density, stencil) terms. Written without the
            measure of a node, grad H is the functional derivative that equations of fields have.
        structure: G: `Symplectic`, `Damped`, `FirstDifference`, `Laplacian`, `LearnedStructure`, sums of them, or your
            own `Structure`.
        port: B, through which w(t) drives the flow, du/dt = G grad H + B w: an array (node, dim, input), a function
            B(u) that returns one, such as a module with parameters, or None.
        control: w, an array (input,), a function w(t), or an `lgn.Signal`; without an axis B is (node, dim).
        discrete: the discrete gradient by which H was trained, if any; `fit` with a `DiscreteLoss` sets it, and a
            checkpoint keeps it.

    Raises:
        ValueError: a density that is not of one field, not scalar or does not fit its stencil, states of the wrong
            shape or dtype, a structure that has no meaning on the graph.

    Source: Greydanus, Dzamba, Yosinski 2019, arXiv 1906.01563; Matsubara, Ishikawa, Yaguchi 2020, arXiv 1905.08604.

    Example:
        >>> import jax.numpy as jnp, lgn
        >>> def heat(u, features): return 0.5 * u[0, 0] ** 2
        >>> flow = lgn.EnergyFlow(lgn.lattice((4,)), heat, structure=lgn.Laplacian())
        >>> flow.rate((jnp.eye(4)[:, :1],))[0][:, 0].tolist()
        [-2.0, 1.0, 0.0, 1.0]
    """

    def __init__(
        self,
        graph: jraph.GraphsTuple,
        density: Terms,
        *,
        structure: Structure,
        port: Any = None,
        control: Control = None,
        discrete: Any = None,
    ):
        self.domain = Domain(graph)
        self.functional = Functional(graph, density)
        self.structure = Operator(structure, graph)
        self.forcing = Port(port, control)
        self.discrete = _arguments.made("discrete", discrete, "lgn.Automatic(), lgn.MeanValue() or None")

    def config(self) -> dict:
        """Arguments that make a system of this shape again."""
        own = {"graph": self.graph, "density": self.functional.lasting, "structure": self.structure.given}
        return own | {"discrete": self.discrete, **self.forcing.config()}

    @compiled
    def __call__(self, u: Field) -> Float[Array, ""]:
        """Energy H(u), in the unit of the density."""
        self.check(u)
        return self.functional(self.domain.features, u)

    energy = __call__

    @compiled
    def gradient(self, *state: Field) -> Field:
        """Gradient dH/du, (node, dim)."""
        self.check(*state)
        return self.functional.gradient(self.domain.features, *state, field=0)

    @compiled
    def rate(self, state: State, t: float = 0.0) -> State:
        """Rate du/dt = G grad H + B w, which integrators follow. Args: state: (u,); t: time."""
        if not isinstance(state, tuple | list):
            _arrays.fields(state, "u")
        return (self._flow(self.gradient(*state)) + self._driven(state[0], t),)

    @compiled
    def power(self, u: Field, t: float = 0.0) -> Float[Array, ""]:
        """Power dH/dt = grad H . (G grad H + B w), in energy over time."""
        slope = self.gradient(u)
        return jnp.sum(slope * (self._flow(slope) + self._driven(u, t)))

    def discrete_rate(self, method, after: State, before: State, t: float = 0.0) -> tuple[State, Callable]:
        """Rate G grad-bar H(after, before) + B w of a step of `DiscreteGradient`, B in the middle of it, and () -> its
        derivative by `after`, a linear map of states, which costs several gradients and is made only where it is
        needed. H changes by dt grad-bar H . (G grad-bar H + B w), exactly.

        Args: method: the discrete gradient, such as `Automatic()`; after, before: (u,) at the two ends of the step.
        """
        system = bind(self, after)
        known, functional = system.domain.features, system.functional
        (slope,) = functional.discrete_gradient(known, method, after, before)

        def driven(after):
            return system._driven(0.5 * (after + before[0]), t)

        def derivative() -> Callable:
            curvature = functional.discrete_curvature(known, method, after, before)
            return lambda x: (system._flow(curvature @ x[0]) + jax.jvp(driven, after, x)[1],)

        return (system._flow(slope) + driven(*after),), derivative

    def check(self, *state: Field) -> None:
        """Check the shape and dtype of u. Raises ValueError if it is no state of this graph, or does not fit a
        stencil."""
        if len(state) != 1:
            raise ValueError(
                f"a state of {len(state)} fields, but an EnergyFlow moves one, u: give (u,); of q and p it is "
                f"u = jnp.concatenate([q, p], -1)"
            )
        self.domain.check(u=state[0])
        self.functional.check(*state)

    def check_start(self, u: Field, t: float = 0.0) -> None:
        """Check that a motion may start here, outside of transformations. Raises ValueError where G does not keep its
        promise along grad H at u."""
        bound, slope = bind(self, (u,)), self.gradient(u)
        bound.structure.check_along(bound.domain.rows.enter(slope))

    def on_rows(self, *state: Field) -> "EnergyFlow":
        """The system as programs take it, with tables as data."""
        self.check(*state)
        rows, (u,), other = self.domain.rows, state, jax.tree.map(lambda x: x, self)
        shape = jax.ShapeDtypeStruct((rows.count, u.shape[1]), jnp.result_type(u))
        other.functional = self.functional.bound(self.domain.features, shape, rows=rows)
        other.structure, other.domain = self.structure.on_rows(rows, u), self.domain.on_rows()
        other.forcing = self.forcing.on_rows(rows)
        return other

    def _flow(self, slope: Field) -> Field:
        """P G P slope, where P keeps the free nodes: no row and no column of G is left for the others."""
        if not self.domain.clamped:
            return self.structure(slope)
        free = self.domain.free
        return jnp.where(free, self.structure(jnp.where(free, slope, 0.0)), 0.0)

    def _driven(self, u, t):
        """B w on the free nodes."""
        return jnp.where(self.domain.free, self.forcing(u, t), 0.0) if self.forcing.port is not None else 0.0

    @property
    def driven(self) -> bool:  # type: ignore[override]
        """Whether a port may give energy, or G promises nothing about it."""
        return self.forcing.port is not None or not (self.structure.given.conserves or self.structure.given.dissipates)

    @property
    def canonical(self) -> bool:  # type: ignore[override]
        """Whether u = (q, p)."""
        return offered(self.structure.given, "canonical", Structure)

    def trained_by(self, gradient: Any) -> "EnergyFlow":
        """Copy that notes the discrete gradient by which H was trained, as `discrete`."""
        other = jax.tree.map(lambda x: x, self)
        other.discrete = gradient
        return other

    @property
    def summary(self) -> str:
        return f"{super().summary}, structure={type(self.structure.given).__name__}"

"""System: the base class of whatever moves, with every member that lgn may ask of it, and why one has no rate."""

from abc import abstractmethod
from collections.abc import Callable, Iterator
from typing import Any, Self

import jax
import jax.numpy as jnp
import jraph
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from lgn import _arguments, _names
from lgn.assembly.domain import Field, State
from lgn.assembly.functional import Functional
from lgn.data.fields import field_names
from lgn.densities.density import config_of
from lgn.solvers.solution import Solution

PROTOCOL = ("rate", "energy", "check", "config")
BOUND = ("force", "motion")  # arguments that are (node, dim): of the nodes of one graph, also where they are functions


class System(nnx.Pytree):
    """Base class of systems, d state / dt = rate(state, t), where a state is a tuple of (node, dim) arrays: (q, v) of
    second order in time, (u,) of first.

    A new one gives `rate`, `energy` and `check`, and may override the rest. Attributes without a value here only some
    systems have; integrators, losses and diagnostics that need one say so. A pytree of any other class with `rate`,
    `energy`, `check` and `config` is a system too, with the defaults below: `offered` is how lgn asks.

    Attributes:
        domain: graph, features and clamps, a `Domain`.
        functional: L(q, v) or H(u), a `Functional`.
        dissipation: R(q, v), a `Functional`.
        forcing: what acts from outside, and its control, a `Forcing` or a `Port`.
        acceleration: (q, v, t) -> a, (node, dim), for `Verlet` and `acceleration_loss`.
        solve: (q, v, t) -> the `Solution` of M a = f, for the residual of a `Trajectory`.
        equation: (q, v, t) -> M and f, for `residual_loss` and `pretrain`.
        momentum: (q, v) -> p = dL/dv, (node, dim).
        momentum_balance: (q, v, t) -> M, p and dp/dt, for `Variational` and `variational_loss`.
        friction: (q, v, t) -> -dR/dv, (node, dim).
        stiffness_matrix: q -> -d2L/dq dq, for `diagnostics.eigenfrequencies`.
        discrete_rate: (method, after, before, t) -> the rate of `DiscreteGradient` and its derivative.
        driven: whether the energy may rise, so that a motion whose energy does is not suspected.
        canonical: whether the state is u = (q, p).

    Example:
        >>> import jax.numpy as jnp, lgn
        >>> class Decay(lgn.System):
        ...     def rate(self, state, t=0.0): return tuple(-u for u in state)
        ...     def energy(self, u): return 0.5 * jnp.sum(u**2)
        ...     def check(self, u): pass
        >>> round(lgn.rollout(Decay(), jnp.ones((1, 1)), [0.0, 1.0]).u[1].item(), 4)
        0.3679
    """

    domain: Any
    functional: Any
    dissipation: Any
    forcing: Any
    acceleration: Callable[..., Field]
    solve: Callable[..., Solution]
    equation: Callable[..., tuple]
    momentum: Callable[..., Field]
    momentum_balance: Callable[..., tuple]
    friction: Callable[..., Field]
    stiffness_matrix: Callable[..., Any]
    discrete_rate: Callable[..., tuple[State, Callable]]
    driven: bool = True
    canonical: bool = False

    def __init__(self):
        """A system without arguments."""

    @classmethod
    def __subclasshook__(cls, other):
        return True if cls is System and all(hasattr(other, name) for name in PROTOCOL) else NotImplemented

    @abstractmethod
    def rate(self, state: State, t: Any = 0.0) -> State:
        """d state / dt at time t, of the same shapes."""

    @abstractmethod
    def energy(self, *state: Any) -> Float[Array, ""]:
        """Energy of a state: constant where nothing drives or damps."""

    @abstractmethod
    def check(self, *state: Any) -> None:
        """Raises ValueError if this is not a state of the system."""

    def on_rows(self, *state: Any) -> Self:
        """The system as programs take it, bound to the rows where states of these shapes live."""
        return self

    @property
    def whole(self) -> Self:
        """The system on one device, with the parameters that it has now: of one that `lgn.shard` divided."""
        domain = offered(self, "domain")
        if domain is None or domain.division is None:
            return self
        other = jax.tree.map(lambda x: jnp.asarray(np.asarray(x)), self)
        other.domain.division = None
        return other

    def energy_at(self, state: State, t: Any) -> Float[Array, ""]:
        """Energy of a state at a time, where that matters."""
        return self.energy(*state)

    def known_at(self, t: Any) -> tuple:
        """Features of nodes, edges and graph that densities read at a time."""
        return self.domain.features

    def check_start(self, *state_and_time: Any) -> None:
        """Raises ValueError, outside of transformations, if no motion may start at this state and time."""

    def intermediates(self, state: State, t: Any) -> Iterator[tuple[str, Array]]:
        """Names and values of what the rate is made of, in order of causes: the first that is not finite is named."""
        yield from ((f"d{name}/dt", x) for name, x in zip(field_names(len(state)), self.rate(state, t), strict=True))

    def trained_by(self, gradient: Any) -> Self:
        """System after a `DiscreteLoss` trained it by this discrete gradient; most keep no note of it."""
        return self

    config = config_of

    @property
    def graph(self) -> jraph.GraphsTuple:
        """Graph with its features as they are now."""
        return self.domain.graph

    @property
    def free(self) -> Any:
        """(node, 1) bool, which nodes no clamp holds; True for all."""
        return True if (domain := offered(self, "domain")) is None else domain.free

    @property
    def motion(self) -> Callable | None:
        """g(t), the place of the clamped nodes; None where they rest."""
        return None if (domain := offered(self, "domain")) is None else domain.motion

    @property
    def density(self) -> Any:
        """The density, or a list of those of the terms."""
        return self.functional.density

    @property
    def terms(self) -> list:
        """Terms of the functional, each a density on a stencil."""
        return [] if (functional := offered(self, "functional")) is None else list(functional.terms)

    @property
    def summary(self) -> str:
        """Sizes and parts in one line, for representations."""
        domain, functional = offered(self, "domain"), offered(self, "functional")
        parts = ["" if domain is None else domain.summary, "" if functional is None else f"density={functional.name}"]
        return ", ".join(filter(None, parts))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.summary})"

    __str__ = __repr__

    def replace(self, **values: Array) -> Self:
        """Copy with other values of its node, edge or graph features, of the shapes that they have, see
        `Domain.replace`; or of its `control`, an array, a function of time or a `Signal` of any length."""
        other = jax.tree.map(lambda x: x, self)
        if "control" in values and (forcing := offered(self, "forcing")) is not None:
            other.forcing = forcing.controlled(values.pop("control"))
        other.domain = self.domain.replace(**values)
        return other

    def on(self, graph: jraph.GraphsTuple, **given: Any) -> Self:
        """Transfer to another graph: the same densities, dissipation, structure or law, with the parameters that they
        have now, and stencils that are made anew. Features, which densities read by name, and clamps are of that graph.

        Args:
            graph: any graph on which the densities and the structure have a meaning.
            given: arguments of the class that shall differ; a `force` or a `motion` belongs to the nodes of one graph,
                and is given again, or None. `solver=None` chooses one for the new pattern.

        Raises:
            ValueError: a force or a motion that is not given again; a term whose stencil was given as a table; an
                argument that the class does not have; and what the class raises on such a graph.

        Example:
            >>> import jax.numpy as jnp, lgn
            >>> def mass(q, v, features): return 0.5 * v[0, 0] ** 2
            >>> def spring(q, v, features): return -2.5 * (q[1, 0] - q[0, 0]) ** 2
            >>> L = lgn.Lagrangian(lgn.lattice((3,)), [(mass, lgn.node_stencil), (spring, lgn.edge_stencil)])
            >>> L.on(lgn.lattice((5,))).acceleration(jnp.eye(5)[:, :1], jnp.zeros((5, 1)))[:, 0].tolist()
            [-10.0, 5.0, 0.0, 0.0, 5.0]
        """
        known = {name: x for name, x in self.config().items() if name != "graph"}
        for name in given:
            if name not in known:
                raise ValueError(
                    f"on: {type(self).__name__} has no argument {name!r}, but {', '.join(sorted(known))}"
                    + _names.nearest(name, known)
                )
        for name in BOUND:
            if name not in given and known.get(name) is not None:
                raise ValueError(
                    f"on: this system has a {name}, which belongs to the nodes of its graph; give that of the new "
                    f"graph, {name}=..., or {name}=None for none"
                )
        functionals = {"density": offered(self, "functional"), "dissipation": offered(self, "dissipation")}
        terms = {name: _terms(name, x) for name, x in functionals.items() if x is not None and name not in given}
        return type(self)(graph, **known | terms | given)  # type: ignore[call-arg]


def _terms(name: str, functional: Functional) -> list[tuple] | None:
    """Terms of a functional, for any graph."""
    for number, term in enumerate(functional.terms):
        if term.maker is None:
            raise ValueError(
                f"on: the stencil of term {number} of {name}, {term.name}, is a table of the old graph; make the "
                f"system with the function that makes it, (density, lgn.node_stencil) or (density, "
                f"functools.partial(lgn.node_stencil, hops=0)), or give the terms again: {name}=[(density, stencil)]"
            )
    return functional.pairs or None


def check_system(system: Any) -> Any:
    """Check that an object moves, and return it. Raises ValueError else."""
    examples = "lgn.Lagrangian(graph, density), lgn.EnergyFlow, lgn.Baseline, or an object with rate, energy and check"
    return _arguments.has("system", system, ("rate", "energy", "check"), examples)


def offered(thing: Any, name: str, contract: type = System) -> Any:
    """A member of a system, or of an object of another contract such as `Law`; the default of the contract where its
    class lacks that, and None where there is none."""
    default: Any = vars(contract).get(name)
    if hasattr(thing, name) or getattr(default, "__isabstractmethod__", False):
        return getattr(thing, name, None)
    return default.__get__(thing) if hasattr(default, "__get__") else default


def require(system: Any, name: str, asked_by: str, remedy: str) -> Any:
    """A member that not every system has. Raises ValueError where it lacks, which says who asked and what to do."""
    found = offered(system, name)
    if found is None:
        raise ValueError(f"{asked_by} needs `{name}` of the system, which {type(system).__name__} lacks; {remedy}")
    return found


def first_not_finite(system, state, t=0.0) -> str | None:
    """Which of the time, the state, the leaves of the system and the `intermediates` of its rate is the first that is
    not finite, and where; None if all are finite. Outside of transformations."""

    def named() -> Iterator[tuple[str, Any]]:
        yield "the time t", t
        yield from zip(field_names(len(state)), state, strict=True)
        for path, leaf in jax.tree_util.tree_flatten_with_path(system)[0]:
            if jnp.issubdtype(jnp.result_type(leaf), jnp.inexact):
                yield f"the leaf /{jax.tree_util.keystr(path, simple=True, separator='/')} of the system", leaf
        yield from offered(system, "intermediates")(state, t)

    for name, x in named():
        wrong = ~np.isfinite(np.asarray(x))
        if wrong.any():
            place = f" at node {np.argwhere(wrong)[0, 0]}" if np.shape(x) == np.shape(state[0]) else ""
            return f"{name} is not finite{place}"
    return None


def why_no_rate(system, state, t=0.0) -> str | None:
    """Why a system has no rate at a state: what is not finite, or that L is linear in v, where M is zero but dL/dv is
    not; None for another reason."""
    if (cause := first_not_finite(system, state, t)) or (balance := offered(system, "momentum_balance")) is None:
        return cause
    mass, momentum, _ = balance(*state, t)
    if any(np.any(block) for block in mass.blocks) or not np.any(momentum):
        return None
    return (
        "L is linear in v, so that d2L/dv dv is zero and the motion is of first order in time; a kinetic term would "
        "make it another system. Write it as lgn.EnergyFlow(graph, H, structure=G) with H = v . dL/dv - L, a density "
        "of u = q alone, and G the inverse of dp_j/dq_i - dp_i/dq_j, p = dL/dv: lgn.Symplectic() for pairs (q, p)"
    )

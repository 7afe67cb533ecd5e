"""Lagrangian: L and R summed over a graph, and the equation of motion that follows from them."""

from collections.abc import Callable, Iterator
from functools import lru_cache

import jax
import jax.numpy as jnp
import jraph
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from lgn import _arguments, _arrays
from lgn.assembly import clamps
from lgn.assembly.domain import Domain, Field, State
from lgn.assembly.functional import Functional
from lgn.assembly.matrix import BlockMatrix, Pattern
from lgn.assembly.terms import Terms
from lgn.densities.density import as_density, energy_density
from lgn.mechanics.compilation import bind, compiled
from lgn.mechanics.forcing import Control, Force, Forcing, check_dissipation
from lgn.mechanics.system import System, why_no_rate
from lgn.solvers.choice import default_solver
from lgn.solvers.solution import SINGULAR, SingularMassMatrix, Solution, Solver


class Lagrangian(System):
    """L(q, v) = sum over elements of density(q_e, v_e, features_e), and its equation of motion

        M a = f,    M = d2L/dv dv,    f = dL/dq - (d2L/dv dq) v - dR/dv + F.

    A pytree whose leaves are the parameters of the densities (and the features that the user gave the graph, and a
    constant force); jit, grad, vmap and scan take it as an argument.

    Methods take q and v, (node, dim) each, and the time t where it matters. Units are those of the density and of t:
    with q in m, t in s and L in J, v is in m/s, p in kg m/s, E in J, f in N, M in kg and dE/dt in W.

    Args:
        graph: nodes and edges; nodes that `clamp` holds have a = 0, or move as `motion` says.
        density: one density on the node stencil, or a list of (density, stencil) terms, where a stencil is a table
            or a function of the graph: `[(kinetic, lgn.node_stencil), (potential, lgn.edge_stencil)]`.
        dissipation: Rayleigh function R(q, v, features) in the same two forms; adds -dR/dv to the force.
        force: F, an array (node, dim), or a function F(q, v), F(q, v, t) or F(q, v, t, u) of the whole state, the time
            and the control; a dissipation reads them as features["time"] and features["control"].
        control: u, an array, or a function u(t) that returns one.
        motion: g(t), (node, dim), the place of the clamped nodes at time t; its other rows are not used. A jax function
            with two derivatives; a state must start with q = g and v = g' there, see `check_start`.
        solver: of M a = f; by default the cheapest for the pattern of M, see `default_solver`.

    Raises:
        ValueError: a term that is no pair, a density that is not scalar or does not fit its stencil, states or motions
            of the wrong shape or dtype, a motion without clamped nodes.
        SingularMassMatrix: from `acceleration`, outside of transformations.

    Source: Cranmer et al. 2020, arXiv 2003.04630, equation 6 and section 5.

    Example:
        >>> import jax.numpy as jnp, lgn
        >>> def string(q, v, features): return 0.5 * v[0, 0] ** 2 - 2.5 * (q[2, 0] - q[0, 0]) ** 2
        >>> L = lgn.Lagrangian(lgn.lattice((5,)), string)
        >>> L.acceleration(jnp.eye(5)[:, :1], jnp.zeros((5, 1)))[:, 0].tolist()
        [-10.0, 5.0, 0.0, 0.0, 5.0]
    """

    def __init__(
        self,
        graph: jraph.GraphsTuple,
        density: Terms,
        *,
        dissipation: Terms | None = None,
        force: Force = None,
        control: Control = None,
        motion: Callable[[Array], Field] | None = None,
        solver: Solver | None = None,
    ):
        self.domain = Domain(graph, motion)
        self.functional = Functional(graph, density)
        self.dissipation = Functional(graph, dissipation, "dissipation")
        self.forcing = Forcing(force, control)
        if solver is not None:
            _arguments.called("solver", solver, "lgn.Banded(), lgn.ConjugateGradient(), lgn.Dense() or another")
        self.solver = solver

    def config(self) -> dict:
        """Arguments that make a system of this shape again."""
        own = {"graph": self.graph, "motion": self.domain.motion, "solver": self.solver, **self.forcing.config()}
        return own | {"density": self.functional.lasting, "dissipation": self.dissipation.lasting or None}

    def known_at(self, t) -> tuple:
        return self.forcing.known_at(self.domain.features, t)

    @compiled
    def __call__(self, q: Field, v: Field, t: float = 0.0) -> Float[Array, ""]:
        """L(q, v), in the unit of energy."""
        self.check(q, v)
        return self.functional(self.known_at(t), q, v)

    @compiled
    def momentum(self, q: Field, v: Field, t: float = 0.0) -> Field:
        """Momentum p = dL/dv, (node, dim), in energy over velocity."""
        self.check(q, v)
        return self.functional.gradient(self.known_at(t), q, v, field=1)

    @compiled
    def energy(self, q: Field, v: Field, t: float = 0.0) -> Float[Array, ""]:
        """Energy E = v . p - L, in the unit of L."""
        return jnp.sum(v * self.momentum(q, v, t)) - self(q, v, t)

    def energy_at(self, state: State, t) -> Float[Array, ""]:
        q, v = state
        return self.energy(q, v, t)

    def mass_matrix(self, q: Field, v: Field, t: float = 0.0):
        """Mass matrix M = d2L/dv dv as scipy.sparse CSR, outside of transformations; rows by node, then degree of
        freedom, in energy over velocity squared."""
        return self.whole.equation(q, v, t)[0].sparse()

    def stiffness_matrix(self, q: Field, t: float = 0.0):
        """Stiffness matrix -d2L/dq dq of the nodes at rest, the same way, in energy over length squared."""
        self.check(q, q)
        return -self.functional.hessian(self.known_at(t), q, jnp.zeros_like(q), field=0).sparse()

    def equation(self, q: Field, v: Field, t: float = 0.0) -> tuple[BlockMatrix, Field]:
        """M and f of M a = f, each element visited once."""
        system = self._bound(q, v)
        blocks, f = system._equation(q, v, t)
        return system.functional.matrix(blocks, q, field=1), f

    def momentum_balance(self, q: Field, v: Field, t: float = 0.0) -> tuple[BlockMatrix, Field, Field]:
        """M, p = dL/dv and dp/dt = dL/dq - dR/dv + F, for integrators of the momentum."""
        system = self._bound(q, v)
        blocks, momentum, push = system._momentum_balance(q, v, t)
        return system.functional.matrix(blocks, q, field=1), momentum, push

    @compiled
    def _equation(self, q, v, t):
        self.check(q, v)
        mass, (f,) = self.functional.expand(self.known_at(t), q, v, lambda x: (x.force - x.convection,))
        return mass.blocks, f + self._applied(q, v, t) - self._drift(q, v, t)

    @compiled
    def _momentum_balance(self, q, v, t):
        self.check(q, v)
        mass, (push, momentum) = self.functional.expand(self.known_at(t), q, v, lambda x: (x.force, x.momentum))
        return mass.blocks, momentum, push + self._applied(q, v, t)

    def response(self, mass: BlockMatrix, f: Field, imposed: Field | None = None) -> Solution:
        """Solution a of M a = f for the M of `equation` and any f, (node, dim), with clamped nodes at rest or
        accelerated as imposed, (node, dim). Raises ValueError where no density reads v."""
        if not mass.blocks:
            raise ValueError("no density reads v: d2L/dv dv is zero; add a kinetic term, 0.5 m v^2 on every node")
        system = self._bound(f, f)
        mass, f = clamps.constrain(system.domain, mass, f, imposed)
        return (system.solver or default_solver(mass.pattern, mass.dim))(mass, f)

    @compiled
    def solve(self, q: Field, v: Field, t: float = 0.0) -> Solution:
        """Acceleration with its residual, status and condition."""
        return self.response(*self.equation(q, v, t), clamps.imposed(self.domain, q, t)[2])

    def acceleration(self, q: Field, v: Field, t: float = 0.0) -> Field:
        """Acceleration a of M a = f, (node, dim), in length over time squared. Raises SingularMassMatrix outside of
        transformations; inside, a singular M gives values that are not finite, and `solve` reports more."""
        solution = self.solve(q, v, t)
        if not isinstance(solution.status, jax.core.Tracer):
            if int(solution.status) == SINGULAR and (cause := why_no_rate(self, (q, v), t)):
                raise SingularMassMatrix(f"M a = f has no finite solution: {cause}")
            solution.check()
        return solution.value

    def rate(self, state: State, t: float = 0.0) -> State:
        """Rate dq/dt = v and dv/dt = a, which integrators follow. Args: state: (q, v); t: time."""
        q, v = _arrays.fields(state, "q", "v")
        return v, self.acceleration(q, v, t)

    def discrete_rate(self, method, after: State, before: State, t: float = 0.0) -> tuple[State, Callable]:
        """Rate of a step of `DiscreteGradient`, (w, M^-1 (-e_q + (C^T - C) w + F - dR/dv)) with w = M^-1 e_v, and () ->
        its derivative by `after`, a linear map of states.

        With E(after) - E(before) = e_q . dq + e_v . dv the energy changes by dt w . (F - dR/dv), since M^-1 is
        symmetric and C^T - C antisymmetric. Raises ValueError for clamps that move, which do work.

        Args: method: the discrete gradient, such as `Automatic()`; after, before: (q, v) at the two ends of the step;
            t: time in the middle of it.
        """
        if self.domain.motion is not None:
            raise ValueError("DiscreteGradient: clamps that move do work; use Variational(dt) or Adaptive()")
        system = self._bound(*after)
        known, functional = system.known_at(t), system.functional

        def of_energy(density, *local):
            return method(energy_density(density), *local)

        def rate(after) -> State:
            system.check(*after)
            q, v = (0.5 * (a + b) for a, b in zip(after, before, strict=True))
            e_q, e_v = functional.discrete_gradient(known, of_energy, after, before)
            mass = system.momentum_balance(q, v, t)[0]
            w = system.response(mass, e_v).value
            momentum = lambda q: functional.gradient(known, q, v, field=1)  # noqa: E731
            _, turned = jax.jvp(momentum, (q,), (w,))
            (back,) = jax.vjp(momentum, q)[1](w)
            applied = system._applied(q, w, t) - system._drift(q, v, t)
            return w, system.response(mass, back - turned - e_q + applied).value

        return rate(after), lambda: jax.linearize(rate, after)[1]

    @compiled
    def force(self, q: Field, v: Field, t: float = 0.0) -> Field:
        """Force f = dL/dq - (d2L/dv dq) v - dR/dv + F, (node, dim), in energy over length."""
        return self.equation(q, v, t)[1]

    @compiled
    def friction(self, q: Field, v: Field, t: float = 0.0) -> Field:
        """Friction -dR/dv, (node, dim), in energy over length."""
        self.check(q, v)
        return -self.dissipation.gradient(self.known_at(t), q, v, field=1)

    def inverse_dynamics(self, q: Field, v: Field, a: Field, t: float = 0.0) -> Field:
        """Force that makes the motion, M a - f without F: the torques of motors, (node, dim), in energy over length; on
        clamped nodes with that of the clamps. Args: q, v, a: (node, dim) each; t: time."""
        mass, f = self.equation(q, v, t)
        return mass @ jnp.asarray(a) - f + self.forcing(q, v, t)

    @compiled
    def clamp_force(self, q: Field, v: Field, t: float = 0.0) -> Field:
        """Force S = M a - f of the clamps on their nodes, (node, dim), zero on the others, in energy over length."""
        mass, f = self.equation(q, v, t)
        a = self.response(mass, f, clamps.imposed(self.domain, q, t)[2]).value
        return jnp.where(self.domain.free, 0.0, mass @ a - f)

    @compiled
    def power(self, q: Field, v: Field, t: float = 0.0) -> Float[Array, ""]:
        """Power dE/dt = v . (F - dR/dv + S) - dL/dt: clamps at rest do no work; where they move, S is `clamp_force`;
        dL/dt is that at fixed q and v, of an L that reads the time or the control."""
        applied, resting = self._applied(q, v, t), self.domain.motion is None
        worked = jnp.sum(v * (self.domain.free * applied if resting else applied + self.clamp_force(q, v, t)))
        return worked - _by_time(lambda t: self(q, v, t), t) if self._timed else worked

    def _applied(self, q, v, t):
        force = self.forcing(q, v, t)
        return self.friction(q, v, t) + force if self.dissipation.terms else force

    @property
    def _timed(self) -> bool:
        """Whether L reads the time or the control, once it is bound."""
        return self.functional.tables is not None and self.functional.reads("time", "control")

    def _drift(self, q, v, t):
        """d2L/dv dt, by which p changes at fixed q and v."""
        return _by_time(lambda t: self.momentum(q, v, t), t) if self._timed else 0.0

    def check(self, *state: Field) -> None:
        """Check the shapes and dtypes of a state (q, v). Raises ValueError if it is not one of this graph, or does not
        fit a stencil."""
        q, v = _arrays.fields(state, "q", "v")
        self.domain.check(q=q, v=v)
        self.functional.check(q, v)
        self.dissipation.check(q, v)

    def check_start(self, q: Field, v: Field, t: float = 0.0) -> None:
        """Check that a motion may start here, outside of transformations. Raises ValueError for a clamped node that is
        not at rest, or with `motion` = g not at g(t) with velocity g'(t); for a dissipation that is negative, or adds
        energy."""
        self.check(q, v)
        if self.dissipation.terms:
            system = bind(self, (q, v))
            known, enter = system.known_at(t), system.domain.rows.enter
            check_dissipation(system.dissipation, known, enter(q), enter(v))
        clamps.check_moving(self.domain, q, v, t)

    def on_rows(self, *state: Field) -> "Lagrangian":
        """The system as programs take it: with tables as data, and the solver that the pattern of M asks for."""
        self.check(*state)
        rows, features, dim = self.domain.rows, self.domain.features, state[0].shape[1]
        fields = [jax.ShapeDtypeStruct((rows.count, dim), jnp.result_type(x)) for x in state]
        known = jax.eval_shape(lambda features: self.forcing.known_at(features, 0.0), features)
        other = jax.tree.map(lambda x: x, self)
        other.functional = self.functional.bound(known, *fields, rows=rows)
        other.dissipation = self.dissipation.bound(known, *fields, rows=rows)
        other.domain, other.forcing = self.domain.on_rows(), self.forcing.on_rows(rows)
        pattern = other.functional.pattern
        solved = _held(pattern, self.domain.held.tobytes()) if other.domain.clamped else pattern
        other.solver = self.solver or default_solver(solved, dim)
        if isinstance(other.solver, Solver) and other.solver.reads_band and not solved.diagonal:
            other.functional.band = nnx.data(solved.band(dim))
        return other

    def solver_for(self, dim: int) -> Solver:
        """The solver used for states of `dim` degrees of freedom per node."""
        still = np.broadcast_to(np.zeros((), jnp.result_type(float)), (self.domain.size, dim))
        return bind(self, (still, still)).solver

    def _bound(self, *state: Field) -> "Lagrangian":
        """Bound to rows, of which one device has all. Raises ValueError where several have."""
        system = bind(self, state)
        if system is not self:
            system.domain.rows.undivided("a mass matrix")
        return system

    @property
    def driven(self) -> bool:  # type: ignore[override]
        """Whether a force or moving clamps may give energy."""
        return self.forcing.force is not None or self.domain.motion is not None or self._timed

    def intermediates(self, state: State, t: float) -> Iterator[tuple[str, Array]]:
        q, v = state
        if self.forcing.control is not None:
            yield "the control u(t)", np.ravel(self.forcing.at(t))
        if self.domain.motion is not None:
            yield "the motion g(t) of the clamps", self.domain.motion(t)
        yield "the force F", self.forcing(q, v, t)
        yield "the friction -dR/dv", self.friction(q, v, t)
        mass, f = self.equation(q, v, t)
        for index, block in zip(mass.pattern.indices, mass.blocks, strict=True):
            nodes = index[np.argwhere(~np.isfinite(np.asarray(block)))[:1, 0]].ravel().tolist()
            yield f"the mass matrix d2L/dv dv of the element of nodes {nodes}", np.ravel(block)
        yield "dL/dq - (d2L/dv dq) v", f

    @property
    def summary(self) -> str:
        try:
            solver = str(self.solver_for(as_density(self.terms[0].density).dim or 1))
        except (TypeError, ValueError, IndexError):  # a plain function of more than one degree of freedom
            solver = "chosen by the state's shape"
        return f"{super().summary}, solver={solver}"


def _by_time(function: Callable, t):
    """Derivative of a function of time."""
    t = jnp.asarray(t, float)
    return jax.jvp(function, (t,), (jnp.ones_like(t),))[1]


@lru_cache(maxsize=16)
def _held(pattern: Pattern, nodes: bytes) -> Pattern:
    """The pattern of M with the rows of its clamps; kept, with the order that is found in it."""
    return pattern.extended(np.frombuffer(nodes, np.int32)[:, None])

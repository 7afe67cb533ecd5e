"""Lagrangian: a density summed over a graph, and the motion that follows from it."""

import inspect
from collections.abc import Callable

import jax
import jax.numpy as jnp
import jraph
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from lgn import clamps, elements
from lgn.densities import Density
from lgn.graphs import GEOMETRY, clamped_nodes, node_count
from lgn.mass_matrix import MassMatrix, pattern
from lgn.solvers import Solution, Solver, default_solver
from lgn.static import Static
from lgn.terms import Terms, hold, terms_on

State = Float[Array, "node dim"]


class Lagrangian(nnx.Pytree):
    """L(q, v) = sum over elements of density(q_e, v_e, features_e), and its equation of motion

        M a = f,    M = d2L/dv dv,    f = dL/dq - (d2L/dv dq) v - dR/dv + F.

    A pytree whose leaves are the parameters of the densities (and the features that the user gave the graph, and a
    constant force); jit, grad, vmap and scan take it as an argument.

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
        ValueError: a term that is not a pair, a density that is not scalar or does not fit its stencil, states of the
            wrong shape or dtype, a motion of the wrong shape or without clamped nodes.
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
        force: Array | Callable[..., State] | None = None,
        control: Array | Callable[[Array], Array] | None = None,
        motion: Callable[[Array], State] | None = None,
        solver: Solver | None = None,
    ):
        if motion is not None and not clamped_nodes(graph).any():
            raise ValueError(
                "motion is given, but no node is clamped; hold those that it moves: lgn.clamp(graph, nodes)"
            )
        kinds = (graph.nodes, graph.edges, graph.globals)
        nodes, edges, whole = (_geometry(named) for named in kinds)
        self._graph = Static(graph._replace(nodes=nodes, edges=edges, globals=whole))
        self.features = nnx.data(tuple({k: x for k, x in named.items() if k not in GEOMETRY} for named in kinds))
        self.terms = nnx.List(terms_on(graph, density, "density"))
        self.dissipation = nnx.List(terms_on(graph, dissipation, "dissipation"))
        self.external = hold(jnp.asarray(force) if isinstance(force, np.ndarray) else force)
        self.control = hold(control if control is None or callable(control) else jnp.asarray(control))
        self.motion = hold(motion)
        self.solver = solver
        self._force_arguments = _count_arguments(force) if callable(force) else 0
        if self._force_arguments == 4 and control is None:
            raise ValueError("force(q, v, t, u) reads the control u, but control is None; give control=u(t)")

    @property
    def graph(self) -> jraph.GraphsTuple:
        nodes, edges, whole = self.features
        frame = self._graph.value
        return frame._replace(
            nodes={**frame.nodes, **nodes}, edges={**frame.edges, **edges}, globals={**frame.globals, **whole}
        )

    def given(self, **values: Array) -> "Lagrangian":
        """The same system with other values of its node, edge or graph features, or of `control`.

        Raises:
            ValueError: a name that the graph does not have.

        Example:
            >>> import jax.numpy as jnp, lgn
            >>> def ball(q, v, features): return 0.5 * v[0, 0] ** 2 - features["g"] * q[0, 0]
            >>> L = lgn.Lagrangian(lgn.with_features(lgn.single_node(), graph_features={"g": 9.8}), ball)
            >>> L.given(g=1.6).acceleration(jnp.zeros((1, 1)), jnp.zeros((1, 1))).item()
            -1.6
        """
        other = jax.tree.map(lambda x: x, self)
        if "control" in values:
            other.control = nnx.data(jnp.asarray(values.pop("control")))
        known = sorted(name for named in self.features for name in named)
        if unknown := sorted(set(values) - set(known)):
            raise ValueError(
                f"given: {unknown[0]!r} is not a feature of the graph, which has {known or 'none'}; give it to the "
                f"graph first: lgn.with_features(graph, ...)"
            )
        other.features = nnx.data(
            tuple({k: jnp.asarray(values.get(k, x)) for k, x in named.items()} for named in self.features)
        )
        return other

    def config(self) -> dict:
        """Arguments that make a system of this shape again."""
        terms, dissipation = ([(x.density, x.stencil) for x in part] for part in (self.terms, self.dissipation))
        acting = {"force": self.external, "control": self.control, "motion": self.motion, "solver": self.solver}
        return {"graph": self.graph, "density": terms, "dissipation": dissipation or None, **acting}

    @property
    def density(self) -> Density | list[Density]:
        """The density, or the densities of the terms."""
        densities = [term.density for term in self.terms]
        return densities[0] if len(densities) == 1 else densities

    def __call__(self, q: State, v: State) -> Float[Array, ""]:
        """L(q, v)."""
        return self._sum(self.terms, self.features, q, v)

    def momentum(self, q: State, v: State) -> State:
        """p = dL/dv."""
        return self._velocity_gradient(self.terms, self.features, q, v)

    def energy(self, q: State, v: State) -> Float[Array, ""]:
        """E = v . p - L."""
        return jnp.sum(v * self.momentum(q, v)) - self(q, v)

    def power(self, q: State, v: State, t: float = 0.0) -> Float[Array, ""]:
        """dE/dt = v . (F - dR/dv + S): clamps at rest do no work; where they move, S is `clamp_force`."""
        applied = self._applied(q, v, t)
        if self.motion is None:
            return jnp.sum(self._free * v * applied)
        return jnp.sum(v * (applied + self.clamp_force(q, v, t)))

    def clamp_force(self, q: State, v: State, t: float = 0.0) -> State:
        """S = M a - f, (node, dim): what the clamps exert on their nodes, zero on the others.

        Example:
            >>> import jax.numpy as jnp, lgn
            >>> def particle(q, v, features): return 0.5 * 3.0 * v[0, 0] ** 2
            >>> held = lgn.clamp(lgn.single_node(), [0])
            >>> L = lgn.Lagrangian(held, particle, motion=lambda t: jnp.reshape(2 * t**2, (1, 1)))
            >>> L.clamp_force(jnp.zeros((1, 1)), jnp.zeros((1, 1))).tolist()  # 3 times g'' = 4
            [[12.0]]
        """
        mass, f = self.equation(q, v, t)
        a = self.response(mass, f, clamps.imposed(self.motion, q, t)[2]).value
        return jnp.where(self._free, 0.0, mass @ a - f)

    def force(self, q: State, v: State, t: float = 0.0) -> State:
        """f = dL/dq - (d2L/dv dq) v - dR/dv + F."""
        return self.equation(q, v, t)[1]

    def friction(self, q: State, v: State, t: float = 0.0) -> State:
        """-dR/dv."""
        return -self._velocity_gradient(self.dissipation, self._features_at(t)[0], q, v)

    def mass_matrix(self, q: State, v: State):
        """M as scipy.sparse CSR, outside of transformations; rows by node, then degree of freedom."""
        return self.equation(q, v)[0].sparse()

    def stiffness_matrix(self, q: State):
        """-d2L/dq dq of the nodes at rest at q, as scipy.sparse CSR; rows by node, then degree of freedom."""
        self.check(q, q)
        local = [(term, term.gather(self.features, q, jnp.zeros_like(q))) for term in self.terms]
        blocks = tuple(elements.stiffness(term.density, *arguments) for term, arguments in local)
        return MassMatrix(pattern(len(q), *(term.table for term in self.terms)), blocks, q.shape[1]).sparse()

    def equation(self, q: State, v: State, t: float = 0.0) -> tuple[MassMatrix, State]:
        """M and f of M a = f, each element visited once."""
        mass, (f,) = self._assemble(q, v, lambda local: (local.force - local.convection,))
        return mass, f + self._applied(q, v, t)

    def impulses(self, q: State, v: State, t: float = 0.0) -> tuple[MassMatrix, State, State]:
        """M, p = dL/dv and dL/dq - dR/dv + F: what dp/dt = dL/dq - dR/dv + F needs in a discrete time."""
        mass, (push, momentum) = self._assemble(q, v, lambda local: (local.force, local.momentum))
        return mass, momentum, push + self._applied(q, v, t)

    def solve(self, q: State, v: State, t: float = 0.0) -> Solution:
        """The acceleration with its residual, status and condition."""
        return self.response(*self.equation(q, v, t), clamps.imposed(self.motion, q, t)[2])

    def acceleration(self, q: State, v: State, t: float = 0.0) -> State:
        """a of M a = f, (node, dim).

        Raises:
            SingularMassMatrix: outside of transformations; within, a singular M gives values that are not finite,
                and `solve` tells more.
        """
        solution = self.solve(q, v, t)
        if not isinstance(solution.status, jax.core.Tracer):
            solution.check()
        return solution.value

    def rate(self, q: State, v: State, t: float = 0.0) -> tuple[State, State]:
        """dq/dt = v and dv/dt = a: what integrators follow."""
        return v, self.acceleration(q, v, t)

    def check_start(self, q: State, v: State, t: float = 0.0) -> None:
        """Whether a motion may start here; outside of transformations.

        Raises:
            ValueError: a clamped node that is not at rest, or with `motion` = g: not at g(t) with velocity g'(t);
                a dissipation that is negative there, or gives energy.
        """
        self.check(q, v)
        self._check_dissipation(q, v, t)
        clamps.check_moving(self._free, self.motion, q, v, t)

    def _check_dissipation(self, q, v, t):
        """R >= 0 and v . dR/dv >= 0 at this state and at one that moves in every degree of freedom."""
        for velocity in (v, jnp.cos(1.0 + jnp.arange(v.size, dtype=v.dtype)).reshape(v.shape)):
            features = self._features_at(t)[0]
            found = float(self._sum(self.dissipation, features, q, velocity))
            taken = float(jnp.sum(velocity * self._velocity_gradient(self.dissipation, features, q, velocity)))
            if min(found, taken) < 0:
                raise ValueError(
                    f"dissipation: R = {found:.3g} and v . dR/dv = {taken:.3g} at v = {np.ravel(velocity)[:4]}; "
                    f"neither may be negative, for friction cannot give energy; lgn.PositiveForm never is"
                )

    def solver_for(self, dim: int) -> Solver:
        """The solver that states of `dim` degrees of freedom a node will meet."""
        if self.solver is not None:
            return self.solver
        state = jax.ShapeDtypeStruct((node_count(self._graph.value), dim), jnp.result_type(float))
        mass = jax.eval_shape(lambda q, v: clamps.hold(self._free, *self.equation(q, v))[0], state, state)
        return default_solver(mass.pattern, dim)

    def __repr__(self) -> str:
        dim = getattr(self.terms[0].density, "dim", 1)
        names = [term.name for term in self.terms]
        try:
            solver = str(self.solver_for(dim))
        except (TypeError, ValueError, IndexError):  # a plain function of more than one degree of freedom
            solver = "chosen by the state's shape"
        clamped = int(clamped_nodes(self._graph.value).sum())
        return (
            f"Lagrangian({node_count(self._graph.value)} nodes, {self._graph.value.senders.size} edges, "
            f"{clamped} clamped, density={' + '.join(names)}, solver={solver})"
        )

    __str__ = __repr__

    @property
    def _free(self) -> np.ndarray:
        return ~clamped_nodes(self._graph.value)[:, None]

    def _sum(self, terms, features, q, v):
        self.check(q, v)
        return sum(jnp.sum(elements.values(term.density, *term.gather(features, q, v))) for term in terms)

    def _velocity_gradient(self, terms, features, q, v):
        self.check(q, v)
        out = jnp.zeros_like(v)
        for term in terms:
            out = out.at[term.stencil.index].add(elements.momenta(term.density, *term.gather(features, q, v)))
        return out

    def _assemble(self, q, v, parts):
        """M, and the nodal sums of the (element, slot, dim) arrays that `parts` takes from an `Expansion`."""
        self.check(q, v)
        sums: tuple | None = None
        stencils, blocks = [], []
        for term in self.terms:
            index, local = term.stencil.index, term.gather(self.features, q, v)
            if term.reads_velocity(*local):
                expansion = elements.expand(term.density, *local)
                stencils.append(term.table)
                blocks.append(expansion.mass)
            else:
                force = elements.forces(term.density, *local)
                expansion = elements.Expansion(force, *3 * (jnp.zeros((), q.dtype),))
            sums = sums or tuple(jnp.zeros_like(q) for _ in parts(expansion))
            sums = tuple(x.at[index].add(part) for x, part in zip(sums, parts(expansion), strict=True))
        return MassMatrix(pattern(len(q), *stencils), tuple(blocks), q.shape[1]), sums

    def _applied(self, q, v, t):
        """F - dR/dv."""
        applied = self.friction(q, v, t)
        if self.external is None:
            return applied
        if not callable(self.external):
            return applied + self.external.astype(q.dtype)
        return applied + self.external(*(q, v, t, self._features_at(t)[1])[: self._force_arguments])

    def _features_at(self, t):
        """Features with `time` and `control`, and the control itself."""
        control = self.control(t) if callable(self.control) else self.control
        nodes, edges, whole = self.features
        moment = {"time": t} if control is None else {"time": t, "control": control}
        return (nodes, edges, {**whole, **moment}), control

    def response(self, mass: MassMatrix, f: State, imposed: State | None = None) -> Solution:
        """a of M a = f for any f, clamped nodes at rest or with the accelerations that are imposed on them."""
        if not mass.blocks:
            raise ValueError(
                "no density reads v: the mass matrix d2L/dv dv is zero; add a kinetic term, 0.5 m v^2 on every node"
            )
        mass, f = clamps.hold(self._free, mass, f, imposed)
        return (self.solver or default_solver(mass.pattern, mass.dim))(mass, f)

    def check(self, q: State, v: State) -> None:
        """Raises ValueError where q and v are no state of this graph, or fit no stencil."""
        n_node = node_count(self._graph.value)
        for name, x in (("q", q), ("v", v)):
            if np.ndim(x) != 2 or len(x) != n_node:
                raise ValueError(f"{name} has shape {np.shape(x)}; expected (node, dim) = ({n_node}, ...)")
            if not jnp.issubdtype(x.dtype, jnp.floating):
                raise ValueError(f"{name} has dtype {x.dtype}; expected floating point: x.astype(float)")
        if q.shape != v.shape:
            raise ValueError(f"q has shape {q.shape} and v {v.shape}; expected the same")
        for term in [*self.terms, *self.dissipation]:
            term.check(q)


def _count_arguments(force) -> int:
    count = len(inspect.signature(force).parameters)
    if count not in (2, 3, 4):
        raise ValueError(f"force takes {count} arguments; expected force(q, v), force(q, v, t) or force(q, v, t, u)")
    return count


def _geometry(named) -> dict:
    return {name: x if isinstance(x, int) else np.asarray(x) for name, x in named.items() if name in GEOMETRY}

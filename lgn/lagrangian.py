"""Lagrangian: a density summed over a graph, and the motion that follows from it."""

import inspect
from collections.abc import Callable

import jax
import jax.numpy as jnp
import jraph
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from lgn import elements
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
        force: F, an array (node, dim), or a function F(q, v) or F(q, v, t) of the whole state.
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
        motion: Callable[[Array], State] | None = None,
        solver: Solver | None = None,
    ):
        if motion is not None and not clamped_nodes(graph).any():
            raise ValueError(
                "motion is given, but no node is clamped; hold those that it moves: lgn.clamp(graph, nodes)"
            )
        geometry = [
            {k: np.asarray(x) for k, x in named.items() if k in GEOMETRY} for named in (graph.nodes, graph.edges)
        ]
        self._graph = Static(graph._replace(nodes=geometry[0], edges=geometry[1]))
        self.features = nnx.data(
            tuple({k: x for k, x in named.items() if k not in GEOMETRY} for named in (graph.nodes, graph.edges))
        )
        self.terms = nnx.List(terms_on(graph, density, "density"))
        self.dissipation = nnx.List(terms_on(graph, dissipation, "dissipation"))
        self.external = hold(jnp.asarray(force) if isinstance(force, np.ndarray) else force)
        self.motion = hold(motion)
        self.solver = solver
        self._takes_time = callable(force) and _takes_time(force)

    @property
    def graph(self) -> jraph.GraphsTuple:
        nodes, edges = self.features
        frame = self._graph.value
        return frame._replace(nodes={**frame.nodes, **nodes}, edges={**frame.edges, **edges})

    @property
    def density(self) -> Density | list[Density]:
        """The density, or the densities of the terms."""
        densities = [term.density for term in self.terms]
        return densities[0] if len(densities) == 1 else densities

    def __call__(self, q: State, v: State) -> Float[Array, ""]:
        """L(q, v)."""
        return self._sum(self.terms, q, v)

    def momentum(self, q: State, v: State) -> State:
        """p = dL/dv."""
        return self._velocity_gradient(self.terms, q, v)

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
        a = self._solve(mass, f, q, t).value
        return jnp.where(self._free, 0.0, mass @ a - f)

    def force(self, q: State, v: State, t: float = 0.0) -> State:
        """f = dL/dq - (d2L/dv dq) v - dR/dv + F."""
        return self.equation(q, v, t)[1]

    def mass_matrix(self, q: State, v: State):
        """M as scipy.sparse CSR, outside of transformations; rows by node, then degree of freedom."""
        return self.equation(q, v)[0].sparse()

    def stiffness_matrix(self, q: State):
        """-d2L/dq dq of the nodes at rest at q, as scipy.sparse CSR; rows by node, then degree of freedom."""
        self._check(q, q)
        local = [(term, term.gather(self.features, q, jnp.zeros_like(q))) for term in self.terms]
        blocks = tuple(elements.stiffness(term.density, *arguments) for term, arguments in local)
        return MassMatrix(pattern(len(q), *(term.table for term in self.terms)), blocks, q.shape[1]).sparse()

    def equation(self, q: State, v: State, t: float = 0.0) -> tuple[MassMatrix, State]:
        """M and f of M a = f, each element visited once."""
        self._check(q, v)
        f = self._applied(q, v, t)
        stencils, blocks = [], []
        for term in self.terms:
            index, local = term.stencil.index, term.gather(self.features, q, v)
            if not term.reads_velocity(*local):
                f = f.at[index].add(elements.forces(term.density, *local))
                continue
            expansion = elements.expand(term.density, *local)
            f = f.at[index].add(expansion.force - expansion.convection)
            stencils.append(term.table)
            blocks.append(expansion.mass)
        return MassMatrix(pattern(len(q), *stencils), tuple(blocks), q.shape[1]), f

    def solve(self, q: State, v: State, t: float = 0.0) -> Solution:
        """The acceleration with its residual, status and condition."""
        return self._solve(*self.equation(q, v, t), q, t)

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

    def check_start(self, q: State, v: State, t: float = 0.0) -> None:
        """Whether a motion may start here; outside of transformations.

        Raises:
            ValueError: a clamped node that is not at rest, or with `motion` = g: not at g(t) with velocity g'(t).
        """
        self._check(q, v)
        place, velocity, _ = self._imposed(q, t)
        for name, source, x, expected in (("q", "g", q, place), ("v", "g'", v, velocity)):
            found, needed = np.asarray(x), np.asarray(expected)
            near = np.finfo(found.dtype).eps ** 0.25  # loose enough to go on from the end of an integration
            wrong = np.abs(found - needed) > near * (near + max(np.abs(found).max(), np.abs(needed).max()))
            nodes = np.flatnonzero((wrong & ~self._free).any(1))
            if nodes.size:
                clamp = (
                    "a clamp at rest" if self.motion is None else f"the motion of its clamp, {source}({float(t):g}),"
                )
                raise ValueError(
                    f"{name} of clamped node {nodes[0]} is {found[nodes[0]]}, but {clamp} needs {needed[nodes[0]]} "
                    f"({nodes.size} such nodes); set {name} of the clamped nodes to that"
                )

    def solver_for(self, dim: int) -> Solver:
        """The solver that states of `dim` degrees of freedom a node will meet."""
        if self.solver is not None:
            return self.solver
        state = jax.ShapeDtypeStruct((node_count(self._graph.value), dim), jnp.result_type(float))
        mass = jax.eval_shape(lambda q, v: self._hold_clamped(*self.equation(q, v), imposed=v)[0], state, state)
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

    def _sum(self, terms, q, v):
        self._check(q, v)
        return sum(jnp.sum(elements.values(term.density, *term.gather(self.features, q, v))) for term in terms)

    def _velocity_gradient(self, terms, q, v):
        self._check(q, v)
        out = jnp.zeros_like(v)
        for term in terms:
            out = out.at[term.stencil.index].add(elements.momenta(term.density, *term.gather(self.features, q, v)))
        return out

    def _applied(self, q, v, t):
        """F - dR/dv."""
        applied = -self._velocity_gradient(self.dissipation, q, v)
        if self.external is None:
            return applied
        if not callable(self.external):
            return applied + self.external.astype(q.dtype)
        return applied + (self.external(q, v, t) if self._takes_time else self.external(q, v))

    def _solve(self, mass, f, q, t) -> Solution:
        if not mass.blocks:
            raise ValueError(
                "no density reads v: the mass matrix d2L/dv dv is zero; add a kinetic term, 0.5 m v^2 on every node"
            )
        mass, f = self._hold_clamped(mass, f, self._imposed(q, t)[2])
        return (self.solver or default_solver(mass.pattern, mass.dim))(mass, f)

    def _imposed(self, q, t):
        """Place, velocity and acceleration that the clamps impose on their nodes, each (node, dim)."""
        if self.motion is None:
            return q, jnp.zeros_like(q), jnp.zeros_like(q)
        t = jnp.asarray(t, q.dtype)

        def place(t):
            g = jnp.asarray(self.motion(t), q.dtype)
            if g.shape != q.shape:
                raise ValueError(f"motion(t) has shape {g.shape}; expected that of the state, (node, dim) = {q.shape}")
            return g

        def velocity(t):
            return jax.jvp(place, (t,), (jnp.ones_like(t),))[1]

        return place(t), *jax.jvp(velocity, (t,), (jnp.ones_like(t),))

    def _hold_clamped(self, mass, f, imposed):
        """Rows and columns of clamped nodes become those of the identity and f what they impose there; what their
        acceleration takes of the momentum of free nodes, M_fc g'', goes to the right."""
        free = self._free
        if free.all():
            return mass, f
        if self.motion is not None:  # else nothing is imposed, and a product with zeros costs as much as any
            f = f - mass @ jnp.where(free, 0.0, imposed)
        f = jnp.where(free, f, imposed)
        blocks = [
            block * (free[index][..., None, None] & free[index][:, None, None, :, :]).astype(block.dtype)
            for index, block in zip(mass.pattern.indices, mass.blocks, strict=True)
        ]
        held = np.flatnonzero(~free[:, 0])[:, None].astype(np.int32)
        unit = jnp.broadcast_to(jnp.eye(mass.dim, dtype=f.dtype)[:, None], (len(held), 1, mass.dim, 1, mass.dim))
        extended = pattern(mass.pattern.n_node, *mass.pattern.tables, Static(held))
        return MassMatrix(extended, (*blocks, unit), mass.dim), f

    def _check(self, q, v):
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


def _takes_time(force) -> bool:
    count = len(inspect.signature(force).parameters)
    if count not in (2, 3):
        raise ValueError(f"force takes {count} arguments; expected force(q, v) or force(q, v, t)")
    return count == 3

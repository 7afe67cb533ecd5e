"""Baselines: the model families that Lagrangians are compared with, behind the same calls.

`Baseline` moves each node by a law: `PlainNetwork`, `NeuralODE` or `HamiltonianNetwork`. Two families need no class
here: a Lagrangian neural network is a `Lagrangian` of an `MLPDensity`, a deep Lagrangian network (DeLaN) one of a
`StructuredDensity`.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import jraph
from flax import nnx
from jaxtyping import Array, Float

from lgn.densities import (
    Density,
    Initializer,
    angles_of,
    coordinates,
    dense_layers,
    lecun_normal,
    perceptron,
    scale_of,
)
from lgn.graphs import clamped_nodes, node_count
from lgn.lagrangian import Lagrangian, State
from lgn.solvers import SOLVED, Solution
from lgn.terms import Features, hold

NodeState = Float[Array, "1 dim"]  # of one node, with the slot axis of a density
Law = Callable[[NodeState, NodeState, dict[str, Array]], tuple[NodeState, NodeState]]
Momentum = Callable[[NodeState, NodeState, dict[str, Array]], NodeState]


class Baseline(nnx.Pytree):
    """(dq/dt, dv/dt) = law(q, v, features) on each node of a graph by itself; edges are not read.

    `fit`, `rollout`, losses, diagnostics and plots take it as they take a `Lagrangian`. It has no density, so that
    `match` is no phase of its training.

    Args:
        graph: nodes, with node and graph features that the law may read; nodes that `clamp` holds stay at rest.
        law: one of the families, or any function (q, v, features) -> (dq/dt, dv/dt), all (1, dim), which reads one node
            as a density of one slot does. Its `energy(q, v, features)`, if it has one, is summed over the nodes.

    Raises:
        ValueError: states of the wrong shape or dtype, features that the law reads and the graph has not.

    Example:
        >>> import jax.numpy as jnp, lgn
        >>> from flax import nnx
        >>> law = lgn.PlainNetwork(dim=2, angles=(0, 1), rngs=nnx.Rngs(0))
        >>> model = lgn.Baseline(lgn.single_node(), law)
        >>> model.acceleration(jnp.zeros((1, 2)), jnp.ones((1, 2))).shape
        (1, 2)
    """

    def __init__(self, graph: jraph.GraphsTuple, law: Law):
        self.law = hold(law)
        self._frame = Lagrangian(graph, [])  # the graph, its features and its clamps, without a term

    @property
    def graph(self) -> jraph.GraphsTuple:
        return self._frame.graph

    def config(self) -> dict:
        """Arguments that make a model of this shape again."""
        return {"graph": self.graph, "law": self.law}

    @property
    def frame(self) -> Lagrangian:
        """The graph, its features and its clamps, as a Lagrangian without a term."""
        return self._frame

    def given(self, **values: Array) -> "Baseline":
        """The same with other values of its features, see `Lagrangian.given`."""
        other = jax.tree.map(lambda x: x, self)
        other._frame = self._frame.given(**values)
        return other

    def rate(self, q: State, v: State, t: float = 0.0) -> tuple[State, State]:
        """dq/dt and dv/dt; t is not read."""
        q_rate, v_rate = self._on_nodes(self.law, q, v)
        held = clamped_nodes(self.graph)[:, None, None]
        return jnp.where(held, 0.0, q_rate)[:, 0], jnp.where(held, 0.0, v_rate)[:, 0]

    def acceleration(self, q: State, v: State, t: float = 0.0) -> State:
        """dv/dt."""
        return self.rate(q, v, t)[1]

    def energy(self, q: State, v: State) -> Float[Array, ""]:
        """Sum over the nodes of the energy of the law; NaN where it has none."""
        energy = getattr(self.law, "energy", None)
        return jnp.asarray(jnp.nan, q.dtype) if energy is None else jnp.sum(self._on_nodes(energy, q, v))

    def solve(self, q: State, v: State, t: float = 0.0) -> Solution:
        """The acceleration as a `Solution`: nothing is solved, so that the residual is 0 and the condition 1."""
        nothing = jnp.zeros((), int)
        zero, one = jnp.zeros((), q.dtype), jnp.ones((), q.dtype)
        return Solution(self.acceleration(q, v, t), zero, nothing + SOLVED, nothing, one, nothing)

    def check(self, q: State, v: State) -> None:
        """Raises ValueError where q and v are no state of this graph."""
        self._frame.check(q, v)

    def check_start(self, q: State, v: State, t: float = 0.0) -> None:
        """Whether a motion may start here, see `Lagrangian.check_start`."""
        self._frame.check_start(q, v, t)

    def __repr__(self) -> str:
        name = getattr(self.law, "__name__", type(self.law).__name__)
        return f"Baseline({node_count(self.graph)} nodes, law={name})"

    __str__ = __repr__

    def _on_nodes(self, function, q, v):
        """The function of each node's q, v and features, which have the slot axis of a density of one slot."""
        self._frame.check(q, v)
        dim = getattr(self.law, "dim", q.shape[1])
        if dim != q.shape[1]:
            raise ValueError(f"the law was made for dim={dim}, but q has {q.shape[1]} degrees of freedom a node")
        nodes, _, whole = self._frame.features
        constant = {"mask": jnp.ones(1, q.dtype), **{name: jnp.asarray(x, q.dtype) for name, x in whole.items()}}

        def one(q, v, own):
            return function(q, v, Features({**own, **constant}))

        slots = q[:, None], v[:, None], {name: jnp.asarray(x, q.dtype)[:, None] for name, x in nodes.items()}
        return jax.vmap(one)(*slots)


class VectorMLP(nnx.Module):
    """Multilayer perceptron of one node, whose outputs are vectors: size_i * MLP_i(q / q_scale, v / v_scale, features).

    Args:
        dim: values a node carries.
        hidden: widths of the hidden layers.
        sizes: for each vector that it returns its typical size, one number or one for each degree of freedom.
        q_scale: typical size of q, one number or one for each degree of freedom.
        v_scale: the same for v.
        angles: degrees of freedom that are angles: they enter as sine and cosine.
        features: names of the features that are inputs too.
        feature_size: how many numbers these features are together.
        activation: any elementwise function; nothing here takes its second derivative.
        initializer: see `MLPDensity`.
        rngs: random streams.

    Raises:
        ValueError: sizes that are not positive, scales of the wrong length, features without their size.

    Example:
        >>> import jax.numpy as jnp
        >>> from flax import nnx
        >>> from lgn.baselines import VectorMLP
        >>> VectorMLP(2, (8,), sizes=(1.0, 10.0, 5.0), rngs=nnx.Rngs(0))(*jnp.zeros((2, 1, 2)), {}).shape
        (3, 1, 2)
    """

    def __init__(
        self,
        dim: int,
        hidden: Sequence[int],
        *,
        sizes: Sequence[float | Sequence[float]],
        q_scale: float | Sequence[float] = 1.0,
        v_scale: float | Sequence[float] = 1.0,
        angles: Sequence[int] = (),
        features: Sequence[str] = (),
        feature_size: int = 0,
        activation: Callable[[Array], Array] = jax.nn.softplus,
        initializer: Initializer = lecun_normal,
        rngs: nnx.Rngs,
    ):
        if min(dim, len(hidden), *hidden) < 1:
            raise ValueError(f"network: dim={dim}, hidden={tuple(hidden)}; each must be at least 1")
        if bool(features) != bool(feature_size):
            raise ValueError(f"network: features={tuple(features)} with feature_size={feature_size}; give both")
        self.dim, self.hidden, self.angles, self.activation = dim, tuple(hidden), angles_of(angles, dim), activation
        self.features, self.feature_size = tuple(features), feature_size
        self.sizes = tuple(scale_of(f"sizes[{i}]", size, dim) for i, size in enumerate(sizes))
        self.q_scale, self.v_scale = scale_of("q_scale", q_scale, dim), scale_of("v_scale", v_scale, dim)
        inputs = 2 * dim + len(self.angles) + feature_size
        self.layers = dense_layers((inputs, *hidden, len(sizes) * dim), initializer, rngs)

    def __call__(self, q, v, features) -> Float[Array, "vector 1 dim"]:
        places, speeds = coordinates(q, self.q_scale, self.angles), v / jnp.asarray(self.v_scale, v.dtype)
        named = [jnp.ravel(features[name]).astype(q.dtype) for name in self.features]
        inputs = jnp.concatenate([jnp.ravel(places), jnp.ravel(speeds), *named])
        found = perceptron(self.layers, self.activation, inputs).reshape(-1, 1, self.dim)
        return jnp.asarray(self.sizes, q.dtype)[:, None] * found

    def config(self) -> dict:
        """Arguments that make a network of this shape again."""
        names = ("dim", "hidden", "sizes", "q_scale", "v_scale", "angles", "features", "feature_size", "activation")
        return {name: getattr(self, name) for name in names}


class PlainNetwork(nnx.Module):
    """dq/dt = v, dv/dt = a network of q, v and the features: no structure, and no energy.

    Args:
        dim: values a node carries.
        hidden: widths of the hidden layers.
        a_scale: typical size of the acceleration, one number or one for each degree of freedom.
        settings: q_scale, v_scale, angles, features, feature_size, activation, initializer, rngs: of `VectorMLP`.

    Source: the baseline of Cranmer et al. 2020, arXiv 2003.04630, section 4.

    Example:
        >>> import jax.numpy as jnp, lgn
        >>> from flax import nnx
        >>> law = lgn.PlainNetwork(dim=1, features=("g",), feature_size=1, rngs=nnx.Rngs(0))
        >>> two = lgn.Baseline(lgn.single_node({"g": [1.6, 9.8]}, count=2), law)
        >>> two.acceleration(*jnp.ones((2, 2, 1))).shape
        (2, 1)
    """

    def __init__(
        self,
        dim: int,
        hidden: Sequence[int] = (24, 24),
        *,
        a_scale: float | Sequence[float] = 1.0,
        **settings,
    ):
        self.dim = dim
        self.network = VectorMLP(dim, hidden, sizes=(scale_of("a_scale", a_scale, dim),), **settings)

    def __call__(self, q, v, features) -> tuple[NodeState, NodeState]:
        return v, self.network(q, v, features)[0]

    def config(self) -> dict:
        """Arguments that make a network of this shape again."""
        settings = self.network.config()
        a_scale = settings.pop("sizes")[0]
        return {**settings, "a_scale": a_scale}


class NeuralODE(nnx.Module):
    """dq/dt and dv/dt = a network of q, v and the features: that dq/dt = v is learned too. It has no energy.

    Trained through an integrator by `StepsLoss`, which differentiates its steps, or by `rate_loss`.

    Args:
        dim: values a node carries.
        hidden: widths of the hidden layers.
        v_scale: typical size of v, and so of dq/dt, one number or one for each degree of freedom.
        a_scale: the same of dv/dt.
        settings: q_scale, angles, features, feature_size, activation, initializer, rngs: of `VectorMLP`.

    Source: Chen, Rubanova, Bettencourt, Duvenaud 2018, arXiv 1806.07366.

    Example:
        >>> import jax.numpy as jnp, lgn
        >>> from flax import nnx
        >>> model = lgn.Baseline(lgn.single_node(), lgn.NeuralODE(dim=2, rngs=nnx.Rngs(0)))
        >>> [x.shape for x in model.rate(*jnp.ones((2, 1, 2)))]
        [(1, 2), (1, 2)]
    """

    def __init__(
        self,
        dim: int,
        hidden: Sequence[int] = (24, 24),
        *,
        v_scale: float | Sequence[float] = 1.0,
        a_scale: float | Sequence[float] = 1.0,
        **settings,
    ):
        self.dim = dim
        sizes = scale_of("v_scale", v_scale, dim), scale_of("a_scale", a_scale, dim)
        self.network = VectorMLP(dim, hidden, sizes=sizes, v_scale=v_scale, **settings)

    def __call__(self, q, v, features) -> tuple[NodeState, NodeState]:
        q_rate, v_rate = self.network(q, v, features)
        return q_rate, v_rate

    def config(self) -> dict:
        """Arguments that make a network of this shape again."""
        settings = self.network.config()
        a_scale = settings.pop("sizes")[1]
        return {**settings, "a_scale": a_scale}


def velocity(q, v, features):
    """p = v: the velocity taken for the momentum."""
    return v


class HamiltonianNetwork(nnx.Module):
    """The flow of a Hamiltonian H(q, p) of each node alone, in the coordinates (q, v), where p(q, v) is given:

        dq/dt = dH/dp,    (dp/dv) dv/dt = -dH/dq - (dp/dq) dH/dp,

    which is dp/dt = -dH/dq. So H(q, p(q, v)) is constant, and is the energy; dq/dt is v only as far as it was learned:
    train by `rate_loss`, which compares both.

    Args:
        hamiltonian: H(q, p, features) -> scalar, q, p: (1, dim): a density of one slot that reads p in the place of v,
            such as `MLPDensity(1, dim, mass=None, ...)`, whose `v_scale` is then the typical size of p.
        momentum: p(q, v, features), (1, dim), with an invertible dp/dv; one with parameters of its own learns them.

    Raises:
        ValueError: a Hamiltonian of more than one slot.

    Source: Greydanus, Dzamba, Yosinski 2019, arXiv 1906.01563, equation 3.

    Example:
        >>> import jax.numpy as jnp, lgn
        >>> def spring(q, p, features): return 0.5 * jnp.sum(p**2) + 2.0 * jnp.sum(q**2)
        >>> model = lgn.Baseline(lgn.single_node(), lgn.HamiltonianNetwork(spring))
        >>> model.acceleration(jnp.ones((1, 1)), jnp.zeros((1, 1))).tolist()
        [[-4.0]]
    """

    def __init__(self, hamiltonian: Density, momentum: Momentum = velocity):
        if getattr(hamiltonian, "slots", 1) != 1:
            raise ValueError(f"HamiltonianNetwork: hamiltonian reads {hamiltonian.slots} slots; make it with slots=1")  # type: ignore[attr-defined]
        self.hamiltonian, self.momentum = hold(hamiltonian), hold(momentum)
        if hasattr(hamiltonian, "dim"):
            self.dim = hamiltonian.dim

    def __call__(self, q, v, features) -> tuple[NodeState, NodeState]:
        p = self.momentum(q, v, features)
        q_slope, p_slope = jax.grad(self.hamiltonian, argnums=(0, 1))(q, p, features)
        _, turned = jax.jvp(lambda q: self.momentum(q, v, features), (q,), (p_slope,))
        by_v = jax.jacobian(lambda v: self.momentum(q, v, features))(v).reshape(v.size, v.size)
        return p_slope, jnp.linalg.solve(by_v, (-q_slope - turned)[0])[None]

    def config(self) -> dict:
        """Arguments that make a law of this shape again."""
        return {"hamiltonian": self.hamiltonian, "momentum": self.momentum}

    def energy(self, q, v, features) -> Float[Array, ""]:
        """H(q, p(q, v))."""
        return self.hamiltonian(q, self.momentum(q, v, features), features)

"""Report: what a training reached, and how far to trust it, in one look."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from lgn import _arguments
from lgn.data.samples import States, Trajectory, Windows
from lgn.learning.extrapolation import Reach, reach
from lgn.learning.loss import LossLike
from lgn.learning.losses import default_loss
from lgn.learning.phase import Row
from lgn.learning.samples import at_states
from lgn.learning.training import FitResult
from lgn.learning.validation import FEW, SMALL
from lgn.mechanics.system import check_system, offered

MOST = 10_000  # states at which M is looked at, evenly picked


class Mass(NamedTuple):
    """Mass matrix over the states of the data.

    Attributes:
        condition: (state,) largest over smallest pivot.
        node: (state,) where it is worst.
        indefinite: in how many states it is not positive definite, or singular.
    """

    condition: np.ndarray
    node: np.ndarray
    indefinite: int

    def __str__(self) -> str:
        worst = int(np.argmax(np.where(np.isnan(self.condition), np.inf, self.condition)))
        sign = f"not positive definite in {self.indefinite} of" if self.indefinite else "positive definite in all"
        return (
            f"pivots in the ratio {np.median(self.condition):.3g} (median), {self.condition[worst]:.3g} at most, in "
            f"state {worst} at node {self.node[worst]}; {sign} {len(self.condition)} states"
        )


class LearningReport(NamedTuple):
    """Result of a training, and how far to trust it; `str` of it is a text, `lgn.plots.learning` a picture.

    Attributes:
        train: relative error on all data, the root of their loss.
        held_out: that of data which did not train: those given, else those that `fit` held out; NaN without.
        noise: relative noise of the data, what the model cannot express included; NaN where nothing was held out.
        samples: how many were trained on.
        parameters: how many numbers were trained.
        seconds: that it took.
        history: one `Row` for each step that was recorded.
        stopped: what spoke against it.
        mass: of a Lagrangian, else None.
        reach: of the states that were given, else None.
    """

    train: float
    held_out: float
    noise: float
    samples: int
    parameters: int
    seconds: float
    history: list[Row]
    stopped: str
    mass: Mass | None
    reach: Reach | None

    def __str__(self) -> str:
        ratio = self.held_out / self.train
        judged = "nothing was held out" if np.isnan(self.held_out) else f"{self.held_out:.3g}, {ratio:.2g} times that"
        lines = {
            "training": f"relative error {self.train:.3g} on {self.samples} samples, {self.parameters} parameters, "
            f"{len(self.history)} rows in {self.seconds:.3g} s",
            "held out": judged,
            "noise": "unknown" if np.isnan(self.noise) else f"about {self.noise:.2g}",
            "mass matrix": str(self.mass or "none"),
            "reach": str(self.reach or "no states given"),
        }
        if ratio**2 > FEW and self.held_out > SMALL:
            lines["verdict"] = "the data do not determine the model: more data, or a smaller network"
        if self.stopped:
            lines["stopped"] = self.stopped
        return "\n".join(f"{name:<12} {text}" for name, text in lines.items())


def learning_report(
    result: FitResult,
    data: States | Windows,
    *,
    loss: LossLike | None = None,
    held_out: States | Windows | None = None,
    states: Trajectory | States | tuple | None = None,
    system: Any = None,
) -> LearningReport:
    """Report of a training: errors, noise, the mass matrix, and how far states are from the data.

    Args:
        result: of `fit`.
        data: that it was given. Of pieces of positions alone, velocities are differences of those before and after.
        loss: that it was given.
        held_out: data that did not train, to judge by; by default the share that `fit` held out before it joined.
        states: a motion, `States`, or fields (state, node, dim), such as a forecast. How far they are from the data is
            the distance of each element, of what the density sees of a node and its neighbours, to the nearest element
            of the data, so that a graph of ten nodes compares with one of ten thousand.
        system: that the states are of, where it is not the one that was trained; of the same densities.

    Returns:
        LearningReport.

    Raises:
        ValueError: what is no result of `fit`, data or states of another shape than the graph.

    Example:
        >>> import jax, lgn
        >>> from flax import nnx
        >>> from lgn.systems import wave
        >>> L = lgn.Lagrangian(lgn.lattice((5,)), lgn.MLPDensity(3, 1, (4,), rngs=nnx.Rngs(0)))
        >>> data = wave.sample(jax.random.key(0), 20, 5)
        >>> result = lgn.fit(L, data, key=jax.random.key(1), phases=[lgn.QuasiNewton(steps=5)])
        >>> large = lgn.Lagrangian(lgn.lattice((30,)), result.system.density)
        >>> report = lgn.learning_report(result, data, states=wave.sample(jax.random.key(2), 3, 30), system=large)
        >>> print(str(report).splitlines()[0][:27], report.reach.distance.shape)
        training     relative error (3,)
    """
    _arguments.of_kind("learning_report: result", result, FitResult, "what lgn.fit returned")
    _arguments.of_kind("learning_report: data", data, (States, Windows), "those that lgn.fit was given")
    if held_out is not None:
        _arguments.of_kind("learning_report: held_out", held_out, (States, Windows), "lgn.States(q, v, a), fresh ones")
    if system is not None and states is None:
        raise ValueError("learning_report: system is given without states; give states=, a motion of it, or leave it")
    loss = loss or default_loss(data)
    trained = getattr(result.system, "system", result.system)  # beside free starts
    known = _states_of(trained, data.check())
    root = jax.jit(lambda system, data: jnp.sqrt(loss(system, data)))

    def error(data):
        return float(root(result.system, jax.tree.map(jnp.asarray, data)))

    return LearningReport(
        error(data),
        result.held_out if held_out is None else error(held_out.check()),
        result.noise,
        len(data.q),
        sum(x.size for x in jax.tree.leaves(nnx.state(result.system, nnx.Param))),
        result.seconds,
        result.history,
        result.stopped,
        _mass(trained, known) if offered(trained, "solve") is not None else None,
        None if states is None else _reach(trained, known, trained if system is None else system, states),
    )


def _mass(system, known: States) -> Mass:
    picked = jax.tree.map(lambda x: x[:: -(-len(x) // MOST)], known)
    solve = jax.jit(lambda system, data: at_states(lambda system, state, t: system.solve(*state, t), system, data))
    found = solve(system, picked)
    return Mass(np.asarray(found.condition), np.asarray(found.node), int(np.sum(np.asarray(found.status) > 0)))


def _reach(trained, known: States, system, states) -> Reach | None:
    fields = getattr(states, "state", states)
    if not isinstance(fields, tuple | list) or any(np.ndim(x) != 3 for x in fields):
        raise ValueError(
            f"learning_report: states={_arguments.short(states)}; expected a motion of lgn.rollout, States, or a tuple "
            f"of fields (state, node, dim): give (q, v), or (u,)"
        )
    check_system(system).check(*(jnp.asarray(x[0]) for x in fields))
    return reach(trained, known, system, _as_states(fields, getattr(states, "features", None)))


def _states_of(system, data: States | Windows) -> States:
    """States of the data that were seen whole, one by one."""
    if isinstance(data, States):
        return _as_states(data.state, data.features, data.t)
    fields: tuple = (data.q,) if data.v is None else (data.q, data.v)
    seen: Any = np.ones(data.q.shape[:2], bool) if data.seen is None else np.asarray(data.seen).all(2)
    t = np.asarray(0.0 if data.t is None else data.t)[..., None] + np.arange(data.q.shape[1]) * data.dt[:, None]
    if data.v is None and offered(system, "momentum") is not None:
        speed = (data.q[:, 2:] - data.q[:, :-2]) / (2 * data.dt[:, None, None, None])
        fields, t = (data.q[:, 1:-1], speed), t[:, 1:-1]
        seen = seen[:, 1:-1] & seen[:, 2:] & seen[:, :-2]
    if not seen.any():
        raise ValueError("learning_report: the data have no state that was seen at every node, to look at")
    sample, _ = np.nonzero(seen)
    features = jax.tree.map(lambda x: np.asarray(x)[sample], data.features)
    return _as_states(tuple(np.asarray(x)[seen] for x in fields), features, t[seen])


def _as_states(fields, features=None, t=None) -> States:
    """States (q, v) with any acceleration, or u with any rate."""
    q, v = (*map(jnp.asarray, fields), jnp.zeros_like(fields[0]))[:2]
    return States(q, v, None if len(fields) == 1 else jnp.zeros_like(q), t, features)  # type: ignore[arg-type]

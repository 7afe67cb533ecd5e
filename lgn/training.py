"""Training: phases that each improve the parameters of a system, and `fit`, which runs them, keeps them and resumes.

A phase is an object with `start(problem, x, key)`, `advance(problem, state)`, `finished(state)`, `done(state)`,
`healthy(state)` and `parameters(state)`; its state is a NamedTuple of arrays. All that a run decides follows from that
state, so that a killed run goes on to the same numbers.
"""

import csv
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax import lax
from jax.flatten_util import ravel_pytree

from lgn import bfgs, elements
from lgn.checkpoint import Checkpoints, fingerprint
from lgn.densities import Density
from lgn.trajectories import States

Loss = Callable[[Any, States], jax.Array]


class Row(NamedTuple):
    """One line of the history."""

    phase: str
    step: int
    loss: float


class FitResult(NamedTuple):
    """What `fit` returns.

    Attributes:
        system: with the trained parameters.
        history: one `Row` for each recorded step.
        stopped: empty, or why training ended early.
    """

    system: Any
    history: list[Row]
    stopped: str


def acceleration_loss(system, data: States) -> jax.Array:
    """Mean squared error of the acceleration relative to its mean square."""
    error = jax.vmap(system.acceleration)(data.q, data.v) - data.a
    return jnp.mean(error**2) / jnp.mean(data.a**2)


def kinetic_energy(q, v, features):
    """0.5 |v|^2 of slot 0: the Lagrangian of free unit masses."""
    return 0.5 * jnp.sum(v[0] ** 2)


class Problem:
    """A system whose `nnx.Param` are free, data, and a loss: functions of one flat vector x."""

    def __init__(self, system, data: States, loss: Loss = acceleration_loss):
        self.data, self.loss = data, loss
        self._definition, parameters, self._rest = nnx.split(system, nnx.Param, ...)
        x, self._unravel = ravel_pytree(parameters)
        self.x = np.asarray(x)
        self._compiled: dict = {}

    def system_at(self, x):
        """The system with parameters x."""
        return nnx.merge(self._definition, self._unravel(x), self._rest)

    def log_and_gradient(self, objective: Loss | None) -> bfgs.ValueAndGradient:
        """log of the objective and its gradient, in numpy."""
        if objective not in self._compiled:
            chosen = objective or self.loss
            compiled = jax.jit(jax.value_and_grad(lambda x, data: jnp.log(chosen(self.system_at(x), data))))

            def evaluate(x):
                value, gradient = compiled(x, self.data)
                return np.asarray(value), np.asarray(gradient)

            self._compiled[objective] = evaluate
        return self._compiled[objective]

    def scan_minibatches(self, optimizer: optax.GradientTransformation, batch: int):
        """Compiled (x, optimiser state, key, count) -> (x, optimiser state, losses)."""
        if (optimizer, batch) not in self._compiled:

            def scan(x, state, key, data, count):
                def step(carry, key):
                    x, state = carry
                    picked = jax.random.randint(key, (batch,), 0, len(data.q))
                    sample = jax.tree.map(lambda values: values[picked], data)
                    loss, gradient = jax.value_and_grad(lambda x: self.loss(self.system_at(x), sample))(x)
                    updates, state = optimizer.update(gradient, state, x)
                    return (optax.apply_updates(x, updates), state), loss

                (x, state), losses = lax.scan(step, (x, state), jax.random.split(key, count))
                return x, state, losses

            compiled = jax.jit(scan, static_argnums=4)
            self._compiled[optimizer, batch] = lambda x, state, key, count: compiled(x, state, key, self.data, count)
        return self._compiled[optimizer, batch]

    def diagnose(self, x) -> str:
        """Which sample and node have the worst mass matrix at x."""
        system = self.system_at(jnp.asarray(x))
        if not hasattr(system, "solve"):
            return "the loss is not finite"
        found = jax.jit(jax.vmap(system.solve))(self.data.q, self.data.v)
        worst = int(np.argmax(np.nan_to_num(np.asarray(found.condition), nan=np.inf)))
        return (
            f"the loss or its gradient is not finite; the worst mass matrix is that of sample {worst} at node "
            f"{int(found.node[worst])}, with pivots in the ratio {float(found.condition[worst]):.1e} and status "
            f"{int(found.status[worst])} (1 not positive definite, 2 singular). Start from a known Lagrangian "
            f"(lgn.match()) or give the density a kinetic prior (MLPDensity(mass=1.0))"
        )


@dataclass(frozen=True)
class QuasiNewton:
    """Full batch: dense BFGS on the logarithm of the objective, which keeps its scale over many decades.

    Args:
        steps: most iterations.
        tolerance: square root of the objective at which it is done.
        objective: function of (system, data); by default the loss of the problem.
        name: in the history.
    """

    steps: int = 2000
    tolerance: float = 1e-12
    objective: Loss | None = None
    name: str = "quasi-newton"

    def start(self, problem: Problem, x, key):
        """BFGS state at x."""
        return bfgs.start(problem.log_and_gradient(self.objective), x)

    def advance(self, problem: Problem, state):
        """One iteration."""
        state = bfgs.step(problem.log_and_gradient(self.objective), state)
        return state, [Row(self.name, int(state.step), float(np.exp(state.value)))]

    def finished(self, state) -> bool:
        """Whether it is done, or can do no more."""
        return bool(state.stuck) or self.done(state) >= self.steps or state.value <= 2 * np.log(self.tolerance)

    def done(self, state) -> int:
        """Iterations so far."""
        return int(state.step)

    def healthy(self, state) -> bool:
        """Whether it began at finite numbers; no step leaves them."""
        return bool(np.isfinite(state.value) and np.isfinite(state.gradient).all())

    def parameters(self, state):
        """x of the last finite state."""
        return state.x


def match(target: Density = kinetic_energy, steps: int = 300, tolerance: float = 1e-2) -> QuasiNewton:
    """The phase that starts from a known Lagrangian: value, gradient and Hessian of the density on the elements of the
    data become those of `target`. A network with random weights makes M singular somewhere; this one starts regular.
    With a kinetic prior and a small network there is nothing to do, and it ends at once.

    Args:
        target: density on the stencil of the first term; further terms are left as they are.
        steps: most iterations.
        tolerance: relative error at which it is done.
    """
    return QuasiNewton(steps, tolerance, partial(_mismatch, target), "match")


class _MinibatchState(NamedTuple):
    x: np.ndarray
    optimizer: dict[str, np.ndarray]
    key: np.ndarray
    step: np.ndarray
    broken: np.ndarray


@dataclass(frozen=True)
class Minibatch:
    """Stochastic gradients by an optax optimiser, scanned in chunks; for data too large for one batch.

    Args:
        optimizer: any optax transformation.
        steps: gradient steps.
        batch: samples a step.
        chunk: steps between two lines of the history.
    """

    optimizer: optax.GradientTransformation
    steps: int
    batch: int
    chunk: int = 100
    name: str = "minibatch"

    def start(self, problem: Problem, x, key):
        """Optimiser state at x."""
        leaves = jax.tree.leaves(self.optimizer.init(jnp.asarray(x)))
        optimizer = {str(i): np.asarray(leaf) for i, leaf in enumerate(leaves)}
        return _MinibatchState(x, optimizer, np.asarray(jax.random.key_data(key)), np.array(0), np.array(0))

    def advance(self, problem: Problem, state):
        """A chunk of steps; if the parameters leave finite numbers, the last good ones stay and the phase ends."""
        structure = jax.tree.structure(self.optimizer.init(jnp.asarray(state.x)))
        optimizer = jax.tree.unflatten(structure, [state.optimizer[str(i)] for i in range(len(state.optimizer))])
        key = jax.random.fold_in(jax.random.wrap_key_data(jnp.asarray(state.key)), int(state.step))
        count = min(self.chunk, self.steps - int(state.step))
        scan = problem.scan_minibatches(self.optimizer, self.batch)
        x, optimizer, losses = scan(jnp.asarray(state.x), optimizer, key, count)
        if not (np.isfinite(x).all() and np.isfinite(losses).all()):
            return state._replace(broken=np.array(1)), []
        leaves = {str(i): np.asarray(leaf) for i, leaf in enumerate(jax.tree.leaves(optimizer))}
        state = state._replace(x=np.asarray(x), optimizer=leaves, step=state.step + count)
        return state, [Row(self.name, int(state.step), float(jnp.mean(losses)))]

    def finished(self, state) -> bool:
        """Whether all steps are done, or one failed."""
        return bool(state.broken) or self.done(state) >= self.steps

    def done(self, state) -> int:
        """Steps so far."""
        return int(state.step)

    def healthy(self, state) -> bool:
        """Whether every step stayed finite."""
        return not state.broken

    def parameters(self, state):
        """The last finite x."""
        return state.x


Phase = QuasiNewton | Minibatch


def default_phases(data: States) -> tuple[Phase, ...]:
    """Start regular; if the data hold more than 20,000 elements, Adam on minibatches of that size; then BFGS."""
    samples, elements_each = len(data.q), data.q.shape[1]
    batch = max(1, 20_000 // elements_each)
    middle: tuple[Phase, ...] = ()
    if samples > batch:
        middle = (Minibatch(optax.adam(optax.cosine_decay_schedule(1e-3, 5000)), 5000, batch),)
    return (match(), *middle, QuasiNewton())


def fit(
    system,
    data: States,
    *,
    key: jax.Array,
    phases: Sequence[Phase] | None = None,
    loss: Loss = acceleration_loss,
    folder: str | Path | None = None,
    checkpoint_seconds: float = 10.0,
) -> FitResult:
    """Trains the `nnx.Param` of a system.

    With a folder, `metrics.csv` and checkpoints are kept there: the same call after a kill at any moment goes on from
    the last checkpoint, to the same numbers as an undisturbed run. Same key, same csv. A terminal shows a bar.

    Args:
        system: a Lagrangian, or anything with `acceleration` and `nnx.Param`.
        data: states with their accelerations.
        key: of jax.random.
        phases: run one after the other; by default `default_phases(data)`.
        loss: (system, data) -> scalar > 0.
        folder: where to keep the run.
        checkpoint_seconds: least time between two checkpoints.

    Returns:
        FitResult. A loss that is not finite ends training: the last good parameters are kept, and `stopped` and a
        warning say what went singular.

    Raises:
        ValueError: data of wrong shapes or not finite, a system without parameters, a folder with another run.

    Example:
        >>> import jax, lgn
        >>> from flax import nnx
        >>> from lgn.systems import wave
        >>> L = lgn.Lagrangian(lgn.lattice((5,)), lgn.MLPDensity(3, 1, (4,), rngs=nnx.Rngs(0)))
        >>> data = wave.sample(jax.random.key(0), 20, 5)
        >>> result = lgn.fit(L, data, key=jax.random.key(1), phases=[lgn.QuasiNewton(steps=5)])
        >>> len(result.history)
        5
    """
    data = States(*(jnp.asarray(x) for x in data)).check()
    phases = tuple(phases) if phases is not None else default_phases(data)
    problem = Problem(system, data, loss)
    if problem.x.size == 0:
        raise ValueError("fit: the system has no nnx.Param to train; give it a learned density such as MLPDensity")
    record = _Record(folder, problem, phases, key, checkpoint_seconds) if folder is not None else None
    number, state, history = record.restore() if record else (0, None, [])
    x, stopped = problem.x, ""
    with _progress() as bar:
        for i, phase in enumerate(phases[number:], number):
            if state is None:
                state = phase.start(problem, x, jax.random.fold_in(key, i))
            task = bar.add_task(phase.name, total=phase.steps, error=np.nan)
            while phase.healthy(state) and not phase.finished(state):
                state, rows = phase.advance(problem, state)
                history += rows
                bar.update(task, completed=phase.done(state), error=np.sqrt(history[-1].loss) if history else np.nan)
                if record:
                    record.keep(i, state, history)
            x = phase.parameters(state)
            if record:
                record.keep(i, state, history, now=True)
            if not phase.healthy(state):
                stopped = f"{phase.name} stopped at step {phase.done(state)}: {problem.diagnose(x)}"
                warnings.warn(stopped, RuntimeWarning, stacklevel=2)
                break
            state = None
    return FitResult(problem.system_at(jnp.asarray(x)), history, stopped)


class _Record:
    """The folder of a run: `metrics.csv`, and checkpoints of (phase, state, history)."""

    def __init__(self, folder, problem, phases, key, seconds):
        self.folder, self.problem, self.phases, self.key = Path(folder), problem, phases, key
        names = [f"{phase.name} {phase.steps}" for phase in phases]
        identity = fingerprint([problem.x, *problem.data, jax.random.key_data(key)], names)
        self.checkpoints = Checkpoints(self.folder / "checkpoints", identity, seconds)

    def restore(self):
        """(phase, state, history) where the run was left, or its beginning."""
        kept = self.checkpoints.restore()
        if kept is None:
            return 0, None, []
        number, names = int(kept["phase"]), [phase.name for phase in self.phases]
        history = [Row(names[int(p)], int(step), float(loss)) for p, step, loss in kept["history"][1:]]
        blank = self.phases[number].start(self.problem, self.problem.x, jax.random.fold_in(self.key, number))
        return number, type(blank)(**kept["state"]), history

    def keep(self, number, state, history, now=False):
        """Write, if the last time is long enough ago."""
        if not (now or self.checkpoints.due()):
            return
        names = [phase.name for phase in self.phases]
        rows = np.array([(-1, -1, -1), *((names.index(row.phase), row.step, row.loss) for row in history)], float)
        self.checkpoints.keep({"phase": np.array(number), "state": state._asdict(), "history": rows})
        with open(self.folder / "metrics.csv", "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(Row._fields)
            writer.writerows(history)


def _mismatch(target, system, data):
    """Mean squared difference of the expansions of the first term and of `target`, relative to those of `target`."""
    term = system.terms[0]
    local = jax.vmap(lambda q, v: term.gather(system.features, q, v))(data.q, data.v)
    local = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:])[:2000], local)
    wanted, found = (elements.expand(density, *local) for density in (target, term.density))
    difference = sum(jnp.mean((a - b) ** 2) for a, b in zip(wanted, found, strict=True))
    return difference / sum(jnp.mean(a**2) for a in wanted)


def _progress():
    """A bar with the relative error, the rate and the time left; silent when nobody watches."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("relative error {task.fields[error]:.2e}"),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )

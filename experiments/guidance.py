"""What to train a Lagrangian network with: optimiser, loss, batch, network, start, unit, inputs, precision, data.

One function a question: a base setting with one thing changed a row, on the double pendulum and on the wave on a ring
of 10 nodes; what each table shows is said in docs/training.md. Seconds are of the processor, compilation left out, so
that other work on the machine changes them little; on one core: taskset -c 0 python experiments/guidance.py
"""

import functools
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import jraph
import matplotlib
import numpy as np
import optax
import tyro
from flax import nnx
from report import number
from rich.console import Console
from rich.markdown import Markdown

import lgn
from lgn import plots, runs
from lgn.losses import on_samples
from lgn.systems import double_pendulum, relativistic, wave

PENDULUM, WAVE, PARTICLE = "double pendulum", "wave", "relativistic particle"
ENDLESS = 10**6  # steps, where time is the limit
STEP = 0.01  # between two states of a piece of trajectory
CONSOLE = Console(width=150)


@dataclass(frozen=True)
class Config:
    """Settings of the experiment."""

    out: Path = Path("runs/guidance")
    """Folder for tables and pictures."""
    quick: bool = False
    """A few questions and short trainings, to see that everything runs."""
    questions: tuple[str, ...] = ()
    """Names of functions in QUESTIONS; by default all."""
    seeds: int = 2
    """How many, but for the questions in ONCE, which take one."""
    steps: int = 400
    """Iterations of BFGS, where these are what is equal."""
    seconds: float = 3.5
    """Of the processor, where time is what is equal."""


class System(NamedTuple):
    """What is learned: its graph, `sample(key, count)`, how many states, and arguments of `MLPDensity`."""

    graph: jraph.GraphsTuple
    sample: Callable
    states: int
    density: dict


@dataclass(frozen=True)
class Case:
    """One training: what is changed of the base setting.

    Attributes:
        system: name in SYSTEMS.
        density: changed arguments of `MLPDensity`, as pairs.
        phases: one after the other; where there is a limit each takes the same share of it.
        loss: what is minimised.
        states: how many are learned from, by default those of the system.
        data: (key, count) -> data, by default the states of the system.
        limit: seconds of the processor.
        x64: whether double precision.
        seeds: how many, if not those of the question.
    """

    system: str
    density: tuple = ()
    phases: tuple = ()
    loss: Callable = lgn.acceleration_loss
    states: int | None = None
    data: Callable | None = None
    limit: float = np.inf
    x64: bool = True
    seeds: int | None = None

    def changed(self, **density) -> "Case":
        """With other arguments of `MLPDensity`."""
        return replace(self, density=(*self.density, *density.items()))


class Result(NamedTuple):
    """One seed of a case; `curve` holds (seconds, error on fresh states) along the training."""

    error: float
    training_error: float
    steps: int
    seconds: float
    parameters: int
    stopped: str
    curve: list


def particles(key, count):
    """States of the relativistic particle, each a sample of one node with a field of its own."""
    states, g = relativistic.sample(key, count)
    q, v, a = (jnp.swapaxes(x, 0, 1) for x in states[:3])
    return lgn.States(q, v, a, given={"g": g[:, None] / 10})


def pieces(key, count):
    """Three states, STEP apart, of exact trajectories of the double pendulum from each random state."""
    states = double_pendulum.sample(key, count)
    exact = lgn.Lagrangian(lgn.single_node(count=count), double_pendulum.density)
    start = [x[:, 0] for x in states[:2]]
    motion = lgn.rollout(exact, start, STEP * np.arange(3), lgn.Adaptive(1e-11, 1e-11))
    q, v = (jnp.swapaxes(x, 0, 1)[:, :, None] for x in (motion.q, motion.v))
    return lgn.Windows(q, np.full(count, STEP), v)


SYSTEMS = {
    PENDULUM: System(
        lgn.single_node(),
        double_pendulum.sample,
        2000,
        {"slots": 1, "dim": 2, "hidden": (32, 32), "mass": 0.02, "v_scale": 5.0, "angles": (0, 1)},
    ),
    WAVE: System(
        lgn.lattice((10,)),
        partial(wave.sample, n_node=10),
        100,
        {"slots": 3, "dim": 1, "hidden": (16, 16), "relative": True},
    ),
    PARTICLE: System(
        lgn.single_node({"g": np.ones(1)}),
        particles,
        2000,
        {"slots": 1, "dim": 1, "hidden": (32, 32), "q_scale": 10.0, "features": ("g",), "feature_size": 1}
        | {"mass": None, "initializer": lgn.lecun_normal},
    ),
}


def base(config: Config, system: str) -> Case:
    """The kinetic prior and BFGS."""
    return Case(system, phases=(lgn.QuasiNewton(config.steps),))


def timed(config: Config, system: str, *phases, **changes) -> Case:
    """Phases in the time that all have."""
    return Case(system, phases=phases, limit=config.seconds, **changes)


@functools.cache
def adam(config: Config, system: str, batch: int) -> Case:
    """Adam at 1e-3 in the time that all have."""
    phase = lgn.Minibatch(optax.adam(1e-3), ENDLESS, batch, chunk=max(10, 10_000 // batch))
    return timed(config, system, phase)


def optimiser(config: Config, system: str):
    """Equal time."""
    constant = adam(config, system, BATCH[system])
    steps = max(train(constant, 0).steps, 1)
    decaying = replace(constant.phases[0], optimizer=optax.adam(optax.cosine_decay_schedule(1e-3, steps)), steps=steps)
    yield "BFGS", timed(config, system, lgn.QuasiNewton(ENDLESS))
    yield "L-BFGS of optax, memory 20", timed(config, system, LimitedMemory())
    yield "Adam, 1e-3", constant
    yield "Adam, cosine from 1e-3 to 0", replace(constant, phases=(decaying,), limit=2 * config.seconds)
    yield "Adam, 1e-2", timed(config, system, replace(constant.phases[0], optimizer=optax.adam(1e-2)))
    yield "half Adam, half BFGS", timed(config, system, *constant.phases, lgn.QuasiNewton(ENDLESS))


def loss(config: Config, system: str):
    """Equal time; BFGS."""
    endless = lgn.QuasiNewton(ENDLESS)
    balance = lgn.QuasiNewton(ENDLESS, objective=lgn.balance_loss)
    yield "acceleration_loss", timed(config, system, endless)
    yield "balance_loss", timed(config, system, balance)
    yield "half balance_loss, half acceleration_loss", timed(config, system, balance, endless)
    if system == PENDULUM:
        steps = lgn.StepsLoss(lgn.ImplicitMidpoint(STEP / 2), STEP)
        yield "StepsLoss, two steps of 0.01", timed(config, system, endless, loss=steps, data=pieces)
        yield (
            "variational_loss, three positions",
            timed(config, system, endless, loss=lgn.variational_loss, data=pieces),
        )


def batch(config: Config, system: str):
    """Equal time; Adam at 1e-3."""
    for size in (32, 256, 2000):
        yield str(size), adam(config, system, size)


def activation(config: Config, system: str):
    """Equal iterations."""
    for function in (jax.nn.softplus, jnp.tanh, jax.nn.silu, jax.nn.gelu, jnp.sin):
        case = base(config, system)
        yield function.__name__, case if function is jax.nn.softplus else case.changed(activation=function)


def network(config: Config, system: str):
    """Equal iterations."""
    for hidden in ((16,), (32,), (64,), (16, 16), (32, 32), (48, 48), (24, 24, 24)):
        case = base(config, system)
        yield str(hidden), case if hidden == SYSTEMS[system].density["hidden"] else case.changed(hidden=hidden)


def start(config: Config, system: str):
    """Equal iterations after `match`; without a prior the network is the whole density."""
    case = base(config, system)
    matched = replace(case, phases=(lgn.match(), *case.phases))
    yield "prior, small_output", case
    yield "prior, small_output, match()", matched
    if system == PENDULUM:
        yield (
            "prior, small_output, match(0.02 kinetic_energy)",
            replace(case, phases=(lgn.match(light_energy), *case.phases)),
        )
    yield "prior, lecun_normal", case.changed(initializer=lgn.lecun_normal)
    yield "prior, lnn_initializer", case.changed(initializer=lgn.lnn_initializer)
    for initializer in (lgn.lecun_normal, lgn.lnn_initializer):
        yield f"no prior, {initializer.__name__}", case.changed(mass=None, initializer=initializer)
        yield f"no prior, {initializer.__name__}, match()", matched.changed(mass=None, initializer=initializer)


def unit(config: Config, system: str):
    """Equal iterations: the kinetic prior m, which sets the unit of L."""
    case = base(config, system)
    own = SYSTEMS[system].density.get("mass", 1.0)
    for mass in {PENDULUM: (2.0, 0.2, 0.02, 0.002), WAVE: (10.0, 1.0, 0.1)}[system]:
        yield f"m = {mass:g}", case if mass == own else case.changed(mass=mass)
    if system == PENDULUM:
        long = replace(case, phases=(lgn.QuasiNewton(config.steps * 15 // 4),), seeds=1)
        for mass in (2.0, 0.02):
            yield f"m = {mass:g}, {config.steps * 15 // 4} iterations, one seed", long.changed(mass=mass)


def inputs(config: Config, system: str):
    """Equal iterations: how q and v enter the network."""
    case = base(config, system)
    yield "sine and cosine, v / 5", case
    yield "sine and cosine, v", case.changed(v_scale=1.0)
    yield "raw angles, v / 5", case.changed(angles=())
    yield "raw angles, v", case.changed(angles=(), v_scale=1.0)


def precision(config: Config, system: str):
    """Equal iterations; each error evaluated in the precision of its training."""
    case = base(config, system)
    yield "float64", case
    yield "float32", replace(case, x64=False)
    if system == WAVE:
        long = replace(case, phases=(lgn.QuasiNewton(5 * config.steps),))
        yield f"float64, {5 * config.steps} iterations", long
        yield f"float32, {5 * config.steps} iterations", replace(long, x64=False)


def states(config: Config, system: str):
    """Equal iterations: how many states are learned from."""
    case = base(config, system)
    for count in (500, 1000, 2000, 4000):
        yield str(count), case if count == SYSTEMS[system].states else replace(case, states=count)


def not_finite(config: Config, system: str):
    """What stops, what gets stuck, and what avoids it."""
    case = base(config, system)
    first = lgn.QuasiNewton(config.steps, objective=lgn.balance_loss)
    if system == PENDULUM:
        constant = adam(config, system, 256)
        pure = case.changed(mass=None, initializer=lgn.lecun_normal)
        yield "no prior, every weight zero", case.changed(mass=None, initializer=zeros)
        yield "no prior, random weights, Adam 1e-3", replace(constant, density=pure.density)
        yield "no prior, random weights", pure
        yield "no prior, match()", replace(pure, phases=(lgn.match(), *case.phases))
        yield "no prior, balance_loss as many iterations first", replace(pure, phases=(first, *case.phases))
        yield "prior", case
        for rate in (0.1, 10.0):
            hasty = replace(constant.phases[0], optimizer=optax.adam(rate))
            yield f"prior, Adam {rate:g}", replace(constant, phases=(hasty,))
    else:
        yield "no prior, random weights", case
        yield "no prior, match()", replace(case, phases=(lgn.match(), *case.phases))
        yield "no prior, balance_loss", replace(case, phases=(first,))
        yield "no prior, balance_loss as many iterations first", replace(case, phases=(first, *case.phases))
        yield "prior", case.changed(mass=1.0, initializer=lgn.small_output)


QUESTIONS: dict[Callable, tuple[str, ...]] = {
    optimiser: (PENDULUM, WAVE),
    loss: (PENDULUM, WAVE),
    start: (PENDULUM, WAVE),
    unit: (PENDULUM, WAVE),
    not_finite: (PENDULUM, PARTICLE),
    precision: (PENDULUM, WAVE),
    activation: (PENDULUM, WAVE),
    batch: (PENDULUM,),
    network: (PENDULUM,),
    inputs: (PENDULUM,),
    states: (PENDULUM,),
}
ONCE = (not_finite, network, inputs, states)  # one seed
QUICK = ("optimiser",)
BATCH = {PENDULUM: 256, WAVE: 20}
TITLES = {
    "setting": "setting",
    "error": "error on fresh states",
    "each": "of each seed",
    "training_error": "root of the loss",
    "steps": "steps",
    "seconds": "seconds",
    "parameters": "parameters",
    "stopped": "stopped",
}


def light_energy(q, v, features):
    """Of free masses of 0.02, the prior of the double pendulum."""
    return 0.02 * lgn.kinetic_energy(q, v, features)


def zeros(layer, layers):
    """Initialiser of a network that gives zero."""
    return nnx.initializers.zeros_init()


class LimitedMemory:
    """Phase: L-BFGS of optax with its zoom line search, full batch, on the logarithm of the loss.

    `Minibatch` cannot take it: the line search wants the value and the function besides the gradient."""

    name, steps = "L-BFGS", ENDLESS

    def start(self, problem, x, key):
        self.optimizer = optax.lbfgs(memory_size=20)

        @jax.jit
        def step(x, state, data):
            def value(x):
                return jnp.log(problem.loss(problem.system_at(x), data))

            found, gradient = optax.value_and_grad_from_state(value)(x, state=state)
            updates, state = self.optimizer.update(gradient, state, x, value=found, grad=gradient, value_fn=value)
            return optax.apply_updates(x, updates), state, found

        self.step = step
        return jax.tree.map(np.asarray, (x, self.optimizer.init(jnp.asarray(x)), 0, 0.0))

    def advance(self, problem, state):
        x, optimizer, count, _ = state
        x, optimizer, value = self.step(x, optimizer, problem.data)
        return (x, optimizer, count + 1, value), [lgn.phases.Row(self.name, int(count) + 1, float(np.exp(value)))]

    def finished(self, state):
        return False

    def done(self, state):
        return state[2]

    def healthy(self, state):
        return bool(np.isfinite(state[3]))

    def parameters(self, state):
        return np.asarray(state[0])


class Clock:
    """Seconds of the processor since training began, compilation left out, and the errors seen on the way."""

    def __init__(self, system: str, limit: float):
        self.system, self.limit, self.seconds, self.curve, self.mark = system, limit, 0.0, [], 0.05

    def look(self, trained) -> None:
        """Keeps the error on fresh states, each time that half as many seconds again have passed."""
        if np.isfinite(self.limit) and self.seconds >= min(self.mark, self.limit):
            self.mark = 1.5 * self.seconds
            self.curve.append((self.seconds, fresh_error(self.system, trained)))


class Timed:
    """A phase by a clock, which it ends at its share of the limit."""

    def __init__(self, phase, clock: Clock, share: float):
        self.phase, self.clock, self.until = phase, clock, share * clock.limit
        self.name, self.steps, self.steps_done = phase.name, phase.steps, 0
        self.done, self.healthy, self.parameters = phase.done, phase.healthy, phase.parameters

    def start(self, problem, x, key):
        """Its state; two steps from a copy of it, which compile, come before the clock starts."""
        state = self.phase.start(problem, x, key)
        if self.phase.healthy(state):
            state_after, _ = self.phase.advance(problem, jax.tree.map(np.copy, state))
            self.phase.advance(problem, state_after)
        return state

    def advance(self, problem, state):
        begin = time.process_time()
        state, rows = self.phase.advance(problem, state)
        self.clock.seconds += time.process_time() - begin
        self.steps_done = int(self.phase.done(state))
        self.clock.look(problem.system_at(jnp.asarray(self.phase.parameters(state))))
        return state, rows

    def finished(self, state):
        return self.phase.finished(state) or self.clock.seconds >= self.until


@functools.cache
def train(case: Case, seed: int) -> Result:
    """Trains from one seed; in single precision by a process of its own, where jax never saw double."""
    if case.x64:
        return trained(case, seed)
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(trained, case, seed).result()


def trained(case: Case, seed: int) -> Result:
    """Trains in the precision of this process."""
    graph, sample, count, settings = SYSTEMS[case.system]
    data_key, fit_key = jax.random.split(jax.random.key(seed))
    data = (case.data or sample)(data_key, case.states or count)
    clock = Clock(case.system, case.limit)
    phases = [Timed(phase, clock, (i + 1) / len(case.phases)) for i, phase in enumerate(case.phases)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # what it says is kept
        density = lgn.MLPDensity(**settings | dict(case.density), rngs=nnx.Rngs(seed))
        fit = lgn.fit(lgn.Lagrangian(graph, density), data, key=fit_key, phases=phases, loss=case.loss)
    error = fresh_error(case.system, fit.system)
    return Result(
        error=error,
        training_error=float(np.sqrt(fit.history[-1].loss)) if fit.history else np.nan,
        steps=sum(phase.steps_done for phase in phases),
        seconds=clock.seconds,
        parameters=sum(x.size for x in jax.tree.leaves(fit.system)),
        stopped=fit.stopped,
        curve=[*clock.curve, (clock.seconds, error)],
    )


@functools.cache
def fresh_states(system: str):
    """States that no training saw."""
    return SYSTEMS[system].sample(jax.random.key(10_000), 1000 if system == WAVE else 5000)


@jax.jit
def accelerations(system, data):
    """Of every sample."""
    return on_samples(lambda system, *state: system.acceleration(*state), system, data)


def fresh_error(system: str, trained) -> float:
    """Root mean square error of the acceleration over its root mean square, on fresh states."""
    data = fresh_states(system)
    error = accelerations(trained, data) - data.a
    return float(jnp.sqrt(jnp.mean(error**2) / jnp.mean(data.a**2)))


def main(config: Config) -> dict:
    """Answers every question, writes the folder, prints the tables."""
    jax.config.update("jax_enable_x64", True)
    matplotlib.use("agg")
    config = replace(config, seeds=1, steps=15, seconds=0.3) if config.quick else config
    folder = runs.begin(config.out, config)
    names = config.questions or (QUICK if config.quick else tuple(question.__name__ for question in QUESTIONS))
    rows, curves, tables, metrics = [], {}, [], {}
    for question, systems in QUESTIONS.items():
        for system in systems if question.__name__ in names else ():
            seeds = 1 if question in ONCE else config.seeds
            answers = [row(question, system, *case, seeds, curves) for case in question(config, system)]
            rows += answers
            tables.append(table(question, system, answers))
            CONSOLE.print(Markdown(tables[-1]))
            metrics |= best(question, system, answers)
        runs.write_metrics(folder, metrics, rows)
        (folder / "tables.md").write_text("\n".join(tables))
    draw(folder, curves)
    CONSOLE.print(f"tables: {folder}/tables.md, picture: {folder}/time.png")
    return metrics


def row(question, system: str, setting: str, case: Case, seeds: int, curves: dict) -> dict:
    """Medians over the seeds of one setting."""
    CONSOLE.print(f"{question.__name__}, {system}: {setting}", style="dim")
    results = [train(case, seed) for seed in range(case.seeds or seeds)]
    curves[question.__name__, system, setting] = [result.curve for result in results]
    middle = {name: float(np.median([getattr(x, name) for x in results])) for name in Result._fields[:4]}
    return {
        "question": question.__name__,
        "system": system,
        "setting": setting,
        "each": ", ".join(number(result.error) for result in results),
        **middle,
        "steps": int(middle["steps"]),
        "parameters": results[0].parameters,
        "stopped": max((result.stopped for result in results), key=len),
    }


def table(question, system: str, rows: list[dict]) -> str:
    """Markdown, a line a setting; parameters and `stopped` only where they differ."""
    skipped = {name for name in ("parameters", "stopped") if len({line[name] for line in rows}) == 1}
    names = [name for name in TITLES if name not in skipped]
    lines = [f"**{question.__name__}, {system}.** {question.__doc__}\n"]
    lines += ["| " + " | ".join(TITLES[name] for name in names) + " |", "|" + "---|" * len(names)]
    return "\n".join(lines + ["| " + " | ".join(number(line[name]) for name in names) + " |" for line in rows]) + "\n"


def best(question, system: str, rows: list[dict]) -> dict:
    """The setting with the least median error, and that error."""
    finite = [line for line in rows if np.isfinite(line["error"])]
    least = min(finite, key=lambda line: line["error"])
    name = f"{question.__name__}_{system.replace(' ', '_')}"
    return {f"{name}_best": least["setting"], f"{name}_error": least["error"]}


def draw(folder: Path, curves: dict) -> None:
    """Error on fresh states against time, of optimisers and of losses, each seed a line."""
    import matplotlib.pyplot as plt

    panels = [key for key in ((q, s) for q in ("optimiser", "loss") for s in (PENDULUM, WAVE))]
    panels = [key for key in panels if any(name[:2] == key for name in curves)]
    if not panels:
        return
    with plt.rc_context(plots.FONT):
        figure, axes = plt.subplots(2, (len(panels) + 1) // 2, figsize=(13, 9), dpi=110, layout="constrained")
        for ax, key in zip(axes.ravel(), panels, strict=False):
            members = {name[2]: lines for name, lines in curves.items() if name[:2] == key}
            for i, (setting, lines) in enumerate(members.items()):
                for seed, line in enumerate(lines):
                    style = {"color": f"C{i}", "lw": 1.8, "alpha": 0.9 if seed == 0 else 0.5}
                    ax.loglog(*np.transpose(line), label=setting if seed == 0 else None, **style)
            ax.set(xlabel="seconds of the processor", ylabel="relative error on fresh states", title=", ".join(key))
            ax.legend(frameon=False, fontsize=9)
        figure.savefig(folder / "time.png")
        plt.close("all")


if __name__ == "__main__":
    main(tyro.cli(Config))

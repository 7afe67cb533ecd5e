"""What to train a Lagrangian network with: optimiser, loss, batch, network, start, unit, inputs, precision, data.

One function a question: a base setting with one thing changed a row, on the double pendulum and on the wave on a ring
of 10 nodes; what each table shows is said in docs/training.md. Seconds are of the processor, compilation left out, so
that other work on the machine changes them little; on one core: taskset -c 0 python experiments/guidance.py
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import tyro
from flax import nnx
from rich.console import Console
from rich.markdown import Markdown

import lgn
from experiments.support import models, trainings
from experiments.support.trainings import ENDLESS, PARTICLE, PENDULUM, SYSTEMS, WAVE, Case
from lgn import plots, protocol, runs
from lgn.harness.protocol import Figure, Headline, number
from lgn.systems import wave

FIGURES: dict[str, Figure] = {}
HEADLINE = Headline("optimiser_wave_error", reached=1.43e-6, seconds=None, picture="training.png")
CONSOLE = Console(width=150)


@dataclass(frozen=True)
class Config:
    """Settings of the experiment."""

    out: Path = Path("runs/guidance")  # folder for tables and pictures
    quick: bool = False  # a few questions and short trainings, to see that everything runs
    questions: tuple[str, ...] = ()  # names of functions in QUESTIONS; by default all
    seeds: int = 2  # how many, but for the questions in ONCE, which take one
    steps: int = 400  # iterations of BFGS, where these are what is equal
    seconds: float = 3.5  # of the processor, where time is what is equal


def light_energy(q, v, features):
    """Of free masses of 0.02, the prior of the double pendulum."""
    return 0.02 * lgn.kinetic_energy(q, v, features)


def zeros(layer, layers):
    """Initialiser of a network that gives zero."""
    return nnx.initializers.zeros_init()


def base(config: Config, system: str) -> Case:
    """The kinetic prior and BFGS."""
    return Case(system, phases=(lgn.QuasiNewton(config.steps),))


def timed(config: Config, system: str, *phases, **changes) -> Case:
    """Phases in the time that all have."""
    return Case(system, phases=phases, limit=config.seconds, **changes)


@functools.cache
def adam(config: Config, system: str, batch: int, rate: float = 1e-3) -> Case:
    """Adam in the time that all have."""
    return timed(config, system, lgn.Minibatch(optax.adam(rate), ENDLESS, batch, chunk=max(10, 10_000 // batch)))


def optimiser(config: Config, system: str):
    """Equal time."""
    constant = adam(config, system, BATCH[system])
    steps = max(trainings.train(constant, 0).steps, 1)
    decaying = replace(constant.phases[0], optimizer=optax.adam(optax.cosine_decay_schedule(1e-3, steps)), steps=steps)
    yield "BFGS", timed(config, system, lgn.QuasiNewton(ENDLESS))
    yield "L-BFGS of optax, memory 20", timed(config, system, lgn.LimitedMemory(ENDLESS))
    yield "Adam, 1e-3", constant
    yield "Adam, cosine from 1e-3 to 0", replace(constant, phases=(decaying,), limit=2 * config.seconds)
    yield "Adam, 1e-2", adam(config, system, BATCH[system], 1e-2)
    yield "half Adam, half BFGS", timed(config, system, *constant.phases, lgn.QuasiNewton(ENDLESS))


def loss(config: Config, system: str):
    """Equal time; BFGS."""
    endless, balance = lgn.QuasiNewton(ENDLESS), lgn.QuasiNewton(ENDLESS, objective=lgn.residual_loss)
    yield "acceleration_loss", timed(config, system, endless)
    yield "residual_loss", timed(config, system, balance)
    yield "half residual_loss, half acceleration_loss", timed(config, system, balance, endless)
    if system == PENDULUM:
        on_pieces = replace(timed(config, system, endless), data=trainings.pieces)
        yield "RolloutLoss, two steps of 0.01", replace(on_pieces, loss=models.BY_STEPS)
        yield "variational_loss, three positions", replace(on_pieces, loss=lgn.variational_loss)


def batch(config: Config, system: str):
    """Equal time; Adam at 1e-3."""
    for size in (32, 256, 2000):
        yield str(size), adam(config, system, size)


def varied(case: Case, name: str, values):
    """The case with each value of one argument of its density; the one that it has makes it no other case."""
    own = SYSTEMS[case.system].density.get(name)
    return [case if value == own else case.changed(**{name: value}) for value in values]


def activation(config: Config, system: str):
    """Equal iterations."""
    yield "softplus", base(config, system)
    for function in (jnp.tanh, jax.nn.silu, jax.nn.gelu, jnp.sin):
        yield function.__name__, base(config, system).changed(activation=function)


def network(config: Config, system: str):
    """Equal iterations."""
    widths = (16,), (32,), (64,), (16, 16), (32, 32), (48, 48), (24, 24, 24)
    yield from zip(map(str, widths), varied(base(config, system), "hidden", widths), strict=True)


def start(config: Config, system: str):
    """Equal iterations after `pretrain`; without a prior the network is the whole density."""
    case = base(config, system)
    matched = replace(case, phases=(lgn.pretrain(), *case.phases))
    yield "prior, small_output", case
    yield "prior, small_output, pretrain()", matched
    if system == PENDULUM:
        lightly = replace(case, phases=(lgn.pretrain(light_energy), *case.phases))
        yield "prior, small_output, pretrain(0.02 kinetic_energy)", lightly
    for initializer in (lgn.lecun_normal, lgn.lnn_initializer):
        yield f"prior, {initializer.__name__}", case.changed(initializer=initializer)
    for initializer in (lgn.lecun_normal, lgn.lnn_initializer):
        yield f"no prior, {initializer.__name__}", case.changed(mass=None, initializer=initializer)
        yield f"no prior, {initializer.__name__}, pretrain()", matched.changed(mass=None, initializer=initializer)


def unit(config: Config, system: str):
    """Equal iterations: the kinetic prior m, which sets the unit of L."""
    case, masses = base(config, system), {PENDULUM: (2.0, 0.2, 0.02, 0.002), WAVE: (10.0, 1.0, 0.1)}[system]
    yield from zip([f"m = {mass:g}" for mass in masses], varied(case, "mass", masses), strict=True)
    if system == PENDULUM:
        steps = config.steps * 15 // 4
        long = replace(case, phases=(lgn.QuasiNewton(steps),), seeds=1)
        for mass in (2.0, 0.02):
            yield f"m = {mass:g}, {steps} iterations, one seed", long.changed(mass=mass)


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
    long = replace(case, phases=(lgn.QuasiNewton(5 * config.steps),))
    for suffix, one in [("", case)] + [(f", {5 * config.steps} iterations", long)] * (system == WAVE):
        yield f"float64{suffix}", one
        yield f"float32{suffix}", replace(one, x64=False)


def states(config: Config, system: str):
    """Equal iterations: how many states are learned from."""
    for count in (500, 1000, 2000, 4000):
        yield str(count), replace(base(config, system), states=None if count == SYSTEMS[system].states else count)


def not_finite(config: Config, system: str):
    """What stops, what gets stuck, and what avoids it."""
    case = base(config, system)
    first = lgn.QuasiNewton(config.steps, objective=lgn.residual_loss)
    pure = case.changed(mass=None, initializer=lgn.lecun_normal) if system == PENDULUM else case
    if system == PENDULUM:
        yield "no prior, every weight zero", case.changed(mass=None, initializer=zeros)
        yield "no prior, random weights, Adam 1e-3", replace(adam(config, system, 256), density=pure.density)
    yield "no prior, random weights", pure
    yield "no prior, pretrain()", replace(pure, phases=(lgn.pretrain(), *case.phases))
    if system == PARTICLE:
        yield "no prior, residual_loss", replace(pure, phases=(first,))
    yield "no prior, residual_loss as many iterations first", replace(pure, phases=(first, *case.phases))
    yield "prior", case if system == PENDULUM else case.changed(mass=1.0, initializer=lgn.small_output)
    for rate in (0.1, 10.0) if system == PENDULUM else ():
        yield f"prior, Adam {rate:g}", adam(config, system, 256, rate)


def noisy(key, count, noise, slips=0.0):
    """States of the wave whose accelerations have noise, relative to their root mean square, and slips ten times as
    large as that."""
    state_key, noise_key, where_key, slip_key = jax.random.split(key, 4)
    data = wave.sample(state_key, count, 10)
    size = jnp.sqrt(jnp.mean(data.a**2))
    off = noise * jax.random.normal(noise_key, data.a.shape)
    slipped = jax.random.bernoulli(where_key, slips, data.a.shape)
    return data._replace(a=data.a + size * (off + 10 * slipped * jax.random.normal(slip_key, data.a.shape)))


def noise(config: Config, system: str):
    """2000 iterations at most; noise on the accelerations, relative to their root mean square."""
    whole = Case(system, phases=(lgn.QuasiNewton(5 * config.steps),))
    for level in (0.0, 0.001, 0.01, 0.05, 0.1):
        case = replace(whole, data=partial(noisy, noise=level))
        held = replace(case, validation=0.2)
        yield f"{level:.1%}, all data to the end (validation=None)", case
        yield f"{level:.1%}, as `fit` comes", held
        if not level:
            continue
        penalty = replace(case, loss=lgn.WeightPenalty(level**2 / 1000))
        yield f"{level:.1%}, WeightPenalty({level**2 / 1000:.0e}), all data to the end", penalty
        yield f"{level:.1%}, WeightPenalty({level**2 / 1000:.0e}), held-out data", replace(penalty, validation=0.2)
        yield f"{level:.1%}, hidden=(6,), held-out data", held.changed(hidden=(6,))


def outliers(config: Config, system: str):
    """2000 iterations at most, a fifth held out; noise of 1 %, and one acceleration in 50 off by ten times its size."""
    case = Case(system, phases=(lgn.QuasiNewton(5 * config.steps),), validation=0.2)
    case = replace(case, data=partial(noisy, noise=0.01, slips=0.02))
    yield "mean square", case
    for width in (0.01, 0.03, 0.1):
        yield f"Huber({width})", replace(case, loss=partial(lgn.acceleration_loss, error=lgn.Huber(width)))


QUESTIONS: dict[Callable, tuple[str, ...]] = {
    **dict.fromkeys((optimiser, loss, start, unit), (PENDULUM, WAVE)),
    not_finite: (PENDULUM, PARTICLE),
    **dict.fromkeys((precision, activation), (PENDULUM, WAVE)),
    **dict.fromkeys((batch, network, inputs, states), (PENDULUM,)),
    **dict.fromkeys((noise, outliers), (WAVE,)),
}
ONCE = (not_finite, network, inputs, states)  # one seed
MEASURED = (noise, outliers)  # of which nearly every row ends early, as it should
QUICK = ("optimiser",)
BATCH = {PENDULUM: 256, WAVE: 20}
TITLES = {"setting": "setting", "error": "error on fresh states", "each": "of each seed"}
TITLES |= {"training_error": "root of the loss"} | {x: x for x in ("steps", "seconds", "parameters", "stopped")}


def examine(question: Callable, system: str, setting: str, case: Case, seeds: int, curves: dict) -> dict:
    """Medians over the seeds of one setting."""
    CONSOLE.print(f"{question.__name__}, {system}: {setting}", style="dim")
    results = [trainings.train(case, seed) for seed in range(case.seeds or seeds)]
    curves[question.__name__, system, setting] = [result.curve for result in results]
    row = {"question": question.__name__, "system": system, "setting": setting}
    row["each"] = ", ".join(number(result.error) for result in results)
    row |= {name: float(np.median([getattr(x, name) for x in results])) for name in trainings.Result._fields[:4]}
    row |= {"steps": int(row["steps"]), "parameters": results[0].parameters}
    return row | {"stopped": max((result.stopped for result in results), key=len)}


def table(question: Callable, system: str, rows: list[dict]) -> str:
    """Markdown, a line a setting; parameters and `stopped` only where they differ."""
    optional = {"parameters", "stopped"}
    skipped = optional if question in MEASURED else {x for x in optional if len({line[x] for line in rows}) == 1}
    names = [name for name in TITLES if name not in skipped]
    lines = [f"**{question.__name__}, {system}.** {question.__doc__}\n"]
    lines += ["| " + " | ".join(TITLES[name] for name in names) + " |", "|" + "---|" * len(names)]
    return "\n".join(lines + ["| " + " | ".join(number(line[name]) for name in names) + " |" for line in rows]) + "\n"


def best(question: Callable, system: str, rows: list[dict]) -> dict:
    """The setting with the least median error, and that error."""
    least = min((line for line in rows if np.isfinite(line["error"])), key=lambda line: line["error"])
    name = f"{question.__name__}_{system.replace(' ', '_')}"
    return {f"{name}_best": least["setting"], f"{name}_error": least["error"]}


def draw(folder: Path, curves: dict) -> None:
    """Error on fresh states against time, of optimisers and of losses, each seed a line."""
    panels = [key for key in dict.fromkeys(name[:2] for name in curves) if key[0] in ("optimiser", "loss")]
    if not panels:
        return
    with plots.picture(folder / "time.png", 2, (len(panels) + 1) // 2, size=(13, 9)) as axes:
        for ax, key in zip(np.ravel(axes), panels, strict=False):
            members = {name[2]: lines for name, lines in curves.items() if name[:2] == key}
            for i, (setting, lines) in enumerate(members.items()):
                for seed, line in enumerate(lines):
                    style = {"color": f"C{i}", "lw": 1.8, "alpha": 0.9 if seed == 0 else 0.5}
                    ax.loglog(*np.transpose(line), label=setting if seed == 0 else None, **style)
            ax.set(xlabel="CPU seconds", ylabel="relative error on fresh states", title=", ".join(key))
            ax.legend(frameon=False, fontsize=9)


def main(config: Config) -> dict:
    """Answers every question, writes the folder, shows the tables."""
    config = replace(config, seeds=1, steps=15, seconds=0.3) if config.quick else config
    folder = protocol.begin(config)
    names = config.questions or (QUICK if config.quick else [question.__name__ for question in QUESTIONS])
    rows, curves, tables, metrics = [], {}, [], {}
    for question, systems in QUESTIONS.items():
        seeds = 1 if question in ONCE else config.seeds
        for system in systems if question.__name__ in names else ():
            answers = [examine(question, system, *case, seeds, curves) for case in question(config, system)]
            rows += answers
            tables.append(table(question, system, answers))
            CONSOLE.print(Markdown(tables[-1]))
            metrics |= best(question, system, answers)
        runs.write_metrics(folder, metrics, rows)
        (folder / "tables.md").write_text("\n".join(tables))
    draw(folder, curves)
    CONSOLE.print(f"tables: {folder}/tables.md, picture: {folder}/time.png")
    return metrics


if __name__ == "__main__":
    main(tyro.cli(Config))

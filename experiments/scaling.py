"""Cost of the acceleration, and of one training gradient, against the number of nodes.

`python experiments/scaling.py [--quick] [--out DIR]`: a ring, an MLP density 6-64-64-1, float64, random states.

    published    dense v-Hessian and mixed term of the global L, pseudo-inverse (Cranmer et al. 2020, equation 6)
    dense solve  the same Hessian, an LU solve, the mixed term by one JVP
    asdex        v-Hessian by coloured Hessian-vector products, solved by lgn's band; pattern and colouring are given
    lgn          Lagrangian.acceleration

Times are medians of turns that the methods take. The fastest call is listed too: the pseudo-inverse is LAPACK's, whose
threads suffer from any other work on the machine (300 ms in place of 13 ms at 100 nodes), which would flatter lgn.
"""

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import scipy.linalg
import tyro
from flax import nnx
from jax.flatten_util import ravel_pytree
from report import show
from rich.progress import Progress
from rivals import GROWTH, METHODS

import lgn
from lgn import runs
from lgn.mass_matrix import pattern
from lgn.solvers import solve_band
from lgn.static import Static

FLOP_PER_NODE = 56e3  # closed-form expansion of the density 6-64-64-1
TOLERANCE = 1e-8  # relative, between the methods
ASKED = {
    "speedup_published_100": (">=", 40),
    "speedup_published_1000": (">=", 700),
    "per_node_1e6_over_1e4": ("<=", 1.5),
    "flop_floor_ratio_10000": ("<=", 2.5),
    "flop_floor_ratio_10000_one_core": ("<=", 2.5),
    "speedup_asdex_10000": (">=", 2.5),
    "gradient_speedup_asdex_1000": (">=", 3),
    "banded_over_scipy_1": ("<=", 1),
    "banded_over_scipy_1_one_core": ("<=", 1),
    "banded_over_scipy_32": ("<=", 1),
}


@dataclass
class Config:
    """Measure lgn against dense and coloured second derivatives."""

    out: Path = Path("runs/scaling")  # folder of the results
    quick: bool = False  # small sizes, few rounds
    seed: int = 0
    most_seconds: float = 20.0  # a method stops at the size where one call would take longer,
    most_bytes: float = 8e9  # or would need more memory


class Timing(NamedTuple):
    method: str
    quantity: str
    n: int
    seconds: float
    seconds_per_node: float
    fastest_seconds: float
    compile_seconds: float


def interleaved(calls, config) -> dict[str, tuple[float, float]]:
    """Median and least seconds of each call; they take turns, so that a slow minute of the machine meets all."""
    turns = 3 if config.quick else 7
    samples = {name: [turn(call, config)] for name, call in calls.items()}
    for i in range(1, turns):
        for name in [name for name, x in samples.items() if i < (2 if x[0][0] > 1 else turns)]:
            samples[name].append(turn(calls[name], config))
    return {
        name: (float(np.median([np.median(x) for x in taken])), float(np.min(np.concatenate(taken))))
        for name, taken in samples.items()
    }


def turn(call, config) -> np.ndarray:
    """Seconds of consecutive calls, the first left out: LAPACK right after another method waits for its threads."""
    marks = [time.perf_counter()]
    while len(marks) < 3 or marks[-1] - marks[0] < (0.05 if config.quick else 0.3):
        jax.block_until_ready(call())
        marks.append(time.perf_counter())
    return np.diff(marks)[1:]


@cache
def small_density():
    return lgn.MLPDensity(3, 1, (64, 64), rngs=nnx.Rngs(0))


def compiled_call(quantity, method, n, seed):
    """A call without arguments, its seconds of compilation, the bytes it needs."""
    structure, state = nnx.split(small_density())
    parameters, unravel = ravel_pytree(state)
    q, v, target = (jnp.asarray(x) for x in np.random.default_rng(seed).normal(size=(3, n)))
    accelerate = METHODS[method](n)

    def acceleration(parameters, q, v, target):
        return accelerate(nnx.merge(structure, unravel(parameters)), q, v)

    def loss(parameters, q, v, target):
        return jnp.mean((acceleration(parameters, q, v, target) - target) ** 2)

    start = time.perf_counter()
    function = acceleration if quantity == "acceleration" else jax.grad(loss)
    executable = jax.jit(function).lower(parameters, q, v, target).compile()
    memory = executable.memory_analysis()
    needed = memory.temp_size_in_bytes + memory.output_size_in_bytes + memory.argument_size_in_bytes
    return partial(executable, parameters, q, v, target), time.perf_counter() - start, needed


def sweep(quantity, sizes, config, step) -> list[Timing]:
    """Every method at every size within its reach."""
    limit = 0.5 if config.quick else config.most_seconds
    timings, known = [], dict.fromkeys(METHODS, (sizes[0], 0.0))
    for n in sizes:
        calls, compiling = {}, {}
        for name in [k for k, (m, t) in known.items() if t * (n / m) ** GROWTH[k] < limit]:
            step(f"{quantity}, {n:,} nodes, {name}")
            call, compile_seconds, needed = compiled_call(quantity, name, n, config.seed)
            if needed < config.most_bytes:
                calls[name], compiling[name] = call, compile_seconds
        check_agreement({name: call() for name, call in calls.items()}, f"{quantity}, {n} nodes")
        for name, (t, fastest) in interleaved(calls, config).items():
            timings.append(Timing(name, quantity, n, t, t / n, fastest, compiling[name]))
            known[name] = n, t
        known = {name: known[name] for name in calls}
        step(advance=1)
    return timings


def check_agreement(results, where) -> None:
    """Raises AssertionError where a method does not give lgn's numbers."""
    values = {name: ravel_pytree(result)[0] for name, result in results.items()}
    for name, value in values.items():
        difference = jnp.linalg.norm(value - values["lgn"]) / jnp.linalg.norm(values["lgn"])
        assert difference < TOLERANCE, f"{where}: {name} and lgn differ by {float(difference):.1e}"


def flop_floor(config, n=10_000) -> float:
    """lgn's time over the time its arithmetic takes at the rate of a product with a kernel of 64 x 64."""
    inputs, kernel = jnp.ones((6 * n, 64)), jnp.ones((64, 64))
    product = partial(jax.jit(jnp.matmul).lower(inputs, kernel).compile(), inputs, kernel)
    t = interleaved({"product": product, "lgn": compiled_call("acceleration", "lgn", n, config.seed)[0]}, config)
    return t["lgn"][0] * 2 * inputs.size * 64 / t["product"][0] / (n * FLOP_PER_NODE)


def banded_over_scipy(config, batch, n=10_000) -> float:
    """lgn's band over scipy.linalg.solveh_banded, positive definite pentadiagonal systems."""
    random = np.random.default_rng(config.seed)
    x = random.normal(size=(batch, n - 2, 3, 3))
    blocks = jnp.asarray(x @ x.swapaxes(-1, -2) + np.eye(3))[:, :, :, None, :, None]
    chain = pattern(n, Static(np.arange(n - 2)[:, None] + np.arange(3)))
    bands = jax.vmap(lambda block: lgn.MassMatrix(chain, (block,), 1).band())(blocks)
    rights = jnp.asarray(random.normal(size=(batch, n)))
    arguments = (bands[0], rights[0]) if batch == 1 else (bands, rights)
    solve = jax.jit(solve_band if batch == 1 else jax.vmap(solve_band)).lower(*arguments).compile()
    hosts = [(np.asarray(band), np.asarray(right)) for band, right in zip(bands, rights, strict=True)]

    def by_scipy():
        return [scipy.linalg.solveh_banded(band, right, lower=True, check_finite=False) for band, right in hosts]

    assert chain.half_bandwidth == 2 and np.allclose(solve(*arguments)[0], by_scipy(), rtol=TOLERANCE)
    t = interleaved({"lgn": partial(solve, *arguments), "scipy": by_scipy}, config)
    return t["lgn"][0] / t["scipy"][0]


ONE_CORE = {"flop_floor_ratio_10000": flop_floor, "banded_over_scipy_1": partial(banded_over_scipy, batch=1)}


def one_core(config) -> dict[str, float | None]:
    """The same in a process that has one core from its start, for XLA sizes its pool of threads once."""
    if not hasattr(os, "sched_setaffinity"):
        return {f"{name}_one_core": None for name in ONE_CORE}
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})  # the child inherits it
    try:
        command = [sys.executable, __file__, "--one-core", *(["--quick"] if config.quick else [])]
        printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    finally:
        os.sched_setaffinity(0, cores)
    return {f"{name}_one_core": value for name, value in json.loads(printed.splitlines()[-1]).items()}


def jit_eager_difference(config, n=20_000) -> float:
    """Largest difference of L, force and acceleration, each relative to its largest entry."""
    L = lgn.Lagrangian(lgn.lattice((n,)), small_density())
    q, v = jnp.asarray(np.random.default_rng(config.seed).normal(size=(2, n, 1)))
    pairs = [(f(q, v), jax.jit(f)(q, v)) for f in (lambda q, v: L(q, v), L.force, L.acceleration)]
    return float(max(jnp.max(jnp.abs(a - b)) / jnp.max(jnp.abs(a)) for a, b in pairs))


# Results


def speedups(timings) -> dict[str, float | None]:
    """Ratios of the sweeps; None where a size was skipped."""
    t = {(x.quantity, x.method, x.n): x.seconds for x in timings}
    t |= {("fastest", x.method, x.n): x.fastest_seconds for x in timings if x.quantity == "acceleration"}

    def over(quantity, method, n, than="lgn", n_than=None):
        above, below = t.get((quantity, method, n)), t.get((quantity, than, n_than or n))
        return above / below if above and below else None

    growth = over("acceleration", "lgn", 1_000_000, n_than=10_000)
    return {
        "speedup_published_100": over("acceleration", "published", 100),
        "speedup_published_1000": over("acceleration", "published", 1000),
        "speedup_published_100_fastest": over("fastest", "published", 100),
        "speedup_published_1000_fastest": over("fastest", "published", 1000),
        "per_node_1e6_over_1e4": growth and growth / 100,
        "speedup_asdex_10000": over("acceleration", "asdex", 10_000),
        "gradient_speedup_asdex_1000": over("gradient", "asdex", 1000),
        "gradient_speedup_published_100": over("gradient", "published", 100),
        "gradient_speedup_published_1000": over("gradient", "published", 1000),
    }


def draw(timings, path) -> None:
    """Seconds against nodes."""
    figure, panels = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained", sharey=True)
    for panel, quantity in zip(panels, ("acceleration", "gradient"), strict=True):
        for method, colour in zip(METHODS, ("#777777", "#E69F00", "#0072B2", "#D55E00"), strict=True):
            points = [(t.n, t.seconds) for t in timings if (t.quantity, t.method) == (quantity, method)]
            panel.loglog(*zip(*points, strict=True), "o-", color=colour, label=method, lw=2, ms=5)
        n = np.array([t.n for t in timings if t.quantity == quantity])[[0, -1]]
        panel.loglog(n, 1e-6 * n, "k:", lw=1, label="slope 1")
        panel.set(xlabel="nodes", title="one acceleration" if quantity == "acceleration" else "one training gradient")
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("seconds")
    panels[1].legend(frameon=False)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main(config: Config) -> dict:
    jax.config.update("jax_enable_x64", True)
    sizes = [100, 1000, 10_000] if config.quick else [10, 100, 1000, 10_000, 100_000, 1_000_000]
    trained = sizes[:2] if config.quick else sizes[:4]
    alone = {
        "flop_floor_ratio_10000": flop_floor,
        "banded_over_scipy_1": partial(banded_over_scipy, batch=1),
        "banded_over_scipy_32": partial(banded_over_scipy, batch=32),
        "jit_eager_difference": jit_eager_difference,
    }
    with Progress() as progress:
        task = progress.add_task("", total=len(sizes) + len(trained) + len(alone) + 1)

        def step(description=None, advance=0):
            progress.update(task, description=description, advance=advance)

        timings = sweep("acceleration", sizes, config, step) + sweep("gradient", trained, config, step)
        metrics = speedups(timings)
        for name, measure in alone.items():
            step(name)
            metrics[name] = measure(config)
            step(advance=1)
        step("one core")
        metrics |= one_core(config)
        step(advance=1)
    runs.begin(config.out, config, ["asdex"])
    runs.write_metrics(config.out, metrics, [timing._asdict() for timing in timings])
    draw(timings, config.out / "scaling.png")
    show("ring, MLP 6-64-64-1, float64", metrics, ASKED, config.out)
    return metrics


if __name__ == "__main__":
    alone = "--one-core" in sys.argv  # the child of `one_core`
    chosen = tyro.cli(Config, args=[x for x in sys.argv[1:] if x != "--one-core"])
    if alone:
        jax.config.update("jax_enable_x64", True)
        print(json.dumps({name: measure(chosen) for name, measure in ONE_CORE.items()}))
    else:
        main(chosen)

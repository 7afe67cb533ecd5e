"""Cost of the acceleration on 2D lattices, where conjugate gradients solve, against the number of nodes.

`python experiments/scaling2d.py [--quick] [--out DIR]`: a periodic square, an MLP density 9-16-16-1 on the node and its
four neighbours, float64, random states, small so that the mass matrix stays positive definite.
"""

import resource
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import tyro
from flax import nnx
from report import show
from rich.progress import Progress
from scipy.sparse.linalg import splu

import lgn
from lgn import plots, runs

SCALE = 0.3  # of q and v
TOLERANCE = 1e-8  # relative, between the solvers
ASKED = {
    "per_node_1000_over_100": ("<=", 2),
    "iterations_spread_32_to_1024": ("<=", 2),
    "bytes_per_node_1000": ("<=", 2000),
    "resident_bytes_per_node_1000": ("<=", 2000),
    "superlu_over_lgn_128": (">=", 50),
}


@dataclass(frozen=True)
class Config:
    """Settings of the experiment."""

    out: Path = Path("runs/scaling2d")
    """Folder for tables and pictures."""
    quick: bool = False
    """Small lattices, few calls, to see that everything runs."""
    seed: int = 0


class Cost(NamedTuple):
    """Of one acceleration."""

    side: int
    nodes: int
    seconds: float
    seconds_per_node: float
    iterations: int
    residual: float
    bytes_per_node: float
    compile_seconds: float


def main(config: Config) -> dict:
    """Measures, writes the folder, prints the table."""
    jax.config.update("jax_enable_x64", True)
    matplotlib.use("agg")
    folder = runs.begin(config.out, config)
    sides = (16, 32, 64) if config.quick else (32, 100, 128, 256, 512, 1000, 1024)
    costs = []
    with Progress() as progress:
        task = progress.add_task("", total=len(sides) + 2)
        for side in sides:
            progress.update(task, description=f"{side} x {side}")
            costs.append(measure(side, config))
            progress.advance(task)
        progress.update(task, description="SuperLU")
        metrics = summary(costs) | {"superlu_over_lgn_128": superlu_over_lgn(128, config)}
        progress.advance(task)
        progress.update(task, description="memory")
        side = sides[-1] if config.quick else 1000
        with ProcessPoolExecutor(1, get_context("spawn")) as child:  # a peak is that of a process
            metrics[f"resident_bytes_per_node_{side}"] = child.submit(resident_bytes_per_node, side).result()
        progress.advance(task)
    runs.write_metrics(folder, metrics, [cost._asdict() for cost in costs])
    draw(costs, folder / "scaling2d.png")
    show("square lattice, MLP 9-16-16-1, float64", metrics, ASKED, folder)
    return metrics


def problem(side: int, seed: int):
    """(system, q, v)."""
    density = lgn.MLPDensity(5, 1, (16, 16), relative=True, initializer=lgn.lecun_normal, rngs=nnx.Rngs(seed))
    q, v = SCALE * np.random.default_rng(seed).normal(size=(2, side**2, 1))
    return lgn.Lagrangian(lgn.lattice((side, side)), density), jnp.asarray(q), jnp.asarray(v)


def measure(side: int, config: Config) -> Cost:
    """Time, memory and iterations of one acceleration."""
    L, q, v = problem(side, config.seed)
    start = time.perf_counter()
    executable = jax.jit(lgn.Lagrangian.acceleration).lower(L, q, v).compile()
    compile_seconds = time.perf_counter() - start
    memory = executable.memory_analysis()
    needed = memory.temp_size_in_bytes + memory.output_size_in_bytes + memory.argument_size_in_bytes
    (seconds,) = medians(config, partial(executable, L, q, v))
    found = solved(jax.jit(lgn.Lagrangian.solve)(L, q, v))
    n = side**2
    return Cost(
        side, n, seconds, seconds / n, int(found.iterations), float(found.residual), needed / n, compile_seconds
    )


def superlu_over_lgn(side: int, config: Config) -> float:
    """Time of SuperLU, factor and solve of the assembled matrix, over that of conjugate gradients on its elements."""
    mass, force = jax.jit(lgn.Lagrangian.equation)(*problem(side, config.seed))
    assembled, right = mass.sparse().tocsc(), np.asarray(force).ravel()
    solve = jax.jit(lgn.ConjugateGradient()).lower(mass, force).compile()
    by_superlu, by_lgn = splu(assembled).solve(right), np.asarray(solved(solve(mass, force)).value).ravel()
    difference = np.linalg.norm(by_lgn - by_superlu) / np.linalg.norm(by_superlu)
    assert difference < TOLERANCE, f"SuperLU and lgn differ by {difference:.1e}"
    superlu, ours = medians(config, lambda: splu(assembled).solve(right), partial(solve, mass, force))
    return superlu / ours


def solved(found: lgn.Solution) -> lgn.Solution:
    """Itself; AssertionError where the mass matrix was not positive definite or the solver stopped early."""
    assert found.status == 0, f"status {int(found.status)} with residual {float(found.residual):.1e}"
    return found


def medians(config: Config, *calls) -> list[float]:
    """Seconds of each call; they take turns, so that a slow minute of the machine meets all."""
    least, total = (3, 0.2) if config.quick else (7, 3.0)
    for call in calls:
        jax.block_until_ready(call())
    rounds: list[list[float]] = []
    while len(rounds) < least or np.sum(rounds) < total:
        rounds.append([seconds(call) for call in calls])
    return np.median(rounds, axis=0).tolist()


def seconds(call) -> float:
    """Of one call."""
    start = time.perf_counter()
    jax.block_until_ready(call())
    return time.perf_counter() - start


def summary(costs: list[Cost]) -> dict[str, float | None]:
    """Growth with size; None where a size was skipped."""
    of = {cost.side: cost for cost in costs}
    both = 100 in of and 1000 in of
    iterations = [cost.iterations for cost in costs if 32 <= cost.side <= 1024]
    return {
        "per_node_1000_over_100": of[1000].seconds_per_node / of[100].seconds_per_node if both else None,
        "iterations_spread_32_to_1024": max(iterations) - min(iterations) if 1024 in of else None,
        "bytes_per_node_1000": of[1000].bytes_per_node if both else None,
        "iterations": max(iterations),
        "nodes": costs[-1].nodes,
        "seconds": costs[-1].seconds,
        "seconds_per_node": costs[-1].seconds_per_node,
    }


def resident_bytes_per_node(side: int) -> float:
    """What graph, Lagrangian, compilation and one acceleration add to the peak memory of this process."""
    jax.config.update("jax_enable_x64", True)
    before = peak_resident_bytes()
    jax.block_until_ready(jax.jit(lgn.Lagrangian.acceleration)(*problem(side, 0)))
    return (peak_resident_bytes() - before) / side**2


def peak_resident_bytes() -> float:
    """Of the process; from the kernel's table where there is one, for `ru_maxrss` counts the parent of a child too."""
    status = Path("/proc/self/status")
    if not status.exists():
        return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024))
    (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return float(line.split()[1]) * 1024


def draw(costs: list[Cost], path: Path) -> None:
    """Seconds and iterations against nodes."""
    import matplotlib.pyplot as plt

    n = np.array([cost.nodes for cost in costs])
    iterations = [cost.iterations for cost in costs]
    with plt.rc_context(plots.FONT):
        figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
        left.loglog(n, [cost.seconds for cost in costs], "o-", color="#D55E00", lw=2, ms=5, label="lgn")
        left.loglog(n, costs[0].seconds_per_node * n, "k:", lw=1, label="slope 1")
        left.set(xlabel="nodes", ylabel="seconds", title="one acceleration")
        left.legend(frameon=False)
        right.semilogx(n, iterations, "o-", color="#0072B2", lw=2, ms=5)
        right.set(xlabel="nodes", title="conjugate gradient iterations", ylim=(0, 1.3 * max(iterations)))
        for panel in (left, right):
            panel.grid(alpha=0.3)
            panel.xaxis.minorticks_off()
        figure.savefig(path, dpi=150)
        plt.close(figure)


if __name__ == "__main__":
    main(tyro.cli(Config))

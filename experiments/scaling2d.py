"""Cost of the acceleration on 2D lattices, where conjugate gradients solve, against the number of nodes.

`python experiments/scaling2d.py [--quick] [--out DIR]`: a periodic square, an MLP density 9-16-16-1 on the node and its
four neighbours, float64, random states, small so that the mass matrix stays positive definite.
"""

from collections import namedtuple
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from flax import nnx
from rich.progress import track
from scipy.sparse.linalg import splu

import lgn
from lgn import plots, protocol
from lgn.harness.protocol import Figure, Headline
from lgn.harness.timing import compiled, medians, peak_resident_bytes

FIGURES = {
    "per_node_1000_over_100": Figure(asked=2),
    "iterations_spread_32_to_1024": Figure(asked=2),
    "bytes_per_node_1000": Figure(asked=2000),
    "resident_bytes_per_node_1000": Figure(asked=2000),
    "superlu_over_lgn_128": Figure(asked=50, at_least=True),
}
HEADLINE = Headline("superlu_over_lgn_128", reached=87.5, seconds=69, picture="scaling2d.png")
SCALE = 0.3  # of q and v
TOLERANCE = 1e-8  # relative, between the solvers


@dataclass(frozen=True)
class Config:
    """Settings of the experiment."""

    out: Path = Path("runs/scaling2d")  # folder for tables and pictures
    quick: bool = False  # small lattices, few calls, to see that everything runs
    seed: int = 0


# Of one acceleration.
Cost = namedtuple("Cost", "side nodes seconds seconds_per_node iterations residual bytes_per_node compile_seconds")


def problem(side: int, seed: int):
    """(system, q, v)."""
    density = lgn.MLPDensity(5, 1, (16, 16), relative=True, initializer=lgn.lecun_normal, rngs=nnx.Rngs(seed))
    q, v = SCALE * np.random.default_rng(seed).normal(size=(2, side**2, 1))
    return lgn.Lagrangian(lgn.lattice((side, side)), density), jnp.asarray(q), jnp.asarray(v)


def measure(side: int, config: Config) -> Cost:
    """Time, memory and iterations of one acceleration."""
    state, n = problem(side, config.seed), side**2
    executable, compiling, needed = compiled(lgn.Lagrangian.acceleration, *state)
    (seconds,) = medians(config.quick, partial(executable, *state))
    found = solved(jax.jit(lgn.Lagrangian.solve)(*state))
    return Cost(side, n, seconds, seconds / n, int(found.iterations), float(found.residual), needed / n, compiling)


def superlu_over_lgn(side: int, config: Config) -> float:
    """Time of SuperLU, factor and solve of the assembled matrix, over that of conjugate gradients on its elements."""
    mass, force = jax.jit(lgn.Lagrangian.equation)(*problem(side, config.seed))
    assembled, right = mass.sparse().tocsc(), np.asarray(force).ravel()
    solve = compiled(lgn.ConjugateGradient(), mass, force)[0]
    by_superlu, by_lgn = splu(assembled).solve(right), np.asarray(solved(solve(mass, force)).value).ravel()
    difference = np.linalg.norm(by_lgn - by_superlu) / np.linalg.norm(by_superlu)
    assert difference < TOLERANCE, f"SuperLU and lgn differ by {difference:.1e}"
    superlu, ours = medians(config.quick, lambda: splu(assembled).solve(right), partial(solve, mass, force))
    return superlu / ours


def solved(found: lgn.Solution) -> lgn.Solution:
    """Itself; AssertionError where the mass matrix was not positive definite or the solver stopped early."""
    assert found.status == 0, f"status {int(found.status)} with residual {float(found.residual):.1e}"
    return found


def growth(costs: list[Cost]) -> dict[str, float | None]:
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
    protocol.use_float64()
    before = peak_resident_bytes()
    jax.block_until_ready(jax.jit(lgn.Lagrangian.acceleration)(*problem(side, 0)))
    return (peak_resident_bytes() - before) / side**2


def draw(folder: Path, costs: list[Cost]) -> None:
    """Seconds and iterations against nodes."""
    n, seconds, iterations = zip(*((cost.nodes, cost.seconds, cost.iterations) for cost in costs), strict=True)
    with plots.picture(folder / "scaling2d.png", 1, 2, size=(10, 3.8), dpi=150) as (left, right):
        plots.costs(left, {"lgn": zip(n, seconds, strict=True)}, "one acceleration", {"lgn": "#D55E00"})
        left.set(ylabel="seconds")
        left.legend(frameon=False)
        right.semilogx(n, iterations, "o-", color="#0072B2", lw=2, ms=5)
        right.set(xlabel="nodes", title="conjugate gradient iterations", ylim=(0, 1.3 * max(iterations)))
        right.grid(alpha=0.3)
        for panel in (left, right):
            panel.xaxis.minorticks_off()


def main(config: Config) -> dict:
    """Measures, writes the folder, shows the table."""
    folder = protocol.begin(config)
    sides = (16, 32, 64) if config.quick else (32, 100, 128, 256, 512, 1000, 1024)
    costs = [measure(side, config) for side in track(sides, description="lattices")]
    metrics = growth(costs) | {"superlu_over_lgn_128": superlu_over_lgn(128, config)}
    side = sides[-1] if config.quick else 1000
    metrics[f"resident_bytes_per_node_{side}"] = protocol.in_own_process(resident_bytes_per_node, side)
    rows, sketch = [cost._asdict() for cost in costs], partial(draw, folder, costs)
    return protocol.finish(folder, "square lattice, MLP 9-16-16-1, float64", FIGURES, metrics, rows, sketch)


if __name__ == "__main__":
    main(tyro.cli(Config))

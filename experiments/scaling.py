"""Cost of the acceleration, and of one training gradient, against the number of nodes.

`python experiments/scaling.py [--quick] [--device-quick] [--out DIR]`: a ring, an MLP density 6-64-64-1, float64,
random states. Then other graphs to 10^6 nodes over the time of their arithmetic, memory at 10^7, the latency of calls,
messages, integrators and devices. `benchmark.json` holds the times over a reference kernel of the same run, for
`lgn compare`; `--device-quick` measures only these and the sizes, in minutes, where an accelerator is at hand.

numba and phlearn (`pip install numba phlearn`) are measured too where they are installed.

Also what the gradients of two trainings take over their arithmetic, what a discrete gradient costs over `jax.grad`, and
what one implicit step of 10^6 nodes takes.

The rivals of `Lagrangian.acceleration` are described in experiments/support/rivals.py.
Times are medians of turns that the methods take. The fastest call is listed too: the pseudo-inverse is LAPACK's, whose
threads suffer from any other work on the machine (300 ms in place of 13 ms at 100 nodes), which would flatter lgn.
"""

from collections import namedtuple
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import tyro
from rich.progress import track

from experiments.support import (
    benchmark,
    devices,
    discrete_cost,
    gradient_cost,
    latency,
    message_cost,
    peers,
    rivals,
    sizes,
    steps,
)
from lgn import plots, protocol
from lgn.harness.protocol import Figure, Headline
from lgn.harness.timing import interleaved

FIGURES = {
    "speedup_published_100": Figure(asked=40, at_least=True),
    "speedup_published_1000": Figure(asked=700, at_least=True),
    "per_node_1e6_over_1e4": Figure(asked=1.5),
    "flop_floor_ratio_10000": Figure(asked=2.5),
    "flop_floor_ratio_10000_one_core": Figure(asked=2.5),
    "speedup_asdex_10000": Figure(asked=2.5, at_least=True),
    "gradient_speedup_asdex_1000": Figure(asked=8, at_least=True),
    "training_gradient_over_floor_wave": Figure(asked=1.5),
    "training_gradient_over_floor_double_pendulum": Figure(asked=2),
    "banded_over_scipy_1": Figure(asked=1),
    "banded_over_scipy_1_one_core": Figure(asked=1),
    "banded_over_scipy_32": Figure(asked=1),
    "over_floor_ring": Figure(asked=1.4),
    "over_floor_2d": Figure(asked=1.5),
    "over_floor_3d": Figure(asked=1.8),
    "over_floor_mesh": Figure(asked=2),
    "per_node_growth_2d": Figure(asked=1.2),
    "resident_bytes_per_node_ring": Figure(asked=1000),
    "resident_bytes_per_node_2d": Figure(asked=1000),
    "message_speedup_2d": Figure(asked=3, at_least=True),
    "new_times_seconds": Figure(asked=0.1),
    "new_times_adaptive_seconds": Figure(asked=0.1),
    "second_eager_seconds": Figure(asked=2e-3),
    "other_graph_seconds": Figure(asked=0.2),
    "nearby_graph_seconds": Figure(asked=0.2),
    "nearby_rollout_seconds": Figure(asked=0.2),
    "verlet_exact_over_jax": Figure(asked=1.5),
    "verlet_mlp_over_floor": Figure(asked=2),
    **{f"temporaries_{name}": Figure(asked=0.3) for name in ("ring_exact", "2d_exact", "ring_learned", "2d_learned")},
    "discrete_softplus_automatic": Figure(asked=2),
    "discrete_tanh_automatic": Figure(asked=4),
}
HEADLINE = Headline("speedup_published_1000", reached=1020, seconds=984, picture="scaling.png")
COLOURS = dict(zip(rivals.METHODS, ("#777777", "#E69F00", "#0072B2", "#D55E00"), strict=True))


@dataclass(frozen=True)
class Config:
    """Measure lgn against dense and coloured second derivatives."""

    out: Path = Path("runs/scaling")  # folder of the results
    quick: bool = False  # small sizes, few rounds
    device_quick: bool = False  # only sizes and the benchmark, few rounds, as on a borrowed accelerator
    seed: int = 0
    most_seconds: float = 20.0  # a method stops at the size where one call would take longer,
    most_bytes: float = 8e9  # or would need more memory


Timing = namedtuple("Timing", "method quantity n seconds seconds_per_node fastest_seconds compile_seconds")


def sweep(quantity: str, sizes: list[int], config: Config) -> list[Timing]:
    """Every method at every size within its reach."""
    limit = 0.5 if config.quick else config.most_seconds
    timings, known = [], dict.fromkeys(rivals.METHODS, (sizes[0], 0.0))
    for n in track(sizes, description=quantity):
        within = [name for name, (m, t) in known.items() if t * (n / m) ** rivals.GROWTH[name] < limit]
        made = {name: rivals.compiled_call(quantity, name, n, config.seed) for name in within}
        made = {name: x for name, x in made.items() if x[2] < config.most_bytes}
        calls = {name: call for name, (call, *_) in made.items()}
        rivals.check_agreement({name: call() for name, call in calls.items()}, f"{quantity}, {n} nodes")
        for name, (t, fastest) in interleaved(calls, config.quick).items():
            timings.append(Timing(name, quantity, n, t, t / n, fastest, made[name][1]))
            known[name] = n, t
        known = {name: known[name] for name in calls}
    return timings


def pieces(config: Config) -> dict[str, float]:
    """Pieces of lgn against scipy and against its own arithmetic, with the cores that this process has."""
    protocol.use_float64()
    return {
        "flop_floor_ratio_10000": rivals.flop_floor(config.seed, config.quick),
        "banded_over_scipy_1": rivals.banded_over_scipy(config.seed, config.quick),
    }


def speedups(timings: list[Timing]) -> dict[str, float | None]:
    """Ratios of the sweeps; None where a size was skipped."""
    t = {(x.quantity, x.method, x.n): x.seconds for x in timings}
    t |= {("fastest", x.method, x.n): x.fastest_seconds for x in timings if x.quantity == "acceleration"}

    def over(quantity, method, n, n_lgn=None):
        above, below = t.get((quantity, method, n)), t.get((quantity, "lgn", n_lgn or n))
        return above / below if above and below else None

    sizes = (100, 1000)
    growth = over("acceleration", "lgn", 1_000_000, n_lgn=10_000)
    return {
        **{f"speedup_published_{n}": over("acceleration", "published", n) for n in sizes},
        **{f"speedup_published_{n}_fastest": over("fastest", "published", n) for n in sizes},
        "per_node_1e6_over_1e4": growth and growth / 100,
        "speedup_asdex_10000": over("acceleration", "asdex", 10_000),
        "gradient_speedup_asdex_1000": over("gradient", "asdex", 1000),
        **{f"gradient_speedup_published_{n}": over("gradient", "published", n) for n in sizes},
    }


def draw(folder: Path, timings: list[Timing]) -> None:
    """Seconds against nodes."""
    with plots.picture(folder / "scaling.png", 1, 2, size=(10, 4.2), dpi=150, sharey=True) as panels:
        for panel, quantity in zip(panels, ("acceleration", "gradient"), strict=True):
            taken = {name: [(t.n, t.seconds) for t in timings if t[:2] == (name, quantity)] for name in COLOURS}
            plots.costs(panel, taken, f"one {'training ' * (quantity == 'gradient')}{quantity}", COLOURS)
        panels[0].set_ylabel("seconds")
        panels[1].legend(frameon=False)


def measured_elsewhere(config: Config) -> tuple[dict, list]:
    """Figures of other graphs, and of parts that stand in files of their own; rows of the sizes."""
    short = config.quick or config.device_quick
    lengths = [1000, 4000] if config.quick else [10_000, 100_000, 1_000_000]
    metrics, rows = sizes.figures(lengths, None if short else 10_000_000, config.seed, short)
    metrics |= protocol.in_own_process(latency.figures, short) | message_cost.figures(short, config.seed)
    metrics |= protocol.in_own_process(steps.figures, short) | protocol.in_own_process(gradient_cost.figures, short)
    return metrics | devices.figures(config.quick), rows


def against_rivals(config: Config) -> tuple[dict, list[Timing]]:
    """Figures of the ring against other methods and libraries, and timings."""
    lengths = [100, 1000, 10_000] if config.quick else [10, 100, 1000, 10_000, 100_000, 1_000_000]
    timings = sweep("acceleration", lengths, config) + sweep("gradient", lengths[: 2 if config.quick else 4], config)
    parts, alone = pieces(config), protocol.on_one_core(pieces, config) or {}
    metrics = speedups(timings) | parts
    metrics["banded_over_scipy_32"] = rivals.banded_over_scipy(config.seed, config.quick, batch=32)
    metrics["jit_eager_difference"] = rivals.jit_eager_difference(config.seed)
    metrics |= {f"{name}_one_core": alone.get(name) for name in parts}
    costs = discrete_cost.discrete_costs(1000 if config.quick else 10_000, quick=config.quick)
    metrics |= {f"discrete_{name}": ratio for name, ratio in costs.items()}
    metrics |= protocol.in_own_process(peers.figures, config.quick)
    return metrics | discrete_cost.implicit_steps(config.quick), timings


def main(config: Config) -> dict:
    """Measures, writes the folder, shows the table."""
    folder = protocol.begin(config, ["asdex"])
    timings: list[Timing] = []
    metrics, rows = measured_elsewhere(config)
    if not config.device_quick:
        against, timings = against_rivals(config)
        metrics |= against
    benchmark.write(folder, benchmark.figures(config.quick or config.device_quick))
    table = [timing._asdict() for timing in timings] + [row._asdict() for row in rows]
    return protocol.finish(folder, "MLP, float64", FIGURES, metrics, table, partial(draw, folder, timings))


if __name__ == "__main__":
    main(tyro.cli(Config))

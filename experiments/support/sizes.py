"""Sizes: time and memory of one acceleration against the number of nodes, on graphs of every kind, over its arithmetic.

The floor is the time that the products of the closed form take at the rate of a product with one kernel of 64 x 64, in
the same run: for a network S dim-64-64-1 on S slots, 64^2 times 1 forward, 1 back, 1 for dq = v and one
for each slot, beside the first layer and the sums of two tangents.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

import lgn
from lgn import protocol
from lgn.harness.timing import compiled, interleaved, peak_resident_bytes

WIDTH = 64
SCALE = 0.3  # of q and v, small, so that the mass matrix stays positive definite
MOST_TRAINED = 100_000  # nodes of a graph on which a training gradient is timed


class Size(NamedTuple):
    """Of one acceleration: median seconds, and the fastest call over the floor by the fastest product; beside it a
    training gradient, up to 10^5 nodes."""

    graph: str
    nodes: int
    seconds: float
    seconds_per_node: float
    over_floor: float
    bytes_per_node: float
    iterations: int
    gradient_seconds_per_node: float | None = None


def chain(n: int):
    return lgn.lattice((n,))


def square(n: int):
    return lgn.lattice((round(n ** (1 / 2)),) * 2)


def cube(n: int):
    return lgn.lattice((round(n ** (1 / 3)),) * 3)


def mesh(n: int):
    """The edges of a square that is cut in triangles: seven slots, six neighbours inside."""
    side = round(n**0.5)
    number = np.arange(side * side).reshape(side, side)
    pairs = [(number[:, :-1], number[:, 1:]), (number[:-1], number[1:]), (number[:-1, 1:], number[1:, :-1])]
    return _joined(side * side, np.concatenate([np.stack([a.ravel(), b.ravel()]) for a, b in pairs], 1))


def random(n: int, seed: int = 0, chords: int | None = None):
    """A ring with chords at random, by default as many as nodes: degrees vary."""
    ends = np.random.default_rng(seed).integers(n, size=(2, n if chords is None else chords))
    ring = np.stack([np.arange(n), np.roll(np.arange(n), -1)])
    return _joined(n, np.concatenate([ring, ends[:, ends[0] != ends[1]]], 1))


GRAPHS: dict[str, Callable] = {"ring": chain, "2d": square, "3d": cube, "mesh": mesh, "random": random}


def problem(graph: str, n: int, seed: int):
    """(system, q, v): a network on as many slots as there are, or one of messages where degrees vary much."""
    made = GRAPHS[graph](n)
    slots = lgn.node_stencil(made).slots
    count = int(made.n_node[0])
    density = (
        lgn.MessageDensity(1, rngs=nnx.Rngs(seed))
        if graph == "random"
        else lgn.MLPDensity(slots, 1, (WIDTH, WIDTH), relative=True, rngs=nnx.Rngs(seed))
    )
    q, v = SCALE * np.random.default_rng(seed).normal(size=(2, count, 1))
    return lgn.Lagrangian(made, density), jnp.asarray(q), jnp.asarray(v)


def flops(slots: int) -> int:
    """Of the closed form on one element of so many slots, one degree of freedom each."""
    layers = WIDTH**2 * (slots + 3) + WIDTH * (2 * slots - 1) * 3
    return 2 * (layers + WIDTH * slots * (slots + 1))


def measure(graph: str, n: int, seed: int, quick: bool) -> Size:
    """One acceleration beside the reference kernel."""
    protocol.use_float64()
    system, q, v = problem(graph, n, seed)
    executable, _, needed = compiled(lgn.Lagrangian.acceleration, system, q, v)
    inputs, kernel = jnp.ones((60_000, WIDTH)), jnp.ones((WIDTH, WIDTH))
    product = partial(compiled(jnp.matmul, inputs, kernel)[0], inputs, kernel)
    calls = {"product": product, "lgn": partial(executable, system, q, v)}
    if n <= MOST_TRAINED:
        calls["gradient"] = gradient(system, q, v)
    t = interleaved(calls, quick)
    slots = lgn.node_stencil(system.graph).slots
    floor = len(q) * flops(slots) * t["product"][1] / (2 * inputs.size * WIDTH)
    over = np.nan if graph == "random" else t["lgn"][1] / floor
    found = jax.jit(lgn.Lagrangian.solve)(system, q, v)
    assert int(found.status) == 0, f"{graph} of {n}: status {int(found.status)}"
    trained = t["gradient"][0] / len(q) if "gradient" in t else None
    return Size(graph, len(q), t["lgn"][0], t["lgn"][0] / len(q), over, needed / len(q), int(found.iterations), trained)


def gradient(system, q, v):
    """A call of a training gradient: of the mean square acceleration, by all parameters."""
    graph, parameters, rest = nnx.split(system, nnx.Param, ...)

    def loss(parameters, q, v):
        return jnp.mean(nnx.merge(graph, parameters, rest).acceleration(q, v) ** 2)

    return partial(compiled(jax.grad(loss), parameters, q, v)[0], parameters, q, v)


def resident_bytes_per_node(graph: str, n: int, seed: int) -> float:
    """What graph, system, compilation and one acceleration add to the peak memory of this process."""
    protocol.use_float64()
    before = peak_resident_bytes()
    state = problem(graph, n, seed)
    jax.block_until_ready(state[0].acceleration(*state[1:]))
    return (peak_resident_bytes() - before) / len(state[1])


def figures(sizes: list[int], largest: int | None, seed: int, quick: bool) -> tuple[dict[str, float], list[Size]]:
    """Figures, and a row for each graph and size; each in a process of its own, whose memory is its own."""
    rows = [protocol.in_own_process(measure, graph, n, seed, quick) for graph in GRAPHS for n in sizes]
    found = {(row.graph, n): row for row, n in zip(rows, [n for _ in GRAPHS for n in sizes], strict=True)}
    last = sizes[-1]
    figures = {f"over_floor_{graph}": found[graph, last].over_floor for graph in GRAPHS if graph != "random"}
    figures |= {
        f"per_node_growth_{graph}": found[graph, last].seconds_per_node / found[graph, sizes[0]].seconds_per_node
        for graph in GRAPHS
    }
    figures |= {f"gradient_over_acceleration_{graph}": _over(found[graph, sizes[0]]) for graph in GRAPHS}
    if largest:
        figures |= {
            f"resident_bytes_per_node_{graph}": protocol.in_own_process(resident_bytes_per_node, graph, largest, seed)
            for graph in ("ring", "2d")
        }
    return figures, rows


def _over(size: Size) -> float:
    return size.gradient_seconds_per_node / size.seconds_per_node


def _joined(n: int, pairs):
    """The graph of these pairs, each once."""
    ends = np.unique(np.sort(pairs, 0), axis=1)
    return lgn.from_edges(n, np.r_[ends[0], ends[1]], np.r_[ends[1], ends[0]])

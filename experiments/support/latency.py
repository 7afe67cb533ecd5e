"""Latency: what a first call, new times, a second eager call and another graph of about the same size take."""

import time
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

import lgn
from experiments.support import sizes
from lgn import protocol
from lgn.graphs.features import node_count


def seconds(call: Callable) -> float:
    """Of one call."""
    start = time.perf_counter()
    jax.block_until_ready(jax.tree.leaves(call()))
    return time.perf_counter() - start


def state(n: int, seed: int):
    """(q, v), small and smooth."""
    x = 2 * np.pi * np.arange(n)[:, None] / n
    return jnp.asarray(0.1 * np.sin(x + seed)), jnp.asarray(0.1 * np.cos(x + seed))


def figures(quick: bool) -> dict[str, float]:
    """Seconds; to be run in a fresh process."""
    protocol.use_float64()
    n = 100 if quick else 1000
    ring = lgn.Lagrangian(lgn.lattice((100,)), lgn.MLPDensity(3, 1, (16, 16), rngs=nnx.Rngs(0)))
    times = np.linspace(0, 1, 11)
    found = {"first_rollout_seconds": seconds(lambda: lgn.rollout(ring, state(100, 0), times, lgn.Verlet(0.01)).state)}
    found["new_times_seconds"] = min(
        seconds(lambda end=end: lgn.rollout(ring, state(100, 0), np.linspace(0, end, 11), lgn.Verlet(0.01)).state)
        for end in (1.01, 0.97, 1.03)
    )
    found["first_eager_seconds"] = seconds(lambda: ring.acceleration(*state(100, 0)))
    found["second_eager_seconds"] = min(seconds(lambda k=k: ring.acceleration(*state(100, k))) for k in range(1, 6))
    density = lgn.MessageDensity(1, rngs=nnx.Rngs(0))
    systems = [lgn.Lagrangian(sizes.random(n, seed, n // 5), density) for seed in range(3)]
    found["first_graph_seconds"] = seconds(lambda: systems[0].acceleration(*state(n, 0)))
    found["other_graph_seconds"] = min(
        seconds(lambda system=system: system.acceleration(*state(n, 0))) for system in systems[1:]
    )
    follow = partial(lgn.rollout, ts=np.linspace(0, 0.05, 11), integrator=lgn.Verlet(0.005))
    follow(systems[0], state(n, 0))
    near = [nearby(size, systems[0].terms[0].stencil.slots) for size in (n + n // 77, n - n // 100)]
    found["nearby_graph_seconds"] = max(
        seconds(lambda graph=graph: lgn.Lagrangian(graph, density).acceleration(*state(node_count(graph), 0)))
        for graph in near
    )
    found["nearby_rollout_seconds"] = max(
        seconds(lambda graph=graph: follow(lgn.Lagrangian(graph, density), state(node_count(graph), 0)).state)
        for graph in near
    )
    return found


def nearby(n: int, slots: int):
    """A random graph of another number of nodes and edges, and of the same largest degree."""
    graphs = (sizes.random(n, seed, n // 5) for seed in range(3, 100))
    return next(graph for graph in graphs if lgn.node_stencil(graph).slots == slots)

"""Benchmark: times of what users wait for, each over a product of 60,000 x 64 by 64 x 64 in the same turns, to compare
versions of lgn on any machine with `lgn compare`."""

import json
from functools import partial
from pathlib import Path

import jax.numpy as jnp

import lgn
from experiments.support import sizes
from lgn.harness.timing import compiled, interleaved


def figures(quick: bool, n: int = 10_000) -> dict[str, float]:
    """Ratios of seconds; less is better."""
    inputs, kernel = jnp.ones((60_000, 64)), jnp.ones((64, 64))
    calls = {"reference": partial(compiled(jnp.matmul, inputs, kernel)[0], inputs, kernel)}
    for graph in sizes.GRAPHS:
        state = sizes.problem(graph, n // 10 if quick else n, 0)
        calls[f"acceleration_{graph}"] = partial(compiled(lgn.Lagrangian.acceleration, *state)[0], *state)
        if graph == "ring":
            calls["energy_ring"] = partial(compiled(lgn.Lagrangian.energy, *state)[0], *state)
            calls["gradient_ring"] = sizes.gradient(*state)
    t = interleaved(calls, quick)
    return {name: t[name][0] / t["reference"][0] for name in calls if name != "reference"}


def write(folder: Path, found: dict[str, float]) -> None:
    """`benchmark.json`."""
    (folder / "benchmark.json").write_text(json.dumps(found, indent=2) + "\n")

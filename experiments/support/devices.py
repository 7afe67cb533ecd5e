"""What a system over four devices keeps and sends, counted from compiled programs; times need devices of their own.

`python experiments/support/devices.py [--quick]` prints the figures as JSON, on four devices that one CPU stands for.
"""

import itertools
import json
import os
import re
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import tyro
from flax import nnx

import lgn
from lgn import protocol
from lgn.graphs.features import node_count
from lgn.systems import kdv

DEVICES = 4
FLAG = f"--xla_force_host_platform_device_count={DEVICES}"
SIZE = {"f64": 8, "f32": 4, "s64": 8, "s32": 4, "u32": 4, "pred": 1, "u8": 1}
SENT = re.compile(r"= \(?((?:\w+\[[\d,]*\][^ ]*,? ?)+)\)? (collective-permute|all-reduce|all-gather|all-to-all)[-(]")


@dataclass(frozen=True)
class Config:
    """Count memory and messages."""

    quick: bool = False  # 10^4 and 4 x 10^4 nodes in place of 10^6 and 4 x 10^6


def figures(quick: bool = False) -> dict[str, float]:
    """Ratios of memory, and bytes that one device receives, as `metrics.json` takes them; in a process of its own."""
    before = os.environ.get("XLA_FLAGS")
    os.environ["XLA_FLAGS"] = f"{before or ''} {FLAG}"  # the child inherits it
    try:
        return protocol.in_own_process(measure, quick)
    finally:
        del os.environ["XLA_FLAGS"]
        if before is not None:
            os.environ["XLA_FLAGS"] = before


def sent(program: str) -> dict[str, int]:
    """Bytes that one device receives in a run of a compiled program, by kind of message; those of a loop count once."""
    found: dict[str, int] = {}
    for shapes, kind in SENT.findall(program):
        for dtype, sizes in re.findall(r"(\w+)\[([\d,]*)\]", shapes):
            count = 1
            for size in filter(None, sizes.split(",")):
                count *= int(size)
            found[kind] = found.get(kind, 0) + count * SIZE[dtype]
    return found


def string(q, v, features):
    """The density of waves on lattices of any dimension."""
    return 0.5 * v[0, 0] ** 2 - 0.25 * jnp.sum((q[1:] - q[0]) ** 2)


def phases(u, features):
    """The density of Cahn and Hilliard's equation on lattices of any dimension."""
    return (u[0, 0] ** 2 - 1) ** 2 / 4 + 0.02 * jnp.sum((u[1:, 0] - u[0, 0]) ** 2)


def program(system, fields: int = 2):
    """One acceleration, or one rate of a state of one field, compiled for zeros."""
    x = jnp.zeros((node_count(system.graph), 1))
    x = jax.device_put(x, system.rows.sharding) if hasattr(system, "rows") else x
    return jax.jit(lambda system, *state: system.rate(state)[-1]).lower(system, *(x,) * fields).compile()


def measure(quick: bool) -> dict[str, float]:
    """The figures, where there are four devices."""
    protocol.use_float64()
    n = 10_000 if quick else 1_000_000
    mesh = jax.make_mesh((DEVICES,), ("nodes",))
    return strong(n, mesh) | flows(n, mesh) | weak(n // DEVICES)


def counted(name: str, label: str, one, mesh, fields: int = 2) -> dict[str, float]:
    """Bytes that a device receives as halo and in sums; without a label also its temporaries over those of one device,
    and its arguments."""
    over = program(lgn.shard(one, mesh), fields)
    messages, memory = sent(over.as_text()), over.memory_analysis()
    found = {f"sent_{name}{label}": messages.pop("collective-permute", 0)}
    found[f"summed_{name}{label}"] = sum(messages.values())
    if label:
        return found
    alone = program(one, fields).memory_analysis().temp_size_in_bytes
    kept = {f"temporaries_{name}": memory.temp_size_in_bytes / alone}
    return found | kept | {f"arguments_{name}_bytes": memory.argument_size_in_bytes}


def strong(n: int, mesh) -> dict[str, float]:
    """Of n and of 4 n nodes on four devices: bytes that a device receives as halo and in sums, and temporaries over
    those of one device; with a density that leaves nodes uncoupled, and with one whose mass matrix takes conjugate
    gradients, of which one iteration counts."""
    metrics: dict[str, float] = {}
    for name, shapes in {"ring": [(n,), (4 * n,)], "2d": [(round(n**0.5),) * 2, (2 * round(n**0.5),) * 2]}.items():
        learned = lgn.MLPDensity(len(shapes[0]) * 2 + 1, 1, (16, 16), mass=1.0, rngs=nnx.Rngs(0))
        for (shape, label), kind in itertools.product(zip(shapes, ("", "_of_4n"), strict=True), ("exact", "learned")):
            solver = lgn.ConjugateGradient() if kind == "learned" else None
            one = lgn.Lagrangian(lgn.lattice(shape), learned if kind == "learned" else string, solver=solver)
            metrics |= counted(f"{name}_{kind}", label, one, mesh)
    return metrics


def flows(n: int, mesh) -> dict[str, float]:
    """Of n and of 4 n nodes on four devices: bytes that a device receives in a rate of an energy flow, and temporaries
    over those of one device, of Korteweg-de Vries's equation on a ring and Cahn-Hilliard's on a square."""
    metrics: dict[str, float] = {}
    side = round(n**0.5)
    for label, ring, square in (("", (n,), (side, side)), ("_of_4n", (4 * n,), (2 * side, 2 * side))):
        known = {
            "kdv": lgn.EnergyFlow(lgn.lattice(ring), kdv.density, structure=lgn.FirstDifference()),
            "cahn_hilliard": lgn.EnergyFlow(lgn.lattice(square), phases, structure=lgn.Laplacian()),
        }
        for name, one in known.items():
            metrics |= counted(name, label, one, mesh, fields=1)
    return metrics


def weak(n: int) -> dict[str, float]:
    """Of n nodes a device on 1, 2 and 4 devices, as strips of a square lattice: bytes that one receives and keeps."""
    metrics: dict[str, float] = {}
    side = round((DEVICES * n) ** 0.5)
    for count in (1, 2, DEVICES):
        mesh = jax.make_mesh((count,), ("nodes",), devices=jax.devices()[:count])
        over = program(lgn.shard(lgn.Lagrangian(lgn.lattice((side * count // DEVICES, side)), string), mesh))
        metrics[f"weak_sent_{count}"] = sent(over.as_text()).get("collective-permute", 0)
        memory = over.memory_analysis()
        metrics[f"weak_bytes_{count}"] = memory.temp_size_in_bytes + memory.argument_size_in_bytes
    return metrics


if __name__ == "__main__":
    print(json.dumps(figures(tyro.cli(Config).quick), indent=1))

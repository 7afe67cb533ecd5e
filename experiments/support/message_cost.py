"""Message cost: the acceleration of a density of messages, in closed form, over that by differentiation."""

from functools import partial

import jax.numpy as jnp
import numpy as np
from flax import nnx

import lgn
from experiments.support import sizes
from lgn.harness.timing import compiled, interleaved


def plain(density: lgn.MessageDensity):
    """The same density, of which lgn knows no closed form."""

    class Plain(nnx.Module):
        slots = None

        def __init__(self):
            self.inner = density

        def __call__(self, *local):
            return self.inner(*local)

    return Plain()


def figures(quick: bool, seed: int = 0) -> dict[str, float]:
    """How many times as fast."""
    side = 30 if quick else 100
    graphs = {
        "ring": lgn.lattice((side**2,)),
        "2d": lgn.lattice((side, side)),
        "random": sizes.random(side**2, seed, side**2 // 5),
    }
    density = lgn.MessageDensity(1, rngs=nnx.Rngs(seed))
    q, v = (jnp.asarray(x) for x in 0.3 * np.random.default_rng(seed).normal(size=(2, side**2, 1)))
    found = {}
    for name, graph in graphs.items():
        systems = {"closed": lgn.Lagrangian(graph, density), "plain": lgn.Lagrangian(graph, plain(density))}
        calls = {
            key: partial(compiled(lgn.Lagrangian.acceleration, system, q, v)[0], system, q, v)
            for key, system in systems.items()
        }
        t = interleaved(calls, quick)
        found[f"message_speedup_{name}"] = t["plain"][0] / t["closed"][0]
    return found

"""Gradient cost: the gradient that a training evaluates, over the time of its arithmetic.

The wave and the double pendulum as `wave.py` and `double_pendulum.py` train them, on the share of the data that `fit`
trains on, by the call that BFGS makes. The floor counts what the closed form needs at least: its products forward, and
in reverse two for each, one for either factor. Not in it are what is evaluated again to save memory, activations, the
inputs, the solve and the loss. Multiplications of one element forward, for T velocities, P places and widths w:

    first layer            w_1 (2 P + T) for values and for dq = v, w_1 (P + T) for force and momentum
    each further layer     w_l w_(l+1) (T + 3): values, back, dq = v, and each tangent
    sums of two tangents   w_l (T (T + 1) + 2 T) in each layer

Two thirds are counted at the rate of (T + 3) n rows times a kernel of the greatest width, and the third that makes the
gradients of kernels at the rate of a product of that shape; both take turns with the gradient. As a second figure the
time of the activations of one pass forward is added to the floor.
"""

from functools import partial

import jax
import jax.numpy as jnp
from flax import nnx

import lgn
from experiments import double_pendulum, wave
from lgn import protocol
from lgn.densities.network import derivatives
from lgn.harness.timing import compiled, interleaved
from lgn.learning.problem import Problem
from lgn.learning.validation import SHARE, split
from lgn.systems import double_pendulum as pendulums
from lgn.systems import wave as waves


def strings(seed: int):
    """System and data of `wave.py`."""
    config = wave.Config()
    density = lgn.MLPDensity(3, 1, **wave.DENSITIES["prior"], rngs=nnx.Rngs(seed))
    data = waves.sample(jax.random.key(seed), config.states, config.nodes_train)
    return lgn.Lagrangian(lgn.lattice((config.nodes_train,)), density), data


def rods(seed: int):
    """System and data of `double_pendulum.py`."""
    config = double_pendulum.Config()
    settings = {"mass": double_pendulum.MASS, "v_scale": 5.0, "angles": (0, 1)}
    density = lgn.MLPDensity(1, 2, config.hidden, **settings, rngs=nnx.Rngs(seed))
    return lgn.Lagrangian(lgn.single_node(), density), pendulums.sample(jax.random.key(seed), config.states)


def multiplications(density: lgn.MLPDensity) -> int:
    """Of the closed form on one element, forward."""
    tangents, places, widths = density.inputs.speeds, density.inputs.places, density.hidden
    first = widths[0] * (3 * places + 2 * tangents)
    further = sum(a * b for a, b in zip(widths[:-1], widths[1:], strict=True)) * (tangents + 3)
    return first + further + sum(widths) * tangents * (tangents + 3)


def over_floor(make, seed: int, quick: bool) -> tuple[float, float]:
    """Median time of one gradient over that of its arithmetic, and over that of arithmetic and activations."""
    protocol.use_float64()
    system, data = make(seed)
    data = jax.tree.map(jnp.asarray, split(data.check(), lgn.acceleration_loss, SHARE, jax.random.key(seed)).train)
    problem, density = Problem(system, data), system.density
    elements, width = data.q.shape[0] * data.q.shape[1], max(density.hidden)
    rows = jnp.ones((elements * (density.inputs.speeds + 3), width))
    kernel, values = jnp.ones((width, width)), jnp.ones((elements, width))
    t = interleaved(
        {
            "product": partial(compiled(jnp.matmul, rows, kernel)[0], rows, kernel),
            "kernel": partial(compiled(lambda a, b: a.T @ b, rows, rows)[0], rows, rows),
            "activation": partial(compiled(partial(derivatives, density.activation), values)[0], values),
            "gradient": partial(problem.log_and_gradient(None), problem.x),
        },
        quick,
    )
    forward = elements * multiplications(density) / (rows.size * width)  # over one product of the rows
    floor = forward * (2 * t["product"][0] + t["kernel"][0])
    active = sum(density.hidden) / width * t["activation"][0]
    return t["gradient"][0] / floor, t["gradient"][0] / (floor + active)


def figures(quick: bool, seed: int = 0) -> dict[str, float]:
    """Of both trainings."""
    found = {name: over_floor(make, seed, quick) for name, make in (("wave", strings), ("double_pendulum", rods))}
    plain = {f"training_gradient_over_floor_{name}": ratio for name, (ratio, _) in found.items()}
    return plain | {f"training_gradient_over_floor_{name}_activations": ratio for name, (_, ratio) in found.items()}

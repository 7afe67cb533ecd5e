"""What discrete gradients cost over `jax.grad`, also in training, and what an implicit step of many nodes takes."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

import lgn
from lgn.densities.network import dense_layers, perceptron
from lgn.systems import cahn_hilliard, kdv

METHODS = {"automatic": lgn.Automatic(), "mean_value": lgn.MeanValue(2), "gonzalez": lgn.Gonzalez()}
ACTIVATIONS = {"softplus": jax.nn.softplus, "tanh": jnp.tanh}


def discrete_costs(elements: int, hidden: tuple[int, ...] = (24, 24), quick: bool = False) -> dict[str, float]:
    """Ratios of seconds, by activation, method and whether of the gradient or of its derivative, on 3 inputs."""
    graph, layers = nnx.split(dense_layers((3, *hidden, 1), lgn.lecun_normal, nnx.Rngs(0)))
    before, direction = jax.random.normal(jax.random.key(0), (2, elements, 3, 1))
    after = before + 0.1 * direction
    costs = {}
    for name, activation in ACTIVATIONS.items():

        def value(layers, u, features, activation=activation):
            return perceptron(nnx.merge(graph, layers), activation, u.ravel())[0]

        def discrete(layers, method, value=value):
            return jax.vmap(lambda a, b: method(partial(value, layers), (a,), (b,), {})[0])(after, before)

        def exact(layers, value=value):
            return jax.vmap(lambda u: jax.grad(value, argnums=1)(layers, u, {}))(before)

        calls: dict[str, Callable] = {}
        gradients: dict[str, Callable] = {"grad": exact} | {k: partial(discrete, method=m) for k, m in METHODS.items()}
        for key, function in gradients.items():
            first = jax.jit(function)
            second = jax.jit(jax.grad(lambda layers, f=function: jnp.sum((f(layers) - direction) ** 2)))
            calls |= {key: partial(first, layers), f"{key}_derivative": partial(second, layers)}
        seconds = {key: median for key, (median, _) in lgn.timing.interleaved(calls, quick).items()}
        for key in METHODS:
            costs[f"{name}_{key}"] = seconds[key] / seconds["grad"]
            costs[f"{name}_{key}_derivative"] = seconds[f"{key}_derivative"] / seconds["grad_derivative"]
    return costs


def implicit_steps(quick: bool = False) -> dict[str, float]:
    """Seconds and bytes a node of one implicit step, exact densities: solitons on a ring of 10^6 nodes, phases that
    separate on 1000 x 1000."""
    side = 100 if quick else 1000
    ring, square = (
        lgn.lattice((side**2,), spacing=kdv.SPACING),
        lgn.lattice((side, side), spacing=cahn_hilliard.SPACING[0]),
    )
    waves = 1 + 0.5 * jnp.sin(2 * jnp.pi * jnp.arange(side**2) / 50)[:, None]
    noise = jax.random.uniform(jax.random.key(0), (side**2, 1), minval=-0.05, maxval=0.05)
    cases = {
        "kdv": (lgn.EnergyFlow(ring, kdv.density, structure=lgn.FirstDifference()), waves, 1e-3),
        "cahn_hilliard": (lgn.EnergyFlow(square, cahn_hilliard.density, structure=lgn.Laplacian()), noise, 1e-4),
    }
    costs = {}
    for name, (flow, u, dt) in cases.items():

        def step(u, flow=flow, dt=dt):
            return lgn.DiscreteGradient(dt)(flow, (u,), np.array([0.0, dt]))[0][-1]

        executable, _, needed = lgn.timing.compiled(step, u)
        assert bool(jnp.isfinite(executable(u)).all()), f"{name}: the step did not converge"
        (seconds, _) = lgn.timing.interleaved({name: partial(executable, u)}, quick)[name]
        costs |= {
            f"implicit_{name}_seconds_per_node": seconds / len(u),
            f"implicit_{name}_bytes_per_node": needed / len(u),
        }
    return costs

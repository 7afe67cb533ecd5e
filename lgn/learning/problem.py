"""Problem: a system, data and a loss, as functions of one flat vector of parameters."""

import math
from collections.abc import Callable
from copy import copy
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax import lax

from lgn.data.samples import States
from lgn.learning import bfgs
from lgn.learning.loss import LossLike, as_loss
from lgn.learning.losses import acceleration_loss
from lgn.learning.samples import on_samples
from lgn.mechanics.system import offered, why_no_rate


class Problem:
    """Problem of training: a system whose `nnx.Param` are free, data and a loss, as functions of one flat vector x."""

    def __init__(self, system, data: Any, loss: LossLike = acceleration_loss):
        self.data, self.loss = data, as_loss(loss)
        self.loss.check(system, data)
        self._rest: Any
        self._definition, parameters, self._rest = nnx.split(system, nnx.Param, ...)
        self._parameters = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), parameters)
        leaves = [np.ravel(np.asarray(x)) for x in jax.tree.leaves(parameters)]
        self.x = np.concatenate(leaves or [np.zeros(0)])
        self._programs: dict = {}

    def system_at(self, x):
        """System with parameters x, (p,)."""
        return nnx.merge(self._definition, self._unravelled(x), self._rest)

    def _unravelled(self, x):
        """Parameters of x; by numpy, which compiles nothing, unless traced."""
        shapes, structure = jax.tree.flatten(self._parameters)
        ends, traced = np.cumsum([math.prod(like.shape) for like in shapes]), isinstance(x, jax.core.Tracer)
        parts = (jnp if traced else np).split(x if traced else np.asarray(x), ends[:-1])
        parts = [part.reshape(like.shape).astype(like.dtype) for part, like in zip(parts, shapes, strict=True)]
        return jax.tree.unflatten(structure, parts if traced else jax.device_put(parts))

    def on(self, data: Any, loss: LossLike | None = None, apart: bool = False) -> "Problem":
        """Problem on other data, by the same programs: none is compiled again for data of the same shapes. Another loss
        has programs of its own, and whatever is `apart`."""
        other = copy(self)
        other.data, other.loss = data, self.loss if loss is None else as_loss(loss)
        if apart or other.loss != self.loss:
            other._programs = {}
        return other

    def value(self, x) -> float:
        """Loss at x, (p,), by the program of its gradient where there is one already."""
        if None in self._programs:
            return float(np.exp(self.log_and_gradient(None)(x)[0]))
        program = self._program("value", lambda problem, x, data: problem.loss(problem.system_at(x), data))
        return float(program(x, self.data))

    def log_and_gradient(self, objective: LossLike | None) -> bfgs.ValueAndGradient:
        """Function x -> log of the objective, by default the loss, and its gradient, in numpy."""
        chosen = objective or self.loss

        def log(problem, x, data):
            return jax.value_and_grad(lambda x: jnp.log(chosen(problem.system_at(x), data)))(x)

        program = self._program(objective, log)

        def evaluate(x):
            value, gradient = program(x, self.data)
            return np.asarray(value), np.asarray(gradient)

        return evaluate

    def scan_minibatches(self, optimizer: optax.GradientTransformation, batch: int):
        """Compiled scan (x, optimiser state, key, count) -> (x, optimiser state, losses)."""

        def scan(problem, x, state, key, data, count):
            def step(carry, key):
                x, state = carry
                picked = jax.random.randint(key, (batch,), 0, len(data.q))
                sample = jax.tree.map(lambda values: values[picked], data)
                loss, gradient = jax.value_and_grad(lambda x: problem.loss(problem.system_at(x), sample))(x)
                updates, state = optimizer.update(gradient, state, x)
                return (optax.apply_updates(x, updates), state), loss

            (x, state), losses = lax.scan(step, (x, state), jax.random.split(key, count))
            return x, state, losses

        program = self._program((optimizer, batch), scan, static_argnums=5)
        return lambda x, state, key, count: program(x, state, key, self.data, count)

    def search(self, optimizer: optax.GradientTransformationExtraArgs):
        """Compiled step (x, optimiser state) -> (x, optimiser state, log of the loss at that x), for an optimiser
        whose line search evaluates the log of the loss."""

        def step(problem, x, state, data):
            def value(x):
                return jnp.log(problem.loss(problem.system_at(x), data))

            found, gradient = optax.value_and_grad_from_state(value)(x, state=state)
            updates, state = optimizer.update(gradient, state, x, value=found, grad=gradient, value_fn=value)
            return optax.apply_updates(x, updates), state, optax.tree_utils.tree_get(state, "value")

        program = self._program(optimizer, step)
        return lambda x, state: program(x, state, self.data)

    def _program(self, name, function: Callable, **options):
        """function(problem, ...), compiled once for all problems that differ in their data alone. What is not trained,
        such as tables over devices, is an argument of the program and no constant."""
        if name not in self._programs:

            def program(rest, *given):
                problem = copy(self)
                problem._rest = rest
                return function(problem, *given)

            self._programs[name] = jax.jit(program, **options)
        return partial(self._programs[name], self._rest)

    def diagnose(self, x) -> str:
        """Reason why training cannot go on from x: the step, what is not finite, or where the worst mass matrix is."""
        value, gradient = self.log_and_gradient(None)(x)
        if np.isfinite(value) and np.isfinite(gradient).all():
            return (
                "a step left the finite numbers from parameters where the loss and its gradient are finite: lower the "
                "rate of the optimiser"
            )
        system = self.system_at(jnp.asarray(x))
        if offered(system, "solve") is None:
            return "the loss is not finite"
        if not isinstance(self.data, States):
            return "the loss is not finite; a motion leaves the data, or a mass matrix turns singular on its way"
        solve = jax.jit(lambda data: on_samples(lambda system, state, t: system.solve(*state, t), system, data))
        found = solve(self.data)
        if (lost := ~np.isfinite(found.value).all((1, 2))).any():  # for another reason than a singular mass matrix?
            at = int(np.argmax(lost))
            sample = jax.tree.map(lambda x: x[at], self.data)
            known = system.replace(**sample.features) if sample.features else system
            if cause := why_no_rate(known, sample.state, 0.0 if sample.t is None else sample.t):
                return f"the loss or its gradient is not finite: at sample {at} {cause}"
        worst = int(np.argmax(np.where(np.isnan(found.condition), np.inf, found.condition)))
        return (
            f"the loss or its gradient is not finite; the worst mass matrix is that of sample {worst} at node "
            f"{int(found.node[worst])}, with pivots in the ratio {float(found.condition[worst]):.1e} and status "
            f"{int(found.status[worst])} (1 not positive definite, 2 singular). Start from a known Lagrangian "
            f"(lgn.pretrain()) or give the density a kinetic prior (MLPDensity(mass=1.0)); where that matrix is "
            f"regular, look for a root, a norm, a logarithm or a division at zero in the density or the loss"
        )

"""Problem: a system, data and a loss, as functions of one flat vector of parameters."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax import lax
from jax.flatten_util import ravel_pytree

from lgn.data.trajectories import States
from lgn.learning import bfgs
from lgn.learning.losses import Loss, acceleration_loss, on_samples


class Problem:
    """A system whose `nnx.Param` are free, data, and a loss: functions of one flat vector x."""

    def __init__(self, system, data: Any, loss: Loss = acceleration_loss):
        self.data, self.loss = data, loss
        self._definition, parameters, self._rest = nnx.split(system, nnx.Param, ...)
        x, self._unravel = ravel_pytree(parameters)
        self.x = np.asarray(x)
        self._compiled: dict = {}

    def system_at(self, x):
        """The system with parameters x."""
        return nnx.merge(self._definition, self._unravel(x), self._rest)

    def log_and_gradient(self, objective: Loss | None) -> bfgs.ValueAndGradient:
        """log of the objective and its gradient, in numpy."""
        if objective not in self._compiled:
            chosen = objective or self.loss
            compiled = jax.jit(jax.value_and_grad(lambda x, data: jnp.log(chosen(self.system_at(x), data))))

            def evaluate(x):
                value, gradient = compiled(x, self.data)
                return np.asarray(value), np.asarray(gradient)

            self._compiled[objective] = evaluate
        return self._compiled[objective]

    def scan_minibatches(self, optimizer: optax.GradientTransformation, batch: int):
        """Compiled (x, optimiser state, key, count) -> (x, optimiser state, losses)."""
        if (optimizer, batch) not in self._compiled:

            def scan(x, state, key, data, count):
                def step(carry, key):
                    x, state = carry
                    picked = jax.random.randint(key, (batch,), 0, len(data.q))
                    sample = jax.tree.map(lambda values: values[picked], data)
                    loss, gradient = jax.value_and_grad(lambda x: self.loss(self.system_at(x), sample))(x)
                    updates, state = optimizer.update(gradient, state, x)
                    return (optax.apply_updates(x, updates), state), loss

                (x, state), losses = lax.scan(step, (x, state), jax.random.split(key, count))
                return x, state, losses

            compiled = jax.jit(scan, static_argnums=4)
            self._compiled[optimizer, batch] = lambda x, state, key, count: compiled(x, state, key, self.data, count)
        return self._compiled[optimizer, batch]

    def search(self, optimizer: optax.GradientTransformationExtraArgs):
        """Compiled (x, optimiser state) -> (x, optimiser state, log of the loss at that x), for an optimiser whose line
        search evaluates the log of the loss."""
        if optimizer not in self._compiled:

            def step(x, state, data):
                def value(x):
                    return jnp.log(self.loss(self.system_at(x), data))

                found, gradient = optax.value_and_grad_from_state(value)(x, state=state)
                updates, state = optimizer.update(gradient, state, x, value=found, grad=gradient, value_fn=value)
                return optax.apply_updates(x, updates), state, optax.tree_utils.tree_get(state, "value")

            compiled = jax.jit(step)
            self._compiled[optimizer] = lambda x, state: compiled(x, state, self.data)
        return self._compiled[optimizer]

    def diagnose(self, x) -> str:
        """Which sample and node have the worst mass matrix at x."""
        system = self.system_at(jnp.asarray(x))
        if not hasattr(system, "solve"):
            return "the loss is not finite"
        if not isinstance(self.data, States):
            return (
                "the loss is not finite; a motion that leaves the data, or a mass matrix that turns singular on its way"
            )
        found = jax.jit(lambda data: on_samples(lambda system, state, t: system.solve(*state, t), system, data))(
            self.data
        )
        worst = int(np.argmax(np.where(np.isnan(found.condition), np.inf, found.condition)))
        return (
            f"the loss or its gradient is not finite; the worst mass matrix is that of sample {worst} at node "
            f"{int(found.node[worst])}, with pivots in the ratio {float(found.condition[worst]):.1e} and status "
            f"{int(found.status[worst])} (1 not positive definite, 2 singular). Start from a known Lagrangian "
            f"(lgn.pretrain()) or give the density a kinetic prior (MLPDensity(mass=1.0))"
        )

"""Samples: what a system gives at every sample of data."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp

from lgn.assembly.expanded import Expanded
from lgn.mechanics.system import offered
from lgn.parallel.samples import over_devices


def on_samples(evaluate: Callable, system, data, *more):
    """`evaluate(system, state, t, *more)` of every sample, with the features and the control that it has."""
    return over_devices(partial(_each, evaluate), system, (*_moments(data), *more))


def at_states(evaluate: Callable, system, data, *more):
    """`on_samples` of what follows from the equation of motion at the states of the data, such as the acceleration.

    The densities of a Lagrangian are expanded before, on the elements of all samples as one axis: by `vmap` they would
    have two, each too short to be divided into pieces, and XLA transposes such arrays (1.6 to 2.6 times as long,
    measured)."""
    flat = offered(system, "functional") is not None
    return over_devices(partial(_expanded if flat else _each, evaluate), system, (*_moments(data), *more))


def _moments(data) -> tuple:
    """State, time and features of every sample."""
    return data.state, jnp.zeros(len(data.q), data.q.dtype) if data.t is None else data.t, data.features


def _each(evaluate, system, *samples):
    def one(state, t, features, *more):
        return evaluate(system.replace(**features) if features else system, state, t, *more)

    return jax.vmap(one)(*samples)


def _expanded(evaluate, system, state, t, features, *more):
    def local(system, state, t):
        return [part.local for part in system.functional.parts(system.domain.features, *state)]

    def known(system, state, t, expansions, *more):
        system = jax.tree.map(lambda x: x, system)
        system.functional = Expanded(system.functional, expansions)
        return evaluate(system, state, t, *more)

    first = [x[0] for x in state]
    system.check(*first)
    parts = system.functional.parts(system.domain.features, *first)
    every = _each(local, system, state, t, features)
    expansions = [_in_one(part.expand, one) for part, one in zip(parts, every, strict=True)]
    return _each(known, system, state, t, features, expansions, *more)


def _in_one(function: Callable, arrays):
    """function(*arrays) of arrays (sample, element, ...), which it sees as (sample element, ...)."""
    leading = jax.tree.leaves(arrays)[0].shape[:2]
    found = function(*jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), arrays))
    return jax.tree.map(lambda x: x.reshape(*leading, *x.shape[1:]), found)

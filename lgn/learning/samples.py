"""Samples: what a system gives at every sample of data."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp

from lgn.assembly.functional import expansion
from lgn.devices.samples import over_devices
from lgn.mechanics.compilation import bind
from lgn.mechanics.system import offered


def on_samples(evaluate: Callable, system, data, *more):
    """`evaluate(system, state, t, *more)` of every sample, with the features and the control that it has."""
    return over_devices(partial(_each, evaluate), system, (*_moments(data), *more))


def at_states(evaluate: Callable, system, data, *more):
    """`on_samples` of what follows from the equation of motion at the states of the data, such as the acceleration.

    The densities of a Lagrangian are expanded before, on the elements of all samples as one axis: by `vmap` they would
    have two, each too short to be divided into pieces, and XLA transposes such arrays (1.6 to 2.6 times as long,
    measured)."""
    flat = offered(system, "functional") is not None and not system.domain.division
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
        bound = bind(system, state)
        return bound.functional.local(bound.known_at(t), *state)

    def known(system, state, t, expansions, *more):
        bound = jax.tree.map(lambda x: x, bind(system, state))
        bound.functional = bound.functional.at(expansions)
        return evaluate(bound, state, t, *more)

    bound = bind(system, [x[0] for x in state])
    every = _each(local, system, state, t, features)
    expansions = [
        _in_one(partial(expansion, table, table.density(bound.terms[table.term].density)), one)
        for table, one in zip(bound.functional.tables, every, strict=True)
    ]
    return _each(known, system, state, t, features, expansions, *more)


def _in_one(function: Callable, arrays):
    """Value of function(*arrays) of arrays (sample, element, ...), which it sees as (sample element, ...)."""
    leading = jax.tree.leaves(arrays)[0].shape[:2]
    found = function(*jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), arrays))
    return jax.tree.map(lambda x: x.reshape(*leading, *x.shape[1:]), found)

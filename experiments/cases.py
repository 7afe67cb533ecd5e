"""Cases: the two systems that `families.py` trains all families on, with their data, metrics and motions."""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import jraph
import numpy as np

import lgn
from lgn.systems import double_pendulum, relativistic

FIELD = 10.0  # typical size of g, by which the models see it divided


class Case(NamedTuple):
    """A system to learn.

    Attributes:
        graph: one node, with the features of the system.
        settings: of networks that read q, v and the features.
        a_scale: typical acceleration.
        p_scale: typical momentum.
        lnn: where the LNN starts: from a kinetic prior or as a network alone.
        law: exact rates, (q, v, features) -> (dq/dt, dv/dt).
        momentum: the true one, p(q, v, features).
        data: (key, count) -> States.
        weight: of the error of a state, from v.
        accuracy: (found accelerations, States) -> the published metric.
        metric: its name.
        starts: (key, count) -> States, from which motions start.
        times: of the motions.
        energy_error: (q, v, given) of motions (start, time, ...) -> (start, time).
    """

    graph: jraph.GraphsTuple
    settings: dict
    a_scale: float
    p_scale: float
    lnn: dict
    law: Callable
    momentum: Callable
    data: Callable
    weight: Callable
    accuracy: Callable
    metric: str
    starts: Callable
    times: np.ndarray
    energy_error: Callable


def inertial_momentum(q, v, features):
    """p = M(q) v of the double pendulum."""
    cos = jnp.cos(q[..., 0] - q[..., 1])
    return jnp.stack([2 * v[..., 0] + cos * v[..., 1], cos * v[..., 0] + v[..., 1]], -1)


def pendulum_law(q, v, features):
    """Exact rates of the double pendulum."""
    return v, double_pendulum.acceleration(q, v)


def pendulum_error(q, v, given):
    """|E - E(0)| / 29.4, the depth of the potential."""
    energy = double_pendulum.energy(q, v)
    return jnp.abs(energy - energy[:, :1]) / (3 * double_pendulum.GRAVITY)


def pendulum_starts(key, count):
    """States of the published energy test."""
    q, v = double_pendulum.starts(key, count)
    return lgn.States(q, v, jnp.zeros_like(q))


def relativistic_momentum(q, v, features):
    """p = v (1 - v^2)^(-3/2)."""
    return relativistic.published_momentum(v)


def relativistic_law(q, v, features):
    """Exact rates of the published particle; the feature is g / FIELD."""
    return v, relativistic.published_acceleration(q, v, FIELD * features["g"])


def relativistic_data(key, count):
    """The published states, each a sample of one node with a g of its own."""
    states, g = relativistic.sample(key, count)
    q, v, a = (jnp.swapaxes(x, 0, 1) for x in states[:3])
    return lgn.States(q, v, a, given={"g": g[:, None] / FIELD})


def relativistic_starts(key, count):
    """Particles at rest at q = 0 in fields of either sign, |g| from 2 to 10."""
    g = jnp.linspace(2.0, 10.0, count) * (-1.0) ** jnp.arange(count)
    rest = jnp.zeros((count, 1, 1))
    return lgn.States(rest, rest, rest, given={"g": g[:, None] / FIELD})


def relativistic_error(q, v, given):
    """|E - E(0)| over the largest work |g q| of the field on the way."""
    g = FIELD * given["g"][:, None]
    energy = relativistic.published_energy(q, v, g)
    work = jnp.max(jnp.abs(g[..., None] * q), axis=(1, 2, 3))
    return jnp.abs(energy - energy[:, :1]) / work[:, None]


def weighted_error(found, states):
    """The published metric of the relativistic particle."""
    return float(relativistic.weighted_error(found, states.a, states.v))


def l1_sum(found, states):
    """The published metric of the double pendulum."""
    return float(jnp.mean(jnp.sum(jnp.abs(found - states.a), (1, 2))))


CASES = {
    "double_pendulum": Case(
        graph=lgn.single_node(),
        settings={"dim": 2, "angles": (0, 1), "v_scale": 5.0},
        a_scale=40.0,
        p_scale=10.0,
        lnn={},
        law=pendulum_law,
        momentum=inertial_momentum,
        data=double_pendulum.sample,
        weight=jnp.ones_like,
        accuracy=l1_sum,
        metric="acceleration_l1_sum",
        starts=pendulum_starts,
        times=np.linspace(0, 20, 201),
        energy_error=pendulum_error,
    ),
    "relativistic": Case(
        graph=lgn.single_node({"g": np.ones(1)}),
        settings={"dim": 1, "q_scale": 10.0, "features": ("g",), "feature_size": 1},
        a_scale=5.0,
        p_scale=10.0,
        lnn={"mass": None, "initializer": lgn.lecun_normal},
        law=relativistic_law,
        momentum=relativistic_momentum,
        data=relativistic_data,
        weight=relativistic.weight,
        accuracy=weighted_error,
        metric="weighted_error",
        starts=relativistic_starts,
        times=np.linspace(0, 1, 101),
        energy_error=relativistic_error,
    ),
}

"""Models: six families, untrained, for two systems; and what each system is judged by."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import jraph
import numpy as np
from flax import nnx

import lgn
from lgn import diagnostics
from lgn.learning import losses
from lgn.learning.samples import on_samples
from lgn.systems import double_pendulum, relativistic

FAMILIES = {
    "plain": "plain network",
    "neural_ode": "neural ODE",
    "hnn_velocity": "HNN given v",
    "hnn_momentum": "HNN given p",
    "delan": "DeLaN",
    "lnn": "LNN",
}
STEP = 0.01  # between two states of the pieces that the neural ODE learns from
THROUGH = lgn.ImplicitMidpoint(STEP / 2)  # a gradient through Adaptive steps costs five to ten times as much (measured)
BY_STEPS = lgn.RolloutLoss(THROUGH, STEP)


class Case(NamedTuple):
    """A system to learn."""

    graph: jraph.GraphsTuple  # one node, with the features of the system
    settings: dict  # of networks that read q, v and the features
    a_scale: float  # typical acceleration
    lnn: dict  # where the LNN starts: from a kinetic prior or as a network alone
    law: Callable  # exact rates, (q, v, features) -> (dq/dt, dv/dt)
    momentum: Callable  # the true one, p(q, v, features), typically P_SCALE
    velocity: Callable  # its inverse, v(q, p, features)
    data: Callable  # (key, count) -> States
    weight: Callable  # of the error of a state, from v
    metric: str  # name of the published metric
    accuracy: Callable  # (found accelerations, States) -> its value
    starts: Callable  # (key, count) -> States, from which motions start
    times: np.ndarray  # of the motions
    energy_error: Callable  # (q, v, given) of motions (start, time, ...) -> (start, time)


P_SCALE = 10.0


def _pendulum_starts(key, count):
    q, v = double_pendulum.starts(key, count)
    return lgn.States(q, v, jnp.zeros_like(q))


CASES = {
    "double_pendulum": Case(
        graph=lgn.single_node(),
        settings={"dim": 2, "angles": (0, 1), "v_scale": 5.0},
        a_scale=40.0,
        lnn={},
        law=double_pendulum.law,
        momentum=double_pendulum.momentum,
        velocity=double_pendulum.velocity,
        data=double_pendulum.sample,
        weight=jnp.ones_like,
        accuracy=lambda found, states: diagnostics.l1_sum(found, states.a),
        metric="acceleration_l1_sum",
        starts=_pendulum_starts,
        times=np.linspace(0, 20, 201),
        energy_error=lambda q, v, given: double_pendulum.energy_error(q, v),
    ),
    "relativistic": Case(
        graph=lgn.single_node({"g": np.ones(1)}),
        settings={"dim": 1, "q_scale": 10.0, "features": ("g",), "feature_size": 1},
        a_scale=5.0,
        lnn={"mass": None, "initializer": lgn.lecun_normal},
        law=relativistic.law,
        momentum=relativistic.momentum,
        velocity=relativistic.velocity,
        data=relativistic.particles,
        weight=relativistic.weight,
        accuracy=lambda found, states: float(relativistic.weighted_error(found, states.a, states.v)),
        metric="weighted_error",
        starts=relativistic.starts,
        times=np.linspace(0, 1, 101),
        energy_error=lambda q, v, given: relativistic.energy_error(q, v, relativistic.FIELD * given["g"]),
    ),
}


def build(family: str, case: Case, seed: int):
    """An untrained model; the widths give each about 1,300 parameters."""
    settings, wide = {**case.settings, "rngs": nnx.Rngs(seed)}, (32, 32)
    if family == "delan":
        return lgn.Lagrangian(case.graph, lgn.StructuredDensity(1, hidden=(22, 22), **settings))
    if family == "lnn":
        return lgn.Lagrangian(case.graph, lgn.MLPDensity(1, hidden=wide, **settings, **case.lnn))
    if family in ("plain", "neural_ode"):
        law = lgn.PlainNetwork if family == "plain" else lgn.NeuralODE
        return lgn.Baseline(case.graph, law(hidden=wide, a_scale=case.a_scale, **settings))
    if family == "hnn_momentum":
        settings["v_scale"] = P_SCALE
    network = lgn.MLPDensity(1, hidden=wide, mass=None, initializer=lgn.lecun_normal, **settings)
    return lgn.EnergyFlow(case.graph, lgn.canonical(network), structure=lgn.Symplectic())


class Coordinates(NamedTuple):
    """What a family takes for the state of a node."""

    state: Callable  # (q, v, features) -> its fields
    motion: Callable  # (state, features) -> (q, v)

    def rates(self, states: lgn.States) -> lgn.States:
        """States of one field with their rates."""

        def one(q, v, a, features):
            (u,), (rate,) = jax.jvp(lambda q, v: self.state(q, v, features), (q, v), (v, a))
            return u, rate

        u, rate = jax.vmap(one)(states.q, states.v, states.a, states.features or {})
        return lgn.States(u, rate, features=states.features)


SECOND_ORDER = Coordinates(lambda q, v, features: (q, v), lambda state, features: state)


def coordinates(family: str, case: Case) -> Coordinates:
    """(q, v), or for a Hamiltonian network u = (q, p), where p is the true one or v is taken for it."""
    if not family.startswith("hnn"):
        return SECOND_ORDER
    momentum, velocity = (case.momentum, case.velocity) if family == "hnn_momentum" else (second, second)

    def state(q, v, features):
        return (jnp.concatenate([q, momentum(q, v, features)], -1),)

    def motion(state, features):
        q, p = lgn.halves(state[0])
        return q, velocity(q, p, features)

    return Coordinates(state, motion)


def second(q, v, features):
    """v for p, and p for v."""
    return v


def task(family: str, case: Case, states: lgn.States):
    """The data that a family learns from, and its loss."""
    if family == "neural_ode":
        return pieces(case, states), BY_STEPS
    if family.startswith("hnn"):
        return coordinates(family, case).rates(states), partial(rate_loss, case.weight(states.v))
    return states, partial(acceleration_loss, case)


def acceleration_loss(case: Case, model, states):
    """Mean squared error of the acceleration, relative, in the weights of the system."""
    return relative(case.weight(states.v), losses.accelerations(model, states), states.a)


def rate_loss(weight, model, states):
    """The same of dq/dt and of dp/dt."""
    (found,) = on_samples(lambda model, state, t: model.rate(state, t), model, states)
    pairs = zip(jnp.split(found, 2, -1), jnp.split(states.v, 2, -1), strict=True)
    return sum(relative(weight, a, b) for a, b in pairs)


def relative(weight, found, exact):
    """Weighted mean squared error over the weighted mean square."""
    return jnp.sum(weight * (found - exact) ** 2) / jnp.sum(weight * exact**2)


def pieces(case: Case, states: lgn.States) -> lgn.Windows:
    """Three exact states from each of the same starts on."""
    exact, times = lgn.Baseline(case.graph, case.law), STEP * np.arange(3)
    q, v = follow(exact, states, times, lgn.Adaptive(1e-11, 1e-11, max_steps=1000))
    return lgn.Windows(q, jnp.full(len(q), STEP), v, features=states.features)


def accelerations(model, frame: Coordinates, states) -> jax.Array:
    """dv/dt, (sample, node, dim), in the coordinates of a family."""

    def one(model, state, t, features):
        known = frame.state(*state, features)
        return jax.jvp(lambda *x: frame.motion(x, features), known, model.rate(known, t))[1][1]

    return jax.jit(partial(on_samples, one))(model, states, states.features or {})


def follow(model, states, times, integrator, frame: Coordinates = SECOND_ORDER):
    """q and v, (sample, time, node, dim), of the motions from all states."""

    def one(model, state, t, features):
        motion = integrator(model, frame.state(*state, features), times)
        return jax.vmap(lambda *x: frame.motion(x, features))(*motion)

    return jax.jit(partial(on_samples, one))(model, states, states.features or {})


def own_drift(model, frame: Coordinates, q, v, given) -> float:
    """Largest change of what the model takes for the energy, over its spread between the starts."""

    def energies(q, v, given):
        known = model.replace(**given) if given else model
        return jax.vmap(lambda q, v: known.energy(*frame.state(q, v, given or {})))(q, v)

    found = np.asarray(jax.jit(jax.vmap(energies))(q, v, given))
    return np.abs(found - found[:, :1]).max() / np.ptp(found[:, 0])

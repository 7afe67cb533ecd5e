"""Discrete rate of a Lagrangian: its equation of motion with the discrete gradient of its energy."""

from collections.abc import Callable

import jax

from lgn.assembly.domain import State
from lgn.densities.density import energy_density


def discrete_rate(system, method, after: State, before: State, t) -> State:
    """(w, M^-1 (-e_q + (C^T - C) w + F - dR/dv)), w = M^-1 e_v: see `DiscreteGradient`.

    With E(after) - E(before) = e_q . dq + e_v . dv the energy changes by dt w . (F - dR/dv), since M^-1 is symmetric
    and C^T - C antisymmetric.

    Raises:
        ValueError: clamps that move, which do work.
    """
    if system.domain.motion is not None:
        raise ValueError("DiscreteGradient: clamps that move do work on the system; use Variational(dt) or Adaptive()")
    system.check(*after)
    known = system.domain.features
    q, v = (0.5 * (a + b) for a, b in zip(after, before, strict=True))
    e_q, e_v = system.functional.discrete_gradient(known, of_energy(method), after, before)
    mass = system.momentum_balance(q, v, t)[0]
    w = system.response(mass, e_v).value

    def momentum(q):
        return system.functional.gradient(known, q, v, field=1)

    _, turned = jax.jvp(momentum, (q,), (w,))
    _, pull_back = jax.vjp(momentum, q)
    applied = system.friction(q, w, t) + system.forcing(q, w, t)
    return w, system.response(mass, pull_back(w)[0] - turned - e_q + applied).value


def of_energy(method) -> Callable:
    """The discrete gradient of v . dl/dv - l, for a density l."""
    return lambda density, *local: method(energy_density(density), *local)

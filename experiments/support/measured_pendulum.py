"""Measured pendulum: models of it and their trainings.

    lagrangian   L = M w^2 / 2 - V(q), R = viscous + dry friction; pieces of the motion and all accelerations
    dgnet        H = p^2 / 2m + V(q), dp/dt = -dH/dq - r dH/dp; the discrete gradient between successive rows
    shooting     the same; pieces of the motion with free starts

The measured w = dq/dt stands for p, per unit mass. V is a network of sin q and cos q, all frictions are learned.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

import lgn
from lgn.systems import real_pendulum
from lgn.systems.real_pendulum import STEP, Rows, energy

STEPPER = lgn.Verlet(STEP / 2)


def train(config, folder: Path, rows: Rows, kappa: float, seed: int) -> dict[str, lgn.FitResult]:
    """All models."""
    pieces, accelerated = real_pendulum.training_data(rows, kappa, config.length)
    pairs = lgn.windows(rows.t, *real_pendulum.states(rows, kappa), length=2, dt=STEP)
    follow, discrete, key = lgn.RolloutLoss(STEPPER, STEP), lgn.DiscreteLoss(), jax.random.key(seed)

    def fit(name, system, data, loss, steps):
        phases = [lgn.QuasiNewton(steps)]
        at = folder / f"{name}-{seed}"
        return lgn.fit(system, data, key=key, phases=phases, loss=loss, folder=at, validation=None)

    def own_loss(system, pieces):
        return follow(system, pieces) + lgn.acceleration_loss(system, accelerated)

    steps, flow_steps = (40, 10) if config.quick else (config.steps, config.flow_steps)
    dgnet = fit("dgnet", flow(config, seed), joined(pairs), discrete, flow_steps)
    shooting, loss = lgn.Shooting(dgnet.system, joined(pieces)), lgn.ShootingLoss(lgn.ImplicitMidpoint(STEP / 2), STEP)
    found = fit("shooting", shooting, joined(pieces), loss, flow_steps)
    return {
        "lagrangian": fit("lagrangian", lagrangian(config, seed), pieces, own_loss, steps),
        "dgnet": dgnet,
        "shooting": found._replace(system=found.system.system),
    }


def lagrangian(config, seed: int) -> lgn.Lagrangian:
    """L, even in w, and R, untrained: what is odd in w is friction."""
    frictions = lgn.PositiveForm(1, 1, size=0.01), lgn.PositiveForm(1, 1, law=lgn.Dry(config.speed), size=0.01)
    dissipation = [(friction, lgn.node_stencil) for friction in frictions]
    return lgn.Lagrangian(lgn.single_node(), density(config, seed), dissipation=dissipation)


def flow(config, seed: int) -> lgn.EnergyFlow:
    """H and r, untrained; the network of the density is -V."""
    friction = lgn.Damped(nnx.Param(jnp.array(0.01)))
    return lgn.EnergyFlow(lgn.single_node(), lgn.canonical(density(config, seed)), structure=friction)


def density(config, seed: int) -> lgn.StructuredDensity:
    """M w^2 / 2 and a network of the angle."""
    return lgn.StructuredDensity(1, 1, config.hidden, kinetic_hidden=(), angles=(0,), rngs=nnx.Rngs(seed))


def joined(pieces: lgn.Windows) -> lgn.Windows:
    """Pieces of u = (q, w)."""
    return lgn.Windows(np.concatenate([pieces.q, pieces.v], -1), pieces.dt, t=pieces.t)


def examine(rows: Rows, kappa: float, fits: dict[str, lgn.FitResult]) -> tuple[dict[str, float], dict]:
    """Errors of the motion over the test rows, the friction; and q and v of the motions as measured."""
    metrics, motions = {}, {}
    for name, fit in fits.items():
        start = np.concatenate(real_pendulum.states(rows.part(0, 1), kappa), -1)
        u = np.asarray(lgn.rollout(fit.system, start, rows.t).u)[:, 0]
        motions[name] = q, v = u[:, 0], u[:, 1] / kappa
        off = energy(q, v) - energy(rows.q, rows.v)
        metrics[f"{name}_energy_mse"] = float(np.mean(off**2))
        metrics[f"{name}_angle_mse"] = float(np.mean((q - rows.q) ** 2))
        metrics[f"{name}_friction"] = float(fit.system.structure.given.r)
    return metrics, motions

"""Verdict: whether a motion can be trusted, and if not, from where on, why, and what to do."""

import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from lgn import _arguments
from lgn.data.samples import Trajectory
from lgn.mechanics.compilation import bind
from lgn.mechanics.system import check_system, first_not_finite, offered, why_no_rate
from lgn.motion.integrators import Integrator
from lgn.solvers.solution import INDEFINITE, NOT_CONVERGED, SINGULAR

RISE = 0.1  # of the size of the energy: what rises by more than that has a cause
NEAR = 1e-2  # error of an acceleration, as condition times rounding, from which M counts as nearly singular
RUNAWAY = 100.0  # by which a driven motion outgrows its first half before the steps are looked at
KINETIC = "Give the density a kinetic prior (MLPDensity(mass=1.0)), a term 0.5 m v^2 on every node, or data near there"


class MotionStopped(FloatingPointError):
    """The motion could not be followed to its end.

    Attributes:
        trajectory: the states that are good.
    """

    def __init__(self, message: str, trajectory: Trajectory):
        super().__init__(message)
        self.trajectory = trajectory


def check_motion(system, trajectory: Trajectory, integrator: Any = None) -> Trajectory:
    """The trajectory, if it can be trusted; outside of transformations. `rollout` asks it itself; after a rollout
    within `jax.jit` or `jax.vmap`, or of `integrator(system, state, ts)`, call it.

    It looks at every kept state, at the solve of M a = f there, and at the energy of systems that nothing gives any:
    without a force and clamps that move, or with a structure that conserves or dissipates.

    Args:
        system: that moved.
        trajectory: of one motion.
        integrator: that followed it, so that advice can name its steps.

    Raises:
        MotionStopped: a state that is not finite, with the cause, such as a step limit, or what is not finite there; M
            singular; a solver that did not converge. Holds the states before.

    Warns:
        RuntimeWarning: M not positive definite, or nearly singular; an energy that rises by more than a tenth of its
            size though nothing gives any, or `Verlet` with dt beyond 2 / (highest frequency).

    Example:
        >>> import jax, jax.numpy as jnp, lgn
        >>> def oscillator(q, v, features): return 0.5 * v[0, 0] ** 2 - 0.5 * q[0, 0] ** 2
        >>> L = lgn.Lagrangian(lgn.single_node(), oscillator)
        >>> run = jax.jit(lambda q: lgn.rollout(L, (q, 0 * q), [0.0, 1.0]))
        >>> round(float(lgn.check_motion(L, run(jnp.ones((1, 1)))).energy[1]), 6)
        0.5
    """
    check_system(system)
    _arguments.of_kind("check_motion: trajectory", trajectory, Trajectory, "what lgn.rollout returns")
    return judged(system, trajectory, integrator, np.asarray(largest(trajectory.state)))


def judged(system, trajectory: Trajectory, integrator: Any, sizes: np.ndarray) -> Trajectory:
    """`check_motion` where `largest` of the states is known."""
    integrator = integrator if isinstance(integrator, Integrator) else Integrator()
    _check_finite(system, trajectory, integrator, sizes)
    _check_solves(trajectory)
    _check_energy(system, trajectory, integrator, sizes)
    return trajectory


@jax.jit
def largest(states):
    """(time,) the largest number of each state, NaN or infinite where the state is not finite; also over devices."""
    return jnp.stack([jnp.abs(x).max((1, 2)) for x in states]).max(0)


def _check_finite(system, trajectory, integrator, sizes) -> None:
    good = np.isfinite(sizes)
    if good.all():
        return
    bad = int(np.argmin(good))
    last = max(bad - 1, 0)
    message = f"rollout: no finite state after t = {float(trajectory.t[last]):.6g}"
    raise _stopped(message + _why_not_finite(system, trajectory, integrator, last, bad), trajectory, bad)


def _why_not_finite(system, trajectory, integrator, last, bad) -> str:
    """Why the state `bad` is not finite, as far as the one before shows, and what to do."""
    state, t = _moment(trajectory, last)
    smaller = integrator.remedy(system, *_moment(trajectory, 0))
    if "beyond" in smaller:
        return f"; {smaller}"
    if cause := why_no_rate(system, state, t):
        return f". There {cause}"
    if cause := first_not_finite(system, state, trajectory.t[bad]):
        return f". By t = {float(trajectory.t[bad]):.6g} {cause}"
    if cause := integrator.stopped(_moment(trajectory, bad)[0]):
        return f". {cause}"
    solved, solve = "", offered(system, "solve")
    if solve is not None:
        found = solve(*state, t)
        solved = (
            f" and the solver's status {int(found.status)} (0 good, 1 not positive definite, 2 singular), with "
            f"condition {float(found.condition):.1e}, worst at node {int(found.node)}"
        )
    return (
        f". There all is finite{solved}: then comes a pole of the motion, such as a mass matrix that turns singular, "
        f"which a kinetic prior or data near this state mend; else {smaller}"
    )


def _check_solves(trajectory) -> None:
    if trajectory.status is None:
        return
    status, condition = np.asarray(trajectory.status), np.asarray(trajectory.condition)
    for kind, what in ((SINGULAR, "is singular"), (NOT_CONVERGED, "was not inverted: the solver did not converge")):
        if (status == kind).any():
            at = int(np.argmax(status == kind))
            more = "" if kind == SINGULAR else f" in {int(trajectory.iterations[at])} iterations"
            raise _stopped(
                f"rollout: at t = {float(trajectory.t[at]):.6g} the mass matrix d2L/dv dv {what}{more}, worst at node "
                f"{int(trajectory.node[at])}, condition {condition[at]:.1e}, residual "
                f"{float(trajectory.residual[at]):.1e}. {KINETIC}, or another solver",
                trajectory,
                at,
            )
    near = condition * np.finfo(condition.dtype).eps > NEAR
    for wrong, what in ((status == INDEFINITE, "not positive definite"), (near, "nearly singular")):
        if wrong.any():
            at = int(np.argmax(np.where(wrong, condition, 0.0)))
            warnings.warn(
                f"rollout: the mass matrix d2L/dv dv is {what} at {int(wrong.sum())} of {wrong.size} times, worst at "
                f"node {int(trajectory.node[at])} at t = {float(trajectory.t[at]):.6g} with condition "
                f"{condition[at]:.1e} and residual {float(trajectory.residual[at]):.1e}. {KINETIC}",
                RuntimeWarning,
                stacklevel=4,
            )
            return


def _check_energy(system, trajectory, integrator, sizes) -> None:
    shapes = [np.broadcast_to(np.zeros((), x.dtype), x.shape[1:]) for x in trajectory.state]
    if offered(bind(system, shapes), "driven"):  # whether L reads the time is known of what is bound
        early, late = (float(half.max()) for half in np.array_split(sizes, 2))
        limit = integrator.beyond(system, *_moment(trajectory, 0)) if late > RUNAWAY * early else ""
        if limit:
            _warn(f"the state grows from {early:.3g} to {late:.3g}", f"dt={integrator.dt:g} is beyond {limit}")
        return
    energy = np.asarray(trajectory.energy, float)
    if not np.isfinite(energy).all():
        at = int(np.argmin(np.isfinite(energy)))
        remedy = integrator.remedy(system, *_moment(trajectory, 0))
        _warn(f"the energy is not finite at t = {float(trajectory.t[at]):.6g}, though the state is", remedy)
        return
    top = int(np.argmax(energy - np.minimum.accumulate(energy)))
    start = int(np.argmin(energy[: top + 1]))
    rise = energy[top] - energy[start]
    if rise <= 0.01 * abs(energy[0]):
        return
    size = float(np.max(energy_sizes(system, trajectory.state)[: top + 1]))
    if rise > RISE * size or not np.isfinite(size):
        _warn(
            f"the energy rises from {energy[start]:.3g} at t = {float(trajectory.t[start]):.6g} to {energy[top]:.3g} "
            f"at t = {float(trajectory.t[top]):.6g}, though nothing gives this system energy",
            integrator.remedy(system, *_moment(trajectory, start)),
        )


@jax.jit
def energy_sizes(system, states):
    """(time,) sum of |x dE/dx| over the entries of each state: the size of an energy, whatever its zero."""

    def one(state):
        slope = jax.grad(lambda state: system.energy(*state))(state)
        return sum(jnp.sum(jnp.abs(x * g)) for x, g in zip(state, slope, strict=True))

    return lax.map(one, states)


def _moment(trajectory, index):
    return tuple(x[index] for x in trajectory.state), trajectory.t[index]


def _warn(what, remedy) -> None:
    warnings.warn(f"rollout: {what}; {remedy}", RuntimeWarning, stacklevel=5)


def _stopped(message, trajectory, bad) -> MotionStopped:
    good = jax.tree.map(lambda x: x[:bad], trajectory)
    return MotionStopped(f"{message}; the states until then are `trajectory` of this error", good)

"""Learning: a Lagrangian from pieces of a recording, short ones first, each from a start that is found too."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lgn.data.preprocessing import scales
from lgn.data.samples import Windows
from lgn.learning.losses import WeightPenalty
from lgn.learning.optimizers import QuasiNewton
from lgn.learning.shooting import Shooting, ShootingLoss
from lgn.learning.training import FitResult, fit
from lgn.learning.validation import SHARE
from lgn.mechanics.lagrangian import Lagrangian
from lgn.motion.integrators import Verlet
from lgn.recipes.loading import Even
from lgn.recipes.models import system_of
from lgn.recipes.recipe import Recipe

ADVANCE = 0.1  # most that a step may be of the time q / v, in which a motion changes


class Learned(NamedTuple):
    """A trained system.

    Attributes:
        system: the Lagrangian.
        states: q and v of every row that was trained on, without noise, as the pieces say; NaN elsewhere.
        fit: the last stage of the training.
    """

    system: Lagrangian
    states: tuple[np.ndarray, ...]
    fit: FitResult


def learn(recipe: Recipe, rows: Even, known: np.ndarray, graph: Any, seed: int) -> Learned:
    """Train on the known rows, in stages.

    A motion that is followed for long says the most of friction, which acts slowly, and does not train from an
    arbitrary start. So each stage has longer pieces than the one before, from which it takes the system and the starts;
    and the noise, by which weights of order 1 have the penalty of Bayes, noise^2 over the number of values: it keeps
    the potential smooth where these do not decide. Held-out data could judge the first stage alone, which knows none of
    them; those after it begin with what the first has learned from all.
    """
    noise = 0.0
    system: Any = None
    states: Any = ()
    for length in recipe.windows:
        pieces = _cut(rows, known, length)
        data = _windows(rows, pieces)
        system = system or system_of(recipe, graph, data, seed)
        shooting = Shooting(system, data)
        for start, x in zip(shooting.starts, states, strict=False):
            first = x[pieces[:, 0]]
            start[...] = jnp.where(np.isfinite(first), first, start[...])
        sizes = scales(data)
        fastest = max(v / q for q, v in zip(sizes["q_scale"], sizes["v_scale"], strict=True))
        verlet = Verlet(rows.dt / max(1, int(np.ceil(rows.dt * fastest / ADVANCE))))  # error far below a measurement's
        compared = int(np.sum(np.asarray(data.seen))) * data.q.shape[-1] * len(data.state)  # values
        trained = fit(
            shooting,
            data,
            key=jax.random.key(seed),
            loss=WeightPenalty(noise**2 / compared, ShootingLoss(verlet, dt=rows.dt)),
            phases=[QuasiNewton(recipe.steps)],
            validation=None if len(states) else SHARE,
        )
        system, noise = trained.system.system, noise or trained.noise
        states = _followed(system, trained.system.free_starts(), verlet, rows, pieces)
    return Learned(system, states, trained)


def _cut(rows: Even, known: np.ndarray, length: int) -> np.ndarray:
    """Rows (piece, time), one piece after the other, the last of each trial to its known end; a trial that is shorter
    than that shortens all. Pieces in which nothing was seen are left out."""
    parts = [part[known[part]] for part in rows.trials()]
    length = min(length, *map(len, parts)) if len(parts) > 1 else min(length, len(parts[0]))
    firsts = [[*range(0, len(part) - length, length), len(part) - length] for part in parts]
    pieces = np.concatenate(
        [part[np.array(first)[:, None] + np.arange(length)] for part, first in zip(parts, firsts, strict=True)]
    )
    return pieces[rows.seen[pieces].any((1, 2))]


def _windows(rows: Even, pieces: np.ndarray) -> Windows:
    """Windows of these rows."""
    first, dt = pieces[:, 0], np.full(len(pieces), rows.dt)
    v: Any = None if rows.v is None else rows.v[pieces]
    found: Any = (rows.q[pieces], dt, v, rows.t[first], None, rows.seen[pieces], rows.trial[first])
    return Windows(*found).check()


def _followed(system, starts, integrator, rows: Even, pieces: np.ndarray) -> tuple[np.ndarray, ...]:
    """The motion along every piece, at the rows of the recording; of two pieces that overlap the later."""
    ts = rows.dt * np.arange(pieces.shape[1])
    motions = jax.jit(jax.vmap(lambda system, *start: integrator(system, start, ts), (None, 0, 0)))(system, *starts)
    states = tuple(np.full(rows.q.shape, np.nan) for _ in starts)
    for i, piece in enumerate(pieces):
        for state, motion in zip(states, motions, strict=True):
            state[piece] = motion[i]
    return states

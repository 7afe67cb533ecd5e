"""Forecast: the motion of what was learned over the held-out end of each trial, and what it says of the model."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from lgn.analysis.diagnostics import parameters, split_friction
from lgn.data.samples import Trajectory
from lgn.graphs.features import clamped_nodes
from lgn.motion.rollout import rollout
from lgn.recipes.even import Even
from lgn.recipes.learning import Learned
from lgn.recipes.loading import Loaded
from lgn.recipes.recipe import Recipe


class Forecast(NamedTuple):
    """Motions of the trials, from the last row of each that was trained on.

    Attributes:
        motions: one of each trial.
        rows: of the recording that they stand at, without the first.
    """

    motions: list[Trajectory]
    rows: list[np.ndarray]

    def along(self, whole: Even) -> np.ndarray:
        """q at the rows of the recording, (time, node, dim), NaN where nothing was forecast."""
        q = np.full(whole.q.shape, np.nan)
        for motion, rows in zip(self.motions, self.rows, strict=True):
            q[rows] = motion.q[1:]
        return q


def forecast(learned: Learned, loaded: Loaded) -> Forecast:
    """Goes on from what the training says of the last row that it knew.

    Raises:
        MotionStopped: the learned motion does not go on to the end.
    """
    motions, places = [], []
    for part in loaded.rows.trials():
        last = int(part[np.isfinite(learned.states[0][part]).all((1, 2))][-1])
        start = tuple(jnp.asarray(x[last]) for x in learned.states)
        later = part[part >= last]
        motions.append(rollout(learned.system, start, loaded.rows.t[later]))
        places.append(later[1:])
    return Forecast(motions, places)


def metrics(recipe: Recipe, learned: Learned, loaded: Loaded, found: Forecast) -> dict[str, float]:
    """`held_out_error`, of the forecast where it was seen, relative to the root mean square of what was seen there;
    `noise`, what the model leaves unexplained, relative to that of all that was trained on; the coefficients c of a
    linear friction, dv/dt = ... - c v, per unit of time."""
    rows = loaded.rows
    moving = ~clamped_nodes(loaded.graph)
    judged = (rows.seen & ~loaded.known[:, None] & moving)[..., None] & np.isfinite(rows.q)
    off, size = (np.where(judged, x, 0.0) for x in (found.along(rows) - rows.q, rows.q))
    measured = {
        "held_out_error": float(np.sqrt(np.sum(off**2) / np.sum(size**2))),
        "held_out_rows": int((~loaded.known).sum()),
        "noise": float(np.sqrt(learned.fit.history[-1].loss)),
        "train_seconds": learned.fit.seconds,
        "parameters": parameters(learned.system),
    }
    return measured | (_coefficients(recipe, learned, loaded) if recipe.friction == "linear" else {})


def _coefficients(recipe: Recipe, learned: Learned, loaded: Loaded) -> dict[str, float]:
    """Of each degree of freedom of the first node that moves, at the mean of where it was."""
    node, q = int(np.argmax(~clamped_nodes(loaded.graph))), jnp.asarray(np.nanmean(loaded.rows.q, 0))[None]
    found = {}
    for i, name in enumerate(recipe.grid[0]):
        v = jnp.zeros_like(q).at[..., i].set(1.0)
        found[f"friction_{name}"] = -float(split_friction(learned.system, q, v)[1][0, node, i])
    return found

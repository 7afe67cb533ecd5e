"""Loading: the recording that a recipe names, on even times, with the nodes that are clamped."""

from pathlib import Path
from typing import Any, NamedTuple

import jraph
import numpy as np

from lgn.data.exchange import read
from lgn.data.recording import Recording
from lgn.graphs.features import clamped_nodes, node_count
from lgn.recipes.even import Even, even
from lgn.recipes.models import graph_of
from lgn.recipes.recipe import Recipe

DEGREES = {"deg", "degree", "degrees", "°"}


class Loaded(NamedTuple):
    """What is learned from.

    Attributes:
        recording: as the file has it.
        graph: that its nodes are of.
        rows: of all nodes of the graph, on even times, angles in radians.
        radians: (node, dim) of the measured nodes, the unit of each column in that of `rows`.
        known: (time,) bool, False in the last share of each trial, which is held out.
    """

    recording: Recording
    graph: jraph.GraphsTuple
    rows: Even
    radians: np.ndarray
    known: np.ndarray


def load(recipe: Recipe, folder: Path) -> Loaded:
    """Reads the file and makes the graph.

    Raises:
        ValueError: columns that are not there (suggests the nearest), times that are not even, too few rows, a column
            in which nothing was seen, a graph of other nodes.
        OSError, ImportError: a file that is not there, a format whose reader is not installed.
    """
    recording: Any = read(  # where columns are named, it is one
        folder / recipe.file, time=recipe.time, q=recipe.grid, v=recipe.rates, trial=recipe.trial, units=recipe.units
    )
    q, v = np.asarray(recording.q), None if recording.v is None else np.asarray(recording.v)
    radians = np.array([[_radians(recording, name, name in recipe.angles) for name in row] for row in recipe.grid])
    graph = graph_of(recipe.graph, q.shape[1], folder)
    held = clamped_nodes(graph)
    measured = even(recording.t, q * radians, None if v is None else v * radians, recording.seen, recording.trial)
    known = np.zeros(len(measured.t), bool)
    for part in measured.trials():
        known[part[: round((1 - recipe.held_out) * len(part))]] = True
    _check(recipe, measured, known)

    def with_clamped(x, at_rest):
        whole = np.full((len(x), node_count(graph), *x.shape[2:]), at_rest, x.dtype)
        whole[:, ~held] = x
        return whole

    rows = measured._replace(
        q=with_clamped(measured.q, 0.0),
        v=None if measured.v is None else with_clamped(measured.v, 0.0),
        seen=with_clamped(measured.seen, True),
    )
    return Loaded(recording, graph, rows, radians, known)


def _radians(recording: Recording, name: str, angle: bool) -> float:
    unit = recording.units.get(name, "")
    return np.pi / 180 if angle and unit.lower() in DEGREES else 1.0


def _check(recipe: Recipe, rows: Even, known: np.ndarray) -> None:
    shortest = min(int(known[part].sum()) for part in rows.trials())
    if shortest < recipe.windows[0]:
        raise ValueError(
            f"a trial has {shortest} rows to learn from, and windows={list(recipe.windows)} asks for "
            f"{recipe.windows[0]}; give shorter windows, or longer trials"
        )
    for node, row in enumerate(recipe.grid):
        if not rows.seen[known, node].any():
            raise ValueError(f"{', '.join(row)}: nothing was seen in the rows to learn from; leave the node out")

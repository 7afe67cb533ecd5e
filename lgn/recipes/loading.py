"""Loading: the recording that a recipe names, on even times, with the nodes that are clamped."""

from pathlib import Path
from typing import Any, NamedTuple

import jraph
import numpy as np

from lgn.data.exchange import read
from lgn.data.recording import Recording
from lgn.graphs.features import clamped_nodes, node_count
from lgn.recipes.models import check_density, graph_of
from lgn.recipes.recipe import Recipe

DEGREES = {"deg", "degree", "degrees", "°"}
UNEVEN = 0.1  # of a step: how far a time may be off its place
SPARSE = 100  # even times for each row that was measured: more are a mistake, and memory


class Even(NamedTuple):
    """Recording on even times, without gaps.

    Attributes:
        t: (time,) of each row.
        q: (time, node, dim), NaN where it was not seen.
        v: the same, or None.
        seen: (time, node) bool.
        trial: (time,) that of each row, as it was called.
        dt: between two rows of a trial.
    """

    t: np.ndarray
    q: np.ndarray
    v: np.ndarray | None
    seen: np.ndarray
    trial: np.ndarray
    dt: float

    def trials(self) -> list[np.ndarray]:
        """The rows of each trial."""
        return [np.flatnonzero(self.trial == number) for number in np.unique(self.trial)]


class Loaded(NamedTuple):
    """Recording and graph that a recipe names.

    Attributes:
        recording: as the file has it.
        graph: that its nodes are of.
        rows: of all nodes of the graph, on even times, angles in radians.
        radians: (node, dim) of the measured nodes, the unit of each column of q, and then of v, in that of `rows`.
        known: (time,) bool, False in the last share of each trial, which is held out.
    """

    recording: Recording
    graph: jraph.GraphsTuple
    rows: Even
    radians: tuple[np.ndarray, np.ndarray]
    known: np.ndarray


def load(recipe: Recipe, folder: Path) -> Loaded:
    """Read the recording and make the graph.

    Raises:
        ValueError: columns that are not there (suggests the nearest), times that are not even, too few rows, a column
            in which nothing was seen or nothing changes, a graph of other nodes, or one that the density is not of.
        OSError, ImportError: a file that is not there, a format whose reader is not installed.
    """
    names: list[Any] = [recipe.grid, recipe.rates]
    if not recipe.of_table:
        names = [rows and rows[0] for rows in names]
    recording: Any = read(  # where columns are named, it is one
        folder / recipe.file,
        time=recipe.time,
        q=names[0],
        v=names[1],
        trial=recipe.trial,
        units=recipe.units,
        dt=recipe.dt,
    )
    q, v = np.asarray(recording.q), None if recording.v is None else np.asarray(recording.v)
    if q.shape[-1] != len(recipe.grid[0]):
        raise ValueError(
            f"{recipe.file}: positions={list(recipe.positions)} have {q.shape[-1]} components a node; give fields of "
            "one component each, or learn in Python, see docs/recording.md"
        )
    radians = _radians(recipe, recording, recipe.grid), _radians(recipe, recording, recipe.rates or recipe.grid)
    graph = graph_of(recipe.graph, q.shape[1], folder)
    check_density(recipe.density, graph)
    seen = np.isfinite(q).all(-1) if recording.seen is None else np.asarray(recording.seen)
    if not (some := seen.any(-1)).any():
        raise ValueError("nothing was seen in any row; name other columns, or look into the file")
    fields = (recording.t, q * radians[0], None if v is None else v * radians[1], seen, recording.trial)
    measured = even(*(None if x is None else np.asarray(x)[some] for x in fields))
    known = np.zeros(len(measured.t), bool)
    for part in measured.trials():
        known[part[: min(round((1 - recipe.held_out) * len(part)), len(part) - 1)]] = True

    def with_clamped(x, at_rest):
        whole = np.full((len(x), node_count(graph), *x.shape[2:]), at_rest, x.dtype)
        whole[:, ~clamped_nodes(graph)] = x
        return whole

    rows = measured._replace(
        q=with_clamped(measured.q, 0.0),
        v=None if measured.v is None else with_clamped(measured.v, 0.0),
        seen=with_clamped(measured.seen, True),
    )
    _check(recipe, measured, known, graph, rows.q[known])
    return Loaded(recording, graph, rows, radians, known)


def _radians(recipe: Recipe, recording: Recording, columns: list[list[str]]) -> np.ndarray:
    """Radians per unit of each column, (node, dim), else 1; velocities without a unit have that of their angle."""

    def size(name, angle):
        unit = recording.units.get(name) or recording.units.get(angle, "")
        return np.pi / 180 if angle in recipe.angles and unit.lower().split("/")[0].strip() in DEGREES else 1.0

    return np.array([list(map(size, *rows)) for rows in zip(columns, recipe.grid, strict=True)])


def _check(recipe: Recipe, rows: Even, known: np.ndarray, graph: jraph.GraphsTuple, placed: np.ndarray) -> None:
    """Raises ValueError for rows, those of all nodes of the graph in `placed`, that nothing can be learned from."""
    shortest = min(int(known[part].sum()) for part in rows.trials())
    if shortest < recipe.windows[0]:
        raise ValueError(
            f"a trial has {shortest} rows to learn from, and windows={list(recipe.windows)} asks for "
            f"{recipe.windows[0]}; give shorter windows, or longer trials"
        )
    if unseen := np.flatnonzero(~rows.seen[known].any(0)).tolist():
        row = ", ".join(recipe.grid[unseen[0]] if recipe.of_table else [*recipe.grid[0], f"node {unseen[0]}"])
        raise ValueError(f"{row}: nothing was seen in the rows to learn from; leave the node out")
    for names, q in zip(zip(*recipe.grid, strict=True), np.moveaxis(rows.q[known], -1, 0), strict=True):
        if not (np.nanmax(q, 0) > np.nanmin(q, 0)).any():
            raise ValueError(f"{', '.join(names)}: does not change in the rows to learn from; leave it out")
    if rows.v is not None and not (np.abs(rows.v[known]) > 0).any((0, 1)).all():
        raise ValueError("velocities are zero or unseen in all rows to learn from; leave velocities = [...] out")
    apart = placed[:, graph.senders] - placed[:, graph.receivers]
    if graph.senders.size and not (np.abs(apart) > 0).any((0, 1)).all():  # an edge has no size
        raise ValueError(
            "no two nodes that an edge joins were seen at one time in different places; give each node columns of its "
            'own, or kind = "single"'
        )


def even(t, q, v=None, seen=None, trial=None) -> Even:
    """Place the rows of a recording on even times.

    Args:
        t: (time,) increasing within each trial, a multiple of one step apart but for a tenth of it: a camera's times,
            rounded, some of them missing.
        q: (time, node, dim).
        v: the same, if measured.
        seen: (time, node) bool; by default where values are not NaN.
        trial: (time,) of each row; by default all is one.

    Raises:
        ValueError: times that are not even, trials of a single row alone, a gap beyond all that was measured.

    Example:
        >>> import numpy as np
        >>> from lgn.recipes.loading import even
        >>> rows = even(np.array([1, 1.033, 1.1]), np.ones((3, 1, 1)))
        >>> rows.t.round(3).tolist(), rows.seen[:, 0].tolist()
        ([1.0, 1.033, 1.067, 1.1], [True, True, False, True])
    """
    t, q = np.asarray(t, float), np.asarray(q, float)
    trial = np.zeros(len(t), int) if trial is None else np.asarray(trial)
    parts = [np.flatnonzero(trial == call) for call in np.unique(trial)]
    steps = np.concatenate([np.diff(t[part]) for part in parts])
    if not steps.size:
        raise ValueError(f"no trial has 2 rows ({len(t)} in all); give the rows of a motion, one after the other")
    dt = float(np.quantile(steps, 0.5, method="lower"))
    for short in (np.abs(steps / dt - 1) < 0.3, steps > 0):  # the mean of the short ones, refined by all: rounding sums
        dt = float(steps[short].sum() / np.maximum(1, np.rint(steps[short] / dt)).sum())
    times: list[np.ndarray] = []
    places = np.zeros(len(t), int)
    for part in parts:
        own = t[part]
        if own[-1] - own[0] > SPARSE * len(own) * dt:
            widest = int(np.diff(own).argmax())
            raise ValueError(
                f"there is a gap from t = {own[widest]:g} to {own[widest + 1]:g} among steps of {dt:g}; put the time "
                f"right, or give the rows after it another number in a column of trials"
            )
        place = np.rint((own - own[0]) / dt).astype(int)
        begin = np.mean(own - place * dt)
        off = np.abs(own - begin - place * dt)
        if off.max() > UNEVEN * dt or (np.diff(place) < 1).any():
            raise ValueError(
                f"times are not even: t = {own[off.argmax()]:g} is {off.max() / dt:.2f} steps of {dt:g} off its place; "
                f"give rows at even times, from which some may be missing"
            )
        places[part] = place + sum(map(len, times))
        times.append(begin + dt * np.arange(place[-1] + 1))

    def placed(x, missing):
        if x is None:
            return None
        spread = np.full((sum(map(len, times)), *np.shape(x)[1:]), missing, np.asarray(x).dtype)
        spread[places] = x
        return spread

    there = np.isfinite(q).all(-1) if v is None else np.isfinite(q).all(-1) & np.isfinite(v).all(-1)
    owners = np.repeat(np.unique(trial), list(map(len, times)))
    there = placed(there if seen is None else there & np.asarray(seen), False)
    return Even(np.concatenate(times), placed(q, np.nan), placed(v, np.nan), there, owners, dt)

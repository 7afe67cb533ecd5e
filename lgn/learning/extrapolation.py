"""Extrapolation: how far the states of a motion are from those that a system was trained on, element by element.

A density that was trained on ten nodes runs on ten thousand, where no state as a whole resembles one of training. What
it reads does: the values of an element. So these are compared, as the density sees them.
"""

from functools import partial
from typing import NamedTuple

import jax
import numpy as np
from flax import nnx

from lgn.data.samples import States
from lgn.densities.density import as_density
from lgn.mechanics.compilation import bind
from lgn.mechanics.system import offered

MOST = 100_000  # elements that are compared, and tenth of it of training that they are compared with, evenly picked
FLAT = 1e-10  # spread of a combination of values, relative to the largest, below which training had one value of it


class Reach(NamedTuple):
    """Distances of elements of given states to the nearest element of the training data, in standard deviations of
    these along each combination of what the density sees; infinite where that has one value in all training data.

    Attributes:
        distance: (state,) largest of its elements.
        node: (state,) where.
        median: of all elements of the given states.
        own_median: of the training data, each element to the nearest other.
        own_largest: of the training data.
        beyond: share of elements of the given states that are farther than `own_largest`.
    """

    distance: np.ndarray
    node: np.ndarray
    median: float
    own_median: float
    own_largest: float
    beyond: float

    def __str__(self) -> str:
        worst = int(np.argmax(self.distance))
        return (
            f"distance to the nearest training element, in standard deviations: median {self.median:.2g}, largest "
            f"{self.distance[worst]:.2g} in state {worst} at node {self.node[worst]}; of training elements among "
            f"themselves: median {self.own_median:.2g}, largest {self.own_largest:.2g}; {self.beyond:.1%} are farther"
        )


def reach(trained, data: States, system, others: States) -> Reach | None:
    """Distances of states of a system from those that another of the same densities was trained on; None where no
    learned density is summed over elements.

    Raises:
        ValueError: another number of learned densities than were trained.
    """
    learned, same = _learned(trained), _learned(system)
    if learned != same:
        raise ValueError(
            f"reach: the terms {same} of the system have parameters, and {learned} of the one that was trained; give a "
            f"system of the same densities: result.system.on(graph)"
        )
    if not learned:
        return None
    found = [_nearest(*_elements(trained, i, data, MOST // 10), *_elements(system, i, others, MOST)) for i in learned]
    state, node, distance, own = (np.concatenate(x) for x in zip(*found, strict=True))
    order = np.lexsort((distance, state))
    last = order[np.flatnonzero(np.diff(state[order], append=-1))]
    median, own_median, own_largest = (float(x) for x in (np.median(distance), np.median(own), own.max()))
    return Reach(distance[last], node[last], median, own_median, own_largest, float(np.mean(distance > own_largest)))


def _learned(system) -> list[int]:
    """Numbers of the terms that have parameters."""
    return [i for i, x in enumerate(offered(system, "terms")) if jax.tree.leaves(nnx.state(x, nnx.Param))]


def _elements(system, number: int, data: States, most: int) -> tuple[np.ndarray, ...]:
    """(row,) state and node, and (row, value) what a term sees there; evenly picked where it is more than `most`."""
    bound = bind(system, [x[0] for x in data.state])
    density = as_density(bound.terms[number].density)
    chosen = {i: table for i, table in enumerate(bound.functional.tables) if table.term == number}

    @jax.jit
    def rows(system, state, features):
        known = bind(system.replace(**features) if features else system, state)
        local = known.functional.local(known.known_at(0.0), *state)
        return [jax.vmap(partial(density.seen, read=table.entries.value))(*local[i]) for i, table in chosen.items()]

    tables = list(chosen.values())
    filled = [density.rows(table.mask) & table.counts[:, None] for table in tables]
    every = [np.repeat(np.asarray(x.index)[:, 0], y.sum(1)) for x, y in zip(tables, filled, strict=True)]
    nodes = np.concatenate(every)
    step = max(1, -(-len(data.q) * len(nodes) // most))

    def picked(i):
        given = jax.tree.map(lambda x: x[i], (data.state, data.features))
        values = np.concatenate([np.asarray(x)[y] for x, y in zip(rows(system, *given), filled, strict=True)])
        chosen = slice(-i * len(nodes) % step, None, step)
        return np.full(len(nodes), i)[chosen], nodes[chosen], values[chosen]

    return tuple(np.concatenate(x) for x in zip(*map(picked, range(len(data.q))), strict=True))


def _nearest(own_state, own_node, own, state, node, values) -> tuple[np.ndarray, ...]:
    """(row,) state, node and distance of elements to the nearest of training; and those of training among themselves.

    The unit along each principal axis of the training elements is their standard deviation there, so that neighbours
    that are nearly equal on a smooth field count by their difference."""
    from scipy.spatial import cKDTree

    centre, spread = own.mean(0), own.std(0)
    size = np.where(spread > 0, spread, np.maximum(1.0, np.abs(centre)))  # of what never varied, the value itself
    _, sizes, axes = np.linalg.svd((own - centre) / size, full_matrices=False)
    deviation = sizes / np.sqrt(len(own))
    varied = deviation > FLAT * deviation.max(initial=0)
    scaled, others = (((x - centre) / size) @ axes.T for x in (own, values))
    # what lies in no axis, or in one of no spread, beyond rounding
    outside = ((values - centre) / size) - others[:, varied] @ axes[varied]
    tree = cKDTree(scaled[:, varied] / deviation[varied])
    distance = tree.query(others[:, varied] / deviation[varied], workers=-1)[0]
    among = tree.query(scaled[:, varied] / deviation[varied], 2, workers=-1)[0][:, 1]
    return state, node, np.where(np.abs(outside).max(1, initial=0) > np.sqrt(FLAT), np.inf, distance), among

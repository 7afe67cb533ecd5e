"""Joined: several recordings as one."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from lgn.data.lazy import Lazy, chained
from lgn.data.recording import Recording
from lgn.data.trajectories import States, Windows
from lgn.data.windows import numbers


def joined(
    parts: Sequence[States] | Sequence[Windows] | Sequence[Recording],
) -> States | Windows | Recording:
    """Several recordings as one: their samples, or rows, one after the other, each a trial of its own.

    Args:
        parts: of one kind, with the same fields and the same length of pieces. Trials that a part has are kept apart.
            Of `Recording` what lies in files stays there.

    Raises:
        ValueError: nothing to join, parts of different kinds, with other fields, of shapes that differ, or whose units
            or names disagree.

    Example:
        >>> import numpy as np, lgn
        >>> one = lgn.windows(np.arange(5) * 0.1, np.zeros((5, 1, 1)), length=3)
        >>> lgn.joined([one, one]).trial.tolist()
        [0, 0, 0, 1, 1, 1]
    """
    kinds = {type(part) for part in parts} if isinstance(parts, list | tuple) else {type(parts)}
    if len(kinds) != 1 or not kinds <= {States, Windows, Recording} or not isinstance(parts, list | tuple):
        found = sorted(kind.__name__ for kind in kinds) or "nothing"
        raise ValueError(f"joined: {found}; give a list of States alone, of Windows alone, or of Recordings alone")
    marked: list[Any] = []
    start = 0
    for part in (part.check() for part in parts):
        trial = np.zeros(len(part.q), int) if part.trial is None else numbers(part.trial, len(part.q))
        marked.append(part._replace(trial=start + trial))
        start += int(trial.max()) + 1
    if isinstance(marked[0], Recording):
        return _recordings(marked).check()
    return type(marked[0])(**{name: _together(name, marked) for name in marked[0]._fields}).check()


def _recordings(parts) -> Recording:
    """Rows of all parts; units, names, attributes and the graph are those of the first."""
    for part in parts[1:]:
        for name in sorted(set(part.units) | set(parts[0].units)):
            first, other = parts[0].units.get(name), part.units.get(name)
            if first != other:
                raise ValueError(
                    f"joined: {name!r} is in {first!r} in the first recording and in {other!r} in another; bring "
                    f"them to one unit: recording._replace(q=0.01 * recording.q, units=...)"
                )
        if part.names != parts[0].names:
            raise ValueError(f"joined: columns {parts[0].names} and {part.names}; expected the same, in one order")
    return parts[0]._replace(**{name: _together(name, parts) for name in ("t", "q", "v", "seen", "trial")})


def _together(name, parts):
    """One field of all parts."""
    fields = [getattr(part, name) for part in parts]
    if all(x is None for x in fields):
        return None
    if name == "seen":
        fields = [np.ones(np.shape(part.q)[:-1], bool) if part.seen is None else part.seen for part in parts]
    if name == "features":
        names = [sorted(x or {}) for x in fields]
        if any(x != names[0] for x in names):
            raise ValueError(f"joined: features {names}; expected the same of every part")
        return {key: np.concatenate([x[key] for x in fields]) for key in names[0]}
    if any(x is None for x in fields) or len({np.shape(x)[1:] for x in fields}) > 1:
        shapes = [None if x is None else np.shape(x) for x in fields]
        raise ValueError(
            f"joined: {name} has shapes {shapes}; expected the same after the first axis, and in every part"
        )
    if any(isinstance(x, Lazy) for x in fields):
        return chained(fields)
    return np.concatenate(fields)

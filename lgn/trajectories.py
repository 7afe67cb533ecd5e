"""Trajectories and States: what is learned from and what comes out."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Float


class States(NamedTuple):
    """Independent states with their accelerations.

    Attributes:
        q: (sample, node, dim).
        v: (sample, node, dim).
        a: (sample, node, dim).
    """

    q: Float[Array, "sample node dim"]
    v: Float[Array, "sample node dim"]
    a: Float[Array, "sample node dim"]

    def check(self) -> "States":
        """Itself.

        Raises:
            ValueError: shapes differ, no sample, values that are not finite.
        """
        for name, x in self._asdict().items():
            if np.ndim(x) != 3 or len(x) == 0 or np.shape(x) != np.shape(self.q):
                raise ValueError(
                    f"data: {name} has shape {np.shape(x)} and q {np.shape(self.q)}; expected (sample, node, dim)"
                )
            wrong = np.argwhere(~np.isfinite(np.asarray(x)))
            if wrong.size:
                raise ValueError(
                    f"data: {name} is not finite at (sample, node, dim) = {tuple(map(int, wrong[0]))}, and in "
                    f"{len(wrong)} places in all; drop these samples: x[np.isfinite(x).all((1, 2))]"
                )
        return self


class Trajectory(NamedTuple):
    """States along time, with what tells whether to trust them.

    Attributes:
        t: (time,).
        q: (time, node, dim).
        v: (time, node, dim).
        energy: (time,) v . p - L of the system that moved.
        residual: (time,) |M a - f| / |f| of the solve at that state.
    """

    t: Float[Array, " time"]
    q: Float[Array, "time node dim"]
    v: Float[Array, "time node dim"]
    energy: Float[Array, " time"]
    residual: Float[Array, " time"]

"""A real pendulum, as a camera tracked it: what was measured, in which units, and how a motion is judged.

Data: the supplement of Schmidt and Lipson 2009, Science 324, 81. They state no licence and are not part of the project.
A row of `real_pend_a_1.txt` is trial, t, angle q [rad], angular acceleration a, angular velocity v; t is in units of
the tracker, a and v are in these too.

Units: the measured v is smaller than dq/dt of the measured angle, and a than dv/dt of v, for the tracker smooths. Two
constants of the tracker, dq/dt = kappa v and dv/dt = lambda a, come from rows by `rate_unit`. The state is
(q, w = kappa v), its acceleration kappa lambda a; predictions are compared with v after division by kappa.

Metrics, all on the test rows, each a mean of squares; a second component is one more entry of the mean, not a sum:

- energy_mse: 2.4 (1 - cos q) + v^2 along the learned motion from the first test row, minus that of the measured rows.
- velocity_mse, acceleration_mse: dq/dt = w = kappa v and dv/dt = a(q, w) / kappa of the model at each measured state,
  minus the measured v and a; derivative_mse is the mean of the two. With kappa = 1 the first would be 0 for every
  second-order model, whatever it learned.
- difference_mse: the same rates minus the difference of (q, v) to the next row, over its time: this is what the
  published code of HNN compares with, so that its 5.96e-3 (their baseline: 2.19e-3) belongs here. Such a
  difference is the rate half a step later, dt/2 = 1/12: central differences of the rows miss it by 4.8e-3.
- interval_mse: the difference to the next row that the learned motion makes, minus the measured one: as before, but
  without that shift.
- angle_mse: q along the learned motion, minus the measured one.

Published energies: HNN (Greydanus et al. 2019, arXiv 1906.01563) 1.4e-2, its baseline 3.86e-1; DGNet (Matsubara et al.
2020, arXiv 1905.08604) 5.0e-4, neural ODE there 5.88e-4; dissipative HNN (Sosanya and Greydanus 2022) 1.1e-3.
"""

from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lgn.data.preprocessing import rate_unit
from lgn.data.recording import windows
from lgn.data.samples import States, Windows

FILE = "real_pend_a_1.txt"
STEP = 1 / 6  # time between two rows
HELP = f"""give --data FOLDER, the folder of {FILE} from the supplement of Schmidt and Lipson 2009, Science 324, 81,
doi 10.1126/science.1165893 (invar_datasets.zip). A line that begins with % is a comment; every other one is a row of
five numbers: trial, t, angle [rad], angular acceleration, angular velocity."""


class Rows(NamedTuple):
    """Measured rows: time, angle, angular velocity and acceleration, each (time,)."""

    t: np.ndarray
    q: np.ndarray
    v: np.ndarray
    a: np.ndarray

    def part(self, begin: int, end: int | None = None) -> "Rows":
        """The rows from `begin` to before `end`."""
        return Rows(*(x[begin:end] for x in self))

    @property
    def regular(self) -> np.ndarray:
        """(time - 1,) bool: where there is no gap to the next row."""
        return np.abs(np.diff(self.t) / STEP - 1) < 0.01


def read(path: Path | None) -> Rows:
    """The measured rows of the file, or of the folder that holds it.

    Raises:
        FileNotFoundError: no such file; says what was expected and where it comes from.
        ValueError: a file of another format; says the same.
    """
    file = path / FILE if path is not None and path.is_dir() else path
    if file is None or not file.is_file():
        raise FileNotFoundError(f"{path}: no measured motion there; {HELP}")
    try:
        table = np.loadtxt(file, comments="%", ndmin=2)
    except ValueError as error:
        raise ValueError(f"{path}: {error}; {HELP}") from error
    if table.shape[1] != 5 or not np.isfinite(table).all() or not (np.diff(table[:, 1]) > 0).all():
        raise ValueError(f"{path}: {table.shape[1]} columns, times that fall or numbers not finite; {HELP}")
    _, t, q, a, v = table.T
    return Rows(t, q, v, a)


def split(rows: Rows, kept: float = 1.0) -> tuple[Rows, Rows]:
    """The first 80 % of the share of rows that is kept, and the others of it."""
    end = int(kept * len(rows.t))
    middle = int(0.8 * end)
    return rows.part(0, middle), rows.part(middle, end)


def states(rows: Rows, kappa: float) -> tuple[np.ndarray, np.ndarray]:
    """q and w = kappa v, each (time, node, dim) = (time, 1, 1); for one row (1, 1)."""
    shape = (-1, 1, 1) if len(rows.t) > 1 else (1, 1)
    return rows.q.reshape(shape), kappa * rows.v.reshape(shape)


def training_data(rows: Rows, kappa: float, length: int) -> tuple[Windows, States]:
    """Every second piece of `length` rows without a gap, and all rows with their accelerations."""
    q, w = states(rows, kappa)
    pieces = jax.tree.map(lambda x: x[::2], windows(rows.t, q, w, length=length, dt=STEP))
    a = kappa * rate_unit(rows.t, rows.v, rows.a) * rows.a.reshape(q.shape)
    return pieces, States(jnp.asarray(q), jnp.asarray(w), jnp.asarray(a))


def measured(motion, kappa: float) -> tuple[np.ndarray, np.ndarray]:
    """q and v of a motion, (time,), as the tracker would measure them."""
    return np.asarray(motion.q[:, 0, 0]), np.asarray(motion.v[:, 0, 0]) / kappa


def errors(rows: Rows, kappa: float, motion, a: np.ndarray, stepped: tuple) -> dict[str, float]:
    """The metrics of a model.

    Args:
        rows: the test rows.
        kappa: dq/dt over the measured v.
        motion: of the model, from the first row on, at the times of the rows.
        a: (time, 1, 1) accelerations of the model in the measured states.
        stepped: q and w, (pair, time, node, dim), of the motion from each row without a gap to the next.
    """
    q, w = states(rows, kappa)
    rates, seen = np.stack([w, np.asarray(a) / kappa])[..., 0, 0], np.stack([rows.q, rows.v])
    velocity_mse, acceleration_mse = np.mean((rates - np.stack([rows.v, rows.a])) ** 2, axis=1)
    pairs = windows(rows.t, q, w, length=2, dt=STEP)
    places, speeds = (
        np.asarray(x)[:, 1] - np.asarray(y)[:, 1] for x, y in zip(stepped, (pairs.q, pairs.v), strict=True)
    )
    interval = np.stack([places, speeds / kappa]) / STEP
    return {
        "energy_mse": float(np.mean((energy(*measured(motion, kappa)) - energy(rows.q, rows.v)) ** 2)),
        "derivative_mse": float((velocity_mse + acceleration_mse) / 2),
        "velocity_mse": float(velocity_mse),
        "acceleration_mse": float(acceleration_mse),
        "difference_mse": float(np.mean((rates[:, :-1] - np.diff(seen) / np.diff(rows.t)) ** 2)),
        "interval_mse": float(np.mean(interval**2)),
        "angle_mse": float(np.mean((measured(motion, kappa)[0] - rows.q) ** 2)),
    }


def energy(q, v):
    """2.4 (1 - cos q) + v^2, the published measure; it is twice an energy per unit mass."""
    return 2.4 * (1 - np.cos(q)) + v**2

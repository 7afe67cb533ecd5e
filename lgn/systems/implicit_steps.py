"""Energy-exact time steps of fields on periodic lattices: the truth of `kdv` and `cahn_hilliard`.

    (u' - u) / dt = G [A (u' + u) / 2 + f(u', u)]

with G and A diagonal in Fourier space and f the mean, over the segment from u to u', of the rest of the gradient. The
right-hand side is then G times the mean of grad H, so that H obeys its law exactly: it is constant where G is
antisymmetric and falls where G is negative semi-definite. The mean of u is constant where G is zero at wave number 0.

Source: Furihata and Matsuo 2010, Discrete variational derivative method, chapter 3.
"""

from collections.abc import Callable, Sequence

import numpy as np

TOLERANCE = 1e-13  # of u, relative to the largest |u|
LIMIT = 200


@np.errstate(over="ignore", invalid="ignore")  # of a fixed point that does not contract, which is reported
def trajectory(u0, count: int, dt: float, structure, linear, nonlinear: Callable) -> np.ndarray:
    """(..., time, *lattice, 1): u0 and `count` steps from it, each solved to round-off by a fixed point.

    With d = u' - u the fixed point is d = (1 - dt G A / 2)^-1 dt G [A u + f(u + d, u)]: the linear part, which alone
    is stiff, is solved exactly.

    Args:
        u0: (..., *lattice, 1), float64.
        count: steps.
        dt: their length.
        structure: G at the wave numbers of `angles`.
        linear: A, likewise.
        nonlinear: f(after, before).

    Raises:
        ValueError: u0 is not finite.
        RuntimeError: the fixed point does not contract, because dt is too large.
    """
    u = np.asarray(u0, np.float64)[..., 0]
    if not np.isfinite(u).all():
        raise ValueError("trajectory: u0 has values that are not finite")
    axes = tuple(range(-np.ndim(structure), 0))
    lattice = u.shape[-len(axes) :]
    solve = dt * structure / (1 - 0.5 * dt * structure * linear)
    states, d = [u], np.zeros_like(u)
    for step in range(count):
        frozen = linear * np.fft.rfftn(u, axes=axes)
        for _ in range(LIMIT):
            last, gradient = d, frozen + np.fft.rfftn(nonlinear(u + d, u), axes=axes)
            d = np.fft.irfftn(solve * gradient, lattice, axes)
            change = np.abs(d - last).max()
            if not change > 0.01 * TOLERANCE * np.abs(u).max():  # also where it is NaN
                break
        if not change <= TOLERANCE * np.abs(u).max():
            raise RuntimeError(
                f"trajectory: step {step} with dt={dt} does not converge (change {change:.1e}); reduce dt"
            )
        u = u + d
        states.append(u)
    return np.stack(states, -len(axes) - 1)[..., None]


def angles(lattice: Sequence[int]) -> list[np.ndarray]:
    """Angle between neighbours along each axis, of every wave that `numpy.fft.rfftn` holds."""
    *others, last = lattice
    waves = [np.fft.fftfreq(n) for n in others] + [np.fft.rfftfreq(last)]
    return list(2 * np.pi * np.array(np.meshgrid(*waves, indexing="ij")))

"""Differences: derivatives in time of what was sampled evenly and without noise."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

FIRST = np.array([-1, 9, -45, 0, 45, -9, 1]) / 60
SECOND = np.array([2, -27, 270, -490, 270, -27, 2]) / 180
REACH = len(FIRST) // 2  # times at either end that have no derivative


def differences(q: Float[Array, "*batch time dim"], dt) -> tuple[Array, Array, Array]:
    """q, dq/dt and d2q/dt2 by central differences of order 6, each (..., time - 6, dim).

    Relative errors are (frequency dt)^6 / 140 and / 560. Noise on q is amplified by 1.5 / dt and 5.5 / dt^2.

    Args:
        q: sampled evenly along `time`.
        dt: time between two samples, a number or one for each of the batch.

    Raises:
        ValueError: fewer than 7 times.

    Example:
        >>> import jax.numpy as jnp
        >>> from lgn.data.differences import differences
        >>> q, v, a = differences(jnp.sin(0.1 * jnp.arange(9.0))[:, None], 0.1)
        >>> bool(abs(a + q).max() < 1e-4)
        True
    """
    times, size = q.shape[-2], len(FIRST)
    if times < size:
        raise ValueError(f"differences: {times} times; expected {size} or more")
    pieces = jnp.stack([q[..., i : i + times - size + 1, :] for i in range(size)])
    dt = jnp.asarray(dt)[..., None, None]
    return pieces[REACH], jnp.tensordot(FIRST, pieces, 1) / dt, jnp.tensordot(SECOND, pieces, 1) / dt**2

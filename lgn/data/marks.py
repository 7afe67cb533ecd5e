"""Marks: what of a measurement was seen, and which trial it comes from."""

import jax.numpy as jnp
import numpy as np


def known(x, seen):
    """x, and 0 where it was not seen: what stands there is not to enter any sum, for NaN times 0 is NaN."""
    return x if seen is None else jnp.where(seen[..., None], x, 0)


def check_samples(data) -> None:
    """Raises ValueError: an array of the data whose length is not that of q, or that is not finite where it was seen;
    a mask or trials of another shape or kind."""
    _check_marks(data)
    named = {f"features[{name!r}]": x for name, x in (data.features or {}).items()}
    for name, x in {**data._asdict(), **named}.items():
        if x is None or name in ("features", "seen", "trial"):
            continue
        if np.ndim(x) < 1 or len(x) != len(data.q):
            raise ValueError(
                f"data: {name} has shape {np.shape(x)}; expected one entry for each of {len(data.q)} samples"
            )
        wrong = np.argwhere(~np.isfinite(np.asarray(x)) & _counted(data, name, np.shape(x)))
        if wrong.size:
            raise ValueError(
                f"data: {name} is not finite at (sample, ...) = {tuple(map(int, wrong[0]))}, and in "
                f"{len(wrong)} places in all; drop these samples: x[np.isfinite(x).all({tuple(range(1, np.ndim(x)))})]"
                f", or mark nodes that were not measured by `seen`"
            )


def _check_marks(data) -> None:
    """The mask and the trials."""
    if data.seen is not None:
        seen, shape = np.asarray(data.seen), np.shape(data.q)[:-1]
        if seen.dtype != bool or seen.shape != shape:
            raise ValueError(
                f"data: seen has shape {seen.shape} and dtype {seen.dtype}; expected bool, one for each node: {shape}"
            )
        if not seen.any():
            raise ValueError("data: seen is False everywhere, so that nothing was measured")
    if data.trial is not None:
        trial = np.asarray(data.trial)
        if trial.shape != (len(data.q),) or not np.issubdtype(trial.dtype, np.integer):
            raise ValueError(
                f"data: trial has shape {trial.shape} and dtype {trial.dtype}; expected whole numbers, one for each of "
                f"{len(data.q)} samples"
            )


def _counted(data, name, shape):
    """Where the values of a field must be finite: what was measured in part only where it was."""
    partly = ("q", "v") if hasattr(data, "dt") else ("v",) if data.a is None else ("a",)
    return np.broadcast_to(data.seen[..., None], shape) if data.seen is not None and name in partly else True

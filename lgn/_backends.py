"""Backends: what is chosen by the kind of device, in one table.

The row of the CPU was measured on two cores, that of accelerators on an H200, docs/design-decisions.md: pieces are as
large as still gains, and a step over one row of a band waits for the launch of its kernels, 22 us.
"""

from typing import NamedTuple

import jax


class Backend(NamedTuple):
    """Sizes and costs on one kind of device.

    Attributes:
        piece: (element, slot, dof) at once; at more, on a CPU, the intermediate values leave the cache.
        work: (element, slot, dof, tangent) at once, with some 20 intermediate values each.
        row: multiplications that a sequential step over one row of a band takes as long as.
        iteration: those of one iteration of conjugate gradients beside its products.
    """

    piece: int
    work: int
    row: int
    iteration: int


BACKENDS = {"cpu": Backend(6000, 10**6, 20, 0), "gpu": Backend(2 * 10**6, 10**8, 10**4, 10**4)}


def backend(name: str | None = None) -> Backend:
    """The row of a kind of device, by default that on which jax runs; what is not a CPU is like a GPU."""
    return BACKENDS.get(name or jax.default_backend(), BACKENDS["gpu"])

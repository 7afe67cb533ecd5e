"""A step by another package, where that is installed: phlearn's implicit midpoint rule for Korteweg and de Vries.

phlearn (Eidnes and Lye 2023, arXiv 2304.14374) writes the ring as dense matrices in numpy and takes Newton steps, each
a dense solve; lgn iterates to a fixed point on the stencil of the same energy. Both to 1e-12.
"""

from collections.abc import Callable
from functools import partial

import jax.numpy as jnp
import numpy as np

import lgn
from lgn import protocol
from lgn.harness.timing import compiled, interleaved
from lgn.systems import kdv

DT = 1e-3
STEPS = 20


def figures(quick: bool, sizes: tuple[int, ...] = (100, 1000)) -> dict[str, float | None]:
    """Seconds of a step by phlearn over those by lgn, on rings of so many nodes; None where phlearn is not installed.
    To be run in a fresh process.

    Raises:
        ValueError: the two disagree.
    """
    protocol.use_float64()
    return {f"midpoint_over_phlearn_{n}": _speedup(n, quick) for n in sizes[: 1 if quick else None]}


def _speedup(n: int, quick: bool) -> float | None:
    x = kdv.SPACING * np.arange(n)
    start, ts = kdv.soliton(x, 0.0, 1.0, x[n // 2])[:, None], DT * jnp.arange(STEPS + 1)
    by_phlearn = _phlearn(x, np.asarray(start[:, 0]))
    if by_phlearn is None:
        return None
    # u_t = -D(3 u^2 + D2 u): phlearn's waves run to the right
    flow = lgn.EnergyFlow(lgn.lattice((n,), spacing=kdv.SPACING), kdv.density, structure=-1.0 * lgn.FirstDifference())
    call = compiled(lambda flow, u, ts: lgn.ImplicitMidpoint(DT)(flow, (u,), ts)[0], flow, start, ts)[0]
    calls: dict[str, Callable] = {"lgn": partial(call, flow, start, ts), "phlearn": by_phlearn}
    difference = np.abs(np.asarray(calls["lgn"]())[..., 0] - by_phlearn()).max()
    if not difference < 1e-9:
        raise ValueError(f"peers: lgn and phlearn differ by {difference:.1e} after {STEPS} steps")
    t = interleaved(calls, quick)
    return t["phlearn"][0] / t["lgn"][0]


def _phlearn(x: np.ndarray, start: np.ndarray) -> Callable | None:
    """The motion by phlearn, (time, node), where that is installed."""
    try:
        from phlearn.phsystems.pde import KdVSystem
    except ImportError:
        return None
    system = KdVSystem(x, eta=6.0, gamma=1.0, nu=0.0)
    return lambda: system.sample_trajectory(DT * np.arange(STEPS + 1), start)[0]

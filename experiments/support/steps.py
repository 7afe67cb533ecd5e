"""Steps: what a step of each integrator takes on a ring, against the same method on the true equations, and what a
rollout at new times takes."""

import gc
import time
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

import lgn
from experiments.support import rivals
from lgn import protocol
from lgn.harness.timing import compiled, interleaved
from lgn.systems import wave

DT = 0.01
INTEGRATORS = {
    "verlet": lgn.Verlet(DT),
    "implicit_midpoint": lgn.ImplicitMidpoint(DT),
    "variational": lgn.Variational(DT),
    "discrete_gradient": lgn.DiscreteGradient(DT),
}
STEPS = {"exact": 4000, "mlp": 20}  # of a call, so that the call itself does not count


def figures(quick: bool) -> dict[str, float | None]:
    """All of them; to be run in a fresh process."""
    protocol.use_float64()
    return step_costs(0, quick) | new_times(0)


def step_costs(seed: int, quick: bool, n: int = 100) -> dict[str, float | None]:
    """Nanoseconds of a node and step by each integrator, with the exact density and with the MLP 6-64-64-1; Verlet's
    over the same in jax and in numba on the true equations, and over the time that the arithmetic of the MLP takes."""
    graph, start = lgn.lattice((n,)), _start(n, seed)
    systems = {"exact": lgn.Lagrangian(graph, wave.density), "mlp": lgn.Lagrangian(graph, rivals.density())}
    calls: dict[str, Callable] = {}
    counts: dict[str, int] = {}
    for kind, system in systems.items():
        for name, integrator in INTEGRATORS.items():
            count = STEPS[kind] // (10 if name == "discrete_gradient" else 1)
            ts = jnp.array([0.0, count * DT])
            run = compiled(lambda L, state, ts, integrator=integrator: integrator(L, state, ts), system, start, ts)[0]
            calls[f"{name}_{kind}"], counts[f"{name}_{kind}"] = partial(run, system, start, ts), count
    counts |= {"jax": STEPS["exact"], "numba": STEPS["exact"], "product": 1}
    calls["jax"] = partial(compiled(_by_jax, *start)[0], *start)
    calls["product"], share = _product(n)
    if by_numba := _by_numba():
        calls["numba"] = partial(by_numba, *(np.asarray(x)[:, 0] for x in start), STEPS["exact"])
    least = {name: fastest / counts[name] for name, (_, fastest) in interleaved(calls, quick).items()}
    found: dict[str, float | None] = {f"step_ns_{name}": 1e9 * least[name] / n for name in calls if name != "product"}
    return found | {
        "verlet_exact_over_jax": least["verlet_exact"] / least["jax"],
        "verlet_exact_over_numba": least["verlet_exact"] / least["numba"] if by_numba else None,
        "verlet_mlp_over_floor": least["verlet_mlp"] / (least["product"] * share),
    }


def new_times(seed: int, n: int = 100) -> dict[str, float]:
    """Seconds by which the first rollout of a system takes longer than a second one; and the most by which it does so
    at other times: other values, ten times the span, 1.5 times as many. By the adaptive integrator, with the MLP; the
    garbage of tracing, which takes Python 0.15 s whenever it comes to it, is collected before each."""
    system, start = lgn.Lagrangian(lgn.lattice((n,)), rivals.density()), _start(n, seed)

    def seconds(ts):
        gc.collect()
        begin = time.perf_counter()
        jax.block_until_ready(lgn.rollout(system, start, ts, lgn.Adaptive(1e-6, 1e-6)).state)
        return time.perf_counter() - begin

    times = [np.linspace(0, end, count) for end, count in ((0.5, 41), (0.55, 41), (5.0, 41), (0.5, 61))]
    first, *others = (seconds(ts) - seconds(ts) for ts in times)
    return {"first_adaptive_seconds": first, "new_times_adaptive_seconds": max(0.0, *others)}


def _start(n, seed):
    return tuple(jnp.asarray(np.random.default_rng(seed).normal(size=(2, n, 1))))


def _by_jax(q, v):
    """Verlet on q_tt = 5 (q[i+1] - 2 q[i] + q[i-1])."""

    def step(state, _):
        q, v, a = state
        q = q + DT * v + 0.5 * DT**2 * a
        following = wave.acceleration(q)
        return (q, v + 0.5 * DT * (a + following), following), None

    return lax.scan(step, (q, v, wave.acceleration(q)), None, length=STEPS["exact"])[0][:2]


def _by_numba() -> Callable | None:
    """The same in a loop over nodes, compiled by numba where that is installed."""
    try:
        import numba
    except ImportError:
        return None

    @numba.njit(fastmath=False)
    def run(q, v, steps):
        q, v, a, n = q.copy(), v.copy(), np.empty_like(q), len(q)
        for i in range(n):
            a[i] = wave.STIFFNESS * (q[(i + 1) % n] - 2 * q[i] + q[i - 1])
        for _ in range(steps):
            for i in range(n):
                q[i] += DT * v[i] + 0.5 * DT**2 * a[i]
                v[i] += 0.5 * DT * a[i]
            for i in range(n):
                right = q[0] if i == n - 1 else q[i + 1]
                a[i] = wave.STIFFNESS * (right - 2 * q[i] + q[i - 1])
                v[i] += 0.5 * DT * a[i]
        return q, v

    return run


def _product(n: int) -> tuple[Callable, float]:
    """A product with a kernel of 64 x 64, and how many of it an acceleration of the MLP on n nodes amounts to."""
    inputs, kernel = jnp.ones((6 * n, 64)), jnp.ones((64, 64))
    call = partial(compiled(jnp.matmul, inputs, kernel)[0], inputs, kernel)
    return call, n * rivals.FLOP_PER_NODE / (2 * inputs.size * 64)

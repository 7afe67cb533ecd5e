# %% [markdown]
# # A million nodes
#
# You will learn a density on a ring of ten nodes, run it on a ring of a million, and measure time and memory. It takes
# about half a minute on two cores; a GPU needs no other line.

# %%
import resource
import time
from functools import partial

import jax
import matplotlib.pyplot as plt
import numpy as np
from flax import nnx

import lgn
from lgn import diagnostics, plots
from lgn.systems import wave

jax.config.update("jax_enable_x64", True)
plt.rcParams.update(plots.FONT)

# %% [markdown]
# ## Ten nodes
#
# Accelerations of a string in 100 states. The kinetic energy of a unit mass is known; the spring of an edge is learned.
# `PairDensity` is an even function of the difference of its ends, so that a string at rest stays at rest, whatever was
# learned: a tiny force on each of a million nodes would soon outweigh a pulse.

# %%
small = lgn.lattice((10,), periodic=True)
data = wave.sample(jax.random.key(0), 100, 10)
scales = lgn.scales(data, lgn.edge_stencil(small))
spring = lgn.PairDensity(dim=1, hidden=(8,), **scales, rngs=nnx.Rngs(0))
terms = [(lgn.kinetic_energy, partial(lgn.node_stencil, hops=0)), (spring, lgn.edge_stencil)]
fit = lgn.fit(lgn.Lagrangian(small, terms), data, key=jax.random.key(1), phases=[lgn.QuasiNewton(steps=300)])
error = diagnostics.acceleration_errors(fit.system, wave.sample(jax.random.key(2), 1000, 10))
print(f"{fit.seconds:.1f} s of training; relative error of the acceleration {error['acceleration_rel_rms']:.1e}")
assert error["acceleration_rel_rms"] < 1e-2

# %% [markdown]
# ## A million
#
# The same densities on another ring. The mass matrix is diagonal, so that no linear system is solved; nothing is stored
# but the table of edges. The first call compiles; what follows does not.

# %%
n = 1_000_000
large = fit.system.on(lgn.lattice((n,), periodic=True))
print(large)

start = wave.pulse(n, width=5)


def seconds(call):
    begin = time.perf_counter()
    jax.block_until_ready(call())
    return time.perf_counter() - begin


first = seconds(lambda: large.acceleration(*start))
later = min(seconds(lambda: large.acceleration(*start)) for _ in range(5))
print(f"one acceleration: {first:.1f} s at first, then {later:.3f} s, {1e9 * later / n:.0f} ns a node")

# %% [markdown]
# ## Move it
#
# `Verlet` takes one acceleration a step. Memory grows with the number of times that are kept, not with the steps, so
# keep few. Other times are no other program: one step compiles it.

# %%
dt, ts = 0.15, np.array([0.0, 6.0])
compiling = seconds(lambda: lgn.rollout(large, start, [0.0, dt], lgn.Verlet(dt)).q)
begin = time.perf_counter()
motion = jax.block_until_ready(lgn.rollout(large, start, ts, lgn.Verlet(dt)))
taken, steps = time.perf_counter() - begin, round(ts[-1] / dt)
exact_q, exact_v = wave.exact(*start, ts)
error = diagnostics.relative_l2(motion.q, exact_q).max()
drift = diagnostics.drift(wave.energy(motion.q, motion.v))
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # of KiB, on Linux
print(f"{compiling:.1f} s to compile; {steps} steps in {taken:.1f} s, {1e9 * taken / n / steps:.0f} ns a node and step")
print(f"peak memory of the process {memory:.1f} GiB")
print(f"error of the displacement {error:.1e}, true energy changes by {drift:.1e}")
assert error < 0.05 and drift < 0.02 and memory < 4

# %%
fig, ax = plt.subplots(figsize=(8, 3.4), layout="constrained")
middle = slice(n // 2 - 50, n // 2 + 50)
plots.comparison(ax, np.arange(n)[middle], exact_q[-1, middle, 0], motion.q[-1, middle, 0])
ax.set(xlabel="node", ylabel="displacement", title=f"t = {ts[-1]:g}, the middle of a million nodes")
ax.ticklabel_format(style="plain", useOffset=False)
plt.show()

# %% [markdown]
# ## Time grows with the number of nodes


# %%
def acceleration_time(size):
    system = fit.system.on(lgn.lattice((size,), periodic=True))
    state = wave.pulse(size, width=20)
    return min(seconds(lambda: system.acceleration(*state)) for _ in range(20))  # the first one compiles


taken = [(size, acceleration_time(size)) for size in (1000, 10_000, 100_000)] + [(n, later)]

fig, ax = plt.subplots(figsize=(6, 3.8), layout="constrained")
plots.costs(ax, {"one acceleration": taken}, "learned density, diagonal mass")
ax.set_ylabel("seconds")
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# ## What to change for your data
#
# - **Solver**: here the mass matrix is diagonal. A density that reads the velocities of neighbours couples them; on
#   rings the solver is banded, on large planes and meshes conjugate gradients. `large.solver_for(dim=1)` says which.
# - **float32**: leave `jax_enable_x64` out, for half the memory.
# - **What is compiled when**, and what a call costs: [speed](../speed.md). Programs are kept between runs by
#   `JAX_COMPILATION_CACHE_DIR`.
# - **Larger still**: `lgn.shard(system, mesh)` divides the nodes over [many devices](../devices.md); ten million nodes
#   fit in the memory of one machine.

# %% [markdown]
# # A string: learn its density on ten nodes, run a thousand
#
# You will write the Lagrangian density of a string, learn the same density from accelerations on a ring of ten nodes,
# and run what was learned on a ring of a thousand, with its error and its energy along the way. It takes about half a
# minute, most of it compilation.

# %%
import jax
import matplotlib.pyplot as plt
import numpy as np
from flax import nnx

import lgn
from lgn import diagnostics, plots
from lgn.systems import wave

jax.config.update("jax_enable_x64", True)  # lgn follows the dtype of its inputs and never sets this itself
plt.rcParams.update(plots.FONT)

# %% [markdown]
# ## A density that you know
#
# A string of unit masses joined by springs of stiffness 5 has
#
# $$L = \sum_i \tfrac12 \dot q_i^2 - \tfrac52 (q_{i+1} - q_i)^2 .$$
#
# A density is one term of that sum, a function of a node and its neighbours. On a ring, slot 0 is the node itself, slot
# 1 its left neighbour and slot 2 its right one.


# %%
def string(q, v, features):
    return 0.5 * v[0, 0] ** 2 - 2.5 * (q[2, 0] - q[0, 0]) ** 2


ring = lgn.lattice((100,), periodic=True)
L = lgn.Lagrangian(ring, string)
start = wave.pulse(100)  # (q, v), each (node, dim): a Gaussian pulse at rest
ts = np.linspace(0, 40, 201)
motion = lgn.rollout(L, start, ts)
print(L)
print(f"energy {motion.energy[0]:.6f}, largest relative change {diagnostics.drift(motion.energy):.1e}")

# %%
fig, ax = plt.subplots(figsize=(6, 3.6), layout="constrained")
plots.space_time(ax, ts, motion.q[..., 0], "a pulse at rest splits into two", label="displacement")
plt.show()

# %% [markdown]
# ## A density that you do not know
#
# Now pretend that the law is unknown, and that the accelerations of ten nodes were measured in 300 states. Data are
# three arrays (sample, node, dim): here they are drawn at random and differentiated by hand.

# %%
rng = np.random.default_rng(0)
q, v = rng.normal(size=(2, 300, 10, 1))
a = 5 * (np.roll(q, -1, axis=1) - 2 * q + np.roll(q, 1, axis=1))
data = lgn.States(q, v, a)

# %% [markdown]
# `MLPDensity` replaces `string`: a network of the values in the three slots. It begins as the kinetic energy of a free
# mass, and `fit` holds out a fifth of the states to judge it by.

# %%
density = lgn.MLPDensity(slots=3, dim=1, hidden=(8, 8), relative=True, rngs=nnx.Rngs(0))
small = lgn.Lagrangian(lgn.lattice((10,), periodic=True), density)
fit = lgn.fit(small, data, key=jax.random.key(0), phases=[lgn.QuasiNewton(steps=500)])

fresh = wave.sample(jax.random.key(1), 1000, 10)  # states that were not trained on
error = diagnostics.acceleration_errors(fit.system, fresh)["acceleration_rel_rms"]
print(f"{fit.seconds:.0f} s of training; relative error of the acceleration on fresh states {error:.1e}")
assert error < 3e-3

# %% [markdown]
# `relative=True` lets the network see differences of neighbours alone: a shift of the whole string then changes
# nothing, and momentum is conserved exactly, whatever was learned. Leave it out where each node feels its place, as on
# an elastic foundation.

# %% [markdown]
# ## The same density on a thousand nodes
#
# A density knows nothing of the graph that it was trained on. Give it another one.

# %%
large = fit.system.on(lgn.lattice((1000,), periodic=True))
start = wave.pulse(1000, width=20)
ts = np.linspace(0, 400, 201)  # the two halves of the pulse travel 900 nodes each
learned = lgn.rollout(large, start, ts)
exact_q, exact_v = wave.exact(*start, ts)  # every Fourier mode is an oscillator

fig, axes = plt.subplots(1, 2, figsize=(11, 3.8), layout="constrained")
plots.space_time(axes[0], ts, learned.q[..., 0], "learned on 10 nodes, run on 1000", label="displacement")
plots.space_time(axes[1], ts, learned.q[..., 0] - exact_q[..., 0], "difference from the exact solution", label="error")
plt.show()

# %% [markdown]
# ## Is its energy conserved?
#
# The learned system has an energy of its own, $E = \sum \dot q\,\partial L/\partial \dot q - L$, which the learned
# motion conserves to the error of the integrator. A Lagrangian is known but for a constant a node, so take the energy
# above that of the string at rest. The true energy of the same motion is conserved as well as the density was learned.

# %%
rest = np.zeros((1000, 1))
energies = {
    "learned energy": learned.energy - large.energy(rest, rest),
    "true energy": wave.energy(learned.q, learned.v),
}
error = diagnostics.relative_l2(learned.q, exact_q)

fig, axes = plt.subplots(1, 2, figsize=(11, 3.6), layout="constrained")
plots.energy(axes[0], ts, energies, "energy of the learned motion")
plots.errors(axes[1], ts, {"learned": error}, "error of the displacement")
plt.show()

drifts = {name: diagnostics.drift(values) for name, values in energies.items()}
print(f"error of the displacement {error.max():.1e}", {name: f"{drift:.1e}" for name, drift in drifts.items()})
assert drifts["learned energy"] < 1e-6 and drifts["true energy"] < 1e-3 and error.max() < 0.01

# %% [markdown]
# ## What to change for your data
#
# - **Arrays**: `lgn.States(q, v, a)`, each (sample, node, dim), from your simulation or experiment; `dim` is the number
#   of displacements of a node. Without accelerations, cut pieces of motion instead: [your own
#   recording](your_recording.py).
# - **Ends**: `periodic=False` for free ends, `lgn.clamp(graph, [0, 99])` to hold them; driven and absorbing ends are in
#   the [how-to of the string](../tutorial.md).
# - **Another graph**: a plane is `lgn.lattice((20, 30))`; see [your own graph](your_graph.py) and [your own
#   mesh](your_mesh.py).
# - **A better fit**: more steps first, then more states; [training](../training.md) has what helps how much. `lgn run
#   wave` goes on to seven digits.
# - **Keep it**: `lgn.save(folder, fit.system)` and `lgn.load(folder)`.

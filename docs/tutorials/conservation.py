# %% [markdown]
# # First order in time, and exact conservation
#
# You will write the energy of a field, choose the structure that moves it, and take steps that keep the law of the
# energy to rounding: solitons that pass through one another with a constant energy, and phases that separate with an
# energy that never rises. Then you will learn the energy from snapshots. It takes about half a minute.
#
# Many fields have no velocity of their own. Their state is one field $u$, and an energy moves it,
#
# $$\dot u = G\, \nabla H(u) ,$$
#
# by a linear map $G$. Where $G$ is antisymmetric, $\dot H = \nabla H \cdot G \nabla H = 0$; where it is negative
# semi-definite, $H$ never rises. That is a law of $G$ alone, whatever $H$ is, learned or written.

# %%
import jax
import matplotlib.pyplot as plt
import numpy as np
from flax import nnx

import lgn
from lgn import diagnostics, plots
from lgn.systems import cahn_hilliard, kdv

jax.config.update("jax_enable_x64", True)
plt.rcParams.update(plots.FONT)

# %% [markdown]
# ## Solitons
#
# The Korteweg-de Vries equation $u_t = \partial_x (3 u^2 + u_{xx})$ of waves in shallow water has $H = \int u^3 -
# \tfrac12 u_x^2$ and $G = \partial_x$. On a ring of 100 nodes, a density of $u$ and the central difference:

# %%
dx = 0.2


def waves(u, features):
    return u[0, 0] ** 3 - 0.5 * ((u[2, 0] - u[0, 0]) / dx) ** 2


ring = lgn.lattice((100,), periodic=True, spacing=dx)
flow = lgn.EnergyFlow(ring, waves, structure=lgn.FirstDifference())

x = dx * np.arange(100)
u = np.asarray(kdv.soliton(x, 0.0, 1.2, 14.0) + kdv.soliton(x, 0.0, 0.7, 8.0))[:, None]  # (node, dim)

# %% [markdown]
# A soliton of height $2 k^2$ travels to the left at the speed $4 k^2$: the tall one overtakes the low one. Three
# integrators follow them. `DiscreteGradient` replaces $\nabla H$ by a discrete gradient, with $\bar\nabla H \cdot (u' -
# u) = H(u') - H(u)$ exactly, so that $H(u') = H(u)$ whatever the step.

# %%
ts = np.linspace(0, 3, 121)
integrators = {
    "Adaptive(1e-6, 1e-6)": lgn.Adaptive(1e-6, 1e-6),
    "ImplicitMidpoint(0.005)": lgn.ImplicitMidpoint(0.005),
    "DiscreteGradient(0.005)": lgn.DiscreteGradient(0.005),
}
motions = {name: lgn.rollout(flow, u, ts, integrator) for name, integrator in integrators.items()}
exact = motions["DiscreteGradient(0.005)"]

fig, axes = plt.subplots(1, 2, figsize=(11, 3.8), layout="constrained")
image = axes[0].imshow(exact.u[..., 0], origin="lower", aspect="auto", extent=(0, 20, 0, 3), cmap="magma")
axes[0].set(xlabel="x", ylabel="time", title="two solitons")
fig.colorbar(image, ax=axes[0], label="u", shrink=0.85)
plots.energy(axes[1], ts, {name: motion.energy for name, motion in motions.items()}, "energy of three integrators")
plt.show()

drifts = {name: diagnostics.drift(motion.energy) for name, motion in motions.items()}
print({name: f"{drift:.1e}" for name, drift in drifts.items()})
assert drifts["DiscreteGradient(0.005)"] < 1e-12
assert np.ptp(exact.u.sum((1, 2))) < 1e-10  # the mass, which the difference conserves

# %% [markdown]
# ## Phases that separate
#
# With $G = \Delta$, which is negative semi-definite, and $H = \int \tfrac14 (u^2 - 1)^2 + \tfrac\gamma2 |\nabla u|^2$,
# the flow is the Cahn-Hilliard equation: a mixture separates, its energy falls and its mass is constant. The same
# class, with another structure, on a square of 32 x 32 nodes:

# %%
square = lgn.lattice((32, 32), periodic=True, spacing=0.02)
mixture = lgn.EnergyFlow(square, cahn_hilliard.density, structure=lgn.Laplacian())
start = 0.05 * np.random.default_rng(0).normal(size=(1024, 1))
phases = lgn.rollout(mixture, start, np.linspace(0, 0.06, 31), lgn.DiscreteGradient(2e-3))

fig, axes = plt.subplots(1, 4, figsize=(14, 3.4), layout="constrained")
for ax, i in zip(axes, (0, 5, 30), strict=False):
    plots.field(ax, phases.u[i].reshape(32, 32), f"t = {phases.t[i]:.3f}", limit=1.0, bar=i == 30, label="u")
axes[3].plot(phases.t, phases.energy)
axes[3].set(xlabel="time", ylabel="H", title="energy")
plt.show()
assert (np.diff(phases.energy) <= 0).all()
assert np.ptp(phases.u.sum((1, 2))) < 1e-10

# %% [markdown]
# ## Learn the energy from snapshots
#
# Pairs of successive snapshots are enough. `DiscreteLoss` compares $(u' - u) / \Delta t$ with $G$ times the discrete
# gradient of the learned energy, so that no equation is solved in training. `fields=1` makes a network a density of
# $u$.

# %%
recorded = kdv.trajectory(kdv.starts(jax.random.key(0), 20))  # (recording, time, node, 1), at steps of 1e-3
pairs = lgn.sample_pairs(jax.random.key(1), kdv.TIME_STEP * np.arange(501), recorded, count=100)
density = lgn.MLPDensity(slots=3, dim=1, hidden=(8, 8), fields=1, q_scale=2.0, rngs=nnx.Rngs(0))
small = lgn.lattice((50,), periodic=True, spacing=dx)
model = lgn.EnergyFlow(small, density, structure=lgn.FirstDifference())
fit = lgn.fit(model, pairs, key=jax.random.key(2), loss=lgn.DiscreteLoss(), phases=[lgn.QuasiNewton(steps=400)])

learned = fit.system.on(ring)  # twice as many nodes
motion = lgn.rollout(learned, u, ts[:41], lgn.DiscreteGradient(0.005))
error = diagnostics.relative_l2(motion.u, exact.u[:41])
above = motion.energy - learned.energy(0 * u)
print(f"{fit.seconds:.0f} s of training; error at t = 1 {error[-1]:.1e}, drift {diagnostics.drift(above):.0e}")
assert diagnostics.drift(above) < 1e-11 and error[-1] < 0.1

# %%
fig, ax = plt.subplots(figsize=(7, 3.4), layout="constrained")
plots.comparison(ax, x, exact.u[40, :, 0], motion.u[40, :, 0])
ax.set(xlabel="x", ylabel="u", title="two solitons at t = 1")
plt.show()

# %% [markdown]
# What was learned in seconds is not exact. Its energy is conserved to rounding all the same: that is a law of the step,
# not of the training.

# %% [markdown]
# ## What to change for your data
#
# - **State**: one field, (node, dim); snapshots are `lgn.windows(t, u, length=2)` or `lgn.sample_pairs`, states with
#   measured rates `lgn.States(u, u_rate)`.
# - **Structure**: `FirstDifference` and `Laplacian` on lattices, graphs and meshes; `Symplectic` and `Damped` for
#   Hamiltonian systems in $(q, p)$, `Relaxation` for gradient flows; `LearnedStructure` where it is unknown. Recipes:
#   [energies](../energies.md).
# - **Second order**: `DiscreteGradient` takes a `Lagrangian` too, with friction or without.
# - **Step**: `DiscreteGradient` keeps the law at any step; halve it to see whether the motion is resolved.
# - **Noise**: pairs of noisy snapshots bias what is learned; see [your own recording](your_recording.py).

# %% [markdown]
# # Your own recording: from a CSV file to a forecast, and how far to trust it
#
# You will read a CSV of positions with noise and gaps, learn a Lagrangian with friction from it, measure the error on
# what was kept back, and find out in which states the forecast holds. It takes less than a minute.
#
# The recording is made here, so that the truth is known: two pendulums of length 1 m, joined by a soft spring, in air,
#
# $$\ddot\theta_1 = -g \sin\theta_1 - k (\theta_1 - \theta_2) - c\,\dot\theta_1 , \qquad
# \ddot\theta_2 = -g \sin\theta_2 - k (\theta_2 - \theta_1) - c\,\dot\theta_2 .$$

# %%
import tempfile
from functools import partial
from pathlib import Path

import jax
import matplotlib.pyplot as plt
import numpy as np
from flax import nnx
from scipy.integrate import solve_ivp

import lgn
from lgn import plots

jax.config.update("jax_enable_x64", True)
plt.rcParams.update(plots.FONT)

# %% [markdown]
# ## The recording
#
# A camera of 30 frames a second sees the two angles, in three trials of ten seconds. Noise is 0.01 rad; one angle in
# twenty is missing, and ten frames of the second trial altogether.

# %%
g, k, c = 9.81, 1.5, 0.08
rng = np.random.default_rng(0)


def pendulums(t, y):
    (a, b), rates = y[:2], y[2:]
    spring = k * (a - b)
    return np.concatenate([rates, [-g * np.sin(a) - spring, -g * np.sin(b) + spring] - c * rates])


def true_motion(start, t):
    """Angles (time, 2) from two angles at rest."""
    return solve_ivp(pendulums, (t[0], t[-1]), [*start, 0, 0], t_eval=t, rtol=1e-9, atol=1e-9).y[:2].T


path, frames = Path(tempfile.mkdtemp()) / "pendulums.csv", np.arange(300) / 30
with path.open("w") as file:
    print("trial,t [s],left [rad],right [rad]", file=file)
    for trial, start in enumerate([(1.2, 0.0), (-0.8, 0.9), (0.3, -1.0)]):
        for i, angles in enumerate(true_motion(start, frames) + 0.01 * rng.normal(size=(300, 2))):
            seen = ["" if rng.random() < 0.05 else f"{angle:.4f}" for angle in angles]
            if trial != 1 or not 120 <= i < 130:
                print(f"{trial},{frames[i]:.3f},{seen[0]},{seen[1]}", file=file)

print(path.read_text()[:150])

# %% [markdown]
# ## Read it
#
# `lgn.read` takes columns by their names, units from the header, and empty cells as what was not seen.

# %%
recording = lgn.read(path, q=["left", "right"])
print(recording.q.shape, f"{recording.seen.mean():.1%} seen", dict(recording.units))

fig, axes = plt.subplots(1, 3, figsize=(13, 3.2), layout="constrained", sharey=True)
for i, ax in enumerate(axes):
    rows = recording.trial == i
    ax.plot(recording.t[rows], recording.q[rows, :, 0], ".", ms=3)
    ax.set(xlabel="time [s]", title=f"trial {i}")
axes[0].set_ylabel("angle [rad]")
fig.legend(["left", "right"], frameon=False, loc="outside right center", markerscale=3)
plt.show()

# %% [markdown]
# ## Cut it
#
# Training takes short pieces of even steps, 24 frames here; those across a gap are left out. Times printed as 0.033 and
# 0.067 are not exactly even, which `tolerance` allows. The second half of the last trial is kept back.

# %%
known = int(np.sum((recording.trial < 2) | (recording.t < 5)))
pieces = recording.rows(slice(known)).windows(24, every=8, dt=1 / 30, tolerance=0.05)
print(f"{len(pieces.q)} pieces of {pieces.q.shape[1]} frames")

# %% [markdown]
# ## Learn
#
# The pendulums are the two nodes of a graph, the spring is its edge. `site_and_edge` makes a network for a node and one
# for an edge; the mass is the unit. Friction is a `PositiveForm` with one coefficient, which can only take energy.
#
# Noise of 0.01 rad on angles makes 0.4 rad/s on rates from two frames and 20 rad/s² on accelerations from three, more
# than the accelerations themselves, so that no loss may compare these. `Shooting` makes the true start of each piece a
# parameter, and `ShootingLoss` compares the motion from there with the angles that were seen.

# %%
graph = lgn.from_edges(2, [0, 1], [1, 0])
terms = lgn.site_and_edge(graph, pieces, hidden=(8,), rngs=nnx.Rngs(0))
friction = [(lgn.PositiveForm(slots=1, dim=1, size=0.2), partial(lgn.node_stencil, hops=0))]
unknown = lgn.Shooting(lgn.Lagrangian(graph, terms, dissipation=friction), pieces)
loss = lgn.ShootingLoss(lgn.Verlet(1 / 30), dt=1 / 30)
fit = lgn.fit(unknown, pieces, key=jax.random.key(0), loss=loss, phases=[lgn.QuasiNewton(steps=150)])
model = fit.system.system

rate = np.ones((2, 1))
found = -float(model.friction(0 * rate, rate)[0, 0])
noise = 0.01 / float(np.sqrt(np.nanmean(recording.q**2)))
print(f"{fit.seconds:.0f} s of training; friction {found:.3f} per s, true {c}")
print(f"held-out relative error {fit.held_out:.4f}, noise about {fit.noise:.4f}, true {noise:.4f}")
assert abs(found - c) < 0.03 and fit.held_out < 3 * noise

# %% [markdown]
# `fit` held out the last fifth of each piece and stopped where it was predicted best. A held-out error near the noise
# is as good as it gets: what is left cannot be told from noise.

# %% [markdown]
# ## Forecast what was kept back
#
# From the start of the last piece that was trained on to the end of the recording, five seconds beyond what was seen.

# %%
start = tuple(x[-1] for x in fit.system.free_starts())
later = (recording.trial == 2) & (recording.t >= pieces.t[-1])
t, q = recording.t[later], recording.q[later, :, 0]
forecast = np.asarray(lgn.rollout(model, start, t).q)[..., 0]
true = true_motion((0.3, -1.0), frames)[-len(t) :]
unseen = t >= 5

fig, ax = plt.subplots(figsize=(11, 3.4), layout="constrained")
for i, (name, color) in enumerate((("left", "#0072B2"), ("right", "#D55E00"))):
    ax.plot(t, q[:, i], ".", color=color, ms=4, alpha=0.5)
    ax.plot(t, forecast[:, i], color=color, label=name)
ax.axvspan(t[0], 5, color="#00000010")
ax.set(xlabel="time [s]", ylabel="angle [rad]", title="trained on (shaded), then forecast; dots are measured")
ax.legend(frameon=False, ncols=2, loc="upper right")
plt.show()


def relative(off, size):
    return float(np.sqrt(np.nanmean(off**2) / np.nanmean(size**2)))


measured = relative((forecast - q)[unseen], q[unseen])
actual = relative((forecast - true)[unseen], true[unseen])
print(f"relative error of the forecast: from what was measured {measured:.3f}, from the truth {actual:.3f}")
assert actual < 0.1

# %% [markdown]
# ## How far to trust it
#
# Five seconds were fine because they stayed among states that were trained on. The truth of another start is unknown to
# you, but how far its motion is from the training data is not: `learning_report` measures it, in standard deviations of
# what the densities see. Here the pendulums start from larger and larger angles.

# %%
angles, ts = np.array([0.4, 0.8, 1.2, 1.6, 2.0, 2.4]), np.linspace(0, 3, 91)
motions = [lgn.rollout(model, (np.array([[a], [-0.5 * a]]), np.zeros((2, 1))), ts) for a in angles]
states = tuple(np.concatenate(x) for x in zip(*(motion.state for motion in motions), strict=True))
report = lgn.learning_report(fit, pieces, loss=loss, states=states)
distance = report.reach.distance.reshape(len(angles), -1).max(1)
truths = [true_motion((a, -0.5 * a), ts) for a in angles]
errors = np.array([relative(m.q[..., 0] - x, x) for m, x in zip(motions, truths, strict=True)])
print(report)

fig, axes = plt.subplots(1, 2, figsize=(11, 3.6), layout="constrained")
axes[0].plot(angles, distance, "o-", label="distance to the training data")
axes[0].axhline(report.reach.own_largest, color="k", ls=":", label="largest among these")
axes[0].set(xlabel="angle of the start [rad]", ylabel="standard deviations", title="what you can know")
axes[0].legend(frameon=False)
axes[1].plot(angles, errors, "o-", color="#D55E00")
axes[1].set(xlabel="angle of the start [rad]", ylabel="relative error", title="what it means: error over 3 s")
for ax in axes:
    ax.axvspan(angles[0] - 0.1, np.nanmax(np.abs(recording.q)), color="#00000010")
plt.show()
inside = angles <= 1.2
assert errors[inside].max() < 0.1 and distance[~inside].min() > distance[inside].max()

# %% [markdown]
# Within the shaded angles, those that were recorded, the forecast holds to a few per cent. Beyond, the error rises with
# the distance, and the distance takes no truth to know.

# %% [markdown]
# ## What to change for your data
#
# - **File**: `lgn.read` of .csv, .h5 and .nc; columns by name, `[["x0", "y0"], ["x1", "y1"]]` where a node has several
#   values, `v=` where rates were measured, `trial=` for the column that tells trials apart.
# - **Pieces**: about half a period; longer pieces see slow effects such as friction better, and cost more.
# - **Graph**: `lgn.single_node()` for one body, `lgn.lattice((n,), periodic=False)` for a chain, your own graph or
#   mesh.
# - **Noise and outliers**: `ShootingLoss(..., error=lgn.Huber(0.05))`. Velocities that a tracker smoothed, several
#   files, a black box to compare with: [how to learn from a recording](../recording.md). What helps how much:
#   [training](../training.md).
# - **Without Python**: `lgn fit CONFIG` does the same from a small file.

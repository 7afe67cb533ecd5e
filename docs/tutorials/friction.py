# %% [markdown]
# # Friction: learn where energy is lost, and never create any
#
# You will learn the dissipation of a system from its accelerations, tell it from the conservative forces, draw the
# power that it takes, and see why a form that is positive by construction is worth it. It takes about half a minute.
#
# A pendulum swings over a copper plate between the poles of a magnet: an eddy-current brake, which acts near the lowest
# point alone. With the gravity and length as units,
#
# $$\ddot q = -\sin q - c(q)\,\dot q, \qquad c(q) = 0.8\, e^{-(q / 0.4)^2} .$$
#
# As a Lagrangian system, $L = \tfrac12 \dot q^2 + \cos q$, with the Rayleigh function $R = \tfrac12 c(q)\,\dot q^2$:
# the force of friction is $-\partial R / \partial \dot q$, and the power that it takes $\dot q\,\partial R / \partial
# \dot q$.

# %%
import jax
import matplotlib.pyplot as plt
import numpy as np
from flax import nnx
from scipy.integrate import solve_ivp

import lgn
from lgn import diagnostics, plots

jax.config.update("jax_enable_x64", True)
plt.rcParams.update(plots.FONT)

# %% [markdown]
# ## The data
#
# Angle, rate and acceleration in 400 states of 20 swings, the acceleration with an error of one per cent of its size.


# %%
def brake(q):
    return 0.8 * np.exp(-((q / 0.4) ** 2))


def swing(t, y):
    return [y[1], -np.sin(y[0]) - brake(y[0]) * y[1]]


rng = np.random.default_rng(0)
swings = [
    solve_ivp(swing, (0, 8), start, t_eval=np.arange(0, 8, 0.4), rtol=1e-9).y
    for start in rng.uniform(-1.2, 1.2, (20, 2))
]
q, v = np.concatenate(swings, axis=1)
a = swing(0, (q, v))[1]
a += 0.01 * np.std(a) * rng.normal(size=a.shape)
data = lgn.States(*(x[:, None, None] for x in (q, v, a)))  # (sample, node, dim)
print(f"{len(q)} states, angles up to {np.abs(q).max():.1f}")

# %% [markdown]
# ## What is known, and what is learned
#
# `StructuredDensity` is kinetic minus potential energy; with `kinetic_hidden=()` the mass is a constant. The potential
# is a network of the angle. `PositiveForm` is the dissipation, $\tfrac12 c(q) \dot q^2$ with a network for $c > 0$.

# %%
potential = lgn.StructuredDensity(1, 1, (12,), kinetic_hidden=(), angles=(0,), rngs=nnx.Rngs(0))
friction = lgn.PositiveForm(slots=1, dim=1, hidden=(12,), size=0.1, angles=(0,), rngs=nnx.Rngs(1))
system = lgn.Lagrangian(lgn.single_node(), potential, dissipation=friction)
fit = lgn.fit(system, data, key=jax.random.key(0), phases=[lgn.QuasiNewton(steps=600)])
print(f"{fit.seconds:.0f} s of training; held-out error {fit.held_out:.4f}, noise about {fit.noise:.4f}", fit.stopped)

# %% [markdown]
# ## The law that was found
#
# Acceleration is all that was measured, and it is the sum of two parts: `split_friction` tells them apart. The part
# that is odd in the velocity gives $c(q)$; the conservative part is $-\sin q$.

# %%
angle = np.linspace(-1.5, 1.5, 121)
one = np.ones((121, 1, 1))
conservative, lost = diagnostics.split_friction(fit.system, angle[:, None, None], one)  # at unit velocity
c, pull = -lost[:, 0, 0], conservative[:, 0, 0]

fig, axes = plt.subplots(1, 2, figsize=(11, 3.6), layout="constrained")
plots.comparison(axes[0], angle, brake(angle), c)
axes[0].set(xlabel="angle", ylabel="c", title="coefficient of friction")
plots.comparison(axes[1], angle, -np.sin(angle), pull)
axes[1].set(xlabel="angle", ylabel="acceleration", title="conservative part")
plt.show()
error = np.abs(c - brake(angle)).max() / 0.8
print(f"coefficient of friction: off by {error:.3f} of its largest value at most")
assert error < 0.1 and diagnostics.relative_rms(pull, -np.sin(angle)) < 0.05

# %% [markdown]
# ## The power that is lost
#
# Accelerations fix L, R and all energies but for one factor, their unit: one mass that is known, here 1, sets it.
# `system.power` is $\dot E$, here that of friction alone. Along a motion from a start that was not trained on, the
# energy that remains is what power has left: $E(t) = E(0) + \int P\,dt$.

# %%
start, ts = (1.2, 0.0), np.linspace(0, 12, 481)
motion = lgn.rollout(fit.system, tuple(np.full((1, 1), x) for x in start), ts)


def unit_of(system):
    return system.mass_matrix(*(np.zeros((1, 1)),) * 2)[0, 0]


unit = unit_of(fit.system)
power = np.asarray(jax.vmap(fit.system.power)(motion.q, motion.v)) / unit
true_q, true_v = solve_ivp(swing, (0, 12), start, t_eval=ts, rtol=1e-9).y
true_power = -brake(true_q) * true_v**2

work = np.concatenate([[0], np.cumsum((power[1:] + power[:-1]) / 2 * np.diff(ts))])
energy = (motion.energy - motion.energy[0]) / unit

fig, axes = plt.subplots(1, 2, figsize=(11, 3.6), layout="constrained")
plots.comparison(axes[0], ts, true_power, power)
axes[0].set(xlabel="time", ylabel="power", title="power of friction")
axes[1].plot(ts, energy, lw=4, alpha=0.3, color="k", label="E - E(0)")
axes[1].plot(ts, work, "--", color="#D55E00", label="integral of the power")
axes[1].set(xlabel="time", ylabel="energy", title="energy of the learned motion")
axes[1].legend(frameon=False)
plt.show()

off = np.abs(motion.q[:, 0, 0] - true_q).max() / 1.2
print(f"motion off by {off:.3f} of its amplitude at most; energy and work apart by {np.abs(energy - work).max():.1e}")
assert off < 0.05 and diagnostics.relative_rms(power, true_power) < 0.1
assert np.abs(energy - work).max() < 1e-3 and power.max() <= 0

# %% [markdown]
# ## Why a positive form
#
# A Rayleigh function may be any density: a plain network fits the same data. But nothing keeps it from giving energy
# where there were no data. `PositiveForm` has $\dot q\,\partial R / \partial \dot q \ge 0$ for all of its parameters,
# so that its power is never positive, in any state, trained or not.

# %%
plain = lgn.MLPDensity(1, 1, (12,), mass=None, angles=(0,), rngs=nnx.Rngs(1))
free = lgn.Lagrangian(lgn.single_node(), potential, dissipation=plain)
free = lgn.fit(free, data, key=jax.random.key(0), phases=[lgn.QuasiNewton(steps=600)]).system

rates, place = np.linspace(-4, 4, 61), np.linspace(-np.pi, np.pi, 61)
far = np.stack(np.meshgrid(place, rates), -1).reshape(-1, 2, 1, 1)
powers = {
    name: jax.vmap(system.power)(far[:, 0], far[:, 1]).reshape(61, 61) / unit_of(system)
    for name, system in {"PositiveForm": fit.system, "plain network": free}.items()
}
fig, axes = plt.subplots(1, 2, figsize=(11, 3.8), layout="constrained", sharey=True)
for ax, (name, values) in zip(axes, powers.items(), strict=True):
    image = ax.pcolormesh(place, rates, values, cmap="RdBu_r", vmin=-2, vmax=2)
    ax.plot(q, v, "k.", ms=2, alpha=0.5)
    ax.set(xlabel="angle", title=f"power, {name}")
axes[0].set_ylabel("rate")
fig.colorbar(image, ax=axes, label="power (red: energy is given)", shrink=0.85)
plt.show()
print({name: f"largest power {float(values.max()):.2g}" for name, values in powers.items()})
assert powers["PositiveForm"].max() <= 0

# %% [markdown]
# ## What to change for your data
#
# - **Law**: `law=lgn.cubic` for turbulent drag, `lgn.Dry(speed)` for dry friction, `half_square` by default; several
#   terms add up: `dissipation=[(one, stencil), (other, stencil)]`.
# - **Where**: `slots=1` is friction of each node with its surroundings, on `node_stencil(graph, hops=0)`;
#   `relative=True` on `edge_stencil` that between nodes, which conserves momentum. Without `hidden`, the coefficients
#   are constants.
# - **Known**: write it, `def fluid(q, v, features): return 0.15 * v[0, 0] ** 2`; a number becomes learned as
#   `nnx.Param`.
# - **What cannot be told apart**: of one degree of freedom, a network of `(q, v)` alone could express friction within
#   L. Give the kinetic energy a form, as here.
# - **Positions alone**: [your own recording](your_recording.py). Driven systems: `force=` and `control=` of
#   `lgn.Lagrangian`; recipes in [the string](../tutorial.md).

# %% [markdown]
# # Your own graph: learn the lines of one power grid, run another
#
# You will turn an adjacency matrix and a networkx graph, with features of nodes and edges, into systems; learn from
# measurements on a small grid how a line transmits power; and forecast a disturbance in another grid, four times as
# large and never seen. It takes about half a minute.
#
# Synchronous machines that are coupled by lines obey the swing equation
#
# $$M_i \ddot\theta_i = P_i - \sum_j K_{ij} \sin(\theta_i - \theta_j) ,$$
#
# with the phase angle $\theta_i$ of machine $i$, its inertia $M_i$, the power $P_i$ that it feeds in, and the capacity
# $K_{ij}$ of a line. Phasor measurement units record what is needed to learn from: the angle, the frequency
# $\dot\theta_i$ and its rate of change $\ddot\theta_i$. All is in units of the grid's own power and time.

# %%
from functools import partial

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import networkx
import numpy as np
from flax import nnx
from scipy.integrate import solve_ivp

import lgn
from lgn import plots

jax.config.update("jax_enable_x64", True)
plt.rcParams.update(plots.FONT)

# %% [markdown]
# ## The measurements
#
# In place of yours, the truth is made here, by numpy and scipy alone: a grid, and the rates of change of frequency in
# 40 of its states, with an error of one per cent.

# %%
rng = np.random.default_rng(0)


def grid(size, seed):
    """A networkx graph with the inertia of each machine and, as weight, the capacity of each line."""
    G = networkx.random_geometric_graph(size, 1.6 / np.sqrt(size), seed=seed)
    G = networkx.convert_node_labels_to_integers(G.subgraph(max(networkx.connected_components(G), key=len)))
    networkx.set_node_attributes(G, {i: rng.uniform(1, 3) for i in G}, "inertia")
    networkx.set_edge_attributes(G, {edge: rng.uniform(2, 6) for edge in G.edges}, "weight")
    return G


def swing(theta, M, K, P):
    """The rate of change of frequency, (..., machine)."""
    return (P - np.sum(K * np.sin(theta[..., :, None] - theta[..., None, :]), -1)) / M


trained_on = grid(40, seed=0)
K = networkx.to_numpy_array(trained_on)  # of weights
M = np.array([trained_on.nodes[i]["inertia"] for i in trained_on])
P = rng.normal(size=len(M))
P -= P.mean()

theta, omega = rng.normal(size=(2, 40, len(M))) * 0.5
rate = swing(theta, M, K, P)
rate *= 1 + 0.01 * rng.normal(size=rate.shape)
print(f"{len(M)} machines, {trained_on.number_of_edges()} lines, angles up to {np.abs(theta).max():.1f}")

# %% [markdown]
# ## A system of a matrix
#
# The entries of an adjacency matrix become the edge feature `weight`; the machines have features of their own. The
# kinetic energy of the machines is known, so that it is written; the energy of a line is not, so that it is learned.
# `PairDensity` is a density of one edge, the same from both ends, here of the difference of the two angles and of the
# capacity. The power that is fed in is a force.

# %%
graph = lgn.from_adjacency(K, node_features={"inertia": M})


def machine(q, v, features):
    return 0.5 * features["inertia"][0] * v[0, 0] ** 2


capacity = {"features": ("weight",), "feature_size": 1, "feature_scale": 4.0}
line = lgn.PairDensity(dim=1, hidden=(8, 8), **capacity, rngs=nnx.Rngs(0))
terms = [(machine, partial(lgn.node_stencil, hops=0)), (line, lgn.edge_stencil)]
system = lgn.Lagrangian(graph, terms, force=P[:, None])
data = lgn.States(theta[..., None], omega[..., None], rate[..., None])
fit = lgn.fit(system, data, key=jax.random.key(0), phases=[lgn.QuasiNewton(steps=300)])
print(f"{fit.seconds:.0f} s of training; held-out error {fit.held_out:.4f}, noise about {fit.noise:.4f}")

# %% [markdown]
# The held-out error is that of noisy measurements, so it cannot be lower than their noise. What matters is the law that
# was found. Two machines and one line make it visible: the power that flows from one to the other, against the angle
# between them.

# %%
angle, capacities = np.linspace(-np.pi, np.pi, 121), (2.0, 4.0, 6.0)
pair = lgn.from_adjacency(np.array([[0.0, 1.0], [1.0, 0.0]]), node_features={"inertia": np.ones(2)})
two = fit.system.on(pair, force=None)


def power(difference, capacity):
    q = jnp.array([[difference], [0.0]])
    return -two.replace(weight=jnp.full(2, capacity)).force(q, 0 * q)[0, 0]


found = np.array([jax.vmap(power, (0, None))(angle, capacity) for capacity in capacities])
seen = theta[:, graph.senders] - theta[:, graph.receivers]

fig, ax = plt.subplots(figsize=(6.5, 4), layout="constrained")
for k, values, color in zip(capacities, found, ("#0072B2", "#009E73", "#D55E00"), strict=True):
    ax.plot(angle, k * np.sin(angle), color=color, lw=4, alpha=0.25)
    ax.plot(angle, values, color=color, label=f"capacity {k:g}")
ax.axvspan(*np.quantile(seen, (0.01, 0.99)), color="#00000010", label="98 % of the data")
ax.set(xlabel="angle between two machines", ylabel="power of the line", title="learned, and true (broad)", ylim=(-9, 9))
ax.legend(frameon=False, fontsize=10, loc="upper left")
plt.show()

# %% [markdown]
# ## Another grid
#
# This one comes from networkx; the attributes of its nodes and edges become features by their own names, and `pos` the
# positions. `on` takes what was learned there as it is; only the power belongs to one grid, and is given again. The
# machines run in synchrony at small angles, when one is pushed.

# %%
other = grid(160, seed=1)
graph = lgn.from_networkx(other)
K, M = networkx.to_numpy_array(other), np.array([other.nodes[i]["inertia"] for i in other])
steady = 0.1 * rng.normal(size=len(M))
P = -M * swing(steady, M, K, 0)  # which holds the machines at these angles
large = fit.system.on(graph, force=P[:, None])

pushed = int(np.argmax(graph.nodes["position"][:, 0]))  # the easternmost
push = np.zeros(len(M))
push[pushed] = 3.0
ts = np.linspace(0, 10, 201)
forecast = lgn.rollout(large, (steady[:, None], push[:, None]), ts)

true = (
    solve_ivp(
        lambda t, y: np.concatenate([y[len(M) :], swing(y[: len(M)], M, K, P)]),
        (0, ts[-1]),
        np.concatenate([steady, push]),
        t_eval=ts,
        rtol=1e-9,
        atol=1e-9,
    )
    .y[: len(M)]
    .T
)

# %%
deviation = np.asarray(forecast.q[..., 0]) - steady
points, ends = graph.nodes["position"], np.array(other.edges)
fig, axes = plt.subplots(1, 3, figsize=(12, 4), layout="constrained")
for ax, i in zip(axes, (10, 40, 120), strict=True):
    plots.network(ax, points, ends, deviation[i], f"t = {ts[i]:g}", limit=0.3, bar=i == 120)
fig.axes[-1].set_ylabel("angle from the steady state")
plt.show()

# %%
midway = int(np.argsort(np.linalg.norm(points - points[pushed], axis=1))[len(M) // 4])
error = np.linalg.norm(forecast.q[1:, :, 0] - true[1:], axis=1) / np.linalg.norm(true[1:] - steady, axis=1)
energy = forecast.energy - forecast.q[..., 0] @ P  # with the potential of the power that is fed in
fig, axes = plt.subplots(1, 2, figsize=(11, 3.6), layout="constrained")
for i, label, color in ((pushed, "pushed machine", "#0072B2"), (midway, "another one", "#D55E00")):
    axes[0].plot(ts, true[:, i] - steady[i], color=color, lw=4, alpha=0.25)
    axes[0].plot(ts, deviation[:, i], color=color, label=label)
axes[0].set(xlabel="time", ylabel="angle from the steady state", title="forecast, and truth (broad)")
axes[0].legend(frameon=False, fontsize=10)
axes[1].plot(ts[1:], error)
axes[1].set(xlabel="time", ylabel="|forecast - truth| / |deviation|", title="error over all machines", ylim=(0, None))
plt.show()
print(f"{len(M)} machines, {other.number_of_edges()} lines: largest error of the forecast {error.max():.3f}")
assert error.max() < 0.05 and np.ptp(energy) < 1e-4 * float(0.5 * M @ push**2)

# %% [markdown]
# ## What to change for your data
#
# - **Graph**: `lgn.from_adjacency(A)`, dense or sparse; `lgn.from_networkx(G)`; `lgn.from_edges(...)` for a list of
#   edges; `lgn.nearest_neighbours(points, k)` and `lgn.within_radius(points, r)` for a point cloud. Recipes, and what
#   is refused: [bring your own adjacency](../adjacency.md).
# - **Features**: numbers that every node or every edge has. A learned density reads those that it names in `features=`,
#   a written one finds `features[name][slot]`. Give `feature_scale` their typical size.
# - **What is learned**: `PairDensity` on edges, `MLPDensity(slots=1)` on nodes, `MessageDensity` where the neighbours
#   of a node matter together; `lgn.site_and_edge(graph, data)` makes the first two to the scales of the data.
# - **Where to trust it**: within what was seen. Beyond the shaded angles the line is a guess of the network.
# - **No rates**: angles along time are enough, see [your own recording](your_recording.py).

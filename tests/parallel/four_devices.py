"""Systems over four devices against the same on one; prints the differences as JSON. One process, since jax counts its
devices once."""

import json

import jax
import jax.numpy as jnp
import networkx
import numpy as np
from flax import nnx

import lgn
from experiments.support.devices import sent
from lgn.systems import wave

MESH = jax.make_mesh((4,), ("nodes",))
RNG = np.random.default_rng(0)
KEY = jax.random.key(0)


def string(q, v, features):
    return 0.5 * v[0, 0] ** 2 - 2.5 * (q[2, 0] - q[0, 0]) ** 2


def kinetic(q, v, features):
    return 0.5 * features["m"][0] * jnp.sum(v[0] ** 2) - features["g"] * jnp.sum(jnp.cos(q[0]))


def bond(q, v, features):  # with inertia, and a pole where two places are one
    apart = jnp.sqrt(jnp.sum((q[1] - q[0] + jnp.array([3.0, 0.0])) ** 2))
    return 0.05 * jnp.sum((v[1] - v[0]) ** 2) - 0.5 * features["k"][1] * apart


def friction(q, v, features):
    return 0.05 * jnp.sum(v[0] ** 2) * (1 + features["time"])


def pull(q, v, t):  # not the same on every node
    return 0.1 * jnp.sin(t) * jnp.arange(len(q))[:, None] * jnp.ones_like(q)


def swing(t):
    return 0.3 * jnp.sin(t) * jnp.ones((37, 2))


def tangled():
    """A random graph of 37 nodes, in an order that says nothing, with every kind of feature, clamps that move, friction
    and a force."""
    order = RNG.permutation(37)
    graph = networkx.relabel_nodes(networkx.connected_watts_strogatz_graph(37, 4, 0.1, seed=1), dict(enumerate(order)))
    graph = lgn.from_networkx(graph)
    graph = lgn.with_features(graph, {"m": 1 + RNG.random(37)}, {"k": RNG.random(graph.senders.size)}, {"g": 2.0})
    terms = [(kinetic, lgn.node_stencil), (bond, lgn.edge_stencil)]
    return lgn.Lagrangian(lgn.clamp(graph, [3, 8]), terms, dissipation=friction, force=pull, motion=swing)


def star():
    """A hub, whose neighbourhood no table of fixed width holds, so that the term has several."""
    leaves, hub = np.arange(1, 2001), np.zeros(2000, int)
    graph = lgn.from_edges(2001, np.r_[leaves, hub], np.r_[hub, leaves])
    density = lgn.MessageDensity(1, 4, (4,), pairing=lgn.difference, rngs=nnx.Rngs(0))
    return lgn.Lagrangian(graph, density)


def off(found, exact):
    """Largest difference, relative to the largest value."""
    found, exact = np.asarray(found), np.asarray(exact)
    return float(np.abs(found - exact).max() / np.abs(exact).max())


def state(system, dim):
    return jax.random.normal(KEY, (2, system.domain.size, dim))


@jax.jit
def measured(system, q, v, t):
    """All that a Lagrangian tells of a state, in one program."""
    solution = system.solve(q, v, t)
    return {
        "acceleration": solution.value,
        "node": solution.node,
        "energy": system.energy(q, v),
        "momentum": system.momentum(q, v),
        "friction": system.friction(q, v, t),
        "clamp_force": system.clamp_force(q, v, t),
    }


def of_tangled():
    one = tangled()
    four, (q, v), t = lgn.shard(one, MESH), state(one, 2), 0.0
    held = np.array([3, 8])
    q, v = q.at[held].set(0.0), v.at[held].set(0.3)
    exact, found = measured(one, q, v, t), measured(four, q, v, t)
    yield from ((name, off(found[name], exact[name])) for name in exact)
    a, b = (lgn.rollout(system, (q, v), [0.0, 0.1, 0.2], lgn.Verlet(0.05)) for system in (one, four))
    yield "rollout", max(off(b.q, a.q), off(b.v, a.v), off(b.energy, a.energy))
    new = {"m": 2 + RNG.random(37), "k": RNG.random(one.graph.senders.size), "g": 1.5}
    changed = measured(one.replace(**new), q, v, t)["acceleration"]
    yield "replace", off(measured(four.replace(**new), q, v, t)["acceleration"], changed)
    yield "whole", off(measured(four.replace(**new).whole, q, v, t)["acceleration"], changed)


def of_star():
    one = star()
    four, (q, v) = lgn.shard(one, MESH), state(one, 1)
    found, exact = (jax.jit(type(system).acceleration)(system, q, v) for system in (four, one))
    yield "hub", off(found, exact)


def of_training():
    """A loss through a mass matrix that couples nodes, of three degrees of freedom, and its gradient."""
    density = lgn.MLPDensity(3, 3, (6,), mass=3.0, rngs=nnx.Rngs(0))
    one = lgn.Lagrangian(lgn.lattice((18,)), density, solver=lgn.ConjugateGradient())
    data = lgn.States(*jax.random.normal(KEY, (3, 5, 18, 3)))
    found = []
    for system in (one, lgn.shard(one, MESH)):
        definition, parameters, rest = nnx.split(system, nnx.Param, ...)

        def loss(parameters, rest, definition=definition):
            return lgn.acceleration_loss(nnx.merge(definition, parameters, rest), data)

        value, slope = jax.jit(jax.value_and_grad(loss))(parameters, rest)
        found.append((value, jnp.concatenate([x.ravel() for x in jax.tree.leaves(slope)])))
    yield "loss", off(found[1][0], found[0][0])
    yield "gradient", off(found[1][1], found[0][1])


def of_samples():
    data = wave.sample(KEY, 30, 10)
    found = []
    for mesh in (None, MESH):
        system = lgn.Lagrangian(lgn.lattice((10,)), lgn.MLPDensity(3, 1, (4,), mass=3.0, rngs=nnx.Rngs(0)))
        fit = lgn.fit(system, data, key=KEY, phases=[lgn.QuasiNewton(steps=4)], validation=None, mesh=mesh)
        found.append((fit.history[-1].loss, jnp.concatenate([x.ravel() for x in jax.tree.leaves(fit.system)])))
    yield "loss of samples", off(found[1][0], found[0][0])
    yield "parameters by samples", off(found[1][1], found[0][1])


def of_messages():
    """Bytes that a device receives, and temporaries over those of one device, of one acceleration."""
    for name, shape in {
        "ring": (8000,),
        "longer ring": (32000,),
        "square": (40, 40),
        "larger square": (80, 80),
    }.items():
        one = lgn.Lagrangian(lgn.lattice(shape), string)
        four, x = lgn.shard(one, MESH), jnp.zeros((int(np.prod(shape)), 1))
        place = jax.device_put(x, four.rows.sharding)
        over = jax.jit(type(four).acceleration).lower(four, place, place).compile()
        messages = sent(over.as_text())
        yield f"halo of {name}", messages.pop("collective-permute")
        yield f"else of {name}", sum(messages.values())
        if name == "longer ring":
            whole = jax.jit(lgn.Lagrangian.acceleration).lower(one, x, x).compile()
            sizes = [program.memory_analysis().temp_size_in_bytes for program in (over, whole)]
            yield "temporaries", sizes[0] / sizes[1]


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    parts = (of_tangled, of_star, of_training, of_samples, of_messages)
    print(json.dumps({name: x for part in parts for name, x in part()}))

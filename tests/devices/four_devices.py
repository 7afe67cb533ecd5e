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
from lgn.mechanics.compilation import bind
from lgn.systems import kdv, wave

MESH = jax.make_mesh((4,), ("nodes",))
RNG = np.random.default_rng(0)
KEY = jax.random.key(0)


def string(q, v, features):
    return 0.5 * v[0, 0] ** 2 - 2.5 * (q[2, 0] - q[0, 0]) ** 2


def heavy(q, v, features):  # with inertia between nodes
    return string(q, v, features) + 0.1 * (v[2, 0] - v[0, 0]) ** 2 - q[0, 0] ** 4


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


def phases(u, features):
    return (u[0, 0] ** 2 - 1) ** 2 / 4 + 0.02 * jnp.sum((u[1:, 0] - u[0, 0]) ** 2)


def oscillators(u, features):  # of u = (q, p), with features of nodes and edges
    joined = jnp.sum(features["k"][1:, None] * (u[1:] - u[0]) ** 2)
    return features["m"][0] * u[0, 1] ** 2 - jnp.cos(u[0, 0]) + joined


def pendulums(u, features):
    return 0.5 * u[0, 1] ** 2 - jnp.cos(u[0, 0]) + 0.1 * (u[2, 0] - u[0, 0]) ** 2


def flows():
    """Energy flows with every kind of structure, in the order of the graph and in another, with clamps and without, and
    with rows that stand for no node."""
    order = RNG.permutation(37)
    graph = networkx.relabel_nodes(networkx.connected_watts_strogatz_graph(37, 4, 0.1, seed=1), dict(enumerate(order)))
    graph = lgn.from_networkx(graph)
    edges = graph.senders.size
    graph = lgn.with_features(graph, {"m": 1 + RNG.random(37)}, {"k": RNG.random(edges), "w": np.full(edges, 0.5)})
    learned = lgn.LearnedStructure(lgn.ConservingKernel((3, 3), rngs=nnx.Rngs(0)))
    yield "kdv", lgn.EnergyFlow(lgn.lattice((48,), spacing=0.2), kdv.density, structure=lgn.FirstDifference())
    yield "phases", lgn.EnergyFlow(lgn.lattice((12, 12)), phases, structure=lgn.Laplacian())
    ends = lgn.lattice((6, 7), periodic=False)
    yield "open ends", lgn.EnergyFlow(ends, phases, structure=learned + lgn.Relaxation(0.2))
    yield "nodes", lgn.EnergyFlow(lgn.lattice((16,)), pendulums, structure=lgn.Symplectic())
    structure = lgn.Damped(0.1) + 0.5 * lgn.Laplacian("w")
    yield "graph", lgn.EnergyFlow(lgn.clamp(graph, [3, 8]), oscillators, structure=structure)


@jax.jit
def flowing(system, u):
    """All that an energy flow tells of a state, in one program; its power, which may be zero, in units of 1 + |H|."""
    (rate,), energy = system.rate((u,)), system.energy(u)
    power = 1 + system.power(u) / (1 + jnp.abs(energy))
    return {"rate": rate, "energy": energy, "gradient": system.gradient(u), "power": power}


def of_flows():
    for name, one in flows():
        four, dim = lgn.shard(one, MESH), 2 if name in ("nodes", "graph") else 1
        u = state(one, dim)[0]
        exact, found = flowing(one, u), flowing(four, u)
        yield f"flow of {name}", max(off(found[key], exact[key]) for key in exact)
        rows, bound = four.domain.rows, bind(four, (u,))
        yield f"adjoint of {name}", off(rows.leave(bound.structure.adjoint(rows.enter(u))), one.structure.adjoint(u))
    new = {"m": 2 + RNG.random(37), "k": RNG.random(one.graph.senders.size)}
    changed, others = one.replace(**new).rate((u,))[0], four.replace(**new)
    yield "flow of a replaced graph", off(others.rate((u,))[0], changed)
    yield "flow of a whole graph", off(others.whole.rate((u,))[0], changed)


def of_motions():
    """Motions by implicit steps of Newton's method, dense and not, and by others, and how much the energy rose."""
    known = dict(flows())
    smooth = {"kdv": kdv.starts(KEY, 1, 48)[0], "phases": state(known["phases"], 1)[0]}
    cases = {"kdv": [lgn.DiscreteGradient(0.01)], "phases": [lgn.ImplicitMidpoint(0.005), lgn.DiscreteGradient(0.1)]}
    for name, integrators in cases.items():
        for integrator in integrators:
            systems = known[name], lgn.shard(known[name], MESH)
            a, b = (lgn.rollout(system, smooth[name], [0.0, 0.1, 0.2], integrator) for system in systems)
            yield f"{name} by {type(integrator).__name__}", max(off(b.u, a.u), off(b.energy, a.energy))
            change = np.diff(b.energy) / np.abs(b.energy[0])
            yield f"energy of {name} by {type(integrator).__name__}", float(change.max())
    one = lgn.Lagrangian(lgn.lattice((60,)), heavy, dissipation=friction, solver=lgn.ConjugateGradient())
    systems, ts = (one, lgn.shard(one, MESH)), [0.0, 0.1, 0.2]
    a, b = (lgn.rollout(system, state(one, 1), ts, lgn.DiscreteGradient(0.1)) for system in systems)
    yield "Lagrangian by DiscreteGradient", max(off(b.q, a.q), off(b.v, a.v), off(b.energy, a.energy))


def of_messages():
    """Bytes that a device receives, and temporaries over those of one device, of one acceleration and of one rate."""
    for name, shape in {"ring": (8000,), "longer ring": (32000,), "square": (40, 40)}.items():
        graph, x = lgn.lattice(shape), jnp.zeros((int(np.prod(shape)), 1))
        density, structure = (kdv.density, lgn.FirstDifference()) if len(shape) == 1 else (phases, lgn.Laplacian())
        flow = lgn.EnergyFlow(graph, density, structure=structure)
        systems = {name: lgn.Lagrangian(graph, string), f"flow, {name}": flow}
        for kind, one in systems.items():
            state = (x,) if "flow" in kind else (x, x)
            four = lgn.shard(one, MESH)
            over = compiled(four, jax.device_put(state, four.domain.rows.sharding))
            messages = sent(over.as_text())
            yield f"halo of {kind}", messages.pop("collective-permute")
            yield f"else of {kind}", sum(messages.values())
            if name == "longer ring":
                sizes = [program.memory_analysis().temp_size_in_bytes for program in (over, compiled(one, state))]
                yield f"temporaries of {kind}", sizes[0] / sizes[1]


def compiled(system, state):
    """Its rate, or its acceleration."""
    program = jax.jit(lambda system, state: system.rate(state)[-1])
    return program.lower(system, state).compile()


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    parts = (of_tangled, of_star, of_training, of_samples, of_flows, of_motions, of_messages)
    print(json.dumps({name: x for part in parts for name, x in part()}))

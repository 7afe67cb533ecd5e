"""The equation of motion of 10,000 random graphs against dense matrices of each, which share no code with `assembly`.

`python tests/laws/test_ten_thousand_graphs.py` shows the number of graphs, the largest errors and the seconds.

Random graphs of 2 to 7 nodes are the components of one graph, numbered at random: one system and one compilation. Each
component is then compared with its own Lagrangian, written over its adjacency matrix and differentiated as a whole.
"""

import sys
import time
from functools import partial
from itertools import product
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lgn

LARGEST = 7  # nodes of a component
CONSTANT, TIME = 0.7, 0.4  # gravity, and the time at which clamps move
SOLVERS = (lgn.BlockDiagonal(), lgn.Banded(), lgn.ConjugateGradient(), lgn.Dense())


class Case(NamedTuple):
    """What a union of graphs is asked."""

    solver: object
    dim: int
    hops: int
    clamps: str
    edges: bool
    friction: bool


def cases():
    """Every solver in every dimension with every number of hops; clamps, terms on edges and friction take turns."""
    for number, (solver, dim, hops) in enumerate(product(SOLVERS, (1, 2, 3), range(4))):
        clamps = ("none", "rest", "moving")[(number + number // 12) % 3]
        edges, friction = (number + number // 4) % 2 == 0, (number // 2 + number // 12) % 2 == 0
        yield Case(solver, dim, hops, clamps, edges, friction)


# -- As a user writes it: densities of slots ---------------------------------------------------------------------------


def separate(q, v, features):
    """Mass, pairs within reach by the charge of the other, springs along edges, and q beside v of other nodes."""
    apart, charge = q - q[0], features["mask"] * features["charge"]
    kinetic = features["mass"][0] * (1 + 0.1 * jnp.cos(q[0, 0])) * jnp.sum(v[0] ** 2)
    pull = jnp.sum(charge[:, None] * jnp.cosh(0.3 * apart)) + jnp.sum(features["spring"][:, None] * jnp.cos(apart))
    turned = 0.2 * v[0, 0] * q[0, 0] ** 3 + 0.1 * jnp.sum(charge * (q @ v[0]))
    return kinetic - pull + turned - features["gravity"] * q[0, -1]


def together(q, v, features):
    """Velocities within reach, too."""
    speed = jnp.sum((features["mask"] * features["charge"])[:, None] * (v - v[0]) ** 2)
    return separate(q, v, features) + 0.05 * speed * (1 + jnp.sin(q[0, 0]) ** 2)


def on_edge(q, v, features):
    """Not the same from both ends: slot 0 is the smaller number."""
    spring = features["spring"][1]
    return 0.1 * spring * (q[0] @ v[0]) * q[1, 0] - 0.25 * spring * jnp.sum((q[1] - q[0]) ** 4)


def on_edge_coupled(q, v, features):
    return on_edge(q, v, features) + 0.1 * features["spring"][1] * jnp.sum((v[1] - 0.5 * v[0]) ** 2)


def rubbing(q, v, features):
    return 0.5 * features["mass"][0] * (1 + q[0, 0] ** 2) * jnp.sum(v[0] ** 2)


def dragging(q, v, features):
    return 0.1 * features["spring"][1] * jnp.sum((v[1] - v[0]) ** 4)


# -- The same over matrices of one component ---------------------------------------------------------------------------


def lagrangian(q, v, c):
    """Of a component: `reach` and `spring` are (node, node), row i is what node i sees."""
    apart, speed = q[None] - q[:, None], v[None] - v[:, None]  # (i, j) from i to j
    seen = c["reach"] * c["charge"][None, :]
    kinetic = c["mass"] * (1 + 0.1 * jnp.cos(q[:, 0])) * jnp.sum(v**2, 1)
    shared = 0.05 * jnp.einsum("ij,ijd,i->i", seen, speed**2, 1 + jnp.sin(q[:, 0]) ** 2)
    itself = seen + jnp.diag(c["charge"])  # slot 0 is the node
    pull = jnp.einsum("ij,ijd->i", itself, jnp.cosh(0.3 * apart))
    pull += jnp.einsum("ij,ijd->i", c["near"] * c["spring"], jnp.cos(apart))
    turned = 0.2 * v[:, 0] * q[:, 0] ** 3 + 0.1 * jnp.einsum("ij,jd,id->i", itself, q, v)
    nodes = kinetic + c["coupled"] * shared - pull + turned - CONSTANT * q[:, -1]
    above = jnp.triu(c["spring"]) * c["edges"]  # i < j
    edges = 0.1 * jnp.einsum("ij,i,j->", above, jnp.sum(q * v, 1), q[:, 0])
    edges -= 0.25 * jnp.einsum("ij,ijd->", above, apart**4)
    edges += 0.1 * c["coupled"] * jnp.einsum("ij,ijd->", above, (v[None] - 0.5 * v[:, None]) ** 2)
    return jnp.sum(c["real"] * nodes) + edges


def dissipation(q, v, c):
    above, speed = jnp.triu(c["spring"]), v[None] - v[:, None]
    nodes = 0.5 * c["mass"] * (1 + q[:, 0] ** 2) * jnp.sum(v**2, 1)
    return c["friction"] * (jnp.sum(c["real"] * nodes) + 0.1 * jnp.einsum("ij,ijd->", above, speed**4))


@jax.jit
@partial(jax.vmap, in_axes=(0, 0, 0))
def derivatives(q, v, c):
    """M, p and f of a component, as whole matrices."""
    size = q.size
    mass = jax.hessian(lagrangian, 1)(q, v, c).reshape(size, size)
    mixed = jax.jacfwd(jax.grad(lagrangian, 1), 0)(q, v, c).reshape(size, size)
    f = jax.grad(lagrangian)(q, v, c).ravel() - mixed @ v.ravel() - jax.grad(dissipation, 1)(q, v, c).ravel()
    return mass, jax.grad(lagrangian, 1)(q, v, c).ravel(), f


# -- Both, compared ----------------------------------------------------------------------------------------------------


def connected(random):
    """Adjacency matrix of a random connected graph."""
    n = random.integers(2, LARGEST + 1)
    A = np.zeros((n, n))
    for i in range(1, n):
        A[i, random.integers(i)] = 1
    A = np.maximum(A, random.random((n, n)) < random.choice([0.0, 0.2, 0.5]))
    A = np.tril(A, -1)
    order = random.permutation(n)
    return (A + A.T)[order][:, order]


def reached(A, hops):
    """(i, j): whether j is another node at most so many edges from i, by powers of the matrix."""
    within = np.linalg.matrix_power(A + np.eye(len(A)), hops) > 0
    return within & ~np.eye(len(A), dtype=bool)


def compare(case, count, seed):
    """Largest relative errors of M, p, f and a over the components of a union."""
    random = np.random.default_rng(seed)
    graphs = [connected(random) for _ in range(count)]
    sizes = [len(A) for A in graphs]
    total = sum(sizes)
    numbers = [np.sort(x) for x in np.split(random.permutation(total), np.cumsum(sizes)[:-1])]
    mass, charge = random.uniform(0.5, 2, total), random.uniform(0.5, 2, total)
    q, v, pushed = random.normal(size=(3, total, case.dim)) * 0.7
    clamped = np.flatnonzero(random.random(total) < 0.2) if case.clamps != "none" else np.zeros(0, int)
    springs = [A * random.uniform(0.5, 2, A.shape) for A in graphs]
    ends = [(number[np.stack(np.nonzero(A))], K[A > 0]) for number, A, K in zip(numbers, graphs, springs, strict=True)]
    (receivers, senders), spring = np.concatenate([e for e, _ in ends], 1), np.concatenate([k for _, k in ends])

    graph = lgn.from_edges(total, senders, receivers, None, {"spring": spring}, {"mass": mass, "charge": charge})
    graph = lgn.with_features(graph, graph_features={"gravity": CONSTANT})
    coupled = not isinstance(case.solver, lgn.BlockDiagonal)
    terms = [(together if coupled else separate, partial(lgn.node_stencil, hops=case.hops))]
    terms += [(on_edge_coupled if coupled else on_edge, lgn.edge_stencil)] if case.edges else []
    moved = jnp.asarray(q)
    L = lgn.Lagrangian(
        lgn.clamp(graph, clamped),
        terms,
        dissipation=[(rubbing, lgn.node_stencil), (dragging, lgn.edge_stencil)] if case.friction else None,
        force=jnp.asarray(pushed),
        motion=(lambda t: moved * jnp.sin(2 * t)) if case.clamps == "moving" and clamped.size else None,
        solver=case.solver,
    )

    @jax.jit
    def moves(L, q, v):
        matrix, f = L.equation(q, v, TIME)
        return matrix, L.momentum(q, v), f, L.acceleration(q, v, TIME)

    matrix, *found = moves(L, jnp.asarray(q), jnp.asarray(v))
    matrix, found = matrix.sparse().tocsr(), [np.asarray(x) for x in found]
    imposed = -4 * np.sin(2 * TIME) * q if case.clamps == "moving" else np.zeros_like(q)

    def padded(values):
        """(component, node, ...) of (node, ...)."""
        out = np.zeros((count, LARGEST, *values.shape[1:]))
        for row, number in zip(out, numbers, strict=True):
            row[: len(number)] = values[number]
        return out

    def square(matrices):
        return np.stack([np.pad(A, (0, LARGEST - len(A))) for A in matrices])

    each = {"real": padded(np.ones(total)), "mass": padded(mass), "charge": padded(charge), "spring": square(springs)}
    each["reach"] = square([reached(A, case.hops) for A in graphs])
    each["near"] = square([A * (case.hops > 0) for A in graphs])
    for name in ("coupled", "edges", "friction"):
        each[name] = np.full(count, float(coupled if name == "coupled" else getattr(case, name)))
    whole = [np.asarray(x) for x in derivatives(padded(q), padded(v), each)]

    worst = np.zeros(4)
    for number, M, p, f in zip(numbers, *whole, strict=True):
        n = number.size * case.dim
        rows = (number[:, None] * case.dim + np.arange(case.dim)).ravel()
        M, p, f = M[:n, :n], p[:n], f[:n] + pushed[number].ravel()
        held = np.repeat(np.isin(number, clamped), case.dim)
        a = np.where(held, imposed[number].ravel(), 0.0)
        a[~held] = np.linalg.solve(M[~held][:, ~held], f[~held] - M[~held][:, held] @ a[held])
        ours = [matrix[rows][:, rows].toarray(), *(x[number].ravel() for x in found)]
        errors = [np.abs(x - y).max() / np.abs(y).max() for x, y in zip(ours, (M, p, f, a), strict=True) if np.any(y)]
        worst[: len(errors)] = np.maximum(worst[: len(errors)], errors)
    return worst


@pytest.mark.parametrize("number", [1, 18, 31, 40])  # each solver once
def test_equation_of_motion_of_random_graphs(number):
    assert (compare(list(cases())[number], 12, number) < 1e-9).all()


@pytest.mark.slow
def test_equation_of_motion_of_ten_thousand_random_graphs():
    assert (campaign(10_000) < 1e-9).all()


def campaign(count):
    """Largest errors over so many graphs."""
    every = list(cases())
    began, each = time.perf_counter(), -(-count // len(every))
    worst = np.zeros(4)
    for number, case in enumerate(every):
        errors = compare(case, each, number)
        worst = np.maximum(worst, errors)
        print(*case, *(f"{name} {x:.1e}" for name, x in zip("Mpfa", errors, strict=True)))
    seconds = time.perf_counter() - began
    print(f"{each * len(every)} graphs, {seconds:.0f} s:", worst)
    return worst


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    campaign(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)

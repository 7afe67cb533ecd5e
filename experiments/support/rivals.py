"""Rivals: ways to compute the acceleration on a ring, make(n) -> acceleration(density, q, v), all (n,), and the tests
of a single piece of lgn against scipy and against its own arithmetic."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
from flax import nnx
from jax.flatten_util import ravel_pytree

import lgn
from lgn._pytrees import Static
from lgn.assembly.matrix import BlockMatrix, pattern
from lgn.harness.timing import compiled, interleaved
from lgn.solvers.banded import solve_band

FLOP_PER_NODE = 56e3  # closed-form expansion of the density 6-64-64-1
TOLERANCE = 1e-8  # relative, between the methods


@cache
def density():
    """MLP 6-64-64-1 on a node and its two neighbours."""
    return lgn.MLPDensity(3, 1, (64, 64), rngs=nnx.Rngs(0))


def total(density, q, v):
    """The global L as one would write it without a library; slots: self, left, right."""
    q, v = (jnp.stack([x, jnp.roll(x, 1), jnp.roll(x, -1)], 1)[..., None] for x in (q, v))
    return jnp.sum(jax.vmap(lambda q, v: density(q, v, {}))(q, v))


def published(n):
    """Dense v-Hessian and mixed term of the global L, pseudo-inverse (Cranmer et al. 2020, equation 6)."""

    def acceleration(density, q, v):
        L = partial(total, density)
        mixed = jax.jacobian(jax.jacobian(L, 1), 0)(q, v)
        return jnp.linalg.pinv(jax.hessian(L, 1)(q, v)) @ (jax.grad(L)(q, v) - mixed @ v)

    return acceleration


def dense_solve(n):
    """The same Hessian, an LU solve, the mixed term by one JVP."""

    def acceleration(density, q, v):
        return jnp.linalg.solve(jax.hessian(partial(total, density), 1)(q, v), force_by_jvp(density, q, v))

    return acceleration


def coloured(n):
    """v-Hessian by coloured Hessian-vector products, solved by lgn's band; pattern and colouring are given."""
    import asdex

    rows = np.repeat(np.arange(n), 5)
    columns = (rows.reshape(n, 5) + np.arange(-2, 3)).ravel() % n
    sparsity = asdex.SparsityPattern.from_coo(rows, columns, (n, n))
    colouring = asdex.hessian_coloring_from_sparsity(sparsity, symmetric=False)  # 5 colours; symmetric takes 6
    ring = pattern(n, Static((np.arange(n)[:, None] + np.arange(-1, 2)) % n))
    place = np.argsort(ring.order)
    lower = np.flatnonzero(place[rows] >= place[columns])
    target = (place[rows] - place[columns])[lower], place[columns][lower]

    def acceleration(density, q, v):
        entries = asdex.hessian_from_coloring(lambda v: total(density, q, v), colouring)(v).data
        band = jnp.zeros((ring.half_bandwidth + 1, n)).at[target].set(entries[lower])
        return solve_band(band, force_by_jvp(density, q, v)[ring.order])[0][place]

    return acceleration


def elementwise(n):
    """`Lagrangian.acceleration`."""
    graph = lgn.lattice((n,))

    def acceleration(density, q, v):
        return lgn.Lagrangian(graph, density).acceleration(q[:, None], v[:, None])[:, 0]

    return acceleration


METHODS = {"published": published, "dense solve": dense_solve, "asdex": coloured, "lgn": elementwise}
GROWTH = {"published": 2, "dense solve": 2, "asdex": 1, "lgn": 1}  # seconds as a power of n, at least


def force_by_jvp(density, q, v):
    """dL/dq - (d2L/dv dq) v from one JVP of both gradients."""
    gradients = jax.grad(partial(total, density), (0, 1))
    (force, _), (_, convection) = jax.jvp(lambda q: gradients(q, v), (q,), (v,))
    return force - convection


def compiled_call(quantity: str, method: str, n: int, seed: int):
    """A call without arguments, of the acceleration or a training gradient; its seconds to compile, its bytes."""
    structure, state = nnx.split(density())
    weights, unravel = ravel_pytree(state)
    q, v, target = (jnp.asarray(x) for x in np.random.default_rng(seed).normal(size=(3, n)))
    accelerate = METHODS[method](n)

    def acceleration(weights, q, v, target):
        return accelerate(nnx.merge(structure, unravel(weights)), q, v)

    def loss(weights, q, v, target):
        return jnp.mean((acceleration(weights, q, v, target) - target) ** 2)

    function = acceleration if quantity == "acceleration" else jax.grad(loss)
    executable, seconds, needed = compiled(function, weights, q, v, target)
    return partial(executable, weights, q, v, target), seconds, needed


def check_agreement(results: dict, where: str) -> None:
    """Raises AssertionError where a method does not give lgn's numbers."""
    values = {name: ravel_pytree(result)[0] for name, result in results.items()}
    for name, value in values.items():
        difference = jnp.linalg.norm(value - values["lgn"]) / jnp.linalg.norm(values["lgn"])
        assert difference < TOLERANCE, f"{where}: {name} and lgn differ by {float(difference):.1e}"


def flop_floor(seed: int, quick: bool, n: int = 10_000) -> float:
    """lgn's time over the time its arithmetic takes at the rate of a product with a kernel of 64 x 64."""
    inputs, kernel = jnp.ones((6 * n, 64)), jnp.ones((64, 64))
    product = partial(compiled(jnp.matmul, inputs, kernel)[0], inputs, kernel)
    t = interleaved({"product": product, "lgn": compiled_call("acceleration", "lgn", n, seed)[0]}, quick)
    return t["lgn"][0] * 2 * inputs.size * 64 / t["product"][0] / (n * FLOP_PER_NODE)


def banded_over_scipy(seed: int, quick: bool, batch: int = 1, n: int = 10_000) -> float:
    """lgn's band over scipy.linalg.solveh_banded, positive definite pentadiagonal systems."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(batch, n - 2, 3, 3))
    blocks = jnp.asarray(x @ x.swapaxes(-1, -2) + np.eye(3))[:, :, :, None, :, None]
    chain = pattern(n, Static(np.arange(n - 2)[:, None] + np.arange(3)))
    bands = jax.vmap(lambda block: BlockMatrix(chain, (block,), 1).band())(blocks)
    rights = jnp.asarray(random.normal(size=(batch, n)))
    arguments = (bands[0], rights[0]) if batch == 1 else (bands, rights)
    solve = compiled(solve_band if batch == 1 else jax.vmap(solve_band), *arguments)[0]
    hosts = [(np.asarray(band), np.asarray(right)) for band, right in zip(bands, rights, strict=True)]

    def by_scipy():
        return [scipy.linalg.solveh_banded(band, right, lower=True, check_finite=False) for band, right in hosts]

    assert chain.half_bandwidth == 2 and np.allclose(solve(*arguments)[0], by_scipy(), rtol=TOLERANCE)
    t = interleaved({"lgn": partial(solve, *arguments), "scipy": by_scipy}, quick)
    return t["lgn"][0] / t["scipy"][0]


def jit_eager_difference(seed: int, n: int = 20_000) -> float:
    """Largest difference of L, force and acceleration, each relative to its largest entry."""
    L = lgn.Lagrangian(lgn.lattice((n,)), density())
    q, v = jnp.asarray(np.random.default_rng(seed).normal(size=(2, n, 1)))
    pairs = [(f(q, v), jax.jit(f)(q, v)) for f in (lambda q, v: L(q, v), L.force, L.acceleration)]
    return float(max(jnp.max(jnp.abs(a - b)) / jnp.max(jnp.abs(a)) for a, b in pairs))

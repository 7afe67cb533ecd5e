"""Samples: the elements of all samples as one axis give what each sample gives alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import lgn
from lgn.learning.problem import Problem
from lgn.learning.samples import at_states, on_samples
from lgn.systems import double_pendulum, wave


def weighted(q, v, features):
    """A density that reads a feature."""
    return 0.5 * features["mass"][0] * v[0, 0] ** 2 - 0.5 * jnp.sum((q[1:, 0] - q[0, 0]) ** 2)


def a_string(rngs):
    density = lgn.MLPDensity(3, 1, (5, 5), relative=True, rngs=rngs)
    friction = lgn.PositiveForm(3, 1, (4,), rngs=rngs)
    return lgn.Lagrangian(lgn.lattice((5,)), density, dissipation=friction), wave.sample(jax.random.key(0), 7, 5)


def two_terms(rngs):
    density = lgn.MLPDensity(2, 1, (5,), mass=None, rngs=rngs)
    terms = [(lgn.kinetic_energy, lgn.node_stencil), (density, lgn.edge_stencil)]
    graph = lgn.clamp(lgn.lattice((6,), periodic=False), [0])
    data = wave.sample(jax.random.key(0), 7, 6)
    held = jnp.ones((6, 1)).at[0].set(0.0)
    return lgn.Lagrangian(graph, terms), lgn.States(data.q * held, data.v * held, data.a * held)


def pendulums(rngs):
    density = lgn.MLPDensity(1, 2, (6,), mass=0.02, v_scale=5.0, angles=(0, 1), rngs=rngs)
    return lgn.Lagrangian(lgn.single_node(), density), double_pendulum.sample(jax.random.key(0), 4000)


@pytest.mark.parametrize(
    ("case", "loss"),
    [
        (a_string, lgn.acceleration_loss),
        (pendulums, lgn.acceleration_loss),
        (two_terms, lgn.acceleration_loss),
        (two_terms, lgn.residual_loss),
    ],
)
def test_loss_and_gradient_are_those_of_samples_one_by_one(case, loss, monkeypatch):
    system, data = case(nnx.Rngs(0))
    problem = Problem(system, jax.tree.map(jnp.asarray, data.check()), loss)
    value, gradient = problem.log_and_gradient(None)(problem.x)
    monkeypatch.setattr("lgn.learning.losses.at_states", on_samples)
    alone, of_alone = Problem(system, problem.data, loss).log_and_gradient(None)(problem.x)
    np.testing.assert_allclose(value, alone, rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(gradient, of_alone, rtol=0, atol=1e-13 * np.abs(of_alone).max())


def test_each_sample_has_its_own_features():
    graph = lgn.with_features(lgn.lattice((4,)), {"mass": np.ones(4)})
    system = lgn.Lagrangian(graph, weighted)
    masses = jnp.asarray(np.random.default_rng(0).uniform(1, 2, (3, 4)))
    q, v = jnp.asarray(np.random.default_rng(1).normal(size=(2, 3, 4, 1)))
    data = lgn.States(q, v, q, features={"mass": masses})
    found = at_states(lambda system, state, t: system.acceleration(*state, t), system, data)
    each = [system.replace(mass=m).acceleration(*x) for m, *x in zip(masses, q, v, strict=True)]
    np.testing.assert_allclose(found, np.stack(each), rtol=1e-13)


def test_samples_beyond_the_cache_take_no_memory_in_proportion():
    """4,000 samples of one node are as many elements, which are divided into pieces though each sample is small."""

    def bytes_of(count):
        system, _ = pendulums(nnx.Rngs(0))
        data = double_pendulum.sample(jax.random.key(0), count)
        problem = Problem(system, data)
        program = jax.jit(jax.grad(lambda x: problem.loss(problem.system_at(x), data)))
        return program.lower(problem.x).compile().memory_analysis().temp_size_in_bytes

    assert bytes_of(24_000) < 4 * bytes_of(3_000)

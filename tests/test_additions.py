"""What docs/contributing.md promises: a density or a physical system is one file and one entry in one table."""

import importlib
import sys
import types

import jax
import numpy as np
import pytest
from flax import nnx

import lgn
from lgn import _names

DENSITY = '''
"""Toy: a spring that is learned."""
import jax.numpy as jnp
from flax import nnx
from lgn.densities.density import Density
from lgn.densities.inputs import Inputs


class Toy(Density):
    def __init__(self, dim, rngs, **inputs):
        self.dim, self.inputs = dim, Inputs(1, dim, **inputs)
        self.stiffness = nnx.Param(rngs.params.uniform(()))

    def __call__(self, q, v, features):
        return 0.5 * jnp.sum(v**2) - self.stiffness[...] * jnp.sum(self.inputs.place(q) ** 2)
'''
SYSTEM = '''
"""Toy: a free particle."""
import jax.numpy as jnp


def density(q, v, features):
    return 0.5 * jnp.sum(v**2)
'''


@pytest.fixture
def add(monkeypatch):
    def add(name, text):
        module = types.ModuleType(name)
        exec(text, module.__dict__)
        monkeypatch.setitem(sys.modules, name, module)
        return module

    return add


def round_trip(system, folder):
    lgn.save(folder, system)
    loaded = lgn.load(folder)
    q, v = np.random.default_rng(0).normal(size=(2, 1, 2))
    np.testing.assert_array_equal(loaded.acceleration(q, v), system.acceleration(q, v))
    return loaded


def test_a_density_is_a_file_and_an_entry_in_the_table_of_names(add, tmp_path, monkeypatch):
    add("lgn.densities.toy", DENSITY)
    for table in (_names.MODULE, _names.FOUND):  # both are made of the one that holds the entry
        monkeypatch.setitem(table, "Toy", "densities.toy")
    system = lgn.Lagrangian(lgn.single_node(), lgn.Toy(2, nnx.Rngs(7), q_scale=(1.0, 3.0)))
    loaded = round_trip(system, tmp_path / "a")
    assert loaded.density.config() == system.density.config()
    data = lgn.States(*np.ones((3, 4, 1, 2)))
    fit = lgn.fit(loaded, data, key=jax.random.key(0), phases=[lgn.QuasiNewton(5)])
    assert fit.history[-1].loss < fit.history[0].loss


def test_a_physical_system_is_a_file(add, tmp_path):
    toy = add("lgn.systems.toy", SYSTEM)
    loaded = round_trip(lgn.Lagrangian(lgn.single_node(), toy.density), tmp_path / "a")
    assert loaded.density is importlib.import_module("lgn.systems.toy").density

"""Fingerprints: equal for what decides equally, in every process, and different for whatever else."""

import dataclasses
import functools
import os
import subprocess
import sys
import threading
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import lgn
from lgn.checkpoint.identity import difference, fingerprint, outline

WEIGHT = 2.0


def helper(x, scale=1.0):
    return WEIGHT * scale * x


def scaled(weight):
    return lambda system, data: weight * jnp.sum(data.q)


def alike(system, data):
    return helper(data)


@dataclasses.dataclass(frozen=True)
class Weighted:
    weight: float = 1.0
    inner: object = alike

    def __call__(self, system, data):
        return self.weight * self.inner(system, data)


class Slotted:
    __slots__ = ("size",)

    def __init__(self, size):
        self.size = size


@functools.lru_cache
def remembered(x):
    return x


def lagrangian(**settings):
    settings = {"hidden": (4,), "mass": 1.0, "activation": jnp.tanh} | settings
    graph = settings.pop("graph", lgn.lattice((5,)))
    solver = settings.pop("solver", None)
    return lgn.Lagrangian(graph, lgn.MLPDensity(3, 1, rngs=nnx.Rngs(0), **settings), solver=solver)


@pytest.mark.parametrize(
    "different",
    [
        lambda: [scaled(1.0), scaled(2.0)],
        lambda: [optax.adam(1e-3), optax.adam(1e-4), optax.adam(optax.cosine_decay_schedule(1e-3, 10))],
        lambda: [optax.chain(optax.clip(1.0), optax.adam(1e-3)), optax.chain(optax.clip(2.0), optax.adam(1e-3))],
        lambda: [Weighted(), Weighted(2.0), Weighted(inner=helper)],
        lambda: [functools.partial(helper, scale=2.0), functools.partial(helper, scale=3.0), helper],
        lambda: [lambda x: x + 1, lambda x: x + 2, lambda x: x - 1, lambda y, x=3: x],
        lambda: [jax.jit(helper), jax.jit(alike), helper],
        lambda: [Slotted(1), Slotted(2), Slotted(np.float64(1)), Slotted(True)],
        lambda: [remembered, functools.lru_cache(helper)],
        lambda: [1, 1.0, True, "1", b"1", None, -0.0, 0.0, float("nan"), 1j],
        lambda: [np.ones(3), np.ones(3, np.float32), np.ones((3, 1)), jnp.ones(3), np.arange(3), [1.0, 1.0, 1.0]],
        lambda: [{"a": 1, "b": 2}, {"a": 2, "b": 1}, {"a": 1}, {1: "a"}, {"a", "b"}, ("a", "b"), ["a", "b"]],
        lambda: [jax.random.key(0), jax.random.key(1), jax.random.PRNGKey(0), jax.random.key(0, impl="rbg")],
        lambda: [lagrangian(), lagrangian(hidden=(5,)), lagrangian(mass=2.0), lagrangian(mass=None),
                 lagrangian(mass=nnx.Param(jnp.array(1.0))), lagrangian(activation=jax.nn.softplus),
                 lagrangian(graph=lgn.lattice((5,), periodic=False)), lagrangian(solver=lgn.Dense()),
                 lagrangian(graph=lgn.clamp(lgn.lattice((5,)), [1])), lagrangian(relative=True),
                 lagrangian(graph=lgn.lattice((5,), spacing=0.5))],
        lambda: [jnp.sin, jnp.cos, np.sin, jax.nn.relu, jax.nn.silu, lgn.acceleration_loss, lgn.rate_loss],
        lambda: [lgn.QuasiNewton(), lgn.QuasiNewton(5), lgn.QuasiNewton(tolerance=1.0), lgn.QuasiNewton(name="x"),
                 lgn.QuasiNewton(objective=alike), lgn.pretrain(), lgn.LimitedMemory(), lgn.LimitedMemory(memory=3)],
    ],
)  # fmt: skip
def test_what_is_made_alike_is_equal_and_all_else_differs(different):
    found = [fingerprint(x) for x in different()]
    assert len(set(found)) == len(found)
    assert found == [fingerprint(x) for x in different()]


def test_a_global_that_a_function_reads_decides(monkeypatch):
    before = fingerprint(alike)
    monkeypatch.setattr(sys.modules[__name__], "WEIGHT", 3.0)
    assert fingerprint(alike) != before


def test_a_cached_property_and_a_compiled_call_decide_nothing():
    class Lazy:
        @functools.cached_property
        def table(self):
            return [1, 2]

    lazy, system = Lazy(), lagrangian()
    before = fingerprint((lazy, system, remembered, helper))
    assert lazy.table and remembered(1) and system.terms[0].stencil.runs and repr(system)
    system.acceleration(jnp.ones((5, 1)), jnp.ones((5, 1)))
    assert fingerprint((lazy, system, remembered, helper)) == before


def test_values_within_themselves():
    def odd(n):
        return even(n - 1)

    def even(n):
        return odd(n - 1) or circle

    circle = [1]
    circle.append(circle)
    assert fingerprint(circle) == fingerprint(circle) and fingerprint(odd) != fingerprint(even)


def test_what_cannot_be_read_is_named():
    for bad in (threading.Lock(), (x for x in "ab"), sys.stdout):
        with pytest.raises(lgn.CheckpointError, match=r"loss\.weight\['a'\]\[0\] is a .*leave out the folder"):
            outline({"loss": Weighted({"a": [bad]})})
    with pytest.raises(lgn.CheckpointError, match="traced"):
        jax.jit(fingerprint)(jnp.ones(2))


def test_the_innermost_difference_is_named():
    def of(rate, size, steps):
        return outline({"phases": (lgn.Minibatch(optax.adam(rate), steps, 10),), "system": lagrangian(hidden=size)})

    first = of(1e-3, (4,), 10)
    assert difference(first, of(1e-3, (4,), 10)) == []
    assert difference(first, of(1e-3, (4,), 20)) == ["phases[0].steps"]
    assert difference(first, of(1e-2, (4,), 10)) == ["phases[0].optimizer.update"]
    assert "system.functional.terms[0].density.hidden[0]" in difference(first, of(1e-3, (5,), 10))


SCRIPT = """
import jax, lgn, optax
from lgn.checkpoint.identity import fingerprint
rate = 1e-3
def make(k):
    return lambda system, data: k * rate * len({"a", "b"}) * lgn.acceleration_loss(system, data)
class Mine:
    colours = {"red", "green", "blue"}
    def __call__(self, x): return make(2)(x, x)
print(fingerprint((make(2), Mine(), optax.adam(rate), jax.random.key(0), lgn.lattice((5,)))))
"""


def test_other_processes_find_the_same(capsys):
    environment = {**os.environ, "PYTHONHASHSEED": "1", "JAX_ENABLE_X64": "1"}
    command, root = [sys.executable, "-c", SCRIPT], Path(__file__).parents[2]
    there = subprocess.run(command, cwd=root, env=environment, check=True, capture_output=True, text=True).stdout
    exec(SCRIPT, {"__name__": "__main__"})
    assert len(there) > 30 and capsys.readouterr().out == there

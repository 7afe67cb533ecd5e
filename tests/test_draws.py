"""Draws have the bits of `jax.random`, and initialisers those of flax."""

import jax
import numpy as np
import pytest
from flax import nnx

import lgn
from lgn import _draws

CALLS = {
    "normal": [((2, 20, 10, 1),), ((3, 8), np.float32)],
    "uniform": [((301,), float, -0.7, 2.1), ((30,), np.float32, -1.0, 1.0)],
    "truncated_normal": [(-2, 2, (30, 7)), (-2, 2, (30, 7), np.float32)],
}


@pytest.mark.parametrize("name", CALLS)
def test_the_bits_are_those_of_jax(name):
    key, function = jax.random.key(3), getattr(jax.random, name)
    for arguments in CALLS[name]:
        np.testing.assert_array_equal(getattr(_draws, name)(key, *arguments), function(key, *arguments))
    program = lambda key: function(key, *arguments)  # noqa: E731
    two, three = (jax.jit(program, compiler_options={_draws.LEVEL: level})(key) for level in (2, 3))
    np.testing.assert_array_equal(two, three)
    np.testing.assert_array_equal(jax.jit(lambda key: getattr(_draws, name)(key, *arguments))(key), program(key))


def test_initialisers_are_those_of_flax():
    key, shape = jax.random.key(5), (6, 4)
    for ours, theirs in [
        (lgn.lecun_normal(0, 3), nnx.initializers.lecun_normal()),
        (lgn.small_output(0, 3), nnx.initializers.variance_scaling(1.0, "fan_in", "normal")),
        (lgn.small_output(2, 3), nnx.initializers.variance_scaling(1e-4, "fan_in", "normal")),
    ]:
        for dtype in (np.float32, np.float64):
            np.testing.assert_array_max_ulp(ours(key, shape, dtype), theirs(key, shape, dtype), 2)  # 0 on jax 0.10

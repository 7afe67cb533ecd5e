"""jax releases that return wrong numbers are refused, and this one does not."""

import jax
import jax.numpy as jnp
import jaxlib
import numpy as np
import pytest

from lgn._guard import WRONG, check_jax

pytestmark = pytest.mark.newest


@pytest.fixture(autouse=True)
def ask_anew():
    check_jax.cache_clear()
    yield
    check_jax.cache_clear()


@pytest.mark.parametrize("version", WRONG)
def test_a_wrong_release_is_named_and_so_is_the_remedy(monkeypatch, version):
    monkeypatch.setattr(jaxlib, "__version__", version)
    for _ in range(2):  # an error is not remembered as a pass
        with pytest.raises(RuntimeError, match=rf"(?s)jaxlib {version} .*wrong float64.*39103.*jax==0\.10\.1"):
            check_jax()


def test_other_releases_pass_and_are_asked_once(monkeypatch):
    check_jax()
    monkeypatch.setattr(jaxlib, "__version__", WRONG[0])
    check_jax()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_this_release_multiplies_many_rows_rightly(dtype):
    """The program of jax issue 39103, in whole numbers, which are exact; jaxlib 0.10.2 fails."""
    rows = np.zeros((40_000, 3), dtype)
    rows[:, 0] = np.arange(40_000) % 4096
    squares = jax.jit(jax.vmap(lambda row: jnp.sum((jnp.eye(3, dtype=dtype) @ row) ** 2)))(rows)
    np.testing.assert_array_equal(squares, rows[:, 0] ** 2)

"""jax releases that return wrong numbers are refused, and this one does not."""

import jax
import jaxlib
import pytest

from lgn import _guard
from lgn._guard import WRONG, check_jax

pytestmark = pytest.mark.newest


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path):
    """An empty cache folder of the user; each check is asked anew."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    check_jax.cache_clear()
    yield tmp_path / "lgn"
    check_jax.cache_clear()


@pytest.fixture
def tries(monkeypatch):
    """The dtypes that are tried, with an answer that a test may change."""
    found = {"tried": [], "right": True}
    monkeypatch.setattr(_guard, "multiplies_rightly", lambda dtype: found["tried"].append(dtype) or found["right"])
    return found


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


def test_a_release_is_tried_once_for_all_processes(monkeypatch, folder, tries):
    for version, expected in [("0.12.7", 2), ("0.12.7", 2), ("0.12.8", 4)]:
        monkeypatch.setattr(jaxlib, "__version__", version)
        check_jax.cache_clear()
        check_jax()
        assert len(tries["tried"]) == expected
    assert len(list(folder.iterdir())) == 2


def test_wrong_numbers_are_refused_and_tried_again(folder, tries):
    tries["right"] = False
    for _ in range(2):
        with pytest.raises(RuntimeError, match=r"returns wrong float64 numbers.*jax==0\.12\.0\.1"):
            check_jax()
    assert len(tries["tried"]) == 2 and not folder.exists()


def test_without_a_folder_that_can_be_written_each_process_tries(folder, tries):
    folder.write_text("a file where the folder would be")
    for _ in range(2):
        check_jax.cache_clear()
        check_jax()
    assert len(tries["tried"]) == 4


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_this_release_multiplies_many_rows_rightly(dtype):
    """The program of jax issue 39103, in whole numbers, which are exact; jaxlib 0.10.2 fails."""
    assert _guard.multiplies_rightly(dtype)
    assert jax.jit(lambda x: x if _guard.multiplies_rightly(dtype) else -x)(1.0) == 1.0

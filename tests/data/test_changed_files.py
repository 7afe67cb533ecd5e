"""Files that change between `lgn.read` and the first number that is needed; what a format cannot hold."""

import shutil

import numpy as np
import pytest

import lgn

SQUARE = lgn.from_mesh([[0, 0], [1, 0], [1, 1], [0, 1]], [[0, 1, 2], [0, 2, 3]])
Q = np.random.default_rng(0).normal(size=(6, 4, 1))
RECORDING = lgn.Recording(np.arange(6.0), Q)


@pytest.mark.parametrize("ending", [".h5", ".nc", ".xdmf"])
@pytest.mark.parametrize(
    "later",
    [
        RECORDING._replace(t=np.arange(3.0), q=Q[:3]),
        RECORDING._replace(q=np.concatenate([Q, Q], -1)),
        RECORDING._replace(t=np.arange(3.0), q=np.concatenate([Q, Q], -1)[:3]),
    ],
    ids=["shorter", "of two components", "of as many numbers"],
)
def test_no_number_comes_from_a_file_that_became_another(ending, later, tmp_path):
    path = lgn.write(tmp_path / f"a{ending}", RECORDING, of=SQUARE)
    opened = lgn.read(path)
    lgn.write(path, later, of=SQUARE)
    with pytest.raises(ValueError, match=r"was changed since it was opened.*read it again|its mesh changes"):
        opened.windows(2)


def test_numbers_beside_a_mesh_that_are_gone(tmp_path):
    opened = lgn.read(lgn.write(tmp_path / "a.pvd", RECORDING, of=SQUARE))
    shutil.rmtree(tmp_path / "a")
    with pytest.raises(FileNotFoundError, match=r"000000\.vtu.* is no longer there"):
        opened.windows(2)
    opened = lgn.read(lgn.write(tmp_path / "a.xdmf", RECORDING, of=SQUARE))
    (tmp_path / "a.xdmf.h5").unlink()
    with pytest.raises(FileNotFoundError, match=r"a\.xdmf\.h5"):
        opened.windows(2)


def test_a_shorter_motion_leaves_no_times_of_the_longer_one(tmp_path):
    lgn.write(tmp_path / "a.pvd", RECORDING, of=SQUARE)
    lgn.write(tmp_path / "a.pvd", RECORDING._replace(t=np.arange(3.0), q=Q[:3]), of=SQUARE)
    assert len(list((tmp_path / "a").iterdir())) == 3


@pytest.mark.parametrize("ending", [".xdmf", ".pvd"])
@pytest.mark.parametrize("dtype", [np.float16, bool])
def test_numbers_that_a_mesh_file_cannot_hold(ending, dtype, tmp_path):
    with pytest.raises(ValueError, match=r"q is of dtype (float16|bool).*astype\(np\.float32\)"):
        lgn.write(tmp_path / f"a{ending}", RECORDING._replace(q=Q.astype(dtype)), of=SQUARE)


def test_trials_are_numbers():
    with pytest.raises(ValueError, match=r"trial is of dtype <U1; expected whole numbers.*return_inverse=True"):
        RECORDING._replace(trial=np.array(list("aaabbb"))).check()


def test_columns_that_could_not_be_read_back(tmp_path):
    with pytest.raises(ValueError, match=r"write: columns of a\.csv: .* expected distinct names"):
        lgn.write(tmp_path / "a.csv", RECORDING._replace(names=("a", "b", "a", "c")))


@pytest.mark.parametrize("ending", [".csv", ".h5", ".nc"])
def test_units_of_columns_stay(ending, tmp_path):
    units = {"t": "s", "a": "m", "b": "deg"}
    recording = RECORDING._replace(names=("a", "b", "c", "d"), units=units)
    assert dict(lgn.read(lgn.write(tmp_path / f"a{ending}", recording)).units) == units

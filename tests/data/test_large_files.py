"""Files larger than memory: what is read is what is asked for."""

import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

SHAPE = (4, 2500, 256, 512)  # trajectories, times, x, y: 5.2 GB in single precision
READ = """
import sys
import numpy as np
import lgn

recording = lgn.read(sys.argv[1])
pieces = recording.windows(8, every=1000)
assert pieces.q.dtype == np.float32 and pieces.q.shape == (10, 8, 256 * 512, 1), pieces.q.shape
assert set(pieces.trial.tolist()) == {0, 1, 2, 3}
rows = [recording.rows(slice(start, start + 20)) for start in (6200, 9000)]
assert (rows[0].q[3] == 7).all() and not rows[0].q[4].any() and not rows[1].q.any()
count = sum(len(recording.rows(slice(start, start + 20)).windows(8, every=12).q) for start in range(0, 10000, 20))
assert count == 2 * 500, count
status = open("/proc/self/status").read()
print(next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1e6)
"""


def large(path, shape=SHAPE):
    """A file in The Well's layout by another hand, of zeros that take no room, and one frame of sevens."""
    with h5py.File(path, "w") as file:
        file.attrs.update({"n_trajectories": shape[0], "n_spatial_dims": 2, "grid_type": "cartesian"})
        file.attrs["dataset_name"] = "large"
        axes = file.create_group("dimensions")
        axes.attrs["spatial_dims"] = ["x", "y"]
        for name, size in zip(("time", "x", "y"), shape[1:], strict=True):
            axes[name] = np.arange(size, dtype=np.float32)
            axes[name].attrs["sample_varying"] = False
        for order in range(3):
            file.create_group(f"t{order}_fields").attrs["field_names"] = np.array(["u"] * (order == 0), "S")
        field = file["t0_fields"].create_dataset("u", shape, np.float32, chunks=(1, 1, *shape[2:]), fillvalue=0)
        field.attrs.update({"dim_varying": [True, True], "sample_varying": True, "time_varying": True})
        field[2, shape[1] // 2 - 47] = 7
    return path


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of memory stands in /proc")
def test_windows_of_five_gigabytes_take_less_than_one_of_memory(tmp_path):
    path = large(tmp_path / "large.hdf5")
    assert np.prod(SHAPE) * 4 > 5e9
    done = subprocess.run([sys.executable, "-c", READ, path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 1, f"{done.stdout} GB"

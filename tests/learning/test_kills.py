"""A hundred kills and a hundred snapshots amid a write: each run goes on to the numbers of an uninterrupted one.

`pytest -n 0 -m slow -rP tests/learning/test_kills.py` shows the figures; LGN_CAMPAIGN=1000 in the environment takes
more. Every process is forked from one that has loaded all modules and has not used jax, so that it starts in no time.
"""

import contextlib
import csv
import io
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import optax
import pytest
from flax import nnx

import lgn
from lgn.systems import wave

pytestmark = pytest.mark.slow
COUNT = int(os.environ.get("LGN_CAMPAIGN", "100"))
KILLS = 5  # of one run

NURSERY = """
import os, runpy, signal, sys, time
import flax.nnx, jax, lgn.learning.training, optax, rich.progress, scipy.optimize
from lgn.checkpoint import files
from lgn.systems import wave
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        write = os.fsync
        files.os.fsync = lambda number: (time.sleep(0.004), write(number))  # so that more falls amid a write
        jax.config.update("jax_enable_x64", True)
        runpy.run_path(sys.argv[1])["learn"](line.strip())
        os._exit(0)
    print(child, flush=True)
"""


def learn(folder):
    system = lgn.Lagrangian(lgn.lattice((5,)), lgn.MLPDensity(3, 1, (6,), rngs=nnx.Rngs(0)))
    phases = [lgn.Minibatch(optax.adam(1e-2), 60, 10, chunk=3), lgn.QuasiNewton(40)]
    data = wave.sample(jax.random.key(0), 30, 5)
    return lgn.fit(system, data, key=jax.random.key(1), phases=phases, folder=folder, checkpoint_seconds=0.0)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return learn(tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def start():
    """Starts a run in a folder, in a process of its own."""
    nursery = subprocess.Popen(
        [sys.executable, "-c", NURSERY, __file__], cwd=Path(__file__).parents[2], text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip

    def one(folder):
        print(folder, file=nursery.stdin, flush=True)
        return int(nursery.stdout.readline())

    yield one
    nursery.stdin.close()
    nursery.wait()


def alive(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def kill(process):
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)
    while alive(process):
        time.sleep(0.001)


def newest(folder):
    return max((int(x.stem) for x in folder.glob("checkpoints/*.state")), default=0)


def until_it_goes_on(folder, process):
    before = newest(folder)
    while newest(folder) == before and alive(process):
        time.sleep(0.001)


def unfinished(folder):
    return list(folder.rglob(".*.new"))


def check(folder, whole):
    found = learn(folder)
    assert found.history == whole.history
    for a, b in zip(jax.tree.leaves(found.system), jax.tree.leaves(whole.system), strict=True):
        np.testing.assert_array_equal(a, b)
    table = (folder / "metrics.csv").read_text()
    written = io.StringIO(newline="")
    csv.writer(written).writerows([whole.history[0]._fields, *whole.history])
    assert table == written.getvalue().replace("\r\n", "\n")


def test_a_hundred_kills(tmp_path, start, whole):
    moments, amid, over = random.Random(0), 0, 0
    for i in range(COUNT):
        folder = tmp_path / str(i // KILLS)
        process = start(folder)
        until_it_goes_on(folder, process)
        time.sleep(moments.uniform(0.0, 0.25))
        over += not alive(process)
        kill(process)
        amid += bool(unfinished(folder))
        if i % KILLS == KILLS - 1 or i == COUNT - 1:
            check(folder, whole)
    print(f"{COUNT} kills, {amid} amid a write, {over} after the end: every run ended at the same numbers")
    assert amid >= COUNT // 20 and over < COUNT // 2


def test_a_hundred_snapshots_amid_a_write(tmp_path, start, whole):
    moments, taken, process, empty = random.Random(1), [], None, 0
    for i in range(COUNT):
        if process is None or not alive(process):
            folder = tmp_path / f"run{i}"
            process = start(folder)
            until_it_goes_on(folder, process)
        time.sleep(moments.uniform(0.0, 0.02))
        while alive(process) and not unfinished(folder):
            time.sleep(0.0002)
        copy = tmp_path / f"copy{i}"
        copy.mkdir()
        for x in sorted(folder.rglob("*"), key=lambda _: moments.random()):
            if x.is_file():
                (copy / x.relative_to(folder)).parent.mkdir(exist_ok=True)
                with contextlib.suppress(FileNotFoundError):  # gone since it was listed
                    shutil.copyfile(x, copy / x.relative_to(folder))
        taken.append(bool(unfinished(copy)))
        empty += newest(copy) == 0
    kill(process)
    for i in range(COUNT):
        check(tmp_path / f"copy{i}", whole)
    print(f"{COUNT} snapshots, {sum(taken)} with a file half written, {empty} without a state: all the same numbers")
    assert sum(taken) >= COUNT // 2

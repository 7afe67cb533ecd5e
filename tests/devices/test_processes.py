"""Two processes over loopback: the same motion as one, and what is left when one of them is killed."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import lgn

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """The folder in which two processes worked, what the one that lived said, and how long it outlived the other."""
    folder = tmp_path_factory.mktemp("pair")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    processes = [
        subprocess.Popen(
            [sys.executable, str(HERE / "two_processes.py"), str(number), str(port), str(folder)],
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for number in (0, 1)
    ]
    try:
        processes[1].wait(300)
        died = time.monotonic()
        said = processes[0].communicate(timeout=100)[0]
    finally:
        for process in processes:
            process.kill()
    return folder, said, time.monotonic() - died


def test_two_processes_follow_the_motion_of_one(pair, two_processes):
    system, state = two_processes.ring()
    exact = lgn.rollout(system, state, two_processes.TIMES, lgn.Verlet(0.05))
    found = np.load(pair[0] / "motion.npz")
    np.testing.assert_allclose(found["q"], exact.q, rtol=0, atol=1e-10 * np.abs(exact.q).max())
    np.testing.assert_allclose(found["energy"], exact.energy, rtol=1e-10)


def test_two_processes_follow_the_flow_of_one(pair, two_processes):
    system, state = two_processes.flow()
    exact = lgn.rollout(system, state, two_processes.FLOW_TIMES, lgn.DiscreteGradient(0.01))
    found = np.load(pair[0] / "motion.npz")["u"]
    np.testing.assert_allclose(found, exact.u, rtol=0, atol=1e-12 * np.abs(exact.u).max())


def test_a_process_whose_partner_is_killed_says_so_within_a_minute(pair):
    _, said, seconds = pair
    assert "ProcessLost: process 0 of 2" in said and "the same call" in said
    assert seconds < 60


def test_one_process_goes_on_where_two_were_killed(pair, two_processes):
    folder = pair[0] / "run"
    kept = np.loadtxt(folder / "metrics.csv", delimiter=",", skiprows=1, usecols=(1, 2))
    resumed = two_processes.train(folder)
    found = np.array([(row.step, row.loss) for row in resumed.history])
    assert 4 <= len(kept) < len(found) and resumed.stopped == ""
    np.testing.assert_array_equal(found[:, 0], np.arange(1, len(found) + 1))
    np.testing.assert_allclose(found[: len(kept)], kept, rtol=1e-12)


@pytest.fixture(scope="module")
def two_processes():
    sys.path.insert(0, str(HERE))
    try:
        import two_processes
    finally:
        sys.path.remove(str(HERE))
    return two_processes

"""One of two processes: `two_processes.py NUMBER PORT FOLDER` follows a ring of 10^4 nodes and an energy flow, then
trains until the other dies."""

import os
import signal
import sys
import threading
import time
from pathlib import Path

import jax
import numpy as np
from flax import nnx
from jax.experimental import multihost_utils

import lgn
from lgn.systems import kdv, wave

TIMES = [0.0, 0.1, 0.2]
FLOW_TIMES = [0.0, 0.02, 0.04]


def ring():
    """A ring and its state: a learned density whose mass matrix couples nodes."""
    density = lgn.MLPDensity(3, 1, (4,), mass=2.0, rngs=nnx.Rngs(0))
    x = 2 * np.pi * np.arange(10_000)[:, None] / 10_000
    return lgn.Lagrangian(lgn.lattice((10_000,)), density, solver=lgn.ConjugateGradient()), (np.sin(9 * x), np.cos(x))


def flow():
    """Korteweg and de Vries's equation on a ring, and its state."""
    graph = lgn.lattice((400,), spacing=kdv.SPACING)
    system = lgn.EnergyFlow(graph, kdv.density, structure=lgn.FirstDifference())
    return system, np.asarray(kdv.starts(jax.random.key(0), 1, 400)[0])


def train(folder, mesh=None):
    """A training that takes longer than a process lives."""
    density = lgn.MLPDensity(3, 1, (4,), mass=1.0, rngs=nnx.Rngs(0))
    system, data = lgn.Lagrangian(lgn.lattice((10,)), density), wave.sample(jax.random.key(0), 30, 10)
    given = {"phases": [lgn.QuasiNewton(steps=100)], "validation": None, "key": jax.random.key(1)}
    return lgn.fit(system, data, **given, folder=folder, checkpoint_seconds=0.0, mesh=mesh)


def die_after(path):
    """Kills this process once the file is there."""
    while not path.exists():
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGKILL)


def main(number, port, folder):
    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(f"127.0.0.1:{port}", num_processes=2, process_id=number, heartbeat_timeout_seconds=20)
    mesh = jax.make_mesh((2,), ("devices",))
    system, state = ring()
    motion = lgn.rollout(lgn.shard(system, mesh), state, TIMES, lgn.Verlet(0.05))
    system, state = flow()
    flowed = lgn.rollout(lgn.shard(system, mesh), state, FLOW_TIMES, lgn.DiscreteGradient(0.01))
    q, u = (multihost_utils.process_allgather(x, tiled=True) for x in (motion.q, flowed.u))
    if number == 0:
        np.savez(folder / "motion.npz", q=q, u=u, energy=motion.energy)
    else:
        threading.Thread(target=die_after, args=[folder / "run" / "checkpoints" / "5.state"], daemon=True).start()
    try:
        train(folder / "run", mesh)
    except lgn.ProcessLost as error:
        print(f"ProcessLost: {error}", flush=True)
        os._exit(3)  # without the barrier at which jax waits for the dead


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))

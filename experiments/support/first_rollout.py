"""First rollouts: CPU seconds of the first motion of one node by each integrator, over the same by diffrax alone; and
how many programs a second process compiles that finds those of the first on disk.

Each in a process of its own, imports not counted; the least of some repetitions, because what else runs on a machine
only adds. `python -m experiments.support.first_rollout` prints them.
"""

import os
import subprocess
import sys
import tempfile
import time

REPETITIONS = 3
INTEGRATORS = {
    "Adaptive": "lgn.Adaptive()", "Verlet": "lgn.Verlet(0.01)", "ImplicitMidpoint": "lgn.ImplicitMidpoint(0.01)",
    "Variational": "lgn.Variational(0.01)", "DiscreteGradient": "lgn.DiscreteGradient(0.01)",
}  # fmt: skip
ENDS = 0.0, 10.0


def by_diffrax():
    """The motion of an oscillator by diffrax, as its documentation has it."""
    import diffrax
    import jax.numpy as jnp

    ts, state = jnp.linspace(*ENDS, 11), (jnp.ones((1, 1)), jnp.zeros((1, 1)))
    return lambda: diffrax.diffeqsolve(
        diffrax.ODETerm(lambda t, state, args: (state[1], -state[0])), diffrax.Dopri8(), *ENDS, 0.1, state,
        saveat=diffrax.SaveAt(ts=ts), stepsize_controller=diffrax.PIDController(rtol=1e-9, atol=1e-9),
        max_steps=1_000_000,
    ).ys  # fmt: skip


def by_lgn(name: str):
    """The same by lgn.rollout."""
    import numpy as np

    import lgn

    integrator = eval(INTEGRATORS[name], {"lgn": lgn})
    state, ts = (np.ones((1, 1)), np.zeros((1, 1))), np.linspace(*ENDS, 11)
    oscillator = lgn.Lagrangian(lgn.single_node(), lambda q, v, features: 0.5 * v[0, 0] ** 2 - 0.5 * q[0, 0] ** 2)
    return lambda: lgn.rollout(oscillator, state, ts, integrator).q


def measure(name: str) -> None:
    """Prints the CPU seconds of the first motion, and how many programs were compiled for it."""
    import jax

    jax.config.update("jax_enable_x64", True)
    move, compiled = by_diffrax() if name == "diffrax" else by_lgn(name), []
    jax.monitoring.register_event_listener(lambda event, **_: event.endswith("/cache_misses") and compiled.append(1))
    start = time.process_time()
    jax.block_until_ready(move())
    print(time.process_time() - start, len(compiled))


def run(name: str, **environment: str) -> tuple[float, int]:
    """The same in a new process."""
    command = [sys.executable, "-m", "experiments.support.first_rollout", name]
    out = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=True).stdout
    seconds, compiled = out.split()
    return float(seconds), int(compiled)


def main() -> None:
    """Prints all of it."""
    alone = min(run("diffrax", JAX_ENABLE_COMPILATION_CACHE="false")[0] for _ in range(REPETITIONS))
    print(f"diffrax alone: {alone:.2f} CPU s")
    for name in INTEGRATORS:
        mine = min(run(name, JAX_ENABLE_COMPILATION_CACHE="false")[0] for _ in range(REPETITIONS))
        with tempfile.TemporaryDirectory() as folder:
            kept = {
                "JAX_COMPILATION_CACHE_DIR": folder, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
                "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
            }  # fmt: skip
            (_, first), (seconds, second) = run(name, **kept), run(name, **kept)
        print(
            f"{name}: {mine:.2f} CPU s, {mine / alone:.2f} of diffrax alone; {first} programs compiled, by a second "
            f"process {second}, in {seconds:.2f} CPU s"
        )


if __name__ == "__main__":
    measure(sys.argv[1]) if len(sys.argv) > 1 else main()

"""First rollouts: CPU seconds of the first motion of one node by each integrator, over the same by diffrax alone.

Each in a process of its own, with nothing kept on disk, imports not counted; the least of some repetitions, because
what else runs on a machine only adds. `python -m experiments.support.first_rollout` prints them.
"""

import os
import subprocess
import sys
import time

REPETITIONS = 3
INTEGRATORS = {
    "Adaptive": "lgn.Adaptive()", "Verlet": "lgn.Verlet(0.01)", "ImplicitMidpoint": "lgn.ImplicitMidpoint(0.01)",
    "Variational": "lgn.Variational(0.01)", "DiscreteGradient": "lgn.DiscreteGradient(0.01)",
}  # fmt: skip
ENDS = 0.0, 10.0


def alone() -> None:
    """The motion of an oscillator by diffrax, as its documentation has it."""
    import diffrax
    import jax
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)
    ts = jnp.linspace(*ENDS, 11)
    start = time.process_time()
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(lambda t, state, args: (state[1], -state[0])), diffrax.Dopri8(), *ENDS, 0.1,
        (jnp.ones((1, 1)), jnp.zeros((1, 1))), saveat=diffrax.SaveAt(ts=ts),
        stepsize_controller=diffrax.PIDController(rtol=1e-9, atol=1e-9), max_steps=1_000_000,
    )  # fmt: skip
    jax.block_until_ready(solution.ys)
    print(time.process_time() - start)


def ours(name: str) -> None:
    """The same by lgn.rollout."""
    import diffrax  # noqa: F401  # counted in neither
    import jax
    import numpy as np

    import lgn

    jax.config.update("jax_enable_x64", True)
    integrator = eval(INTEGRATORS[name], {"lgn": lgn})
    state, ts = (np.ones((1, 1)), np.zeros((1, 1))), np.linspace(*ENDS, 11)
    oscillator = lgn.Lagrangian(lgn.single_node(), lambda q, v, features: 0.5 * v[0, 0] ** 2 - 0.5 * q[0, 0] ** 2)
    start = time.process_time()
    jax.block_until_ready(lgn.rollout(oscillator, state, ts, integrator).q)
    print(time.process_time() - start)


def seconds(name: str) -> float:
    """CPU seconds of the first motion by `name`, in a new process without programs on disk."""
    kept = {**os.environ, "JAX_ENABLE_COMPILATION_CACHE": "false"}
    command = [sys.executable, "-m", "experiments.support.first_rollout", name]
    runs = [subprocess.run(command, env=kept, capture_output=True, text=True, check=True) for _ in range(REPETITIONS)]
    return min(float(run.stdout) for run in runs)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        alone() if sys.argv[1] == "diffrax" else ours(sys.argv[1])
    else:
        by_itself = seconds("diffrax")
        print(f"diffrax alone: {by_itself:.2f} CPU s")
        for name in INTEGRATORS:
            mine = seconds(name)
            print(f"{name}: {mine:.2f} CPU s, {mine / by_itself:.2f} of diffrax alone")

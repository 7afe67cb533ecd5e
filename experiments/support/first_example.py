"""First example: CPU seconds of the README's example in a new process that keeps no program, over those of ten small
compilations of jax in the same run.

    python experiments/support/first_example.py [README.md of another version]
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"
CLOCK = "\nimport time\nprint('CPU seconds', time.process_time())\n"
SMALL = """
import time, jax, jax.numpy as jnp, numpy as np
start = time.process_time()
def loss(weights, x):
    for w in weights:
        x = jnp.tanh(x @ w)
    return jnp.sum(x**2)
weights = [np.ones(shape, np.float32) for shape in ((3, 8), (8, 8), (8, 1))]
for rows in range(10, 20):
    jax.jit(jax.value_and_grad(loss))(weights, np.ones((rows, 3), np.float32))
print('CPU seconds', time.process_time() - start)
"""


def seconds(code: str) -> float:
    """CPU seconds that a process with this code prints last."""
    environment = {**os.environ, "JAX_ENABLE_COMPILATION_CACHE": "false"}
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", code]
        ended = subprocess.run(command, capture_output=True, text=True, check=True, env=environment, cwd=folder)
    return float(ended.stdout.split("CPU seconds")[-1])


def main(readme: Path = README) -> None:
    """Print the ratio, and the seconds of both."""
    (example,) = re.findall(r"```python\n(.*?)```", readme.read_text(), re.DOTALL)
    small, taken = seconds(SMALL), seconds(example + CLOCK)
    small = (small + seconds(SMALL)) / 2
    print(
        f"the README's first example: {taken:.1f} CPU s, {taken / small:.1f} of ten small compilations ({small:.2f} s)"
    )


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))

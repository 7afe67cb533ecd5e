"""Double precision, hypothesis runs that are the same every time, and shapes checked within the library.

Where users call, wrong input is to meet an error of lgn's own, so only modules behind those are checked.
"""

from jaxtyping import install_import_hook

INNER = ["bfgs", "cells", "continuum", "densities", "elements", "forms", "mass_matrix", "message_passing", "solvers"]
install_import_hook([f"lgn.{name}" for name in INNER], "beartype.beartype")

import jax  # noqa: E402
from hypothesis import settings  # noqa: E402

jax.config.update("jax_enable_x64", True)
settings.register_profile("lgn", deadline=None, max_examples=15, derandomize=True)
settings.load_profile("lgn")

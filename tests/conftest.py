"""Double precision, and hypothesis runs that are the same every time."""

import jax
from hypothesis import settings

jax.config.update("jax_enable_x64", True)
settings.register_profile("lgn", deadline=None, max_examples=15, derandomize=True)
settings.load_profile("lgn")

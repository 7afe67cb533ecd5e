"""Ground truth: one file for each physical system, with its exact equation, energy, sampler and units."""

"""lgn: Lagrangian graph networks. Learn the Lagrangian density of a field on a small graph, run it on any graph."""

import importlib

__version__ = "0.1.0"

# Names load their module when first used, so that `import lgn` and `lgn --help` are quick.
_HOME = {
    "graphs": ["lattice", "from_edges", "single_node", "with_features", "clamp"],
    "adjacency": ["from_adjacency", "nearest_neighbours", "within_radius"],
    "networks": ["from_networkx", "to_networkx"],
    "cells": [],
    "meshes": ["from_mesh", "from_meshio"],
    "stencils": ["Stencil", "node_stencil", "edge_stencil", "cell_stencil"],
    "densities": ["Expansion", "MLPDensity", "lecun_normal", "lnn_initializer", "small_output"],
    "forms": ["Dry", "PositiveForm", "StructuredDensity", "cubic", "half_square"],
    "message_passing": [
        "MessageDensity", "PairDensity", "both_states", "difference", "distance", "invariants",
    ],
    "continuum": ["Continuum", "FieldMLP"],
    "mass_matrix": ["MassMatrix"],
    "clamps": [],
    "solvers": [
        "BlockDiagonal", "Banded", "ConjugateGradient", "Dense", "Solution", "SingularMassMatrix", "default_solver",
        "estimated_costs",
    ],
    "lagrangian": ["Lagrangian"],
    "trajectories": ["States", "Trajectory", "Windows", "windows"],
    "systems": [],
    "steps": [],
    "variational": ["Variational"],
    "integrators": ["Adaptive", "ImplicitMidpoint", "Verlet", "rollout"],
    "losses": ["StepsLoss", "acceleration_loss", "balance_loss", "rate_loss", "variational_loss"],
    "baselines": ["Baseline", "HamiltonianNetwork", "NeuralODE", "PlainNetwork"],
    "checkpoint": ["save", "load", "CheckpointError"],
    "diagnostics": [],
    "gauge": ["GaugeDistance", "gauge_distance", "normal_form"],
    "problem": [],
    "phases": ["QuasiNewton", "Minibatch", "match", "kinetic_energy"],
    "training": ["fit", "FitResult"],
    "plots": [],
    "runs": [],
}  # fmt: skip
_MODULE = {name: module for module, names in _HOME.items() for name in names}
__all__ = sorted(_MODULE)


def __getattr__(name: str):
    if name in _MODULE:
        return getattr(importlib.import_module(f"lgn.{_MODULE[name]}"), name)
    if name in _HOME:
        return importlib.import_module(f"lgn.{name}")
    raise AttributeError(f"module 'lgn' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_MODULE, *_HOME])

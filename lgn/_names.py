"""The table of public names and of where each lives: `lgn.NAME` loads it when first used, a checkpoint may name it."""

import importlib

HOME = {
    "graphs": ["lattice", "from_edges", "single_node", "with_features", "clamp"],
    "adjacency": ["from_adjacency", "nearest_neighbours", "within_radius"],
    "networks": ["from_networkx", "to_networkx"],
    "meshes": ["from_mesh", "from_meshio"],
    "stencils": ["Stencil", "node_stencil", "edge_stencil", "cell_stencil"],
    "densities": ["Expansion", "MLPDensity", "lecun_normal", "lnn_initializer", "small_output"],
    "forms": ["Dry", "PositiveForm", "StructuredDensity", "cubic", "half_square"],
    "message_passing": ["MessageDensity", "PairDensity", "both_states", "difference", "distance", "invariants"],
    "continuum": ["Continuum", "FieldMLP"],
    "mass_matrix": ["MassMatrix"],
    "solvers": [
        "BlockDiagonal", "Banded", "ConjugateGradient", "Dense", "Solution", "SingularMassMatrix", "default_solver",
        "estimated_costs",
    ],
    "densities_transformed": ["Transformed"],
    "lagrangian": ["Lagrangian"],
    "trajectories": ["States", "Trajectory", "Windows", "windows"],
    "variational": ["Variational"],
    "integrators": ["Adaptive", "ImplicitMidpoint", "Verlet", "rollout"],
    "losses": ["StepsLoss", "acceleration_loss", "balance_loss", "rate_loss", "variational_loss"],
    "baselines": ["Baseline", "HamiltonianNetwork", "NeuralODE", "PlainNetwork", "velocity"],
    "checkpoint.describe": ["CheckpointError"],
    "checkpoint.systems": ["save", "load"],
    "gauge": ["GaugeDistance", "NormalForm", "gauge_distance", "normal_form"],
    "phases": ["QuasiNewton", "Minibatch", "match", "kinetic_energy"],
    "training": ["fit", "FitResult"],
}  # fmt: skip
MODULES = [
    "baselines",
    "diagnostics",
    "gauge",
    "losses",
    "phases",
    "plots",
    "runs",
    "systems",
]  # used by their own name
MODULE = {name: module for module, names in HOME.items() for name in names}


def find(name: str):
    """What a public name stands for.

    Raises:
        KeyError: no such name.
    """
    return getattr(importlib.import_module(f"lgn.{MODULE[name]}"), name)

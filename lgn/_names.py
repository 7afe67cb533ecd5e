"""Public names and the modules that define them: `lgn.NAME` loads on first use, and a checkpoint may name it.

A new density, solver or integrator is one file and one entry here; `__init__.pyi` shows the same table to editors.
Names that are misspelt, here or elsewhere, meet the nearest that is known.
"""

import importlib
from collections import ChainMap
from collections.abc import Iterable

HOME = {
    "graphs.edges": ["from_adjacency", "from_edges", "nearest_neighbours", "single_node", "within_radius"],
    "graphs.features": ["clamp", "with_features"],
    "graphs.lattices": ["lattice"],
    "graphs.networks": ["from_networkx", "to_networkx"],
    "graphs.meshes": ["from_mesh", "from_meshio"],
    "graphs.stencils": ["cell_stencil", "edge_stencil", "node_stencil"],
    "densities.density": ["Density", "config_of", "kinetic_energy"],
    "densities.network": ["lecun_normal", "lnn_initializer", "small_output"],
    "densities.mlp": ["MLPDensity"],
    "densities.pairs": [
        "both_states", "difference", "distance", "invariants", "inverse_distance", "log_distance",
    ],
    "densities.message_passing": ["MessageDensity", "PairDensity"],
    "densities.continuum": ["Continuum", "FieldMLP"],
    "densities.positive": ["Dry", "PositiveForm", "StructuredDensity", "cubic", "half_square"],
    "densities.transformed": ["Transformed", "canonical", "halves"],
    "densities.normal_form": ["normal_form"],
    "data.samples": ["States", "Trajectory", "Windows"],
    "data.recording": ["Recording", "joined", "windows"],
    "data.signals": ["Cubic", "Held", "Linear", "Signal"],
    "data.preprocessing": ["integrated", "rate_unit", "sample_pairs", "scales", "site_and_edge"],
    "data.exchange": ["read", "read_graph", "write"],
    "assembly.discrete_gradient": ["Automatic", "Gonzalez", "MeanValue"],
    "solvers.solution": ["SingularMassMatrix", "Solution"],
    "solvers.direct": ["BlockDiagonal", "Dense"],
    "solvers.banded": ["Banded"],
    "solvers.conjugate_gradient": ["ConjugateGradient"],
    "mechanics.system": ["System"],
    "mechanics.structures": ["Damped", "Relaxation", "Structure", "Symplectic"],
    "mechanics.lattice_structures": [
        "ConservingKernel", "DissipativeKernel", "FirstDifference", "FreeKernel", "Laplacian", "LearnedStructure",
    ],
    "mechanics.lagrangian": ["Lagrangian"],
    "mechanics.energy_flow": ["EnergyFlow"],
    "mechanics.baselines": ["Baseline", "MessagePassing", "NeuralODE", "PlainNetwork"],
    "motion.variational": ["Variational", "start_between"],
    "motion.discrete": ["DiscreteGradient"],
    "motion.adaptive": ["Adaptive"],
    "motion.integrators": ["ImplicitMidpoint", "Verlet"],
    "motion.verdict": ["MotionStopped", "check_motion"],
    "motion.rollout": ["rollout"],
    "devices.processes": ["ProcessLost"],
    "devices.shard": ["shard"],
    "checkpoint.files": ["CheckpointError"],
    "checkpoint.systems": ["load", "save"],
    "learning.loss": ["Huber"],
    "learning.losses": [
        "DiscreteLoss", "RolloutLoss", "WeightPenalty", "acceleration_loss", "rate_loss", "residual_loss",
        "variational_loss",
    ],
    "learning.shooting": ["Shooting", "ShootingLoss"],
    "learning.optimizers": ["LimitedMemory", "Minibatch", "QuasiNewton", "pretrain"],
    "learning.phase": ["Row"],
    "learning.training": ["FitResult", "fit"],
    "learning.report": ["learning_report"],
    "analysis.gauge": ["gauge_distance"],
}  # fmt: skip
MODULES = {  # modules that users call by name, `lgn.plots`, and where they are
    "diagnostics": "analysis.diagnostics",
    "gauge": "analysis.gauge",
    "plots": "analysis.plots",
    "protocol": "harness.protocol",
    "runs": "harness.runs",
    "systems": "systems",
    "timing": "harness.timing",
}
LEFT = {  # modules and their names that left `lgn`: an AttributeError says where, and a checkpoint may name them
    "graphs.tables": ["RaggedStencil", "Stencil"],
    "densities.density": ["Expansion"],
    "densities.inputs": ["Inputs"],
    "densities.normal_form": ["NormalForm", "mean_mass"],
    "assembly.matrix": ["BlockMatrix"],
    "assembly.domain": ["Domain"],
    "assembly.functional": ["Functional"],
    "solvers.choice": ["default_solver", "estimated_costs"],
    "mechanics.structures": ["Scaled", "Sum"],
    "mechanics.operator": ["Operator", "StructureReport"],
    "learning.report": ["LearningReport"],
    "learning.loggers": ["CSVRows", "JSONRows", "TensorBoardRows"],
    "analysis.gauge": ["GaugeDistance"],
}
MODULE = {name: module for module, names in HOME.items() for name in names}
_LEFT = {name: module for module, names in LEFT.items() for name in names}
MOVED = {name: f"lgn.{module}.{name}" for name, module in _LEFT.items()}
MOVED |= {"Followers": "lgn.learning.loggers.Loggers", "noether": "lgn.analysis.noether"}
MOVED |= {name: f"lgn.harness.{name}" for name in ("catalogue", "reports")}
MOVED |= {
    name: f"experiments.support.autoencoder.{name}"
    for name in ("Autoencoder", "Clips", "MomentumState", "Unfolding", "VelocityState", "film_loss", "unfold")
}
FOUND = ChainMap(MODULE, _LEFT)  # what a checkpoint may name: names that left stay readable


def find(name: str):
    """The object that a public name stands for, or one that has moved within lgn.

    Raises:
        KeyError: no such name.
    """
    return getattr(importlib.import_module(f"lgn.{FOUND[name]}"), name)


def stub() -> str:
    """Content of `__init__.pyi`: the table as imports that editors and type checkers follow."""
    lines = ['"""The public names of lgn, for editors and type checkers; the table is `lgn._names.HOME`."""', ""]
    for name, place in MODULES.items():
        above, _, module = f"lgn.{place}".rpartition(".")
        lines.append(f"from {above} import {module} as {name}")
    lines += [f"from lgn.{module} import {name} as {name}" for module, names in HOME.items() for name in names]
    return "\n".join([*lines, "", "__version__: str", "__all__: list[str]", ""])


def nearest(name: str, known: Iterable[str]) -> str:
    """Suggestion of the known name nearest to one that is not known; a full stop where nothing is close.

    Example:
        >>> from lgn._names import nearest
        >>> nearest("dnesity", ["density", "friction"]), nearest("x", ["density"])
        ("; did you mean 'density'?", '.')
    """
    close = closest(name, known)
    return f"; did you mean {close!r}?" if close else "."


def closest(name: str, known: Iterable[str], likeness: float = 0.6) -> str | None:
    """The known name itself, whatever its case, or None where nothing is close."""
    from difflib import get_close_matches

    lower = {other.lower(): other for other in known}
    return next((lower[near] for near in get_close_matches(name.lower(), lower, 1, likeness)), None)

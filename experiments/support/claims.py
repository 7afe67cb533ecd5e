"""Claims: table 1 of Cranmer et al. 2020, arXiv 2003.04630, beside what numbers say."""

from rich.console import Console
from rich.table import Table

from experiments.support.models import CASES, FAMILIES

# For each claim the families that the paper grants it.
CLAIMS = {
    "models dynamical systems": set(FAMILIES),
    "learns differential equations": set(FAMILIES) - {"plain"},
    "learns exact conservation laws": {"hnn_velocity", "hnn_momentum", "delan", "lnn"},
    "learns from arbitrary coordinates": {"plain", "neural_ode", "delan", "lnn"},
    "learns arbitrary Lagrangians": {"lnn"},
}
LEARNED = 0.1  # a relative error of the acceleration, or a weighted error, below which a system counts as learned
CONSERVED = 1e-4  # the same for the drift of a model's own energy; steps of 1e-9 leave 2e-5 where H is rough


def claims(rows: list[dict]) -> dict[str, dict[str, bool]]:
    """Which claims of table 1 hold by the numbers, for each family.

    To learn from arbitrary coordinates is to learn the double pendulum from (q, v); to learn arbitrary Lagrangians is
    to learn the relativistic particle from (q, v) with a conserved energy. A network that is given p has neither.
    """
    pendulum, particle = ({row["family"]: row for row in rows if row["system"] == name} for name in CASES)

    def learned(row):
        return row.get("weighted_error", row["acceleration_rel_rms"]) < LEARNED

    def conserves(family):
        drifts = [row["own_energy_drift"] for row in (pendulum[family], particle[family])]
        return all(drift is not None and drift < CONSERVED for drift in drifts)

    holds = {
        "models dynamical systems": lambda f: learned(pendulum[f]) or learned(particle[f]),
        "learns differential equations": lambda f: pendulum[f]["reaches_end"],
        "learns exact conservation laws": conserves,
        "learns from arbitrary coordinates": lambda f: learned(pendulum[f]) and f != "hnn_momentum",
        "learns arbitrary Lagrangians": lambda f: learned(particle[f]) and conserves(f) and f != "hnn_momentum",
    }
    return {claim: {family: bool(holds[claim](family)) for family in FAMILIES} for claim in CLAIMS}


def show(found: dict[str, dict[str, bool]]) -> None:
    """What the paper's table says, and what was found; disagreement is red."""
    table = Table("claim", *FAMILIES.values(), title="table 1 of the paper: published / found")
    for claim, granted in CLAIMS.items():
        cells = [(family in granted, found[claim][family]) for family in FAMILIES]
        words = [" / ".join("yes" if x else "no" for x in cell) for cell in cells]
        table.add_row(claim, *(word if a == b else f"[red]{word}" for word, (a, b) in zip(words, cells, strict=True)))
    Console(width=130).print(table)

"""Orbits: bodies in a plane, u (..., node, 4): their errors, what they conserve, their paths and gifs."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

import lgn
from experiments.support import hamiltonian
from lgn import diagnostics, plots
from lgn.systems import n_body

COLOURS = ("#0072B2", "#D55E00", "#009E73")  # of the bodies


def as_one_node(u):
    """(..., node, 4) as a single node, (..., 1, 4 node), q of all before p of all: what a dense network reads."""
    return np.concatenate([u[..., :2].reshape(*u.shape[:-2], 1, -1), u[..., 2:].reshape(*u.shape[:-2], 1, -1)], -1)


def as_bodies(u):
    """The inverse of `as_one_node` for two bodies."""
    return np.concatenate([x.reshape(*u.shape[:-2], 2, 2) for x in np.split(u, 2, -1)], -1)


def errors(found, exact) -> dict[str, float]:
    """The published mean square error of the energy, and that of the states."""
    energy = hamiltonian.energy_errors(n_body.energy, found, exact).mean()
    return {"energy_mse": float(energy), "state_mse": float(np.mean((found - exact) ** 2))}


def conserved(system, motion: lgn.Trajectory) -> dict[str, float]:
    """Largest changes along the long motion: of the learned and the true energy, relative, and of both momenta."""
    u = np.asarray(motion.u)
    momentum, turn = n_body.momentum(u), n_body.angular_momentum(u)
    return {
        "long_energy_drift": diagnostics.drift(diagnostics.relative_energy(system, motion)),
        "long_true_energy_drift": diagnostics.drift(n_body.energy(u)),
        "long_momentum_drift": float(np.abs(momentum - momentum[0]).max()),
        "long_angular_momentum_drift": diagnostics.drift(turn),
    }


def trace(ax, exact, learned, title: str = ""):
    """The paths of all bodies, (time, node, 4) each: broad grey and dashed in colour."""
    for i, colour in enumerate(COLOURS[: exact.shape[1]]):
        ax.plot(*exact[:, i, :2].T, "k-", lw=3, alpha=0.3, label=None if i else "exact")
        ax.plot(*learned[:, i, :2].T, "--", lw=1.4, color=colour, label=None if i else "learned")
        ax.plot(*learned[-1, i, :2], "o", color=colour)
    ax.set(title=title, xlabel="x", ylabel="y", aspect="equal")
    ax.legend(frameon=False, loc="center")
    return ax


def animate(path: Path, t, motions: Mapping[str, np.ndarray], trail: int = 40) -> Path:
    """Gif of bodies, (time, node, 4) a name: rings of the first name, discs with a trail of the second."""
    (first, rings), (second, discs) = motions.items()
    reach = 1.3 * max(float(np.abs(u[..., :2]).max()) for u in motions.values())
    with plots.canvas(size=(4.6, 4.8), dpi=90) as ax:
        ax.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal", xticks=[], yticks=[])
        colours = COLOURS[: rings.shape[1]]
        ring = ax.scatter(*rings[0, :, :2].T, s=170, facecolors="none", edgecolors="k", label=first)
        disc = ax.scatter(*discs[0, :, :2].T, s=70, color=colours, label=second)
        tails = [ax.plot([], [], color=colour, lw=1.2)[0] for colour in colours]
        ax.legend(frameon=False, loc="upper right", ncols=2)

        def draw(i):
            ring.set_offsets(rings[i, :, :2])
            disc.set_offsets(discs[i, :, :2])
            for tail, body in zip(tails, discs[max(0, i - trail) : i + 1].swapaxes(0, 1), strict=True):
                tail.set_data(body[:, 0], body[:, 1])

        return plots.animate(path, ax, t, range(len(t)), draw)

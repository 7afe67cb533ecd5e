"""Kernels: what is said of a learned 3 x 3 kernel, over its centre, for only G grad H is determined; their picture."""

import numpy as np

PUBLISHED = np.array([[2.450, 1.339, 2.448], [1.328, -15.148, 1.326], [2.447, 1.338, 2.452]])


def report(kernel) -> dict[str, float]:
    """|Sum|, and the most that a rotation or reflection changes."""
    images = [np.rot90(x, turns) for x in (kernel, kernel.T) for turns in range(4)]
    return {
        "row_sum": float(abs(kernel.sum() / kernel[1, 1])),
        "symmetry_error": float(max(np.abs(kernel - image).max() for image in images) / abs(kernel[1, 1])),
    }


def draw(ax, kernel, title: str):
    """The weights over that at the centre, whose sign H shares: here -1, as of the Laplacian."""
    values = -kernel / kernel[1, 1]
    ax.imshow(values, cmap="RdBu_r", vmin=-1, vmax=1)
    for (row, column), value in np.ndenumerate(values):
        ax.text(column, row, f"{value:.6f}", ha="center", va="center", color="w" if abs(value) > 0.5 else "k")
    ax.set(title=title, xticks=[], yticks=[])
    ax.spines[:].set_visible(False)

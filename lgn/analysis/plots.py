"""Plots: each function draws on an axis and returns it; `picture` writes a file, `animate_...` write gifs."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

FONT: dict[Any, Any] = {"font.size": 12, "axes.spines.top": False, "axes.spines.right": False}


@contextmanager
def canvas(*shape: int, size: tuple[float, float], dpi: int = 110, layout: str = "constrained", **settings) -> Iterator:
    """Axes of a figure in the style of the project, closed at the end.

    Args:
        shape: rows and columns of axes; one axis without.
        size: width and height in inches.
        dpi: dots an inch.
        layout: of matplotlib.
        settings: further arguments of `matplotlib.pyplot.subplots`.
    """
    import matplotlib.pyplot as plt

    with plt.rc_context(FONT):
        figure, axes = plt.subplots(*shape, figsize=size, dpi=dpi, layout=layout, **settings)
        try:
            yield axes
        finally:
            plt.close(figure)


@contextmanager
def picture(path: str | Path, *shape: int, size: tuple[float, float], **settings) -> Iterator:
    """The axes of `canvas`, written to the path at the end.

    Example:
        >>> import pathlib, tempfile, lgn
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "line.png"
        >>> with lgn.plots.picture(path, size=(3, 2)) as ax:
        ...     _ = ax.plot([0, 1], [0, 1])
        >>> path.exists()
        True
    """
    with canvas(*shape, size=size, **settings) as axes:
        yield axes
        np.ravel(axes)[0].figure.savefig(path)


def space_time(ax, t, field, title: str = "", limit: float | None = None, label: str = "q"):
    """Colour map of a field (time, node) against node and time, symmetric about zero."""
    values = np.asarray(field)
    limit = limit or float(np.abs(values).max())
    extent = (0, values.shape[1], float(t[0]), float(t[-1]))
    image = ax.imshow(values, origin="lower", aspect="auto", extent=extent, cmap="RdBu_r", vmin=-limit, vmax=limit)
    ax.set(title=title, xlabel="node", ylabel="time")
    ax.figure.colorbar(image, ax=ax, label=label, shrink=0.85)
    return ax


def field(ax, values, title: str = "", limit: float | None = None, bar: bool = True, label: str = "q"):
    """Colour map of a field (x, y) on a square lattice, symmetric about zero."""
    limit = limit or float(np.abs(values).max())
    image = ax.imshow(np.asarray(values).T, origin="lower", cmap="RdBu_r", vmin=-limit, vmax=limit)
    ax.set(title=title, xlabel="node", ylabel="node")
    if bar:
        ax.figure.colorbar(image, ax=ax, label=label, shrink=0.85)
    return ax


def network(ax, points, ends, values, title: str = "", limit: float | None = None, bar: bool = True):
    """Nodes at points (node, 2) coloured by their value, joined by edges (edge, 2)."""
    from matplotlib.collections import LineCollection

    limit = limit or float(np.abs(values).max())
    ax.add_collection(LineCollection(np.asarray(points)[ends], colors="#cccccc", linewidths=0.6, zorder=1))
    style = {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit, "edgecolors": "#555555", "linewidths": 0.4}
    nodes = ax.scatter(*np.asarray(points).T, c=np.asarray(values), s=30, zorder=2, **style)
    ax.set(title=title, xticks=[], yticks=[], aspect="equal")
    ax.spines[:].set_visible(False)
    if bar:
        ax.figure.colorbar(nodes, ax=ax, label="q", shrink=0.85)
    return ax


def mesh(ax, points, cells, values, title: str = "", limit: float | None = None, bar: bool = True):
    """Field on a mesh of triangles (cell, 3) with vertices at points (node, 2), symmetric about zero."""
    limit = limit or float(np.abs(values).max())
    style = {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit, "shading": "gouraud"}
    field = ax.tripcolor(*np.asarray(points).T, np.asarray(values), triangles=cells, **style)
    ax.triplot(*np.asarray(points).T, cells, color="#00000018", lw=0.3)
    ax.set(title=title, aspect="equal", xlabel="x", ylabel="y")
    if bar:
        ax.figure.colorbar(field, ax=ax, label="q", shrink=0.85)
    return ax


def energy(ax, t, energies: Mapping[str, ArrayLike], title: str = "energy"):
    """|E / E_0 - 1| against time, one line a name; for learned energies give `diagnostics.relative_energy`."""
    change = {name: np.abs(np.asarray(values) / np.asarray(values)[0] - 1) for name, values in energies.items()}
    return errors(ax, t, change, title, "relative change of E")


def energies(ax, t, true_energy, learned_energy, title: str = "energy of the learned motion"):
    """`energy` of a motion, true and as the system that moved has it, see `diagnostics.relative_energy`."""
    return energy(ax, t, {"true energy": true_energy, "learned energy": learned_energy}, title)


def errors(ax, t, series: dict[str, np.ndarray], title: str = "error", label: str = "|q - exact| / |exact|"):
    """Relative errors against time on a logarithmic axis, one line a name."""
    for name, values in series.items():
        ax.semilogy(t[1:], np.maximum(np.asarray(values)[1:], 1e-17), label=name)
    ax.set(title=title, xlabel="time", ylabel=label)
    ax.legend(frameon=False)
    return ax


def history(ax, rows, title: str = "training"):
    """Root of the training loss against iterations, one line a phase, and dots for held-out data."""
    start = 0
    for phase in dict.fromkeys(row.phase for row in rows):
        step, loss, held_out = np.transpose([row[1:] for row in rows if row.phase == phase])
        (line,) = ax.semilogy(start + step, np.sqrt(loss), label=phase)
        ax.semilogy(start + step, np.sqrt(held_out), ".", color=line.get_color())
        start += step.max()
    ax.set(title=title, xlabel="iteration", ylabel="relative error")
    ax.legend(frameon=False)
    return ax


def learning(axes, report):
    """`LearningReport` on three axes: training, condition of M, distance to the training data (dotted: within it)."""
    history(axes[0], report.history)
    axes[1].set(title="mass matrix", xlabel="state", ylabel="largest over smallest pivot")
    axes[2].set(title="reach", xlabel="state", ylabel="distance to the training data")
    axes[1].semilogy(report.mass.condition if report.mass else [], ".")
    axes[2].semilogy(report.reach.distance if report.reach else [], ".")
    axes[2].axhline(report.reach.own_largest if report.reach else np.nan, color="k", ls=":", lw=1)
    return axes


def phase(ax, q, v, title: str = "", label: str = "", style: str = "-"):
    """Phase portrait: one degree of freedom q (time,) and its velocity."""
    ax.plot(np.asarray(q), np.asarray(v), style, lw=1.2, label=label or None)
    ax.set(title=title, xlabel="q", ylabel="v")
    if label:
        ax.legend(frameon=False)
    return ax


def phases(ax, exact, motion, title: str = ""):
    """Phase portraits of the first degree of freedom: exact (q, v) and a learned motion."""
    for (q, v), label, style in ((exact, "exact", "k-"), (motion.state, "learned", "--")):
        phase(ax, q[:, 0, 0], v[:, 0, 0], title, label, style)
    return ax


def comparison(ax, x, exact, learned):
    """Exact and learned values against x."""
    ax.plot(x, exact, "k-", lw=3, alpha=0.3, label="exact")
    ax.plot(x, learned, "--", color="#D55E00", label="learned")
    ax.legend(frameon=False)
    return ax


def costs(ax, seconds: Mapping[str, Iterable], title: str = "", colours: Mapping[str, str] | None = None):
    """Pairs of (nodes, seconds) on logarithmic axes, one line a name; dotted, what grows as the nodes from where the
    last one starts."""
    for name, pairs in seconds.items():
        n, taken = np.transpose(list(pairs))
        ax.loglog(n, taken, "o-", color=colours and colours[name], label=name, lw=2, ms=5)
    ax.loglog(n, taken[0] / n[0] * n, "k:", lw=1, label="slope 1")
    ax.set(xlabel="nodes", title=title)
    ax.grid(alpha=0.3)
    return ax


def snapshots(path: str | Path, draw: Callable, t, values, picked: tuple[int, ...], limit: float, **settings) -> None:
    """Pictures side by side of some times, by draw(ax, values=, title=, limit=, bar=): `field`, `network` or `mesh`."""
    with picture(path, 1, len(picked), **settings) as axes:
        for ax, i in zip(axes, picked, strict=True):
            draw(ax, values=values[i], title=f"t = {float(t[i]):.3g}", limit=limit, bar=i == picked[-1])


def animate_colours(path: str | Path, draw: Callable, t, values, limit: float, size: tuple[float, float]) -> Path:
    """Gif of the values at all times, drawn as in `snapshots`."""
    with canvas(size=size, dpi=90) as ax:
        draw(ax, values=values[0], title=" ", limit=limit, bar=False)
        ax.set(xticks=[], yticks=[], xlabel="", ylabel="")
        (artist,) = (x for x in (*ax.images, *ax.collections) if x.get_array() is not None)
        # An image has the transpose of a field (x, y).
        return animate(path, ax, t, range(len(t)), lambda i: artist.set_array(np.asarray(values[i]).T))


def animate_string(path: str | Path, t, fields: dict[str, np.ndarray], frames: int = 120, label: str = "q") -> Path:
    """Gif of strings (time, node), one line a name."""
    low, high = min(float(x.min()) for x in fields.values()), max(float(x.max()) for x in fields.values())
    pad = 0.1 * (high - low)
    with canvas(size=(6, 2.6), dpi=90) as ax:
        lines = _lines(ax, {name: values[0] for name, values in fields.items()})
        ax.set(ylim=(low - pad, high + 3 * pad), xlabel="node", ylabel=label)

        def draw(i):
            for name, line in lines.items():
                line.set_ydata(fields[name][i])

        return animate(path, ax, t, _picked(t, frames), draw, fps=20)


def animate_pendulums(path: str | Path, t, motions: dict[str, np.ndarray], frames: int = 120) -> Path:
    """Gif of chains of rods of length 1, with angles (time, 1, rod) from the vertical, one chain a name."""
    motions = {name: np.asarray(angles)[:, 0] for name, angles in motions.items()}
    reach = 1.1 * max(angles.shape[1] for angles in motions.values())
    with canvas(size=(4, 4.2), dpi=90) as ax:
        lines = _lines(ax, dict.fromkeys(motions, ()), marker="o", ms=8)
        ax.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal", xticks=[], yticks=[])

        def draw(i):
            for name, line in lines.items():
                bends = np.stack([np.sin(motions[name][i]), -np.cos(motions[name][i])])
                line.set_data(*np.concatenate([np.zeros((2, 1)), np.cumsum(bends, 1)], 1))

        return animate(path, ax, t, _picked(t, frames), draw)


def _lines(ax, values: Mapping[str, ArrayLike], **style) -> dict:
    """Lines by name, each thinner than the one before and of another style."""
    styles = {name: {"ls": ("-", "--", ":")[i % 3], "lw": 3 - i, **style} for i, name in enumerate(values)}
    lines = {name: ax.plot(y, label=name, **styles[name])[0] for name, y in values.items()}
    ax.legend(loc="upper right", frameon=False, ncols=len(lines))
    return lines


def _picked(t, frames: int) -> list[int]:
    return np.linspace(0, len(t) - 1, min(frames, len(t))).astype(int).tolist()


def animate(path: str | Path, ax, t, picked: Iterable[int], draw: Callable[[int], Any], fps: int = 15) -> Path:
    """Gif of an axis whose lines, images and collections draw(i) changes, with the time above it.

    What moves is drawn over a picture of the rest: in a tenth of the time of `matplotlib.animation` (measured), which
    lays out and draws every frame twice.

    Args:
        path: to write.
        ax: the only axis of its figure.
        t: (time,) all times.
        picked: which of them, by number.
        draw: i -> None.
        fps: frames a second.
    """
    from PIL import Image

    figure, screen = ax.figure, ax.figure.canvas
    above = ax.set_title("t = 0", loc="left", family="monospace")
    screen.draw()  # the layout, once
    figure.set_layout_engine("none")
    moving = sorted((above, *ax.lines, *ax.images, *ax.collections), key=lambda artist: artist.zorder)
    for artist in moving:
        artist.set_animated(True)
    screen.draw()
    rest = screen.copy_from_bbox(figure.bbox)
    frames = []
    for i in picked:
        draw(i)
        above.set_text(f"t = {float(t[i]):<8.3g}")
        screen.restore_region(rest)
        for artist in moving:
            ax.draw_artist(artist)
        frames.append(Image.fromarray(np.array(screen.buffer_rgba())[..., :3]))
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=1000 // fps, loop=0)
    return Path(path)

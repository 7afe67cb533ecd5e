"""Pixels: what an autoencoder around a system makes of films of a pendulum: motions, metrics, pictures."""

from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.support.autoencoder import Autoencoder
from lgn import diagnostics, plots
from lgn.data.preprocessing import REACH, differences
from lgn.systems import pixel_pendulum
from lgn.systems.pixel_pendulum import SIDE, STEP, Trials

FRAMES = 200  # of a motion from two frames, twice as long as a film
PERIODS = 64  # frames of two periods


class Motion(NamedTuple):
    """What one kind makes of the test trials."""

    state: tuple  # of the system at the first frame, each field (trial, 1, ...)
    latent: np.ndarray  # (trial, time)
    frames: np.ndarray  # (trial, time, pixel)
    q: np.ndarray  # (trial, time - 6) angle, read off the frames
    energy: np.ndarray  # (trial, time - 6), of angle and angular velocity


def follow(model: Autoencoder, true: Trials) -> Motion:
    """From the first two frames on: latent, frames, and the energy that a viewer would find."""
    state = model.start(true.frames[:, 0], true.frames[:, 1], STEP)
    latent = model.follow(state, STEP * np.arange(FRAMES))[:, :, 0]
    frames = np.asarray(model.decode(latent))
    q, v = pixel_pendulum.observed(frames)
    return Motion(state, np.asarray(latent[..., 0]), frames, q, pixel_pendulum.energy(q, v))


def errors(motion: Motion, true: Trials) -> dict[str, float]:
    """Of the energy, in J^2; of the amplitude at the end, the worst of all trials, relative; of angle and pixels."""
    energy = pixel_pendulum.energy(true.q, true.v)[:, REACH:-REACH]
    at_end = pixel_pendulum.amplitude(motion.energy[:, -PERIODS:].mean(1))
    return {
        "energy_mse": float(np.mean((motion.energy - energy) ** 2)),
        "amplitude_kept": float(np.max(np.abs(at_end / pixel_pendulum.amplitude(energy[:, 0]) - 1))),
        "angle_rms": float(np.sqrt(np.mean((motion.q - true.q[:, REACH:-REACH]) ** 2))),
        "pixel_mse": float(np.mean((motion.frames - true.frames) ** 2)),
    }


def coordinate_errors(model: Autoencoder) -> dict[str, float]:
    """Share of the angles along which the coordinate goes one way, and how far it is from linear in the angle."""
    angles, q = coordinate(model)
    steps = np.sign(np.diff(q))
    line = np.polyval(np.polyfit(angles, q, 1), angles)
    share = max(np.mean(steps > 0), np.mean(steps < 0))
    return {"monotone": float(share), "coordinate_bend": diagnostics.relative_rms(line - line.mean(), q - line.mean())}


def coordinate(model: Autoencoder) -> tuple[np.ndarray, np.ndarray]:
    """Angles up to the largest start, and what the encoder makes of their frames."""
    angles = np.linspace(-pixel_pendulum.ANGLE, pixel_pendulum.ANGLE, 501)
    return angles, np.asarray(model.encode(jnp.asarray(pixel_pendulum.frames(angles))))[:, 0]


def draw(folder: Path, labels: dict[str, str], true: Trials, fits: dict, motions: dict) -> None:
    """Frames and a gif of the trial that swings furthest; latent; energy and training."""
    widest = int(np.argmax(np.abs(true.q).max(1)))
    films = {"true": true.frames[widest]}
    films |= {label: motions[name].frames[widest] for name, label in labels.items()}
    draw_frames(folder / "frames.png", films)
    draw_film(folder / "film.gif", {label: films[label] for label in ("true", "Hamiltonian", "Lagrangian")})
    with plots.picture(folder / "latent.png", 1, 3, size=(14, 5)) as axes:
        draw_portrait(axes[0], fits[""].system, motions[""])
        draw_velocities(axes[1], motions["lagrangian_"])
        draw_coordinates(axes[2], labels, fits)
    with plots.picture(folder / "energy.png", 1, 3, size=(14, 5)) as axes:
        draw_energies(axes[:2], labels, true, motions, widest)
        draw_training(axes[2], labels, fits)


def draw_frames(path: Path, films: dict[str, np.ndarray]) -> None:
    """One row a film, at times that end long after those of the training."""
    picked = np.linspace(0, FRAMES - 1, 8).astype(int)
    settings = {"subplot_kw": {"xticks": [], "yticks": []}, "squeeze": False}
    with plots.picture(path, len(films), len(picked), size=(11, 1.45 * len(films) + 0.4), **settings) as axes:
        for row, (label, frames) in zip(axes, films.items(), strict=True):
            row[0].set_ylabel(label.replace(", ", "\n"), rotation=0, ha="right", va="center")
            for ax, i in zip(row, picked, strict=True):
                ax.imshow(frames[i].reshape(SIDE, SIDE), cmap="gray", vmin=0, vmax=1)
                ax.spines[:].set_visible(False)
        for ax, i in zip(axes[0], picked, strict=True):
            ax.set_title(f"{STEP * i:.2f} s")


def draw_film(path: Path, films: dict[str, np.ndarray]) -> None:
    """Gif of films beside each other."""
    wide = np.concatenate([frames.reshape(-1, SIDE, SIDE) for frames in films.values()], 2)

    def image(ax, values, title, limit, bar):
        ax.imshow(values.T, cmap="gray", vmin=0, vmax=limit)
        for i, label in enumerate(films):
            ax.text(SIDE * (i + 0.5) - 0.5, 1, label, color="w", ha="center", va="top")
            ax.axvline(SIDE * i - 0.5, color="w", lw=1)
        ax.set_title(title)

    size = (2.2 * len(films), 2.6)
    plots.animate_colours(path, image, STEP * np.arange(FRAMES), wide.swapaxes(1, 2), 1.0, size)


def draw_portrait(ax, model: Autoencoder, motion: Motion) -> None:
    """Levels of the learned Hamiltonian, its motions, and the states of the test films."""
    q, p, _ = differences(jnp.asarray(motion.latent)[..., None], STEP)
    width, height = 1.15 * np.abs(q).max(), 1.15 * np.abs(p).max()
    grid = np.meshgrid(np.linspace(-width, width, 61), np.linspace(-height, height, 61))
    u = jnp.asarray(np.stack(grid, -1).reshape(-1, 1, 2))
    levels = np.asarray(jax.vmap(model.system.energy)(u)).reshape(61, 61)
    lines = ax.contour(*grid, levels, 12, cmap="viridis", linewidths=0.8)
    ax.figure.colorbar(lines, ax=ax, label="learned H")
    ax.plot(q[:6, :, 0].T, p[:6, :, 0].T, "k.", ms=1.5)
    ax.set(xlabel="latent q", ylabel="p = dq/dt (1/s)", title="Hamiltonian: levels and six motions")


def draw_velocities(ax, motion: Motion) -> None:
    """The motions of the learned Lagrangian."""
    q, v, _ = differences(jnp.asarray(motion.latent)[..., None], STEP)
    ax.plot(q[:6, :, 0].T, v[:6, :, 0].T, ".", ms=1.5)
    ax.set(xlabel="latent q", ylabel="v = dq/dt (1/s)", title="Lagrangian: six motions")


def draw_coordinates(ax, labels: dict[str, str], fits: dict) -> None:
    """What the encoders make of the angle."""
    for i, (name, label) in enumerate(labels.items()):
        angles, q = coordinate(fits[name].system)
        ax.plot(angles, (q - q.mean()) / q.std() * np.sign(q[-1] - q[0]), ("-", "--", ":", "-")[i], label=label)
    ax.set(xlabel="angle (rad)", ylabel="latent q over its deviation", title="what the encoder finds")
    legend_below(ax)


def draw_energies(axes, labels: dict[str, str], true: Trials, motions: dict, widest: int) -> None:
    """Energy of one trial, and the error of all."""
    times = STEP * np.arange(FRAMES)[REACH:-REACH]
    energy = pixel_pendulum.energy(true.q, true.v)[:, REACH:-REACH]
    axes[0].plot(times, energy[widest], "k", lw=3, alpha=0.3, label="true")
    for name, label in labels.items():
        if motions[name].energy[widest].max() < 2 * energy[widest].max():  # a folded coordinate leaves the picture
            axes[0].plot(times, motions[name].energy[widest], lw=1, label=label)
        axes[1].semilogy(times, np.sqrt(np.mean((motions[name].energy - energy) ** 2, 0)), lw=1, label=label)
    axes[0].set(xlabel="time (s)", ylabel="energy (J)", title="energy of the decoded frames, one trial")
    axes[1].set(xlabel="time (s)", ylabel="error (J)", title="error of the energy, all trials")
    for ax in axes:
        legend_below(ax)


def draw_training(ax, labels: dict[str, str], fits: dict) -> None:
    """Root of the loss of every kind."""
    for name, label in labels.items():
        rows = fits[name].history
        ax.semilogy([row.step for row in rows], [np.sqrt(row.loss) for row in rows], label=label)
    ax.set(xlabel="iteration", ylabel="relative error", title="training")
    legend_below(ax)


def legend_below(ax) -> None:
    """Where no line is."""
    ax.legend(frameon=False, fontsize=10, loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2)

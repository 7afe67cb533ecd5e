"""Unfolding: coordinates of frames that lie along a curve or a sheet, by the lengths of the ways within it."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.sparse.csgraph import minimum_spanning_tree, shortest_path
from scipy.spatial.distance import cdist

from lgn import _arguments, _arrays


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Unfolding:
    """Principal components of frames, and coordinates that are linear in them.

    Attributes:
        mean: of the frames.
        basis: orthonormal.
        scale: standard deviation of the frames along each.
        kernel: of the coordinates, q = components @ kernel + bias.
        bias: the same.
        landmarks: components of some of the frames, from which a decoder starts.
    """

    mean: Float[Array, " pixel"]
    basis: Float[Array, "pixel component"]
    scale: Float[Array, " component"]
    kernel: Float[Array, "component dim"]
    bias: Float[Array, " dim"]
    landmarks: Float[Array, "landmark component"]

    def __call__(self, frames: Float[Array, "*batch pixel"]) -> Float[Array, "*batch dim"]:
        """Coordinates of frames, with variance 1 over those that they were made from."""
        return self.components_of(frames) @ self.kernel + self.bias

    def components_of(self, frames: Float[Array, "*batch pixel"]) -> Float[Array, "*batch component"]:
        """Principal components, each over its scale. Raises ValueError for frames of another size."""
        _arguments.of_kind("frames", frames, (np.ndarray, jax.Array), "an array (..., pixel): jnp.asarray(frames)")
        if frames.shape[-1:] != self.mean.shape:
            raise ValueError(
                f"frames of {frames.shape[-1]} pixels; expected {self.mean.size}, as of those that were unfolded"
            )
        return (frames - self.mean) @ self.basis / self.scale

    def frames_of(self, components: Float[Array, "*batch component"]) -> Float[Array, "*batch pixel"]:
        """The frame that has these components, and no others."""
        return self.mean + (components * self.scale) @ self.basis.T


def unfold(
    frames: Float[Array, "*batch pixel"],
    dim: int = 1,
    components: int = 20,
    *,
    landmarks: int = 500,
    neighbours: int = 8,
) -> Unfolding:
    """Coordinates whose differences are the distances along the set of frames, as far as they are linear in the
    principal components (Isomap, then least squares).

    Pixels far apart tell little of how far two frames are from each other: a bob that has moved by more than its size
    is just elsewhere. So distances are summed along neighbours.

    Args:
        frames: of one or many films, in any order.
        dim: coordinates.
        components: principal components that are kept: 20 for a swing of 0.6 rad either way, 40 for 1, 80 for 2, else
            no linear function of them follows the way from end to end.
        landmarks: frames, evenly out of all, between which distances are found.
        neighbours: of each of them that count as near.

    Raises:
        ValueError: frames that are not (..., pixel), real and finite; fewer than components; more components than
            pixels; numbers that are not whole.

    Source: Tenenbaum, de Silva, Langford 2000, A global geometric framework for nonlinear dimensionality reduction,
    Science 290.

    Example:
        >>> import lgn, numpy as np
        >>> from lgn.systems import pixel_pendulum
        >>> angles = np.linspace(-0.6, 0.6, 200)
        >>> q = lgn.unfold(pixel_pendulum.frames(angles))(pixel_pendulum.frames(angles))[:, 0]
        >>> bool((np.diff(q) > 0).all() or (np.diff(q) < 0).all())
        True
    """
    flat = _arrays.reals("unfold: frames", frames).astype(float)
    if flat.ndim < 2 or not np.isfinite(flat).all():
        what = f"has shape {flat.shape}" if flat.ndim < 2 else "is not finite"
        raise ValueError(f"unfold: frames {what}; expected finite numbers (..., pixel): leave bad frames out")
    flat = flat.reshape(-1, flat.shape[-1])
    for name, x in {"dim": dim, "components": components, "landmarks": landmarks, "neighbours": neighbours}.items():
        _arguments.whole(f"unfold: {name}", x)
    if len(flat) < max(components, neighbours) + 1:
        raise ValueError(f"unfold: {len(flat)} frames for components={components}; give more frames, or keep fewer")
    if flat.shape[1] < components or min(landmarks, len(flat)) <= max(dim, neighbours):
        raise ValueError(
            f"unfold: frames of {flat.shape[1]} pixels and {min(landmarks, len(flat))} landmarks for "
            f"components={components}, dim={dim}, neighbours={neighbours}; keep no more components than pixels, and "
            f"take more landmarks than dim and neighbours"
        )
    mean = flat.mean(0)
    square, basis = np.linalg.eigh((flat - mean).T @ (flat - mean) / len(flat))
    basis, scale = basis[:, ::-1][:, :components], np.sqrt(square[::-1][:components])
    reduced = (flat - mean) @ basis
    picked = reduced[np.linspace(0, len(flat) - 1, min(landmarks, len(flat))).astype(int)]
    wanted = _coordinates(_distances(picked, neighbours), dim)
    inputs = np.concatenate([picked / scale, np.ones((len(picked), 1))], 1)
    weights = np.linalg.lstsq(inputs, wanted, rcond=None)[0]
    parts = mean, basis, scale, weights[:-1], weights[-1], picked / scale
    return Unfolding(*(jnp.asarray(x) for x in parts))


def _distances(points, neighbours: int) -> np.ndarray:
    """Lengths of the shortest ways along neighbours; the shortest tree through all points bridges gaps."""
    straight = np.maximum(cdist(points, points), 1e-12)  # 0 would be no edge
    far = np.sort(straight, 1)[:, neighbours, None]
    graph = np.where(straight <= far, straight, 0)
    return shortest_path(np.maximum(graph, minimum_spanning_tree(straight).toarray()), directed=False)


def _coordinates(distances, dim: int) -> np.ndarray:
    """Points with these distances, as nearly as `dim` coordinates can: classical scaling; each of variance 1."""
    square = distances**2
    centred = square - square.mean(0) - square.mean(1, keepdims=True) + square.mean()
    leading = np.linalg.eigh(-centred / 2)[1][:, ::-1][:, :dim]
    return leading / leading.std(0)

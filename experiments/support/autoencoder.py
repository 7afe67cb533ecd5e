"""Autoencoder: a coordinate for every frame of a film, frames from the coordinate, and the system that moves it.

The coordinate starts from an `Unfolding`, Isomap that is linear in the principal components of the frames.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float
from scipy.sparse.csgraph import minimum_spanning_tree, shortest_path
from scipy.spatial.distance import cdist
from scipy.stats.qmc import Halton

from lgn import _arguments, _arrays
from lgn.assembly.domain import State
from lgn.data.preprocessing import REACH, differences
from lgn.densities.inputs import widths_of
from lgn.densities.network import dense_layers, lecun_normal, small_output, weights
from lgn.mechanics.system import System, check_system
from lgn.motion.adaptive import Adaptive
from lgn.motion.rollout import Integrator

SHARPNESS = 4.0  # of the units of the decoder, per deviation of the coordinate
PENALTY = 1e-6  # of the weights of its start
SHOTS = 6  # each gains a factor (frequency * dt)^2 / 6 or so


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
        >>> import numpy as np
        >>> from experiments.support.autoencoder import unfold
        >>> from lgn.systems import pixel_pendulum
        >>> angles = np.linspace(-0.6, 0.6, 200)
        >>> q = unfold(pixel_pendulum.frames(angles))(pixel_pendulum.frames(angles))[:, 0]
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


class Clips(NamedTuple):
    """Films of equal length, frames evenly spaced.

    Attributes:
        q: (clip, time, component), see `Unfolding.components_of`.
        dt: (clip,) time between two frames.
    """

    q: Float[Array, "clip time component"]
    dt: Float[Array, " clip"]

    def check(self) -> "Clips":
        """Itself.

        Raises:
            ValueError: shapes that differ, clips of fewer than 7 frames, values that are not finite or not real, dt
                that is not positive.
        """
        self = _arrays.recorded(self)
        shape = np.shape(self.q)
        if len(shape) != 3 or shape[1] <= 2 * REACH or np.shape(self.dt) != shape[:1]:
            raise ValueError(
                f"clips: q has shape {shape} and dt {np.shape(self.dt)}; expected (clip, time, component) with "
                f"{2 * REACH + 1} times or more, and (clip,)"
            )
        for name, x in self._asdict().items():
            if not np.isfinite(x).all():
                raise ValueError(f"clips: {name} is not finite at {tuple(np.argwhere(~np.isfinite(x))[0].tolist())}")
        if not (np.asarray(self.dt) > 0).all():
            raise ValueError(f"clips: dt = {float(np.min(self.dt))}; expected positive times between frames")
        return self


@dataclass(frozen=True)
class VelocityState:
    """(q, v): the state of a Lagrangian or a baseline."""

    def __call__(self, q, v) -> State:
        return q, v


@dataclass(frozen=True)
class MomentumState:
    """u = (q, p) with p = v: the state of an energy flow in the coordinates where that is the momentum."""

    def __call__(self, q, v) -> State:
        return (jnp.concatenate([q, v], -1),)


class Autoencoder(nnx.Module):
    """Encoder and decoder around a system of one node, which moves the coordinate that the encoder finds:

        q = A x + MLP(x),    frame = mean + B s (C tanh(D q + d) + c),    d(q, dq/dt)/dt = the rate of the system,

    with x the principal components of the frame, B s. The linear part starts from an `Unfolding`, without which the
    encoder gives different frames the same coordinate and no training parts them again. Two successive frames make a
    state: the velocity, or the momentum p = dq/dt, is that with which the system goes from the one to the other.

    Args:
        unfolding: where the encoder starts.
        system: of one node with as many degrees of freedom as the unfolding has coordinates.
        state: (q, v) -> state of the system: `VelocityState()`, or `MomentumState()` for an energy flow of u = (q, p).
        hidden: widths of the hidden layers of the encoder.
        units: of the one hidden layer of the decoder.
        rngs: random streams.

    Source: Greydanus, Dzamba, Yosinski 2019, arXiv 1906.01563, section 5; there p = dq/dt is a term of the loss.

    Example:
        >>> import jax, lgn
        >>> from experiments.support.autoencoder import Autoencoder, unfold
        >>> from flax import nnx
        >>> from lgn.systems import pixel_pendulum
        >>> film = pixel_pendulum.sample(jax.random.key(0), 10).frames
        >>> system = lgn.Lagrangian(lgn.single_node(), lgn.MLPDensity(1, 1, (8,), rngs=nnx.Rngs(0)))
        >>> model = Autoencoder(unfold(film), system, rngs=nnx.Rngs(1))
        >>> model.encode(film).shape, model.decode(model.encode(film[0])).shape
        ((10, 100, 1), (100, 784))
    """

    def __init__(
        self,
        unfolding: Unfolding,
        system: System,
        state: Callable[..., State] = VelocityState(),
        *,
        hidden: Sequence[int] = (16,),
        units: int = 32,
        rngs: nnx.Rngs,
    ):
        _arguments.of_kind("unfolding", unfolding, Unfolding, "unfold(frames)")
        _arguments.called("state", state, "VelocityState(), or MomentumState() for an energy flow")
        check_system(system)
        self.hidden, self.units = widths_of("Autoencoder", hidden, least=0), _arguments.whole("units", units)
        self.unfolding = nnx.data(unfolding)
        self.system, self.state = nnx.data(system), state
        components, dim = unfolding.kernel.shape
        self.line = dense_layers((components, dim), lecun_normal, rngs)
        self.line[0].kernel[...], self.line[0].bias[...] = unfolding.kernel, unfolding.bias
        self.encoder = dense_layers((components, *hidden, dim), small_output, rngs)
        self.decoder = dense_layers((dim, units, components), lecun_normal, rngs)
        _start_decoder(self.decoder, self.coordinate(unfolding.landmarks), unfolding.landmarks)

    def config(self) -> dict:
        """Arguments that make an autoencoder of this shape again."""
        return {name: getattr(self, name) for name in ("unfolding", "system", "state", "hidden", "units")}

    def rate(self, state: State, t: float = 0.0) -> State:
        """That of the system."""
        return self.system.rate(state, t)

    def energy(self, *state) -> Float[Array, ""]:
        """That of the system."""
        return self.system.energy(*state)

    def check(self, *state) -> None:
        """Raises ValueError if this is not a state of the system."""
        self.system.check(*state)

    def coordinate(self, components: Float[Array, "*batch component"]) -> Float[Array, "*batch dim"]:
        """q of frames that are given by their components."""
        return _network(self.line, components) + _network(self.encoder, components)

    def components(self, q: Float[Array, "*batch dim"]) -> Float[Array, "*batch component"]:
        """Components of the frames at q."""
        return _network(self.decoder, q)

    def encode(self, frames: Float[Array, "*batch pixel"]) -> Float[Array, "*batch dim"]:
        """q of frames."""
        return self.coordinate(self.unfolding.components_of(frames))

    def decode(self, q: Float[Array, "*batch dim"]) -> Float[Array, "*batch pixel"]:
        """Frames at q."""
        return self.unfolding.frames_of(self.components(q))

    def start(self, first, second, dt: float, integrator: Integrator | None = None) -> State:
        """The state at the first of two successive frames, (clip, pixel) each: the motion from it reaches the second.

        The velocity is found by shooting: v <- v + (q_2 - what v reaches) / dt, from v = (q_2 - q_1) / dt.

        Returns:
            The fields of the state, each (clip, 1, ...).
        """
        _arguments.positive("dt", dt)
        here, there = (self.encode(frames)[:, None] for frames in (first, second))
        v = (there - here) / dt
        for _ in range(SHOTS):
            v = v + (there - self.follow(self.state(here, v), np.array([0, dt]), integrator)[:, -1]) / dt
        return self.state(here, v)

    def follow(self, states: State, ts, integrator: Integrator | None = None) -> Float[Array, "clip time 1 dim"]:
        """q at times ts of the motions from states, each field (clip, 1, ...)."""
        found = _motions(self.system, states, tuple(np.asarray(ts, float).tolist()), integrator or Adaptive())
        return found[0][..., : self.unfolding.kernel.shape[1]]


def film_loss(model: Autoencoder, data: Clips) -> jax.Array:
    """Mean squared error of the frames that are encoded and decoded, relative to their variance, and of the rate of
    the system, relative to the mean square of each field: dq/dt and d2q/dt2 by central differences of q in time.

    The relative error of the rate keeps the latent from shrinking, that of the frames from folding.
    """
    _arguments.of_kind("film_loss: model", model, Autoencoder, "Autoencoder(unfold(frames), system, rngs=...)")
    _arguments.of_kind("film_loss: data", data, Clips, "Clips(q, dt)")
    q = model.coordinate(data.q)
    lost = jnp.mean((model.components(q) - data.q) ** 2 * model.unfolding.scale**2)
    spread = jnp.mean(data.q**2 * model.unfolding.scale**2)
    return lost / spread + rate_error(model, q, data.dt)


def rate_error(model: Autoencoder, q: Float[Array, "clip time dim"], dt) -> jax.Array:
    """The second term of `film_loss`."""
    q, v, a = (x.reshape(-1, 1, x.shape[-1]) for x in differences(q, dt))
    found = jax.vmap(model.system.rate)(model.state(q, v))
    pairs = zip(found, model.state(v, a), strict=True)
    errors = [jnp.mean((x - y) ** 2, (0, 1)) / jnp.mean(y**2, (0, 1)) for x, y in pairs]
    return jnp.sum(jnp.concatenate(errors))


def _network(layers, x):
    """Affine layers with tanh between, along the last axis."""
    *hidden, (kernel, bias) = weights(layers, x.dtype)
    for inner_kernel, inner_bias in hidden:
        x = jnp.tanh(x @ inner_kernel + inner_bias)
    return x @ kernel + bias


def _start_decoder(layers, q, wanted) -> None:
    """Sharp units that turn at places spread over the coordinates, and least squares for what is made of them: units
    that all turn at zero bend too little to follow a film, and leave the encoder no reason to keep its frames apart."""
    first, last = layers
    low, high = jnp.min(q, 0), jnp.max(q, 0)
    places = low + (high - low) * Halton(len(low), scramble=False).random(first.bias.size)
    kernel = SHARPNESS * first.kernel[...] / jnp.linalg.norm(first.kernel[...], axis=0)
    first.kernel[...], first.bias[...] = kernel, -jnp.sum(kernel * places.T, 0)
    units = jnp.concatenate([jnp.tanh(q @ kernel + first.bias[...]), jnp.ones((len(q), 1))], 1)
    penalty = PENALTY * len(q) * jnp.eye(units.shape[1])
    found = jnp.linalg.solve(units.T @ units + penalty, units.T @ wanted)
    last.kernel[...], last.bias[...] = found[:-1], found[-1]


@partial(jax.jit, static_argnames=("ts", "integrator"))
def _motions(system, states, ts, integrator) -> State:
    return jax.vmap(lambda *state: integrator(system, state, np.array(ts)))(*states)

"""Forms: functions of velocity that are positive by construction, as kinetic energy and as Rayleigh dissipation."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from lgn.densities import (
    Initializer,
    angles_of,
    check_smooth,
    coordinates,
    dense_layers,
    perceptron,
    scale_of,
    small_output,
)

Law = Callable[[Array], Array]
Activation = Callable[[Array], Array]
START = float(np.log(np.expm1(1.0)))  # softplus is 1 here


def half_square(s: Array) -> Array:
    """s^2 / 2: kinetic energy, viscous friction."""
    return 0.5 * s**2


def cubic(s: Array) -> Array:
    """|s|^3 / 3: turbulent friction, a force c s |s|."""
    return jnp.abs(s) * s**2 / 3


@dataclass(frozen=True)
class Dry:
    """speed (sqrt(speed^2 + s^2) - speed): dry friction, a force c s below and c speed far above that speed.

    Args:
        speed: at which viscous turns into dry; the smaller, the nearer to Coulomb's law and the stiffer.

    Raises:
        ValueError: a speed that is not positive.

    Example:
        >>> import jax, lgn
        >>> round(float(jax.grad(lgn.Dry(speed=0.1))(5.0)), 3)
        0.1
    """

    speed: float

    def __post_init__(self):
        if not (np.isfinite(self.speed) and self.speed > 0):
            raise ValueError(f"Dry: speed={self.speed}; give a positive number")

    def __call__(self, s: Array) -> Array:
        return self.speed * s**2 / (jnp.sqrt(self.speed**2 + s**2) + self.speed)  # the difference would cancel


class PositiveForm(nnx.Module):
    """Positive function of velocity whose coefficients depend on the configuration.

        form(q, v) = sum_k c_k(q) law(w_k),    w = B(q)^T v,    c_k > 0,    B unit lower triangular

    where v holds all dof of all slots. With law s^2 / 2 it is 0.5 v^T M(q) v, M = B diag(c) B^T: every positive
    definite matrix. With any law form >= 0, form(q, 0) = 0 and v . d form/dv >= 0, whatever the parameters: as
    `dissipation` of a Lagrangian it never gives energy. Unfilled slots add nothing. At the start c = size and B = 1.

    Args:
        slots: nodes that an element reads.
        dim: values a node carries.
        hidden: widths of the hidden layers of the network that gives B and c; empty: B and c are free constants.
        law: convex, law(0) = law'(0) = 0: `half_square`, `Dry(speed)`, `cubic` or your own.
        size: c at the start, one number or one for each degree of freedom; in law `half_square` a mass or a friction.
        q_scale: typical size of q, one number or one for each degree of freedom.
        v_scale: the same for v; only its ratios matter, where degrees of freedom have different units.
        angles: degrees of freedom of q that enter as sine and cosine, unscaled.
        relative: whether q and v enter as differences to slot 0: friction between nodes, which conserves momentum.
        features: names of the features that are inputs too.
        feature_size: how many numbers these features are together.
        activation: function with a continuous second derivative.
        initializer: see `MLPDensity`.
        rngs: random streams; needed with hidden layers.

    Raises:
        ValueError: sizes that are not positive, scales of the wrong length, angles that are no degrees of freedom,
            features without their size or without a network, a law that is not convex or not flat at 0.

    Source: Lutter, Ritter, Peters 2019, arXiv 1907.04490, has M = L L^T with a positive diagonal of L.

    Example:
        >>> import jax, jax.numpy as jnp, lgn
        >>> friction = lgn.PositiveForm(slots=1, dim=1, size=0.5)
        >>> L = lgn.Lagrangian(lgn.single_node(), lgn.kinetic_energy, dissipation=friction)
        >>> L.acceleration(jnp.zeros((1, 1)), jnp.ones((1, 1))).round(6).tolist()
        [[-0.5]]
    """

    def __init__(
        self,
        slots: int,
        dim: int,
        hidden: Sequence[int] = (),
        *,
        law: Law = half_square,
        size: float | Sequence[float] = 1.0,
        q_scale: float | Sequence[float] = 1.0,
        v_scale: float | Sequence[float] = 1.0,
        angles: Sequence[int] = (),
        relative: bool = False,
        features: Sequence[str] = (),
        feature_size: int = 0,
        activation: Activation = jax.nn.softplus,
        initializer: Initializer = small_output,
        rngs: nnx.Rngs | None = None,
    ):
        _check("PositiveForm", slots, dim, hidden, relative, features, feature_size)
        if features and not hidden:
            raise ValueError(f"PositiveForm: features={tuple(features)} with hidden=(), which reads none; give widths")
        if hidden and rngs is None:
            raise ValueError(f"PositiveForm: hidden={tuple(hidden)} without rngs; give rngs=nnx.Rngs(0)")
        check_smooth(activation)
        _check_law(law)
        self.slots, self.dim, self.hidden, self.law, self.activation = slots, dim, tuple(hidden), law, activation
        self.size, self.q_scale = scale_of("size", size, dim), scale_of("q_scale", q_scale, dim)
        self.v_scale, self.angles, self.relative = scale_of("v_scale", v_scale, dim), angles_of(angles, dim), relative
        self.features, self.feature_size = tuple(features), feature_size
        read = slots - relative
        inputs, width = read * (dim + len(self.angles)) + feature_size, read * dim
        outputs = width * (width + 1) // 2
        self.layers = dense_layers((inputs, *hidden, outputs), initializer, rngs) if rngs and hidden else None
        self.constants = None if hidden else nnx.Param(jnp.zeros(outputs))

    def __call__(self, q, v, features) -> Float[Array, ""]:
        c, B = self.coefficients(q, features)
        v = v[1:] - v[0] if self.relative else v
        filled = jnp.repeat(_filled(features, self.slots)[self.relative :], self.dim)
        w = jnp.where(filled, B.T @ jnp.where(filled, v.ravel(), 0.0), 0.0)
        return c @ jax.vmap(self.law)(w)

    def coefficients(self, q, features) -> tuple[Float[Array, " k"], Float[Array, "k k"]]:
        """c and B at a configuration (slot, dim); rows by slot, then degree of freedom; without slot 0 if relative."""
        width = (self.slots - self.relative) * self.dim
        raw = self._network(_settle(q, features), features)
        rows, columns = np.tril_indices(width, -1)
        unit, size = (jnp.asarray(np.resize(x, width), q.dtype) for x in (self.v_scale, self.size))
        below = raw[width:] * unit[columns] / unit[rows]
        return size * jax.nn.softplus(raw[:width] + START), jnp.eye(width, dtype=q.dtype).at[rows, columns].set(below)

    def config(self) -> dict:
        """Arguments that make a form of this shape again."""
        names = ("slots", "dim", "hidden", "law", "size", "q_scale", "v_scale", "angles", "relative", "features")
        return {name: getattr(self, name) for name in (*names, "feature_size", "activation")}

    def _network(self, q, features):
        if self.constants is not None:
            return self.constants[...].astype(q.dtype)
        q = q[1:] - q[0] if self.relative else q
        return perceptron(self.layers, self.activation, _inputs(self, q, features))


class StructuredDensity(nnx.Module):
    """Kinetic minus potential energy, each a network: a Lagrangian whose mass matrix is positive definite.

        l(q, v) = T(q, v) - V(q),    T = 0.5 v^T M(q) v a `PositiveForm`,    V = MLP(q, features)

    M of each element is positive definite in its filled slots, so that M of a whole graph is, whatever the parameters.
    At the start M of an element is `mass` times the identity.

    Args:
        slots: nodes that an element reads.
        dim: values a node carries.
        hidden: widths of the hidden layers of V.
        kinetic_hidden: those of T, by default the same; empty: M of an element is constant.
        mass: M of an element at the start, one number or one for each degree of freedom.
        q_scale: typical size of q, one number or one for each degree of freedom.
        v_scale: the same for v; only its ratios matter, where degrees of freedom have different units.
        angles: degrees of freedom of q that enter as sine and cosine, unscaled.
        relative: whether q enters as differences to slot 0: then total momentum is conserved.
        features: names of the features that are inputs too.
        feature_size: how many numbers these features are together.
        activation: function with a continuous second derivative.
        initializer: see `MLPDensity`.
        rngs: random streams.

    Raises:
        ValueError: sizes that are not positive, scales of the wrong length, angles that are no degrees of freedom.

    Source: deep Lagrangian networks of Lutter, Ritter, Peters 2019, arXiv 1907.04490, equations 6 and 7.

    Example:
        >>> import jax.numpy as jnp, lgn
        >>> from flax import nnx
        >>> pendulum = lgn.StructuredDensity(slots=1, dim=1, angles=(0,), rngs=nnx.Rngs(0))
        >>> L = lgn.Lagrangian(lgn.single_node(), pendulum, dissipation=lgn.PositiveForm(slots=1, dim=1))
        >>> bool(L.power(jnp.ones((1, 1)), jnp.ones((1, 1))) < 0)
        True
    """

    def __init__(
        self,
        slots: int,
        dim: int,
        hidden: Sequence[int] = (24, 24),
        *,
        kinetic_hidden: Sequence[int] | None = None,
        mass: float | Sequence[float] = 1.0,
        q_scale: float | Sequence[float] = 1.0,
        v_scale: float | Sequence[float] = 1.0,
        angles: Sequence[int] = (),
        relative: bool = False,
        features: Sequence[str] = (),
        feature_size: int = 0,
        activation: Activation = jax.nn.softplus,
        initializer: Initializer = small_output,
        rngs: nnx.Rngs,
    ):
        _check("StructuredDensity", slots, dim, hidden, relative, features, feature_size)
        if not hidden:
            raise ValueError("StructuredDensity: hidden=(); give the widths of the hidden layers of V")
        self.slots, self.dim, self.hidden, self.activation = slots, dim, tuple(hidden), activation
        self.kinetic_hidden = self.hidden if kinetic_hidden is None else tuple(kinetic_hidden)
        self.mass, self.q_scale = scale_of("mass", mass, dim), scale_of("q_scale", q_scale, dim)
        self.v_scale, self.angles, self.relative = scale_of("v_scale", v_scale, dim), angles_of(angles, dim), relative
        self.features, self.feature_size = tuple(features), feature_size
        self.kinetic = PositiveForm(
            slots,
            dim,
            self.kinetic_hidden,
            size=mass,
            q_scale=q_scale,
            v_scale=v_scale,
            angles=angles,
            features=features if self.kinetic_hidden else (),
            feature_size=feature_size if self.kinetic_hidden else 0,
            activation=activation,
            initializer=initializer,
            rngs=rngs,
        )
        sizes = (slots * (dim + len(self.angles)) + feature_size, *hidden, 1)
        self.potential = dense_layers(sizes, initializer, rngs)

    def __call__(self, q, v, features) -> Float[Array, ""]:
        q = _settle(q, features)
        q = q - q[0] if self.relative else q  # slot 0 stays, for T reads the velocities of all
        potential = perceptron(self.potential, self.activation, _inputs(self, q, features))[0]
        return self.kinetic(q, v, features) - potential

    def config(self) -> dict:
        """Arguments that make a density of this shape again."""
        names = ("slots", "dim", "hidden", "kinetic_hidden", "mass", "q_scale", "v_scale", "angles", "relative")
        return {name: getattr(self, name) for name in (*names, "features", "feature_size", "activation")}


def _inputs(form, q, features) -> Array:
    """What a network sees: scaled q, sines and cosines of angles, named features."""
    named = [jnp.ravel(features[name]).astype(q.dtype) for name in form.features]
    return jnp.concatenate([jnp.ravel(coordinates(q, form.q_scale, form.angles)), *named])


def _filled(features, slots) -> Array:
    """(slot,) bool; all where no mask is known."""
    return jnp.asarray(features.get("mask", np.ones(slots))) > 0


def _settle(q, features) -> Array:
    """q with unfilled slots where slot 0 is."""
    return jnp.where(_filled(features, len(q))[:, None], q, q[0])


def _check_law(law) -> None:
    points = jnp.asarray([-3.0, -1.0, -0.1, -1e-9, 0.0, 1e-9, 0.1, 1.0, 3.0])
    slope = np.asarray(jax.vmap(jax.grad(law))(points))
    largest, name = np.abs(slope).max(), getattr(law, "__name__", law)
    if not (np.isfinite(slope).all() and largest > 0):
        raise ValueError(f"law={name} has slopes {slope} at {points}; expected finite ones that are not all zero")
    if abs(float(law(points[4]))) > 1e-6 or np.abs(slope[3:6]).max() > 1e-4 * largest:
        raise ValueError(
            f"law={name} is {float(law(points[4])):g} with slopes {slope[3:6]} at 0 and beside it; expected 0, without "
            f"a kink: take its value and its slope at 0 away from it, or round its kink off as Dry(speed) does"
        )
    if (np.diff(slope) < -1e-6 * largest).any():
        raise ValueError(f"law={name} has slopes {slope} at {points}; expected none that falls: give a convex law")


def _check(name, slots, dim, hidden, relative, features, feature_size) -> None:
    if min(slots, dim, *hidden) < 1:
        raise ValueError(f"{name}: slots={slots}, dim={dim}, hidden={tuple(hidden)}; each must be at least 1")
    if relative and slots < 2:
        raise ValueError(f"{name}: relative=True with slots={slots}: no slot to compare with; use relative=False")
    if bool(features) != bool(feature_size):
        raise ValueError(f"{name}: features={tuple(features)} with feature_size={feature_size}; give both")

"""Positive forms: functions of velocity that are positive by construction, as friction and as kinetic energy."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Unpack

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from lgn import _arguments
from lgn.densities.density import Density
from lgn.densities.inputs import Inputs, InputSettings, Scale, scale_of, widths_of
from lgn.densities.network import Activation, Initializer, Network, dense_layers, perceptron, small_output

Growth = Callable[[Array], Array]  # of one component of the velocity
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
        _arguments.positive("Dry: speed", self.speed)

    def __call__(self, s: Array) -> Array:
        return self.speed * s**2 / (jnp.sqrt(self.speed**2 + s**2) + self.speed)  # the difference would cancel


class PositiveForm(Network, Density):
    """Positive function of velocity whose coefficients depend on the configuration.

        form(q, v) = sum_k c_k(q) law(w_k),    w = B(q)^T v,    c_k > 0,    B unit lower triangular

    where v holds all dof of all slots. With law s^2 / 2 it is 0.5 v^T M(q) v, M = B diag(c) B^T: every positive
    definite matrix. With any law form >= 0, form(q, 0) = 0 and v . d form/dv >= 0, whatever the parameters: as
    `dissipation` of a Lagrangian it never adds energy. Unfilled slots add nothing. Initially c = size and B = 1.

    Args:
        slots: nodes that an element reads.
        dim: values a node carries.
        hidden: widths of the hidden layers of the network that gives B and c; empty: B and c are free constants.
        law: convex, law(0) = law'(0) = 0: `half_square`, `Dry(speed)`, `cubic` or your own.
        size: c at the start, one number or one for each degree of freedom; in law `half_square` a mass or a friction.
        activation, initializer, rngs: see `MLPDensity`; streams are needed with hidden layers.
        inputs: q_scale, v_scale, angles, relative, features, feature_size, feature_scale: see `Inputs`.
            Only ratios of v_scale matter, where degrees of freedom have different units. With relative=True v too
            enters as differences to slot 0: friction between nodes, which conserves momentum.

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
        law: Growth = half_square,
        size: Scale = 1.0,
        activation: Activation = jax.nn.softplus,
        initializer: Initializer = small_output,
        rngs: nnx.Rngs | None = None,
        **inputs: Unpack[InputSettings],
    ):
        super().__init__(hidden, activation, Inputs(slots, dim, **inputs), least=0)
        if self.inputs.fields != 2:
            raise ValueError(f"fields={self.inputs.fields}: kinetic energy and friction are functions of (q, v)")
        if self.inputs.features and not self.hidden:
            raise ValueError(
                f"PositiveForm: features={self.inputs.features} with hidden=(), which reads none; give widths"
            )
        if self.hidden and rngs is None:
            raise ValueError(f"PositiveForm: hidden={self.hidden} without rngs; give rngs=nnx.Rngs(0)")
        _arguments.called("law", law, "lgn.half_square, lgn.cubic, lgn.Dry(speed) or another convex function")
        _check_law(law)
        self.slots, self.law, self.size = slots, law, scale_of("size", size, dim)
        width = (slots - self.inputs.relative) * dim
        outputs = width * (width + 1) // 2
        sizes = (self.inputs.places + self.inputs.feature_size, *self.hidden, outputs)
        self.layers = dense_layers(sizes, initializer, rngs) if self.hidden else None
        self.constants: Any = None if self.hidden else nnx.Param(jnp.zeros(outputs))

    def __call__(self, q, v, features) -> Float[Array, ""]:
        c, B = self.coefficients(q, features)
        v = v[1:] - v[0] if self.inputs.relative else v
        filled = jnp.repeat(_filled(features, self.slots)[self.inputs.relative :], self.dim)
        w = jnp.where(filled, B.T @ jnp.where(filled, v.ravel(), 0.0), 0.0)
        return c @ jax.vmap(self.law)(w)

    def coefficients(self, q, features) -> tuple[Float[Array, " k"], Float[Array, "k k"]]:
        """c and B at a configuration (slot, dim); rows by slot, then degree of freedom; without slot 0 if relative."""
        width = (self.slots - self.inputs.relative) * self.dim
        if self.layers is not None:
            raw = perceptron(self.layers, self.activation, seen_at(self.inputs, settle(q, features), features))
        else:
            raw = self.constants[...].astype(q.dtype)
        rows, columns = np.tril_indices(width, -1)
        unit, size = (jnp.asarray(np.resize(x, width), q.dtype) for x in (self.inputs.v_scale, self.size))
        below = raw[width:] * unit[columns] / unit[rows]
        return size * jax.nn.softplus(raw[:width] + START), jnp.eye(width, dtype=q.dtype).at[rows, columns].set(below)


class StructuredDensity(Network, Density):
    """Kinetic minus potential energy, each a network: a Lagrangian whose mass matrix is positive definite.

        l(q, v) = T(q, v) - V(q),    T = 0.5 v^T M(q) v a `PositiveForm`,    V = MLP(q, features) - MLP(0, features)

    M of each element is positive definite in its filled slots, hence so is M of a whole graph, for all parameters.
    Initially M of an element is `mass` times the identity.

    Args:
        slots: nodes that an element reads.
        dim: values a node carries.
        hidden: widths of the hidden layers of V.
        kinetic_hidden: those of T, by default the same; empty: M of an element is constant.
        mass: M of an element at the start, one number or one for each degree of freedom.
        activation, initializer, rngs: see `MLPDensity`.
        inputs: q_scale, v_scale, angles, relative, features, feature_size, feature_scale: see `Inputs`.
            Only ratios of v_scale matter, where degrees of freedom have different units.

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
        mass: Scale = 1.0,
        activation: Activation = jax.nn.softplus,
        initializer: Initializer = small_output,
        rngs: nnx.Rngs,
        **inputs: Unpack[InputSettings],
    ):
        super().__init__(hidden, activation, Inputs(slots, dim, **inputs))
        self.kinetic_hidden = (
            self.hidden if kinetic_hidden is None else widths_of("StructuredDensity: kinetic", kinetic_hidden, least=0)
        )
        self.slots, self.mass = slots, scale_of("mass", mass, dim)
        # T reads the velocities of all slots, and where it is constant no features
        of_kinetic = InputSettings(**inputs) | {"relative": False}
        of_kinetic |= {} if self.kinetic_hidden else {"features": (), "feature_size": 0, "feature_scale": 1.0}
        own: Any = {"size": mass, "activation": activation, "initializer": initializer, "rngs": rngs}
        self.kinetic = PositiveForm(slots, dim, self.kinetic_hidden, **own, **of_kinetic)
        sizes = (self.inputs.places + self.inputs.feature_size, *self.hidden, 1)
        self.potential = dense_layers(sizes, initializer, rngs)

    def __call__(self, q, v, features) -> Float[Array, ""]:
        q = settle(q, features)
        q = q - q[0] if self.inputs.relative else q
        seen, resting = (seen_at(self.inputs, x, features) for x in (q, jnp.zeros_like(q)))
        return self.kinetic(q, v, features) - self.above_rest(self.potential, seen, resting)


def seen_at(inputs: Inputs, q, features) -> Float[Array, " input"]:
    """What a network sees of a configuration and its features."""
    return jnp.concatenate([inputs.place(q), inputs.named(features, q.dtype)])


def _filled(features, slots) -> Array:
    """(slot,) bool; all where no mask is known."""
    return jnp.asarray(features.get("mask", np.ones(slots))) > 0


def settle(q, features) -> Array:
    """q with unfilled slots moved to slot 0."""
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

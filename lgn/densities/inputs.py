"""Inputs: what a network sees of an element: scaled values, sine and cosine of angles, differences, named features."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TypedDict

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from lgn import _arguments, _arrays

Scale = float | Sequence[float]
NAMES = {1: "u", 2: "(q, v)"}  # the states of so many fields


class InputSettings(TypedDict, total=False):
    """The settings of `Inputs`, which every learned density and baseline takes by these names."""

    fields: int
    q_scale: Scale
    v_scale: Scale
    angles: Sequence[int]
    relative: bool
    features: Sequence[str]
    feature_size: int
    feature_scale: Scale


@dataclass(frozen=True)
class Inputs:
    """What a network sees of the state and the features of an element.

    A state of one field, u, is seen as q is, without v.

    Args:
        slots: nodes that an element reads.
        dim: values a node carries in each field.
        fields: 2 for (q, v), second order in time; 1 for u, first order.
        q_scale: typical size of q, one number or one for each degree of freedom.
        v_scale: the same for v.
        angles: degrees of freedom that are angles: they enter as sine and cosine, unscaled; what is learned then has
            period 2 pi.
        relative: whether q enters as differences to slot 0: the density is then invariant to a shift of all nodes,
            and total momentum is conserved exactly.
        features: names of the features that are inputs too.
        feature_size: how many numbers these features are together.
        feature_scale: their typical size, one number or one for each of them.

    Raises:
        ValueError: sizes below 1 or not whole, fields other than 1 or 2, scales that are not positive or of the wrong
            length, angles that are no degrees of freedom, features that are no names or without their size, differences
            of one slot.
    """

    slots: int
    dim: int
    fields: int = 2
    q_scale: Scale = 1.0
    v_scale: Scale = 1.0
    angles: Sequence[int] = ()
    relative: bool = False
    features: Sequence[str] = ()
    feature_size: int = 0
    feature_scale: Scale = 1.0

    def __post_init__(self):
        _arguments.whole("slots", self.slots)
        _arguments.whole("dim", self.dim)
        _arguments.whole("feature_size", self.feature_size, least=0)
        _arguments.flag("relative", self.relative)
        _arguments.names("features", self.features)
        if self.fields not in (1, 2):
            raise ValueError(f"fields={self.fields}; give 2 for a density of (q, v), 1 for one of u")
        if self.relative and self.slots < 2:
            raise ValueError(f"relative=True with slots={self.slots}: no slot to compare with; use relative=False")
        if bool(self.features) != bool(self.feature_size):
            raise ValueError(f"features={tuple(self.features)} with feature_size={self.feature_size}; give both")
        checked = {
            "q_scale": scale_of("q_scale", self.q_scale, self.dim),
            "v_scale": scale_of("v_scale", self.v_scale, self.dim),
            "angles": angles_of(self.angles, self.dim),
            "features": tuple(self.features),
            "feature_scale": scale_of("feature_scale", self.feature_scale, max(1, self.feature_size)),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    @property
    def coordinates(self) -> int:
        """Number of inputs from q of one node."""
        return self.dim + len(self.angles)

    @property
    def places(self) -> int:
        """Number of inputs from q of all slots."""
        return (self.slots - self.relative) * self.coordinates

    @property
    def speeds(self) -> int:
        """Number of inputs from v of all slots."""
        return self.slots * self.moving

    @property
    def moving(self) -> int:
        """Number of velocities of one node: none of a state of one field."""
        return self.dim * (self.fields - 1)

    @property
    def size(self) -> int:
        """Number of inputs from q, v and the features."""
        return self.places + self.speeds + self.feature_size

    def __call__(self, *local) -> Float[Array, " input"]:
        q, v, features = self.split(*local)
        return jnp.concatenate([self.place(q), self.speed(v).ravel(), self.named(features, q.dtype)])

    def split(self, *local) -> tuple:
        """q, v and the features of what a density takes, (q, v, features) or (u, features): q is u there, v is empty.

        Raises:
            ValueError: another number of fields.
        """
        *state, features = local
        if len(state) != self.fields:
            made, given = (NAMES.get(n, f"{n} fields") for n in (self.fields, len(state)))
            raise ValueError(
                f"a density of {made} (fields={self.fields}) is given {given}; make it with fields={len(state)}, or "
                f"use it with {'an EnergyFlow' if self.fields == 1 else 'a Lagrangian, or as lgn.canonical(density)'}"
            )
        return (*state, features) if self.fields == 2 else (*state, state[0][:, :0], features)

    def place(self, q: Float[Array | np.ndarray, "slot dim"]) -> Float[Array, " place"]:
        """What is seen of the configuration."""
        return self.coordinate(q[1:] - q[0] if self.relative else q).ravel()

    def coordinate(self, q: Float[Array | np.ndarray, "slot dim"]) -> Float[Array, "slot coordinate"]:
        """q over its scale, with each angle replaced by its cosine and the sines of the angles at the end."""
        if not self.angles:
            return jnp.asarray(q) / jnp.asarray(self.q_scale, q.dtype)
        turning = np.isin(np.arange(self.dim), self.angles)
        straight = jnp.where(turning, jnp.cos(q), q / jnp.asarray(self.q_scale, q.dtype))
        return jnp.concatenate([straight, jnp.sin(q[:, np.array(self.angles)])], 1)

    def speed(self, v: Float[Array | np.ndarray, "slot dim"]) -> Float[Array, "slot dim"]:
        """v over its scale."""
        return jnp.asarray(v) / jnp.asarray(self.v_scale, v.dtype)[: self.moving]

    def named(self, features, dtype) -> Float[Array, " named"]:
        """The named features, all slots of each, over their scale."""
        if not self.features:
            return jnp.zeros(0, dtype)
        found = [jnp.ravel(features[name]).astype(dtype) for name in self.features]
        return jnp.concatenate(found) / jnp.asarray(self.feature_scale, dtype)

    def columns(self, features, q: Float[Array | np.ndarray, "slot dim"]) -> Float[Array, "slot named"]:
        """The named features of each slot, over their scale, in the dtype of q."""
        if not self.features:
            return jnp.zeros((len(q), 0), q.dtype)
        found = [features[name].reshape(len(features[name]), -1).astype(q.dtype) for name in self.features]
        return jnp.concatenate(found, 1) / jnp.asarray(self.feature_scale, q.dtype)

    def settings(self) -> dict:
        """All but slots and dim, as arguments."""
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name not in ("slots", "dim")}


def scale_of(name: str, value, dim: int) -> tuple[float, ...]:
    """One positive scale for each degree of freedom."""
    values = np.broadcast_to(value, (dim,)) if np.ndim(value) == 0 else _arrays.array(name, value)
    if not _arguments.real(values) or values.shape != (dim,) or not (np.isfinite(values).all() and (values > 0).all()):
        raise ValueError(f"{name}={value!r}; give a positive number, or one for each of {dim}")
    return tuple(float(x) for x in values)


def angles_of(angles, dim: int) -> tuple[int, ...]:
    """The degrees of freedom that are angles, ascending."""
    given = _arguments.sizes("angles", angles, least=0)
    if len(set(given)) != len(given) or not set(given) <= set(range(dim)):
        raise ValueError(f"angles={angles}; give distinct degrees of freedom out of 0 to {dim - 1}")
    return tuple(sorted(given))


def widths_of(name: str, hidden, least: int = 1) -> tuple[int, ...]:
    """Widths of hidden layers, at least so many. Raises ValueError: too few, or one that is not whole or below 1."""
    widths = _arguments.sizes(f"{name}: hidden", hidden)
    if len(widths) < least:
        raise ValueError(f"{name}: hidden={widths}; give one width or more, each at least 1")
    return widths

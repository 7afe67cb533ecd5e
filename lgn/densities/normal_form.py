"""Normal form: the density with the same motion that is identical in every gauge."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from lgn import _arguments, _arrays
from lgn._pytrees import attribute
from lgn.densities.density import Density, DensityLike, as_density


def normal_form(
    density: DensityLike,
    q: Float[Array, "slot dim"],
    v: Float[Array, "slot dim"] | None = None,
    features: Mapping[str, Array] | None = None,
    *,
    scale: Float[Array, ""] | float | None = None,
    points: int = 8,
) -> "NormalForm":
    """The density with the same motion that is identical for all a l + b + dF(q)/dt, a not zero:

        l_n(q, v) = (l(q, v) - v . dF/dq - c) / scale,
        F(q) = integral_0^1 (q - q_0) . dl/dv(q_0 + s (q - q_0), 0) ds,

    with l_n = 0 and `mean_mass` one at the reference state (q_0, v_0), and (q - q_0) . dl_n/dv(q, 0) = 0: the radial
    gauge of Poincare, Fock and Schwinger. b and F may read the features.

    L is a sum of densities and F is linear in l, so this, applied to each density, does it for L on any graph. With
    the same row of q_0 in every slot, L is in the radial gauge about all nodes at that row. Densities that are
    different and sum to the same on a graph, as l and l + g(q_1) - g(q_0) on a ring, keep different normal forms.
    Where l does not read v, l_n is (l - c) / scale, but M gets blocks of zeros: on large graphs write that by hand.

    Args:
        density: any density.
        q: q_0 of the reference state, (slot, dim).
        v: v_0, (slot, dim); by default at rest.
        features: those of the reference state, where the density reads any.
        scale: by default `mean_mass` of the density at the reference state. Give it where several densities sum to L:
            they share one.
        points: of the Gauss-Legendre quadrature of F; exact where dl/dv(q, 0) is a polynomial in q of degree below
            2 points. With too few, l_n has the same motion, in the radial gauge to the accuracy of F.

    Raises:
        ValueError: a scale of zero, outside of transformations; shapes that differ; fewer than one point.

    Source: Fock 1937, Phys. Z. Sowjetunion 12, 404; Cronstroem 1980, Phys. Lett. B 90, 267.

    Example:
        >>> import jax.numpy as jnp, lgn
        >>> def particle(q, v, features): return v[0, 0] ** 2 + q[0, 0] * v[0, 0] - q[0, 0] ** 2 + 5  # qv = d(q^2/2)/dt
        >>> density = lgn.normal_form(particle, jnp.zeros((1, 1)))
        >>> float(density(jnp.full((1, 1), 3.0), jnp.full((1, 1), 4.0), {}))  # 0.5 v^2 - 0.5 q^2
        3.5

        Of a Lagrangian of several terms, with one scale for all:

        >>> def spring(q, v, features): return -((q[1, 0] - q[0, 0]) ** 2)
        >>> graph = lgn.lattice((4,))
        >>> L = lgn.Lagrangian(graph, [(particle, lgn.node_stencil), (spring, lgn.edge_stencil)])
        >>> rest = [jnp.zeros((term.stencil.slots, 1)) for term in L.terms]
        >>> from lgn.densities.normal_form import mean_mass
        >>> scale = sum(mean_mass(term.density, q, q) for term, q in zip(L.terms, rest))
        >>> terms = [(lgn.normal_form(term.density, q, scale=scale), term.stencil) for term, q in zip(L.terms, rest)]
        >>> float(lgn.Lagrangian(graph, terms)(jnp.eye(4)[:, :1], jnp.ones((4, 1))))  # 0.5 (4 v^2 - q^2 - 2 q^2)
        0.5
    """
    q = jnp.asarray(_arrays.numbers("normal_form: q", q), float)
    v = jnp.zeros_like(q) if v is None else jnp.asarray(_arrays.numbers("normal_form: v", v), float)
    if scale is None:
        scale = mean_mass(density, q, v, features)
    scale = jnp.asarray(_arrays.numbers("normal_form: scale", scale), float)
    if not isinstance(scale, jax.core.Tracer) and not (np.isfinite(scale) and scale != 0):
        raise ValueError(
            f"normal_form: scale={scale}; expected a number that is not zero: where d2l/dv dv vanishes at the "
            f"reference state, take another q or v, or give the scale of the Lagrangian that this density is a part of"
        )
    return NormalForm(density, q, v, scale, points)


def mean_mass(
    density: DensityLike,
    q: Float[Array, "slot dim"],
    v: Float[Array, "slot dim"],
    features: Mapping[str, Array] | None = None,
) -> Float[Array, ""]:
    """trace(d2l/dv dv) / dim over all slots: the mean diagonal of M where each slot of an element is another node and
    there are as many elements as nodes, as on a lattice. Neither b nor F changes it.

    Example:
        >>> import jax.numpy as jnp, lgn
        >>> def particle(q, v, features): return 0.5 * 3.0 * jnp.sum(v[0] ** 2)
        >>> from lgn.densities.normal_form import mean_mass
        >>> float(mean_mass(particle, jnp.zeros((2, 3)), jnp.zeros((2, 3))))
        3.0
    """
    _check_density(density, q, v)
    name, known = f"density {as_density(density).name}", dict(features or {})
    if as_density(density).slots is ...:
        _arguments.reads_within(name, density, q, v, known)
    mass = _arguments.explained(name, jax.hessian(density, argnums=1), q, v, known)
    return jnp.trace(mass.reshape(v.size, v.size)) / v.shape[1]


class NormalForm(Density):
    """A density in the gauge that `normal_form` fixes; its parameters are those of the density within."""

    def __init__(self, density: DensityLike, q, v, scale, points: int):
        _check_density(density, q, v)
        self.density = attribute(density)
        self.q, self.v, self.scale = (nnx.data(jnp.asarray(x)) for x in (q, v, scale))
        self.slots, self.dim = self.q.shape
        self.points = _arguments.whole("normal_form: points", points)

    def __call__(self, q, v, features) -> Float[Array, ""]:
        q_0, v_0 = self.q.astype(q.dtype), self.v.astype(q.dtype)
        rate = jax.jvp(lambda q: self._radial(q, features), (q,), (v,))[1]
        at_reference = self.density(q_0, v_0, features) - jnp.sum(v_0 * self._momentum(q_0, features))
        return (self.density(q, v, features) - rate - at_reference) / self.scale.astype(q.dtype)

    def _momentum(self, q, features):
        return jax.grad(self.density, argnums=1)(q, jnp.zeros_like(q), features)

    def _radial(self, q, features):
        """F(q); dF/dq at the reference is the momentum there."""
        nodes, weights = (jnp.asarray(x, q.dtype) for x in np.polynomial.legendre.leggauss(self.points))
        q_0 = self.q.astype(q.dtype)
        path = q_0 + 0.5 * (nodes[:, None, None] + 1) * (q - q_0)
        momenta = jax.vmap(lambda place: self._momentum(place, features))(path)
        return 0.5 * jnp.sum((q - q_0) * jnp.tensordot(weights, momenta, 1))


def _check_density(density, q, v) -> None:
    _arguments.called("density", density, "a function (q, v, features) -> scalar, or a learned one")
    if np.ndim(q) != 2 or np.shape(q) != np.shape(v):
        raise ValueError(f"normal_form: q has shape {np.shape(q)} and v {np.shape(v)}; expected (slot, dim) of both")

"""Transfer: a system on another graph."""

from typing import Any, TypeVar

import jraph

from lgn import _spelling
from lgn.assembly.functional import Functional

Kind = TypeVar("Kind", bound=Any)
BOUND = ("force", "motion")  # arguments that are (node, dim): of the nodes of one graph, also where they are functions


def on(self: Kind, graph: jraph.GraphsTuple, **given: Any) -> Kind:
    """The same on another graph: the same densities, dissipation, structure or law, with the parameters that they have
    now, and stencils that are made anew.

    Features and clamps are those of the graph that is given; densities read the features by name.

    Args:
        graph: any graph on which the densities and the structure have a meaning.
        given: arguments of the class that shall differ, and those that belong to the nodes of one graph: a system with
            a `force` or a `motion` needs that again, or None for none. `control`, `solver` and `discrete` are carried;
            `solver=None` chooses one for the new pattern.

    Raises:
        ValueError: a force or a motion that is not given again; a term whose stencil was given as a table, which is one
            of the old graph; an argument that the class does not have; and what the class raises on such a graph.

    Example:
        >>> import jax.numpy as jnp, lgn
        >>> def mass(q, v, features): return 0.5 * v[0, 0] ** 2
        >>> def spring(q, v, features): return -2.5 * (q[1, 0] - q[0, 0]) ** 2
        >>> L = lgn.Lagrangian(lgn.lattice((3,)), [(mass, lgn.node_stencil), (spring, lgn.edge_stencil)])
        >>> L.on(lgn.lattice((5,))).acceleration(jnp.eye(5)[:, :1], jnp.zeros((5, 1)))[:, 0].tolist()
        [-10.0, 5.0, 0.0, 0.0, 5.0]
    """
    known = {name: x for name, x in self.config().items() if name != "graph"}
    for name in given:
        if name not in known:
            raise ValueError(
                f"on: {type(self).__name__} has no argument {name!r}, but {', '.join(sorted(known))}"
                + _spelling.nearest(name, known)
            )
    for name in BOUND:
        if name not in given and known.get(name) is not None:
            raise ValueError(
                f"on: this system has a {name}, which belongs to the nodes of its graph; give that of the new graph, "
                f"{name}=..., or {name}=None for none"
            )
    parts = {"density": getattr(self, "functional", None), "dissipation": getattr(self, "dissipation", None)}
    terms = {name: _terms(name, x) for name, x in parts.items() if x is not None and name not in given}
    return type(self)(graph, **known | terms | given)


def _terms(name: str, functional: Functional) -> list[tuple] | None:
    """The terms of a functional, for any graph."""
    for number, term in enumerate(functional.terms):
        if term.maker is None:
            raise ValueError(
                f"on: the stencil of term {number} of {name}, {term.name}, is a table of the old graph; make the "
                f"system with the function that makes it, (density, lgn.node_stencil) or (density, "
                f"functools.partial(lgn.node_stencil, hops=0)), or give the terms again: {name}=[(density, stencil)]"
            )
    return functional.pairs or None

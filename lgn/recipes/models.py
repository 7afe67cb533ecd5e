"""Models: graphs, densities and frictions by the names that a recipe gives them."""

import csv
from collections.abc import Callable
from functools import partial
from pathlib import Path

import jax.numpy as jnp
import jraph
import numpy as np
from flax import nnx

from lgn.data.preprocessing import scales, site_and_edge
from lgn.data.samples import Windows
from lgn.densities.continuum import Continuum, FieldMLP
from lgn.densities.message_passing import MessageDensity, PairDensity
from lgn.densities.positive import Dry, Growth, PositiveForm, StructuredDensity, cubic, half_square
from lgn.graphs.edges import from_edges, single_node
from lgn.graphs.features import clamp, node_count
from lgn.graphs.lattices import lattice
from lgn.graphs.meshes import from_meshio
from lgn.graphs.stencils import cell_stencil, edge_stencil, node_stencil
from lgn.mechanics.lagrangian import Lagrangian
from lgn.recipes.recipe import Graph, Recipe

on_nodes = partial(node_stencil, hops=0)


def graph_of(settings: Graph, measured: int, folder: Path) -> jraph.GraphsTuple:
    """Graph of the measured and the clamped nodes.

    Raises:
        ValueError: a graph of another number of nodes, edges that make none, a file that is not there.
    """
    count, file = measured + len(settings.clamped), folder / settings.file
    makers: dict[str, Callable[[], jraph.GraphsTuple]] = {
        "single": single_node,
        "chain": partial(lattice, (count,), periodic=False),
        "ring": partial(lattice, (count,), periodic=True),
        "lattice": partial(lattice, settings.shape, periodic=settings.periodic),
        "edges": partial(_from_edge_file, count, file),
        "mesh": partial(from_meshio, file),
    }
    made = makers[settings.kind]()
    if node_count(made) != count:
        raise ValueError(
            f"graph: {settings.kind} has {node_count(made)} nodes; positions have {measured}, and "
            f"{len(settings.clamped)} are clamped: give columns for every node that moves"
        )
    return clamp(made, settings.clamped)


def check_density(name: str, graph: jraph.GraphsTuple) -> None:
    """Raise ValueError for a density that needs what this graph lacks."""
    if name == "continuum" and "position" not in graph.nodes:
        raise ValueError(f"density={name!r} needs positions; give a mesh or a lattice")
    if name == "site_and_edge" and not graph.senders.size:
        raise ValueError(f"density={name!r} needs a graph with edges; use 'potential'")


def system_of(recipe: Recipe, graph: jraph.GraphsTuple, data: Windows, seed: int) -> Lagrangian:
    """Lagrangian to be trained, scaled to the data: in its units the kinetic energy is of order 1."""
    angles = tuple(i for i, of in enumerate(zip(*recipe.grid, strict=True)) if set(of) & set(recipe.angles))
    sizes = scales(data)
    settings = {**sizes, "angles": angles, "rngs": nnx.Rngs(seed)}
    mass = tuple(v**-2.0 for v in sizes["v_scale"])
    terms = DENSITIES[recipe.density](graph, data, recipe.width, mass, settings)
    return Lagrangian(graph, terms, dissipation=_friction(recipe.friction, mass, sizes))


def _potential(graph, data, width, mass, settings, kinetic: tuple | None = ()):
    """v^T M v / 2 of each node, minus potential energies of nodes and of edges; M is constant."""
    site = StructuredDensity(1, len(mass), width, kinetic_hidden=kinetic, mass=mass, **settings)
    if not graph.senders.size:
        return [(site, on_nodes)]
    edges = scales(data, edge_stencil(graph))
    return [(site, on_nodes), (PairDensity(len(mass), width, **(settings | edges)), edge_stencil)]


def _site_and_edge(graph, data, width, mass, settings):
    others = {name: settings[name] for name in ("angles", "rngs")}  # it finds the scales of both by itself
    return site_and_edge(graph, data, width, mass=float(np.mean(mass)), **others)


def _message(graph, data, width, mass, settings):
    return MessageDensity(len(mass), hidden=width, mass=float(np.mean(mass)), **settings)


def _continuum(graph, data, width, mass, settings):
    """Field on a mesh or lattice; gradients are scaled by differences over lengths of edges."""
    length = float(np.sqrt(np.mean(np.sum(np.square(graph.edges["offset"]), -1))))
    slopes = tuple(q / length for q in scales(data, edge_stencil(graph))["q_scale"])
    space = graph.nodes["position"].shape[1]
    field = FieldMLP(len(mass), space, width, mass=float(np.mean(mass)), gradient_scale=slopes, **settings)
    return [(Continuum(field), cell_stencil)]


DENSITIES: dict[str, Callable] = {
    "potential": _potential,
    "structured": partial(_potential, kinetic=None),  # M depends on q
    "site_and_edge": _site_and_edge,
    "message": _message,
    "continuum": _continuum,
}


def _friction(name: str, mass, sizes) -> list | None:
    """Positive form of each node that initially dissipates a twentieth of the energy in the time q / v."""
    if name == "none":
        return None
    q, v = np.array(sizes["q_scale"]), np.array(sizes["v_scale"])
    laws: dict[str, Growth] = {"linear": half_square, "quadratic": cubic, "dry": Dry(0.1 * float(v.mean()))}
    law = laws[name]
    size = tuple(float(x) for x in 0.05 * np.array(mass) * v**3 / q / np.asarray(law(jnp.asarray(v))))
    return [(PositiveForm(1, len(mass), law=law, size=size, v_scale=sizes["v_scale"]), on_nodes)]


def _from_edge_file(count: int, path: Path) -> jraph.GraphsTuple:
    """Graph of a CSV file: each row joins two nodes, numbered from 0; a header is skipped."""
    try:
        rows = [row for row in csv.reader(path.read_text().splitlines()) if row]
        pairs = {tuple(sorted(map(int, row))) for row in rows[not rows[0][0].strip().isdigit() :]}
    except (OSError, ValueError, IndexError) as error:
        raise ValueError(f"graph: {path} is no file of edges ({error}); give two node numbers a row") from error
    if not pairs:
        raise ValueError(f"graph: {path} has no rows; give two node numbers a row")
    if {len(pair) for pair in pairs} != {2}:
        raise ValueError(f"graph: {path} has rows that are not two numbers; give two node numbers a row")
    low, high = np.array(sorted(pairs)).T
    return from_edges(count, np.r_[low, high], np.r_[high, low])

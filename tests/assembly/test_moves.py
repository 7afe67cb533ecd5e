"""Moves: as numpy's own indexing and adding, where slots read runs of nodes and where they do not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from lgn.assembly.layout import table_of
from lgn.assembly.moves import added, gathered
from lgn.graphs.tables import Stencil

import lgn


def stencil(index):
    return Stencil(index, np.ones(index.shape), np.full(index.shape, -1))


RING, CHAIN = (lgn.node_stencil(lgn.lattice((7,), periodic=ring)) for ring in (True, False))
TABLES = {
    "ring": RING,
    "chain": CHAIN,  # its ends read themselves again
    "edges": lgn.edge_stencil(lgn.lattice((7,))),
    "edges of a chain": lgn.edge_stencil(lgn.lattice((7,), periodic=False)),
    "plane": lgn.node_stencil(lgn.lattice((5, 6))),
    "random": stencil(np.random.default_rng(0).integers(0, 9, (20, 3))),
    "none": stencil(np.zeros((0, 2), int)),
}


@pytest.mark.parametrize("slots", [None, [0], [1, 0]], ids=["all slots", "one", "others"])
@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES.keys())
def test_moves_are_those_of_numpy(table, slots):
    random, n, index = np.random.default_rng(1), 30, table.index
    slots = np.arange(table.slots) if slots is None else np.array(slots)
    x, found = random.normal(size=(n, 2)), random.normal(size=(*index.shape, 2))
    np.testing.assert_array_equal(gathered(jnp.asarray(x), table), x[index])
    expected = x.copy()
    np.add.at(expected, index[:, slots], found[:, slots])
    np.testing.assert_allclose(added(jnp.asarray(x), table, jnp.asarray(found), slots), expected, rtol=1e-13)


@pytest.mark.parametrize("table", [RING, CHAIN, TABLES["edges of a chain"]], ids=["ring", "chain", "edges"])
def test_rings_and_chains_take_no_gather_and_no_scatter(table):
    for own in (table, table_of(table, 7, ())):
        program = jax.make_jaxpr(lambda x, own=own: added(x, own, gathered(x, own), range(own.slots)))(jnp.ones((7, 1)))
        assert "gather" not in str(program) and "scatter" not in str(program)

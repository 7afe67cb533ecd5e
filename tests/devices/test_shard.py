"""Systems over four devices equal the same on one; how much they send and keep; what cannot be divided."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import networkx
import numpy as np
import pytest

import lgn
from lgn.devices.partition import Partition

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
MESH = jax.make_mesh((1,), ("nodes",))


def string(q, v, features):
    return 0.5 * v[0, 0] ** 2 - 2.5 * (q[2, 0] - q[0, 0]) ** 2


@pytest.fixture(scope="module")
def found():
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=4"
    env = {**os.environ, "PYTHONPATH": str(ROOT), "XLA_FLAGS": flags}
    command = [sys.executable, str(HERE / "four_devices.py")]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


SAME = ["acceleration", "energy", "momentum", "friction", "clamp_force", "rollout", "replace", "whole", "hub", "node"]
FLOWS = ["kdv", "phases", "open ends", "nodes", "graph"]
MOTIONS = ["kdv by DiscreteGradient", "phases by ImplicitMidpoint", "phases by DiscreteGradient"]


@pytest.mark.parametrize("name", [*SAME, "loss", "gradient", "loss of samples", "parameters by samples"])
def test_four_devices_find_what_one_finds(found, name):
    """Conjugate gradients, which the parts use, stop at 1e-12."""
    assert found[name] < (1e-11 if name in SAME else 1e-12)


@pytest.mark.parametrize("name", [*FLOWS, "a replaced graph", "a whole graph"])
def test_an_energy_flow_over_four_devices_is_that_of_one(found, name):
    assert found[f"flow of {name}"] < 1e-12
    assert name not in FLOWS or found[f"adjoint of {name}"] < 1e-12


@pytest.mark.parametrize("name", [*MOTIONS, "Lagrangian by DiscreteGradient"])
def test_motions_over_four_devices_are_those_of_one(found, name):
    assert found[name] < 1e-12


def test_discrete_gradients_over_four_devices_keep_the_law_of_the_energy(found):
    """It is constant with a first difference, and falls with a Laplacian."""
    assert abs(found["energy of kdv by DiscreteGradient"]) < 1e-12
    assert found["energy of phases by DiscreteGradient"] < -0.01


def test_an_acceleration_sends_the_halo_and_nothing_else(found):
    """There (q, v) and back f and the diagonal of M: of two nodes on a ring, of two rows of a square. The string gives
    M nothing beyond slot 0; on a ring of one piece, which is read by slices, the compiler sees that."""
    assert found["halo of ring"] == 2 * 8 * 3 and found["halo of longer ring"] == 2 * 8 * 4
    assert found["halo of square"] == 2 * 40 * 8 * 4
    assert all(found[f"else of {name}"] == 0 for name in ("ring", "longer ring", "square"))


def test_a_rate_of_an_energy_flow_sends_the_halo_and_nothing_else(found):
    """There u, back its gradient, and there the gradient: of two nodes on a ring, of two rows of a square. On a ring of
    one piece nothing goes back to the left: the density of solitons reads no node there."""
    assert found["halo of flow, ring"] == 2 * 8 * 3 - 8 and found["halo of flow, longer ring"] == 2 * 8 * 3
    assert found["halo of flow, square"] == 2 * 40 * 8 * 3
    assert all(found[f"else of flow, {name}"] == 0 for name in ("ring", "longer ring", "square"))


def test_temporaries_fall_with_the_number_of_devices(found):
    """To a quarter and a bit, in programs that are compiled for tests, which fuse less than those of users: these are
    measured by `experiments.support.devices`."""
    assert found["temporaries of longer ring"] < 0.4
    assert found["temporaries of flow, longer ring"] < 0.4


def grids():
    random = networkx.gnm_random_graph(30, 60, seed=2)
    random.add_edges_from(networkx.path_graph(30).edges)
    yield "ring", lgn.lattice((13,))
    yield "torus", lgn.lattice((5, 6))
    yield "random", lgn.from_networkx(random)
    order = np.random.default_rng(0).permutation(40)
    disorder = networkx.relabel_nodes(networkx.path_graph(40), dict(enumerate(order)))
    yield "chain in disorder", lgn.from_networkx(disorder)


@pytest.mark.parametrize("graph", [pytest.param(graph, id=name) for name, graph in grids()])
@pytest.mark.parametrize("parts", [1, 2, 4])
def test_parts_hold_each_element_once_and_know_the_nodes_it_reads(graph, parts):
    """The exchange, followed in numpy: local rows hold the numbers of their nodes."""
    stencils = [lgn.node_stencil(graph), lgn.edge_stencil(graph)]
    n = int(graph.n_node[0])
    made = Partition(n, parts, stencils, np.asarray(graph.receivers))
    rows = np.full(parts * made.size, -1)
    rows[:n] = made.order
    own = rows.reshape(parts, made.size)
    assert sorted(made.order) == list(range(n)) and (own[:, 0] >= 0).all()
    known = [list(nodes) for nodes in own]
    for pairs, sends in zip(made.rounds, made.sends, strict=True):
        came_from = {end: begin for begin, end in pairs}
        for part in range(parts):
            begin = came_from.get(part)
            known[part] += [-1] * len(sends[0]) if begin is None else list(own[begin][sends[begin]])
    for part in range(parts):
        local = np.array(known[part])
        local = np.concatenate([local, local[made.copies(part)]])
        assert len(local) == made.starts[-1]
        for table, stencil in enumerate(stencils):
            np.testing.assert_array_equal(local[made.index(table, part)], stencil.index[made.elements(table, part)])
    for table, stencil in enumerate(stencils):
        every = [made.elements(table, part)[: made.owned(table, part)] for part in range(parts)]
        assert sorted(np.concatenate(every)) == list(range(len(stencil.index)))


def test_a_chain_in_disorder_is_put_in_order():
    """Two neighbours a part, where its own numbering makes nearly all nodes neighbours of other parts."""
    graph = dict(grids())["chain in disorder"]
    made = Partition(40, 4, [lgn.node_stencil(graph)])
    assert sum(len(sends[0]) for sends in made.sends) == 2


def test_a_part_without_nodes_is_refused():
    stencil = lgn.node_stencil(lgn.lattice((9,)))
    with pytest.raises(ValueError, match="9 nodes in 4 parts of 3 leave a part empty; give a mesh of at most 3"):
        Partition(9, 4, [stencil])


@pytest.mark.parametrize("solver", [lgn.Banded(), lgn.Dense()])
def test_a_solver_of_the_whole_matrix_is_refused(solver):
    with pytest.raises(ValueError, match="takes the whole matrix; make the system with solver=None"):
        lgn.shard(lgn.Lagrangian(lgn.lattice((5,)), string, solver=solver), MESH)


def heat(u, features):
    return 0.5 * u[0, 0] ** 2


class Mean:
    """A structure that reads all nodes."""

    conserves, dissipates = False, True

    def tables(self, graph):
        return ()

    def apply(self, tables, x):
        return x.mean() - x


class Tabled(Mean):
    """One that promises tables of nodes, and has none."""

    local = True

    def tables(self, graph):
        return np.ones(3)


@pytest.mark.parametrize("structure", [Mean(), 2.0 * lgn.Relaxation(1.0) + Mean()])
def test_a_structure_that_may_read_all_nodes_is_refused(structure):
    flow = lgn.EnergyFlow(lgn.lattice((5,)), heat, structure=structure)
    with pytest.raises(ValueError, match="does not say which nodes a row of G reads"):
        lgn.shard(flow, MESH)


def test_a_structure_whose_tables_are_not_those_of_nodes_is_refused():
    with pytest.raises(ValueError, match=r"a table of shape \(3,\); expected \(5, ...\), a row for each node"):
        lgn.shard(lgn.EnergyFlow(lgn.lattice((5,)), heat, structure=Tabled()), MESH)


def test_a_density_that_only_one_table_holds_is_refused():
    """A hub's neighbours in slots that a density names have no table that could be divided."""
    leaves, hub = np.arange(1, 20_001), np.zeros(20_000, int)
    star = lgn.from_edges(20_001, np.r_[leaves, hub], np.r_[hub, leaves])
    with pytest.raises(ValueError, match="node 0 has 20000 neighbours"):
        lgn.shard(lgn.Lagrangian(star, string), MESH)


def test_a_mesh_of_several_axes_needs_the_name_of_one():
    mesh, system = jax.make_mesh((1, 1), ("a", "b")), lgn.Lagrangian(lgn.lattice((5,)), string)
    with pytest.raises(ValueError, match="mesh has the axes"):
        lgn.shard(system, mesh)
    with pytest.raises(ValueError, match="give one of them"):
        lgn.shard(system, mesh, axis="c")
    assert "over 1 devices" in str(lgn.shard(system, mesh, axis="b"))


def test_what_needs_the_whole_matrix_says_so():
    system = lgn.shard(lgn.Lagrangian(lgn.lattice((5,)), string), MESH)
    q = np.eye(5)[:, :1]
    with pytest.raises(ValueError, match=r"system\.whole"):
        system.equation(q, q)
    flow = lgn.shard(lgn.EnergyFlow(lgn.lattice((5,)), heat, structure=lgn.Laplacian()), MESH)
    assert flow.structure.check().antisymmetry_error > 0  # a flow keeps the structure of its graph
    assert isinstance(system, lgn.Lagrangian) and isinstance(flow, lgn.EnergyFlow)
    np.testing.assert_allclose(system.mass_matrix(q, q).toarray(), np.eye(5))


def test_a_flow_whose_energy_rises_is_told_on_devices_too():
    def well(u, features):
        return 0.25 * u[0, 0] ** 4

    flow = lgn.EnergyFlow(lgn.lattice((6,)), well, structure=lgn.Laplacian())
    motion = lgn.rollout(flow, 0.5 * jnp.cos(jnp.arange(6.0))[:, None], [0.0, 0.01], lgn.ImplicitMidpoint(0.005))
    rising = motion._replace(energy=jnp.array([1.0, 9.0]))
    for system in (flow, lgn.shard(flow, MESH)):
        with pytest.warns(RuntimeWarning, match="energy rises"):
            lgn.check_motion(system, rising)


def test_fields_may_be_given_by_name():
    L = lgn.Lagrangian(lgn.lattice((5,)), string)
    divided, (q, v) = lgn.shard(L, MESH), np.random.default_rng(0).normal(size=(2, 5, 1))
    np.testing.assert_allclose(divided.energy(v=v, q=q), L.energy(q, v))
    np.testing.assert_allclose(divided.force(q, v=v, t=0.3), L.force(q, v, 0.3))

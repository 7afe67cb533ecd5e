import jax
import jax.numpy as jnp
import networkx as nx
import numpy as np
import pytest
from flax import nnx

import lgn
from lgn.solvers.solution import SINGULAR, SOLVED


def normal(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape))


def state(graph, dim=1, seed=0):
    return normal(seed, int(graph.n_node[0]), dim), normal(seed + 1, int(graph.n_node[0]), dim)


def connected(n, seed):
    """A random connected networkx graph whose numbering means nothing."""
    G = nx.compose(nx.path_graph(n), nx.gnp_random_graph(n, 0.25, seed=seed))
    return nx.relabel_nodes(G, dict(enumerate(np.random.default_rng(seed).permutation(n).tolist())))


def from_networkx(G, **named):
    pairs = np.array([(i, j) for a, b in G.edges for i, j in ((a, b), (b, a))], int).reshape(-1, 2)
    return lgn.from_edges(len(G), pairs[:, 0], pairs[:, 1], **named)


def learned(slots, dim, mass=4.0, seed=0):
    """A network far from its start: as large as its prior lets M stay positive definite."""
    rough = lambda layer, layers: nnx.initializers.variance_scaling(1.5, "fan_in", "normal")  # noqa: E731
    return lgn.MLPDensity(slots, dim, (6, 5), mass=mass, initializer=rough, rngs=nnx.Rngs(seed))


def analytic(seed):
    """Nonlinear in q and v, with coupled velocities, the same for every order of the neighbours."""
    w = np.random.default_rng(seed).uniform(0.2, 1.0, 5)

    def density(q, v, features):
        mask = features["mask"][:, None]
        dq, dv = q - q[0], v - v[0]
        own = 0.5 * jnp.sum((3 + jnp.sin(w[0] * q[0])) * v[0] ** 2) - w[1] * jnp.sum(q[0] ** 4)
        pair = w[2] * 0.3 * dv**2 * jnp.cos(dq) - w[3] * dq**2 * jnp.exp(0.1 * q) + w[4] * v * q[0] ** 2
        return own + jnp.sum(mask * pair)

    return density


# -- The equation of motion; on any graph and numbering, with terms, friction, clamps and every solver, it stands in
# laws/test_ten_thousand_graphs.py -------------------------------------------------------------------------------------


RING = lgn.lattice((6,))


def test_the_equation_also_holds_where_the_mass_matrix_is_indefinite():
    """By whole derivatives of L(q, v)."""

    def short_waves_are_negative(q, v, features):
        pairs = jnp.sum((v[1:, 0] - v[0, 0]) ** 2 * jnp.cos(0.3 * (q[1:, 0] - q[0, 0])))
        return (0.5 + 0.1 * jnp.sin(q[0, 0])) * v[0, 0] ** 2 - 0.2 * pairs + v[0, 0] * q[1, 0] ** 3 - q[2, 0] ** 4

    L = lgn.Lagrangian(RING, short_waves_are_negative)

    @jax.jit
    def whole(q, v):
        mass, mixed = (x.reshape(6, 6) for x in (jax.hessian(L, 1)(q, v), jax.jacfwd(jax.grad(L, 1))(q, v)))
        return mass, jax.grad(L)(q, v).ravel() - mixed @ v.ravel()

    q, v = state(RING)
    mass, f = whole(q, v)
    assert {-1.0, 1.0} == set(np.sign(np.linalg.eigvalsh(mass))), "the test is about an indefinite matrix"
    a = np.linalg.solve(mass, f)
    np.testing.assert_allclose(L.acceleration(q, v).ravel(), a, atol=1e-9 * (1 + np.abs(a).max()))


def test_mass_matrix_is_scipy_sparse_and_the_graph_laplacian_where_velocity_differences_cost():
    """l = (1 + q^2) v^2 / 2 + sum over links (dv)^2 / 2, each link met twice: M = diag(1 + q^2) + 2 Laplacian."""
    G = connected(6, 3)

    def density(q, v, features):
        return 0.5 * (1 + q[0, 0] ** 2) * v[0, 0] ** 2 + 0.5 * jnp.sum(features["mask"] * (v[:, 0] - v[0, 0]) ** 2)

    q, v = state(from_networkx(G))
    sparse = lgn.Lagrangian(from_networkx(G), density).mass_matrix(q, v)
    assert sparse.format == "csr"
    laplacian = nx.laplacian_matrix(G, nodelist=range(6)).toarray()
    np.testing.assert_allclose(sparse.toarray(), np.diag(1 + q[:, 0] ** 2) + 2 * laplacian, atol=1e-13)


def string(q, v, features):
    """Discrete wave equation: every link is met from both of its ends."""
    h = features["measure"]
    return h * (0.5 * v[0, 0] ** 2 - 0.25 * 9.0 * jnp.sum((q[1:, 0] - q[0, 0]) ** 2) / h**2)


@pytest.mark.parametrize("shape, periodic", [((12,), True), ((12,), False), ((4, 5), True)])
def test_wave_equation(shape, periodic):
    """a = c^2 times the second difference, c = 3; an open end is free."""
    h = 0.1 if len(shape) == 1 else 1.0
    graph = lgn.lattice(shape, spacing=h, periodic=periodic)
    q, v = state(graph)
    u = np.asarray(q).reshape(shape)
    second = 0
    for axis in range(len(shape)):
        padded = np.pad(u, [(1, 1) if i == axis else (0, 0) for i in range(len(shape))], "wrap" if periodic else "edge")
        second = second + np.diff(padded, 2, axis) / h**2
    a = jax.jit(lgn.Lagrangian.acceleration)(lgn.Lagrangian(graph, string), q, v)
    np.testing.assert_allclose(a.reshape(shape), 9.0 * second, atol=1e-10)


def test_energy_is_v_p_minus_L_even_where_it_is_not_kinetic_plus_potential():
    """l = v^4 / 4 + v q: p = v^3 + q and E = 3/4 v^4."""
    L = lgn.Lagrangian(lgn.lattice((5,)), lambda q, v, features: 0.25 * v[0, 0] ** 4 + v[0, 0] * q[0, 0])
    q, v = state(lgn.lattice((5,)))
    np.testing.assert_allclose(L.momentum(q, v), v**3 + q, rtol=1e-13)
    np.testing.assert_allclose(L.energy(q, v), 0.75 * np.sum(v**4), rtol=1e-13)


# -- Symmetries ------------------------------------------------------------------------------------------------------


def test_gauge_freedom():
    """dF/dt for a local F(q) added to the density changes momenta but no acceleration."""

    def moved(q, v, features):
        def F(q):
            return jnp.sum(jnp.sin(q) * q[0] ** 2) + jnp.exp(0.3 * q[0, 0])

        return string(q, v, features) + jax.jvp(F, (q,), (v,))[1]

    graph = lgn.lattice((6,), spacing=0.5)
    q, v = state(graph)
    one, two = (lgn.Lagrangian(graph, density) for density in (string, moved))
    np.testing.assert_allclose(two.acceleration(q, v), one.acceleration(q, v), atol=1e-10)
    assert np.abs(two.momentum(q, v) - one.momentum(q, v)).max() > 0.1


def test_shifting_a_lattice_shifts_the_motion():
    """For a density without any symmetry of its own."""
    graph = lgn.lattice((4, 5))
    L = lgn.Lagrangian(graph, learned(5, 1))
    q, v = state(graph)
    shift = lambda x: np.roll(x.reshape(4, 5, 1), (1, 2), (0, 1)).reshape(20, 1)  # noqa: E731
    np.testing.assert_allclose(L.acceleration(shift(q), shift(v)), shift(L.acceleration(q, v)), atol=1e-10)


# -- Terms, forces, dissipation, clamps --------------------------------------------------------------------------------


def kinetic(q, v, features):
    return 0.5 * jnp.sum(features["m"][0] * v[0] ** 2) if "m" in features else 0.5 * jnp.sum(v[0] ** 2)


def spring(q, v, features):
    return -jnp.sum(jnp.cosh(q[1] - q[0]) - 1)


def test_terms_add_up_and_only_those_with_velocities_couple_the_mass_matrix():
    G = connected(7, 5)
    m = np.random.default_rng(0).uniform(1, 2, 7)
    graph = from_networkx(G, node_features={"m": m})
    L = lgn.Lagrangian(graph, [(kinetic, lambda g: lgn.node_stencil(g, hops=0)), (spring, lgn.edge_stencil)])
    q, v = state(graph)
    u = np.asarray(q[:, 0])
    pull = [sum(np.sinh(u[j] - u[i]) for j in G[i]) for i in range(7)]
    np.testing.assert_allclose(L.acceleration(q, v)[:, 0], pull / m, rtol=1e-12)
    assert L.solver_for(1) == lgn.BlockDiagonal()
    assert repr(L) == (
        f"Lagrangian(7 nodes, {2 * G.number_of_edges()} edges, 0 clamped, density=kinetic + spring, "
        f"solver=BlockDiagonal())"
    )
    assert L.density == [kinetic, spring]


@pytest.mark.parametrize("together", [True, False])
def test_a_magnetic_term_keeps_its_force(together):
    """l = m/2 |v|^2 + v . A(q), A = B/2 (-y, x): m a = B (v_y, -v_x), a force although A v adds nothing to M."""
    B, m = 1.7, 2.0
    magnetic = lambda q, v, features: 0.5 * B * (v[0, 1] * q[0, 0] - v[0, 0] * q[0, 1])  # noqa: E731
    massive = lambda q, v, features: 0.5 * m * jnp.sum(v[0] ** 2)  # noqa: E731
    graph = lgn.lattice((4,))
    alone = lambda g: lgn.node_stencil(g, hops=0)  # noqa: E731
    one = [(lambda q, v, features: massive(q, v, features) + magnetic(q, v, features), alone)]
    L = lgn.Lagrangian(graph, one if together else [(massive, alone), (magnetic, alone)])
    q, v = state(graph, 2)
    np.testing.assert_allclose(L.acceleration(q, v), B / m * np.stack([v[:, 1], -v[:, 0]], 1), rtol=1e-12)


def rayleigh(q, v, features):
    return 0.5 * 0.8 * jnp.sum(v[0] ** 2) + 0.1 * jnp.sum((v[1:] - v[0]) ** 2)


FORCES = {
    "of the state": (True, lambda q, v: jnp.sin(q) - v**3, lambda q, v: np.sin(q) - v**3),
    "of time too": (False, lambda q, v, t: t * q, lambda q, v: 2.5 * q),
}


@pytest.mark.parametrize("name", FORCES)
def test_energy_changes_by_the_power_of_the_forces_applied(name):
    """dE/dt along the motion = v . (F - dR/dv), for a Lagrangian whose momenta depend on q and v."""
    clamped, given, by_hand = FORCES[name]
    graph = lgn.lattice((8,))
    q, v = state(graph, 2)
    if clamped:
        graph, v = lgn.clamp(graph, [0, 3]), v.at[jnp.array([0, 3])].set(0.0)
    L = lgn.Lagrangian(graph, analytic(4), dissipation=rayleigh, force=given)
    t = 2.5
    rate = jax.jit(lambda q, v: jax.jvp(L.energy, (q, v), (v, L.acceleration(q, v, t)))[1])(q, v)
    # each difference of velocities stands in two stencils: dR/dv_i = 0.8 v_i + 0.4 (2 v_i - v_(i-1) - v_(i+1))
    drag = 0.8 * v + 0.4 * (2 * v - np.roll(v, 1, 0) - np.roll(v, -1, 0))
    expected = np.sum(v * (by_hand(np.asarray(q), np.asarray(v)) - drag))
    np.testing.assert_allclose(rate, expected, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(L.power(q, v, t), expected, rtol=1e-12)


# -- Transformations ---------------------------------------------------------------------------------------------------


def test_leaves_are_the_parameters_of_the_density():
    """6-24-24-1 has 793 of them, and a kinetic prior that is learned is one more."""
    count = lambda L: sum(leaf.size for leaf in jax.tree.leaves(L))  # noqa: E731
    network = lambda mass: lgn.MLPDensity(3, 1, (24, 24), mass=mass, rngs=nnx.Rngs(0))  # noqa: E731
    assert count(lgn.Lagrangian(RING, network(1.0))) == 793
    assert count(lgn.Lagrangian(RING, network(nnx.Param(jnp.array(1.0))))) == 794
    assert count(lgn.Lagrangian(RING, string)) == 0
    assert count(lgn.Lagrangian(RING, string, force=np.ones((6, 1)))) == 6


def test_rebuilding_the_same_system_does_not_compile_again():
    traced = []

    @jax.jit
    def run(L, q, v):
        traced.append(1)
        return L.force(q, v)

    q, v = state(RING)
    density = learned(3, 1)
    for graph in (lgn.lattice((6,)), lgn.lattice((6,))):
        run(lgn.Lagrangian(graph, density), q, v)
    run(lgn.Lagrangian(lgn.lattice((6,), periodic=False), density), q, v)
    assert len(traced) == 2  # one for the ring, one for the chain


def test_vmap_and_scan_take_the_system_as_an_argument():
    L = lgn.Lagrangian(RING, learned(3, 1))
    q, v = normal(0, 5, 6, 1), normal(1, 5, 6, 1)
    several = jax.jit(jax.vmap(lgn.Lagrangian.acceleration, (None, 0, 0)))(L, q, v)

    @jax.jit
    def one_after_another(L, q, v):
        return jax.lax.scan(lambda _, s: (_, L.acceleration(*s)), 0, (q, v))[1]

    expected = [L.acceleration(a, b) for a, b in zip(q, v, strict=True)]
    np.testing.assert_allclose(several, expected, atol=1e-12)
    np.testing.assert_allclose(one_after_another(L, q, v), expected, atol=1e-12)


def test_vmap_over_several_systems():
    systems = [lgn.Lagrangian(RING, learned(3, 1, seed=seed)) for seed in (0, 1)]
    q, v = state(RING)
    stacked = jax.tree.map(lambda *x: jnp.stack(x), *systems)
    together = jax.jit(jax.vmap(lgn.Lagrangian.acceleration, (0, None, None)))(stacked, q, v)
    expected = [L.acceleration(q, v) for L in systems]
    np.testing.assert_allclose(together, expected, atol=1e-12)


def test_gradient_of_acceleration_is_that_of_finite_differences():
    """By the parameters (the learned kinetic prior among them), by q and by v, along a random direction of each."""
    L = lgn.Lagrangian(RING, learned(3, 1, mass=nnx.Param(jnp.array(4.0))))
    q, v = state(RING)
    weight = normal(7, 6, 1)

    @jax.jit
    def loss(L, q, v):
        return jnp.sum(weight * L.acceleration(q, v))

    gradients = jax.jit(jax.grad(loss, (0, 1, 2)))(L, q, v)
    for which, name in enumerate(("parameters", "q", "v")):
        point = [L, q, v]
        leaves, structure = jax.tree.flatten(point[which])
        directions = [normal(i + 20, *leaf.shape) for i, leaf in enumerate(leaves)]

        def at(step, which=which, leaves=leaves, directions=directions, structure=structure):
            moved = [leaf + step * direction for leaf, direction in zip(leaves, directions, strict=True)]
            return loss(*[jax.tree.unflatten(structure, moved) if i == which else x for i, x in enumerate((L, q, v))])

        h = 1e-3  # fourth order: error about h^4, round-off about 1e-13 / h
        numeric = (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h)
        slopes = jax.tree.leaves(gradients[which])
        exact = sum(jnp.sum(g * d) for g, d in zip(slopes, directions, strict=True))
        np.testing.assert_allclose(exact, numeric, rtol=1e-6, err_msg=name)


def test_gradient_reaches_node_features_and_a_constant_force():
    """a = F / m on each node, so that da/dF = 1/m and da/dm = -F/m^2."""
    m, F = np.array([1.0, 2.0, 4.0]), np.array([[3.0], [5.0], [7.0]])
    graph = from_networkx(nx.path_graph(3), node_features={"m": m})
    L = lgn.Lagrangian(graph, [(kinetic, lambda g: lgn.node_stencil(g, hops=0))], force=F)
    zero = np.zeros((3, 1))
    slopes = jax.jit(jax.grad(lambda L: jnp.sum(L.acceleration(zero, zero))))(L)
    np.testing.assert_allclose(slopes.forcing.force[:, 0], 1 / m)
    np.testing.assert_allclose(slopes.domain.features[0]["m"], -F[:, 0] / m**2)


@pytest.mark.newest
def test_dtype_follows_the_state():
    L = lgn.Lagrangian(RING, learned(3, 1))
    q, v = (x.astype(jnp.float32) for x in state(RING))
    methods = L, L.momentum, L.energy, L.force, L.acceleration
    assert {jax.eval_shape(method, q, v).dtype for method in methods} == {jnp.dtype("float32")}


@pytest.mark.newest
def test_twenty_thousand_nodes():
    """jit equals eager (jax 0.10.2 does not: jax issue 39103), and a field that repeats every 10 nodes moves as on a
    ring of 10 nodes: the density trained there runs here."""
    short, long = (lgn.Lagrangian(lgn.lattice((n,)), lgn.MLPDensity(3, 1, (24, 24), rngs=nnx.Rngs(0)))
                   for n in (10, 20_000))  # fmt: skip
    once = state(lgn.lattice((10,)))
    q, v = (jnp.tile(x, (2000, 1)) for x in once)
    for name in ("__call__", "acceleration"):
        method = getattr(lgn.Lagrangian, name)
        eager, compiled, small = method(long, q, v), jax.jit(method)(long, q, v), jax.jit(method)(short, *once)
        scale = np.abs(eager).max()
        np.testing.assert_allclose(compiled, eager, atol=1e-12 * scale, rtol=0, err_msg=name)
        repeated = jnp.tile(small, (2000, 1)) if small.ndim else 2000 * small
        np.testing.assert_allclose(compiled, repeated, atol=1e-11 * scale, rtol=0, err_msg=name)


# -- Errors ------------------------------------------------------------------------------------------------------------

Q = np.zeros((6, 1))
network = lgn.MLPDensity


def call(q=Q, v=Q, density=string, **named):
    return lgn.Lagrangian(RING, density, **named).acceleration(q, v)


def test_no_table_of_slots_by_slots_is_part_of_the_program():
    """At 10^6 nodes of a square lattice such a table was 200 bytes a node, several times over."""
    n = 10_000
    L = lgn.Lagrangian(lgn.lattice((100, 100)), network(5, 1, rngs=nnx.Rngs(0)), solver=lgn.ConjugateGradient())
    program = jax.jit(lgn.Lagrangian.acceleration).trace(L, *np.zeros((2, n, 1))).jaxpr
    assert sum(np.asarray(table).nbytes for table in program.consts) < 100 * n


def test_parts_are_what_is_odd_and_even_in_velocity_and_sum_to_the_acceleration():
    def turning(q, v, features):
        return 0.5 * (2 + jnp.cos(q[0, 1])) * jnp.sum(v[0] ** 2) + 0.3 * v[0, 0] * v[0, 1] - jnp.sum(q[0] ** 4)

    L = lgn.Lagrangian(lgn.single_node(), turning, dissipation=drag)
    q, v = np.random.default_rng(0).normal(size=(2, 5, 1, 2))
    forth, back = (jax.jit(jax.vmap(L.acceleration))(q, s * v) for s in (1, -1))
    conservative, friction = lgn.diagnostics.split_friction(L, q, v)
    np.testing.assert_allclose(conservative, (forth + back) / 2, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(friction, (forth - back) / 2, rtol=1e-9, atol=1e-12)


def drag(q, v, features):
    return 0.3 * jnp.sum(v**2) + 0.1 * jnp.sum(v**4)


ERRORS = {
    "q of other nodes": (lambda: call(q=np.zeros((5, 1))), r"q has shape \(5, 1\).*\(6, \.\.\.\)"),
    "batch without vmap": (lambda: call(q=np.zeros((2, 6, 1))), r"q has shape \(2, 6, 1\)"),
    "q and v differ": (lambda: call(v=np.zeros((6, 2))), r"q has shape \(6, 1\) and v \(6, 2\)"),
    "integers": (lambda: call(q=np.zeros((6, 1), int)), "q has dtype int64; expected floating point"),
    "density of two values": (lambda: call(density=lambda q, v, f: (v[0, 0], q[0, 0])), "expected one scalar"),
    "slots": (lambda: call(density=network(5, 1, rngs=nnx.Rngs(0))), r"= \(5, 1\).*make it with slots=3, dim=1"),
    "dim": (lambda: call(density=network(3, 2, rngs=nnx.Rngs(0))), r"MLPDensity.*= \(3, 2\).*slots=3, dim=1"),
    "slots of R": (lambda: call(dissipation=network(2, 1, rngs=nnx.Rngs(0))), r"= \(2, 1\).*slots=3, dim=1"),
    "term of three": (lambda: call(dissipation=[(string, lgn.node_stencil, 1)]), "dissipation:.*is not a term"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_error_names_the_argument_and_the_fix(name):
    run, message = ERRORS[name]
    with pytest.raises(ValueError, match=message):
        run()


@pytest.mark.parametrize("hops, solver", [(0, None), (1, lgn.Banded()), (1, lgn.Dense()), (1, lgn.ConjugateGradient())])
def test_a_massless_node_is_named(hops, solver):
    graph = from_networkx(nx.path_graph(6), node_features={"m": np.array([1.0, 1, 1, 0, 1, 1])})
    L = lgn.Lagrangian(graph, [(kinetic, lambda g: lgn.node_stencil(g, hops=hops))], solver=solver, force=1 + Q)
    with pytest.raises(lgn.SingularMassMatrix, match=r"is singular, worst at node 3,.*kinetic prior"):
        L.acceleration(Q, Q)
    assert jax.jit(L.solve)(Q, Q).status == SINGULAR
    assert jax.jit(lgn.Lagrangian(RING, string).solve)(Q, Q).status == SOLVED


def test_a_density_without_any_velocity_is_refused():
    """There is no M a = f without kinetic energy."""
    with pytest.raises((lgn.SingularMassMatrix, ValueError), match="kinetic"):
        call(density=lambda q, v, features: -(q[0, 0] ** 2))


def test_a_lagrangian_of_first_order_is_told_that_it_is_an_energy_flow():
    """A charge in a strong magnetic field drifts: L = x vy - (x^2 + y^2) / 2 has M = 0, and H = (x^2 + y^2) / 2 of
    u = (x, y) moves it."""

    def magnetic(q, v, features):
        return q[0, 0] * v[0, 1] - 0.5 * jnp.sum(q[0] ** 2)

    state = jnp.array([[1.0, 0.5]]), jnp.array([[0.3, 0.2]])
    L = lgn.Lagrangian(lgn.single_node(), magnetic)
    with pytest.raises(lgn.SingularMassMatrix, match=r"L is linear in v.*Write it as lgn.EnergyFlow"):
        L.acceleration(*state)
    with pytest.raises(lgn.MotionStopped, match=r"after t = 0\. There L is linear in v"):
        lgn.rollout(L, state, [0.0, 1.0], lgn.Verlet(0.1))
    flow = lgn.EnergyFlow(lgn.single_node(), lambda u, features: 0.5 * jnp.sum(u[0] ** 2), structure=lgn.Symplectic())
    x, y = np.asarray(flow.rate((state[0],))[0])[0]  # Euler and Lagrange by hand: vy = x, vx = -y
    assert (abs(x), abs(y)) == (0.5, 1.0)

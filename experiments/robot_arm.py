"""Learns the inverse dynamics of a robot arm of two joints: the torques that make it write letters.

    python experiments/robot_arm.py --data FILE

The data, which are not part of the project: `delan_characters.npz` of Lutter, Ritter and Peters 2019 (MIT licence), 20
characters at 25 Hz with angles `qp`, rates `qv`, accelerations `qa` and torques `tau` = `m` + `c` + `g` (inertial,
Coriolis and centrifugal, gravity). Characters e, q and v test, the others train.

Model: L = v^T M(q) v / 2 - V(q), M positive definite, driven by the torques, M a - f = 0 with F = tau in f. Trained on
this residual, relative to the variance of the torques; the parts of the torque are not trained on. Two densities:
networks of the cosines and sines of the angles (`lgn.StructuredDensity`), and harmonics, M and V each a sum of products
of 1, cos q_i and sin q_i with free coefficients.

Motions forward: the arm from the first row of a test character, driven by its recorded torques. The published rates are
central differences of the angles, and the accelerations those of the rates, over steps of 0.04 s, far from derivatives
at the turns of a letter, so that only the same differences follow them; an arm that is held up against gravity is
unstable, and an error of the torque of 1e-7, that of single precision, is 1e-3 of the letter at its end.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from flax import nnx

import lgn
from lgn import diagnostics, plots, protocol
from lgn.harness.protocol import Figure, Headline
from lgn.learning.losses import residuals
from lgn.motion.integrators import FixedSteps

FIGURES = {
    "torque_mse": Figure(published=4.3e-4, asked=2e-5),
    "inertial_mse": Figure(published=7.3e-4, asked=2e-5),
    "coriolis_mse": Figure(published=2.2e-4, asked=2e-5),
    "gravity_mse": Figure(published=7.3e-4, asked=2e-5),
    "motion_error": Figure(asked=1e-2),
}
HEADLINE = Headline("torque_mse", reached=5.3e-10, seconds=None, picture="robot_arm.png")
TESTED = ("e", "q", "v")
STEP = 0.04  # s between two rows


@dataclass(frozen=True)
class Config:
    """Settings of the experiment."""

    data: Path | None = None  # delan_characters.npz, or its folder
    out: Path = Path("runs/robot_arm")  # folder for tables, pictures and checkpoints
    quick: bool = False  # one short training, to see that everything runs
    seeds: int = 3
    hidden: tuple[int, ...] = (16, 16)
    steps: int = 600  # iterations of BFGS


class Harmonics(lgn.Density):
    """v^T M(q) v / 2 - V(q) of two angles: entries of M and V are sums of products of 1, cos q_i and sin q_i."""

    def __init__(self):
        basis = np.zeros((2, 2, 9))
        basis[0, 0, 0] = basis[1, 1, 0] = 1.0  # M is the identity at first
        self.mass, self.potential = nnx.Param(jnp.asarray(basis)), nnx.Param(jnp.zeros(9))

    def __call__(self, q, v, features):
        first, second = (jnp.stack([jnp.ones_like(x), jnp.cos(x), jnp.sin(x)]) for x in q[0])
        products = jnp.outer(first, second).ravel()
        return 0.5 * v[0] @ (self.mass[...] @ products) @ v[0] - self.potential[...] @ products


@dataclass(frozen=True)
class CentralDifferences(FixedSteps):
    """q(t + dt) - q(t - dt) = 2 dt v(t), and the same of v, after one step of Euler's: how the data were made."""

    dt: float

    def start(self, system, state, t):
        """The state, and one a step earlier for which the first step is Euler's."""
        return state, jax.tree.map(lambda x, rate: x - STEP * rate, state, system.rate(state, t))

    def step(self, system, carry, t, dt):
        """One step on."""
        now, before = carry
        return jax.tree.map(lambda x, rate: x + 2 * dt * rate, before, system.rate(now, t)), now

    def state(self, system, carry, t):
        """q and v."""
        return carry[0]


def read(path: Path | None) -> dict[str, np.ndarray]:
    """The arrays of the file in double precision, each (row, 1, joint); SystemExit says how to get them."""
    if path is None:
        raise SystemExit("--data FILE: give delan_characters.npz, the 20 characters of deep Lagrangian networks")
    path = path / "delan_characters.npz" if path.is_dir() else path
    try:
        with np.load(path, allow_pickle=False) as found:
            rows = {name: found[name].astype(float)[:, None] for name in ("qp", "qv", "qa", "tau", "m", "c", "g")}
            return rows | {"t": found["t"].astype(float), "letter": found["labels"][found["trial"]]}
    except (OSError, KeyError, ValueError) as error:
        raise SystemExit(f"--data {path} is not the file of characters: {error}") from error


def states(rows: dict, which) -> lgn.States:
    """Angles, rates and accelerations of some rows, and the torque as control."""
    q, v, a, torque = (rows[name][which] for name in ("qp", "qv", "qa", "tau"))
    return lgn.States(q, v, a, features={"control": torque})


def torque(q, v, t, u):
    """Force on the joints: the control itself."""
    return u


def torque_loss(system, data):
    """Mean squared error of the torque, relative to its variance."""
    return jnp.mean(residuals(system, data)[0] ** 2) / jnp.mean(jnp.var(data.features["control"], 0))


def train(config: Config, folder: Path, rows: dict, seed: int) -> dict[str, lgn.FitResult]:
    """The trained networks, and the trained harmonics."""
    data = states(rows, ~np.isin(rows["letter"], TESTED))
    size = {"v_scale": tuple(data.v.std((0, 1)).tolist()), "angles": (0, 1)}
    densities = {
        "network": lgn.StructuredDensity(1, 2, config.hidden, rngs=nnx.Rngs(seed), **size),
        "harmonics": Harmonics(),
    }
    fits = {}
    for name, density in densities.items():
        system = lgn.Lagrangian(lgn.single_node(), density, force=torque, control=jnp.zeros((1, 2)))
        settings = {"loss": torque_loss, "phases": [lgn.QuasiNewton(20 if config.quick else config.steps)]}
        place = folder / f"{name}-{seed}"
        fits[name] = protocol.learn(system, lambda key: data, seed, place, **settings)
    return fits


@jax.jit
def parts(system, q, v, a):
    """Torques of a system by cause, M a, f(q, 0) - f(q, v) and -f(q, 0), each (row, 1, joint)."""

    def one(q, v, a):
        mass, f = system.equation(q, v)
        resting = system.force(q, jnp.zeros_like(v))
        return mass @ a, resting - f, -resting

    return jax.vmap(one)(q, v, a)


def follow(system, rows: dict, letter: str) -> np.ndarray:
    """Angles of one letter, (row, joint), driven by its torques from its first row."""
    of = {name: x[rows["letter"] == letter] for name, x in rows.items()}
    start = of["qp"][0], of["qv"][0]
    signal = lgn.Signal(of["t"], of["tau"])
    motion = lgn.rollout(system.replace(control=signal), start, of["t"], CentralDifferences(1.01 * STEP))
    return np.asarray(motion.q[:, 0])


def examine(rows: dict, fits: dict[str, lgn.FitResult]):
    """Mean squared errors of the torques and their parts on the test characters, and of the motions along them."""
    tested, metrics, drawn = np.isin(rows["letter"], TESTED), {}, {}
    causes = {"inertial": "m", "coriolis": "c", "gravity": "g"}
    for name, fit in fits.items():
        prefix = "" if name == "network" else f"{name}."
        found = [np.asarray(x) for x in parts(fit.system, *(rows[key][tested] for key in ("qp", "qv", "qa")))]
        errors = {f"{cause}_mse": x - rows[key][tested] for (cause, key), x in zip(causes.items(), found, strict=True)}
        errors = {"torque_mse": sum(found) - rows["tau"][tested], **errors}
        metrics |= {prefix + key: float(np.mean(x**2)) for key, x in errors.items()}
        metrics |= {prefix + key: x for key, x in diagnostics.cost(fit).items()}
        drawn[name] = sum(found)[:, 0]
    motions = {letter: follow(fits["harmonics"].system, rows, letter) for letter in TESTED}
    for letter, motion in motions.items():
        exact = rows["qp"][rows["letter"] == letter][:, 0]
        metrics[f"motion_error_{letter}"] = diagnostics.relative_rms(motion - exact.mean(0), exact - exact.mean(0))
    metrics["motion_error"] = max(metrics[f"motion_error_{letter}"] for letter in TESTED)
    return metrics, (drawn, motions)


def pen(q: np.ndarray) -> np.ndarray:
    """Place of the pen, (row, 2), for links of length 1."""
    angles = np.cumsum(q, 1)
    return np.stack([np.cos(angles).sum(1), np.sin(angles).sum(1)], 1)


def draw(folder: Path, rows: dict, drawn: tuple) -> None:
    """Torques over the rows of the test characters, and the letters that the learned arm writes."""
    torques, motions = drawn
    tested = np.isin(rows["letter"], TESTED)
    with plots.picture(folder / "robot_arm.png", 2, len(TESTED), size=(12, 7)) as axes:
        for joint, ax in enumerate(axes[0, :2]):
            ax.plot(rows["tau"][tested][:, 0, joint], "0.6", lw=3, label="measured")
            ax.plot(torques["network"][:, joint], "C3", lw=1, label="networks")
            ax.set(title=f"torque of joint {joint + 1}", xlabel="row of the test characters", ylabel="torque [N m]")
        axes[0, 0].legend(frameon=False)
        for name, found in torques.items():
            off = np.abs(found - rows["tau"][tested][:, 0]).max(1)
            axes[0, 2].semilogy(np.maximum(off, 1e-12), lw=1, label=name)
        axes[0, 2].set(title="error of the torque", xlabel="row of the test characters", ylabel="largest error [N m]")
        axes[0, 2].legend(frameon=False, loc="center right")
        for ax, (letter, motion) in zip(axes[1], motions.items(), strict=True):
            exact = rows["qp"][rows["letter"] == letter][:, 0]
            ax.plot(*pen(exact).T, "0.6", lw=3)
            ax.plot(*pen(motion).T, "C3", lw=1)
            ax.set(
                title=f"letter {letter} (grey: measured)",
                xlabel="x, in lengths of a link",
                ylabel="y",
                aspect="equal",
            )


def main(config: Config) -> dict:
    """Trains for each seed, tests torques and motions, writes the folder, shows the table."""
    rows = read(config.data)
    folder = protocol.begin(config)
    seeds = range(1 if config.quick else config.seeds)
    found, shown = protocol.over_seeds(seeds, partial(train, config, folder, rows), partial(examine, rows))
    metrics = protocol.summary(found)
    return protocol.finish(folder, "robot arm", FIGURES, metrics, found, partial(draw, folder, rows, shown[0][1]))


if __name__ == "__main__":
    main(tyro.cli(Config))

"""Adaptive steps: the method of Dormand and Prince of order 8, whose steps are chosen by an estimate of their error."""

from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend import core

from lgn import _arguments, _arrays
from lgn.assembly.domain import State
from lgn.mechanics.system import System
from lgn.motion.integrators import Integrator, prepend

STAGES = 14  # the last is the first of the next step
FIRST = 0.01  # step that is tried first; one that is too long is not kept
NOTED = 1024  # steps that a reverse derivative keeps; of up to its square of steps, a part at a time
SAFETY, LEAST, MOST = 0.9, 0.2, 10.0  # of the factor by which a step changes
NODES = np.array([
    0, 1 / 18, 1 / 12, 1 / 8, 5 / 16, 3 / 8, 59 / 400, 93 / 200, 5490023248 / 9719169821, 13 / 20,
    1201146811 / 1299019798, 1, 1, 1,
])  # fmt: skip
ORDER_8 = [
    14005451 / 335480064, 0, 0, 0, 0, -59238493 / 1068277825, 181606767 / 758867731, 561292985 / 797845732,
    -1041891430 / 1371343529, 760417239 / 1151165299, 118820643 / 751138087, -528747749 / 2220607170, 1 / 4,
]  # fmt: skip
ORDER_7 = [
    13451932 / 455176623, 0, 0, 0, 0, -808719846 / 976000145, 1757004468 / 5645159321, 656045339 / 265891186,
    -3867574721 / 1518517206, 465885868 / 322736535, 53011238 / 667516719, 2 / 45, 0,
]  # fmt: skip
ROWS = [
    [],
    [1 / 18],
    [1 / 48, 1 / 16],
    [1 / 32, 0, 3 / 32],
    [5 / 16, 0, -75 / 64, 75 / 64],
    [3 / 80, 0, 0, 3 / 16, 3 / 20],
    [29443841 / 614563906, 0, 0, 77736538 / 692538347, -28693883 / 1125000000, 23124283 / 1800000000],
    [16016141 / 946692911, 0, 0, 61564180 / 158732637, 22789713 / 633445777, 545815736 / 2771057229,
     -180193667 / 1043307555],
    [39632708 / 573591083, 0, 0, -433636366 / 683701615, -421739975 / 2616292301, 100302831 / 723423059,
     790204164 / 839813087, 800635310 / 3783071287],
    [246121993 / 1340847787, 0, 0, -37695042795 / 15268766246, -309121744 / 1061227803, -12992083 / 490766935,
     6005943493 / 2108947869, 393006217 / 1396673457, 123872331 / 1001029789],
    [-1028468189 / 846180014, 0, 0, 8478235783 / 508512852, 1311729495 / 1432422823, -10304129995 / 1701304382,
     -48777925059 / 3047939560, 15336726248 / 1032824649, -45442868181 / 3398467696, 3065993473 / 597172653],
    [185892177 / 718116043, 0, 0, -3185094517 / 667107341, -477755414 / 1098053517, -703635378 / 230739211,
     5731566787 / 1027545527, 5232866602 / 850066563, -4093664535 / 808688257, 3962137247 / 1805957418,
     65686358 / 487910083],
    [403863854 / 491063109, 0, 0, -5068492393 / 434740067, -411421997 / 543043805, 652783627 / 914296604,
     11173962825 / 925320556, -13158990841 / 6184727034, 3936647629 / 1978049680, -160528059 / 685178525,
     248638103 / 1413531060, 0],
    ORDER_8,
]  # fmt: skip
WEIGHTS = np.array([row + [0.0] * (STAGES - len(row)) for row in ROWS])
ERROR = np.array([*np.subtract(ORDER_8, ORDER_7), 0.0])
BETWEEN = np.zeros((STAGES, 6))  # coefficients of theta^6 ... theta of the weight of each stage, t = t0 + theta dt
BETWEEN[[0, *range(5, STAGES)]] = [
    [-6.3448349392860401388, 22.1396504998094068976, -30.0610568289666450593, 19.9990069333683970610,
     -6.6910181737837595697, 1],
    [-39.6107919852202505218, 116.4422149550342161651, -121.4999627731334642623, 52.2273532792945524050,
     -7.6142658045872677172, 0],
    [20.3761213808791436958, -67.1451318825957197185, 83.1721004639847717481, -46.8919164181093621583,
     10.7281392630428866124, 0],
    [7.3347098826795362023, -16.5672243527496524646, 9.5724507555993664382, -0.1890893225010595467,
     0.5526637063753648783, 0],
    [32.8801774352459155182, -89.9916014847245016028, 87.8406057677205645007, -35.7075975946222072821,
     4.2186562625665153803, 0],
    [-10.1588990526426760954, 22.6237489648532849093, -17.4152107770762969005, 6.2736448083240352160,
     -0.6627209125361597559, 0],
    [-12.5401268098782561200, 32.2362340167355370113, -28.5903289514790976966, 10.3160881272450748458,
     -1.2636789001135462218, 0],
    [29.5553001484516038033, -82.1020315488359848644, 81.6630950584341412934, -34.7650769866611817349,
     5.4106037898590422230, 0],
    [-41.7923486424390588923, 116.2662185791119533462, -114.9375291377009418170, 47.7457971078225540396,
     -7.0321379067945741781, 0],
    [20.3006925822100825485, -53.9020777466385396792, 50.2558364226176017553, -19.0082099341608028453,
     2.3537586759714983486, 0],
]  # fmt: skip


@dataclass(frozen=True)
class Adaptive(Integrator):
    """Dormand-Prince of order 8 with steps chosen by an error estimate of order 7, and states between their ends.

    A step is kept where the root mean square of error / (atol + rtol |y|) is below 1. The reverse derivative is that of
    the steps as they were taken; it keeps about a thousand states, and follows the others again from those.

    Args:
        rtol: relative tolerance of a step.
        atol: absolute tolerance of a step.
        max_steps: number of steps after which the integration stops; the states beyond are infinite. Where steps
            shrink below the rounding of t, it stops too, and the states beyond are NaN.

    Raises:
        ValueError: tolerances that are not positive, or both below a thousandth of the rounding of the states, where
            steps would shrink without end; steps that are not whole.

    Source: Prince and Dormand 1981, J. Comput. Appl. Math. 7, 67 (the steps); Bogacki and Shampine 1990, Comput. Math.
    Appl. 20, 15 (the states between).
    """

    rtol: float = 1e-9
    atol: float = 1e-9
    max_steps: int = 1_000_000

    def __post_init__(self):
        _arguments.positive("Adaptive: rtol", self.rtol)
        _arguments.positive("Adaptive: atol", self.atol, zero=True)
        _arguments.whole("Adaptive: max_steps", self.max_steps)

    def __call__(self, system: System, state: State, ts) -> State:
        """The states at ts, each field (time, node, dim); only these are kept."""
        dtype = jnp.result_type(*state)
        _arrays.above_rounding("Adaptive: rtol", max(self.rtol, self.atol), dtype, 1e-3)
        ts, state = jnp.asarray(ts, dtype), jax.tree.map(lambda x: jnp.asarray(x, dtype), state)

        def rate(state, t):
            return jax.tree.map(lambda x: jnp.asarray(x, dtype), system.rate(state, t))

        # once: Python is called for it no more, and all that it reads is an argument, which a derivative can ask for
        program, shapes = jax.make_jaxpr(rate, return_shape=True)(state, ts[0])
        structure = jax.tree.structure(shapes)

        def again(known, state, t):
            run = core.jaxpr_as_fun(core.ClosedJaxpr(program.jaxpr, known))
            return jax.tree.unflatten(structure, run(*jax.tree.leaves(state), t))

        return _motion(again, self, program.consts, state, ts)

    def remedy(self, system: System, state: State, t) -> str:
        """Smaller tolerances; larger ones where steps shrink to nothing because theirs are below rounding."""
        eps = np.finfo(t.dtype).eps
        held = "" if self.rtol > 10 * eps else f", or larger ones, for {t.dtype} holds no error below {eps:.0e}"
        return f"give smaller tolerances than rtol={self.rtol:g}, atol={self.atol:g}{held}"

    def stopped(self, state: State) -> str:
        """At its limit of steps, where all is infinite."""
        if not jnp.isinf(state[0]).all():
            return ""
        return (
            f"Adaptive took all of its max_steps={self.max_steps}; give more, or larger tolerances than "
            f"rtol={self.rtol:g}, atol={self.atol:g}"
        )


class Run(NamedTuple):
    """Where the integration is: y and its rate at t, the end of the next step, the last step that was kept."""

    t: Any
    end: Any
    y: Any
    rate: Any
    tried: Any
    kept: Any
    shrunk: Any
    t0: Any
    y0: Any
    stages: Any

    @property
    def step(self) -> tuple[Any, Any, Any]:
        """What the next step is made of."""
        return self.t, self.end, self.y

    def at(self, t):
        """y at a t within the last step: infinite where the integration did not come so far, NaN where it cannot."""
        there = _mixed(_between(self.t0, self.t, t), self.stages, self.y0)
        return jax.tree.map(lambda x: jnp.where(self.t >= t, x, jnp.where(self.shrunk, jnp.nan, jnp.inf)), there)


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _motion(rate, method, known, state, ts):
    return _follow(partial(rate, known), method, state, ts)[0]


def _follow(rate, method, state, ts, slots: int = 0):
    """The states at ts, the run at its end, and the first steps that it was made of, as many as there are slots."""
    attempt = partial(_attempt, rate, method, ts)
    run = _begin(rate, ts[0], jnp.minimum(ts[0] + jnp.maximum(FIRST, _rounding(ts)), ts[-1]), state)

    def until(carry, t):
        carry = lax.while_loop(
            lambda carry: (carry[0].t < t) & (carry[0].tried < method.max_steps) & ~carry[0].shrunk,
            lambda carry: _noted(attempt(carry[0]), carry[1], 1),
            carry,
        )
        return carry, carry[0].at(t)

    (run, notes), later = lax.scan(until, (run, _notes(run, slots)), ts[1:])
    return prepend(state, later), run, notes


def _begin(rate, t, end, y) -> Run:
    stages = jax.tree.map(lambda y: jnp.zeros((STAGES, *y.shape), y.dtype), y)
    return Run(t, end, y, rate(y, t), 0, 0, jnp.array(False), t, y, stages)


def _attempt(rate, method, ts, run: Run) -> Run:
    """One step, kept if its error is small, and the length of the next."""
    stages, y, slope = _stages(rate, *run.step, run.rate)

    def scaled(before, after, stages):
        error = jnp.tensordot(jnp.asarray(ERROR, stages.dtype), stages, 1, precision="highest")
        size = jnp.maximum(jnp.abs(before), jnp.abs(jnp.where(jnp.isnan(after).any(), before, after)))
        return jnp.where(jnp.isnan(error), jnp.inf, error) / (method.atol + size * method.rtol)

    error = _norm(jax.tree.map(scaled, run.y, y, stages))
    kept = error < 1
    grown = SAFETY * (1 / jnp.where(jnp.isnan(error), jnp.inf, error)) ** (1 / 8)
    step = jnp.clip(grown, jnp.where(kept, 1, LEAST), jnp.where(kept, MOST, SAFETY)) * (run.end - run.t)
    t, last, least = jnp.where(kept, run.end, run.t), ts[-1], _rounding(ts)
    end = t + jnp.maximum(step, least)
    beyond = jnp.where(kept, last, t + 0.5 * (last - t))
    end = jnp.where(end > last - 50 * least, beyond, end)  # no last step that is hardly any
    y, slope = (jax.tree.map(lambda a, b: jnp.where(kept, a, b), *pair) for pair in ((y, run.y), (slope, run.rate)))
    # a loop ends with a step that was kept, so that the last one is it
    return Run(t, end, y, slope, run.tried + 1, run.kept + kept, step < least, run.t, run.y, stages)


def _stages(rate, t0, t1, y0, slope):
    """dt times the rates of all stages, (stage, node, dim); y and its rate at t1."""
    step = t1 - t0
    stages = jax.tree.map(lambda y, f: jnp.zeros((STAGES, *y.shape), y.dtype).at[0].set(step * f), y0, slope)

    def stage(i, found):
        y = _mixed(jnp.asarray(WEIGHTS)[i], found[0], y0)
        slope = rate(y, _moment(t0, t1, i))
        return jax.tree.map(lambda all, f: all.at[i].set(step * f), found[0], slope), y, slope

    return lax.fori_loop(1, STAGES, stage, (stages, y0, slope))


def _moment(t0, t1, i):
    node = jnp.asarray(NODES, t0.dtype)[i]
    return jnp.where(node == 1, t1, t0 + node * (t1 - t0))


def _mixed(weights, stages, y):
    """y + sum of weights x stages."""
    return jax.tree.map(lambda y, k: y + jnp.tensordot(weights.astype(k.dtype), k, 1, precision="highest"), y, stages)


def _between(t0, t1, t):
    """(stage,) weights of y at a t between: y(t) = y(t0) + sum of weights x stages."""
    theta = jnp.where(t1 == t0, 0, t - t0) / jnp.where(t1 == t0, 1, t1 - t0)
    weights = jnp.zeros(STAGES, t0.dtype)
    for column in BETWEEN.T:
        weights = weights * theta + jnp.asarray(column, t0.dtype)
    return weights * theta


def _norm(tree):
    leaves = jax.tree.leaves(tree)
    return jnp.sqrt(sum(jnp.sum(x * x) for x in leaves)) / np.sqrt(sum(x.size for x in leaves))


def _rounding(ts) -> jax.Array:
    """The step at which time hardly moves: at a pole, or at what is not finite, there would be no end. Twice the
    rounding of the last time, below which the stages of a step are all at one time."""
    return 2 * jnp.finfo(ts.dtype).eps * jnp.abs(ts).max()


# The reverse derivative. The steps of the motion are noted, every one of them or, of more than there are slots, every
# so manieth, and the ones between them are followed again; then each is differentiated, from the last to the first.


def _notes(run: Run, slots: int):
    return jax.tree.map(lambda x: jnp.zeros((slots, *x.shape), x.dtype).at[:1].set(x), run.step)


def _noted(run: Run, notes, every):
    """The run, with its next step noted if it is the first of `every`."""
    if not len(notes[0]):
        return run, notes
    place = jnp.where(run.kept % every == 0, run.kept // every, len(notes[0]))
    return run, jax.tree.map(lambda all, x: all.at[place].set(x, mode="drop"), notes, run.step)


def _again(rate, method, ts, step, count, every, slots):
    """The notes of a run from a step on, of `count` steps."""
    start = _begin(rate, *step)
    return lax.while_loop(
        lambda carry: (carry[0].kept < count - 1) & (carry[0].t < ts[-1]) & ~carry[0].shrunk,
        lambda carry: _noted(_attempt(rate, method, ts, carry[0]), carry[1], every),
        (start, _notes(start, slots)),
    )[1]


def _forward(rate, method, known, state, ts):
    slots = min(method.max_steps, max(NOTED, int(np.ceil(np.sqrt(method.max_steps)))))
    states, run, notes = _follow(partial(rate, known), method, state, ts, slots)
    return states, (known, state, ts, states, notes, run.kept, run.t)


def _backward(rate, method, found, given):
    known, state, ts, states, notes, count, reached = found
    inexact = [jnp.issubdtype(x.dtype, jnp.inexact) for x in known]

    def of_values(values, y, t):
        values = iter(values)
        return rate([next(values) if one else x for one, x in zip(inexact, known, strict=True)], y, t)

    values = [x for one, x in zip(inexact, known, strict=True) if one]
    here = partial(rate, known)
    slots = len(notes[0])
    every = jnp.maximum(1, -(-count // slots))
    first = jax.tree.map(lambda x: x[0], notes)
    notes = lax.cond(every == 1, lambda: notes, lambda: _again(here, method, ts, first, count, every, slots))

    def part(j, carry):
        """The steps from the note j to the next, in reverse."""
        j = (count - 1) // every - j
        own = jnp.minimum(every, count - j * every)
        last = jnp.where((j + 1) * every < count, notes[0][jnp.minimum(j + 1, slots - 1)], reached)
        bounded = ts.at[-1].set(last)
        steps = _again(
            here, method, bounded, jax.tree.map(lambda x: x[j], notes), own, 1, -(-method.max_steps // slots)
        )
        return lax.fori_loop(
            0, own, lambda i, carry: pulled(carry, jax.tree.map(lambda x: x[own - 1 - i], steps)), carry
        )

    def pulled(carry, step):
        """The derivative by y at the end of a step, and by the states within it, as one by y at its beginning."""
        after, at, total = carry
        t0, t1, y0 = step
        stages, *_ = _stages(here, t0, t1, y0, here(y0, t0))

        def seen(carry):
            before, pull, at = carry
            slope, weights = jax.tree.map(lambda x: x[at], given), _between(t0, t1, ts[at])
            pull = jax.tree.map(lambda k, x: k + weights.reshape(-1, *[1] * x.ndim) * x, pull, slope)
            return jax.tree.map(jnp.add, before, slope), pull, at - 1

        none = jax.tree.map(jnp.zeros_like, (y0, stages))
        before, pull, at = lax.while_loop(lambda x: (x[2] > 0) & (ts[x[2]] > t0), seen, (*none, at))

        def stage(i, carry):
            before, pull, total = carry
            i = STAGES - 1 - i
            weights = jnp.asarray(WEIGHTS, t0.dtype)[i]
            here = partial(of_values, t=_moment(t0, t1, i))
            _, transposed = jax.vjp(here, values, _mixed(weights, stages, y0))
            more, slope = transposed(jax.tree.map(lambda k: (t1 - t0) * k[i], pull))
            slope = jax.tree.map(lambda x, a: x + jnp.where(i == STAGES - 1, a, 0), slope, after)
            pull = jax.tree.map(lambda k, x: k + weights.reshape(-1, *[1] * x.ndim) * x, pull, slope)
            return jax.tree.map(jnp.add, before, slope), pull, jax.tree.map(jnp.add, total, more)

        before, _, total = lax.fori_loop(0, STAGES, stage, (before, pull, total))
        return before, at, total

    at = jnp.searchsorted(ts, reached, side="right") - 1
    start = jax.tree.map(jnp.zeros_like, state), at, jax.tree.map(jnp.zeros_like, values)
    by_state, _, by_values = lax.fori_loop(0, -(-count // every), part, start)

    def by_time(moment):
        t, y, slope = moment
        return jnp.where(t <= reached, _inner(slope, here(y, t)), 0)

    by_ts = lax.map(by_time, (ts, states, given)).at[0].set(-_inner(by_state, here(state, ts[0])))
    by_values = iter(by_values)
    by_known = [
        next(by_values) if one else np.zeros(x.shape, jax.dtypes.float0) for one, x in zip(inexact, known, strict=True)
    ]
    return by_known, jax.tree.map(lambda x, g: x + g[0], by_state, given), by_ts


def _inner(a, b):
    return sum(jnp.sum(x * y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))


_motion.defvjp(_forward, _backward)

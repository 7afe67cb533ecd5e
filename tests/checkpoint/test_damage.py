"""Two hundred damaged files of runs and of saved systems: a named error, or the state before with a warning; never
another error, never other numbers.

`pytest -n 0 -m slow -rP tests/checkpoint/test_damage.py` shows the figures; LGN_CAMPAIGN=1000 in the environment takes
more.
"""

import os
import random
import shutil
import warnings
from collections import Counter

import jax
import numpy as np
import pytest
from flax import nnx

import lgn
from lgn import runs
from lgn.systems import wave

pytestmark = pytest.mark.slow
COUNT = int(os.environ.get("LGN_CAMPAIGN", "100"))


def truncated(path, chance):
    content = path.read_bytes()
    path.write_bytes(content[: chance.randrange(len(content))])


def flipped(path, chance):
    content = bytearray(path.read_bytes())
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


def removed(path, chance):
    path.unlink()


def replaced(path, chance):
    path.unlink()
    path.mkdir()


def emptied(path, chance):
    path.write_bytes(b"")


HARMS = [truncated, flipped, removed, replaced, emptied]


def harmed(folder, copy, chance, pattern="*", count=1):
    """A copy of a folder in which files are damaged, with their names and how."""
    shutil.copytree(folder, copy)
    done = []
    for path in chance.sample(sorted(x for x in copy.rglob(pattern) if x.is_file() and x.stat().st_size), count):
        harm = chance.choice(HARMS)
        harm(path, chance)
        done.append((path.name, harm.__name__))
    return done


def system(seed=0):
    return lgn.Lagrangian(lgn.lattice((5,)), lgn.MLPDensity(3, 1, (4,), rngs=nnx.Rngs(seed)))


def test_damaged_runs(tmp_path):
    """The whole run, or one that was left amid its work."""
    data, chance, outcomes = wave.sample(jax.random.key(0), 20, 5), random.Random(0), Counter()

    def learn(folder):
        phases = [lgn.QuasiNewton(4), lgn.QuasiNewton(5, name="second")]
        return lgn.fit(system(), data, key=jax.random.key(1), phases=phases, folder=folder, checkpoint_seconds=0.0)

    whole = learn(tmp_path / "whole")
    for i in range(COUNT):
        copy = tmp_path / str(i)
        done = harmed(
            tmp_path / "whole", copy, chance, *[("*.state", 1), ("*.state", 1), ("*.state", 2), ("*", 1)][i % 4]
        )
        last = max(int(x.stem) for x in (tmp_path / "whole" / "checkpoints").glob("*.state"))
        spoiled = any(name == f"{last}.state" and how != "removed" for name, how in done)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            try:
                found = learn(copy)
            except lgn.CheckpointError as error:
                outcomes["a named error"] += 1
                assert "no state is whole" in str(error) or "cannot be written" in str(error), (done, error)
                continue
        told = any("is damaged" in str(x.message) for x in said)
        assert told == spoiled, done
        outcomes["the state before, with a warning" if told else "as if whole"] += 1
        assert found.history == whole.history, done
        for a, b in zip(jax.tree.leaves(found.system), jax.tree.leaves(whole.system), strict=True):
            np.testing.assert_array_equal(a, b)
    print(f"{COUNT} runs with damaged files: {dict(outcomes)}")


def test_damaged_systems(tmp_path):
    """What `lgn rollout` goes on from: a system beside a state."""
    chance, outcomes, moved, kept = random.Random(0), Counter(), system(), tmp_path / "kept"
    kept.mkdir()
    motion = lgn.rollout(moved, (np.linspace(0, 1, 5)[:, None], np.zeros((5, 1))), [0.0, 0.1], lgn.Verlet(0.1))
    runs.keep_motion(kept, moved, motion)
    for i in range(COUNT):
        done = harmed(kept, tmp_path / str(i), chance)
        try:
            found = runs.continue_from(tmp_path / str(i))
        except lgn.CheckpointError:
            outcomes["a named error"] += 1
            continue
        pytest.fail(f"{done}: {jax.tree.leaves(found)} of a damaged file")
    print(f"{COUNT} saved systems with a damaged file: {dict(outcomes)}")

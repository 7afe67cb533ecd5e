"""Command line: every command by its arguments, in process; a mistake ends with a message, a fix and exit status 2."""

import os
import subprocess
import sys

import numpy as np
import pytest

import lgn
from lgn import cli, runs
from lgn.harness import catalogue

MINE = """
import jax.numpy as jnp


def density(q, v, features):
    return 0.5 * jnp.sum(v**2) - 0.5 * jnp.sum(q**2)
"""


def run(*arguments):
    """The exit status of a command."""
    with pytest.raises(SystemExit) as ended:
        cli.main([str(argument) for argument in arguments])
    return ended.value.code or 0


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A run whose density is in a module of one's own, beside it."""
    (tmp_path / "mine.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    import mine

    system = lgn.Lagrangian(lgn.single_node(), mine.density)
    runs.keep_motion(tmp_path, system, lgn.rollout(system, (np.ones((1, 1)), np.zeros((1, 1))), [0.0, 1.0]))
    yield tmp_path
    sys.modules.pop("mine", None)


def test_alone_it_shows_every_command_and_ends_well(capsys):
    cli.main([])
    shown = capsys.readouterr().out
    assert all(f"\n  lgn {name}" in shown for name in cli.COMMANDS)
    assert len(shown.splitlines()) < 20 and max(map(len, shown.splitlines())) <= 120


def test_the_list_has_every_experiment_with_its_figures(capsys):
    assert run("list") == 0
    lines = capsys.readouterr().out.splitlines()
    assert {line.split()[0] for line in lines[1:] if line[0] != " "} == set(catalogue.experiments())
    (wave,) = [line.split() for line in lines if line.startswith("wave ")]
    assert wave == ["wave", "50", "s", "0.434", "1.1e-05", "acceleration_l1_sum"]
    assert "    Learns the density of the 1D wave equation" in "\n".join(lines)


def test_a_run_with_a_density_of_ones_own_is_continued_once_its_module_is_named(folder, capsys):
    command = ["rollout", folder, "--time", "0.5", "--frames", "3"]
    assert run(*command) == 2 and "'mine:density'" in capsys.readouterr().err
    assert run(*command, "--trusted", "nowhere") == 2 and "nowhere" in capsys.readouterr().err
    assert run(*command, "--trusted", "mine") == 0 and "energy drift" in capsys.readouterr().out
    assert run("info", folder) == 2 and "'mine:density'" in capsys.readouterr().err
    assert run("info", folder, "--trusted", "mine") == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["rnu"], "lgn rnu: no such command; did you mean 'run'? There are: list, run, fit"),
        (["xyz"], "no such command. There are"),
        (["run", "wvae"], "lgn run: no experiment 'wvae'; did you mean 'wave'? There are: cahn_hilliard"),
        (["run", "damped-pendulums"], "did you mean 'damped_pendulum'?"),
        (["run"], "Missing from lgn run"),
        (["run", "wave", "--quik"], "--quick"),
        (["rollout"], "Missing from lgn rollout"),
        (["rollout", "runs", "--tme", "3"], "--time"),
        (["rollout", "runs", "--time", "soon"], "could not convert"),
        (["rollout", "runs", "--time", "-1"], "expected a positive time and 2 frames or more"),
        (["rollout", "runz"], "lgn rollout: runz does not exist; did you mean 'runs'?"),
        (["rollout", "elsewhere/run"], "does not exist. Give the folder that a run left, such as runs/wave"),
        (["rollout", "file"], "file is a file, not the folder of a run"),
        (["rollout", "runs"], "runs holds no state.npz: it is not the folder of a finished experiment"),
        (["info", "runs"], "does not exist"),
        (["report", "nowhere"], "lgn report: nowhere does not exist"),
        (["collect", "runs"], "holds no NAME/metrics.json of an experiment; see `lgn run NAME`"),
        (["compare", "file", "file"], "is no benchmark file"),
        (["fit"], "Missing from lgn fit"),
        (["fit", "nowhere.toml"], "lgn fit: nowhere.toml is no file of settings"),
    ],
)  # fmt: skip
def test_a_mistake_ends_with_a_message_and_status_two(arguments, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "runs").mkdir()
    (tmp_path / "file").touch()
    assert run(*arguments) == 2
    said = "".join(capsys.readouterr())
    assert words in said and "Traceback" not in said


def test_what_is_no_mistake_of_the_user_keeps_its_traceback(folder, monkeypatch):
    monkeypatch.setattr(runs, "keep_motion", lambda *arguments: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        cli.main(["rollout", str(folder), "--time", "0.5", "--frames", "3", "--trusted", "mine"])


def test_nothing_to_collect_shows_no_table_and_damage_is_told(tmp_path, capsys):
    assert run("collect", tmp_path) == 2
    said = capsys.readouterr()
    assert not said.out and "holds no NAME/metrics.json" in said.err
    (tmp_path / "wave").mkdir()
    (tmp_path / "wave" / "metrics.json").write_text("{")
    assert run("collect", tmp_path) == 2 and "wave/metrics.json is damaged" in capsys.readouterr().err


def test_an_interruption_is_told_in_a_line_and_leaves_an_earlier_run_as_it_was(folder, monkeypatch, capsys):
    rollout = ["rollout", folder, "--time", "0.5", "--frames", "3", "--trusted", "mine"]
    assert run(*rollout) == 0
    before = {path.name: path.read_bytes() for path in (folder / "rollout").iterdir() if path.is_file()}

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(lgn, "rollout", interrupted)
    monkeypatch.setattr(os, "_exit", sys.exit)
    assert run(*rollout[:3], "9", *rollout[4:]) == 130
    assert "lgn rollout: interrupted" in capsys.readouterr().err
    assert before == {path.name: path.read_bytes() for path in (folder / "rollout").iterdir() if path.is_file()}


def test_a_folder_that_cannot_be_written_to_is_told_before_the_work(folder, monkeypatch, capsys):
    monkeypatch.setattr(lgn, "rollout", lambda *_, **__: pytest.fail("worked first"))
    assert run("rollout", folder, "--trusted", "mine", "--out", folder / "mine.py") == 2
    assert "cannot be the folder of the run" in capsys.readouterr().err


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_a_shell_completes_commands_and_their_options(shell, capsys):
    assert run("--tyro-print-completion", shell) == 0
    script = capsys.readouterr().out
    assert all(name in script for name in (*cli.COMMANDS, "frames"))


def test_bash_takes_the_completion(tmp_path, capsys):
    if subprocess.run(["bash", "-c", "type complete"], capture_output=True).returncode:
        pytest.skip("no bash that completes")
    run("--tyro-print-completion", "bash")
    (tmp_path / "lgn").write_text(capsys.readouterr().out)
    ended = subprocess.run(["bash", "-c", f"source {tmp_path}/lgn && complete -p lgn"], capture_output=True, text=True)
    assert ended.returncode == 0 and ended.stdout.startswith("complete")


def test_programs_are_kept_in_the_users_cache_unless_the_environment_says_otherwise(tmp_path, monkeypatch):
    for name in ("JAX_COMPILATION_CACHE_DIR", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "TF_CPP_MIN_LOG_LEVEL"):
        monkeypatch.setenv(name, "")  # so that it is put back
        monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    cli.keep_programs()
    assert os.environ["JAX_COMPILATION_CACHE_DIR"] == str(tmp_path / "lgn")
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "mine")
    cli.keep_programs()
    assert os.environ["JAX_COMPILATION_CACHE_DIR"] == "mine"


AGAIN = """
import collections
import sys
from lgn import cli

cli.keep_programs()
import jax

seen = collections.Counter()
jax.monitoring.register_event_listener(lambda event, **_: seen.update([event.rpartition("/")[2]]))
for _ in range(2):
    seen.clear()
    jax.clear_caches()
    try:
        cli.main(sys.argv[1:])
    except SystemExit as ended:
        assert not ended.code
    print("asked", seen["compile_requests_use_cache"], seen["compile_requests_use_cache"] - seen["cache_hits"])
"""


def test_the_same_command_again_compiles_nothing(folder):
    """The first time takes what it finds in the folder of programs of these tests, and leaves the rest there."""
    arguments = ["rollout", str(folder), "--time", "0.5", "--frames", "3", "--trusted", "mine"]
    ended = subprocess.run([sys.executable, "-c", AGAIN, *arguments], capture_output=True, text=True, check=True)
    asked, compiled = np.array([line.split()[1:] for line in ended.stdout.splitlines() if line[:5] == "asked"], int).T
    assert asked.min() > 0 and compiled[1] == 0

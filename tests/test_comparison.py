"""A benchmark over versions: what takes longer than before is named, and the command fails."""

import json

import pytest

from lgn import cli


def written(tmp_path, **runs):
    paths = []
    for name, figures in runs.items():
        paths.append(tmp_path / f"{name}.json")
        paths[-1].write_text(figures if isinstance(figures, str) else json.dumps(figures))
    return paths


def test_what_is_a_fifth_worse_is_named_and_the_rest_is_not(tmp_path, capsys):
    before = {"ring": 1.0, "square": 2.0, "cube": 1.0, "gone": 1.0, "skipped": None}
    after = {"ring": 1.19, "square": 2.5, "cube": 3.0, "new": 9.0, "skipped": 4.0}
    paths = written(tmp_path, before=before, after=after)
    assert cli.compare(*paths) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[1:] == ["cube: 1 -> 3, 3.00 times as long", "square: 2 -> 2.5, 1.25 times as long"]
    assert cli.compare(paths[0], paths[0]) == 0
    assert "none of 4 figures" in capsys.readouterr().out


def test_the_command_exits_with_one(tmp_path, monkeypatch, capsys):
    paths = written(tmp_path, before={"ring": 1.0}, after={"ring": 2.0})
    monkeypatch.setattr("sys.argv", ["lgn", "compare", *map(str, paths)])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert stopped.value.code == 1 and "ring: 1 -> 2" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[1.0]", "holds a list"),
        ("{", "is no benchmark file"),
        ('{"ring": -1.0}', "'ring' is -1.0; expected a positive number"),
        ('{"other": 1.0}', "no figure is in both files"),
    ],
)
def test_bad_input(tmp_path, text, words):
    paths = written(tmp_path, before={"ring": 1.0}, after=text)
    with pytest.raises(cli.Mistake) as refused:
        cli.compare(*paths)
    assert words in str(refused.value)
    with pytest.raises(cli.Mistake, match="is no benchmark file"):
        cli.compare(tmp_path / "none.json", paths[0])

"""The page of a run holds all that its folder holds, asks for nothing from outside, and shows no text as code."""

import base64
import json
from html.parser import HTMLParser

import numpy as np
import pytest

import lgn
from lgn import cli, protocol
from lgn.harness import reports

HOSTILE = '"><script>alert(1)</script>&amp;'
PIXEL = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")  # a gif of one


class Page(HTMLParser):
    """Tags with their attributes, and texts, of a page that closes what it opens."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.texts, self.opened = [], [], []
        self.feed(path.read_text())
        assert not self.opened

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in ("meta", "link", "img", "wbr"):
            self.opened.append(tag)

    def handle_endtag(self, tag):
        assert self.opened.pop() == tag

    def handle_data(self, text):
        self.texts.append(text)

    @property
    def text(self):
        return "".join(self.texts)

    def of(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def oscillator(q, v, features):
    return 0.5 * v[0, 0] ** 2 - 0.5 * q[0, 0] ** 2


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A folder as an experiment leaves it, in which every name is hostile that may be."""
    folder = tmp_path_factory.mktemp("run")
    system = lgn.Lagrangian(lgn.single_node(), oscillator)
    motion = lgn.rollout(system, (np.ones((1, 1)), np.zeros((1, 1))), np.linspace(0, 1, 5))
    figures = {"drift": protocol.Figure(1e-3, 1e-6), "speed": protocol.Figure(asked=2, at_least=True)}
    metrics = {"drift": 1.25e-9, "drift_worst": 2.5e-9, "speed": 1.0, HOSTILE: 7}
    (folder / "config.json").write_text(json.dumps({"seeds": 3, HOSTILE: [HOSTILE]}))
    (folder / "environment.txt").write_text(f"jax 0.10.1\n{HOSTILE}\n")

    def draw():
        (folder / "space_time.png").write_bytes(PIXEL)
        (folder / '"><img src=x onerror=alert(1)>.gif').write_bytes(PIXEL)

    protocol.finish(folder, f"toy {HOSTILE}", figures, metrics, [metrics], draw, (system, motion))
    return folder


def test_the_page_holds_each_figure_each_picture_and_what_the_run_was(run):
    page = Page(run / "report.html")
    for text in (
        "0.001",
        "<= 1e-06",
        "1.25e-09 (worst 2.5e-09)",
        ">= 2",
        "1 of 2 figures reach",
        "jax 0.10.1",
        "seeds",
    ):
        assert text in page.text, text
    assert [
        text for text, (tag, has) in zip(["1"], [x for x in page.tags if x[1].get("class") == "missed"], strict=True)
    ]
    pictures = [base64.b64decode(x["src"].partition(",")[2]) for x in page.of("img")]
    assert pictures.count(PIXEL) == 2 and len(pictures) == 3  # and one that is drawn, of the energy
    assert all(x["alt"] for x in page.of("img")) and "Space time" in page.text
    assert "energy" in page.text and "constant" in page.text and "Largest residual" in page.text


def test_nothing_is_asked_for_from_outside(run):
    page = Page(run / "report.html")
    assert not {tag for tag, _ in page.tags} & {"script", "iframe", "object", "embed", "form", "base", "a"}
    for _, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on") or name == "srcset"]
        assert all(attributes.get(name, "data:").startswith("data:") for name in ("src", "href"))
    for way in ("url(", "@import", "http://", "https://"):
        assert way not in page.text  # which holds the style


def test_what_is_written_is_text(run):
    page = Page(run / "report.html")
    assert page.of("title") and page.texts.count(f"toy {HOSTILE}") == 2  # title and headline
    assert page.text.count(HOSTILE) == 2 + 1 + 2 + 1  # these, a metric, a setting and its value, the environment
    assert not [x for x in page.of("img") if x["src"] == "x"]


@pytest.mark.parametrize(
    ("argv", "command"),
    [
        (["/usr/bin/lgn", "run", "wave", "--out", "my runs"], "lgn run wave --out 'my runs'"),
        (["/x/lgn/cli.py", "run", "wave"], "lgn run wave"),
        (["experiments/wave.py", "--quick"], "python wave.py --quick"),
    ],
)
def test_the_command_is_as_it_was_given(argv, command, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", argv)
    (tmp_path / "metrics.json").write_text("{}")
    reports.keep(tmp_path, "a", [])
    assert f"\n{command}\n" in Page(reports.write(tmp_path)).text


def test_a_folder_of_metrics_alone_is_enough(tmp_path):
    (tmp_path / "metrics.json").write_text('{"error": 0.25, "nodes": 5}')
    page = Page(reports.write(tmp_path))
    assert "error" in page.text and "0.25" in page.text and tmp_path.name in page.text
    assert "Pictures" not in page.text and "Conserved" not in page.text


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("metrics.json", None, "holds no metrics.json, .* finished experiment"),
        ("metrics.json", "{", r"metrics\.json is damaged"),
        ("metrics.json", "[1]", r"metrics\.json holds a list; expected an object"),
        ("report.json", '{"table": [[1, 2]]}', r"report\.json is damaged"),
        ("config.json", "nothing", r"config\.json is damaged"),
        ("quantities.npz", "nothing", r"quantities\.npz is damaged"),
    ],
)
def test_a_folder_that_is_no_run_or_damaged_is_said(tmp_path, name, content, words):
    (tmp_path / "metrics.json").write_text("{}")
    (tmp_path / name).unlink(missing_ok=True)
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=words):
        reports.write(tmp_path)
    assert not (tmp_path / "report.html").exists()


def test_a_motion_that_is_continued_leaves_a_page_too(run, tmp_path):
    assert cli.rollout(run, time=0.5, frames=3, out=tmp_path, trusted=(__name__,)) == 0
    page = Page(tmp_path / "report.html")
    assert f"{run.name}, continued" in page.text and "energy_drift" in page.text and len(page.of("img")) == 2

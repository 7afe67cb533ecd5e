"""Catalogue: what each experiment states at the top of its file, read without importing it."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple


class Figure(NamedTuple):
    """Reference for a metric: the published figure, and the target here, an upper or lower bound."""

    published: float | None = None
    asked: float | None = None
    at_least: bool = False

    @property
    def demand(self) -> str:
        """Target in words."""
        return "" if self.asked is None else f"{'>=' if self.at_least else '<='} {number(self.asked)}"

    def missed_by(self, value) -> bool:
        """Whether a value misses the target.

        Example:
            >>> from lgn.harness.protocol import Figure
            >>> Figure(asked=40, at_least=True).missed_by(39.0), Figure(asked=0.1).missed_by(0.01)
            (True, False)
        """
        bound = self.asked
        return not (bound is None or value is None or (value >= bound if self.at_least else value <= bound))


Figures = dict[str, Figure]


class Headline(NamedTuple):
    """Headline figure of an experiment, beside FIGURES in its file."""

    metric: str  # a key of FIGURES, or of metrics.json
    reached: float  # in docs/results.md; the median where there are seeds
    seconds: float | None = None  # of a run on two cores, or of its training where only that was timed
    picture: str | None = None  # a file of docs/images


class Entry(NamedTuple):
    """Entry of the list and the gallery of experiments."""

    name: str
    path: Path
    sentence: str  # the first line of its docstring
    headline: Headline | None  # None in a file that states none
    figure: Figure  # of the headline's metric; empty where the file compares it with nothing


def entries() -> list[Entry]:
    """All experiments, sorted by name; files are parsed, never run, so jax is not imported.

    Example:
        >>> from lgn.harness import catalogue
        >>> wave = {entry.name: entry for entry in catalogue.entries()}["wave"]
        >>> wave.headline.metric, wave.figure.published
        ('acceleration_l1_sum', 0.434)
    """
    found = []
    for name, path in sorted(experiments().items()):
        tree = ast.parse(path.read_text())
        stated = dict(_assigned(tree))
        headline = _literal(Headline, stated.get("HEADLINE"))
        sentence = (ast.get_docstring(tree) or "").partition("\n")[0]
        found.append(Entry(name, path, sentence, headline, _figure(stated.get("FIGURES"), headline)))
    return found


def experiments() -> dict[str, Path]:
    """Files of the experiments by name: of the current folder, the checkout and the installed package."""
    return {path.stem: path for folder in reversed(folders()) for path in sorted(folder.glob("*.py"))}


def folders() -> list[Path]:
    """Folders that are searched for experiments, first match first."""
    package = Path(__file__).parents[1]
    candidates = [Path.cwd() / "experiments", package.parent / "experiments", package / "experiments"]
    return [folder for folder in candidates if folder.is_dir()]


def number(value) -> str:
    """Number with three digits; empty for None."""
    return "" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)


def _assigned(tree: ast.Module) -> Iterator[tuple[str, ast.expr | None]]:
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            yield ast.unparse(target), node.value


def _figure(table: ast.expr | None, headline: Headline | None) -> Figure:
    if isinstance(table, ast.Dict) and headline:
        for key, value in zip(table.keys, table.values, strict=True):
            if isinstance(key, ast.Constant) and key.value == headline.metric:
                return _literal(Figure, value) or Figure()
    return Figure()


def _literal(kind: type, call: ast.expr | None) -> Any:
    """Value of kind(...) where all arguments are literals, else None."""
    if not isinstance(call, ast.Call):
        return None
    try:
        settings = {str(word.arg): ast.literal_eval(word.value) for word in call.keywords}
        return kind(*map(ast.literal_eval, call.args), **settings)
    except ValueError:
        return None

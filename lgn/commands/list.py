"""lgn list: the experiments that there are."""

import shutil
import textwrap
from dataclasses import dataclass

from lgn.commands.mistakes import Mistake, as_mistakes
from lgn.harness import catalogue

LINE = "{:18}{:>8}{:>11}{:>10}  {}"


@dataclass(frozen=True)
class List:
    """Show the experiments: what each does, how long it takes, the published figure and ours."""

    def __call__(self) -> int:
        with as_mistakes(SyntaxError):
            entries = catalogue.entries()
        if not entries:
            raise Mistake("no experiments here; run it where a folder `experiments` is, or install lgn again")
        print(LINE.format("lgn run", "time", "published", "ours", "figure"))
        width = min(110, shutil.get_terminal_size().columns)
        for entry in entries:
            metric, reached, seconds, _ = entry.headline or ("", None, None, None)
            figures = map(catalogue.number, (entry.figure.published, reached))
            print(LINE.format(entry.name, _duration(seconds), *figures, metric).rstrip())
            print(textwrap.fill(entry.sentence, width, initial_indent="    ", subsequent_indent="    "))
        return 0


def _duration(seconds: float | None) -> str:
    """In the unit that people say.

    Example:
        >>> from lgn.commands.list import _duration
        >>> _duration(45), _duration(150), _duration(5400), _duration(None)
        ('45 s', '2.5 min', '1.5 h', '')
    """
    if seconds is None:
        return ""
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.2g} {unit}"
    return f"{seconds:.0f} s"

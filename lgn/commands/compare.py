"""lgn compare: the costs of two versions."""

import sys
from dataclasses import dataclass
from pathlib import Path

import tyro

from lgn.commands.mistakes import as_mistakes


@dataclass(frozen=True)
class Compare:
    """Show what takes more than 20 % longer than in an earlier run of scaling; exits with 1 if anything does."""

    before: tyro.conf.Positional[Path]
    """The benchmark.json of the earlier run."""
    after: tyro.conf.Positional[Path]
    """That of the later one."""

    def __call__(self) -> int:
        from lgn.harness import comparison

        with as_mistakes(ValueError):
            before, after = (comparison.figures(path) for path in (self.before, self.after))
            slower = comparison.regressions(before, after)
        if slower:
            counted = f"lgn compare: {len(slower)} of {len(after)} figures are more than 20 % worse"
            print(counted, *slower, sep="\n", file=sys.stderr)
            return 1
        print(f"none of {len(before.keys() & after.keys())} figures is more than 20 % worse")
        return 0

"""lgn run: an experiment by its name."""

from dataclasses import dataclass

import tyro

from lgn._spelling import nearest
from lgn.commands.mistakes import Mistake
from lgn.harness import catalogue


@dataclass(frozen=True)
class Run:
    """Run an experiment by name; what follows the name is passed on to it (`lgn run wave --help`)."""

    name: tyro.conf.Positional[str]
    """As `lgn list` shows it."""
    settings: tyro.conf.Suppress[tuple[str, ...]] = ()

    def __call__(self) -> int:
        name, known = self.name.replace("-", "_"), catalogue.experiments()
        if name not in known:
            raise Mistake(
                f"no experiment {self.name!r}{nearest(name, known)} There are: {', '.join(sorted(known)) or 'none'}"
            )
        from lgn.harness import protocol

        module = protocol.load(name)
        module.main(tyro.cli(module.Config, prog=f"lgn run {name}", args=self.settings))
        return 0

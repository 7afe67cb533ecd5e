"""lgn info: versions, devices, and the system in a folder."""

from dataclasses import dataclass
from pathlib import Path

import tyro

from lgn.commands.folders import check_folder, modules
from lgn.commands.mistakes import as_mistakes


@dataclass(frozen=True)
class Info:
    """Show versions, devices and the solvers of several graphs; with a folder, the system in it and its solver."""

    folder: tyro.conf.Positional[Path | None] = None
    trusted: tuple[str, ...] = ()
    """Modules of your own that the system is made of; a checkpoint imports nothing by itself."""

    def __call__(self) -> int:
        folder = self.folder and check_folder(self.folder)
        import jax

        import lgn
        from lgn.analysis import diagnostics
        from lgn.harness import protocol, runs
        from lgn.solvers.choice import solver_table

        protocol.use_float64()
        for package in runs.PACKAGES:
            print(runs.package_version(package))
        print("devices", ", ".join(str(device) for device in jax.devices()))
        if folder is None:
            print("\n".join(["", *solver_table()]))
            return 0
        with as_mistakes(lgn.CheckpointError):
            system = lgn.load(folder / "system", trusted=modules(self.trusted))
        print(system)
        print("parameters", diagnostics.parameters(system))
        return 0

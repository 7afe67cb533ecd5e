"""lgn rollout: goes on with the motion of a run."""

from dataclasses import dataclass
from pathlib import Path

import tyro

from lgn.commands.folders import check_folder, check_out, modules
from lgn.commands.mistakes import Mistake, as_mistakes


@dataclass(frozen=True)
class Rollout:
    """Continue the motion that an experiment or `lgn fit` left in its folder."""

    folder: tyro.conf.Positional[Path]
    time: float = 50.0
    """How much longer."""
    frames: int = 101
    """States to keep."""
    out: Path | None = None
    """Where to write; by default FOLDER/rollout."""
    trusted: tuple[str, ...] = ()
    """Modules of your own that the system is made of; a checkpoint imports nothing by itself."""

    def __call__(self) -> int:
        if not 0 < self.time < float("inf") or self.frames < 2:
            raise Mistake(f"time={self.time}, frames={self.frames}; expected a positive time and 2 frames or more")
        import matplotlib
        import numpy as np

        import lgn
        from lgn.analysis import diagnostics, plots
        from lgn.data.fields import field_names
        from lgn.harness import protocol, runs

        protocol.use_float64()
        matplotlib.use("agg")
        with as_mistakes(lgn.CheckpointError):
            system, state, start = runs.continue_from(check_folder(self.folder), modules(self.trusted))
        out = check_out(self.out or self.folder / "rollout")
        with as_mistakes(lgn.MotionStopped):
            motion = lgn.rollout(system, state, np.linspace(start, start + self.time, self.frames))
        with as_mistakes(OSError):
            runs.begin(out, self)
        fields = {name: getattr(motion, name) for name in (*field_names(len(motion.state)), "t", "energy", "residual")}
        np.savez(out / "trajectory.npz", **{name: np.asarray(x) for name, x in fields.items()})  # type: ignore[arg-type]
        energy = diagnostics.relative_energy(system, motion)
        metrics = {"energy_drift": diagnostics.drift(energy), "residual_max": float(motion.residual.max())}
        metrics |= {"nodes": motion.state[0].shape[1], "start": start, "end": start + self.time}

        def draw():
            with plots.picture(out / "rollout.png", 1, 2, size=(10, 4)) as axes:
                plots.space_time(axes[0], motion.t, motion.state[0][..., 0], "first degree of freedom")
                plots.energy(axes[1], motion.t, {"learned energy": energy})

        title = f"{self.folder.resolve().name}, continued"
        protocol.finish(out, title, {}, metrics, [metrics], draw, (system, motion))
        print(f"{system}")
        print(f"t = {start:g} to {start + self.time:g}: energy drift {metrics['energy_drift']:.1e}, ", end="")
        print(f"largest residual {float(motion.residual.max()):.1e}")
        print(f"wrote {out}/trajectory.npz, {out}/rollout.png and the state to go on from")
        return 0

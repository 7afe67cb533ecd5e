"""Folders of runs, as several commands open them."""

import importlib
import sys
import tempfile
from pathlib import Path
from types import ModuleType

from lgn._spelling import nearest
from lgn.commands.mistakes import Mistake, as_mistakes


def check_folder(folder: Path) -> Path:
    """Itself, if it is a folder; names one beside it that is spelt alike."""
    if not folder.is_dir():
        beside = [str(path) for path in folder.parent.iterdir() if path.is_dir()] if folder.parent.is_dir() else []
        what = "is a file, not the folder of a run" if folder.exists() else "does not exist"
        hint = nearest(str(folder), beside)
        raise Mistake(f"{folder} {what}{hint} Give the folder that a run left, such as runs/wave")
    return folder


def check_out(out: Path) -> Path:
    """Itself, made and writable before a command works for minutes; what is in it stays."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=out).close()
    except OSError as error:
        raise Mistake(f"{out} cannot be the folder of the run ({error}); give another as `out`") from error
    return out


def modules(names: tuple[str, ...]) -> list[ModuleType]:
    """The modules that the user names, of the current folder too."""
    if names and "" not in sys.path:
        sys.path.insert(0, "")  # as `python -m` has it
    with as_mistakes(ImportError):
        return [importlib.import_module(name) for name in names]

"""MATLAB: vectors and matrices of one length in a .mat file as the columns of a table."""

from pathlib import Path

import numpy as np

from lgn.data.columns import recording
from lgn.data.dialects import Table
from lgn.data.fields import Choice, Contents


def read(path: Path, choice: Choice) -> Contents:
    """A recording of the vectors, and the columns x_0, x_1, ... of the matrices, of the most common length."""
    from scipy.io import loadmat

    try:
        found = loadmat(path)
    except NotImplementedError as error:
        raise ValueError(f"read: {path.name} is of version 7.3; save it by save(..., '-v7')") from error
    except Exception as error:
        raise ValueError(f"read: {path.name} is no file of MATLAB ({error})") from error
    arrays = {name: np.asarray(x) for name, x in found.items() if not name.startswith("__")}
    arrays = {name: x for name, x in arrays.items() if x.ndim == 2 and x.size > 1 and x.dtype.kind in "biuf"}
    lengths = [max(x.shape) if min(x.shape) == 1 else len(x) for x in arrays.values()]
    if not lengths:
        raise ValueError(f"read: {path.name} holds no vectors of numbers")
    length, columns = max(set(lengths), key=lengths.count), dict[str, np.ndarray]()
    for name, x in arrays.items():
        x = x.T if x.shape[0] == 1 else x
        if len(x) == length:
            many = x.shape[1] > 1
            columns |= {f"{name}_{i}" if many else name: x[:, i].astype(float) for i in range(x.shape[1])}
    return recording(path, choice, Table("", {}, columns))


def write(path: Path, contents: Contents) -> None:
    """Raises ValueError: other formats keep names, units and kinds."""
    raise ValueError(f"write: {path.name}: .mat is read alone; write .csv, .h5 or .nc")


def read_graph(path: Path):
    """Raises ValueError: a table has no graph."""
    raise ValueError("read_graph: files *.mat hold no graph; make it: lgn.from_edges, lgn.lattice, ...")

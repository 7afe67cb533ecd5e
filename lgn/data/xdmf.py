"""XDMF: a series as a file of XML, and beside it one of HDF5 with the numbers."""

import copy
from pathlib import Path

import numpy as np

from lgn.data.contents import changed, whole
from lgn.data.series import Series, inform, information


def opened(path: Path) -> Series:
    """What the file says of its times and its mesh; numbers at later times are not read yet."""
    from meshio.xdmf import TimeSeriesReader

    reader = TimeSeriesReader(path)
    with reader:
        points, blocks = reader.read_points_cells()

    def steps(numbers):
        own = copy.copy(reader)
        own.hdf5_files = {}  # open files, which `with` closes
        with own:
            for k in numbers:
                try:
                    fields = own.read_data(k)[1]
                except KeyError as error:  # of a dataset
                    raise changed(path) from error
                yield fields

    times = [float(grid.find("Time").attrib["Value"]) for grid in reader.collection]
    return Series(np.array(times), points, blocks, steps, information(reader.domain))


def written(path: Path, points, cells, steps, about) -> None:
    """Each field at each time is a dataset of the file of HDF5."""
    import h5py
    from meshio.xdmf import TimeSeriesWriter

    numbers = path.with_name(f"{path.name}.h5")
    with whole(path) as part, whole(numbers) as heavy:
        writer = TimeSeriesWriter(part)
        # Its own `with` would put the numbers into the working folder, wherever the path is.
        writer.h5_filename, writer.h5_file = numbers.name, h5py.File(heavy, "w")
        try:
            writer.write_points_cells(points, cells)
            for t, fields in steps:
                writer.write_data(t, point_data=fields)
            inform(writer.domain, about)
        finally:
            writer.__exit__()

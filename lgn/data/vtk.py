"""VTK: a series as a collection, a file of XML, and beside it a folder of meshes, one for each time."""

import itertools
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np

from lgn.data.contents import whole
from lgn.data.series import Series, inform, information


def opened(path: Path) -> Series:
    """What the file says of its times; the mesh is that of the first."""
    import meshio

    root = ET.parse(path).getroot()
    sets = root.findall("Collection/DataSet")
    if not sets:
        raise ValueError("no DataSet in a Collection")
    files = [path.parent / x.attrib["file"] for x in sets]
    first = meshio.read(files[0])

    def steps(numbers):
        for k in numbers:
            if not files[k].is_file():
                raise FileNotFoundError(f"read: {files[k]} is no longer there")
            yield meshio.read(files[k]).point_data

    return Series(
        np.array([float(x.attrib["timestep"]) for x in sets]), first.points, first.cells, steps, information(root)
    )


def written(path: Path, points, cells, steps, about) -> None:
    """The mesh stands in the file of each time."""
    import meshio

    folder = path.with_suffix("")
    folder.mkdir(exist_ok=True)
    root = ET.Element("VTKFile", type="Collection", version="0.1")
    collection = ET.SubElement(root, "Collection")
    for i, (t, fields) in enumerate(steps):
        file = folder / f"{i:06d}.vtu"
        meshio.Mesh(points, cells, point_data=fields).write(file)
        ET.SubElement(collection, "DataSet", timestep=repr(t), part="0", file=f"{folder.name}/{file.name}")
    inform(root, about)
    with whole(path) as part:
        ET.ElementTree(root).write(part)
    for i in itertools.count(len(collection)):  # later times of a longer motion
        if not (file := folder / f"{i:06d}.vtu").exists():
            break
        file.unlink()

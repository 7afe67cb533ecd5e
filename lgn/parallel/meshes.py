"""Meshes: of devices, as users give them."""

from jax.sharding import AxisType, Mesh

from lgn import _arguments


def along(mesh: Mesh, axis: str | None = None) -> tuple[Mesh, str]:
    """A mesh whose axes are left to the compiler, and the name of one axis. Raises ValueError for none or several."""
    _arguments.of_kind("mesh", mesh, Mesh, "jax.make_mesh((jax.device_count(),), ('devices',))")
    if axis is None and len(mesh.axis_names) != 1:
        raise ValueError(f"mesh has the axes {mesh.axis_names}; give one of a single axis, or say which: axis=...")
    axis = mesh.axis_names[0] if axis is None else axis
    if axis not in mesh.axis_names:
        raise ValueError(f"axis={axis!r}, but the mesh has {mesh.axis_names}; give one of them")
    return Mesh(mesh.devices, mesh.axis_names, axis_types=(AxisType.Auto,) * len(mesh.axis_names)), axis

"""Samples over devices: each device evaluates a part of them, in its own loops; only parameters and sums are shared."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, PartitionSpec

from lgn.devices.shard import along


def divided_samples(system, mesh: Mesh | None) -> AbstractContextManager:
    """The context in which `over_devices` divides samples over a mesh, which is jax's own; None divides nothing.

    Raises:
        ValueError: a mesh of several axes, a system whose nodes are divided already.
    """
    if mesh is None:
        return nullcontext()
    if hasattr(system, "domain") and system.domain.division:
        raise ValueError(
            "mesh is given, but the nodes of the system are divided over devices already; give fit either a system "
            "from lgn.shard, or mesh to divide the samples"
        )
    return jax.set_mesh(along(mesh)[0])


def over_devices(function: Callable, system: Any, samples: Any) -> Any:
    """function(system, *samples) of arrays whose first axis is that of samples: within `divided_samples` in equal parts
    over the devices, the last one filled up with a repeated sample, which is dropped."""
    mesh = jax.sharding.get_abstract_mesh()
    if mesh.empty or mesh.size == 1:
        return function(system, *samples)
    count = len(jax.tree.leaves(samples)[0])
    missing = -count % mesh.size
    filled = jax.tree.map(lambda x: jnp.concatenate([x, jnp.repeat(x[-1:], missing, 0)]), samples)
    same, mine = PartitionSpec(), PartitionSpec(mesh.axis_names[0])
    mapped = jax.shard_map(function, in_specs=(same, *(mine for _ in samples)), out_specs=mine, check_vma=False)
    return jax.tree.map(lambda x: x[:count], mapped(system, *filled))

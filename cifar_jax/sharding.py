"""One mesh over the devices of all processes: batches are split over it, all else is replicated."""

from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from cifar_jax.errors import InputError

DATA_AXIS = 'data'


def make_mesh(*, num_devices: int = 0) -> Mesh:
  """The devices in a row, along the axis `data`.

  Args:
    num_devices: how many of them; 0 for all.

  Raises:
    InputError: there are fewer, or they are not of all processes.
  """
  devices = jax.devices()
  if not 0 <= num_devices <= len(devices):
    raise InputError(
      f'sharding.num_devices is {num_devices}, but there are {len(devices)} '
      f'({devices[0].device_kind}); give at most that, or 0 for all'
    )
  used = devices[: num_devices or None]
  if len({device.process_index for device in used}) < jax.process_count():
    raise InputError(
      f'sharding.num_devices is {num_devices}, which leaves some of the {jax.process_count()} '
      'processes without work; start fewer of them'
    )
  # `Mesh` keeps the automatic axis type, where `jax.make_mesh` defaults to the explicit one.
  return Mesh(np.array(used), (DATA_AXIS,))


def check_batch_size(batch_size: int, mesh: Mesh) -> None:
  """Raises InputError where the global batch does not divide over the devices of the mesh."""
  if batch_size < 1 or batch_size % mesh.size:
    raise InputError(
      f'train.batch_size is {batch_size}; it must be a positive multiple of the number of '
      f'devices, {mesh.size}'
    )


def batch(mesh: Mesh) -> NamedSharding:
  """The sharding of an array whose first axis is the global batch."""
  return NamedSharding(mesh, PartitionSpec(DATA_AXIS))


def replicated(mesh: Mesh) -> NamedSharding:
  """The sharding of an array of which each device has a copy."""
  return NamedSharding(mesh, PartitionSpec())


def replicate(tree: Any, mesh: Mesh) -> Any:
  """Copies a tree of host arrays, the same in every process, to all devices of the mesh."""

  def place(leaf: Any) -> jax.Array:
    leaf = np.asarray(leaf)
    return jax.make_array_from_callback(leaf.shape, replicated(mesh), lambda index: leaf[index])

  return jax.tree.map(place, tree)


def one_at_a_time(result: jax.Array, mesh: Mesh) -> None:
  """Waits, on CPUs alone, until a step is taken; to be called after each.

  There, too, calls return at once. Dozens of steps of seconds each would be under way when a signal
  comes, and several programs at a time on several virtual devices can take each other's threads and
  wait for one another until XLA ends the process.

  Args:
    result: anything that the step gave, of any shape `[...]`.
    mesh: the devices.
  """
  if mesh.devices.flat[0].platform == 'cpu':
    jax.block_until_ready(result)


def replicate_key(key: jax.Array, mesh: Mesh) -> jax.Array:
  """Copies a typed key, scalar or `[seeds]`, the same in every process, to all devices."""
  # `device_put` copies only to devices of its own process, and a key has no numpy form.
  return jax.jit(lambda own: own, out_shardings=replicated(mesh))(key)

"""The device mesh: batches are split over it, and everything else is replicated."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from cifar_jax.errors import InputError

DATA_AXIS = 'data'


def make_mesh(num_devices: int = 0) -> Mesh:
  """A mesh of the devices of all processes in a row, along the axis `data`.

  Args:
    num_devices: number of devices to use; 0 for all.

  Raises:
    InputError: there are fewer devices, or a process would have none.
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
      'processes without a device; start fewer processes'
    )
  # `Mesh` keeps the automatic axis type, where `jax.make_mesh` defaults to the explicit one.
  return Mesh(np.array(used), (DATA_AXIS,))


def why_none() -> str:
  """Why JAX can start no device, in a line; empty if it can."""
  try:
    jax.devices()
  except Exception as error:
    return ' '.join(str(error).split())[:200] or 'it is not installed'
  return ''


def check_batch_size(batch_size: int, mesh: Mesh, num_parts: int = 1) -> None:
  """Raises InputError if the parts of a batch do not divide over the devices of the mesh."""
  if batch_size < 1 or batch_size % (mesh.size * num_parts):
    parts = f' times train.accumulation, {num_parts}' if num_parts > 1 else ''
    raise InputError(
      f'train.batch_size is {batch_size}; it must be a positive multiple of the number of '
      f'devices, {mesh.size}{parts}'
    )


def batch_sharding(mesh: Mesh) -> NamedSharding:
  """The sharding of an array whose first axis is the global batch."""
  return NamedSharding(mesh, PartitionSpec(DATA_AXIS))


def replicated_sharding(mesh: Mesh) -> NamedSharding:
  """The sharding of an array of which each device has a copy."""
  return NamedSharding(mesh, PartitionSpec())


def replicate(tree: Any, mesh: Mesh) -> Any:
  """Copies a tree of host arrays to all devices of the mesh.

  Args:
    tree: arrays or scalars, the same in every process.
    mesh: the devices.

  Returns:
    The tree with replicated JAX arrays of the same shapes and dtypes.
  """

  def copy_to_devices(leaf: Any) -> jax.Array:
    array = np.asarray(leaf)
    return jax.make_array_from_callback(
      array.shape, replicated_sharding(mesh), lambda index: array[index]
    )

  return jax.tree.map(copy_to_devices, tree)


def replicate_key(key: jax.Array, mesh: Mesh) -> jax.Array:
  """Copies a typed key, scalar or `[seeds]`, the same in every process, to all devices."""
  # `device_put` copies only to the devices of this process, and a key has no numpy form.
  return jax.jit(lambda keys: keys, out_shardings=replicated_sharding(mesh))(key)


def wait_on_cpu(result: Any) -> None:
  """On CPUs, waits until a compiled program has computed its result.

  Call it after each program that the devices compute together, such as a step or an evaluation.

  On CPUs, too, the call of a compiled program returns at once. Without this wait, dozens of steps
  of several seconds each would be pending when a signal comes. Also, several programs at a time on
  several virtual devices can take each other's threads and wait for one another until XLA ends the
  process.

  Args:
    result: any output of the program, a tree of arrays of any shape.
  """
  if jax.default_backend() == 'cpu':
    jax.block_until_ready(result)


def jit_in_turn(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
  """`jax.jit` with `wait_on_cpu` after each call.

  Args:
    function: to be compiled.
    **options: of `jax.jit`.
  """
  program = jax.jit(function, **options)

  @functools.wraps(function)
  def compute(*arguments: Any) -> Any:
    result = program(*arguments)
    wait_on_cpu(result)
    return result

  return compute


# XLA's CPU compiler removes barriers by this pass before it fuses. What stands behind a barrier
# (`layers.compute_once`, `remat`) would then be computed again and again. The compilers of other
# platforms keep barriers.
KEEP_BARRIERS = {'xla_disable_hlo_passes': 'cse_barrier_expander'}


def jit_step(step: Callable[..., Any], mesh: Mesh) -> Callable[..., Any]:
  """The jitted form of a training or evaluation step. Its caller waits, by `wait_on_cpu`.

  Args:
    step: a pure function; its first argument, the state, is donated.
    mesh: the devices; all outputs are replicated over it.
  """

  # `partial` has no name of its own; profiles show the name.
  @functools.wraps(step.func if isinstance(step, functools.partial) else step)
  def on_mesh(*arguments: Any) -> Any:
    # So that layers know the mesh, over which foreign functions must be split by hand.
    with jax.sharding.use_abstract_mesh(mesh.abstract_mesh):
      return step(*arguments)

  return jax.jit(
    on_mesh,
    donate_argnums=0,
    out_shardings=replicated_sharding(mesh),
    compiler_options=compiler_options(mesh.devices.flat[0].platform),
  )


def compiler_options(platform: str) -> dict[str, str] | None:
  """XLA's options to compile a step with, on devices of a platform (`cpu`, `gpu`, `tpu`)."""
  return KEEP_BARRIERS if platform == 'cpu' else None

"""Reads the arrays of checkpoints, which anyone may have written, after a look at their shapes.

Checksums show damage and no intent: who changes a checkpoint can write its checksums too.
TensorStore makes an array as large as its metadata say, and Orbax raises exceptions of any kind.
"""

import contextlib
import math
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from cifar_jax.errors import InputError, ShortageError, shortage
from cifar_jax.runs.contents import (
  Description,
  are,
  is_amount,
  is_count,
  is_measure,
  is_text,
  wrong_value,
)
from cifar_jax.runtime import memory

_STATE = 'state'  # the folder of the arrays in a checkpoint
Fields = dict[str, Any]  # of a state, by name: trees of dictionaries


def _is_commit(value: Any) -> bool:
  return value is None or is_text(value)


def _are_three(check: Callable[[Any], bool]) -> Callable[[Any], bool]:
  return lambda values: are(check)(values) and len(values) == 3


# What all readers rely on. Tests and the first versions leave keys out.
_METRICS: Description = {'accuracy': is_measure, 'is_best?': lambda value: isinstance(value, bool)}
_RUN_INFO: Description = {
  'step?': is_count,
  'seconds?': is_amount,
  'records?': is_count,
  'schedule_start?': is_count,
  'best?': {'step': is_count, 'accuracy': is_measure},
  'skipped?': are(is_count, at_least=0),
  'commits?': are(_is_commit, at_least=0),
  **dict.fromkeys(('codes?', 'own_nets?'), are(is_text, at_least=0)),
  'hardware?': is_text,
  'config?': {},
  'software?': {},
  'random?': {},
  'init?': {'source': is_text, 'sha256': is_text},
  'data?': {
    **dict.fromkeys(('images', 'labels_crc32', 'images_crc32?'), _are_three(is_count)),
    **dict.fromkeys(('mean', 'std'), _are_three(is_measure)),
    'class_names?': are(is_text),
    'image_shape?': _are_three(is_count),
  },
}


@contextlib.contextmanager
def checked(step: int | None = None) -> Iterator[None]:
  """Within the block a checkpoint is read, or what is known of all.

  Args:
    step: of the checkpoint; None for all.

  Raises:
    InputError: another run, model or version of this program wrote it, or someone changed it. It is
      not damaged, because only intact checkpoints are read.
  """
  try:
    yield
  except (InputError, ShortageError, jax.errors.JaxRuntimeError):
    raise  # the last of a device, or of a process that died meanwhile
  except Exception as error:
    if shortage(error):
      raise
    which = 'a checkpoint' if step is None else f'checkpoint {step}'
    raise InputError(
      f'{which} is intact, but does not fit this model as this version builds it '
      f'({" ".join(str(error).split())[:200]}); use the version that wrote it'
    ) from error


def check_metrics(metrics: Any) -> None:
  """Raises ValueError unless the metrics of a checkpoint are what is saved with it."""
  _check('metrics', metrics, _METRICS)


def check_run_info(run_info: Any) -> None:
  """Raises ValueError unless the `run_info` of a checkpoint has values of the right kinds."""
  _check('run', run_info, _RUN_INFO)


def _check(item: str, value: Any, description: Description) -> None:
  if wrong := wrong_value(value, description):
    raise ValueError(f'in its {item}, {wrong} is missing or wrong')


def shapes(folder: pathlib.Path) -> Fields:
  """The shapes and dtypes of what a state was saved with, without reading it.

  Args:
    folder: of the checkpoint.

  Returns:
    The fields of the state, with a `jax.ShapeDtypeStruct` for each array.

  Raises:
    ValueError: an array is stored in pieces that are larger than itself, which no version writes.
      To read a piece takes its size in memory, although its file may be small.
    Exception: anything that Orbax raises for a folder that it has not written.
  """
  saved = ocp.PyTreeCheckpointHandler().metadata(folder / _STATE).tree
  return {name: jax.tree.map(_shape, tree) for name, tree in saved.items()}


def _shape(array: Any) -> jax.ShapeDtypeStruct:
  piece = array.storage.chunk_shape if array.storage else None
  if piece and math.prod(piece) > max(1, math.prod(array.shape)):
    raise ValueError(f'the array {array.name} of {list(array.shape)} has a piece of {list(piece)}')
  return jax.ShapeDtypeStruct(array.shape, array.dtype)


def check_fit(fields: Fields) -> None:
  """Raises ShortageError if arrays, of the given shapes and dtypes, are too large for the memory.

  The size of their files says nothing: zeros are compressed to a thousandth.
  """
  leaves = jax.tree.leaves(fields)
  num_bytes = sum(math.prod(leaf.shape) * np.dtype(leaf.dtype).itemsize for leaf in leaves)
  memory.check_arrays_fit('the arrays of the checkpoint', num_bytes)


def read(folder: pathlib.Path, choose: Callable[[Fields], Fields]) -> Fields:
  """Reads a part of a state as it was saved, whatever model it is of.

  Args:
    folder: of the checkpoint.
    choose: returns those of the `shapes` that are to be read; raises InputError if one is not what
      it should be.

  Returns:
    The same fields with NumPy arrays.

  Raises:
    ShortageError: the arrays do not fit in memory.
    Exception: as for `shapes`.
  """
  chosen = choose(shapes(folder))
  check_fit(chosen)
  to_numpy = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), chosen)
  return ocp.PyTreeCheckpointHandler().restore(
    folder / _STATE,
    args=ocp.args.PyTreeRestore(chosen, restore_args=to_numpy, partial_restore=True),
  )

"""safetensors files: named arrays and nothing that runs, unlike a pickle."""

import os
import pathlib
from collections.abc import Mapping

import numpy as np
import safetensors
import safetensors.numpy

from cifar_jax.errors import InputError


def read(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
  """The arrays of a file by name, of the shapes `[...]` and dtypes that it has.

  Raises:
    InputError: it is not there, is cut short or is of another kind.
  """
  if not pathlib.Path(path).is_file():
    raise InputError(f'no file {path}')
  try:
    return safetensors.numpy.load_file(path)
  except (safetensors.SafetensorError, OSError, TypeError, KeyError, ValueError) as error:
    told = ' '.join(str(error).split())
    raise InputError(f'{path} is no whole safetensors file ({told})') from error


def write(
  path: pathlib.Path, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]
) -> None:
  """Writes a file, whole or not at all, in place of what is there.

  Args:
    path: of the file.
    arrays: by name, of any shape `[...]`.
    metadata: what else its header says.

  Raises:
    InputError: it cannot be written there.
  """
  # The library writes an array's memory as it lies, so that a transposed one would be jumbled.
  contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
  part = path.with_name(f'.{path.name}.part')
  try:
    path.parent.mkdir(parents=True, exist_ok=True)
    part.write_bytes(safetensors.numpy.save(contiguous, dict(metadata)))
    part.replace(path)
  except OSError as error:
    raise InputError(f'cannot write {path}: {error.strerror}') from error

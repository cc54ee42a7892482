"""Reads files of named arrays, and writes them as safetensors. No code in a file is run."""

import os
import pathlib
from collections.abc import Mapping

import numpy as np
import safetensors.numpy

from cifar_jax import output_files
from cifar_jax.convert import torch_file
from cifar_jax.errors import InputError


def read(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
  """Returns the arrays of a file by name, each of the shape `[...]` and dtype it has there.

  Raises:
    InputError: there is no such file, it is cut short, or it is of another kind.
  """
  if not pathlib.Path(path).is_file():
    raise InputError(f'no file {path}')
  try:
    if torch_file.is_torch_file(path):
      return torch_file.read(path)
    return safetensors.numpy.load_file(path)
  except InputError:
    raise
  except (safetensors.SafetensorError, OSError, TypeError, KeyError, ValueError) as error:
    reason = ' '.join(str(error).split())
    raise InputError(f'{path} is not a complete safetensors file ({reason})') from error


def metadata(path: str | os.PathLike[str]) -> dict[str, str]:
  """Returns the further entries of a safetensors file's header; `{}` for other files."""
  try:
    with safetensors.safe_open(path, 'numpy') as file:
      return dict(file.metadata() or {})
  except (safetensors.SafetensorError, OSError):  # `read` says what is wrong
    return {}


def write(
  path: pathlib.Path, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]
) -> None:
  """Writes a file, or replaces one, so that it is complete or unchanged.

  Args:
    path: of the file; its folder is made if there is none.
    arrays: by name, of any shapes `[...]`.
    metadata: further entries of the file's header.

  Raises:
    InputError: the file cannot be written.
  """
  # The library writes an array's memory in its order, so a transposed array would be jumbled.
  contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
  with output_files.replacing(path) as temporary:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary.write_bytes(safetensors.numpy.save(contiguous, dict(metadata)))

"""Reads the tensors of a PyTorch checkpoint (.pth, .pt) without PyTorch, and without running it.

Since version 1.6 `torch.save` writes a zip archive: `NAME/data.pkl`, a pickle in which each tensor
refers to a storage by its number, and `NAME/data/NUMBER`, the bytes of that storage. Of the pickle
only dictionaries, lists and tensors are made. Any other object in it, such as an optimizer's
settings, is an empty dictionary, whatever it would have called.
"""

import dataclasses
import math
import os
import pathlib
import zipfile
from typing import Any

import jax.numpy as jnp
import numpy as np

from cifar_jax.errors import InputError
from cifar_jax.input_files import refuse_pipe
from cifar_jax.pickle_budget import MOST_AXES
from cifar_jax.pickle_machine import Machine

SUFFIXES = ('.pth', '.pt', '.th', '.tar', '.ckpt', '.bin')
# Keys under which training scripts save a state_dict, in the order in which they are looked for.
STATE_DICTS = ('state_dict', 'model_state_dict', 'model', 'net', 'network', 'module', 'params')
REMEDY = (
  'load it in PyTorch and write it anew: safetensors.torch.save_file(torch.load(FILE, '
  "weights_only=True), 'weights.safetensors')"
)
_DTYPES: dict[str, Any] = {
  'FloatStorage': np.float32,
  'DoubleStorage': np.float64,
  'HalfStorage': np.float16,
  'BFloat16Storage': jnp.bfloat16,
  'LongStorage': np.int64,
  'IntStorage': np.int32,
  'ShortStorage': np.int16,
  'CharStorage': np.int8,
  'ByteStorage': np.uint8,
  'BoolStorage': np.bool_,
}
# Tensors that share a storage can together be larger than the file, but not by much.
_MOST_TIMES = 4


@dataclasses.dataclass(frozen=True)
class _Name:
  """What stands for a function or class that the pickle names; it is never called."""

  module: str
  name: str


@dataclasses.dataclass(frozen=True)
class _Storage:
  """The bytes that tensors are parts of.

  Attributes:
    dtype: of its elements.
    key: the end of its name in the archive.
  """

  dtype: np.dtype
  key: str


@dataclasses.dataclass(frozen=True)
class _Tensor:
  """What the pickle says of a tensor; offset and strides count elements of its storage."""

  storage: _Storage
  offset: int
  shape: tuple[int, ...]
  strides: tuple[int, ...]

  @property
  def nbytes(self) -> int:
    """Bytes of the elements, each once."""
    return math.prod(self.shape) * self.storage.dtype.itemsize


class _Tensors:
  """The vocabulary of PyTorch's checkpoints."""

  def look_up(self, module: str, name: str) -> _Name:
    """Returns the name, which is not looked up."""
    return _Name(module, name)

  def call(self, function: Any, arguments: tuple[Any, ...]) -> Any:
    """Returns a tensor, or a dictionary in the place of any other object."""
    if function == _Name('torch._utils', '_rebuild_tensor_v2'):
      storage, offset, shape, strides, *_ = arguments
      if max(len(shape), len(strides)) > MOST_AXES:
        raise ValueError('too many axes')
      if not all(type(number) is int and number >= 0 for number in (offset, *shape, *strides)):
        raise ValueError('no shape of a tensor')
      return _Tensor(storage, offset, tuple(shape), tuple(strides))
    if function == _Name('torch._utils', '_rebuild_parameter'):
      return arguments[0]
    return {}

  def set_state(self, value: Any, state: Any) -> None:
    """Passes over the state of an object, such as the versions in a state_dict."""


def _storage(machine: Machine) -> _Storage:
  """The storage of the uppermost value, its identity: `('storage', class, key, device, size)`."""
  (identity,) = machine.pop(1)
  machine.budget.charge_for(identity)
  kind, storage_class, key, *_ = identity
  if kind != 'storage' or not (isinstance(key, str) and key.isalnum()):
    raise ValueError('no storage')
  return _Storage(np.dtype(_DTYPES[storage_class.name]), key)


_OPERATIONS = {
  b'Q': _storage,  # a persistent identity
  b'\x81': Machine.call,  # a new object of a class
}


def _is_key(key: Any) -> bool:
  is_small = isinstance(key, float | None) or (isinstance(key, int) and abs(key) < 1 << 63)
  return isinstance(key, bytes | str) or is_small


def is_torch_file(path: str | os.PathLike[str]) -> bool:
  """Whether a file is to be read as a checkpoint of PyTorch, by its name or its beginning."""
  path = pathlib.Path(path)
  with path.open('rb') as file:
    return path.suffix in SUFFIXES or file.read(4) == b'PK\x03\x04'


def read(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
  """Returns the tensors of the state_dict in a checkpoint by name, each of its shape `[...]`.

  The state_dict is what was saved, or the value of one of its keys `STATE_DICTS`.

  Raises:
    InputError: the file is damaged, is of a version before 1.6, or holds no state_dict.
  """
  refuse_pipe(path)
  if not zipfile.is_zipfile(path):
    raise InputError(f'{path} is no checkpoint that PyTorch 1.6 or later wrote: {REMEDY}')
  try:
    with zipfile.ZipFile(path) as archive:
      if any(info.compress_type != zipfile.ZIP_STORED for info in archive.infolist()):
        raise InputError(f'is compressed, as PyTorch does not write it: {REMEDY}')
      folder = _folder(archive)
      pickle = archive.read(f'{folder}/data.pkl')
      tensors = _find_state_dict(Machine(pickle, _Tensors(), _OPERATIONS, _is_key).run())
      if sum(tensor.nbytes for tensor in tensors.values()) > _MOST_TIMES * os.path.getsize(path):
        raise InputError('has tensors that are larger than the file')
      return _read_arrays(archive, folder, tensors)
  except InputError as error:
    raise InputError(f'{path} {error}') from error
  except Exception as error:  # a damaged file can raise anything
    raise InputError(f'{path} is damaged ({type(error).__name__})') from error


def _folder(archive: zipfile.ZipFile) -> str:
  """The folder in an archive that holds everything; raises InputError if there is none."""
  pickles = [name for name in archive.namelist() if name.endswith('/data.pkl')]
  if len(pickles) != 1:
    raise InputError(f'is an archive, but no checkpoint of PyTorch: {REMEDY}')
  return str(pathlib.PurePosixPath(pickles[0]).parent)


def _find_state_dict(content: Any) -> dict[str, _Tensor]:
  """The tensors of a state_dict by name; raises InputError if there is none, or several."""
  places = {'': content}
  if isinstance(content, dict):
    places |= {key: content[key] for key in STATE_DICTS if key in content}
  for value in places.values():
    if isinstance(value, dict):
      tensors = {
        key: item
        for key, item in value.items()
        if isinstance(key, str) and isinstance(item, _Tensor)
      }
      # Beside the state_dict a script may save the best accuracy, as a tensor of its own.
      if any(tensor.shape for tensor in tensors.values()):
        return tensors
  raise InputError(
    'holds no state_dict, alone or under one of the keys '
    f'{", ".join(STATE_DICTS)}: save model.state_dict()'
  )


def _read_arrays(
  archive: zipfile.ZipFile, folder: str, tensors: dict[str, _Tensor]
) -> dict[str, np.ndarray]:
  """The arrays of tensors, each a copy of its part of a storage."""
  order = f'{folder}/byteorder'  # which early versions do not write
  is_big = order in archive.namelist() and archive.read(order) == b'big'
  storages: dict[_Storage, np.ndarray] = {}
  arrays = {}
  for name, tensor in tensors.items():
    storage = tensor.storage
    if storage not in storages:
      data = np.frombuffer(archive.read(f'{folder}/data/{storage.key}'), storage.dtype)
      storages[storage] = data.byteswap() if is_big else data
    arrays[name] = _part(storages[storage], tensor)
  return arrays


def _part(storage: np.ndarray, tensor: _Tensor) -> np.ndarray:
  """A copy of the array of a tensor; raises ValueError if it is not within its storage."""
  if 0 in tensor.shape:
    return np.zeros(tensor.shape, storage.dtype)
  # The stride of an axis of length 1 means nothing, and may be any number.
  strides = [
    stride if length > 1 else 0 for length, stride in zip(tensor.shape, tensor.strides, strict=True)
  ]
  last = sum((length - 1) * stride for length, stride in zip(tensor.shape, strides, strict=True))
  if tensor.offset + last >= storage.size:
    raise ValueError('a tensor that is not within its storage')
  in_bytes = [stride * storage.itemsize for stride in strides]
  part = storage[tensor.offset :]
  return np.lib.stride_tricks.as_strided(part, tensor.shape, in_bytes, writeable=False).copy()

"""Files as `torch.save` writes them, made without PyTorch: a pickle of tensors, and their bytes."""

import pathlib
import struct
import zipfile
from collections.abc import Mapping, Sequence

import numpy as np

STORAGES = {'f4': 'FloatStorage', 'f8': 'DoubleStorage', 'f2': 'HalfStorage', 'i8': 'LongStorage'}


def text(value: str) -> bytes:
  """The operation that puts a text on the stack."""
  return b'X' + struct.pack('<I', len(value.encode())) + value.encode()


def numbers(values: Sequence[int]) -> bytes:
  """The operations that put a tuple of numbers on the stack."""
  return b'(' + b''.join(b'L%dL\n' % value for value in values) + b't'


def tensor(
  key: str, storage: str, shape: Sequence[int], strides: Sequence[int], offset: int = 0
) -> bytes:
  """The operations that put a tensor on the stack.

  Args:
    key: number of the storage, as a text.
    storage: its class, such as `FloatStorage`.
    shape: lengths of the tensor.
    strides: elements between two neighbours, for each axis.
    offset: of the first element in the storage.
  """
  identity = text('storage') + f'ctorch\n{storage}\n'.encode() + text(key) + text('cpu') + b'K\x01'
  return (
    b'ctorch._utils\n_rebuild_tensor_v2\n((' + identity + b'tQ' + numbers([offset])[1:-1]
    + numbers(shape) + numbers(strides) + b'\x89ccollections\nOrderedDict\n)RtR'
  )  # fmt: skip


def dictionary(items: Mapping[str, bytes]) -> bytes:
  """The operations that put a dictionary on the stack, of the operations of its values."""
  pairs = b''.join(text(name) + value for name, value in items.items())
  return b'ccollections\nOrderedDict\n)R(' + pairs + b'u'


def write(
  path: pathlib.Path,
  content: bytes,
  storages: Mapping[str, bytes],
  compression: int = zipfile.ZIP_STORED,
) -> pathlib.Path:
  """Writes an archive.

  Args:
    path: of the file.
    content: the operations that put what was saved on the stack.
    storages: bytes by their key.
    compression: of the archive; PyTorch writes none.
  """
  with zipfile.ZipFile(path, 'w', compression) as archive:
    archive.writestr('net/data.pkl', b'\x80\x02' + content + b'.')
    archive.writestr('net/byteorder', b'little')
    for key, data in storages.items():
      archive.writestr(f'net/data/{key}', data)
  return path


def write_state_dict(path: pathlib.Path, arrays: Mapping[str, np.ndarray]) -> pathlib.Path:
  """Writes a state_dict of contiguous arrays, each with a storage of its own."""
  items, storages = {}, {}
  for i, (name, array) in enumerate(arrays.items()):
    strides = [stride // array.itemsize for stride in np.ascontiguousarray(array).strides]
    kind = STORAGES[array.dtype.str[1:]]
    items[name] = tensor(str(i), kind, array.shape, strides[: array.ndim])
    storages[str(i)] = array.tobytes()
  return write(path, dictionary(items), storages)

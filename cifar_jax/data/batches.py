"""The two file formats in which CIFAR is published: binary records, and Python pickles.

Both store an image channel by channel: 1,024 red bytes, 1,024 green, 1,024 blue, each row by row.
"""

import numpy as np

from cifar_jax.data.dataset import Split
from cifar_jax.data.pickled import unpickle
from cifar_jax.data.pickled_arrays import text
from cifar_jax.errors import InputError

_IMAGE_BYTES = 3 * 32 * 32


def read_binary(name: str, content: bytes, label_bytes: int) -> Split:
  """Reads a file of the binary version.

  Args:
    name: the file's name, for messages.
    content: the file's content: records of `label_bytes` label bytes and 3,072 pixel bytes.
    label_bytes: 1 for CIFAR-10; 2 for CIFAR-100, whose coarse label comes first and is not used.

  Returns:
    Images, uint8 `[n, 32, 32, 3]`, and labels, int32 `[n]`.

  Raises:
    InputError: the file does not end with a whole record.
  """
  record_bytes = label_bytes + _IMAGE_BYTES
  if len(content) % record_bytes:
    raise InputError(
      f'{name} is cut off: {len(content):,} bytes are not a multiple of its {record_bytes}-byte '
      'records; fetch it again'
    )
  records = np.frombuffer(content, np.uint8).reshape(-1, record_bytes)
  return Split(_images(records[:, label_bytes:]), records[:, label_bytes - 1].astype(np.int32))


def read_pickle(name: str, content: bytes, label_key: str) -> Split:
  """Reads a file of the Python version.

  Args:
    name: the file's name, for messages.
    content: the file's content: a pickled dictionary with `data`, uint8 `[n, 3072]`, and labels.
    label_key: the key of the labels: 'labels' for CIFAR-10, 'fine_labels' for CIFAR-100. They are a
      list, a tuple or an array of integers, `[n]` or `[n, 1]`.

  Returns:
    Images, uint8 `[n, 32, 32, 3]`, and labels, int32 `[n]`.

  Raises:
    InputError: the file is damaged, is no such dictionary, or refers to anything but NumPy arrays.
  """
  batch = unpickle(name, content)
  data, labels = batch.get('data'), batch.get(label_key)
  if not (isinstance(data, np.ndarray) and data.dtype == np.uint8 and data.ndim == 2):
    raise InputError(f"{name} has no uint8 [n, 3072] array under 'data'; fetch it again")
  if data.shape[1] != _IMAGE_BYTES:
    raise InputError(f'{name} has {data.shape[1]} bytes per image, not {_IMAGE_BYTES}')
  if isinstance(labels, np.ndarray) and labels.shape[1:] in ((), (1,)):
    labels = labels.ravel().tolist()
  if not (isinstance(labels, list) and all(isinstance(label, int) for label in labels)):
    raise InputError(f'{name} has no list of integers under {label_key!r}; fetch it again')
  if len(labels) != len(data):
    raise InputError(f'{name} has {len(data)} images but {len(labels)} labels; fetch it again')
  # Python's integers may not fit into int32. Clipped ones are still refused as out of range.
  return Split(_images(data), np.clip(labels, -1, 2**31 - 1).astype(np.int32))


def read_text_names(name: str, content: bytes) -> tuple[str, ...]:
  """Returns the class names of the binary version, one per line of the content."""
  del name  # for the signature of `Form.read_names`: no text is wrong, so there is no message
  return tuple(content.decode(errors='replace').split())


def read_pickled_names(name: str, content: bytes, names_key: str) -> tuple[str, ...]:
  """Returns the class names of the Python version.

  Args:
    name: the file's name, for messages.
    content: the file's content: a pickled dictionary.
    names_key: the key of the list of names in it.

  Raises:
    InputError: the file is damaged, is no such dictionary, or refers to anything but NumPy arrays.
  """
  names = unpickle(name, content).get(names_key, [])
  if not (isinstance(names, list) and all(isinstance(entry, bytes | str) for entry in names)):
    raise InputError(f'{name} has no list of strings under {names_key!r}; fetch it again')
  if sum(map(len, names)) > len(content):  # one long name many times
    raise InputError(f'{name} has longer names than its size allows; fetch it again')
  return tuple(map(text, names))


def _images(pixels: np.ndarray) -> np.ndarray:
  """Converts pixels uint8 `[n, 3072]`, channel by channel, to images uint8 `[n, 32, 32, 3]`."""
  return np.ascontiguousarray(pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))

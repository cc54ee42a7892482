"""Prediction files: npz files that `evaluate` and `compare` write and read.

  labels        integer `[n]`, the true classes
  class_names   string `[classes]`, the name of each label
  images_hash   string, the shape of the images and the CRC-32 of their bytes; may be missing
  NAME          one array per model, under any other name: integer `[n]` predicted classes, or float
                `[n, classes]` logits

A file has `labels` and `class_names`, or none of the three: then the labels of a data set count.
"""

import dataclasses
import functools
import pathlib
import zipfile
from collections.abc import Sequence
from typing import Any

import numpy as np

from cifar_jax import output_files, paths
from cifar_jax.data.dataset import Split, check_class_names
from cifar_jax.errors import InputError
from cifar_jax.input_files import refuse_pipe
from cifar_jax.printable import is_unicode, printable

_TRUTH_KEYS = ('labels', 'class_names', 'images_hash')
# Of a file when it is unpacked: float32 logits of 100,000 images and 1,000 classes have 0.4 GB.
_MAX_BYTES = 1 << 29
_MAX_IMAGES = 2_000_000  # ImageNet has 1.3 million; zeros for any number are a small file
# A table of confusions has the square of it. The largest set of CIFAR-like images has 1,000.
MAX_CLASSES = 2000


@dataclasses.dataclass(frozen=True)
class GroundTruth:
  """The true classes that predictions are scored by.

  Attributes:
    labels: int32 `[n]`.
    class_names: the name of each label.
    images: uint8 `[n, height, width, 3]`; None if only a prediction file was read.
    images_hash: what a prediction file says of its images; '' if it does not.
  """

  labels: np.ndarray
  class_names: tuple[str, ...]
  images: np.ndarray | None = None
  images_hash: str = ''

  @functools.cached_property
  def shape_and_crc32(self) -> str:
    """The shape and CRC-32 of the images, such as `10000x32x32x3 1a2b3c4d`; '' if unknown."""
    if self.images is None:
      return self.images_hash
    return f'{"x".join(map(str, self.images.shape))} {self.split().images_crc32:08x}'

  def difference(self, other: 'GroundTruth') -> str:
    """The first of `labels`, `classes` and `images` that differs in another truth; '' if none does.

    Labels alone may agree: those of folders with equally many images of each class always do. Runs
    may have the same images in different sizes, which `differs_in_size` tells.
    """
    if not np.array_equal(self.labels, other.labels):
      return 'labels'
    if self.class_names != other.class_names:
      return 'classes'
    are_alike = self._shape == other._shape
    return 'images' if are_alike and self.shape_and_crc32 != other.shape_and_crc32 else ''

  def differs_in_size(self, other: 'GroundTruth') -> bool:
    """Whether both know the size of their images, and it differs: they cannot be compared."""
    return bool(self._shape and other._shape) and self._shape != other._shape

  @property
  def _shape(self) -> str:
    return self.shape_and_crc32.partition(' ')[0]

  def split(self) -> Split:
    """Returns the images with their labels, where the images are known."""
    assert self.images is not None
    return Split(self.images, self.labels)


@dataclasses.dataclass(frozen=True)
class Predictions:
  """The predictions of one model for each image.

  Attributes:
    name: name of the model.
    predicted: int32 `[n]`, the predicted classes.
    logits: float32 `[n, classes]`, whose softmax is the probabilities; None if only the classes are
      known.
  """

  name: str
  predicted: np.ndarray
  logits: np.ndarray | None = None

  @classmethod
  def of_logits(cls, name: str, logits: np.ndarray) -> 'Predictions':
    """Makes the predictions of a model from its logits, float `[n, classes]`."""
    return cls(name, np.argmax(logits, axis=1).astype(np.int32), logits.astype(np.float32))


def write_predictions(
  path: pathlib.Path,
  truth: GroundTruth,
  predictions: Predictions,
  outdated: Sequence[pathlib.Path] = (),
) -> None:
  """Writes a prediction file of one model, completely or not at all.

  Args:
    path: of the file.
    truth: labels of the images.
    predictions: of the model.
    outdated: files made of earlier predictions.

  Raises:
    InputError: the file cannot be written.
  """
  values = predictions.predicted if predictions.logits is None else predictions.logits
  arrays: dict[str, Any] = {
    'labels': truth.labels,
    'class_names': np.array(truth.class_names),
    'images_hash': np.array(truth.shape_and_crc32),
  }
  name = predictions.name
  arrays[f'{name} (model)' if name in arrays else name] = values
  with output_files.replacing(path, outdated) as temporary, temporary.open('wb') as file:
    np.savez_compressed(file, **arrays)


def read_predictions(file: str) -> tuple[list[Predictions], GroundTruth | None]:
  """Reads a prediction file.

  Args:
    file: `FILE.npz`, or `FILE.npz:NAME` for one of its models.

  Returns:
    The predictions of each model, and the file's ground truth, without images; None if the file
    has none.

  Raises:
    InputError: there is no such file or model, or the file is not in the form of this module.
  """
  path, _, name = file.partition('.npz:')
  path = str(paths.local(f'{path}.npz' if name else path))
  arrays = _load(path)
  truth = _ground_truth(path, arrays)
  names = [key for key in arrays if key not in _TRUTH_KEYS]
  if not names:
    raise InputError(f'{path} has no predictions; it holds {", ".join(arrays) or "nothing"}')
  if wrong := [name for name in names if printable(name) != name]:
    raise InputError(f'{path}: the name {wrong[0]!r} has control characters')
  if name and name not in names:
    raise InputError(f'{path} has no predictions of {name}; it has {", ".join(names)}')
  selected = [name] if name else names
  models = [_predictions(path, key, arrays[key]) for key in selected]
  for model in models:
    if truth is not None:
      check_predictions(model, truth)
  return models, truth


def check_predictions(predictions: Predictions, truth: GroundTruth) -> None:
  """Raises InputError if the number of images or classes differs from that of the ground truth."""
  name, num_classes = predictions.name, len(truth.class_names)
  if len(predictions.predicted) != len(truth.labels):
    raise InputError(
      f'{name} predicts {len(predictions.predicted)} images, but there are {len(truth.labels)} '
      'labels; give the split that was predicted'
    )
  highest = int(predictions.predicted.max(initial=0))
  classes = highest + 1 if predictions.logits is None else predictions.logits.shape[1]
  if classes > num_classes or (predictions.logits is not None and classes != num_classes):
    raise InputError(f'{name} predicts {classes} classes, but there are {num_classes}')


def _load(path: str) -> dict[str, np.ndarray]:
  refuse_pipe(path)
  try:
    with open(path, 'rb') as file:
      if zipfile.is_zipfile(file):
        size = sum(member.file_size for member in zipfile.ZipFile(file).infolist())
        if size > _MAX_BYTES:
          raise InputError(f'{path} unpacks to {size:,} bytes; predictions have at most 512 MiB')
      file.seek(0)
      loaded = np.load(file, allow_pickle=False)  # a pickle can run code
      if isinstance(loaded, np.ndarray):
        raise InputError(f'{path} holds a single array; predictions come in an npz file')
      arrays = {key: loaded[key] for key in loaded.files}
    # NumPy returns the bytes of a member that is no array.
    if others := [key for key, array in arrays.items() if not isinstance(array, np.ndarray)]:
      raise InputError(f'{path} has {others[0]}, which is no array')
    for key, array in arrays.items():
      if array.ndim and len(array) > _MAX_IMAGES:
        raise InputError(f'{path}: {key} is of {len(array):,} images, more than {_MAX_IMAGES:,}')
    return arrays
  except InputError:
    raise
  except OSError as error:
    raise InputError(f'cannot read {path}: {error.strerror or "it is damaged"}') from error
  except Exception as error:  # a damaged or encrypted file can raise anything
    raise InputError(f'{path} is not an npz file of plain arrays') from error


def _ground_truth(path: str, arrays: dict[str, np.ndarray]) -> GroundTruth | None:
  keys = [key for key in _TRUTH_KEYS if key in arrays]
  if not keys:
    return None
  if not {'labels', 'class_names'} <= set(keys):
    raise InputError(f'{path} has {keys[0]} alone; it needs both labels and class_names')
  labels, names = arrays['labels'], arrays['class_names']
  kinds, dimensions = labels.dtype.kind + names.dtype.kind, (labels.ndim, names.ndim)
  if kinds not in ('iU', 'uU') or dimensions != (1, 1):
    raise InputError(f'{path}: labels must be integers [n] and class_names strings [classes]')
  images_hash = arrays.get('images_hash', np.array(''))
  if images_hash.dtype.kind != 'U' or images_hash.ndim:
    raise InputError(f'{path}: images_hash must be a string: the shape and the hash of the images')
  for key, texts in (('class_names', names), ('images_hash', images_hash)):
    if not is_unicode(texts):
      raise InputError(f'{path}: {key} has a character that is not one of Unicode')
  if len(names) > MAX_CLASSES:
    raise InputError(
      f'{path} has {len(names):,} class_names; the table of confusions has at most {MAX_CLASSES:,}'
    )
  if not len(labels) or labels.min() < 0 or labels.max() >= len(names):
    raise InputError(f'{path}: there must be labels, and all of them in 0..{len(names) - 1}')
  check_class_names(path, names.tolist())
  return GroundTruth(labels.astype(np.int32), tuple(names.tolist()), None, str(images_hash))


def _predictions(path: str, name: str, values: np.ndarray) -> Predictions:
  """Makes the predictions of one model from its array in a file."""
  if values.dtype.kind in 'iu' and values.ndim == 1 and len(values):
    if values.min() < 0 or values.max() > np.iinfo(np.int32).max:
      raise InputError(f'{path}: {name} predicts a class that is negative or too large')
    return Predictions(name, values.astype(np.int32))
  if values.dtype.kind == 'f' and values.ndim == 2 and values.size:
    with np.errstate(over='ignore'):
      are_finite = np.isfinite(values.astype(np.float32)).all()  # too large ones become infinite
    if not are_finite:
      raise InputError(f'{path}: the logits of {name} are not all finite in float32')
    return Predictions.of_logits(name, values)
  raise InputError(
    f'{path}: {name} is {values.dtype} {list(values.shape)}; it must be integer [n] classes or '
    'float [n, classes] logits'
  )

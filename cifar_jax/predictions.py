"""Predictions on disk: an npz file that `evaluate` and `compare` write and read.

labels       integer `[n]`, the true classes           } both or neither: without them the
class_names  string `[classes]`, in the labels' order  } data set at hand is asked
NAME         of each model one array, under any other name: the integer `[n]` classes that it
             predicts, or its float `[n, classes]` logits
"""

import dataclasses
import io
import pathlib
import zipfile
import zlib
from typing import Any

import numpy as np

from cifar_jax.errors import InputError

_RESERVED = ('labels', 'class_names')


@dataclasses.dataclass(frozen=True)
class Truth:
  """What predictions are held against.

  Attributes:
    labels: int32 `[n]`.
    class_names: the name of each label.
    images: uint8 `[n, height, width, 3]`; None where only a file of predictions is at hand.
  """

  labels: np.ndarray
  class_names: tuple[str, ...]
  images: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class Predictions:
  """What one model says of each image.

  Attributes:
    name: of the model.
    predicted: int32 `[n]`, the classes.
    logits: float32 `[n, classes]`, whose softmax is the probabilities; None where only the
      classes are known.
  """

  name: str
  predicted: np.ndarray
  logits: np.ndarray | None = None

  @classmethod
  def of_logits(cls, name: str, logits: np.ndarray) -> 'Predictions':
    """The predictions of a model that gives logits, float `[images, classes]`."""
    return cls(name, np.argmax(logits, axis=1).astype(np.int32), logits.astype(np.float32))


def write(path: pathlib.Path, truth: Truth, predictions: Predictions) -> None:
  """Writes a file, whole or not at all.

  Raises:
    InputError: it cannot be written.
  """
  values = predictions.predicted if predictions.logits is None else predictions.logits
  arrays: dict[str, Any] = {
    'labels': truth.labels,
    'class_names': np.array(truth.class_names),
    predictions.name: values,
  }
  content = io.BytesIO()
  np.savez_compressed(content, **arrays)
  unfinished = path.with_name(path.name + '.tmp')
  try:
    unfinished.write_bytes(content.getbuffer())
    unfinished.replace(path)
  except OSError as error:
    raise InputError(f'cannot write {path}: {error.strerror}') from error


def read(file: str) -> tuple[list[Predictions], Truth | None]:
  """Reads a file.

  Args:
    file: `FILE.npz`, or `FILE.npz:NAME` for one of its models.

  Returns:
    The predictions of each model, and what the file has of the truth (no images).

  Raises:
    InputError: there is no such file or model, or it is not in the form of this module.
  """
  path, _, name = file.partition('.npz:')
  path = f'{path}.npz' if name else path
  arrays = _load(path)
  truth = _truth(path, arrays)
  models = [key for key in arrays if key not in _RESERVED]
  if not models:
    raise InputError(f'{path} has no predictions; it holds {", ".join(arrays) or "nothing"}')
  if name and name not in models:
    raise InputError(f'{path} has no predictions of {name}; it has {", ".join(models)}')
  chosen = [name] if name else models
  predictions = [_predictions(path, key, arrays[key]) for key in chosen]
  for each in predictions:
    if truth is not None:
      check(each, truth)
  return predictions, truth


def check(predictions: Predictions, truth: Truth) -> None:
  """Raises InputError unless predictions are of as many images and classes as the truth has."""
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
  try:
    loaded = np.load(path, allow_pickle=False)
    if isinstance(loaded, np.ndarray):
      raise InputError(f'{path} holds a single array; predictions come in an npz file')
    with loaded:
      return {key: loaded[key] for key in loaded.files}
  except InputError:
    raise
  except OSError as error:
    raise InputError(f'cannot read {path}: {error.strerror or "it is damaged"}') from error
  except (ValueError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
    raise InputError(f'{path} is not an npz file of plain arrays') from error


def _truth(path: str, arrays: dict[str, np.ndarray]) -> Truth | None:
  have = [key for key in _RESERVED if key in arrays]
  if not have:
    return None
  if len(have) == 1:
    raise InputError(f'{path} has {have[0]} alone; it needs both {" and ".join(_RESERVED)}')
  labels, names = arrays['labels'], arrays['class_names']
  if labels.dtype.kind not in 'iu' or labels.ndim != 1 or names.dtype.kind != 'U':
    raise InputError(f'{path}: labels are integers [n] and class_names strings [classes]')
  if not len(labels) or labels.min() < 0 or labels.max() >= len(names):
    raise InputError(f'{path}: labels are at least one, each in 0..{len(names) - 1}')
  return Truth(labels.astype(np.int32), tuple(names.tolist()))


def _predictions(path: str, name: str, values: np.ndarray) -> Predictions:
  if values.dtype.kind in 'iu' and values.ndim == 1 and len(values):
    if values.min() < 0 or values.max() > np.iinfo(np.int32).max:
      raise InputError(f'{path}: {name} predicts a class that is negative or too large')
    return Predictions(name, values.astype(np.int32))
  if values.dtype.kind == 'f' and values.ndim == 2 and values.size:
    if not np.isfinite(values).all():
      raise InputError(f'{path}: the logits of {name} are not all finite')
    return Predictions.of_logits(name, values)
  raise InputError(
    f'{path}: {name} is {values.dtype} {list(values.shape)}; it must be integer [n] classes or '
    'float [n, classes] logits'
  )

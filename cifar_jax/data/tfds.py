"""Named image sets of tensorflow-datasets, read without TensorFlow.

tensorflow-datasets needs TensorFlow only to prepare a set, if it is prepared as array_record. Of
the other formats, tfrecord needs TensorFlow for reading too, and parquet was seen to lose examples.
"""

import difflib
import importlib.util
import logging
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

import cifar_jax.data.download as download
import cifar_jax.data.pixels as pixels
from cifar_jax.data.dataset import Published, Split
from cifar_jax.errors import InputError

logger = logging.getLogger(__name__)

_OURS = ('cifar10', 'cifar100', 'shapes', 'folder')
_INSTALL = "pip install 'cifar_jax[prepare]'"
_FORMAT = 'array_record'
_CATALOG = 'https://www.tensorflow.org/datasets/catalog'
_FALLBACK_URL = 'https://storage.googleapis.com'  # for sets that do not list their downloads


def load(name: str, data_dir: str, image_size: int) -> Published:
  """Reads an image classification set, preparing it first if need be and TensorFlow is installed.

  Args:
    name: as tensorflow-datasets knows it, with '/config' if it has configurations.
    data_dir: its data directory; '' for its own default, ~/tensorflow_datasets.
    image_size: to which images are resized, in pixels, square; 0 keeps their size, which must then
      be one for all.

  Returns:
    The splits 'train' (empty if there is none) and 'test' (or else 'validation'), with images
    `[n, height, width, 3]`; grey images are repeated over the channels.

  Raises:
    InputError: the set is unknown, is not one of labelled images, cannot be prepared, or has been
      prepared in another format; or its images differ in size and `image_size` is 0.
  """
  builder = _builder(name, data_dir)
  class_names = _class_names(name, builder)
  _prepare(name, builder)
  splits = builder.info.splits
  test_name = next((split for split in ('test', 'validation') if split in splits), None)
  if test_name is None:
    raise InputError(
      f"{name} has neither a split 'test' nor 'validation', only {', '.join(splits)}"
    )
  test = _read_split(name, builder, test_name, image_size)
  if 'train' in splits:
    train = _read_split(name, builder, 'train', image_size)
  else:
    train = test.take(np.arange(0))
  return Published(class_names, train, test)


def _builder(name: str, data_dir: str) -> Any:
  import tensorflow_datasets as tfds

  try:
    return tfds.builder(name, data_dir=os.path.expanduser(data_dir) or None)
  except (ValueError, AssertionError) as error:  # the latter for a version there is not
    raise InputError(_why_no_builder(name, error)) from error
  except ModuleNotFoundError as error:
    raise InputError(f'{name} of tensorflow-datasets needs {error.name}: {_INSTALL}') from error


def _why_no_builder(name: str, error: Exception) -> str:
  import tensorflow_datasets as tfds

  known = [*_OURS, *tfds.list_builders(with_community_datasets=False)]
  base, _, config = name.partition('/')
  if config and base in known:
    known = [f'{base}/{known_config}' for known_config in tfds.builder_cls(base).builder_configs]
  if name in known:
    return f'{name} of tensorflow-datasets: {_first_line(error)}'
  if close := difflib.get_close_matches(name, known):
    return f'unknown data set {name!r}: did you mean {", ".join(close)}?'
  return f'unknown data set {name!r}: choose one of {", ".join(_OURS)} or of {_CATALOG}'


def _class_names(name: str, builder: Any) -> tuple[str, ...]:
  import tensorflow_datasets as tfds

  features = builder.info.features
  features = dict(features) if isinstance(features, tfds.features.FeaturesDict) else {}
  if not (
    isinstance(features.get('image'), tfds.features.Image)
    and isinstance(features.get('label'), tfds.features.ClassLabel)
  ):
    raise InputError(f"{name} is not a set of labelled images: it needs features 'image', 'label'")
  return tuple(features['label'].names)


def _prepare(name: str, builder: Any) -> None:
  if builder.is_prepared():
    formats = sorted(file_format.value for file_format in builder.info.available_file_formats())
    if _FORMAT not in formats:
      raise InputError(
        f'{builder.data_path} is prepared as {", ".join(formats)}, which is not read without '
        f'TensorFlow: move it away or set another data_dir, {_INSTALL}, and run again'
      )
    return
  if importlib.util.find_spec('tensorflow') is None:
    raise InputError(
      f'{name} is not prepared in {builder.data_path}, and preparing takes TensorFlow: {_INSTALL}'
    )
  # Without this tensorflow-datasets would try for more than three minutes before it gives up.
  url = next(iter(builder.url_infos or ()), _FALLBACK_URL)
  if reason := download.unreachable(url):
    raise InputError(f'{name} is not prepared, and {url} cannot be reached ({reason})')
  logger.info('Preparing %s in %s.', name, builder.data_path)
  try:
    builder.download_and_prepare(file_format=_FORMAT)
  except Exception as error:  # each set has code of its own, which can raise anything
    raise InputError(f'{name} cannot be prepared: {_first_line(error)}') from error


def _read_split(name: str, builder: Any, split: str, image_size: int) -> Split:
  source = builder.as_data_source(split)
  images = []
  labels = []
  for i in range(len(source)):
    example = source[i]
    image = _as_rgb(name, example['image'])
    images.append(pixels.resize(image[None], image_size)[0] if image_size else image)
    labels.append(example['label'])
  return Split(_stack(name, images), np.array(labels, np.int32))


def _as_rgb(name: str, image: np.ndarray) -> np.ndarray:
  """uint8 `[height, width, 1 or 3]` to uint8 `[height, width, 3]`."""
  if image.dtype != np.uint8 or image.shape[-1] not in (1, 3):
    raise InputError(
      f'{name}: images are {image.dtype} {image.shape}, not uint8 of 1 or 3 channels'
    )
  return np.broadcast_to(image, (*image.shape[:2], 3))


def _stack(name: str, images: Sequence[np.ndarray]) -> np.ndarray:
  sizes = sorted({image.shape[:2] for image in images})
  if len(sizes) > 1:
    raise InputError(f'{name} has images of {sizes[0]} to {sizes[-1]} pixels: set image_size')
  return np.stack(images)


def _first_line(error: Exception) -> str:
  text = str(error).strip().split('\n', 1)[0]
  return f'{type(error).__name__}: {text}'

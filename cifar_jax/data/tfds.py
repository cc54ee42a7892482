"""Image classification sets of tensorflow-datasets, read without TensorFlow.

tensorflow-datasets needs TensorFlow to prepare a set, but not to read one that was prepared as
array_record. Of the other formats, tfrecord needs TensorFlow for reading too, and parquet was seen
to lose examples.
"""

import contextlib
import difflib
import importlib.util
import logging
import os
import pathlib
import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from cifar_jax import input_files
from cifar_jax.config.command_line import nearest
from cifar_jax.config.dataset import DataSettings
from cifar_jax.data import download, pictures, pixels
from cifar_jax.data.dataset import Published, Split
from cifar_jax.errors import InputError
from cifar_jax.runtime import memory

logger = logging.getLogger(__name__)

_OURS = ('cifar10', 'cifar100', 'shapes', 'folder', 'svhn')
_INSTALL = 'install the package tensorflow'
_FORMAT = 'array_record'
_CATALOG = 'https://www.tensorflow.org/datasets/catalog'
_FALLBACK_URL = 'https://storage.googleapis.com'  # for sets that do not list their downloads


def load(settings: DataSettings) -> Published:
  """Reads an image classification set. Prepares it first if necessary, which needs TensorFlow.

  Args:
    settings: the section `data`. `name` is the set's name in tensorflow-datasets, with '/config' if
      it has configurations; `data_dir` is its data directory, '' for ~/tensorflow_datasets. Where
      `image_size` is 0, all images must have the same size.

  Returns:
    The splits 'train' (empty if there is none) and 'test' (or else 'validation'), and 'validation'
    where there are both and `validation_size` is not 0; with images uint8
    `[n, height, width, 3]`. Grey images are repeated over the channels.

  Raises:
    InputError: the set is unknown, has no labelled images, cannot be prepared, or has been prepared
      in another format; or its images differ in size and `image_size` is 0.
    ShortageError: the images do not fit in memory.
  """
  name = settings.name
  builder = _builder(name, settings.data_dir)
  class_names = _class_names(name, builder)
  _prepare(name, builder)
  splits = builder.info.splits
  test_name = next((split for split in ('test', 'validation') if split in splits), None)
  if test_name is None:
    raise InputError(
      f"{name} has neither a split 'test' nor 'validation', only {', '.join(splits)}"
    )
  test = _read_split(name, builder, test_name, settings)
  if 'train' in splits:
    train = _read_split(name, builder, 'train', settings)
  else:
    train = test.take(np.arange(0))
  validation = None
  if settings.validation_size and test_name == 'test' and 'validation' in splits:
    validation = _read_split(name, builder, 'validation', settings)
  return Published(class_names, train, test, validation=validation)


def _builder(name: str, data_dir: str) -> Any:
  """Returns the builder of a set."""
  try:
    import tensorflow_datasets as tfds
  except ImportError as error:
    raise InputError(
      f'{name} is none of {", ".join(_OURS)}{nearest(name, _OURS)}, and a set of '
      'tensorflow-datasets needs that package: '
      'install the packages tensorflow-datasets and importlib_resources'
    ) from error
  if re.search(r':[^\d*]', name):
    raise InputError(
      f'{name} names a set outside tensorflow-datasets, whose code would be fetched and run; give '
      'a set of its catalog, with a version after the colon'
    )
  if data_dir and (folder := re.match(r'\w+', name)):
    _refuse_pipes(pathlib.Path(os.path.expanduser(data_dir), folder[0]))
  try:
    with _shipped_features_only():
      return tfds.builder(name, data_dir=os.path.expanduser(data_dir) or None)
  except InputError:
    raise
  except (ValueError, AssertionError) as error:  # AssertionError: a version that does not exist
    raise InputError(_why_no_builder(name, error)) from error
  except ImportError as error:
    # A URL as data_dir needs a package for its scheme, which the library names.
    reason = f'needs {error.name}: install it' if error.name else _first_line(error)
    raise InputError(f'{name} of tensorflow-datasets: {reason}') from error
  except Exception as error:  # the files of a damaged set can raise anything
    raise InputError(
      f'{name} of tensorflow-datasets cannot be read: {_first_line(error)}'
    ) from error


def _refuse_pipes(folder: pathlib.Path, depth: int = 3) -> None:
  """Raises InputError for a pipe or a device in a set's folder, which the library would read.

  Args:
    folder: `SET`, which has files in `VERSION` or `CONFIG/VERSION`.
    depth: levels of folders to look into.
  """
  if not folder.is_dir():
    return
  for path in folder.iterdir():
    if path.is_dir() and depth:
      _refuse_pipes(path, depth - 1)
    else:
      input_files.refuse_pipe(path)


@contextlib.contextmanager
def _shipped_features_only() -> Iterator[None]:
  """Within the block a set names no code but that of tensorflow-datasets.

  The `features.json` of a set names classes, and tensorflow-datasets would import the module of
  each, from wherever Python imports: from the current directory too.
  """
  import tensorflow_datasets as tfds

  connector: Any = tfds.features.FeatureConnector
  method = vars(connector)['cls_from_name']

  def class_of_name(name: object) -> Any:
    if not str(name).startswith('tensorflow_datasets.'):
      raise InputError(
        f'the features.json of this set names {str(name)[:80]!a}, which is not part of '
        'tensorflow-datasets: its code was not run'
      )
    return method.__get__(None, connector)(name)

  connector.cls_from_name = staticmethod(class_of_name)
  try:
    yield
  finally:
    connector.cls_from_name = method


def _why_no_builder(name: str, error: Exception) -> str:
  """Returns the message on a name for which tensorflow-datasets raised an error."""
  import tensorflow_datasets as tfds

  # Without repetitions: CIFAR has both names.
  known = list(dict.fromkeys([*_OURS, *tfds.list_builders(with_community_datasets=False)]))
  base, _, config = name.partition('/')
  if config and base in known:
    known = [f'{base}/{known_config}' for known_config in tfds.builder_cls(base).builder_configs]
  if name in known:
    return f'{name} of tensorflow-datasets: {_first_line(error)}'
  if close := difflib.get_close_matches(name, known):
    return f'unknown data set {name!r}: did you mean {", ".join(close)}?'
  return f'unknown data set {name!r}: choose one of {", ".join(_OURS)} or of {_CATALOG}'


def _class_names(name: str, builder: Any) -> tuple[str, ...]:
  """Returns the class names of a set; raises InputError if it has no labelled images."""
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
  """Prepares a set as array_record unless it is prepared already."""
  if builder.is_prepared():
    formats = sorted(file_format.value for file_format in builder.info.available_file_formats())
    if _FORMAT not in formats:
      raise InputError(
        f'{builder.data_path} is prepared as {", ".join(formats)}, which cannot be read without '
        f'TensorFlow: move it away or set another data.data_dir, {_INSTALL}, and run again'
      )
    return
  if importlib.util.find_spec('tensorflow') is None:
    raise InputError(
      f'{name} is not prepared in {builder.data_path}, and preparing it needs TensorFlow: '
      f'{_INSTALL}'
    )
  # Without this check tensorflow-datasets would try for more than three minutes.
  url = next(iter(builder.url_infos or ()), _FALLBACK_URL)
  if reason := download.unreachable(url):
    raise InputError(f'{name} is not prepared, and {url} cannot be reached ({reason})')
  logger.info('Preparing %s in %s.', name, builder.data_path)
  try:
    builder.download_and_prepare(file_format=_FORMAT)
  except Exception as error:  # the code of a set can raise anything
    raise InputError(f'{name} cannot be prepared: {_first_line(error)}') from error


def _read_split(name: str, builder: Any, split: str, settings: DataSettings) -> Split:
  """Reads the images and labels of one split."""
  source = builder.as_data_source(split)
  size = settings.image_size
  memory.check_images_fit(len(source), size, size)
  images: list[np.ndarray] = []
  labels = []
  with pictures.plain_formats_only():  # tensorflow-datasets leaves the choice to Pillow
    for i in range(len(source)):
      try:
        example = source[i]
      except Exception as error:  # a damaged file can raise anything
        reason = _first_line(error)
        raise InputError(f'{name}: image {i} of {split} cannot be read: {reason}') from error
      image = _as_rgb(name, example['image'])
      if size:
        image = pixels.resize(image[None], size, settings.resize)[0]
      height, width, _ = image.shape
      if not images:
        memory.check_images_fit(len(source), height, width)
      elif image.shape != (first := images[0]).shape:
        raise InputError(
          f'{name} has images of {first.shape[0]} x {first.shape[1]} and of {height} x {width} '
          'pixels: set data.image_size'
        )
      images.append(image)
      labels.append(example['label'])
  return Split(np.stack(images), np.array(labels, np.int32))


def _as_rgb(name: str, image: np.ndarray) -> np.ndarray:
  """Converts an image uint8 `[height, width, 1 or 3]` to uint8 `[height, width, 3]`."""
  if image.dtype != np.uint8 or image.shape[-1] not in (1, 3):
    raise InputError(
      f'{name}: images are {image.dtype} {image.shape}, not uint8 of 1 or 3 channels'
    )
  return np.broadcast_to(image, (*image.shape[:2], 3))


def _first_line(error: Exception) -> str:
  text = str(error).strip().split('\n', 1)[0]
  return f'{type(error).__name__}: {text}'

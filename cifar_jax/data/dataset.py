"""A data set: as its readers return it, and as the rest of the program uses it."""

import dataclasses
import functools
import logging
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cifar_jax import json_text
from cifar_jax.config.dataset import LARGEST_SIDE, DataSettings
from cifar_jax.errors import InputError
from cifar_jax.printable import printable

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Split:
  """Images with their labels. The arrays may be read-only or mapped from a file.

  Attributes:
    images: uint8 `[n, height, width, 3]`, where n may be 0.
    labels: int32 `[n]`, indices into the data set's class names.
  """

  images: np.ndarray
  labels: np.ndarray

  def __len__(self) -> int:
    """Returns the number of images."""
    return len(self.labels)

  @functools.cached_property
  def images_crc32(self) -> int:
    """The CRC-32 of the bytes of the images; computed once."""
    return zlib.crc32(np.ascontiguousarray(self.images).data)

  def take(self, indices: np.ndarray) -> 'Split':
    """Returns a copy of the examples at `indices`, int `[m]`, in that order."""
    return Split(self.images[indices], self.labels[indices])


@dataclasses.dataclass(frozen=True)
class Dataset:
  """A data set, divided as training uses it.

  Attributes:
    name: the key `data.name`.
    class_names: the name of each label.
    train: the images that a net is trained on.
    validation: the official training images that are held out, or the official validation images.
    test: the official test images.
    mean: mean of each channel over the pixels of `train` alone, in units of [0, 1]; 0 where `train`
      is empty.
    std: standard deviation of each channel, in the same units; 1 where `train` is empty.
  """

  name: str
  class_names: tuple[str, ...]
  train: Split
  validation: Split
  test: Split
  mean: tuple[float, float, float]
  std: tuple[float, float, float]

  @property
  def num_classes(self) -> int:
    """The number of classes."""
    return len(self.class_names)


@dataclasses.dataclass(frozen=True)
class Published:
  """A data set with its official splits, as a reader returns it.

  Attributes:
    class_names: the name of each label.
    train: the official training split, which may be empty.
    test: the official test split.
    train_sums: `pixels.channel_sums` of the training images, int64 `[n, 2, 3]`; None from a reader
      that does not have them.
    validation: the official validation split; None where there is none, so that validation images
      are held out of `train`.
  """

  class_names: tuple[str, ...]
  train: Split
  test: Split
  train_sums: np.ndarray | None = None
  validation: Split | None = None

  def check(self, name: str) -> None:
    """Raises InputError unless all splits are as `Split` says, with images of one size.

    Args:
      name: the data set's name, the beginning of the message.
    """
    check_class_names(name, self.class_names)
    shape = self.train.images.shape[1:]
    splits = {'train': self.train, 'validation': self.validation, 'test': self.test}
    for split_name, split in splits.items():
      if split is None:
        continue
      _check_split(f'{name}, {split_name}', split, len(self.class_names))
      if split.images.shape[1:] != shape:
        raise InputError(
          f'{name}: training images are {shape} but {split_name} images {split.images.shape[1:]}: '
          'set data.image_size'
        )


def _check_split(where: str, split: Split, num_classes: int) -> None:
  """Raises InputError, beginning with `where`, unless a split is as `Split` says."""
  images, labels = split.images, split.labels
  if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != 3:
    raise InputError(
      f'{where}: images must be uint8 [n, height, width, 3], not {images.dtype} {images.shape}'
    )
  if labels.dtype != np.int32 or labels.shape != images.shape[:1]:
    raise InputError(
      f'{where}: labels must be int32 [{len(images)}], not {labels.dtype} {labels.shape}'
    )
  check_labels(where, labels, num_classes)


def check_class_names(where: str, names: Sequence[str]) -> None:
  """Raises InputError, beginning with `where`, if a name cannot be printed or occurs twice."""
  if wrong := [name for name in names if printable(name) != name]:
    raise InputError(f'{where}: the class name {wrong[0]!r} has control characters: rename it')
  if len(set(names)) < len(names):
    raise InputError(f'{where}: two classes have the same name')


def check_labels(where: str, labels: np.ndarray, num_classes: int) -> None:
  """Raises InputError, beginning with `where`, unless `labels`, `[n]`, are in [0, num_classes)."""
  wrong = labels[(labels < 0) | (labels >= num_classes)]
  if wrong.size:
    raise InputError(f'{where}: label {wrong[0]} is outside 0..{num_classes - 1}')


def select_split(dataset: Dataset, name: str) -> Split:
  """Returns a split by its name in `config.dataset.SPLITS`; raises InputError if it is empty."""
  split: Split = getattr(dataset, name)
  if not len(split):
    raise InputError(f'there are no {name} images')
  return split


# Keys of the fingerprint that checkpoints of earlier versions lack.
_IMAGES_CRC32, _CLASS_NAMES, _IMAGE_SHAPE = 'images_crc32', 'class_names', 'image_shape'


def fingerprint(dataset: Dataset) -> dict[str, Any]:
  """Returns values that differ between different data sets, ready for JSON."""
  splits = (dataset.train, dataset.validation, dataset.test)
  return {
    'images': [len(split) for split in splits],
    'labels_crc32': [zlib.crc32(split.labels.tobytes()) for split in splits],
    _IMAGES_CRC32: [split.images_crc32 for split in splits],
    'mean': list(dataset.mean),
    'std': list(dataset.std),
    _CLASS_NAMES: list(dataset.class_names),
    _IMAGE_SHAPE: list(dataset.test.images.shape[1:]),
  }


def digests(dataset: Dataset) -> dict[str, str]:
  """`data_sha256`, of the `fingerprint`, and `test_sha256`, of the test images; hexadecimal."""
  whole = fingerprint(dataset)
  of_test = [whole[key][-1] for key in ('images', 'labels_crc32', _IMAGES_CRC32)]
  of_test += [whole[_CLASS_NAMES], whole[_IMAGE_SHAPE]]
  return {'data_sha256': json_text.sha256(whole), 'test_sha256': json_text.sha256(of_test)}


def without_images(settings: DataSettings, run_info: dict[str, Any]) -> Dataset | None:
  """Returns the data set of a run as its checkpoint describes it, with empty splits.

  Args:
    settings: the section `data` of the run.
    run_info: the part of a checkpoint that describes its run; `data` is a `fingerprint`.

  Returns:
    The data set; None if an earlier version wrote the checkpoint, which says less about its data.

  Raises:
    InputError: someone changed the checkpoint: the images are not those of these settings.
  """
  described = run_info.get('data', {})
  if not {_CLASS_NAMES, _IMAGE_SHAPE} <= described.keys():
    return None
  name, shape = settings.name, described[_IMAGE_SHAPE]
  check_class_names(name, described[_CLASS_NAMES])
  is_of_set = shape[:2] == [settings.side] * 2 or not settings.side
  if shape[2] != 3 or not is_of_set or not 0 < min(shape) <= max(shape) <= LARGEST_SIDE:
    raise InputError(
      f'someone changed the checkpoint: its images are {shape}, which {name} in its run are not'
    )
  empty = Split(np.empty((0, *shape), np.uint8), np.empty(0, np.int32))
  mean, std = tuple(described['mean']), tuple(described['std'])
  return Dataset(name, tuple(described[_CLASS_NAMES]), empty, empty, empty, mean, std)


def check_same_data(dataset: Dataset, run_info: Mapping[str, Any]) -> None:
  """Raises InputError unless a run was trained on this data set.

  Logs a warning if an earlier version wrote the checkpoint, which says less about its data.

  Args:
    dataset: the data set.
    run_info: the part of a checkpoint that describes its run; `data` is a `fingerprint`.
  """
  if 'data' not in run_info:
    raise InputError(
      'the checkpoint does not say what data it was trained on: an earlier version wrote it; '
      'read it with that version, or train again'
    )
  trained_on, given = run_info['data'], fingerprint(dataset)
  if _IMAGES_CRC32 not in trained_on:
    logger.warning(
      'an earlier version wrote the checkpoint, without checksums of the images: that they are the '
      'same is not checked'
    )
  for key in (_IMAGES_CRC32, _CLASS_NAMES, _IMAGE_SHAPE):
    if key not in trained_on:
      del given[key]
  if changes := [
    f'{key} {given[key]} instead of {trained_on.get(key)}'
    for key in given
    if given[key] != trained_on.get(key)
  ]:
    raise InputError(
      f'data.data_dir holds other data than the run was trained on: {"; ".join(changes)}; set it '
      'to the same data'
    )

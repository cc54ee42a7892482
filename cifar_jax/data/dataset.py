"""What a data set is: to the rest of the program, and to the readers that build one."""

import dataclasses

import numpy as np

from cifar_jax.errors import InputError


@dataclasses.dataclass(frozen=True)
class Split:
  """Images with their labels. The arrays may be read-only, and may lie in a mapped file.

  Attributes:
    images: uint8 `[n, height, width, 3]`, where n may be 0.
    labels: int32 `[n]`, indices into the data set's class names.
  """

  images: np.ndarray
  labels: np.ndarray

  def __len__(self) -> int:
    return len(self.labels)

  def take(self, indices: np.ndarray) -> 'Split':
    """A copy of the examples at int `[m]` indices, in that order."""
    return Split(self.images[indices], self.labels[indices])


@dataclasses.dataclass(frozen=True)
class Dataset:
  """A data set divided as training uses it.

  Attributes:
    name: as given to `data.load`.
    class_names: the name of each label.
    train: what is learnt from.
    validation: official training images held out of `train`.
    test: the official test images.
    mean, std: of each channel over the pixels of `train` alone, in units of [0, 1]; the mean is 0
      and the std 1 where `train` is empty.
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
    """The number of labels there can be."""
    return len(self.class_names)


@dataclasses.dataclass(frozen=True)
class Published:
  """A data set as it was published: what a reader returns, before anything is held out.

  Attributes:
    class_names: the name of each label.
    train, test: the official splits; `train` may be empty.
    train_sums: int64 `[n, 2, 3]`, `pixels.channel_sums` of the training images, from a reader that
      has them at hand; else None.
  """

  class_names: tuple[str, ...]
  train: Split
  test: Split
  train_sums: np.ndarray | None = None

  def check(self, name: str) -> None:
    """Raises InputError unless both splits are what `Split` promises and have equal image sizes."""
    for split_name, split in (('train', self.train), ('test', self.test)):
      _check_split(f'{name}, {split_name}', split, len(self.class_names))
    train_shape, test_shape = self.train.images.shape[1:], self.test.images.shape[1:]
    if train_shape != test_shape:
      raise InputError(
        f'{name}: training images are {train_shape} but test images {test_shape}: set image_size'
      )


def _check_split(where: str, split: Split, num_classes: int) -> None:
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


def check_labels(where: str, labels: np.ndarray, num_classes: int) -> None:
  """Raises InputError, beginning with `where`, unless `labels` `[n]` are in [0, num_classes)."""
  wrong = labels[(labels < 0) | (labels >= num_classes)]
  if wrong.size:
    raise InputError(f'{where}: label {wrong[0]} is outside 0..{num_classes - 1}')

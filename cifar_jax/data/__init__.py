"""Data sets: `load` gives any of them as arrays in memory, split into train, validation and test.

Read `dataset.py` for what that is, then the reader at hand: `archives.py` (the official CIFAR
files), `tfds.py` (tensorflow-datasets), `folder.py` (images of your own), `shapes.py` (no files).
"""

import numpy as np

from cifar_jax.data import archives, folder, pixels, tfds
from cifar_jax.data.dataset import Dataset, Published, Split
from cifar_jax.errors import InputError

__all__ = ['Dataset', 'Split', 'load']

_SOURCES = ('archive', 'tfds')
_LARGEST_IMAGE = 4096  # pixels a side; a set is held in memory


def load(
  name: str,
  *,
  data_dir: str = '',
  source: str = 'archive',
  validation_size: int = 5000,
  images_per_class: int = 0,
  image_size: int = 0,
  seed: int = 0,
) -> Dataset:
  """Loads a data set and divides it.

  Args:
    name: 'cifar10', 'cifar100', 'shapes' (drawn on the spot), 'folder' (images of your own), or an
      image classification set of tensorflow-datasets, with '/config' if it has configurations.
    data_dir: where the files are or go; '' for ~/.cache/cifar_jax, or with tensorflow-datasets for
      its own default. 'folder' needs it, 'shapes' has no use for it.
    source: where cifar10 and cifar100 come from: 'archive' for the official files, or 'tfds'.
    validation_size: training images to hold out for validation; may be 0.
    images_per_class: training images to keep of each class after that; 0 keeps all. What a smaller
      number keeps, a larger one keeps too.
    image_size: to resize to, in pixels, square; 0 keeps the images' own size. 'folder' needs it.
    seed: in [0, 2**32): which images are held out and kept (and, of 'shapes', which are drawn).

  Returns:
    The data set. The images of each split are in their official order.

  Raises:
    InputError: an argument cannot be met, or the files are missing or wrong.
  """
  _check_source(name, source)
  _check_sizes(
    validation_size=validation_size, images_per_class=images_per_class, image_size=image_size
  )
  if not 0 <= seed < 2**32:
    raise InputError(f'seed={seed} is outside 0..{2**32 - 1}')
  published = _read(name, source, data_dir, image_size, seed)
  published.check(name)
  kept, held_out = _divide(name, published, validation_size, images_per_class, seed)

  sums = None if published.train_sums is None else published.train_sums[kept]
  train = _resized(published.train.take(kept), image_size)
  if sums is None or train.images.shape[1:] != published.train.images.shape[1:]:
    sums = pixels.channel_sums(train.images)
  height, width = train.images.shape[1:3]
  mean, std = pixels.mean_and_std(sums, height * width)
  return Dataset(
    name=name,
    class_names=published.class_names,
    train=train,
    validation=_resized(published.train.take(held_out), image_size),
    test=_resized(published.test, image_size),
    mean=mean,
    std=std,
  )


def _check_source(name: str, source: str) -> None:
  if source not in _SOURCES:
    raise InputError(f'source={source!r} is not one of {", ".join(_SOURCES)}')
  if source == 'tfds' and name in ('shapes', 'folder'):
    raise InputError(
      f"name={name!r} does not come from tensorflow-datasets: leave source='archive'"
    )


def _check_sizes(**sizes: int) -> None:
  for argument, value in sizes.items():
    if value < 0:
      raise InputError(f'{argument}={value} is negative')
  if sizes['image_size'] > _LARGEST_IMAGE:
    raise InputError(f'image_size={sizes["image_size"]} is above {_LARGEST_IMAGE} pixels')


def _read(name: str, source: str, data_dir: str, image_size: int, seed: int) -> Published:
  if name in archives.OFFICIAL and source == 'archive':
    return archives.load(name, data_dir)
  if name == 'folder':
    return folder.load(data_dir, image_size)
  if name == 'shapes':
    from cifar_jax.data import shapes

    images, labels, test_images, test_labels = shapes.generate(seed)
    return Published(shapes.CLASS_NAMES, Split(images, labels), Split(test_images, test_labels))
  return tfds.load(name, data_dir, image_size)


def _divide(
  name: str, published: Published, validation_size: int, images_per_class: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
  """Sorted indices, int64, of the training images to keep and of those to hold out."""
  labels = published.train.labels
  if validation_size and validation_size >= len(labels):
    raise InputError(
      f'validation_size={validation_size} leaves nothing of the {len(labels)} training images of '
      f'{name}: set a smaller one'
    )
  # RandomState, because numpy has frozen its stream: default_rng may differ between versions.
  order = np.random.RandomState(seed).permutation(len(labels))
  held_out, kept = order[:validation_size], order[validation_size:]
  if images_per_class:
    by_class = [kept[labels[kept] == label] for label in range(len(published.class_names))]
    for class_name, members in zip(published.class_names, by_class, strict=True):
      if len(members) < images_per_class:
        raise InputError(
          f'images_per_class={images_per_class}, but {name} has {len(members)} training images of '
          f'{class_name!r} after validation'
        )
    kept = np.concatenate([members[:images_per_class] for members in by_class])
  return np.sort(kept), np.sort(held_out)


def _resized(split: Split, image_size: int) -> Split:
  return Split(pixels.resize(split.images, image_size), split.labels) if image_size else split

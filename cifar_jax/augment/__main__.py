"""`python -m cifar_jax.augment --gallery FILE.png`: every augmentation, before and after."""

import pathlib

import numpy as np

from cifar_jax import command, data
from cifar_jax.augment import Statistics, gallery
from cifar_jax.data import pixels
from cifar_jax.errors import InputError
from cifar_jax.report import augment_gallery

DATASETS = {'shapes': 'shapes', 'cifar10': 'CIFAR-10', 'cifar100': 'CIFAR-100'}
NUM_IMAGES, CANDIDATES = 20, 300


def main() -> None:
  """Draws the gallery on training images, of each class in turn."""
  parser = command.Parser(prog='python -m cifar_jax.augment', description=__doc__)
  parser.add_argument('--gallery', metavar='FILE.png', required=True, help='the picture to write')
  parser.add_argument('--dataset', help='cifar10 where --data-dir is given, else shapes')
  parser.add_argument('--data-dir', default='', help='where the files of the data set are')
  arguments = parser.parse_args()
  path = pathlib.Path(arguments.gallery)
  if path.is_dir() or not path.parent.is_dir():
    raise InputError(f'{path} is a directory, or in one that is not there: name a file')

  name = arguments.dataset or ('cifar10' if arguments.data_dir else 'shapes')
  dataset = data.load(name, data_dir=arguments.data_dir, validation_size=0)
  if not len(dataset.train):
    raise InputError(f'the data set {name} has no training images')
  statistics = Statistics(
    num_classes=dataset.num_classes,
    mean=dataset.mean,
    std=dataset.std,
    covariance=pixels.covariance(dataset.train.images),
  )
  split = dataset.train.take(_choose(dataset.train))
  rows = gallery.rows(split.images, split.labels, dataset.class_names, statistics)
  title = f'Augmentations of {DATASETS.get(name, name)}'
  print(augment_gallery.plot(rows, title, path))


def _choose(split: data.Split) -> np.ndarray:
  """Indices of images: of each class the one of the most contrast, then of each the second."""
  candidates = split.take(np.arange(min(len(split), CANDIDATES)))
  contrast = candidates.images.std(axis=(1, 2, 3))
  rank = np.zeros(len(candidates), int)
  for label in np.unique(candidates.labels):
    members = np.flatnonzero(candidates.labels == label)
    rank[members[np.argsort(-contrast[members])]] = np.arange(len(members))
  return np.lexsort((candidates.labels, rank))[:NUM_IMAGES]


if __name__ == '__main__':
  command.run(main)

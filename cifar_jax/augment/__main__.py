"""`python -m cifar_jax.augment --gallery FILE.png`: images before and after each augmentation.

Any key of the section `data` can be set: `--config.data.image_size=32`.
"""

import pathlib

import numpy as np

from cifar_jax import cli, data
from cifar_jax.augment import gallery
from cifar_jax.augment.statistics import Statistics
from cifar_jax.config.command_line import override_data
from cifar_jax.config.dataset import TITLES, DataSettings
from cifar_jax.data import pixels
from cifar_jax.data.dataset import Split
from cifar_jax.errors import InputError
from cifar_jax.report.figures import augment_gallery

NUM_IMAGES, CANDIDATES = 20, 300


def main() -> None:
  """Draws the gallery with training images of all classes in turn."""
  parser = cli.Parser(prog='python -m cifar_jax.augment', description=__doc__)
  parser.add_argument('--gallery', metavar='FILE.png', required=True, help='the picture to write')
  parser.add_argument('--dataset', help='default: cifar10 with --data-dir, else shapes')
  parser.add_argument('--data-dir', default='', help='the directory of the data set')
  arguments, overrides = parser.parse_known_args()
  path = pathlib.Path(arguments.gallery)
  if path.is_dir() or not path.parent.is_dir():
    raise InputError(f'{path} is a directory, or in a missing one: give the name of a file')

  name = arguments.dataset or ('cifar10' if arguments.data_dir else 'shapes')
  settings = DataSettings(name, data_dir=arguments.data_dir, validation_size=0)
  settings = override_data(settings, overrides)
  dataset = data.load(settings)
  if not len(dataset.train):
    raise InputError(f'the data set {settings.name} has no training images')
  statistics = Statistics(
    num_classes=dataset.num_classes,
    mean=dataset.mean,
    std=dataset.std,
    covariance=pixels.covariance(dataset.train.images),
  )
  split = dataset.train.take(_choose(dataset.train))
  rows = gallery.rows(split.images, split.labels, dataset.class_names, statistics)
  title = f'Augmentations of {TITLES.get(settings.name, settings.name)}'
  print(augment_gallery.plot(rows, title, path))


def _choose(split: Split) -> np.ndarray:
  """Chooses images: those of the highest contrast in each class, then the second of each class.

  Returns:
    Indices into the split, int `[n]` with n up to `NUM_IMAGES`.
  """
  candidates = split.take(np.arange(min(len(split), CANDIDATES)))
  contrast = candidates.images.std(axis=(1, 2, 3))
  rank = np.zeros(len(candidates), int)
  for label in np.unique(candidates.labels):
    members = np.flatnonzero(candidates.labels == label)
    rank[members[np.argsort(-contrast[members])]] = np.arange(len(members))
  return np.lexsort((candidates.labels, rank))[:NUM_IMAGES]


if __name__ == '__main__':
  cli.run(main)

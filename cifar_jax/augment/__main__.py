"""`python -m cifar_jax.augment --gallery FILE.png`: images before and after each augmentation.

Any key of the section `data` can be set: `--config.data.image_size=32`.
"""

import pathlib

from cifar_jax import cli
from cifar_jax.config.command_line import override_data
from cifar_jax.config.dataset import DataSettings
from cifar_jax.errors import InputError
from cifar_jax.runtime.console import logger

_SMALLEST = 4  # pixels, as of images that nets are trained on


def main() -> None:
  """Draws the gallery. JAX is imported once the command line is valid."""
  parser = cli.Parser('python -m cifar_jax.augment', __doc__)
  parser.add_argument(
    '--gallery', type=cli.path, metavar='FILE.png', required=True, help='the picture to write'
  )
  parser.add_argument('--dataset', help='default: cifar10 with --data-dir, else shapes')
  parser.add_argument('--data-dir', default='', help='the directory of the data set')
  arguments, overrides = parser.parse_with_overrides()
  path = arguments.gallery
  if path.is_dir() or not path.parent.is_dir():
    raise InputError(f'{path} is a directory, or in a missing one: give the name of a file')
  if path.suffix.lower() != '.png':
    raise InputError(f'--gallery {path} is drawn as PNG: let its name end with .png')

  name = arguments.dataset or ('cifar10' if arguments.data_dir else 'shapes')
  settings = DataSettings(name, data_dir=arguments.data_dir, validation_size=0)
  _draw(path, override_data(settings, overrides))


def _draw(path: pathlib.Path, settings: DataSettings) -> None:
  """Draws the gallery with training images of all classes in turn."""
  from cifar_jax import data
  from cifar_jax.augment import gallery
  from cifar_jax.augment.statistics import Statistics
  from cifar_jax.config.dataset import TITLES
  from cifar_jax.data import pixels
  from cifar_jax.report.figures import augment_gallery

  dataset = data.load(settings)
  if not len(dataset.train):
    raise InputError(f'the data set {settings.name} has no training images')
  height, width = dataset.train.images.shape[1:3]
  if min(height, width) < _SMALLEST:
    raise InputError(
      f'the images are {height}x{width}, too small for the augmentations: set data.image_size to '
      f'{_SMALLEST} or more'
    )
  statistics = Statistics(
    num_classes=dataset.num_classes,
    mean=dataset.mean,
    std=dataset.std,
    covariance=pixels.covariance(dataset.train.images),
  )
  split = dataset.train.take(gallery.choose(dataset.train.images, dataset.train.labels))
  logger.info('drawing all augmentations (about %d s)', gallery.SECONDS)
  rows = gallery.rows(split.images, split.labels, dataset.class_names, statistics)
  title = f'Augmentations of {TITLES.get(settings.name, settings.name)}'
  print(augment_gallery.plot(rows, title, path))


if __name__ == '__main__':
  cli.run(main)

"""Test images that the weights which a run begins with were trained on."""

import pathlib

from ml_collections import ConfigDict

from cifar_jax import data, paths
from cifar_jax.config.dataset import DataSettings
from cifar_jax.config.training import CheckpointSettings
from cifar_jax.data.dataset import Dataset, check_same_data
from cifar_jax.data.official import OFFICIAL
from cifar_jax.errors import InputError
from cifar_jax.runs.checkpoints import Checkpoints
from cifar_jax.runs.workdir import CHECKPOINTS, read_config
from cifar_jax.runtime.console import logger


def warn_of_leak(config: ConfigDict, dataset: Dataset) -> None:
  """Logs a warning if the initial weights were trained on test or validation images of a run.

  The images are compared where both runs have the same folder of data, or one in the other. It
  cannot be known once the folder has other images than when the source was trained.

  Args:
    config: of the run.
    dataset: its data.
  """
  if not config.init.source or not (source := paths.local(config.init.source)).is_dir():
    return
  try:
    theirs = DataSettings(**read_config(source).data)
  except (InputError, TypeError):  # `initial_weights.read` says what is wrong
    return
  if not _are_related(DataSettings(**config.data), theirs):
    return
  try:
    of_source = data.load(theirs)
    _check_same(source, of_source)
  except InputError as error:
    logger.warning(
      'whether test images are among those that init.source %s was trained on is not known, '
      'because its data are not there as they were: %s',
      *(config.init.source, error),
    )
    return
  splits = of_source.train, of_source.validation
  seen = {image.tobytes() for split in splits for image in split.images}
  for name, split in (('test', dataset.test), ('validation', dataset.validation)):
    if number := sum(image.tobytes() in seen for image in split.images):
      logger.warning(
        '%d of the %d %s images are among those that init.source %s was trained on or chosen by, '
        'so the accuracy on them is no test',
        *(number, len(split), name, config.init.source),
      )


def _are_related(ours: DataSettings, theirs: DataSettings) -> bool:
  """Whether two data sets may have images in common."""
  if ours.name in OFFICIAL and theirs.name in OFFICIAL:
    # Their test images are fixed. The validation images are drawn by these settings.
    drawn = [(of.seed, of.validation_size, of.images_per_class) for of in (ours, theirs)]
    return ours.name == theirs.name and drawn[0] != drawn[1]
  if not ours.data_dir or not theirs.data_dir:
    return ours.name == theirs.name
  place, other = (paths.local(of.data_dir).resolve() for of in (ours, theirs))
  return place.is_relative_to(other) or other.is_relative_to(place)


def _check_same(source: pathlib.Path, dataset: Dataset) -> None:
  """Raises InputError unless a data set is the one that a run was trained on."""
  with Checkpoints(source / CHECKPOINTS, CheckpointSettings(), read_only=True) as checkpoints:
    if checkpoints.latest is not None:
      check_same_data(dataset, checkpoints.read_run_info(checkpoints.latest))

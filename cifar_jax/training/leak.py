"""Test images that the weights which a run begins with were trained on."""

import pathlib

from ml_collections import ConfigDict

from cifar_jax import paths
from cifar_jax.config.dataset import DataSettings
from cifar_jax.config.training import CheckpointSettings
from cifar_jax.data.dataset import Dataset
from cifar_jax.data.official import OFFICIAL
from cifar_jax.errors import InputError
from cifar_jax.evaluation import seen_images
from cifar_jax.runs import first_save
from cifar_jax.runs.checkpoints import Checkpoints
from cifar_jax.runs.workdir import CHECKPOINTS, read_config
from cifar_jax.runtime import processes
from cifar_jax.runtime.console import logger


def warn_of_leak(workdir: pathlib.Path, config: ConfigDict, dataset: Dataset) -> None:
  """Logs a warning if the run of `init.source` has seen test or validation images of a new run.

  It cannot be known once the folder has other images than when the source was trained.

  Args:
    workdir: of the run; one that has saved a checkpoint said it before.
    config: of the run.
    dataset: its data.
  """
  if not processes.is_first() or first_save.was_noted(workdir / CHECKPOINTS):
    return
  if not config.init.source or not (source := paths.local(config.init.source)).is_dir():
    return
  try:
    ours, theirs = (DataSettings(**of.data) for of in (config, read_config(source)))
    if not seen_images.may_be_shared(ours, theirs) or _have_the_same_splits(ours, theirs):
      return
    seen = seen_images.of_run(theirs, _run_info(source))
  except InputError as error:
    logger.warning(
      'whether test images are among those that init.source %s was trained on is not known, '
      'because that run or its data are not there as they were: %s',
      *(config.init.source, error),
    )
    return
  for name, split in (('test', dataset.test), ('validation', dataset.validation)):
    if number := sum(image.tobytes() in seen for image in split.images):
      logger.warning(
        '%d of the %d %s images are among those that init.source %s was trained on or chosen by, '
        'so the accuracy on them is no test',
        *(number, len(split), name, config.init.source),
      )


def _have_the_same_splits(ours: DataSettings, theirs: DataSettings) -> bool:
  """Whether the test images are fixed, and the validation images are drawn in the same way."""
  drawn = [(of.name, of.seed, of.validation_size, of.images_per_class) for of in (ours, theirs)]
  return ours.name in OFFICIAL and drawn[0] == drawn[1]


def _run_info(run: pathlib.Path) -> dict[str, object]:
  with Checkpoints(run / CHECKPOINTS, CheckpointSettings(), read_only=True) as checkpoints:
    if checkpoints.latest is None:
      raise InputError('it has no checkpoint')
    return checkpoints.read_run_info(checkpoints.latest)

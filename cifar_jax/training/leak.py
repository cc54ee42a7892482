"""Test and validation images that the weights which a run begins with have seen."""

import pathlib
from collections.abc import Iterator

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

KEY = 'seen_by_source'  # of the `run_info` in a checkpoint, and of a result


def find(workdir: pathlib.Path, config: ConfigDict, dataset: Dataset) -> dict[str, dict[str, int]]:
  """Counts the images that the weights of `init.source` have seen, and logs a warning of them.

  Asked are the run of `init.source`, the run whose weights that one began with, and so on. What
  they have seen cannot be known once their folder has other images than when they were trained.

  Args:
    workdir: of the run; one that has saved a checkpoint said it before.
    config: of the run.
    dataset: its data.

  Returns:
    `{KEY: counts}` with the number of such images in `test` and in `validation`, as far as they are
    not 0; `{}` without any, and in all processes but the first.
  """
  if not processes.is_first() or first_save.was_noted(workdir / CHECKPOINTS):
    return {}
  seen: set[bytes] = set()
  try:
    for run, its_config in _runs_before(config):
      ours, theirs = (DataSettings(**of.data) for of in (config, its_config))
      if seen_images.may_be_shared(ours, theirs) and not _have_the_same_splits(ours, theirs):
        seen |= seen_images.of_run(theirs, _run_info(run))
  except InputError as error:
    logger.warning(
      'whether test images are among those that init.source %s was trained on is not known, '
      'because that run, one before it or its data are not there as they were: %s',
      *(config.init.source, error),
    )
  counts = {}
  for name, split in (('test', dataset.test), ('validation', dataset.validation)):
    if number := sum(image.tobytes() in seen for image in split.images):
      counts[name] = number
      logger.warning(
        '%d of the %d %s images are among those that init.source %s was trained on or chosen by, '
        'so the accuracy on them is no test',
        *(number, len(split), name, config.init.source),
      )
  return {KEY: counts} if counts else {}


def _runs_before(config: ConfigDict) -> Iterator[tuple[pathlib.Path, ConfigDict]]:
  """The run whose weights a run began with, the one whose weights that one began with, and so on.

  Each is its workdir and its configuration. The last one begins at random or with a file, which
  does not say what it was trained on.

  Raises:
    InputError: one of them is gone, or cannot be read.
  """
  passed: set[pathlib.Path] = set()
  while config.init.source:
    run = paths.local(config.init.source).resolve()
    if not run.exists():
      raise InputError(f'{config.init.source} is gone')
    if not run.is_dir() or run in passed:
      return
    passed.add(run)
    config = read_config(run)
    yield run, config


def _have_the_same_splits(ours: DataSettings, theirs: DataSettings) -> bool:
  """Whether the test images are fixed, and the validation images are drawn in the same way."""
  drawn = [(of.name, of.seed, of.validation_size, of.images_per_class) for of in (ours, theirs)]
  return ours.name in OFFICIAL and drawn[0] == drawn[1]


def _run_info(run: pathlib.Path) -> dict[str, object]:
  with Checkpoints(run / CHECKPOINTS, CheckpointSettings(), read_only=True) as checkpoints:
    if checkpoints.latest is None:
      raise InputError('it has no checkpoint')
    return checkpoints.read_run_info(checkpoints.latest)

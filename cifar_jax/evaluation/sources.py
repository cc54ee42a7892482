"""Collects what is compared: predictions of runs and files, and the labels they are scored by."""

import collections
import dataclasses
import itertools
import logging
from collections.abc import Callable

from cifar_jax import data, paths
from cifar_jax.config.command_line import override_data
from cifar_jax.config.dataset import DataSettings
from cifar_jax.data.dataset import select_split
from cifar_jax.errors import InputError
from cifar_jax.evaluation.ensemble import predict_ensemble
from cifar_jax.evaluation.predictions import (
  GroundTruth,
  Predictions,
  check_predictions,
  read_predictions,
)
from cifar_jax.evaluation.trial import open_trial

logger = logging.getLogger(__name__)


def collect_predictions(
  sources: list[str], split: str, checkpoint: str, tta: str, overrides: list[str]
) -> tuple[list[Predictions], GroundTruth]:
  """Collects the predictions of runs and files, and the ground truth that they share.

  Args:
    sources: workdirs of runs, and prediction files `FILE.npz` or `FILE.npz:NAME`.
    split: one of `config.dataset.SPLITS`, which the runs predict.
    checkpoint: checkpoint of the runs, one of `options.CHECKPOINT_CHOICES`.
    tta: views of the runs, one of `config.augmentation.VIEWS`.
    overrides: `--config.SECTION.KEY=VALUE`, for each run and for the data of the files.

  Returns:
    The predictions, each under a unique name, and the ground truth, with images if any source has
    them. Where images have different sizes, a warning says that they were not compared.

  Raises:
    InputError: a source cannot be read, or two sources are not of the same images.
  """
  # The runs predict last: that takes long, and a later source may have to be refused.
  opened = [_open(source, split, checkpoint, tta, overrides) for source in sources]
  truths = [
    (source, truth) for source, (truth, _) in zip(sources, opened, strict=True) if truth is not None
  ]
  if not truths:
    truths = [('the data', load_ground_truth(split, overrides))]
  truths.sort(key=lambda pair: pair[1].images is None)  # images, where there are any, come first
  _check_same_images(truths)
  shared = truths[0][1]
  models = [model for _, predict in opened for model in predict()]
  for model in models:
    check_predictions(model, shared)
  return _number_duplicates(models), shared


def _check_same_images(truths: list[tuple[str, GroundTruth]]) -> None:
  """Raises InputError if two sources are of different images; each with each, for sizes differ."""
  for (reference, first), (source, second) in itertools.combinations(truths, 2):
    if difference := second.difference(first):
      raise InputError(
        f'{source} is not of the same images as {reference}: the {difference} differ'
      )
  (reference, first), *others = truths
  if different := [source for source, truth in others if truth.differs_in_size(first)]:
    logger.warning(
      '%s: the images have another size than those of %s, so that only their labels and classes '
      'were compared: make sure that they are the same images',
      *(', '.join(different), reference),
    )


def _open(
  source: str, split: str, checkpoint: str, tta: str, overrides: list[str]
) -> tuple[GroundTruth | None, Callable[[], list[Predictions]]]:
  """Opens a run or a prediction file; the arguments are those of `collect_predictions`.

  Returns:
    The ground truth, None for a file without labels, and a function that returns the predictions.
  """
  if '.npz' in source and not paths.local(source).is_dir():
    models, file_truth = read_predictions(source)
    return file_truth, lambda: models
  run = paths.local(source)
  trial = open_trial([run], checkpoint, tta, overrides)
  truth = trial.truth(split)

  def predict() -> list[Predictions]:
    logits = predict_ensemble(trial.members, truth.split(), tta)
    return [Predictions.of_logits(run.resolve().name, logits)]

  return truth, predict


def _number_duplicates(models: list[Predictions]) -> list[Predictions]:
  """Appends a number to the second and further models of the same name."""
  counts = collections.Counter[str]()
  unique = []
  for model in models:
    counts[model.name] += 1
    suffix = f' {counts[model.name]}' if counts[model.name] > 1 else ''
    unique.append(dataclasses.replace(model, name=model.name + suffix))
  return unique


def load_ground_truth(split: str, overrides: list[str]) -> GroundTruth:
  """Loads the labels and images of a split.

  Args:
    split: one of `config.dataset.SPLITS`.
    overrides: `--config.data.KEY=VALUE`; without any, the data set is CIFAR-10.

  Raises:
    InputError: the data cannot be loaded, or an override is not of the section `data`.
  """
  dataset = data.load(override_data(DataSettings('cifar10'), overrides))
  images = select_split(dataset, split)
  return GroundTruth(images.labels, dataset.class_names, images.images)

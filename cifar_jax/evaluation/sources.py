"""Collects what is compared: predictions of runs and files, and the labels they are scored by."""

import dataclasses
import itertools
import logging
import pathlib
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
from cifar_jax.runs import distinct_names

logger = logging.getLogger(__name__)

# The ground truth, None for a file without labels, and a function that returns the predictions.
_Opened = tuple[GroundTruth | None, Callable[[], list[Predictions]]]


def absolute_sources(sources: list[str]) -> list[str]:
  """The absolute paths of runs and prediction files, the latter perhaps with `:NAME`."""
  absolute = []
  for source in sources:
    path, ending, name = source.partition('.npz') if _is_file(source) else (source, '', '')
    absolute.append(f'{paths.local(path + ending).resolve()}{name}')
  return absolute


def absolute_overrides(overrides: list[str]) -> list[str]:
  """Overrides `--config.SECTION.KEY=VALUE`, with the absolute path of the data."""
  absolute = []
  for word in overrides:
    key, _, place = word.partition('=')
    is_place = key == '--config.data.data_dir' and place
    absolute.append(f'{key}={paths.local(place).resolve()}' if is_place else word)
  return absolute


def collect_predictions(
  sources: list[str], split: str, checkpoint: str, tta: str, overrides: list[str]
) -> tuple[list[Predictions], GroundTruth]:
  """Collects the predictions of runs and files, and the ground truth that they share.

  Args:
    sources: workdirs of runs, and prediction files `FILE.npz` or `FILE.npz:NAME`.
    split: one of `config.dataset.SPLITS`, which the runs predict.
    checkpoint: checkpoint of the runs, one of `config.initialization.CHECKPOINT_CHOICES`.
    tta: views of the runs, one of `config.augmentation.VIEWS`.
    overrides: `--config.SECTION.KEY=VALUE`, for each run and for the data of the files.

  Returns:
    The predictions, each under a unique name, and the ground truth, with images if any source has
    them. Where images have different sizes, a warning says that they were not compared.

  Raises:
    InputError: a source cannot be read, or two sources are not of the same images.
  """
  # The runs predict last: that takes long, and a later source may have to be refused.
  runs = [paths.local(source) for source in sources if not _is_file(source)]
  names_of_runs = iter(distinct_names.of_directories(runs))
  opened = [
    _open_file(source)
    if _is_file(source)
    else _open_run(paths.local(source), next(names_of_runs), split, checkpoint, tta, overrides)
    for source in sources
  ]
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
  names = distinct_names.numbered([model.name for model in models])
  return [
    dataclasses.replace(model, name=name) for model, name in zip(models, names, strict=True)
  ], shared


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


def _is_file(source: str) -> bool:
  """Whether a source is a prediction file, not the workdir of a run."""
  return '.npz' in source and not paths.local(source).is_dir()


def _open_file(source: str) -> _Opened:
  """Opens a prediction file."""
  models, truth = read_predictions(source)
  return truth, lambda: models


def _open_run(
  run: pathlib.Path, name: str, split: str, checkpoint: str, tta: str, overrides: list[str]
) -> _Opened:
  """Opens a run, whose predictions get a name; other arguments as `collect_predictions`."""
  trial = open_trial([run], checkpoint, tta, overrides)
  truth = trial.truth(split)
  if number := trial.num_trained_on(truth):
    name += f' (trained on or chosen by {number} of the images)'
  if not trial.is_of_result:
    name += f' after {trial.members[0].step} steps'

  def predict() -> list[Predictions]:
    logits = predict_ensemble(trial.members, truth.split(), tta)
    return [Predictions.of_logits(name, logits)]

  return truth, predict


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

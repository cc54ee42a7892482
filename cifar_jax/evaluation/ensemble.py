"""Predictions of one run, or of several whose probabilities are averaged."""

import dataclasses
import functools
import itertools
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from cifar_jax.augment import views
from cifar_jax.config.dataset import DataSettings
from cifar_jax.data.dataset import Split, fingerprint
from cifar_jax.errors import InputError
from cifar_jax.evaluation import scores
from cifar_jax.evaluation.restore import Restored, restore_net, restore_run
from cifar_jax.experiment.eval_step import (
  EvalStep,
  evaluate_split,
  make_eval_step,
  split_to_devices,
)
from cifar_jax.experiment.experiment import Experiment
from cifar_jax.runtime.console import logger


def restore_ensemble(
  runs: list[pathlib.Path], checkpoint: str, overrides: list[str], seed_index: int = 0
) -> list[Restored]:
  """Restores the runs of an ensemble, one or several.

  Args:
    runs: the workdirs.
    checkpoint: one of `config.initialization.CHECKPOINT_CHOICES`.
    overrides: `--config.SECTION.KEY=VALUE`, such as another location of the data.
    seed_index: index of the seed, from 0, in runs that trained several seeds.

  Raises:
    InputError: a run cannot be restored, two have the same weights, or the runs were not trained on
      the same data.
  """
  members = [restore_run(run, checkpoint, overrides, seed_index) for run in runs]
  first = fingerprint(members[0].experiment.dataset)
  for member in members[1:]:
    if fingerprint(member.experiment.dataset) != first:
      raise InputError(
        f'{member.workdir} was trained on other data than {members[0].workdir}; the runs of an '
        'ensemble must have the same data, held-out images included'
      )
  _check_different(members)
  return members


def restore_nets(
  runs: list[pathlib.Path], checkpoint: str, overrides: list[str], seed_index: int = 0
) -> list[Restored]:
  """Restores the nets of an ensemble for other images than those of their runs.

  The arguments are those of `restore_ensemble`. The data of the runs are not needed: see
  `restore.restore_net`.

  Raises:
    InputError: a run cannot be restored, two have the same weights, or the runs differ in their
      classes, or in how a picture is prepared for them.
  """
  members = [restore_net(run, checkpoint, overrides, seed_index) for run in runs]
  for member in members[1:]:
    if _inputs_and_outputs(member) != _inputs_and_outputs(members[0]):
      raise InputError(
        f'{member.workdir} has other classes than {members[0].workdir}, or images of another size '
        'or resizing: the runs of an ensemble must have the same'
      )
  _check_different(members)
  return members


def _check_different(members: list[Restored]) -> None:
  """Raises InputError if two members have the same weights: a run given twice, or its copy."""
  for first, second in itertools.combinations(members, 2):
    mine, others = (jax.tree.leaves_with_path(member.state.params) for member in (first, second))
    if len(mine) == len(others) and all(
      path == other_path and np.array_equal(leaf, other)
      for (path, leaf), (other_path, other) in zip(mine, others, strict=True)
    ):
      raise InputError(
        f'{second.workdir} has the same weights as {first.workdir}: give each net of an ensemble '
        'once'
      )


def _inputs_and_outputs(member: Restored) -> tuple[Any, ...]:
  """The classes, the shape of the images, and how pictures are resized."""
  settings, experiment = DataSettings(**member.config.data), member.experiment
  return experiment.dataset.class_names, experiment.image_shape, settings.picture_resizing


def make_predictor(members: list[Restored], tta: str) -> Callable[[Split], np.ndarray]:
  """Makes the function that computes the logits of an ensemble; it is compiled once.

  Args:
    members: one run, or several whose probabilities are averaged.
    tta: one of `config.augmentation.VIEWS`.

  Returns:
    `split -> logits`, float32 `[n, classes]`. Splits of the same size share the compiled program.
    Raises InputError if they are not finite.

  Raises:
    InputError: a run was trained without the augmentation that the views need.
  """
  views_fns = [views.make(tta, member.experiment.augmentation) for member in members]

  @functools.cache
  def steps(num_images: int) -> list[tuple[Experiment, EvalStep]]:
    experiments = [_for_images(member.experiment, num_images) for member in members]
    eval_steps = map(make_eval_step, experiments, views_fns)
    return list(zip(experiments, eval_steps, strict=True))

  def predict(split: Split) -> np.ndarray:
    logits = []
    for member, (experiment, eval_step) in zip(members, steps(len(split)), strict=True):
      device_split = split_to_devices(split, experiment.batch_size, experiment.mesh)
      logits.append(evaluate_split(eval_step, member.state, device_split)[1])
      if not np.isfinite(logits[-1]).all():
        raise InputError(f'{member.workdir}: the outputs of its net are not finite: it diverged')
    return logits[0] if len(logits) == 1 else scores.mean_probabilities(np.stack(logits))

  return predict


def _for_images(experiment: Experiment, num_images: int) -> Experiment:
  """The experiment with a batch that is no larger than a number of images needs.

  An experiment with data keeps its batch size, so that it rounds as its run did.
  """
  devices = experiment.mesh.size
  size = min(experiment.batch_size, -(-num_images // devices) * devices)
  if len(experiment.dataset.test) or size == experiment.batch_size:
    return experiment
  settings = dataclasses.replace(experiment.train_settings, batch_size=size, accumulation=1)
  return dataclasses.replace(experiment, train_settings=settings)


def predict_ensemble(members: list[Restored], split: Split, tta: str) -> np.ndarray:
  """The logits of an ensemble on one split, float32 `[n, classes]`; see `make_predictor`."""
  logger.info('%s: compiling, then evaluating %d images', model_name(members), len(split))
  return make_predictor(members, tta)(split)


def model_name(members: list[Restored]) -> str:
  """The name of an ensemble in titles: its model, or `ensemble of N`."""
  return members[0].config.model.name if len(members) == 1 else f'ensemble of {len(members)}'

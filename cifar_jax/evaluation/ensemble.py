"""Predictions of one run, or of several whose probabilities are averaged."""

import pathlib

import numpy as np

from cifar_jax.augment import views
from cifar_jax.data.dataset import Split, fingerprint
from cifar_jax.errors import InputError
from cifar_jax.evaluation import scores
from cifar_jax.evaluation.restore import Restored, restore_run
from cifar_jax.experiment.eval_step import evaluate_split, make_eval_step, split_to_devices


def restore_ensemble(
  runs: list[pathlib.Path], checkpoint: str, overrides: list[str], seed_index: int = 0
) -> list[Restored]:
  """Restores the runs of an ensemble, one or several.

  Args:
    runs: the workdirs.
    checkpoint: one of `options.CHECKPOINT_CHOICES`.
    overrides: `--config.SECTION.KEY=VALUE`, such as another location of the data.
    seed_index: index of the seed, from 0, in runs that trained several seeds.

  Raises:
    InputError: a run cannot be restored, or the runs were not trained on the same data.
  """
  members = [restore_run(run, checkpoint, overrides, seed_index) for run in runs]
  first = fingerprint(members[0].experiment.dataset)
  for member in members[1:]:
    if fingerprint(member.experiment.dataset) != first:
      raise InputError(
        f'{member.workdir} was trained on other data than {members[0].workdir}; the runs of an '
        'ensemble must have the same data, held-out images included'
      )
  return members


def predict_ensemble(members: list[Restored], split: Split, tta: str) -> np.ndarray:
  """Computes the logits of an ensemble.

  Args:
    members: one run, or several whose probabilities are averaged.
    split: the images.
    tta: one of `config.augmentation.VIEWS`.

  Returns:
    float32 `[n, classes]`.

  Raises:
    InputError: a run was trained without the augmentation that the views need.
  """
  logits = []
  for member in members:
    experiment = member.experiment
    eval_step = make_eval_step(experiment, views.make(tta, experiment.augmentation))
    device_split = split_to_devices(split, experiment.batch_size, experiment.mesh)
    logits.append(evaluate_split(eval_step, member.state, device_split)[1])
  return logits[0] if len(logits) == 1 else scores.mean_probabilities(np.stack(logits))


def model_name(members: list[Restored]) -> str:
  """The name of an ensemble in titles: its model, or `ensemble of N`."""
  return members[0].config.model.name if len(members) == 1 else f'ensemble of {len(members)}'

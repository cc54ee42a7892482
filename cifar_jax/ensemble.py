"""Runs that predict together: one alone, or several whose probabilities are averaged."""

import pathlib

import numpy as np

from cifar_jax import command, data, experiment, scores
from cifar_jax import restore as restores
from cifar_jax.augment import Settings, views
from cifar_jax.errors import InputError
from cifar_jax.placed import evaluate, place
from cifar_jax.restore import Restored


def add_arguments(parser: command.Parser) -> None:
  """Adds `--checkpoint` and `--tta`, which say how a run predicts."""
  parser.add_argument('--checkpoint', choices=restores.CHECKPOINTS, default='last')
  parser.add_argument(
    '--tta', choices=views.NAMES, default='none', help='views whose probabilities are averaged'
  )


def add_members(parser: command.Parser) -> None:
  """Adds `--ensemble`, which says with whom."""
  parser.add_argument(
    '--ensemble', type=pathlib.Path, nargs='+', default=[], metavar='DIR',
    help='runs whose probabilities are averaged with those of --workdir',
  )  # fmt: skip


def restore(
  runs: list[pathlib.Path], which: str, overrides: list[str], seed_index: int = 0
) -> list[Restored]:
  """The runs of an ensemble, which may be one; the arguments are those of `restore.restore`.

  Raises:
    InputError: one cannot be restored, or they were not trained on the same data.
  """
  members = [restores.restore(run, which, overrides, seed_index) for run in runs]
  first = experiment.fingerprint(members[0].parts.dataset)
  for member in members[1:]:
    if experiment.fingerprint(member.parts.dataset) != first:
      raise InputError(
        f'{member.workdir} was trained on other data than {members[0].workdir}; an ensemble is of '
        'runs with the same data, held-out images included'
      )
  return members


def predict(members: list[Restored], split: data.Split, tta: str) -> np.ndarray:
  """The logits of an ensemble, float32 `[n, classes]`.

  Args:
    members: one run or several, whose probabilities are averaged.
    split: the images.
    tta: one of `views.NAMES`.

  Raises:
    InputError: a run was not trained on such views.
  """
  logits = []
  for member in members:
    parts = member.parts
    views_fn = views.make(tta, Settings(**member.settings.augment))
    placed = place(split, parts.plan.batch_size, parts.mesh)
    logits.append(evaluate(experiment.eval_step(parts, views_fn), member.state, placed)[1])
  return logits[0] if len(logits) == 1 else scores.mean_probabilities(np.stack(logits))

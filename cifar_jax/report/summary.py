"""Summarises a finished run in three lines; formats accuracies and durations."""

import os
import pathlib
from typing import Any

from cifar_jax.errors import InputError
from cifar_jax.runs import contents
from cifar_jax.runs.results import RESULT, read_result


def lines(workdir: str | os.PathLike[str]) -> list[str]:
  """Returns three lines on a run: its accuracy, its duration, and where the details are.

  Args:
    workdir: directory of a finished run.

  Raises:
    InputError: there is no result, or it cannot be read.
  """
  workdir = pathlib.Path(workdir)
  result, path = read_result(workdir), workdir / RESULT
  if wrong := contents.wrong_value(result, contents.RESULT_OF_FINISHED_RUN):
    raise InputError(f'{path}: {wrong} is missing or wrong: delete the file and run again')
  return [_outcome(result), _effort(result), f'{path} and {workdir / "report.html"}']


def _outcome(result: dict[str, Any]) -> str:
  outcome = (
    f'{result["model"]} on {result["data"]}: '
    f'test accuracy {accuracy(result["test"])} at the last epoch'
  )
  if 'tta' in result:
    tta = result['tta']
    outcome += f', {accuracy(tta["test"])} over the views {tta["views"]}'
  if 'best' in result:
    best = result['best']
    outcome += f', {accuracy(best["test"])} at the best by validation (epoch {best["epoch"]})'
  if 'best_by_test' in result:
    best = result['best_by_test']
    outcome += (
      f', {accuracy(best["test"])} at the best on these test images (epoch {best["epoch"]})'
    )
  if number := num_seen(result):
    outcome += f'; init.source has seen {number} of these images'
  return outcome


def num_seen(result: dict[str, Any]) -> int:
  """The number of test images of a run that the weights which it began with have seen."""
  return result.get('seen_by_source', {}).get('test') or 0


def _effort(result: dict[str, Any]) -> str:
  speed = f'{result["images_per_second"]:,.0f} images/s'
  if 'seeds' in result:
    speed += ' of all seeds together'
  legs = ', '.join(f'{leg["num_epochs"]:g}' for leg in result.get('legs', ()))
  length = epochs(result['num_epochs']) + (f' (in legs up to {legs})' if legs else '')
  return (
    f'{length} in {duration(result["seconds"])} on {result["device"]}, {speed}, with compilation '
    'and validation, without the test'
  )


def accuracy(values: dict[str, Any]) -> str:
  """Formats an accuracy: `84.12 %`, or for several seeds `84.12 ± 0.21 % (4 seeds: 84.30, ...)`.

  Args:
    values: measures of a split in a result: `accuracy`, and for several seeds also `deviation` and
      `each`, which hold the sample standard deviation (with n - 1) and the values of the seeds.
  """
  mean = f'{100 * values["accuracy"]:.2f}'
  if 'each' not in values:
    return f'{mean} %'
  each = [f'{100 * value:.2f}' for value in values['each']['accuracy']]
  if 'deviation' in values:
    mean += f' ± {100 * values["deviation"]["accuracy"]:.2f}'
  return f'{mean} % ({len(each)} seeds: {", ".join(each)})'


def epochs(number: float) -> str:
  """Formats a number of epochs: `1 epoch`, `0.5 epochs`, `200 epochs`."""
  return f'{number:g} epoch' + ('' if number == 1 else 's')


def duration(seconds: float) -> str:
  """Formats a duration: 95 seconds as `1 min 35 s`, 7300 as `2 h 1 min`."""
  whole = round(seconds)
  if whole < 60:
    return f'{whole} s'
  if whole < 3600:
    return f'{whole // 60} min {whole % 60} s'
  return f'{whole // 3600} h {whole % 3600 // 60} min'

"""The three lines on a finished run that a person would want to read."""

import os
import pathlib
from typing import Any

from cifar_jax.errors import InputError
from cifar_jax.report.runs import read_result


def lines(workdir: str | os.PathLike[str]) -> list[str]:
  """What came out, what it took, and where the rest is.

  Args:
    workdir: of a finished run.

  Raises:
    InputError: it has no result, or one that cannot be read.
  """
  workdir = pathlib.Path(workdir)
  result = read_result(workdir)
  try:
    return [*_lines(result), f'{workdir / "result.json"} and {workdir / "report.html"}']
  except (KeyError, TypeError) as error:
    raise InputError(
      f'{workdir / "result.json"} is not what a run writes ({error!r}): delete it and run again'
    ) from error


def _lines(result: dict[str, Any]) -> list[str]:
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
  speed = f'{result["images_per_second"]:,.0f} images/s'
  if 'seeds' in result:
    speed += ' of all seeds together,'
  effort = (
    f'{result["num_epochs"]:g} epochs in {duration(result["seconds"])} on {result["device"]}, '
    f'{speed} with all that belongs to it'
  )
  return [outcome, effort]


def accuracy(values: dict[str, Any]) -> str:
  """`84.12 %`; of several seeds `84.12 ± 0.21 % (4 seeds: 84.30, ...)`, the deviation with n - 1.

  Args:
    values: of a split, as a result has them: `accuracy`, and of several seeds `deviation` and
      `each`, which hold it too.
  """
  mean = f'{100 * values["accuracy"]:.2f}'
  if 'each' not in values:
    return f'{mean} %'
  each = [f'{100 * value:.2f}' for value in values['each']['accuracy']]
  deviation = 100 * values['deviation']['accuracy']
  return f'{mean} ± {deviation:.2f} % ({len(each)} seeds: {", ".join(each)})'


def of_seeds(values: dict[str, Any]) -> str:
  """How a mean over several seeds came about, its deviation in percent; nothing of one seed."""
  if 'each' not in values:
    return ''
  deviation = 100 * values['deviation']['accuracy']
  return f', mean of {len(values["each"]["accuracy"])} seeds, deviation {deviation:.2f}'


def duration(seconds: float) -> str:
  """`95` as `1 min 35 s`, `7300` as `2 h 1 min`."""
  whole = round(seconds)
  if whole < 60:
    return f'{whole} s'
  if whole < 3600:
    return f'{whole // 60} min {whole % 60} s'
  return f'{whole // 3600} h {whole % 3600 // 60} min'

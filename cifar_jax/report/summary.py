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
    f'test accuracy {100 * result["test"]["accuracy"]:.2f} % at the last epoch'
  )
  if 'tta' in result:
    tta = result['tta']
    outcome += f', {100 * tta["test"]["accuracy"]:.2f} % over the views {tta["views"]}'
  if 'best' in result:
    best = result['best']
    outcome += (
      f', {100 * best["test"]["accuracy"]:.2f} % at the best by validation (epoch {best["epoch"]})'
    )
  effort = (
    f'{result["num_epochs"]:g} epochs in {duration(result["seconds"])} on {result["device"]}, '
    f'{result["images_per_second"]:,.0f} images/s with all that belongs to it'
  )
  return [outcome, effort]


def duration(seconds: float) -> str:
  """`95` as `1 min 35 s`, `7300` as `2 h 1 min`."""
  whole = round(seconds)
  if whole < 60:
    return f'{whole} s'
  if whole < 3600:
    return f'{whole // 60} min {whole % 60} s'
  return f'{whole // 3600} h {whole % 3600 // 60} min'

"""The scorecard that a run writes at its end: of its last checkpoint, on the test images.

`python -m cifar_jax.evaluate` writes the same files again. They are the run's own only while they
are of the step of its result: an evaluation that began before the run went on may end after it.
"""

import pathlib
from typing import Any

from cifar_jax.errors import InputError
from cifar_jax.evaluation import scorecard
from cifar_jax.evaluation.predictions import GroundTruth
from cifar_jax.evaluation.restore import restore_run
from cifar_jax.runs import contents
from cifar_jax.runs.results import read_object

_ADVICE = 'cifar_jax.evaluate writes it again'


def stem(seeds: tuple[int, ...]) -> str:
  """The beginning of the names of the files, for a run with these seeds."""
  return 'test_last' + (f'_seed{seeds[0]}' if len(seeds) > 1 else '')


def beginning(workdir: pathlib.Path, result: dict[str, Any]) -> pathlib.Path:
  """The path of the files without their endings.

  Args:
    workdir: of the run.
    result: content of its `result.json`.
  """
  seeds = tuple(result.get('seeds', [result['seed']]))
  return workdir / scorecard.FOLDER / stem(seeds)


def read(workdir: pathlib.Path, result: dict[str, Any]) -> dict[str, Any]:
  """Reads the scorecard of a finished run.

  Args:
    workdir: of the run.
    result: content of its `result.json`.

  Raises:
    InputError: the file is missing, is no scorecard, or is of another step than the result.
  """
  path = beginning(workdir, result).with_suffix('.json')
  content = read_object(path, _ADVICE)
  if wrong := contents.wrong_value(content, contents.SCORECARD):
    raise InputError(f'{path}: {wrong} is wrong: {_ADVICE}')
  # None in files of an early version, which do not say it.
  steps = {member.get('step') for member in content.get('members') or []} - {None}
  if steps - {result['num_steps']}:
    raise InputError(
      f'{path} is of step {steps.pop()}, and the result is of {result["num_steps"]}: {_ADVICE}'
    )
  return content


def truth(workdir: pathlib.Path) -> GroundTruth:
  """The test images of a run, with their labels.

  Raises:
    InputError: the run or its data cannot be read, or are no longer the same.
  """
  dataset = restore_run(workdir, 'last', []).experiment.dataset
  return GroundTruth(dataset.test.labels, dataset.class_names, dataset.test.images)

"""Which run a checkpoint is of: it holds the configuration of its run.

A run is a function of its configuration and seed. So a checkpoint belongs to a workdir if nothing
that changes results differs between the two configurations. A random name of each run would say
less: two runs of one configuration have the same checkpoints to the bit. A digest could not say
what differs, and a key that a later version adds would change it.
"""

import contextlib
import json
import pathlib
from typing import Any

from ml_collections import ConfigDict

from cifar_jax import json_text
from cifar_jax.config import loading
from cifar_jax.errors import InputError
from cifar_jax.runs import legs
from cifar_jax.runs.results import CONFIG, read_config_dict, read_result

KEY, STEP = 'config', 'step'  # of the `run_info` in a checkpoint
_FULL = {'images_crc32', 'class_names', 'image_shape'}  # what early versions did not say of data


def describe(config: ConfigDict) -> dict[str, Any]:
  """What a checkpoint says of its run, ready for JSON."""
  return {KEY: json.loads(loading.to_json(config))}


def check(directory: pathlib.Path, step: int, run_info: dict[str, Any]) -> None:
  """Checks that a checkpoint is of the run whose workdir it lies in, or of an earlier leg of it.

  Checkpoints of earlier versions do not say it, and pass.

  Args:
    directory: of the checkpoints, in the workdir.
    step: of the checkpoint.
    run_info: of the checkpoint.

  Raises:
    InputError: it is of another run, or its folder was renamed to another step.
  """
  _check_config(directory, step, run_info)
  _check_data(directory, step, run_info)
  saved_at = run_info.get(STEP, step)
  if saved_at != step:
    raise InputError(
      f'checkpoint {step} in {directory} was saved as {saved_at}: name its folder so again, or '
      'move it away'
    )


def _check_config(directory: pathlib.Path, step: int, run_info: dict[str, Any]) -> None:
  """Raises InputError unless a checkpoint has the configuration of the workdir it lies in."""
  workdir = directory.parent
  if KEY not in run_info or not (workdir / CONFIG).exists():
    return
  saved = _config(run_info[KEY])
  loading.check(saved, f'checkpoint {step} in {directory}')
  folders = [workdir, *legs.earlier(workdir)]
  changes = [loading.differences(saved, _config(read_config_dict(folder))) for folder in folders]
  if all(changes):
    raise InputError(
      f'checkpoint {step} in {directory} is of another run: {"; ".join(changes[0])}; move it away, '
      'and restore that of this run from a copy'
    )


def _check_data(directory: pathlib.Path, step: int, run_info: dict[str, Any]) -> None:
  """Raises InputError unless a checkpoint has the data that the result of its workdir names.

  The place of the data may change, so that the configurations of runs on other data can be equal.
  """
  data = run_info.get('data', {})
  if not data.keys() >= _FULL:  # an earlier version wrote it
    return
  for folder in (directory.parent, *legs.earlier(directory.parent)):
    of_result = ''
    with contextlib.suppress(InputError):  # there is no result yet
      of_result = read_result(folder).get('data_sha256', '')
    if of_result and of_result != json_text.sha256(data):
      raise InputError(
        f'checkpoint {step} in {directory} is of a run on other data than the result in {folder}: '
        'move it away, and restore that of this run from a copy'
      )


def _config(sections: dict[str, Any]) -> ConfigDict:
  return loading.from_json(json.dumps(sections))

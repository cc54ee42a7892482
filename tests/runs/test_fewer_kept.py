"""Checkpoints that a run was told to keep are not deleted because the next command forgets it."""

import json
import pathlib

import pytest

from cifar_jax.config.command_line import override
from cifar_jax.errors import InputError
from cifar_jax.runs.workdir import CHECKPOINTS, check_workdir, read_config
from tests.support import fake_run


@pytest.mark.parametrize('keep_last', [1, 2, 4, 5, 9])
def test_a_session_that_would_delete_checkpoints_is_refused(
  keep_last: int, tiny_cifar: pathlib.Path, tmp_path: pathlib.Path
) -> None:
  run = fake_run.make(tmp_path / 'run', tiny_cifar, steps=(1, 2, 3, 4))  # with keep_last=5
  newest = run / CHECKPOINTS / '4' / 'run' / 'metadata'
  newest.write_text(json.dumps(json.loads(newest.read_text()) | {'best': {'step': 1}}))
  config = read_config(run)
  override(config, [f'--config.checkpoint.keep_last={keep_last}'])
  deleted = {1: '2, 3', 2: '2'}.get(keep_last)
  if not deleted:
    check_workdir(run, config)
    return
  with pytest.raises(InputError, match=f'would be deleted: {deleted}; give .*keep_last=5') as error:
    check_workdir(run, config)
  assert str(run / CHECKPOINTS) in str(error.value)
  for step in deleted.split(', '):
    (run / CHECKPOINTS / step).rename(tmp_path / step)  # as the message says
  check_workdir(run, config)


def test_a_finished_run_can_be_asked_for_with_any_number(
  tiny_cifar: pathlib.Path, tmp_path: pathlib.Path
) -> None:
  run = fake_run.make(tmp_path / 'run', tiny_cifar, steps=(1, 2, 3, 4))
  config = read_config(run)
  override(config, ['--config.checkpoint.keep_last=1'])
  (run / 'result.json').write_text('{}')
  check_workdir(run, config)  # nothing is saved, so nothing is deleted

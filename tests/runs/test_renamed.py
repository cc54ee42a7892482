"""A workdir that is renamed while its run goes on: nothing is written under the old name."""

import logging
import os
import pathlib
from collections.abc import Callable

import pytest

from cifar_jax import output_files
from cifar_jax.config.base import base
from cifar_jax.errors import InputError
from cifar_jax.runs import checksums
from cifar_jax.runs.checkpoints import Checkpoints
from cifar_jax.runs.metric_log import MetricLog
from cifar_jax.runs.workdir import CHECKPOINTS, claim_workdir
from tests.support.checkpoints import ABSTRACT_STATE, make_state, open_checkpoints

MESSAGE = 'the workdir was renamed or removed'


def rename(run: pathlib.Path, successor: str) -> None:
  """Renames a workdir; then there is nothing, another run, or a file in its place."""
  run.rename(run.with_name('moved'))
  if successor == 'another run':
    (run / CHECKPOINTS / '8').mkdir(parents=True)
    for name in ('lock', 'config.json', 'metrics.jsonl'):
      (run / name).touch()
  elif successor == 'a file':
    run.touch()


WRITERS: dict[str, Callable[[pathlib.Path, Checkpoints, MetricLog], object]] = {
  'a checkpoint': lambda _, checkpoints, __: checkpoints.save(9, make_state(9), run_info={}),
  'a record': lambda _, __, log: log.write(9, 0.9, 'train', {'accuracy': 0.5, 'loss': 1.0}),
  'going back': lambda _, __, log: log.go_back(8),
  'a result': lambda run, _, __: output_files.write_text(run / 'result.json', '{}'),
  'a folder': lambda run, _, __: output_files.make_folder(run / 'evaluation'),
  'an error': lambda *_: 1 / 0,
}


@pytest.mark.ci
@pytest.mark.parametrize('successor', ['nothing', 'another run', 'a file'])
@pytest.mark.parametrize('writer', WRITERS)
def test_nothing_is_written_under_the_old_name(
  tmp_path: pathlib.Path, writer: str, successor: str
) -> None:
  run = tmp_path / 'run'
  before: list[pathlib.Path] = []
  with (
    pytest.raises(InputError, match=MESSAGE),
    claim_workdir(run, base('resnet20')),
    open_checkpoints(run / CHECKPOINTS) as checkpoints,
    MetricLog(run, 0) as log,
  ):
    checkpoints.save(8, make_state(8), run_info={})
    checkpoints.wait()
    for write in list(WRITERS.values())[:-1]:
      write(run, checkpoints, log)
    checkpoints.wait()
    rename(run, successor)
    before = sorted(tmp_path.rglob('*'))
    if writer == 'a checkpoint':
      checkpoints.save(10, make_state(10), run_info={})
    else:
      WRITERS[writer](run, checkpoints, log)
  assert sorted(tmp_path.rglob('*')) == before
  with open_checkpoints(tmp_path / 'moved' / CHECKPOINTS) as checkpoints:
    assert checkpoints.latest == 9 and int(checkpoints.restore(9, ABSTRACT_STATE)[0].step) == 9


@pytest.mark.parametrize('successor', ['nothing', 'another run'])
def test_a_workdir_that_is_renamed_during_a_save_leaves_nothing_under_its_old_name(
  tmp_path: pathlib.Path, successor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
  run = tmp_path / 'run'
  finalize = checksums.ChecksummedPath.finalize

  async def rename_first(path: checksums.ChecksummedPath) -> None:
    if path.get_final().name == '9':
      rename(run, successor)
      (pathlib.Path(path.get()) / 'state').mkdir(parents=True)  # as TensorStore does
    await finalize(path)

  monkeypatch.setattr(checksums.ChecksummedPath, 'finalize', rename_first)
  with (
    pytest.raises(InputError, match=MESSAGE),
    claim_workdir(run, base('resnet20')),
    open_checkpoints(run / CHECKPOINTS) as checkpoints,
  ):
    checkpoints.save(8, make_state(8), run_info={})
    checkpoints.save(9, make_state(9), run_info={})
  assert run.exists() == (successor == 'another run')
  if run.exists():
    assert os.listdir(run / CHECKPOINTS) == ['8']
  with open_checkpoints(tmp_path / 'moved' / CHECKPOINTS, read_only=True) as checkpoints:
    assert checkpoints.latest == 8


def test_a_run_whose_workdir_was_not_renamed_keeps_its_errors(
  tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
  caplog.set_level(logging.WARNING)
  with pytest.raises(ZeroDivisionError), claim_workdir(tmp_path / 'run', base('resnet20')):
    output_files.write_text(tmp_path / 'elsewhere', '')  # in no workdir
    raise ZeroDivisionError
  assert not caplog.text

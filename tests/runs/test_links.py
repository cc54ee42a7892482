"""Symbolic links and pipes in a workdir: nothing outside it is written, moved or removed."""

import os
import pathlib
import shutil

import pytest

from cifar_jax import output_files, own_files
from cifar_jax.config.base import base
from cifar_jax.errors import InputError
from cifar_jax.runs import linked
from cifar_jax.runs.metric_log import MetricLog
from cifar_jax.runs.workdir import CHECKPOINTS, LOCK, check_workdir, claim_workdir
from cifar_jax.runtime.console import log_to, logger
from tests.support.checkpoints import make_state, open_checkpoints


@pytest.fixture
def home(tmp_path: pathlib.Path) -> pathlib.Path:
  """A folder outside the workdir, with a file and with folders."""
  folder = tmp_path / 'home'
  (folder / '8').mkdir(parents=True)
  (folder / 'thesis').mkdir()
  (folder / 'thesis' / 'text').write_text('text')
  (folder / 'file').write_text('text')
  return folder


@pytest.mark.parametrize(
  'name', ['deleted', '8', '8.orbax-checkpoint-tmp', '8.orbax-checkpoint-tmp-1']
)
@pytest.mark.parametrize('target', ['.', 'nowhere'])
def test_a_link_among_checkpoints_is_refused_and_not_followed(
  tmp_path: pathlib.Path, home: pathlib.Path, name: str, target: str
) -> None:
  directory = tmp_path / CHECKPOINTS
  directory.mkdir()
  (directory / name).symlink_to(home / target)
  before = sorted(home.rglob('*'))
  with pytest.raises(InputError, match=rf'{name} is a symbolic link'):
    open_checkpoints(directory)
  assert sorted(home.rglob('*')) == before and (directory / name).is_symlink()


def test_only_what_a_run_has_made_is_removed_from_its_checkpoints(
  tmp_path: pathlib.Path, home: pathlib.Path
) -> None:
  directory = tmp_path / CHECKPOINTS
  directory.symlink_to(home)  # such as on a larger disk
  (home / '8').rename(home / 'old')
  (home / 'deleted' / '4').mkdir(parents=True)
  (home / 'deleted' / 'mine').mkdir()
  (home / 'deleted' / '2019').mkdir()  # photographs, and no checkpoint
  (home / 'deleted' / '2019' / 'me.png').touch()
  (home / 'deleted' / '6').symlink_to(home / 'thesis')
  (home / 'best').symlink_to(home / 'old')
  with open_checkpoints(directory) as checkpoints:
    for step in (10, 20, 30, 40):
      checkpoints.save(step, make_state(step), run_info={})
  assert set(os.listdir(home / 'deleted')) == {'mine', '2019'}
  assert (home / 'deleted' / '2019' / 'me.png').exists() and (home / 'thesis' / 'text').exists()
  assert {path.name for path in home.iterdir()} == {
    *('20', '30', '40', 'old', 'best', 'deleted', 'thesis', 'file')
  }
  (home / '50').touch()
  with pytest.raises(InputError, match='50 is not a folder of this run'):
    open_checkpoints(directory)


def test_a_link_to_the_checkpoints_of_another_run_is_refused(tmp_path: pathlib.Path) -> None:
  run, other, config = tmp_path / 'run', tmp_path / 'other', base('resnet20')
  for workdir in (run, other):
    with claim_workdir(workdir, config):
      pass
  (run / CHECKPOINTS).mkdir()
  (other / CHECKPOINTS).symlink_to(run / CHECKPOINTS)
  with pytest.raises(InputError, match=r'leads to the checkpoints of .*/run, '):
    linked.claim(other / CHECKPOINTS)
  linked.claim(run / CHECKPOINTS)
  assert not (run / CHECKPOINTS / linked.NOTE).exists()


def test_checkpoints_behind_a_link_belong_to_one_workdir(tmp_path: pathlib.Path) -> None:
  run, copy, config = tmp_path / 'run', tmp_path / 'copy', base('resnet20')
  (tmp_path / 'large_disk').mkdir()
  with claim_workdir(run, config):
    (run / CHECKPOINTS).symlink_to(tmp_path / 'large_disk')
  for _ in range(2):
    with claim_workdir(run, config):
      pass
  shutil.copytree(run, copy, symlinks=True)
  with pytest.raises(InputError, match=r'copy/checkpoints leads to the checkpoints of .*/run, '):
    linked.claim(copy / CHECKPOINTS)
  with pytest.raises(InputError, match='leads to the checkpoints of'), claim_workdir(copy, config):
    pytest.fail('two runs would write into one folder')
  run.rename(tmp_path / 'renamed')  # its old name is that of no workdir
  linked.claim(tmp_path / 'renamed' / CHECKPOINTS)
  with pytest.raises(InputError, match='/renamed, which'):
    linked.claim(copy / CHECKPOINTS)
  shutil.rmtree(tmp_path / 'renamed')  # then the copy is all that there is
  linked.claim(copy / CHECKPOINTS)
  assert (tmp_path / 'large_disk' / linked.NOTE).read_text() == f'{copy}\n'


@pytest.mark.parametrize(
  'name', ['log.txt', 'analysis', 'evaluation', 'plots', 'profile', 'leg1', 'wandb', 'mlflow.db']
)
def test_a_run_does_not_begin_where_a_link_leads_out_of_its_workdir(
  tmp_path: pathlib.Path, home: pathlib.Path, name: str
) -> None:
  run, config = tmp_path / 'run', base('resnet20')
  with claim_workdir(run, config):
    pass
  (tmp_path / 'link').symlink_to(run)  # the workdir itself may be one
  check_workdir(tmp_path / 'link', config)
  (run / name).symlink_to(home)
  with pytest.raises(InputError, match=rf'{name} is a symbolic link, and nothing is written'):
    check_workdir(run, config)
  if not name.startswith(('log', 'leg')):
    with pytest.raises(InputError, match='is a symbolic link'):
      output_files.make_folder(run / name)
  (run / 'config.json').unlink()
  (tmp_path / 'elsewhere').symlink_to(home)
  output_files.make_folder(tmp_path / 'elsewhere')  # not of a run


@pytest.mark.parametrize('kind', ['link', 'pipe', 'pipe with a reader'])
def test_no_file_that_stays_open_is_a_link_or_a_pipe(
  tmp_path: pathlib.Path, home: pathlib.Path, kind: str
) -> None:
  def put(name: str) -> pathlib.Path:
    path = tmp_path / name
    if kind == 'link':
      path.symlink_to(home / 'file')
    else:
      os.mkfifo(path)
    return path

  # A pipe that something reads can be opened, and would take the lines.
  readers = (
    [os.open(put('log.txt'), os.O_RDONLY | os.O_NONBLOCK)] if kind == 'pipe with a reader' else []
  )
  expected = 'is a symbolic link' if kind == 'link' else 'is not a file but a pipe'
  if not readers:
    put('log.txt')
  with pytest.raises(InputError, match=f'log.txt {expected}'), log_to(tmp_path):
    pass
  put(LOCK)
  with (
    pytest.raises(InputError, match=f'lock {expected}'),
    claim_workdir(tmp_path, base('resnet20')),
  ):
    pass
  with pytest.raises(InputError, match=expected):
    own_files.open_own(put('archive.part'), 'ab')
  for reader in readers:
    os.close(reader)
  assert (home / 'file').read_text() == 'text'


def test_records_replace_a_link_and_are_not_written_where_it_leads(
  tmp_path: pathlib.Path, home: pathlib.Path
) -> None:
  (tmp_path / 'metrics.jsonl').symlink_to(home / 'metrics')
  with MetricLog(tmp_path, 0) as metric_log:
    metric_log.write(1, 0.1, 'train', {'accuracy': 0.5, 'loss': 1.0})
  assert not (home / 'metrics').exists() and (tmp_path / 'metrics.jsonl').is_file()


def test_the_log_of_a_copy_by_hard_links_is_its_own(tmp_path: pathlib.Path) -> None:
  (tmp_path / 'run').mkdir()
  (tmp_path / 'copy').mkdir()
  (tmp_path / 'run' / 'log.txt').write_text('of the run\n')
  os.link(tmp_path / 'run' / 'log.txt', tmp_path / 'copy' / 'log.txt')
  (tmp_path / 'copy' / 'config.json').write_text('{}')
  (tmp_path / 'elsewhere').touch()
  (tmp_path / 'copy' / 'log.txt.tmp').symlink_to(tmp_path / 'elsewhere')
  with log_to(tmp_path / 'copy'):
    logger.warning('of the copy')
  assert (tmp_path / 'run' / 'log.txt').read_text() == 'of the run\n'
  text = (tmp_path / 'copy' / 'log.txt').read_text()
  assert text.startswith('of the run\n') and text.endswith('of the copy\n')
  assert (tmp_path / 'elsewhere').read_text() == ''

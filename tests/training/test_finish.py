"""A run's result is written before its pictures, and no fault of a picture costs the result."""

import contextlib
import dataclasses
import json
import logging
import os
import pathlib
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from cifar_jax import cli, output_files
from cifar_jax.config import base
from cifar_jax.config.dataset import DataSettings
from cifar_jax.data import folder
from cifar_jax.errors import InputError
from cifar_jax.evaluation import scorecard
from cifar_jax.evaluation.predictions import GroundTruth, Predictions
from cifar_jax.experiment.experiment import Experiment
from cifar_jax.report import page
from cifar_jax.report.figures import confusion_and_calibration, curves, images
from cifar_jax.runs.workdir import read_config
from cifar_jax.training import finish, session
from tests.support.paths import ROOT
from tests.support.sessions import make_poisoned, shared_steps

PICTURES = [
  'evaluation/test_last_confusion_matrix.png',
  'evaluation/test_last_mistakes.png',
  'plots/learning_curves.png',
  'report.html',
]


class KilledError(BaseException):
  """Stands for a signal that ends the process."""


@pytest.fixture(scope='module')
def experiment(tiny_cifar: pathlib.Path) -> Experiment:
  """An experiment that compiles at once."""
  return make_poisoned(tiny_cifar, 'stop', poisoned=())


def write_page(workdirs: Sequence[pathlib.Path], path: pathlib.Path) -> None:
  """Stands for `page.write`, which takes seconds, and which `tests/report` tests."""
  output_files.write_text(path, f'a page on {workdirs}')


@pytest.fixture
def run(
  experiment: Experiment,
  tiny_cifar: pathlib.Path,
  tmp_path: pathlib.Path,
  monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Any]:
  """A function that runs a small experiment in `tmp_path`/run, and returns the exit status."""
  monkeypatch.setattr(session, 'build', lambda config: experiment)
  config = base('resnet20')
  config.data.update(data_dir=str(tiny_cifar), validation_size=40)
  monkeypatch.setattr(page, 'write', write_page)
  with shared_steps():
    yield lambda: session.run(config, tmp_path / 'run')


@pytest.mark.ci
def test_a_picture_that_cannot_be_made_is_a_warning_and_made_the_next_time(
  run: Any,
  tmp_path: pathlib.Path,
  monkeypatch: pytest.MonkeyPatch,
  caplog: pytest.LogCaptureFixture,
) -> None:
  def fail(*_: Any) -> None:
    raise ValueError('no such\nfont')

  with monkeypatch.context() as broken:
    for module, name in (
      (confusion_and_calibration, 'confusion_matrix'),
      (images, 'grid'),
      (curves, 'learning_curves'),
      (page, 'write'),
    ):
      broken.setattr(module, name, fail)
    assert run() == 0
  warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
  expected = [f'{tmp_path}/run/{name} could not be made: no such font' for name in PICTURES]
  assert [line for line in warnings if 'could not be made' in line] == expected
  result = json.loads((tmp_path / 'run' / 'result.json').read_text())
  assert not any((tmp_path / 'run' / name).exists() for name in PICTURES)
  assert run() == 0
  assert all((tmp_path / 'run' / name).exists() for name in PICTURES)
  assert json.loads((tmp_path / 'run' / 'result.json').read_text()) == result
  (tmp_path / 'run' / PICTURES[1]).unlink()  # as after a kill between two pictures
  monkeypatch.setattr(curves, 'learning_curves', lambda *_: None)
  assert run() == 0
  assert (tmp_path / 'run' / PICTURES[1]).exists()


@pytest.mark.ci
@pytest.mark.parametrize(
  ('module', 'name'),
  [
    (scorecard, 'draw'),
    pytest.param(finish, 'report_run', marks=pytest.mark.slow),
    pytest.param(curves, 'learning_curves', marks=pytest.mark.slow),
    pytest.param(page, 'write', marks=pytest.mark.slow),
  ],
)
def test_a_run_killed_while_it_draws_has_its_result(
  run: Any, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, module: Any, name: str
) -> None:
  def kill(*_: Any) -> None:
    raise KilledError

  with monkeypatch.context() as broken:
    broken.setattr(session if module is finish else module, name, kill)
    with pytest.raises(KilledError):
      run()
  assert json.loads((tmp_path / 'run' / 'result.json').read_text())['test']
  assert run() == 0
  assert all((tmp_path / 'run' / name).exists() for name in PICTURES)


# tensorboardX leaves a file open that it could not write.
@pytest.mark.ci
@pytest.mark.filterwarnings(
  'ignore::ResourceWarning', 'ignore::pytest.PytestUnraisableExceptionWarning'
)
@pytest.mark.skipif(os.geteuid() != 0, reason='only root may mount a disk')
@pytest.mark.parametrize('name', ['evaluate_run', 'save_scorecard', '_write_result', 'report_run'])
def test_a_disk_that_fills_up_while_a_run_finishes_costs_nothing(
  run: Any,
  tmp_path: pathlib.Path,
  monkeypatch: pytest.MonkeyPatch,
  capsys: pytest.CaptureFixture[str],
  name: str,
) -> None:
  workdir = tmp_path / 'run'
  workdir.mkdir()
  if subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', workdir]).returncode:
    pytest.skip('mounting is not allowed')
  step = getattr(session, name)

  def fill_the_disk_first(*arguments: Any) -> Any:
    with contextlib.suppress(OSError), (workdir / 'filler').open('wb', buffering=0) as file:
      while file.write(bytes(1 << 12)):
        pass
    return step(*arguments)

  try:
    with monkeypatch.context() as broken:
      broken.setattr(session, name, fill_the_disk_first)
      with pytest.raises(SystemExit) as ending:
        cli.run(run)
    (last_line,) = capsys.readouterr().err.splitlines()[-1:] or ['']
    if name != 'report_run':  # there the result is written, and only pictures are missing
      assert ending.value.code == cli.SHORTAGE
      assert 'the disk is full: make room, then run the same command again' in last_line
    (workdir / 'filler').unlink()
    if name != 'report_run':
      monkeypatch.setattr(session, 'report_run', lambda *_: None)
    assert run() == 0
    assert json.loads((workdir / 'result.json').read_text())['test']
    assert name != 'report_run' or all((workdir / picture).exists() for picture in PICTURES)
  finally:
    subprocess.run(['umount', '--lazy', workdir], check=True)


@pytest.mark.ci
def test_a_missing_picture_is_not_drawn_from_other_images(
  run: Any,
  experiment: Experiment,
  tmp_path: pathlib.Path,
  monkeypatch: pytest.MonkeyPatch,
  caplog: pytest.LogCaptureFixture,
) -> None:
  assert run() == 0
  missing = tmp_path / 'run' / PICTURES[1]
  missing.unlink()
  test = experiment.dataset.test
  inverted = dataclasses.replace(test, images=255 - test.images)
  other = dataclasses.replace(experiment.dataset, test=inverted)
  monkeypatch.setattr(session.data, 'load', lambda _: other)
  assert run() == 0
  assert 'other test images than the run was tested on: the images differ' in caplog.text
  assert not missing.exists()
  monkeypatch.setattr(session.data, 'load', lambda _: experiment.dataset)
  assert run() == 0 and missing.exists()


@pytest.mark.ci
def test_new_numbers_leave_no_picture_of_earlier_ones(
  experiment: Experiment, tmp_path: pathlib.Path
) -> None:
  """A run is evaluated while it trains, and again at its end."""
  test = experiment.dataset.test
  truth = GroundTruth(test.labels, experiment.dataset.class_names, test.images)
  for predicted in ((test.labels + 1) % 10, test.labels):
    logits = np.eye(10, dtype=np.float32)[predicted]
    predictions = Predictions.of_logits('net', logits)
    found = scorecard.save(tmp_path, 'test_last', predictions, truth, {})
    assert not list(tmp_path.glob('*_*_*.*'))
    scorecard.draw(tmp_path, 'test_last', 'net', found, truth)
    assert len(list(tmp_path.glob('*_mistakes.*'))) == (2 if predicted[0] != test.labels[0] else 0)


def test_a_workdir_that_another_run_took_meanwhile_is_left_alone(
  run: Any,
  experiment: Experiment,
  tmp_path: pathlib.Path,
  no_pictures: None,
  monkeypatch: pytest.MonkeyPatch,
) -> None:
  config = base('resnet20')
  config.seed = 1

  def build_after_another_run(_: Any) -> Any:
    monkeypatch.setattr(session, 'build', lambda config: experiment)
    assert run() == 0
    return experiment

  monkeypatch.setattr(session, 'build', build_after_another_run)
  with pytest.raises(InputError, match=r'holds a run with another configuration: .*seed was 0'):
    session.run(config, tmp_path / 'run')
  assert read_config(tmp_path / 'run').seed == 0


DRAW = """
from cifar_jax import cli, output_files
import pathlib
def main():
  from cifar_jax.report.figures import confusion_and_calibration
  import numpy as np
  # The last is too long for the picture, and its last letter is in no font of matplotlib.
  names = ('a$^$b', '$5_$10', '\\\\xff', 300 * 'w' + '\\u4e01')
  figure = confusion_and_calibration.confusion_matrix(np.eye(4, dtype=int), names, '$x^$')
  output_files.save_figure(figure, pathlib.Path('picture.png'))
cli.run(main)
"""


def test_commands_draw_with_settings_of_their_own(tmp_path: pathlib.Path) -> None:
  # Jupyter passes its backend on to every command started from a cell.
  backend = 'module://matplotlib_inline.backend_inline'
  (tmp_path / 'matplotlibrc').write_text('text.usetex: True\nfont.family: no such font\n')
  done = subprocess.run(
    [sys.executable, '-c', DRAW],
    cwd=tmp_path,
    env=os.environ | {'MPLBACKEND': backend, 'PYTHONPATH': str(ROOT)},
    capture_output=True,
    text=True,
  )
  assert (done.returncode, done.stderr) == (0, '')
  assert (tmp_path / 'picture.png').read_bytes().startswith(b'\x89PNG')


def test_a_class_whose_name_is_no_text_has_a_name_that_can_be_written(
  tmp_path: pathlib.Path,
) -> None:
  import PIL.Image

  for split in ('train', 'test'):
    for name in (b'b\xff', b'b\xfe', 'größe'.encode()):
      directory = pathlib.Path(os.fsdecode(os.fsencode(tmp_path / split) + b'/' + name))
      directory.mkdir(parents=True)
      PIL.Image.new('RGB', (4, 4)).save(directory / 'image.png')
  names = folder.load(DataSettings('folder', str(tmp_path), image_size=4)).class_names
  assert sorted(names) == ['b\\xfe', 'b\\xff', 'größe']
  '\n'.join(names).encode()

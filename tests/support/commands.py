"""Runs commands in this process, in a folder of bad workdirs, config files and weights."""

import logging
import pathlib
import sys
from collections.abc import Callable, Iterator
from typing import NoReturn

import pytest

from cifar_jax import cli, evaluate, main
from cifar_jax.convert import __main__ as convert_command
from cifar_jax.experiment.experiment import Experiment
from cifar_jax.models import __main__ as models_command
from cifar_jax.training import session
from tests.support import bad_input, bad_input_hints, bad_input_others, bad_places
from tests.support.bad_input import Case

# For each command: its main function, and its cases of bad input by name.
COMMANDS: dict[str, tuple[Callable[[], int | None], dict[str, Case]]] = {
  'main': (main.main, bad_input.MAIN | bad_input_hints.HINTS),
  'evaluate': (evaluate.main, bad_input_others.EVALUATE),
  'models': (models_command.main, bad_input_others.MODELS),
  'convert': (convert_command.main, bad_input_others.CONVERT),
}


@pytest.fixture(scope='module')
def place(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
  """A folder of bad workdirs, config files and weights."""
  root = tmp_path_factory.mktemp('place')
  bad_places.make(root)
  return root


@pytest.fixture(autouse=True)
def quiet(place: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
  """Makes `place` the current folder, makes training an error, and restores the logger."""
  monkeypatch.chdir(place)

  def fail(experiment: Experiment, *_: object) -> NoReturn:
    raise AssertionError(f'accepted: {experiment.train_settings}')

  monkeypatch.setattr(session, 'run_session', fail)
  monkeypatch.setattr(session.provenance, 'describe', lambda _: {'commit': None})  # asks Git
  logger = logging.getLogger('cifar_jax')
  handlers, propagate = list(logger.handlers), logger.propagate
  yield
  logger.handlers, logger.propagate = handlers, propagate


def snapshot(root: pathlib.Path) -> dict[str, tuple[int, ...]]:
  """The state of each file below a folder: the system notes the time of every change (ctime)."""
  stats = {str(path): path.stat() for path in root.rglob('*') if path.is_file()}
  folders = {str(path): () for path in root.rglob('*') if not path.is_file()}
  return folders | {
    path: (stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
    for path, stat in stats.items()
  }


def error_lines(err: str) -> list[str]:
  """The lines on standard error, without those of the log on what is read."""
  of_the_log = ('Reading ', 'cifar10: 240 of', 'checkpoint 10 is damaged')
  return [line for line in err.splitlines() if not line.startswith(of_the_log)]


def run_command(
  name: str,
  arguments: list[str],
  monkeypatch: pytest.MonkeyPatch,
  capsys: pytest.CaptureFixture[str],
) -> tuple[int, list[str]]:
  """Runs a command in this process; returns its exit status and its error lines."""
  capsys.readouterr()
  monkeypatch.setattr(sys, 'argv', ['cifar_jax', *arguments])
  with pytest.raises(SystemExit) as exit_info:
    cli.run(COMMANDS[name][0])
  assert isinstance(exit_info.value.code, int)
  return exit_info.value.code, error_lines(capsys.readouterr().err)

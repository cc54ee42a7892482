"""Bad input: one line that says what and what to do, status 2, and nothing changed on disk."""

import hashlib
import logging
import pathlib
import sys

import bad_input
import bad_input_others as others
import bad_places
import pytest

from cifar_jax import command, evaluate, experiment, main, train
from cifar_jax.convert import __main__ as convert
from cifar_jax.models import __main__ as models

COMMANDS = {
  'main': (main.main, bad_input.MAIN),
  'evaluate': (evaluate.main, others.EVALUATE),
  'models': (models.main, others.MODELS),
  'convert': (convert.main, others.CONVERT),
}
CASES = [(name, case) for name, (_, cases) in COMMANDS.items() for case in cases]


@pytest.fixture(scope='module')
def place(tmp_path_factory):
  root = tmp_path_factory.mktemp('place')
  bad_places.make(root)
  return root


@pytest.fixture(autouse=True)
def quiet(place, monkeypatch):
  """In that folder; what would be trained is an error here; the program's logger as it was."""
  monkeypatch.chdir(place)

  def accepted(parts: experiment.Experiment, *_):
    raise AssertionError(f'accepted: {parts.plan}')

  monkeypatch.setattr(train, '_session', accepted)
  logger = logging.getLogger('cifar_jax')
  handlers, propagate = list(logger.handlers), logger.propagate
  yield
  logger.handlers, logger.propagate = handlers, propagate


def snapshot(root: pathlib.Path) -> dict[str, str]:
  """What each file holds, and when it was last written."""
  return {
    str(path): f'{path.stat().st_mtime_ns} {hashlib.md5(path.read_bytes()).hexdigest()}'
    if path.is_file()
    else ''
    for path in root.rglob('*')
  }


def lines(err: str) -> list[str]:
  """Without what the first to read the small files says of them."""
  return [x for x in err.splitlines() if not x.startswith(('Reading ', 'cifar10: 240 of'))]


def answer(name: str, arguments: list[str], monkeypatch, capsys) -> tuple[int, list[str]]:
  """Exit status and lines of a command that is run in this process."""
  capsys.readouterr()
  monkeypatch.setattr(sys, 'argv', ['cifar_jax', *arguments])
  with pytest.raises(SystemExit) as left:
    command.run(COMMANDS[name][0])
  return left.value.code, lines(capsys.readouterr().err)


def test_there_are_more_than_two_hundred():
  assert len(CASES) > 200


@pytest.mark.parametrize(('name', 'case'), CASES)
def test_it_is_answered(name, case, place, tiny_cifar, monkeypatch, capsys):
  arguments, words = COMMANDS[name][1][case]
  typed = ' '.join(arguments)
  if name == 'evaluate':
    arguments = [*arguments, f'--config.data.data_dir={tiny_cifar}']
  if name == 'main' and len(arguments) > 1:
    ours = {'data.data_dir': tiny_cifar, 'data.validation_size': 40, 'sharding.num_devices': 1}
    if 'dataset' in typed:
      del ours['data.data_dir']
    arguments = [
      *arguments,
      *(f'--config.{key}={value}' for key, value in ours.items() if key not in typed),
    ]
  before = snapshot(place)
  status, told = answer(name, arguments, monkeypatch, capsys)
  assert status == 2, told
  assert told[0].startswith('cifar_jax: '), told
  assert len(told) == 1, told
  assert len(told[0]) < 1500 and 'Traceback' not in told[0], told
  assert all(word in told[0] for word in words), told
  assert snapshot(place) == before

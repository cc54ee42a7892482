"""Bad input: the command prints one line, exits with status 2 and changes nothing on disk."""

import pathlib

import pytest

from tests.support.commands import COMMANDS, run_command, snapshot

CASES = [(command, case) for command, (_, cases) in COMMANDS.items() for case in cases]


def test_there_are_more_than_two_hundred_cases() -> None:
  assert len(CASES) > 200


@pytest.mark.parametrize(('command', 'case'), CASES)
def test_bad_input_is_refused_in_one_line_and_changes_nothing(
  command: str,
  case: str,
  place: pathlib.Path,
  tiny_cifar: pathlib.Path,
  monkeypatch: pytest.MonkeyPatch,
  capsys: pytest.CaptureFixture[str],
) -> None:
  arguments, words = COMMANDS[command][1][case]
  if command == 'evaluate':
    arguments = [*arguments, f'--config.data.data_dir={tiny_cifar}']
  if command == 'main' and len(arguments) > 1:
    arguments = arguments + needed_overrides(' '.join(arguments), tiny_cifar)
  before = snapshot(place)
  status, lines = run_command(command, arguments, monkeypatch, capsys)
  assert status == 2, lines
  assert lines[0].startswith('cifar_jax: '), lines
  assert len(lines) == 1, lines
  assert len(lines[0]) < 1500 and 'Traceback' not in lines[0], lines
  assert all(word in lines[0] for word in words), lines
  assert snapshot(place) == before


def needed_overrides(arguments: str, data_dir: pathlib.Path) -> list[str]:
  """Overrides that make `main` work on the small CIFAR-10, without keys that a case sets itself."""
  values = {'data.data_dir': data_dir, 'data.validation_size': 40, 'sharding.num_devices': 1}
  if 'dataset' in arguments:
    del values['data.data_dir']
  return [f'--config.{key}={value}' for key, value in values.items() if key not in arguments]

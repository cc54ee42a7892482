"""What outsiders name cannot command a terminal."""

import pathlib
from typing import Any

import numpy as np
import pytest

from cifar_jax import cli
from cifar_jax.data import folder_files
from cifar_jax.data.dataset import check_class_names
from cifar_jax.errors import InputError
from cifar_jax.evaluation.predictions import read_predictions
from cifar_jax.printable import printable
from cifar_jax.runtime import console

RED = '\x1b[31mred'


@pytest.mark.parametrize(
  ('text', 'shown'),
  [
    ('größe → 1, 犬 \u00a0🐕', 'größe → 1, 犬 \u00a0🐕'),
    (RED, '\\x1b[31mred'),
    ('cat\r\ndog', 'cat\\r\\ndog'),
    ('\u2028\x9b', '\\u2028\\x9b'),
    ('b\udcff', 'b\\udcff'),
  ],
)
def test_only_what_commands_a_terminal_or_cannot_be_encoded_is_escaped(
  text: str, shown: str
) -> None:
  assert printable(text) == shown


def test_names_of_folders_are_escaped() -> None:
  assert folder_files.as_text(f'data/{RED}') == 'data/\\x1b[31mred'


@pytest.mark.parametrize(('names', 'reason'), [(('cat', RED), 'control'), (('a', 'a'), 'same')])
def test_class_names_of_other_data_are_refused(names: tuple[str, ...], reason: str) -> None:
  with pytest.raises(InputError, match=f'^svhn: .*{reason}'):
    check_class_names('svhn', names)


def test_names_in_a_prediction_file_are_refused(tmp_path: pathlib.Path) -> None:
  labels = np.array([0, 1])
  for name, classes in ((RED, ['cat', 'dog']), ('net', ['cat', RED])):
    arrays: dict[str, Any] = {'labels': labels, 'class_names': np.array(classes), name: labels}
    np.savez(tmp_path / 'a.npz', **arrays)
    with pytest.raises(InputError, match='has control characters') as refusal:
      read_predictions(str(tmp_path / 'a.npz'))
    assert '\x1b' not in str(refusal.value)


def test_messages_and_log_lines_are_escaped(
  tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:

  def command() -> None:
    with console.log_to(tmp_path):
      console.logger.warning('left out: %s\nand others', RED)
    raise InputError(f'cannot read {RED}')

  with pytest.raises(SystemExit):
    cli.run(command)
  shown = capsys.readouterr().err
  assert shown == ('left out: \\x1b[31mred\nand others\ncifar_jax: cannot read \\x1b[31mred\n')
  assert '\x1b' not in (tmp_path / 'log.txt').read_text()

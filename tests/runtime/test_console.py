"""The lines and bars of the program: plain, on standard error, and without those of others."""

import logging
import pathlib
import sys
import threading

import pytest

from cifar_jax import cli
from cifar_jax.runtime import console


def test_a_warning_of_a_command_is_a_plain_line(capsys: pytest.CaptureFixture[str]) -> None:
  def main() -> None:
    logging.getLogger('cifar_jax.evaluation.restore').warning('%s has 3 seeds', 'runs/a')
    logging.getLogger('absl').warning('Given directory is read only')  # as Orbax does
    logging.getLogger('cifar_jax').debug('--xla_flag=1')

  with pytest.raises(SystemExit):
    cli.run(main)
  assert capsys.readouterr() == ('', 'runs/a has 3 seeds\n')


def test_a_program_gets_warnings_alone(capsys: pytest.CaptureFixture[str]) -> None:
  console.warnings_only()
  console.logger.info('epoch 1')
  console.logger.warning('no locks')
  assert capsys.readouterr() == ('', 'cifar_jax: no locks\n')


def test_a_bar_yields_its_items_and_is_seen_on_a_terminal_alone(
  capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
  assert list(console.bar([1, 2], 'evaluating', 'batches')) == [1, 2]
  assert capsys.readouterr() == ('', '')
  monkeypatch.setattr(console, '_BAR_DELAY', 0.0)
  monkeypatch.setattr(sys.stderr, 'isatty', lambda: True)
  assert list(console.bar(iter('ab'), 'evaluating', 'batches', 2)) == ['a', 'b']
  assert 'evaluating:   0%' in capsys.readouterr().err


def test_the_log_of_a_run_has_the_lines_of_its_thread_alone(tmp_path: pathlib.Path) -> None:
  def look_at_another_run() -> None:
    console.warnings_only()
    with console.log_to(tmp_path / 'b'):
      console.logger.info('of b')

  for name in 'ab':
    (tmp_path / name).mkdir()

  def wait_for_another_run() -> None:
    thread = threading.Thread(target=look_at_another_run)
    thread.start()
    thread.join()

  console.warnings_only()
  with console.keep_lines() as earlier:
    console.logger.warning('before a')
    wait_for_another_run()
    console.logger.info('just before a')
  with console.log_to(tmp_path / 'a', earlier):
    wait_for_another_run()
    console.logger.info('of a')

  def lines(name: str) -> list[str]:
    written = (tmp_path / name / 'log.txt').read_text().splitlines()
    return [line.split(maxsplit=2)[2] for line in written]  # without the time

  assert lines('a') == ['before a', 'just before a', 'of a']
  assert lines('b') == ['of b', 'of b']

"""A process that receives SIGTERM, Ctrl-C or SIGHUP, with or without something to save."""

import contextlib
import os
import pathlib
import pty
import signal
import subprocess
import sys
import time

import pytest

from cifar_jax import cli
from cifar_jax.runtime import signals
from tests.support.paths import ROOT

# Waits in C, as a compilation does, where Python runs no signal handlers.
WAITING = """
import hashlib, sys
sys.path.insert(0, {root!r})
from cifar_jax.runtime.signals import StopRequest
with StopRequest() as stop:
  stop.unsaved = {unsaved}
  print('ready', flush=True)
  hashlib.pbkdf2_hmac('sha256', b'', b'', 200_000_000)
"""


def start_waiting(*, unsaved: bool) -> subprocess.Popen[str]:
  """Starts a process that waits in C within a `StopRequest`, with or without unsaved work."""
  code = WAITING.format(root=str(ROOT), unsaved=unsaved)
  process = subprocess.Popen(
    [sys.executable, '-c', code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
  )
  assert process.stdout and process.stdout.readline() == 'ready\n'
  return process


@pytest.mark.parametrize(
  ('number', 'status'), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)]
)
def test_with_nothing_to_save_a_signal_ends_even_a_compilation(
  number: signal.Signals, status: int
) -> None:
  process = start_waiting(unsaved=False)
  process.send_signal(number)
  _, err = process.communicate(timeout=20)
  assert process.returncode == status
  assert err == f'cifar_jax: {number.name}: stopped at once; there was nothing to save\n'


def test_a_second_signal_exits_at_once() -> None:
  process = start_waiting(unsaved=True)
  process.send_signal(signal.SIGINT)
  time.sleep(0.5)
  assert process.poll() is None  # the first only requests a stop
  process.send_signal(signal.SIGINT)
  _, err = process.communicate(timeout=20)
  assert process.returncode == 130
  assert err == 'cifar_jax: SIGINT: stopped at once; the last checkpoint is intact\n'


def test_a_process_whose_terminal_is_gone_ends() -> None:
  ours, theirs = pty.openpty()
  code = WAITING.format(root=str(ROOT), unsaved=False)
  process = subprocess.Popen([sys.executable, '-c', code], stdout=subprocess.PIPE, stderr=theirs)
  assert process.stdout and process.stdout.readline() == b'ready\n'
  os.close(theirs)
  os.close(ours)  # from now on nothing can be written to standard error
  process.send_signal(signal.SIGHUP)
  process.communicate(timeout=20)
  assert process.returncode == 129


@pytest.mark.parametrize('number', signals.SIGNALS)
def test_an_ignored_signal_stays_ignored(number: signal.Signals) -> None:
  previous = signal.signal(number, signal.SIG_IGN)  # as `nohup` does with SIGHUP
  try:
    with signals.StopRequest() as stop:
      os.kill(os.getpid(), number)
      time.sleep(0.05)
      assert stop.received_signal is None
    assert signal.getsignal(number) is signal.SIG_IGN
  finally:
    signal.signal(number, previous)


def test_an_interrupt_that_is_lost_in_a_callback_ends_the_process_nevertheless(
  monkeypatch: pytest.MonkeyPatch,
) -> None:
  statuses: list[int] = []
  monkeypatch.setattr(os, '_exit', statuses.append)
  monkeypatch.setattr(signals, 'GRACE_SECONDS', 0.05)
  before = signal.getsignal(signal.SIGINT)
  with signals.ending_at_interrupt():
    with contextlib.suppress(KeyboardInterrupt):  # as Python does with an exception in `__del__`
      os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.2)
  assert statuses == [130]
  with pytest.raises(KeyboardInterrupt), signals.ending_at_interrupt() as interrupted:
    assert not interrupted.is_set()
    os.kill(os.getpid(), signal.SIGINT)
  time.sleep(0.1)
  assert statuses == [130]  # an interrupt that arrives ends the block, and nothing else
  assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize('command', ['cifar_jax.main', 'cifar_jax', 'cifar_jax.analysis.lesion'])
def test_an_interrupt_while_a_command_imports_its_modules_is_one_line(
  tmp_path: pathlib.Path, command: str
) -> None:
  interrupting = 'import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n'
  (tmp_path / 'ml_collections.py').write_text(interrupting)
  environment = os.environ | {'PYTHONPATH': f'{tmp_path}{os.pathsep}{ROOT}'}
  words = [sys.executable, '-m', command, 'train', '--help']
  done = subprocess.run(words, env=environment, capture_output=True, text=True)
  assert (done.returncode, done.stderr) == (130, 'cifar_jax: interrupted\n')


def test_other_programs_keep_their_own_handling_of_interrupts(
  monkeypatch: pytest.MonkeyPatch,
) -> None:
  before = signal.getsignal(signal.SIGINT)
  others = (['pytest'], ['python', '-m', 'pytest']), (['-m'], ['python', '-m', 'cifar_jax_2.x'])
  for words, original in (*others, ([], ['python']), (['-c'], ['python', '-c', 'cifar_jax'])):
    monkeypatch.setattr(sys, 'argv', words)
    monkeypatch.setattr(sys, 'orig_argv', original)
    signals.end_at_interrupt_until_command_runs()
    assert signal.getsignal(signal.SIGINT) is before
  monkeypatch.setattr(sys, 'argv', ['/usr/bin/cifar-jax', 'train'])
  try:
    signals.end_at_interrupt_until_command_runs()
    assert signal.getsignal(signal.SIGINT) is not before
    with signals.ending_at_interrupt():
      assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
  finally:
    signal.signal(signal.SIGINT, before)


def test_an_error_that_an_interrupt_has_caused_is_no_fault(
  capsys: pytest.CaptureFixture[str],
) -> None:
  def main() -> None:
    try:
      os.kill(os.getpid(), signal.SIGINT)
    except KeyboardInterrupt as error:  # as a module written in C does while it is imported
      raise ImportError from error

  with pytest.raises(SystemExit) as info:
    cli.run(main)
  assert (info.value.code, capsys.readouterr().err) == (130, 'cifar_jax: interrupted\n')

"""The command line, mostly in real processes: exit statuses, output and imports."""

import os
import pathlib
import subprocess
import sys

import pytest

from cifar_jax import cli, errors
from tests.support.paths import ROOT


def test_bad_input_to_a_real_process_is_one_line_and_status_2(tmp_path: pathlib.Path) -> None:
  config = f'{ROOT / "configs/pyramidnet.py"}:depth=111'
  done = subprocess.run(
    [sys.executable, '-m', 'cifar_jax.main', '--config', config],
    cwd=tmp_path, capture_output=True, text=True, env=os.environ | {'PYTHONPATH': str(ROOT)},
  )  # fmt: skip
  assert done.returncode == 2 and done.stdout == ''
  assert done.stderr.count('\n') == 1 and '111' in done.stderr
  assert list(tmp_path.iterdir()) == []


def run_command(body: str, **environment: str) -> subprocess.CompletedProcess[str]:
  """Runs `body` as the main function of a command."""
  code = f'from cifar_jax import cli\ndef main():\n  {body}\ncli.run(main)\n'
  return subprocess.run(
    [sys.executable, '-c', code],
    env=os.environ | {'PYTHONPATH': str(ROOT), **environment},
    capture_output=True,
    text=True,
  )


def test_closed_standard_streams_do_not_end_in_the_files_of_a_run(tmp_path: pathlib.Path) -> None:
  code = (
    'import os, sys\nfrom cifar_jax import cli\n'
    'def main():\n'
    '  files = [open(str(i), "w") for i in range(3)]\n'
    '  print("a result", sys.stdin.read(), sys.stderr.isatty())\n'
    '  os.write(1, b"from a library")\n  os.write(2, b"from a library")\n'
    'cli.run(main)\n'
  )
  shell = 'exec "$0" -c "$1" <&- >&- 2>&-'
  environment = os.environ | {'PYTHONPATH': str(ROOT)}
  done = subprocess.run(['sh', '-c', shell, sys.executable, code], cwd=tmp_path, env=environment)
  assert done.returncode == 0
  assert [(tmp_path / str(i)).read_text() for i in range(3)] == [''] * 3


def test_a_removed_current_directory_is_one_line(tmp_path: pathlib.Path) -> None:
  code = 'from cifar_jax import cli\ncli.run(lambda: print("not reached"))\n'
  shell = 'mkdir gone && cd gone && rmdir ../gone && exec "$0" -c "$1"'
  done = subprocess.run(
    ['sh', '-c', shell, sys.executable, code],
    cwd=tmp_path, env=os.environ | {'PYTHONPATH': str(ROOT)}, capture_output=True, text=True,
  )  # fmt: skip
  assert (done.returncode, done.stdout) == (2, '')
  assert done.stderr == 'cifar_jax: the current directory was removed: change to another one\n'


@pytest.mark.parametrize(
  ('error', 'status'),
  [
    (errors.DivergedError(7, 'loss', 'lower the rate'), 1),
    (errors.InputError('no such file'), 2),
    (errors.ShortageError('out of memory'), 3),
  ],
)
def test_an_error_is_one_line_with_the_status_of_its_kind(
  error: Exception, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
  def command() -> None:
    raise error

  with pytest.raises(SystemExit) as ending:
    cli.run(command)
  assert ending.value.code == status and capsys.readouterr().err == f'cifar_jax: {error}\n'


def test_a_fault_of_the_program_has_a_status_of_its_own_and_its_traceback() -> None:
  done = run_command('raise KeyError("a fault")')
  assert done.returncode == 70 and done.stderr.startswith('Traceback')
  assert "KeyError: 'a fault'" in done.stderr


def test_a_letter_that_the_terminal_lacks_costs_no_result() -> None:
  done = run_command('print("84.12 \\u00b1 0.21 %")', PYTHONIOENCODING='ascii')
  assert (done.returncode, done.stdout) == (0, '84.12 \\xb1 0.21 %\n')


@pytest.mark.parametrize(
  ('variable', 'value', 'message'),
  [
    ('JAX_PLATFORMS', 'cuda', "cifar_jax: JAX finds no device (JAX_PLATFORMS is 'cuda'"),
    ('JAX_ENABLE_X64', '1', 'cifar_jax: JAX_ENABLE_X64 is set, but nets are trained in 16 or 32'),
    ('JAX_NUMPY_DTYPE_PROMOTION', 'strict', 'cifar_jax: JAX_NUMPY_DTYPE_PROMOTION is strict'),
  ],
)
def test_a_setting_of_jax_that_cannot_be_used_is_one_line(
  variable: str, value: str, message: str
) -> None:
  done = run_command('import jax; jax.numpy.ones(1)', **{variable: value})
  assert done.returncode == 2
  assert done.stderr.startswith(message) and done.stderr.count('\n') == 1


def test_help_imports_neither_jax_nor_tensorflow(tmp_path: pathlib.Path) -> None:
  code = (
    'import runpy, sys\n'
    'sys.argv = ["main", "--help"]\n'
    'try: runpy.run_module("cifar_jax.main", run_name="__main__")\n'
    'except SystemExit as e: assert e.code == 0\n'
    'heavy = {"jax", "flax", "numpy", "tensorflow", "matplotlib"} & set(sys.modules)\n'
    'assert not heavy, heavy\n'
  )
  done = subprocess.run(
    [sys.executable, '-c', code], capture_output=True, text=True,
    env=os.environ | {'PYTHONPATH': str(ROOT)},
  )  # fmt: skip
  assert done.returncode == 0, done.stderr
  assert '--config' in done.stdout


def test_closing_the_pipe_of_standard_output_is_no_error() -> None:
  command = [sys.executable, '-m', 'cifar_jax.study', '--list']
  pipe = subprocess.PIPE
  with subprocess.Popen(command, stdout=pipe, stderr=pipe, cwd=ROOT) as process:
    assert process.stdout and process.stderr
    process.stdout.close()
    assert (process.wait(), process.stderr.read()) == (141, b'')

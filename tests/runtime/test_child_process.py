"""A process that this program starts runs nothing of the current folder."""

import os
import pathlib
import subprocess
import sys

import pytest

from cifar_jax.runtime import child_process
from cifar_jax.study import launch


@pytest.mark.parametrize('start', ['study', 'another process'])
def test_a_file_with_the_name_of_a_module_is_not_run(
  start: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
  for name in ('pickle', 'numpy', 'cifar_jax'):
    (tmp_path / f'{name}.py').write_text(f'open({str(tmp_path / "executed")!r}, "w").close()')
  monkeypatch.chdir(tmp_path)
  monkeypatch.setattr(sys, 'path', [path for path in sys.path if path])  # as of a command
  before = dict(os.environ)
  command = [sys.executable, '-c', 'import pickle, numpy, cifar_jax; cifar_jax.xla_flags']
  if start == 'study':
    assert launch.run(command) == (0, False)
  else:
    with child_process.same_modules():
      subprocess.run(command, check=True)
  assert not (tmp_path / 'executed').exists()
  assert dict(os.environ) == before

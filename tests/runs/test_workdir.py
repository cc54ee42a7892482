"""Workdirs of killed runs, and output files whose writing is interrupted."""

import os
import pathlib
import subprocess
import sys

import pytest

from cifar_jax import output_files
from cifar_jax.config.base import base
from cifar_jax.errors import InputError
from cifar_jax.runs.workdir import check_workdir
from tests.support.paths import ROOT

# Writes half of a file and kills its own process.
KILLED_WRITER = """
import os, pathlib, signal, sys
sys.path.insert(0, {root!r})
from cifar_jax import output_files
with output_files.replacing(pathlib.Path('config.json')) as temporary:
  temporary.write_text('half')
  os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_run_starts_in_a_workdir_whose_run_was_killed_before_its_config(
  tmp_path: pathlib.Path,
) -> None:
  (tmp_path / 'lock').touch()
  code = KILLED_WRITER.format(root=str(ROOT))
  subprocess.run([sys.executable, '-c', code], cwd=tmp_path, check=False)
  names = {path.name for path in tmp_path.iterdir()}
  assert len(names) == 2 and 'config.json' not in names, names
  (tmp_path / 'config.json.tmp').touch()  # the temporary name of an earlier version
  config = base('resnet20')
  check_workdir(tmp_path, config)
  (tmp_path / 'thesis.tmp').touch()
  with pytest.raises(InputError, match='is not empty and holds no run'):
    check_workdir(tmp_path, config)


def test_a_file_is_replaced_only_at_the_end_of_the_block(tmp_path: pathlib.Path) -> None:
  path = tmp_path / 'table.txt'
  output_files.write_text(path, 'old')
  with output_files.replacing(path) as temporary:
    temporary.write_text('new')
    assert path.read_text() == 'old'
  assert path.read_text() == 'new'
  with pytest.raises(ZeroDivisionError), output_files.replacing(path) as temporary:
    temporary.write_text('half')
    raise ZeroDivisionError
  assert path.read_text() == 'new' and os.listdir(tmp_path) == ['table.txt']


def test_a_file_that_cannot_be_written_is_an_input_error_or_an_os_error(
  tmp_path: pathlib.Path,
) -> None:
  path = tmp_path / 'missing' / 'table.txt'
  with pytest.raises(InputError, match='cannot write'), output_files.replacing(path) as temporary:
    temporary.write_text('new')
  with pytest.raises(FileNotFoundError):  # which `cli.run` tells from a full disk
    output_files.write_text(path, 'new')
